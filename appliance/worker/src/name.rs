//! Names of files: bytes that are one component of a path and cannot be anything else.

use std::borrow::Cow;
use std::ffi::{CStr, CString};
use std::fmt;

/// The longest name that Linux's file systems hold, in bytes.
pub const LONGEST: usize = 255;

/// What the mover's own temporary files begin with; no order may name one.
pub(crate) const OWN: &[u8] = b".stayput-";

/// A file's name: 1 to 255 bytes, no `/`, no NUL, neither `.` nor `..`.
///
/// It is bytes, not text: Linux compares bytes, and a name that is no UTF-8 is a name all the same. `Debug` shows only its
/// length, because a name may be personal data and debug text ends up in logs.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileName(CString);

/// Why bytes are no name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// No bytes at all.
    #[error("a file name is empty; name the file")]
    Empty,
    /// `.` or `..`.
    #[error("'.' and '..' are folders, not files; name the file")]
    Dots,
    /// A slash: a path, not a name.
    #[error("a file name holds a slash; name a file that is directly in the source folder")]
    Slash,
    /// A NUL byte.
    #[error("a file name holds a NUL byte, which no file's name can")]
    Nul,
    /// Longer than a file system can hold.
    #[error("a file name has {0} bytes, more than the {LONGEST} that a file system holds; shorten it")]
    Long(usize),
    /// One of the mover's own temporary files.
    #[error("names that begin with '.stayput-' are the mover's own; name another file")]
    Own,
}

impl FileName {
    /// The name in `bytes`, which came from outside.
    pub fn new(bytes: &[u8]) -> Result<Self, NameError> {
        if bytes.starts_with(OWN) { Err(NameError::Own) } else { Self::any(bytes) }
    }

    /// The mover's own temporary name for the copy that record `sequence` of its log intends.
    pub(crate) fn temporary(sequence: u64) -> Self {
        Self::own(format!(".stayput-{sequence:016x}.part").into_bytes())
    }

    /// The mover's own temporary name for the file that comes in as the `number`th of its life.
    pub(crate) fn incoming(number: u64) -> Self {
        Self::own(format!(".stayput-in-{number:016x}.part").into_bytes())
    }

    /// Where the source of the copy that record `sequence` intends is put for the moment in which it is removed.
    pub(crate) fn aside(sequence: u64) -> Self {
        Self::own(format!(".stayput-{sequence:016x}.copied").into_bytes())
    }

    /// Whether this is a name that [`FileName::temporary`] or [`FileName::incoming`] gives.
    pub(crate) fn is_temporary(&self) -> bool {
        self.as_bytes().starts_with(OWN) && self.as_bytes().ends_with(b".part")
    }

    /// A name that the program itself made up, such as a log file's.
    pub(crate) fn own(bytes: Vec<u8>) -> Self {
        Self::any(&bytes).expect("the program's own names have no slash and no NUL and are short")
    }

    /// The name in `bytes`, the mover's own names included: for what a folder's listing gives.
    pub fn any(bytes: &[u8]) -> Result<Self, NameError> {
        match bytes {
            [] => return Err(NameError::Empty),
            b"." | b".." => return Err(NameError::Dots),
            _ if bytes.len() > LONGEST => return Err(NameError::Long(bytes.len())),
            _ if bytes.contains(&b'/') => return Err(NameError::Slash),
            _ => {}
        }
        CString::new(bytes).map(Self).map_err(|_| NameError::Nul)
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// The bytes with the NUL that system calls want.
    pub fn as_c_str(&self) -> &CStr {
        &self.0
    }

    /// This name with `suffix` behind it.
    pub fn with(&self, suffix: &Suffix) -> Result<Self, NameError> {
        Self::any(&[self.as_bytes(), &suffix.0].concat())
    }
}

impl fmt::Debug for FileName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "FileName({} bytes)", self.as_bytes().len())
    }
}

/// What a moved file's name gets at its end: no slash and no NUL, and short enough to leave room for a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suffix(Vec<u8>);

impl Suffix {
    /// The longest suffix, in bytes.
    pub const LONGEST: usize = 64;

    /// The suffix in `bytes`; none at all is allowed.
    pub fn new(bytes: &[u8]) -> Result<Self, NameError> {
        if bytes.contains(&b'/') {
            Err(NameError::Slash)
        } else if bytes.contains(&0) {
            Err(NameError::Nul)
        } else if bytes.len() > Self::LONGEST {
            Err(NameError::Long(bytes.len()))
        } else {
            Ok(Self(bytes.to_vec()))
        }
    }

    /// Whether a name stays as it is.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Default for Suffix {
    /// What the original worker appends.
    fn default() -> Self {
        Self(b"_has_been_processed".to_vec())
    }
}

/// What becomes of a name that leads into a subfolder, such as an object's key in a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subfolders {
    /// The order is answered as one with a bad name.
    Refuse,
    /// Only the last part counts: `a/b.csv` is `b.csv`.
    Last,
    /// The parts are joined by two underscores: `a/b.csv` is `a__b.csv`.
    Joined,
}

