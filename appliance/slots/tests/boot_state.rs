//! The boot state through torn writes, power cuts and other people's tools.

#![allow(clippy::unwrap_used, reason = "a test may end in a panic, and so may what tests share")]

mod oracle;

use proptest::prelude::*;
use stayput_slots::{BootState, Copies, Generation, Origin, SECTOR, Slot, Standing, TRIES, Tries};

type Sector = [u8; SECTOR];

/// A card's two copies after some changes by the box.
#[derive(Clone)]
struct Card([Sector; 2]);

impl Card {
    fn new() -> Self {
        Self([[0; SECTOR]; 2])
    }

    fn read(&self) -> Copies {
        Copies::read([&self.0[0], &self.0[1]])
    }

    fn change(&mut self, change: impl FnOnce(BootState) -> BootState) -> usize {
        let (state, copy) = self.read().next(change);
        self.0[copy] = state.sector().unwrap();
        copy
    }
}

fn text(sector: &Sector) -> String {
    String::from_utf8_lossy(&sector[4..]).trim_end_matches('\0').replace('\0', "\n")
}

fn with_checksum(text: &str) -> Sector {
    let mut sector = [0; SECTOR];
    sector[4..4 + text.len()].copy_from_slice(text.replace('\n', "\0").as_bytes());
    let sum = crc32fast::hash(&sector[4..]);
    sector[..4].copy_from_slice(&sum.to_le_bytes());
    sector
}

#[test]
fn a_new_card_starts_slot_a_with_all_tries_and_knows_no_other() {
    let read = Card::new().read();
    assert_eq!(read.origin, Origin::Neither);
    assert_eq!((read.state.first, read.state.slot(Slot::A).tries.left()), (Slot::A, TRIES));
    assert!(read.state.slot(Slot::A).standing.is_usable());
    assert!(!read.state.slot(Slot::B).standing.is_usable());
}

#[test]
fn the_variables_are_those_of_the_boot_script() {
    let mut card = Card::new();
    let copy = card.change(|state| state.with(Slot::A, Standing::Good));
    let expected = "stayput_a=good\nstayput_a_last=0\nstayput_a_tries=3\nstayput_b=empty\nstayput_b_last=0\n\
                    stayput_b_tries=0\nstayput_first=a\nstayput_generation=1";
    assert_eq!(text(&card.0[copy]), expected);
    let names: Vec<_> = expected.lines().map(|line| line.split('=').next().unwrap()).collect();
    assert_eq!(names, BootState::NAMES);
}

#[test]
fn a_write_that_is_torn_at_any_byte_leaves_the_state_before_or_after_it() {
    let mut card = Card::new();
    card.change(|state| state.with(Slot::A, Standing::Good));
    card.change(|state| state.with(Slot::B, Standing::Copying));
    for _ in 0..2 {
        let before = card.clone();
        let copy = card.change(|state| state.with(Slot::B, Standing::Whole));
        for rubbish in [0x00, 0xff, 0x5a] {
            for torn_at in 0..=SECTOR {
                // From the front, from the back, and with rubbish where the write stopped.
                let mut front = before.clone();
                front.0[copy][..torn_at].copy_from_slice(&card.0[copy][..torn_at]);
                let mut back = before.clone();
                back.0[copy][torn_at..].copy_from_slice(&card.0[copy][torn_at..]);
                let mut spoilt = front.clone();
                spoilt.0[copy][torn_at..].fill(rubbish);
                for torn in [front, back, spoilt] {
                    let state = torn.read().state;
                    assert!(
                        state == before.read().state || state == card.read().state,
                        "torn at {torn_at}: {state:?}"
                    );
                }
            }
        }
    }
}

#[test]
fn with_one_copy_lost_the_other_decides_and_with_both_the_new_cards_state_holds() {
    let mut card = Card::new();
    card.change(|state| state.with(Slot::A, Standing::Good));
    card.change(|state| state.with(Slot::B, Standing::Whole));
    let newest = card.read();
    assert_eq!(newest.origin, Origin::Both);
    for lost in 0..2 {
        let mut card = card.clone();
        card.0[lost] = [0xff; SECTOR];
        let read = card.read();
        assert_eq!((read.origin, read.spare), (Origin::One, lost));
        // What is left is the newest one, or the one before it.
        assert_eq!(read.state.slot(Slot::B).standing.is_usable(), lost == newest.spare);
        // The next write heals.
        card.change(|state| state.with(Slot::A, Standing::Good));
        assert_eq!(card.read().origin, Origin::Both);
    }
    card.0 = [[0xff; SECTOR]; 2];
    assert_eq!((card.read().origin, card.read().state), (Origin::Neither, BootState::new_card()));
}

