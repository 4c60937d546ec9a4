//! A compiled program, looked at before it goes into an image.
//!
//! The initramfs has no loader and no library: a program that asks for one would hang the box before its first word.

use std::path::Path;

use crate::Error;

/// Bits of the ELF format that decide whether the kernel can start the file by itself.
const MAGIC: &[u8] = b"\x7fELF";
const CLASS_64_LITTLE: &[u8] = &[2, 1];
const MACHINE_AARCH64: u16 = 183;
const TYPES_EXECUTABLE: [u16; 2] = [2, 3];
const PROGRAM_HEADER: usize = 56;
const PT_INTERP: u32 = 3;

/// Says why the file would not run on the box by itself; `None` when it would.
pub(crate) fn flaw(file: &[u8]) -> Option<String> {
    if file.get(..4) != Some(MAGIC) {
        return Some("it is not an ELF program".to_owned());
    }
    if file.get(4..6) != Some(CLASS_64_LITTLE) || half(file, 18) != Some(MACHINE_AARCH64) {
        return Some("it is not for aarch64".to_owned());
    }
    if !half(file, 16).is_some_and(|kind| TYPES_EXECUTABLE.contains(&kind)) {
        return Some("it is an object file or library, not a program".to_owned());
    }
    let cut = || Some("its program headers are cut off".to_owned());
    let (Some(start), Some(size), Some(count)) = (word(file, 32), half(file, 54), half(file, 56)) else {
        return cut();
    };
    if usize::from(size) != PROGRAM_HEADER || count == 0 {
        return Some("its program headers are not those of a program".to_owned());
    }
    for number in 0..usize::from(count) {
        let header = usize::try_from(start).ok().and_then(|at| at.checked_add(number * PROGRAM_HEADER));
        let Some(header) = header.and_then(|at| file.get(at..at.checked_add(PROGRAM_HEADER)?)) else {
            return cut();
        };
        if header[..4] == PT_INTERP.to_le_bytes() {
            return Some("it wants a dynamic loader, which the initramfs does not have".to_owned());
        }
    }
    None
}

fn half(file: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(file.get(at..at + 2)?.try_into().ok()?))
}

fn word(file: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(file.get(at..at + 8)?.try_into().ok()?))
}

/// The first of these directories that the file names: then it differs on every machine.
pub(crate) fn leak<'a>(file: &[u8], directories: &[&'a Path]) -> Option<&'a Path> {
    directories.iter().copied().find(|directory| {
        // One component alone ("/src") is also what a remapped path looks like.
        if directory.components().count() < 3 {
            return false;
        }
        let mut needle = directory.as_os_str().as_encoded_bytes().to_vec();
        needle.push(b'/');
        file.windows(needle.len()).any(|window| window == needle)
    })
}

/// Refuses a program that would not start on the box.
pub(crate) fn check(path: &Path, file: &[u8]) -> Result<(), Error> {
    match flaw(file) {
        None => Ok(()),
        Some(flaw) => {
            let reason = format!(
                "{flaw}; a crate or build script asked the linker for something the box does not have"
            );
            Err(Error::Program { path: path.to_owned(), reason })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A program of two headers, the second of the given type.
    fn program(second: u32) -> Vec<u8> {
        let mut file = vec![0; 64 + 2 * PROGRAM_HEADER];
        file[..4].copy_from_slice(MAGIC);
        file[4..6].copy_from_slice(CLASS_64_LITTLE);
        file[16] = 3;
        file[18] = 183;
        file[32] = 64;
        file[54] = 56;
        file[56] = 2;
        file[64] = 1;
        file[64 + PROGRAM_HEADER..][..4].copy_from_slice(&second.to_le_bytes());
        file
    }

    #[test]
    fn a_static_program_is_fine() {
        assert_eq!(flaw(&program(2)), None);
    }

    #[test]
    fn a_program_that_wants_a_loader_is_refused() {
        assert!(flaw(&program(PT_INTERP)).unwrap().contains("dynamic loader"));
    }

    #[test]
    fn this_machines_own_program_is_refused() {
        let mut file = program(2);
        file[18] = 62;
        assert!(flaw(&file).unwrap().contains("not for aarch64"));
        assert!(flaw(b"#!/bin/sh\n").unwrap().contains("not an ELF"));
    }

    #[test]
    fn a_program_cut_anywhere_is_refused() {
        let file = program(2);
        for length in 0..file.len() {
            assert!(flaw(&file[..length]).is_some(), "{length}");
        }
    }

    #[test]
    fn headers_said_to_lie_beyond_all_addresses_are_refused() {
        let mut file = program(2);
        file[32..40].fill(0xff);
        assert!(flaw(&file).is_some());
    }

    #[test]
    fn a_path_of_the_machine_is_found_and_a_mere_prefix_is_not() {
        let tree = Path::new("/home/x/stayput");
        assert_eq!(leak(b"..panicked at /home/x/stayput/appliance/init", &[tree]), Some(tree));
        assert_eq!(leak(b"/home/x/stayput-old/", &[tree]), None);
        assert_eq!(leak(b"/src/appliance", &[Path::new("/src")]), None);
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_check_fall_over(tail in proptest::collection::vec(any::<u8>(), 0..300)) {
            let mut file = program(2);
            file.splice(20.., tail);
            let _ = flaw(&file);
        }
    }
}
