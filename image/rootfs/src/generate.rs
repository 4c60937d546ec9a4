//! Files that are neither a package's nor the overlay's: made from the table and from what is being built.

use crate::accounts::Accounts;
use crate::assemble::Release;
use crate::error::{Error, Result};
use crate::rules::Rules;
use crate::tree::{Node, Tree};

/// systemd sets a clock that is behind this file's time to it, so a box without a clock starts at the build's epoch.
const CLOCK_EPOCH: &str = "usr/lib/clock-epoch";

/// Adds all of them.
pub fn files(tree: &mut Tree, rules: &Rules, release: &Release) -> Result<()> {
    for (path, content, mode) in Accounts::new(rules).files() {
        tree.insert(path, Node::file(content, mode, "accounts of image/rootfs.toml"))?;
    }
    tree.insert("usr/lib/os-release", Node::file(os_release(release)?, 0o644, "os-release"))?;
    tree.insert(CLOCK_EPOCH, Node::file("", 0o644, "clock epoch"))
}

/// os-release(5).
fn os_release(release: &Release) -> Result<String> {
    let Release { version, toolchain } = release;
    for (value, what) in [(version, "version"), (toolchain, "toolchain mark")] {
        let plain = |c: char| c.is_ascii_alphanumeric() || "._+~-".contains(c);
        if value.is_empty() || !value.chars().all(plain) {
            return Err(Error::Table {
                file: "os-release".to_owned(),
                entry: what.to_owned(),
                problem: format!("is {value:?}; letters, digits and ._+~- are allowed"),
            });
        }
    }
    Ok(format!(
        "NAME=\"Stayput\"\n\
         PRETTY_NAME=\"Stayput {version}\"\n\
         ID=stayput\n\
         ID_LIKE=debian\n\
         VERSION_ID=\"{version}\"\n\
         STAYPUT_TOOLCHAIN=\"{toolchain}\"\n"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn release(version: &str, toolchain: &str) -> Release {
        Release { version: version.into(), toolchain: toolchain.into() }
    }

    #[test]
    fn os_release_says_version_and_toolchain() {
        let text = os_release(&release("0.1.0", "pinned")).unwrap();
        assert!(
            text.contains("\nVERSION_ID=\"0.1.0\"\n") && text.contains("\nSTAYPUT_TOOLCHAIN=\"pinned\"\n")
        );
        assert!(text.lines().all(|line| line.split_once('=').is_some()));
    }

    #[test]
    fn a_version_that_would_break_out_of_its_line_is_refused() {
        for version in ["", "1\"", "1\nX=2", "$(x)", "a b"] {
            assert!(os_release(&release(version, "pinned")).is_err(), "{version:?}");
            assert!(os_release(&release("1", version)).is_err(), "{version:?}");
        }
    }
}
