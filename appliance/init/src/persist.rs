//! The table of persistent paths, put in place: first a list of operations, which is pure, then their execution.

use std::fmt;
use std::fs::{self, DirBuilder, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, lchown};
use std::path::{Path, PathBuf};

use stayput_health::PersistTable;
use stayput_health::persist::PersistKind;

use crate::log::Log;

/// One step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// Makes the folders above a path, as root's, where they are missing.
    Parents(PathBuf),
    /// Makes what is kept where it is missing, and gives it its owner and permissions.
    Keep {
        /// Where on the state partition.
        path: PathBuf,
        /// What it is.
        kind: PersistKind,
        /// Permissions.
        mode: u32,
        /// Owner.
        uid: u32,
        /// Group.
        gid: u32,
    },
    /// Makes an empty place to bind to; only in `/var`, the rest of the root is read-only.
    Place {
        /// Where.
        path: PathBuf,
        /// What it is.
        kind: PersistKind,
    },
    /// Binds what is kept to its place.
    Bind {
        /// What is kept.
        from: PathBuf,
        /// Where it appears.
        to: PathBuf,
    },
}

/// The operations for one row of the table; when one fails the rest of its row is left out, and the next row begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Where it appears in the end, for messages.
    pub at: String,
    /// What is to be done.
    pub operations: Vec<Operation>,
}

/// The plan for `table`, with the root file system at `root` and the state partition at `<root>/state`.
pub fn plan(table: &PersistTable, root: &Path) -> Vec<Row> {
    let state = root.join("state");
    let rows = table.paths.iter().enumerate().map(|(index, row)| {
        let (from, to) = (state.join(row.state.as_str()), root.join(row.at.relative()));
        let (kind, mode) = (row.kind, row.permissions());
        let mut operations = vec![
            Operation::Parents(from.clone()),
            Operation::Keep { path: from.clone(), kind, mode, uid: row.uid, gid: row.gid },
        ];
        // With the row above it, it is in its place already.
        if !table.paths[..index].iter().any(|above| above.brings(row)) {
            if row.at.as_str().starts_with("/var/") {
                let parents = Operation::Parents(to.clone());
                operations.extend([parents, Operation::Place { path: to.clone(), kind }]);
            }
            operations.push(Operation::Bind { from, to });
        }
        Row { at: row.at.to_string(), operations }
    });
    rows.collect()
}

/// The plan for the folders of the data partition, which is mounted at `at`.
pub fn folders(table: &PersistTable, at: &Path) -> Vec<Row> {
    let rows = table.folders.iter().map(|row| {
        let path = at.join(row.data.as_str());
        let keep = Operation::Keep {
            path: path.clone(),
            kind: PersistKind::Directory,
            mode: row.permissions(),
            uid: row.uid,
            gid: row.gid,
        };
        Row { at: format!("/data/{}", row.data), operations: vec![keep] }
    });
    rows.collect()
}

/// How it went.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Placed {
    /// Paths in their place.
    pub placed: u64,
    /// Paths that are not.
    pub failed: u64,
}

impl Placed {
    /// What is said when the table itself cannot be read.
    pub fn no_table() -> Self {
        Self { placed: 0, failed: 1 }
    }
}

impl fmt::Display for Placed {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} paths in place, {} failed", self.placed, self.failed)
    }
}

/// Executes a plan. What fails is told and counted; the box comes up all the same.
pub fn place(plan: &[Row], log: &mut Log) -> Placed {
    let mut placed = Placed::default();
    for row in plan {
        match row.operations.iter().try_for_each(Operation::perform) {
            Ok(()) => placed.placed += 1,
            Err(error) => {
                placed.failed += 1;
                log.warn(&format!("{} is not kept: {error}", row.at));
            }
        }
    }
    placed
}

impl Operation {
    fn perform(&self) -> io::Result<()> {
        let done = match self {
            Self::Parents(path) => match path.parent() {
                Some(parent) => DirBuilder::new().recursive(true).mode(0o755).create(parent),
                None => Ok(()),
            },
            Self::Keep { path, kind, mode, uid, gid } => {
                make(path, *kind, *mode).and_then(|()| own(path, *mode, *uid, *gid))
            }
            Self::Place { path, kind } => make(path, *kind, 0o755),
            Self::Bind { from, to } => rustix::mount::mount_bind(from, to).map_err(Into::into),
        };
        done.map_err(|error| io::Error::new(error.kind(), format!("{self}: {error}")))
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Parents(path) => write!(out, "the folders above {}", path.display()),
            Self::Keep { path, .. } => write!(out, "{}", path.display()),
            Self::Place { path, .. } => write!(out, "the place {}", path.display()),
            Self::Bind { from, to } => write!(out, "binding {} to {}", from.display(), to.display()),
        }
    }
}

/// Makes an empty directory or file where nothing is. What is there must be of that kind and not a link: the services
/// that own these folders are less trusted than this program, and a link could lead anywhere.
fn make(path: &Path, kind: PersistKind, mode: u32) -> io::Result<()> {
    let made = match kind {
        PersistKind::Directory => DirBuilder::new().mode(mode).create(path),
        PersistKind::File => OpenOptions::new().write(true).create_new(true).mode(mode).open(path).map(drop),
    };
    match made {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        other => return other,
    }
    let found = fs::symlink_metadata(path)?.file_type();
    let fits = match kind {
        PersistKind::Directory => found.is_dir(),
        PersistKind::File => found.is_file(),
    };
    if fits { Ok(()) } else { Err(io::Error::other("something of another kind is there; move it away")) }
}

