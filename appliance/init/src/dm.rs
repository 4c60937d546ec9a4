//! The device mapper's control device: makes a read-only mapped device of one target.
//!
//! The well-kept crate for this (devicemapper) generates its bindings with libclang at build time and is under a
//! licence that this tree does not take, so the three calls are here. A call is one buffer: a header of fixed length,
//! and for a table a target's line behind it; the kernel writes its answer over the header.

use std::fs::File;
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use rustix::ioctl::{Opcode, Updater, opcode};

/// Where devtmpfs shows the control device once the module is there.
const CONTROL: &str = "/dev/mapper/control";

/// The interface's version; the kernel takes any minor up to its own.
const VERSION: [u32; 3] = [4, 0, 0];

/// Bytes of the header (`struct dm_ioctl`), which the opcodes carry.
const HEADER: usize = 312;

/// Bytes of a target's head (`struct dm_target_spec`); the line and a zero byte follow.
const TARGET: usize = 40;

/// Room for the header and one target with its line.
const LENGTH: usize = 1024;

/// Where the fields of the header are.
mod at {
    pub const DATA_SIZE: usize = 12;
    pub const DATA_START: usize = 16;
    pub const TARGET_COUNT: usize = 20;
    pub const FLAGS: usize = 28;
    pub const DEVICE: usize = 40;
    pub const NAME: usize = 48;
    pub const UUID: usize = 176;
    pub const END: usize = 305;
}

/// Flags of a call: the table is for reading only; the live table changes nothing but its state.
const READ_ONLY: u32 = 1;

const CREATE: Opcode = opcode::read_write::<[u8; HEADER]>(0xfd, 3);
const SUSPEND_OR_RESUME: Opcode = opcode::read_write::<[u8; HEADER]>(0xfd, 6);
const LOAD: Opcode = opcode::read_write::<[u8; HEADER]>(0xfd, 9);

/// The buffer of a call, aligned as the kernel's header is.
#[repr(C, align(8))]
#[derive(Debug, Clone)]
struct Buffer([u8; LENGTH]);

/// What a mapped device is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapping<'a> {
    /// Its name, as `/sys/block/dm-*/dm/name` says it.
    pub name: &'a str,
    /// Its identity, by which tools tell what kind of device it is.
    pub uuid: &'a str,
    /// The target's kind.
    pub target: &'a str,
    /// The device's length in sectors of 512 bytes.
    pub sectors: u64,
    /// The target's own words.
    pub line: &'a str,
}

/// Which of the calls failed, in words.
#[derive(Debug, thiserror::Error)]
#[error("{call}: {source}")]
pub struct Failed {
    /// What was tried.
    pub call: &'static str,
    /// Why not.
    pub source: Errno,
}

/// Makes the device and gives its node, which the kernel makes when the table is loaded.
pub fn create(mapping: &Mapping<'_>) -> Result<PathBuf, Failed> {
    let because = |call| move |source| Failed { call, source };
    let control = File::options().read(true).write(true).open(CONTROL).map_err(|error| Failed {
        call: "opening /dev/mapper/control",
        source: Errno::from_io_error(&error).unwrap_or(Errno::IO),
    })?;
    let fits = because("a name, identity or table longer than the kernel takes");
    let (new, named) = (new(mapping).ok_or(Errno::NAMETOOLONG), named(mapping).ok_or(Errno::NAMETOOLONG));
    let (new, named) = (new.map_err(&fits)?, named.map_err(&fits)?);
    let table = table(&named, mapping).ok_or(Errno::NAMETOOLONG).map_err(&fits)?;

    let answer = call::<CREATE>(&control, new).map_err(because("making a mapped device"))?;
    call::<LOAD>(&control, table).map_err(because("loading its table"))?;
    call::<SUSPEND_OR_RESUME>(&control, named).map_err(because("starting it"))?;
    Ok(node(&answer))
}

#[allow(
    unsafe_code,
    reason = "rustix has no safe wrapper for the device mapper's calls, nor has a crate we may take"
)]
fn call<const OPCODE: Opcode>(control: &File, mut buffer: Buffer) -> Result<Buffer, Errno> {
    // SAFETY: these opcodes take a pointer to a `struct dm_ioctl` that the kernel reads and writes for as many bytes as
    // its field data_size says; `named` sets that to the length of the buffer, which is aligned and lives on.
    unsafe { rustix::ioctl::ioctl(control, Updater::<OPCODE, Buffer>::new(&mut buffer)) }?;
    Ok(buffer)
}

/// The call that gives a new device its name and its identity.
fn new(mapping: &Mapping<'_>) -> Option<Buffer> {
    let mut buffer = named(mapping)?;
    put_text(&mut buffer, at::UUID..at::END, mapping.uuid)?;
    Some(buffer)
}