impl Subfolders {
    /// Every rule with the word that settings use for it.
    pub const ALL: [(&'static str, Self); 3] =
        [("refuse", Self::Refuse), ("last", Self::Last), ("joined", Self::Joined)];

    /// The name of a file directly in the folder that `name` stands for. Whatever climbs, stays or begins at the root is none.
    pub fn apply(self, name: &[u8]) -> Option<Cow<'_, [u8]>> {
        if !name.contains(&b'/') {
            return Some(Cow::Borrowed(name));
        }
        let parts: Vec<_> = name.split(|byte| *byte == b'/').collect();
        if parts.iter().any(|part| matches!(*part, [] | b"." | b"..")) {
            return None;
        }
        match self {
            Self::Refuse => None,
            Self::Last => parts.last().map(|last| Cow::Borrowed(*last)),
            Self::Joined => Some(Cow::Owned(parts.join(&b"__"[..]))),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn whatever_could_leave_the_folder_is_no_name() {
        let long = [b'x'; 256];
        let table: &[(&[u8], NameError)] = &[
            (b"", NameError::Empty),
            (b".", NameError::Dots),
            (b"..", NameError::Dots),
            (b"../x", NameError::Slash),
            (b"/etc/passwd", NameError::Slash),
            (b"a/", NameError::Slash),
            (b"a\0b", NameError::Nul),
            (b".stayput-0000000000000001.part", NameError::Own),
            (&long, NameError::Long(256)),
        ];
        for (bytes, error) in table {
            assert_eq!(FileName::new(bytes), Err(*error), "{bytes:?}");
        }
    }

    #[test]
    fn strange_but_honest_names_are_kept_byte_by_byte() {
        let long = [b'x'; 255];
        let names: &[&[u8]] =
            &[b"...", b" ", b"a\nb", b"\x1b[31m", b"\xff\xfe", "\u{202e}gpj.exe".as_bytes(), b"-rf", &long];
        for name in names {
            assert_eq!(FileName::new(name).unwrap().as_bytes(), *name);
        }
    }

    #[test]
    fn the_default_suffix_is_the_originals() {
        let name = FileName::new(b"order.csv").unwrap();
        assert_eq!(
            name.with(&Suffix::default()).unwrap().as_bytes(),
            b"order.csv_has_been_processed".as_slice()
        );
    }

    #[test]
    fn a_name_that_the_suffix_makes_too_long_is_refused_not_cut() {
        let suffix = Suffix::default();
        let fits = FileName::new(&[b'x'; 255 - 19]).unwrap();
        assert_eq!(fits.with(&suffix).unwrap().as_bytes().len(), 255);
        let over = FileName::new(&[b'x'; 255 - 18]).unwrap();
        assert_eq!(over.with(&suffix), Err(NameError::Long(256)));
    }

    #[test]
    fn a_suffix_cannot_be_a_path() {
        assert_eq!(Suffix::new(b"/../x"), Err(NameError::Slash));
        assert_eq!(Suffix::new(b"\0"), Err(NameError::Nul));
        assert_eq!(Suffix::new(&[b'x'; 65]), Err(NameError::Long(65)));
        assert!(Suffix::new(b"").is_ok());
    }

    #[test]
    fn a_subfolder_is_refused_left_out_or_joined_and_nothing_climbs() {
        use Subfolders::{Joined, Last, Refuse};
        let apply = |rule: Subfolders, name: &'static [u8]| rule.apply(name).map(Cow::into_owned);
        assert_eq!(apply(Refuse, b"a.csv").unwrap(), b"a.csv");
        assert_eq!(apply(Refuse, b"a/b.csv"), None);
        assert_eq!(apply(Last, b"a/b/c.csv").unwrap(), b"c.csv");
        assert_eq!(apply(Joined, b"a/b/c.csv").unwrap(), b"a__b__c.csv");
        for hostile in [&b"../x"[..], b"/x", b"a//x", b"a/", b"/", b"a/../x", b"./x", b"a/."] {
            for (_, rule) in Subfolders::ALL {
                assert_eq!(apply(rule, hostile), None, "{rule:?} {:?}", String::from_utf8_lossy(hostile));
            }
        }
    }

    #[test]
    fn debug_text_of_a_name_does_not_show_it() {
        assert_eq!(format!("{:?}", FileName::new(b"erika-muster.pdf").unwrap()), "FileName(16 bytes)");
    }

    proptest! {
        #[test]
        fn every_accepted_name_is_one_component(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            if let Ok(name) = FileName::new(&bytes) {
                prop_assert_eq!(name.as_bytes(), &bytes[..]);
                prop_assert!(!bytes.contains(&b'/') && !bytes.contains(&0));
                prop_assert!((1..=255).contains(&bytes.len()));
            }
        }
    }
}
