//! What can go wrong while a root file system is put together, with the path and the remedy in every message.

use std::path::PathBuf;

/// The result of everything in this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why there is no tree (or no squashfs).
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A path that cannot be a path in the tree.
    #[error("{origin}: the path {path:?} {problem}; a path in the tree is relative, without `..`")]
    Path {
        /// The path as it was given.
        path: String,
        /// Who brought it.
        origin: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// Two sources bring the same path.
    #[error(
        "two sources claim {path}: {first} and {second}; drop one of them in image/rootfs.toml ([[drop]], with its reason)"
    )]
    Claimed {
        /// The path.
        path: String,
        /// Who had it first.
        first: String,
        /// Who came second.
        second: String,
    },
    /// Two sources bring the same directory with different owners or modes.
    #[error("{first} and {second} disagree about the directory {path}: {first_is} and {second_is}")]
    DirectoryDiffers {
        /// The directory.
        path: String,
        /// Who had it first.
        first: String,
        /// Mode and owner of the first.
        first_is: String,
        /// Who came second.
        second: String,
        /// Mode and owner of the second.
        second_is: String,
    },
    /// A file would lie below something that is no directory.
    #[error("{origin} puts {path} below {parent}, which is a {kind} from {parent_origin}")]
    ParentIsNoDirectory {
        /// The path that cannot be.
        path: String,
        /// Who brought it.
        origin: String,
        /// The path in its way.
        parent: String,
        /// What that is.
        kind: &'static str,
        /// Who brought that.
        parent_origin: String,
    },
    /// A hard link in a package whose target is not in the same package.
    #[error(
        "{package}: the hard link {path} points to {target}, which is no file of that package; the package is damaged"
    )]
    HardLink {
        /// The package.
        package: String,
        /// The link.
        path: String,
        /// Where it points.
        target: String,
    },
    /// A file of the builder's own cannot be read.
    #[error("could not read {}: {source}", path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// The system's words.
        source: std::io::Error,
    },
    /// Something in the overlay that is neither file, folder nor link.
    #[error("{} is no file, folder or link; the overlay may hold nothing else", path.display())]
    OverlayKind {
        /// The thing.
        path: PathBuf,
    },
    /// A name in the overlay that is not UTF-8.
    #[error("{} has a name that is not UTF-8; rename it", path.display())]
    OverlayName {
        /// The thing.
        path: PathBuf,
    },
    /// The table does not parse.
    #[error("{file}: {message}")]
    Rules {
        /// Which table.
        file: String,
        /// The parser's words, with line and column.
        message: String,
    },
    /// The table parses and contradicts itself.
    #[error("{file}: {entry}: {problem}")]
    Table {
        /// Which table.
        file: String,
        /// Which entry of it.
        entry: String,
        /// What is wrong.
        problem: String,
    },
    /// A certificate of the CA bundle is no PEM.
    #[error(
        "{path} is no PEM certificate ({problem}); the CA bundle would be broken by it, so drop it or mend the package"
    )]
    Certificate {
        /// The file.
        path: String,
        /// What is wrong.
        problem: &'static str,
    },
    /// No certificate at all.
    #[error(
        "no certificate under {folder}: the box could not check a single TLS server; is ca-certificates in the package list?"
    )]
    NoCertificates {
        /// Where they were expected.
        folder: &'static str,
    },
    /// The tree is whole, and not fit for the box.
    #[error("the root file system has {} finding(s):\n{}", .0.len(), list(.0))]
    Refused(Vec<Finding>),
    /// The finished squashfs could not be put where it should go.
    #[error("could not write out the root file system: {0}")]
    Write(#[source] std::io::Error),
    /// The squashfs writer.
    #[error("could not write the squashfs: {0}")]
    Squashfs(#[from] backhand::BackhandError),
    /// An option of the squashfs that the format does not have.
    #[error("squashfs: {0}")]
    SquashfsSettings(String),
}

fn list(findings: &[Finding]) -> String {
    findings.iter().map(|finding| format!("  - {finding}")).collect::<Vec<_>>().join("\n")
}

/// One reason why a finished tree may not become an image. All of them are reported at once.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum Finding {
    /// A drop rule that drops nothing.
    #[error(
        "drop rule {pattern:?} ({why}) matches nothing: the package changed, or the rule is misspelt; mend it or mark it `optional`"
    )]
    DropsNothing {
        /// The pattern.
        pattern: String,
        /// Its reason.
        why: String,
    },
    /// A keep rule that keeps nothing.
    #[error("keep rule {pattern:?} ({why}) saves nothing from the drop rules; remove it")]
    KeepsNothing {
        /// The pattern.
        pattern: String,
        /// Its reason.
        why: String,
    },
    /// A rule names a path that is not there.
    #[error("{rule} names {path}, which is not in the tree; remove the line or mend the path")]
    RuleWithoutPath {
        /// Which table of image/rootfs.toml.
        rule: &'static str,
        /// The path.
        path: String,
    },
    /// A symlink that leads nowhere.
    #[error(
        "{path} ({origin}) links to {target}, which is neither in the tree nor below a [[runtime]] path of image/rootfs.toml"
    )]
    DanglingLink {
        /// The link.
        path: String,
        /// Who brought it.
        origin: String,
        /// Where it points.
        target: String,
    },
    /// A setuid or setgid file that is on no list.
    #[error(
        "{path} ({origin}) has mode {mode:04o}: a setuid or setgid file must be named in [[setuid]] or [[strip]] of image/rootfs.toml"
    )]
    Setuid {
        /// The file.
        path: String,
        /// Who brought it.
        origin: String,
        /// Its mode.
        mode: u32,
    },
    /// An executable script whose interpreter is not on the box.
    #[error(
        "{path} ({origin}) is a script for {interpreter}, which is not on the box: drop it in image/rootfs.toml"
    )]
    Interpreter {
        /// The script.
        path: String,
        /// Who brought it.
        origin: String,
        /// Its `#!` program.
        interpreter: String,
    },
    /// A user or group that nobody pinned.
    #[error(
        "{place} names the {what} {name:?}, which has no pinned number: add it to [[{what}]] (or to [[unneeded]]) in image/rootfs.toml"
    )]
    UnknownAccount {
        /// `user` or `group`.
        what: &'static str,
        /// Its name.
        name: String,
        /// File and line that names it.
        place: String,
    },
    /// A package wants another number for an account.
    #[error(
        "{place} gives {what} {name:?} the number {wanted}, image/rootfs.toml pins {pinned}: they must agree"
    )]
    AccountNumber {
        /// `user` or `group`.
        what: &'static str,
        /// Its name.
        name: String,
        /// The package's number.
        wanted: u32,
        /// Ours.
        pinned: u32,
        /// File and line.
        place: String,
    },
    /// A file owned by a number that no account has.
    #[error("{path} ({origin}) belongs to {what} number {number}, which no account of image/rootfs.toml has")]
    Owner {
        /// The file.
        path: String,
        /// Who brought it.
        origin: String,
        /// `user` or `group`.
        what: &'static str,
        /// The number.
        number: u32,
    },
    /// A preset names a unit that does not exist.
    #[error("{place} names {unit}, and there is no such unit")]
    PresetWithoutUnit {
        /// File and line.
        place: String,
        /// The unit.
        unit: String,
    },
    /// A line of a preset file that says nothing.
    #[error("{place}: {line:?} is no preset; expected `enable UNIT` or `disable UNIT`")]
    PresetLine {
        /// File and line.
        place: String,
        /// The line.
        line: String,
    },
    /// The presets do not end in `disable *`.
    #[error(
        "no preset file ends in `disable *`: without it every unit that a package brings would be enabled"
    )]
    PresetOpenEnded,
    /// A unit file that does not parse.
    #[error("{place}: {problem}")]
    UnitSyntax {
        /// File and line.
        place: String,
        /// What is wrong.
        problem: String,
    },
    /// A unit of ours refers to a unit that does not exist.
    #[error("{place}: {key}={unit} refers to a unit that does not exist")]
    UnitReference {
        /// File and line.
        place: String,
        /// The setting.
        key: String,
        /// The missing unit.
        unit: String,
    },
    /// A unit starts a program that is not there.
    #[error("{place}: {key}= starts {program}, which is not an executable file of the tree")]
    UnitProgram {
        /// File and line.
        place: String,
        /// The setting.
        key: String,
        /// The missing program.
        program: String,
    },
    /// nsswitch.conf names a module that is not there.
    #[error("etc/nsswitch.conf names {service:?}, and no {library} is in the tree")]
    NameService {
        /// The service.
        service: String,
        /// The library that glibc would load.
        library: String,
    },
    /// A package brings a file below /var.
    #[error(
        "{path} ({origin}) lies below /var, which is made anew at every boot: drop it, or bring it as a tmpfiles.d line"
    )]
    VariableFile {
        /// The file.
        path: String,
        /// Who brought it.
        origin: String,
    },
    /// A fixed point of the box is missing.
    #[error("{path} is not in the tree: {why}")]
    Missing {
        /// The path.
        path: &'static str,
        /// Why the box needs it.
        why: &'static str,
    },
}
