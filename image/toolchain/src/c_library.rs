//! Which C library is linked into the box's programs, for the bill of materials.

use std::path::Path;

use crate::locked::Deb;
use crate::{Error, pin};

/// The package that the fallback's C library comes from.
const GLIBC: &str = "libc6-dev-arm64-cross";

/// The pinned target brings its own, in the compiler's sysroot.
pub(crate) fn pinned(sysroot: &Path) -> Result<String, Error> {
    let path = sysroot.join("lib/rustlib").join(pin::TARGET).join("lib/self-contained/libc.a");
    let archive = std::fs::read(&path).map_err(Error::file("read", &path))?;
    let version = version_in(&archive).ok_or_else(|| Error::Text {
        path,
        reason: "no version of musl is in it; the bill of materials would leave it out".to_owned(),
    })?;
    Ok(format!("musl {version}"))
}

/// The fallback links what a locked package brings.
pub(crate) fn distribution(debs: &[Deb]) -> String {
    let version = debs.iter().find(|deb| deb.name == GLIBC).map_or("unknown", |deb| deb.version.as_str());
    format!("glibc {version}")
}

/// musl's archive holds its version as a string of its own, `1.2.5`, in the member that defines `__libc_version`.
fn version_in(archive: &[u8]) -> Option<String> {
    let symbol = b"__libc_version\0";
    // Also in the archive's index: the member with the definition is where a version stands before the name.
    let ends = archive.windows(symbol.len()).enumerate().filter(|(_, seen)| seen == symbol).map(|(at, _)| at);
    ends.filter_map(|end| {
        let member = &archive[end.saturating_sub(MEMBER)..end];
        member.split(|byte| *byte == 0).filter_map(as_version).next_back()
    })
    .next_back()
}

/// The member is below this size (1.2.5: 3.6 kB), with what the compiler writes about itself.
const MEMBER: usize = 8192;

fn as_version(text: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(text).ok()?;
    let parts: Vec<_> = text.split('.').collect();
    let number = |part: &&str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    (parts.len() == 3 && text.len() < 16 && parts.iter().all(number)).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_stands_alone_before_the_name_it_is_defined_by() {
        let archive =
            b"!<arch>\n__libc_version\0index\x7fELF\0\x001.2.5\0GCC: (GNU) 9.4.0\0\0__libc_version\0";
        assert_eq!(version_in(archive).as_deref(), Some("1.2.5"));
    }

    #[test]
    fn an_archive_without_a_version_has_none() {
        for archive in [
            &b""[..],
            b"__libc_version\0",
            b"\x001.2.5\0",
            b"\x001.2\0__libc_version\0",
            b"\0a.b.c\0__libc_version\0",
        ] {
            assert_eq!(version_in(archive), None);
        }
    }

    #[test]
    fn the_pinned_target_of_this_machine_says_its_version() {
        let rustc = std::process::Command::new("rustc").args(["--print", "sysroot"]).output().unwrap();
        let sysroot = String::from_utf8(rustc.stdout).unwrap();
        let sysroot = Path::new(sysroot.trim());
        if sysroot.join("lib/rustlib").join(pin::TARGET).exists() {
            assert!(pinned(sysroot).unwrap().starts_with("musl 1."));
        }
    }

    #[test]
    fn the_fallback_names_the_locked_packages_version() {
        let deb = Deb {
            name: GLIBC.to_owned(),
            architecture: "all".to_owned(),
            version: "2.41-11cross1".to_owned(),
            sha256: String::new(),
        };
        assert_eq!(distribution(&[deb]), "glibc 2.41-11cross1");
        assert_eq!(distribution(&[]), "glibc unknown");
    }
}