#[test]
fn a_value_that_no_script_writes_makes_a_copy_worthless_and_is_named() {
    let good = "stayput_a=good\nstayput_a_last=1f\nstayput_a_tries=2\nstayput_b=whole\nstayput_b_last=0\n\
                stayput_b_tries=3\nstayput_first=a\nstayput_generation=20\n";
    assert!(BootState::parse(&with_checksum(good)).is_ok());
    for (right, wrong) in [
        ("stayput_a=good", "stayput_a=Good"),
        ("stayput_a=good", "stayput_a="),
        ("stayput_a_tries=2", "stayput_a_tries=4"),
        ("stayput_a_tries=2", "stayput_a_tries=02"),
        ("stayput_a_tries=2", "stayput_a_tries=-1"),
        ("stayput_b_last=0", "stayput_b_last=0x0"),
        ("stayput_first=a", "stayput_first=c"),
        ("stayput_generation=20", "stayput_generation=0"),
        ("stayput_generation=20", "stayput_generation=80000000"),
        ("stayput_generation=20", "stayput_generation=ffffffffffffffffff"),
        ("stayput_generation=20", "stayput_generation=20\r"),
    ] {
        let refused = BootState::parse(&with_checksum(&good.replace(right, wrong)));
        assert!(refused.is_err(), "{wrong}: {refused:?}");
    }
    for line in good.lines() {
        let name = line.split('=').next().unwrap();
        let message = BootState::parse(&with_checksum(&good.replace(&format!("{line}\n"), ""))).unwrap_err();
        assert_eq!(message.to_string(), format!("the variable {name} is missing"));
    }
}

#[test]
fn fw_printenv_reads_what_the_box_writes() {
    let mut card = Card::new();
    let copy = card.change(|state| state.with(Slot::B, Standing::Whole));
    let folder = tempfile::tempdir().unwrap();
    let (device, table) = (folder.path().join("copy"), folder.path().join("fw_env.config"));
    std::fs::write(&device, card.0[copy]).unwrap();
    std::fs::write(&table, format!("{} 0x0 0x200\n", device.display())).unwrap();
    let Some((content, said)) = oracle::ask("fw_printenv", &["-c", table.to_str().unwrap()]) else { return };
    assert!(content, "{said}");
    let mut lines: Vec<_> = said.lines().filter(|line| line.starts_with("stayput_")).collect();
    lines.sort();
    assert_eq!(lines.join("\n"), text(&card.0[copy]));
    assert!(!said.contains("bad CRC"), "{said}");
}

#[test]
fn mkenvimage_writes_the_same_bytes() {
    let mut card = Card::new();
    let copy = card.change(|state| state.with(Slot::B, Standing::Whole));
    let folder = tempfile::tempdir().unwrap();
    let (list, out) = (folder.path().join("list"), folder.path().join("out"));
    std::fs::write(&list, format!("{}\n", text(&card.0[copy]))).unwrap();
    let arguments = ["-s", "512", "-p", "0", "-o", out.to_str().unwrap(), list.to_str().unwrap()];
    let Some((content, said)) = oracle::ask("mkenvimage", &arguments) else { return };
    assert!(content, "{said}");
    assert_eq!(std::fs::read(out).unwrap(), card.0[copy]);
}

prop_compose! {
    fn any_state()(
        generation in 1..1_000_000_u32, first in any::<bool>(), a in 0..4_usize, b in 0..4_usize,
    ) -> BootState {
        let standings = [Standing::Empty, Standing::Copying, Standing::Whole, Standing::Good];
        let mut state = BootState::new_card().with(Slot::A, standings[a]).with(Slot::B, standings[b]);
        state.first = if first { Slot::A } else { Slot::B };
        state.generation = Generation::new(generation).unwrap();
        state
    }
}

proptest! {
    #[test]
    fn what_was_written_is_read_again(state in any_state()) {
        prop_assert_eq!(BootState::parse(&state.sector().unwrap()).unwrap(), state);
    }

    #[test]
    fn the_higher_generation_decides_wherever_it_lies(one in any_state(), other in any_state()) {
        let (a, b) = (one.sector().unwrap(), other.sector().unwrap());
        let read = Copies::read([&a, &b]);
        prop_assert_eq!(read.state.generation, one.generation.max(other.generation));
        prop_assert_eq!(Copies::read([&b, &a]).state.generation, read.state.generation);
        // The one that decides is never the one that is written next.
        let kept = [one, other][1 - read.spare];
        prop_assert_eq!(kept, read.state);
    }

    #[test]
    fn no_two_sectors_make_the_reader_stop(a in proptest::collection::vec(any::<u8>(), 0..600), b in any_state()) {
        prop_assert_eq!(Copies::read([&a, &b.sector().unwrap()]).state, b);
    }

    #[test]
    fn a_slot_that_is_a_piece_has_no_tries(state in any_state()) {
        for slot in Slot::ALL {
            let slot = state.slot(slot);
            prop_assert_eq!(slot.standing.is_usable(), slot.tries > Tries::NONE);
        }
    }
}
