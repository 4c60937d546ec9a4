//! What the image's manifest says of the compiler: enough to make the same bytes again, or to know why not.

use serde::{Deserialize, Serialize};

/// Which compiler made the box's programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// The pinned rustc: the image's published hash holds.
    Pinned,
    /// The distribution's Rust: a working image without the hash promise, marked wherever an image says what it is.
    Fallback,
}

impl Kind {
    /// The word for os-release, the manifest and the terminal: `toolchain: fallback`.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Pinned => "pinned",
            Kind::Fallback => "fallback",
        }
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The compiler's part of the manifest. No path and no name of a machine is in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Pinned or fallback.
    pub toolchain: Kind,
    /// The target triple.
    pub target: String,
    /// All of `rustc -vV`.
    pub rustc: String,
    /// The linker's version line.
    pub linker: String,
    /// The C compiler's version line.
    pub c_compiler: String,
    /// The C library linked into the programs, with its version. Unknown in manifests older than this field.
    #[serde(default)]
    pub c_library: String,
    /// SHA-256 over name, architecture, version and hash of the packages that the unpacked compilers came from.
    pub locked: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manifest_says_fallback_in_the_words_of_the_design() {
        let record = Record {
            toolchain: Kind::Fallback,
            target: "t".into(),
            rustc: "r".into(),
            linker: "l".into(),
            c_compiler: "c".into(),
            c_library: "m 1".into(),
            locked: "0".into(),
        };
        let json = serde_json::to_value(&record).unwrap();
        assert_eq!(json["toolchain"], "fallback");
        assert_eq!(format!("toolchain: {}", record.toolchain), "toolchain: fallback");
    }
}
