//! The copy of a slot through cuts at every write, cards that lie, and slots that are the same already.

#![allow(clippy::unwrap_used, reason = "a test may end in a panic, and so may what tests share")]

use std::cell::{Cell, RefCell};
use std::time::Duration;

use proptest::prelude::*;
use sha2::{Digest, Sha256};
use stayput_boot_ok::{Error, Ledger, Medium, Outcome, Pace, Pair, Result, equalise, is_whole};
use stayput_health::Verity;

const BLOCK: usize = 4096;

/// A root partition of so many blocks of file system, with its tree, made the slow and obvious way.
fn root(blocks: usize, seed: u8) -> (Vec<u8>, Verity) {
    let data: Vec<u8> = (0..blocks * BLOCK).map(|at| (at / 7) as u8 ^ (at / BLOCK) as u8 ^ seed).collect();
    let mut levels: Vec<Vec<u8>> = Vec::new();
    let mut below = data.clone();
    while below.len() > BLOCK {
        let mut level: Vec<u8> = below.chunks(BLOCK).flat_map(Sha256::digest).collect();
        level.resize(level.len().next_multiple_of(BLOCK), 0);
        below = level.clone();
        levels.push(level);
    }
    let top = Sha256::digest(&below).into();
    let tree: Vec<u8> = levels.into_iter().rev().flatten().collect();
    ([data, tree].concat(), Verity::new(blocks as u64, top).unwrap())
}

/// What happens on the other slot's side, in order, and after how many writes the power goes.
#[derive(Default)]
struct Events {
    left: Cell<Option<usize>>,
    said: RefCell<Vec<&'static str>>,
}

impl Events {
    /// One more thing reaches the card, unless the power is gone.
    fn reach(&self) -> Result<()> {
        match self.left.get() {
            Some(0) => Err(Error::Units("the power went".into())),
            Some(left) => {
                self.left.set(Some(left - 1));
                Ok(())
            }
            None => Ok(()),
        }
    }
}

struct Memory<'a> {
    bytes: &'a mut Vec<u8>,
    events: &'a Events,
    forgets: bool,
}

impl Medium for Memory<'_> {
    fn size(&self) -> u64 {
        self.bytes.len() as u64
    }
    fn read(&mut self, at: u64, buffer: &mut [u8]) -> Result<()> {
        let at = at as usize;
        buffer.copy_from_slice(&self.bytes[at..at + buffer.len()]);
        Ok(())
    }
    fn write(&mut self, at: u64, bytes: &[u8]) -> Result<()> {
        // A cut in the middle of a write leaves half of it.
        let half = self.events.left.get() == Some(0);
        let length = if half { bytes.len() / 2 } else { bytes.len() };
        if !self.forgets {
            self.bytes[at as usize..at as usize + length].copy_from_slice(&bytes[..length]);
        }
        self.events.said.borrow_mut().push("write");
        self.events.reach()
    }
    fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}

struct Book<'a> {
    usable: &'a Cell<bool>,
    events: &'a Events,
}

impl Ledger for Book<'_> {
    fn piece(&mut self) -> Result<()> {
        self.events.said.borrow_mut().push("piece");
        self.events.reach()?;
        self.usable.set(false);
        Ok(())
    }
    fn whole(&mut self) -> Result<()> {
        self.events.said.borrow_mut().push("whole");
        self.events.reach()?;
        self.usable.set(true);
        Ok(())
    }
}

/// A card: this slot's two partitions, the other's, and whether the other may be started.
struct Card {
    boot: Vec<u8>,
    root: Vec<u8>,
    verity: Verity,
    boot_copy: Vec<u8>,
    root_copy: Vec<u8>,
    usable: Cell<bool>,
}

impl Card {
    fn new(blocks: usize, boot: usize) -> Self {
        let (root, verity) = root(blocks, 1);
        let boot: Vec<u8> = (0..boot).map(|at| (at / 3) as u8).collect();
        // More room than is used, with what an earlier life of the card left there.
        let (boot_copy, root_copy) = (vec![0xaa; boot.len()], vec![0xaa; root.len() + 5 * BLOCK]);
        Self { boot, root, verity, boot_copy, root_copy, usable: Cell::new(false) }
    }

    fn run(&mut self, events: &Events, forgets: bool) -> Result<Outcome> {
        let mut said = |_| {};
        let sleep = |_: Duration| {};
        let mut pace = Pace::new(&sleep, &mut said);
        let quiet = Events::default();
        let mut boot = Memory { bytes: &mut self.boot, events: &quiet, forgets: false };
        let mut root = Memory { bytes: &mut self.root, events: &quiet, forgets: false };
        let mut boot_copy = Memory { bytes: &mut self.boot_copy, events, forgets };
        let mut root_copy = Memory { bytes: &mut self.root_copy, events, forgets };
        let mut book = Book { usable: &self.usable, events };
        equalise(
            &mut Pair { source: &mut boot, target: &mut boot_copy },
            &mut Pair { source: &mut root, target: &mut root_copy },
            &self.verity,
            &mut book,
            &mut pace,
        )
    }

