//! The environment that other programs get: a list of what passes, so that nothing else can.
//!
//! `RUSTFLAGS`, `CARGO_PROFILE_*`, `CC`, `CFLAGS`, `RUSTC_WRAPPER` and their like change bytes; a person has them set
//! for reasons of their own. Refusing by a list of bad names would miss the next one.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::process::Command;

/// What passes by its whole name: finding programs, the network, the terminal's language, speed.
const NAMES: &[&str] = &[
    "ALL_PROXY",
    "CARGO_BUILD_JOBS",
    "CARGO_HOME",
    "CURL_CA_BUNDLE",
    "HOME",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "LANG",
    "LOGNAME",
    "NO_PROXY",
    "PATH",
    "RUSTUP_DIST_SERVER",
    "RUSTUP_HOME",
    "RUSTUP_UPDATE_ROOT",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
    "TERM",
    "TMPDIR",
    "USER",
    "all_proxy",
    "http_proxy",
    "https_proxy",
    "no_proxy",
];

/// What passes by its beginning: where cargo gets crates from, which the lock file's checksums guard.
const BEGINNINGS: &[&str] = &["CARGO_HTTP_", "CARGO_NET_", "CARGO_REGISTRIES_", "CARGO_REGISTRY_"];

fn passes(name: &OsStr) -> bool {
    let Some(name) = name.to_str() else { return false };
    NAMES.contains(&name) || BEGINNINGS.iter().any(|beginning| name.starts_with(beginning))
}

/// A command with a clean environment.
pub(crate) fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.env_clear().envs(std::env::vars_os().filter(|(name, _)| passes(name)));
    command
}

/// The person's cargo home, where downloaded crates lie.
pub(crate) fn cargo_home() -> Option<PathBuf> {
    home_from(std::env::var_os("CARGO_HOME"), std::env::var_os("HOME"))
}

fn home_from(cargo_home: Option<OsString>, home: Option<OsString>) -> Option<PathBuf> {
    let given = |value: Option<OsString>| value.filter(|v| !v.is_empty()).map(PathBuf::from);
    given(cargo_home).or_else(|| given(home).map(|home| home.join(".cargo")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changes_bytes_does_not_pass() {
        for name in [
            "RUSTFLAGS",
            "CARGO_ENCODED_RUSTFLAGS",
            "CARGO_BUILD_RUSTFLAGS",
            "CARGO_PROFILE_BOX_OPT_LEVEL",
            "CARGO_TARGET_AARCH64_UNKNOWN_LINUX_MUSL_LINKER",
            "CC",
            "CFLAGS_aarch64_unknown_linux_musl",
            "TARGET_CC",
            "RUSTC_WRAPPER",
            "RUSTC_BOOTSTRAP",
            "RUSTUP_TOOLCHAIN",
            "LD_PRELOAD",
            "LD_LIBRARY_PATH",
            "SOURCE_DATE_EPOCH",
        ] {
            assert!(!passes(OsStr::new(name)), "{name}");
        }
    }

    #[test]
    fn what_finds_crates_passes() {
        for name in ["PATH", "https_proxy", "CARGO_HTTP_CAINFO", "CARGO_REGISTRIES_CRATES_IO_PROTOCOL"] {
            assert!(passes(OsStr::new(name)), "{name}");
        }
    }

    #[test]
    fn the_cargo_home_is_found_as_cargo_finds_it() {
        let some = |text: &str| Some(OsString::from(text));
        assert_eq!(home_from(some("/c"), some("/h")), Some("/c".into()));
        assert_eq!(home_from(some(""), some("/h")), Some("/h/.cargo".into()));
        assert_eq!(home_from(None, None), None);
    }
}