/// A call about the device that is there: the kernel wants its name or its identity, not both.
fn named(mapping: &Mapping<'_>) -> Option<Buffer> {
    let mut buffer = Buffer([0; LENGTH]);
    for (index, number) in VERSION.into_iter().enumerate() {
        put(&mut buffer, index * 4, &number.to_ne_bytes())?;
    }
    put(&mut buffer, at::DATA_SIZE, &(LENGTH as u32).to_ne_bytes())?;
    put(&mut buffer, at::DATA_START, &(HEADER as u32).to_ne_bytes())?;
    put(&mut buffer, at::FLAGS, &READ_ONLY.to_ne_bytes())?;
    put_text(&mut buffer, at::NAME..at::UUID, mapping.name)?;
    Some(buffer)
}

/// The call that loads its one target.
fn table(named: &Buffer, mapping: &Mapping<'_>) -> Option<Buffer> {
    let mut buffer = named.clone();
    put(&mut buffer, at::TARGET_COUNT, &1_u32.to_ne_bytes())?;
    // First sector (0), length, status (0), offset of a next target (0), kind.
    put(&mut buffer, HEADER + 8, &mapping.sectors.to_ne_bytes())?;
    put_text(&mut buffer, HEADER + 24..HEADER + TARGET, mapping.target)?;
    put_text(&mut buffer, HEADER + TARGET..LENGTH, mapping.line)?;
    Some(buffer)
}

fn put(buffer: &mut Buffer, at: usize, bytes: &[u8]) -> Option<()> {
    buffer.0.get_mut(at..at + bytes.len())?.copy_from_slice(bytes);
    Some(())
}

/// A text with a zero byte behind it; none when it does not fit or would end early.
fn put_text(buffer: &mut Buffer, place: std::ops::Range<usize>, text: &str) -> Option<()> {
    let fits = !text.is_empty() && text.len() < place.len() && !text.contains('\0');
    if fits { put(buffer, place.start, text.as_bytes()) } else { None }
}

/// The device's node, from the number in the kernel's answer.
fn node(answer: &Buffer) -> PathBuf {
    let mut number = [0; 8];
    number.copy_from_slice(&answer.0[at::DEVICE..at::DEVICE + 8]);
    let minor = rustix::fs::minor(u64::from_ne_bytes(number));
    Path::new("/dev").join(format!("dm-{minor}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAPPING: Mapping<'_> = Mapping {
        name: "stayput-root",
        uuid: "CRYPT-VERITY-1",
        target: "verity",
        sectors: 800,
        line: "1 a b",
    };

    fn word(buffer: &Buffer, at: usize) -> u32 {
        u32::from_ne_bytes(buffer.0[at..at + 4].try_into().unwrap())
    }

    fn text(buffer: &Buffer, at: usize) -> String {
        let end = buffer.0[at..].iter().position(|byte| *byte == 0).unwrap();
        String::from_utf8(buffer.0[at..at + end].to_vec()).unwrap()
    }

    #[test]
    fn the_calls_have_the_numbers_of_the_kernels_header() {
        assert_eq!([CREATE, SUSPEND_OR_RESUME, LOAD], [0xc138_fd03, 0xc138_fd06, 0xc138_fd09]);
    }

    #[test]
    fn a_call_says_its_version_its_length_and_that_it_only_reads() {
        let new = new(&MAPPING).unwrap();
        assert_eq!([0, 4, 8, 12, 16, 20, 28].map(|at| word(&new, at)), [4, 0, 0, 1024, 312, 0, 1]);
        assert_eq!((text(&new, 48), text(&new, 176)), ("stayput-root".into(), "CRYPT-VERITY-1".into()));
        let named = named(&MAPPING).unwrap();
        assert_eq!((text(&named, 48), text(&named, 176)), ("stayput-root".into(), String::new()));
        let table = table(&named, &MAPPING).unwrap();
        assert_eq!((word(&table, 20), word(&table, 312 + 8), text(&table, 176)), (1, 800, String::new()));
        assert_eq!((text(&table, 312 + 24), text(&table, 312 + 40)), ("verity".into(), "1 a b".into()));
    }

    #[test]
    fn a_text_that_does_not_fit_or_would_end_early_is_no_call() {
        for bad in ["", "a\0b", &"x".repeat(128)] {
            assert!(named(&Mapping { name: bad, ..MAPPING }).is_none(), "{bad:?}");
        }
        assert!(named(&Mapping { name: &"x".repeat(127), ..MAPPING }).is_some());
        assert!(new(&Mapping { uuid: &"x".repeat(129), ..MAPPING }).is_none());
        let named = named(&MAPPING).unwrap();
        assert!(table(&named, &Mapping { target: "sixteen-letters.", ..MAPPING }).is_none());
        assert!(table(&named, &Mapping { line: &"x".repeat(672), ..MAPPING }).is_none());
        assert!(table(&named, &Mapping { line: &"x".repeat(671), ..MAPPING }).is_some());
    }

    #[test]
    fn the_node_is_named_by_the_minor_number_of_the_answer() {
        let mut answer = named(&MAPPING).unwrap();
        // As the kernel packs 254:300.
        let number = (254_u64 << 8) | (300 & 0xff) | ((300 & !0xff) << 12);
        put(&mut answer, at::DEVICE, &number.to_ne_bytes()).unwrap();
        assert_eq!(node(&answer), Path::new("/dev/dm-300"));
    }
}