    fn is_copied(&self) -> bool {
        self.boot_copy == self.boot && self.root_copy[..self.root.len()] == self.root
    }
}

fn whole(bytes: &mut Vec<u8>, verity: &Verity) -> bool {
    let events = Events::default();
    let (sleep, mut said) = (|_: Duration| {}, |_| {});
    let mut pace = Pace::new(&sleep, &mut said);
    is_whole(&mut Memory { bytes, events: &events, forgets: false }, verity, &mut pace).unwrap()
}

#[test]
fn an_empty_slot_is_marked_written_and_only_then_whole() {
    let mut card = Card::new(600, 3 << 20);
    let events = Events::default();
    let outcome = card.run(&events, false).unwrap();
    assert!(matches!(outcome, Outcome::Copied(bytes) if bytes >= 5 << 20), "{outcome:?}");
    assert!(card.is_copied() && card.usable.get());
    let said = events.said.into_inner();
    assert_eq!((said.first(), said.last()), (Some(&"piece"), Some(&"whole")));
    assert!(said[1..said.len() - 1].iter().all(|event| *event == "write"), "{said:?}");
    // Behind the copy nothing was touched.
    assert!(card.root_copy[card.root.len()..].iter().all(|byte| *byte == 0xaa));
}

#[test]
fn a_slot_that_is_the_same_is_not_written_and_has_its_tries_back() {
    let mut card = Card::new(300, 1 << 20);
    card.run(&Events::default(), false).unwrap();
    let events = Events::default();
    assert_eq!(card.run(&events, false).unwrap(), Outcome::Same);
    assert_eq!(events.said.into_inner(), ["whole"]);
}

#[test]
fn only_the_piece_that_differs_is_written() {
    let mut card = Card::new(600, 3 << 20);
    card.run(&Events::default(), false).unwrap();
    for at in [BLOCK + 5, (1 << 20) + 1] {
        card.root_copy[at] ^= 1;
        assert_eq!(card.run(&Events::default(), false).unwrap(), Outcome::Copied(1 << 20));
        card.boot_copy[at] ^= 1;
        assert_eq!(card.run(&Events::default(), false).unwrap(), Outcome::Copied(1 << 20));
        assert!(card.is_copied());
    }
}

#[test]
fn a_cut_at_any_write_never_leaves_a_slot_that_may_be_started_and_is_not_whole() {
    let mut whole_run = Card::new(600, 3 << 20);
    let events = Events::default();
    whole_run.run(&events, false).unwrap();
    let writes = events.said.into_inner().len();
    assert!(writes >= 8, "{writes}");
    for cut in 0..writes {
        let mut card = Card::new(600, 3 << 20);
        // As after a damage: it may be started, and is not the same.
        card.usable.set(true);
        card.boot_copy[0] ^= 1;
        let before = (card.boot_copy.clone(), card.root_copy.clone());
        let cut_events = Events::default();
        cut_events.left.set(Some(cut));
        card.run(&cut_events, false).unwrap_err();
        let untouched = (&card.boot_copy, &card.root_copy) == (&before.0, &before.1);
        assert!(!card.usable.get() || card.is_copied() || untouched, "cut at {cut}");
        // The next run finishes it, and does not write what is there.
        let after = Events::default();
        card.run(&after, false).unwrap();
        assert!(card.is_copied() && card.usable.get(), "cut at {cut}");
        assert!(after.said.into_inner().len() <= writes + 1 - cut.saturating_sub(1), "cut at {cut}");
    }
}

#[test]
fn a_card_that_takes_writes_and_keeps_none_gets_no_spare() {
    let mut card = Card::new(300, 1 << 20);
    let events = Events::default();
    assert!(matches!(card.run(&events, true), Err(Error::NotKept)));
    assert!(!card.usable.get() && !events.said.into_inner().contains(&"whole"));
}

#[test]
fn a_root_of_any_length_is_whole_with_its_own_tree_and_no_other() {
    for blocks in [1, 2, 127, 128, 129, 256, 257, 300] {
        let (mut bytes, verity) = root(blocks, 1);
        assert_eq!(bytes.len() as u64, verity.size(), "{blocks} blocks");
        assert!(whole(&mut bytes, &verity), "{blocks} blocks");
        assert!(!whole(&mut bytes, &root(blocks, 2).1), "{blocks} blocks, another's hash");
        let mut short = bytes[..bytes.len() - BLOCK].to_vec();
        assert!(!whole(&mut short, &verity), "{blocks} blocks, cut short");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn one_changed_bit_of_file_system_or_tree_is_noticed(at in any::<prop::sample::Index>(), bit in 0..8_u8) {
        let (mut bytes, verity) = root(300, 1);
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        prop_assert!(!whole(&mut bytes, &verity), "byte {at}");
    }
}
