//! Putting a plan in its place. What fails is told, and the rest is done all the same: half a configuration serves better
//! than none, and the box must come up.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{CWD, Gid, Mode, OFlags, Uid, fchmod, fchown, mkdirat, openat};
use rustix::io::Errno;

use crate::file::{self, Access};
use crate::plan::{File, Folder, Link, Plan};
use crate::{Error, Result};

/// Where things are on the box, or in a test.
#[derive(Debug, Clone)]
pub struct Places {
    /// `/run`.
    pub run: PathBuf,
    /// Where `/data` and all else is: `/`.
    pub root: PathBuf,
    /// The time zones of the image.
    pub zones: PathBuf,
    /// The public authorities of the image.
    pub authorities: PathBuf,
    /// Whether files are given to their accounts, which only root can.
    pub give: bool,
}

impl Default for Places {
    fn default() -> Self {
        Self {
            run: "/run".into(),
            root: "/".into(),
            zones: "/usr/share/zoneinfo".into(),
            authorities: "/etc/ssl/certs/ca-certificates.crt".into(),
            give: true,
        }
    }
}

/// Puts all of a plan in its place but the box's name. Gives back what failed.
pub fn place(plan: &Plan, places: &Places) -> Vec<Error> {
    let files = plan.files.iter().map(|planned| put(planned, places));
    let rest = [zone(&plan.zone, places), authorities(&plan.authorities, places)];
    let links = plan.links.iter().map(|Link { path, to }| link(Path::new(to), &places.run.join(path)));
    let folders = plan.folders.iter().map(|planned| folder(planned, places));
    files.chain(rest).chain(links).chain(folders).filter_map(Result::err).collect()
}

/// Gives the box its name.
pub fn name(name: &str) -> Result<()> {
    rustix::system::sethostname(name.as_bytes()).map_err(|errno| Error::Name(errno.into()))
}

fn put(planned: &File, places: &Places) -> Result<()> {
    let path = places.run.join(planned.path);
    let Some(text) = &planned.text else { return file::remove(&path) };
    make_parents(&path)?;
    let (mode, owner) = planned.readers.access();
    file::replace(&path, text.as_bytes(), Access { mode, owner: places.give.then_some(owner) }, false)
}

/// Puts a text below `/run` that everybody may read.
pub(crate) fn public(path: &str, text: &str, places: &Places) -> Result<()> {
    let path = places.run.join(path);
    make_parents(&path)?;
    file::replace(&path, text.as_bytes(), Access { mode: 0o644, owner: places.give.then_some((0, 0)) }, false)
}

/// Makes the folders above a file where they are missing, each open to pass.
fn make_parents(path: &Path) -> Result<()> {
    let Some(parent) = path.parent() else { return Ok(()) };
    if parent.is_dir() {
        return Ok(());
    }
    make_parents(parent)?;
    fs::create_dir(parent).map_err(Error::io("make", parent))?;
    // The umask has taken bits away that the readers, who are other users, need.
    fs::set_permissions(parent, fs::Permissions::from_mode(0o755)).map_err(Error::io("protect", parent))
}

/// `/etc/localtime` leads to this link.
fn zone(zone: &str, places: &Places) -> Result<()> {
    link(&places.zones.join(zone), &places.run.join("stayput/localtime"))
}

/// All that is trusted, in one file. Where the settings add nothing it is a link: the bundle is 200 kB, and `/run` is memory.
fn authorities(further: &str, places: &Places) -> Result<()> {
    let path = places.run.join("stayput/ca.pem");
    if further.is_empty() {
        return link(&places.authorities, &path);
    }
    let public = &places.authorities;
    let mut bytes = fs::read(public).map_err(Error::io("read", public))?;
    bytes.extend(further.as_bytes());
    make_parents(&path)?;
    let owner = places.give.then_some((0, 0));
    file::replace(&path, &bytes, Access { mode: 0o644, owner }, false)
}

fn link(to: &Path, at: &Path) -> Result<()> {
    make_parents(at)?;
    file::remove(at)?;
    symlink(to, at).map_err(Error::io("make", at))
}

/// Makes a folder and those above it where they are missing, and gives it its owner and permissions. Step by step and through
/// no link: others may write in some of these folders.
fn folder(planned: &Folder, places: &Places) -> Result<()> {
    let path = places.root.join(planned.path.trim_start_matches('/'));
    let failed = |action| {
        let path = path.clone();
        move |errno: Errno| Error::io(action, path)(errno.into())
    };
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut at = openat(CWD, &places.root, flags, Mode::empty()).map_err(failed("open"))?;
    for step in Path::new(&planned.path).components() {
        let Component::Normal(step) = step else { continue };
        // Above it: root's, and open to pass.
        match mkdirat(&at, step, Mode::from_raw_mode(0o755)) {
            Ok(()) => {
                at = openat(&at, step, flags, Mode::empty()).map_err(failed("open"))?;
                fchmod(&at, Mode::from_raw_mode(0o755)).map_err(failed("protect"))?;
            }
            Err(Errno::EXIST) => at = openat(&at, step, flags, Mode::empty()).map_err(failed("open"))?,
            Err(errno) => return Err(failed("make")(errno)),
        }
    }
    let (user, group) = planned.owner;
    if places.give {
        let (user, group) = (Uid::from_raw(user), Gid::from_raw(group));
        fchown(&at, Some(user), Some(group)).map_err(failed("give away"))?;
    }
    fchmod(&at, Mode::from_raw_mode(planned.mode)).map_err(failed("protect"))
}