/// Gives a path the table's owner and permissions; on every boot, as a power cut may have come before.
fn own(path: &Path, mode: u32, uid: u32, gid: u32) -> io::Result<()> {
    let found = fs::symlink_metadata(path)?;
    if (found.uid(), found.gid()) != (uid, gid) {
        lchown(path, Some(uid), Some(gid))?;
    }
    if found.mode() & 0o7777 != mode {
        fs::set_permissions(path, Permissions::from_mode(mode))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    const TABLE: &str = "version = 1\n\
        [[path]]\nstate = 'docker'\nat = '/var/lib/docker'\nmode = '0710'\nwhy = 'w'\n\
        [[path]]\nstate = 'ssh/key'\nat = '/etc/ssh/key'\nkind = 'file'\nmode = '0600'\nuid = 7\nwhy = 'w'\n";

    fn rows() -> Vec<Row> {
        plan(&PersistTable::parse(TABLE.as_bytes(), "t").unwrap(), Path::new("/r"))
    }

    #[test]
    fn the_plan_makes_keeps_and_binds_and_makes_places_only_in_var() {
        let [docker, key] = &rows()[..] else { panic!() };
        let (directory, file) = (PersistKind::Directory, PersistKind::File);
        let path = |text: &str| PathBuf::from(text);
        let (kept, to) = (path("/r/state/docker"), path("/r/var/lib/docker"));
        let expected = [
            Operation::Parents(kept.clone()),
            Operation::Keep { path: kept.clone(), kind: directory, mode: 0o710, uid: 0, gid: 0 },
            Operation::Parents(to.clone()),
            Operation::Place { path: to.clone(), kind: directory },
            Operation::Bind { from: kept, to },
        ];
        assert_eq!(docker.operations, expected);
        let kept = path("/r/state/ssh/key");
        let expected = [
            Operation::Parents(kept.clone()),
            Operation::Keep { path: kept.clone(), kind: file, mode: 0o600, uid: 7, gid: 0 },
            Operation::Bind { from: kept, to: path("/r/etc/ssh/key") },
        ];
        assert_eq!(key.operations, expected);
    }

    #[test]
    fn what_comes_with_the_row_above_it_is_kept_and_not_bound_again() {
        let text = "version = 1\n\
            [[path]]\nstate = 'lib/a'\nat = '/var/lib/a'\nwhy = 'w'\n\
            [[path]]\nstate = 'lib/a/b'\nat = '/var/lib/a/b'\nuid = 7\nwhy = 'w'\n\
            [[path]]\nstate = 'other'\nat = '/var/lib/a/c'\nwhy = 'w'\n";
        let table = PersistTable::parse(text.as_bytes(), "t").unwrap();
        let [_, brought, other] = &plan(&table, Path::new("/r"))[..] else { panic!() };
        let kept = PathBuf::from("/r/state/lib/a/b");
        let kind = PersistKind::Directory;
        let expected = [
            Operation::Parents(kept.clone()),
            Operation::Keep { path: kept, kind, mode: 0o755, uid: 7, gid: 0 },
        ];
        assert_eq!(brought.operations, expected);
        assert!(matches!(other.operations.last(), Some(Operation::Bind { .. })));
    }

    #[test]
    fn folders_of_the_data_partition_are_made_there_and_bound_nowhere() {
        let text =
            "version = 1\n[[folder]]\ndata = 'source'\nmode = '1770'\nuid = 802\ngid = 803\nwhy = 'w'\n";
        let table = PersistTable::parse(text.as_bytes(), "t").unwrap();
        let [row] = &folders(&table, Path::new("/r/data"))[..] else { panic!() };
        let (path, kind) = (PathBuf::from("/r/data/source"), PersistKind::Directory);
        assert_eq!(row.operations, [Operation::Keep { path, kind, mode: 0o1770, uid: 802, gid: 803 }]);
    }

    #[test]
    fn what_is_missing_is_made_with_its_permissions_and_what_is_there_keeps_its_content() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a");
        make(&path, PersistKind::File, 0o600).unwrap();
        fs::write(&path, "precious").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o666)).unwrap();
        let metadata = fs::metadata(&path).unwrap();
        let keep = Operation::Keep {
            path: path.clone(),
            kind: PersistKind::File,
            mode: 0o640,
            uid: metadata.uid(),
            gid: metadata.gid(),
        };
        keep.perform().unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o640);
    }

    #[test]
    fn a_link_or_another_kind_in_the_place_of_what_is_kept_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        symlink("/etc", directory.path().join("link")).unwrap();
        fs::write(directory.path().join("file"), "").unwrap();
        for name in ["link", "file"] {
            let error = make(&directory.path().join(name), PersistKind::Directory, 0o755).unwrap_err();
            assert!(error.to_string().contains("another kind"), "{error}");
        }
        let error = make(&directory.path().join("link"), PersistKind::File, 0o644).unwrap_err();
        assert!(error.to_string().contains("another kind"), "{error}");
    }

    #[test]
    fn a_row_that_fails_is_counted_and_does_not_stop_the_next() {
        let directory = tempfile::tempdir().unwrap();
        let (bad, good) = (directory.path().join("none/x"), directory.path().join("good"));
        let row = |path: PathBuf| Row {
            at: "/var/x".to_owned(),
            operations: vec![Operation::Place { path, kind: PersistKind::Directory }],
        };
        let placed = place(&[row(bad), row(good.clone())], &mut Log::open());
        assert_eq!(placed, Placed { placed: 1, failed: 1 });
        assert!(good.is_dir());
    }
}
