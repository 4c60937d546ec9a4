//! Tests of writing, on cards that misbehave.

use super::*;
use std::io::Write;

/// A card in memory with the faults of real ones.
struct Faulty {
    memory: Vec<u8>,
    /// It counts on from its start beyond this: a false card.
    wraps: Option<u64>,
    /// It drops what is written beyond this.
    drops: Option<u64>,
    /// It takes no more than so many bytes at once.
    at_once: usize,
    /// It is pulled out after so many bytes.
    left: usize,
    /// It turns a bit of this byte.
    worn: Option<u64>,
}

impl Faulty {
    fn sound(size: usize) -> Self {
        Self {
            memory: vec![0xee; size],
            wraps: None,
            drops: None,
            at_once: usize::MAX,
            left: usize::MAX,
            worn: None,
        }
    }
    fn place(&self, at: u64) -> usize {
        self.wraps.map_or(at, |memory| at % memory) as usize
    }
}

impl Card for Faulty {
    fn write_at(&mut self, bytes: &[u8], at: u64) -> io::Result<usize> {
        let count = bytes.len().min(self.at_once).min(self.left);
        if count == 0 && !bytes.is_empty() {
            return Err(io::Error::from_raw_os_error(5));
        }
        self.left -= count;
        if self.drops.is_some_and(|memory| at >= memory) {
            return Ok(count);
        }
        let place = self.place(at);
        self.memory[place..place + count].copy_from_slice(&bytes[..count]);
        if let Some(worn) = self.worn.filter(|worn| (at..at + count as u64).contains(worn)) {
            self.memory[worn as usize] ^= 4;
        }
        Ok(count)
    }
    fn read_at(&mut self, bytes: &mut [u8], at: u64) -> io::Result<usize> {
        let count = bytes.len().min(self.at_once);
        let place = self.place(at);
        bytes[..count].copy_from_slice(&self.memory[place..place + count]);
        Ok(count)
    }
    fn settle(&mut self) -> io::Result<()> {
        Ok(())
    }
}

const IMAGE: usize = 2 * PIECE + 5 * 4096;
const CARD: usize = 32 << 20;

fn image() -> (File, Vec<u8>) {
    let bytes: Vec<u8> = (0..IMAGE as u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&bytes).unwrap();
    (file, bytes)
}

fn source(image: &File) -> Source<'_> {
    Source { image, size: IMAGE as u64, instead: None }
}

/// As the command does it.
fn flash(card: &mut Faulty) -> Result<(), Error> {
    let (file, _) = image();
    let source = source(&file);
    let marks = Marks::put(card, source.size, CARD as u64)?;
    write(card, &source, &())?;
    check(card, &source, &())?;
    marks.check(card)
}

#[test]
fn a_sound_card_holds_the_image_and_nothing_else_has_changed() {
    let mut card = Faulty::sound(CARD);
    flash(&mut card).unwrap();
    assert!(card.memory[..IMAGE] == image().1);
    assert!(card.memory[IMAGE..].iter().all(|byte| *byte == 0xee), "the marks were taken away again");
}

#[test]
fn a_card_that_takes_few_bytes_at_once_gets_them_all() {
    let mut card = Faulty { at_once: 100_003, ..Faulty::sound(CARD) };
    flash(&mut card).unwrap();
    assert!(card.memory[..IMAGE] == image().1);
}

#[test]
fn a_card_that_takes_nothing_is_an_error_and_not_a_loop() {
    struct Full;
    impl Card for Full {
        fn write_at(&mut self, _: &[u8], _: u64) -> io::Result<usize> {
            Ok(0)
        }
        fn read_at(&mut self, _: &mut [u8], _: u64) -> io::Result<usize> {
            Ok(0)
        }
        fn settle(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let (file, _) = image();
    assert!(matches!(
        write(&mut Full, &source(&file), &()),
        Err(Error::Card { doing: "writing", at: 0, .. })
    ));
    assert!(matches!(
        check(&mut Full, &source(&file), &()),
        Err(Error::Card { doing: "reading", at: 0, .. })
    ));
}

#[test]
fn a_card_pulled_out_anywhere_in_the_middle_has_no_partition_table() {
    let (file, _) = image();
    for left in [4096, PIECE, PIECE + 1, 2 * PIECE, IMAGE] {
        let mut card = Faulty { left, ..Faulty::sound(CARD) };
        let result = write(&mut card, &source(&file), &());
        assert!(matches!(result, Err(Error::Card { doing: "writing", .. })), "{left}: {result:?}");
        assert!(card.memory[..512].iter().all(|byte| *byte == 0), "{left}");
    }
}

#[test]
fn a_worn_byte_is_found_when_it_is_read_back() {
    for worn in [0, 511, PIECE as u64, IMAGE as u64 - 1] {
        let mut card = Faulty { worn: Some(worn), ..Faulty::sound(CARD) };
        let error = flash(&mut card).unwrap_err();
        assert!(matches!(error, Error::Differs { at, .. } if at == worn), "{worn}: {error}");
    }
}

#[test]
fn a_card_that_drops_what_lies_beyond_its_memory_is_caught() {
    for memory in [IMAGE as u64, 16 << 20, CARD as u64 - 4096] {
        let mut card = Faulty { drops: Some(memory), ..Faulty::sound(CARD) };
        let error = flash(&mut card).unwrap_err();
        assert!(matches!(error, Error::Lies { at, .. } if at >= memory), "{memory}: {error}");
    }
}

#[test]
fn a_card_that_counts_on_from_its_start_is_caught() {
    let mut card = Faulty { wraps: Some(16 << 20), ..Faulty::sound(CARD) };
    let error = flash(&mut card).unwrap_err();
    assert!(matches!(error, Error::Lies { says: 33_554_432, .. }), "{error}");
}

#[test]
fn a_card_smaller_than_the_image_that_drops_the_rest_is_caught_reading_back() {
    let (file, _) = image();
    let mut card = Faulty { drops: Some(PIECE as u64), ..Faulty::sound(CARD) };
    write(&mut card, &source(&file), &()).unwrap();
    assert!(matches!(check(&mut card, &source(&file), &()), Err(Error::Differs { .. })));
}

#[test]
fn bytes_instead_of_the_images_are_written_across_pieces_and_checked() {
    let (file, mut wanted) = image();
    let (at, other) = (PIECE as u64 - 1000, vec![9; 3000]);
    wanted[at as usize..at as usize + 3000].fill(9);
    let source = Source { instead: Some((at, other)), ..source(&file) };
    let mut card = Faulty::sound(CARD);
    write(&mut card, &source, &()).unwrap();
    assert!(card.memory[..IMAGE] == wanted);
    check(&mut card, &source, &()).unwrap();
    card.memory[at as usize + 2999] = 8;
    assert!(matches!(check(&mut card, &source, &()), Err(Error::Differs { read: 8, written: 9, .. })));
}

#[test]
fn an_image_that_gets_shorter_meanwhile_is_an_error_of_the_image() {
    let (file, _) = image();
    file.set_len(PIECE as u64 + 5).unwrap();
    let result = write(&mut Faulty::sound(CARD), &source(&file), &());
    assert!(matches!(result, Err(Error::Image { .. })), "{result:?}");
}

#[test]
fn marks_lie_behind_the_image_and_within_the_card() {
    assert_eq!(marked(3 << 20, 9 << 20), [4 << 20, 8 << 20, (9 << 20) - 4096]);
    assert!(marked(3 << 20, 3 << 20).is_empty());
    assert!(marked(0, 100).is_empty());
}
