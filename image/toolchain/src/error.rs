//! What can go wrong on the way to a compiled program, each with its values and its remedy.

use std::error::Error as StdError;
use std::io;
use std::path::{Path, PathBuf};

/// A failure of the toolchain or of a compilation.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The locked C compiler is a set of x86_64 Linux programs.
    #[error(
        "the locked compiler runs on x86_64 Linux and this machine is {architecture} {os}: \
         build on an x86_64 Linux machine, or in an x86_64 virtual machine or container"
    )]
    Host {
        /// The machine's architecture.
        architecture: String,
        /// The machine's operating system.
        os: String,
    },

    /// `STAYPUT_TOOLCHAIN` holds a word that means nothing.
    #[error("STAYPUT_TOOLCHAIN is '{value}', expected 'auto', 'pinned' or 'fallback'")]
    Choice {
        /// What it held.
        value: String,
    },

    /// `rust-toolchain.toml` does not pin one exact compiler.
    #[error("{}: {reason}; expected [toolchain] with channel = \"1.95.0\", an exact release", path.display())]
    Pin {
        /// The file.
        path: PathBuf,
        /// What is wrong in it.
        reason: String,
    },

    /// The pinned release has no commit hash on record.
    #[error(
        "{} pins Rust {release}, whose commit hash is not on record: add the line ({release}, commit-hash of \
         `rustc -vV` of the official release) to COMMITS in image/toolchain/src/pin.rs", path.display()
    )]
    UnknownRelease {
        /// The file.
        path: PathBuf,
        /// The release in it.
        release: String,
    },

    /// The pinned compiler cannot be had; each line says what was tried and why it did not do.
    #[error(
        "the pinned compiler cannot be had:{}\nremedy: connect to the network and repeat, or run \
         `rustup toolchain install {release} --profile minimal --target {target}` yourself; \
         STAYPUT_TOOLCHAIN=fallback builds with the distribution's Rust, without the hash promise",
        listed(tried)
    )]
    NoPinned {
        /// The pinned release.
        release: String,
        /// The target of the box's programs.
        target: &'static str,
        /// What was tried.
        tried: Vec<String>,
    },

    /// Neither the pinned compiler nor the fallback can be had.
    #[error("no compiler for the box's programs.\n{pinned}\nand the fallback failed too: {fallback}")]
    Nothing {
        /// Why not the pinned one.
        pinned: Box<Error>,
        /// Why not the fallback.
        fallback: Box<Error>,
    },

    /// The caller could not hand over packages.
    #[error("cannot get the packages of {wanted}: {source}")]
    Packages {
        /// What they were wanted for: a feature of the package list, or the set that is being unpacked.
        wanted: String,
        /// The source's own error, remedy included.
        source: Box<dyn StdError + Send + Sync>,
    },

    /// A package could not be opened.
    #[error("cannot unpack {package}: {source}")]
    Unpack {
        /// Name, version and architecture.
        package: String,
        /// What the reader said.
        source: Box<dyn StdError + Send + Sync>,
    },

    /// A package holds an entry that has no place in an unpacked tree.
    #[error("{package} holds '{entry}': {reason}; the package is not what the lock should name")]
    Entry {
        /// Name, version and architecture.
        package: String,
        /// The entry's path.
        entry: String,
        /// Why it is refused.
        reason: &'static str,
    },

    /// The locked set unpacks, but a program that it must bring is not there.
    #[error(
        "the locked packages bring no {}: the feature '{feature}' of image/packages.toml must list {wanted}",
        file.display()
    )]
    Incomplete {
        /// The feature of the package list.
        feature: &'static str,
        /// The missing file.
        file: PathBuf,
        /// The package that has it.
        wanted: &'static str,
    },

    /// A file or directory operation failed.
    #[error("cannot {action} {}: {source}", path.display())]
    File {
        /// What was being done.
        action: &'static str,
        /// To what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },

    /// A file that has to be understood cannot be.
    #[error("{}: {reason}", path.display())]
    Text {
        /// The file.
        path: PathBuf,
        /// What is wrong in it, and where.
        reason: String,
    },

    /// A program could not be started or said no.
    #[error("`{command}` {outcome}{}", indented(output))]
    Command {
        /// The command line.
        command: String,
        /// How it ended.
        outcome: String,
        /// What it printed.
        output: String,
    },

    /// cargo refused; its words are the message.
    #[error("cargo could not build {packages}:\n{output}")]
    Cargo {
        /// The packages that were asked for.
        packages: String,
        /// Everything cargo and rustc said.
        output: String,
    },

    /// cargo succeeded without making what was asked for.
    #[error(
        "package '{package}' has no program (a [[bin]] or src/main.rs): the box's programs are listed wrongly"
    )]
    NoProgram {
        /// The package.
        package: String,
    },

    /// The program that came out would not run on the box, or would differ between machines.
    #[error("{}: {reason}", path.display())]
    Program {
        /// The program.
        path: PathBuf,
        /// What is wrong with it, and the remedy.
        reason: String,
    },
}

impl Error {
    /// Makes the closure that gives an I/O error its path and its deed.
    pub(crate) fn file(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
        let path = path.to_owned();
        move |source| Error::File { action, path, source }
    }
}

fn listed(lines: &[String]) -> String {
    lines.iter().map(|line| format!("\n  - {}", line.replace('\n', "\n    "))).collect()
}

fn indented(output: &str) -> String {
    match output.trim() {
        "" => String::new(),
        text => format!(":\n  {}", text.replace('\n', "\n  ")),
    }
}
