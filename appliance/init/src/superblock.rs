//! What a partition holds, as far as it decides on formatting: the ext4 super block and its label. Pure.

/// How many bytes of a partition are looked at.
pub const LENGTH: usize = 2048;

/// The label of the file system that keeps state.
pub const STATE_LABEL: &str = "stayput-state";

/// Where the super block begins.
const START: usize = 1024;

/// What was found at a partition's start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// A file system of the ext family with the label of ours.
    State,
    /// One with another label.
    OtherLabel(String),
    /// None of the family.
    NoFileSystem,
}

/// Looks at a partition's first bytes.
pub fn probe(bytes: &[u8]) -> Content {
    let Some(block) = bytes.get(START..LENGTH) else {
        return Content::NoFileSystem;
    };
    if block[0x38..0x3a] != [0x53, 0xef] {
        return Content::NoFileSystem;
    }
    let label = &block[0x78..0x88];
    let label = label.split(|byte| *byte == 0).next().unwrap_or_default();
    if label == STATE_LABEL.as_bytes() {
        Content::State
    } else {
        Content::OtherLabel(String::from_utf8_lossy(label).escape_debug().to_string())
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    pub(crate) fn labelled(label: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0; 4096];
        bytes[1024 + 0x38..1024 + 0x3a].copy_from_slice(&[0x53, 0xef]);
        bytes[1024 + 0x78..1024 + 0x78 + label.len()].copy_from_slice(label);
        bytes
    }

    #[test]
    fn the_label_decides_whether_it_is_ours() {
        assert_eq!(probe(&labelled(b"stayput-state")), Content::State);
        assert_eq!(probe(&labelled(b"stayput-state\0old")), Content::State);
        for other in [&b""[..], b"stayput", b"stayput-state2", b"STAYPUT-STATE"] {
            assert!(matches!(probe(&labelled(other)), Content::OtherLabel(_)), "{other:?}");
        }
    }

    #[test]
    fn a_blank_or_short_or_foreign_start_is_no_file_system() {
        assert_eq!(probe(&[]), Content::NoFileSystem);
        assert_eq!(probe(&[0; 4096]), Content::NoFileSystem);
        assert_eq!(probe(&[0xff; 4096]), Content::NoFileSystem);
        assert_eq!(probe(&labelled(b"stayput-state")[..2047]), Content::NoFileSystem);
    }

    #[test]
    fn a_label_from_outside_cannot_bring_control_characters_into_the_log() {
        assert_eq!(probe(&labelled(b"\x1b[2J\n")), Content::OtherLabel("\\u{1b}[2J\\n".to_owned()));
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_probe_stop(bytes in proptest::collection::vec(any::<u8>(), 0..4096)) {
            let _ = probe(&bytes);
        }
    }
}
