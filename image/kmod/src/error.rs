//! What can be wrong with a kernel's modules, with the values inside and the remedy in the sentence.

use crate::name::ModuleName;

/// A result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A name that no module can have.
    #[error(
        "{name:?} is not a module name: expected letters, digits, '-' and '_', as modprobe takes them \
         (no path, no \".ko\")"
    )]
    BadName {
        /// As it was written.
        name: String,
    },

    /// A file among the modules that is none.
    #[error("{path}: not a module file: expected a name ending in .ko, .ko.xz, .ko.zst or .ko.gz")]
    UnknownEnding {
        /// Path within the kernel's module directory.
        path: String,
    },

    /// Two files of one module.
    #[error(
        "{first} and {second} are both the module {name}: a kernel has one file for a name, so leave one out"
    )]
    TwoFiles {
        /// The module.
        name: ModuleName,
        /// The path that came first.
        first: String,
        /// The path that came second.
        second: String,
    },

    /// A compressed module that does not decompress.
    #[error(
        "{path}: the {kind} data is damaged or cut short ({source}): fetch the kernel package again, \
         its hash tells whether it is whole"
    )]
    Compressed {
        /// Path within the kernel's module directory.
        path: String,
        /// "xz", "zstd" or "gzip".
        kind: &'static str,
        /// What the decoder said.
        source: std::io::Error,
    },

    /// zstd data without its size up front.
    #[error(
        "{path}: the zstd data does not state its size, and modprobe (kmod 34) loads no such module: pack the file \
         itself, not a stream of it"
    )]
    SizeNotStated {
        /// Path within the kernel's module directory.
        path: String,
    },

    /// A module far larger than any.
    #[error("{path}: unpacks to more than {limit} bytes: no kernel module is that large, refused")]
    TooLarge {
        /// Path within the kernel's module directory.
        path: String,
        /// The limit in bytes.
        limit: u64,
    },

    /// Not the object file that a module is.
    #[error("{path}: not a 64-bit little-endian ELF object ({reason}): expected a module of an arm64 kernel")]
    NotAModule {
        /// Path within the kernel's module directory.
        path: String,
        /// What is wrong with it.
        reason: String,
    },

    /// A record in `.modinfo` that cannot be used.
    #[error("{path}: .modinfo has {record:?}: {reason}")]
    Modinfo {
        /// Path within the kernel's module directory.
        path: String,
        /// The record.
        record: String,
        /// What is wrong with it.
        reason: &'static str,
    },

    /// The module says another name than its file.
    #[error(
        "{path}: the file says that it is the module {says}: the kernel would register it under that name and \
         modprobe would not find it"
    )]
    OtherName {
        /// Path within the kernel's module directory.
        path: String,
        /// The name in `.modinfo`.
        says: String,
    },

    /// A name on a list that the kernel does not have.
    #[error("the kernel has no module {name:?}{}: correct the name in the module list, or remove it", hint(.suggestions))]
    NoSuchModule {
        /// As it was written.
        name: String,
        /// Names that look like it.
        suggestions: Vec<String>,
    },

    /// A module needs one that is not there.
    #[error(
        "{module} depends on {dependency}, which is neither a module nor part of this kernel: the kernel package is not whole"
    )]
    MissingDependency {
        /// Who needs it.
        module: ModuleName,
        /// What it needs.
        dependency: ModuleName,
    },

    /// Modules that need each other in a circle.
    #[error("modules depend on each other in a circle: {}", .members.join(" -> "))]
    Circle {
        /// The circle, first member repeated at the end.
        members: Vec<String>,
    },

    /// A module was asked for that is not in the selection.
    #[error("{name:?} is not among the selected modules")]
    NotSelected {
        /// As it was asked for.
        name: String,
    },

    /// A line of `modules.builtin` or `modules.order` that is no module path.
    #[error("{file}:{line}: {text:?} is not a module path: expected something like kernel/fs/ext4/ext4.ko")]
    PathLine {
        /// Which file.
        file: &'static str,
        /// Line number, from 1.
        line: usize,
        /// The line.
        text: String,
    },

    /// A record of `modules.builtin.modinfo` that is none.
    #[error("modules.builtin.modinfo, byte {offset}: {record:?} is not module.key=value")]
    BuiltinRecord {
        /// Where the record begins.
        offset: usize,
        /// The record.
        record: String,
    },

    /// An index key or value that the index format cannot hold.
    #[error("{file}: {text:?} cannot be indexed: {reason}")]
    Unindexable {
        /// Which index.
        file: &'static str,
        /// The key or the value.
        text: String,
        /// What is wrong with it.
        reason: &'static str,
    },

    /// An index that cannot be read.
    #[error("not a module index at byte {offset}: {reason}: write it again with the builder")]
    NotAnIndex {
        /// Where.
        offset: usize,
        /// What is wrong there.
        reason: &'static str,
    },

    /// A module list that does not parse.
    #[error("{file}: {message}")]
    Table {
        /// Which file.
        file: String,
        /// The parser's words, with line and column.
        message: String,
    },
}

fn hint(suggestions: &[String]) -> String {
    match suggestions {
        [] => String::new(),
        [one] => format!(" (did you mean {one}?)"),
        [rest @ .., last] => format!(" (did you mean {} or {last}?)", rest.join(", ")),
    }
}
