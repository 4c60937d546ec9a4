//! The overlay folder: files on the box exactly at their paths.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::error::{Error, Result};
use crate::tree::{Node, Tree};

/// The source that nodes of the overlay carry.
pub const SOURCE: &str = "overlay";

/// Lays the folder's content into the tree.
///
/// git keeps one bit of a file's mode, so that is all that is taken from it: 0755 with, 0644 without. Folders claim
/// no rights of their own. Everything belongs to root.
pub fn lay(tree: &mut Tree, folder: &Path) -> Result<()> {
    lay_folder(tree, folder, "")
}

fn lay_folder(tree: &mut Tree, folder: &Path, at: &str) -> Result<()> {
    let read = |source| Error::Read { path: folder.to_owned(), source };
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(read)? {
        let entry = entry.map_err(read)?;
        let name = entry.file_name().into_string().map_err(|_| Error::OverlayName { path: entry.path() })?;
        names.push(name);
    }
    // The file system's order is nobody's order.
    names.sort();
    for name in names {
        let from = folder.join(&name);
        let to = if at.is_empty() { name } else { format!("{at}/{name}") };
        let read = |source| Error::Read { path: from.clone(), source };
        let kind = fs::symlink_metadata(&from).map_err(read)?;
        if kind.is_dir() {
            tree.imply(&to)?;
            lay_folder(tree, &from, &to)?;
        } else if kind.is_file() {
            let mode = if kind.permissions().mode() & 0o111 == 0 { 0o644 } else { 0o755 };
            tree.insert(&to, Node::file(fs::read(&from).map_err(read)?, mode, SOURCE))?;
        } else if kind.is_symlink() {
            let target = fs::read_link(&from).map_err(read)?;
            let target = target.to_str().ok_or_else(|| Error::OverlayName { path: from.clone() })?;
            tree.insert(&to, Node::symlink(target, SOURCE))?;
        } else {
            return Err(Error::OverlayKind { path: from });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::Kind;

    #[test]
    fn the_desks_umask_does_not_leak_into_the_tree() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, mode: u32| {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, "x").unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        };
        file("etc/private", 0o600);
        file("etc/shared", 0o664);
        file("usr/bin/x", 0o700);
        fs::set_permissions(folder.path().join("etc"), fs::Permissions::from_mode(0o700)).unwrap();
        std::os::unix::fs::symlink("../run/x", folder.path().join("etc/link")).unwrap();
        let mut tree = Tree::new();
        lay(&mut tree, folder.path()).unwrap();
        let modes: Vec<(&str, u32)> = tree.iter().map(|(path, node)| (path, node.mode)).collect();
        let want = [
            ("etc", 0o755),
            ("etc/link", 0o777),
            ("etc/private", 0o644),
            ("etc/shared", 0o644),
            ("usr", 0o755),
            ("usr/bin", 0o755),
            ("usr/bin/x", 0o755),
        ];
        assert_eq!(modes, want);
        assert_eq!(tree.get("etc/link").unwrap().kind, Kind::Symlink("../run/x".into()));
    }

    #[test]
    fn an_overlay_that_is_not_there_is_named() {
        let error = lay(&mut Tree::new(), Path::new("no/such/overlay")).unwrap_err();
        assert!(error.to_string().contains("no/such/overlay"), "{error}");
    }

    #[test]
    fn a_socket_in_the_overlay_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(folder.path().join("s")).unwrap();
        assert!(matches!(lay(&mut Tree::new(), folder.path()), Err(Error::OverlayKind { .. })));
    }
}
