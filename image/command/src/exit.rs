//! Exit codes: one table that `--help`, the error path and the manual share.

use std::process::ExitCode;

use stayput_packages as packages;

/// Why the command ended, as far as a script can act on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// Something else went wrong; the message says what.
    Failed = 1,
    /// The command line, a table of the tree or another input file is wrong.
    Usage = 2,
    /// The mirror no longer has a locked package version.
    Gone = 3,
    /// A hash, signature or validity date did not hold.
    Integrity = 4,
    /// The network or the mirror could not be reached.
    Network = 5,
    /// The disk is full or a file cannot be read or written.
    Storage = 6,
    /// A tool of the machine is missing (QEMU, rustup).
    Missing = 7,
    /// Somebody asked for the end; a signal that nothing catches gives the same in a shell.
    Interrupted = 130,
}

/// Every code with its sentence, in the order of `--help`.
pub const TABLE: &[(Code, &str)] = &[
    (Code::Failed, "failed; the message says why"),
    (Code::Usage, "the command line or an input file is wrong"),
    (Code::Gone, "the mirror no longer has a locked package version"),
    (Code::Integrity, "a hash, signature or validity date did not hold"),
    (Code::Network, "the network or the mirror could not be reached"),
    (Code::Storage, "disk full, or a file could not be read or written"),
    (Code::Missing, "a program that this machine must have is missing"),
    (Code::Interrupted, "interrupted (Ctrl-C)"),
];

/// The table as the tail of `--help`.
pub fn help() -> String {
    let rows: Vec<_> = TABLE.iter().map(|(code, text)| format!("  {}  {text}", *code as u8)).collect();
    format!("Exit codes:\n  0  done\n{}", rows.join("\n"))
}

/// The command that is running, for whoever has more rights: root has no cargo on its path.
pub fn with_sudo() -> String {
    let program = std::env::current_exe().unwrap_or_else(|_| "stayput".into());
    let words: Vec<_> = std::env::args().skip(1).collect();
    format!("sudo {} {}", program.display(), words.join(" "))
}

/// A failure whose exit code is not the general one.
#[derive(Debug)]
pub struct Fault {
    code: Code,
    message: String,
}

impl Fault {
    /// An error that ends the command with `code`.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Fault {}

/// The code of an error: the first cause in its chain that knows one.
pub fn code(error: &anyhow::Error) -> Code {
    error.chain().find_map(of_cause).unwrap_or(Code::Failed)
}

fn of_cause(cause: &(dyn std::error::Error + 'static)) -> Option<Code> {
    if let Some(fault) = cause.downcast_ref::<Fault>() {
        return Some(fault.code);
    }
    if let Some(error) = cause.downcast_ref::<packages::Error>() {
        return Some(of_packages(error.kind()));
    }
    if let Some(error) = cause.downcast_ref::<stayput_harness::Error>() {
        return Some(of_harness(error));
    }
    if let Some(error) = cause.downcast_ref::<stayput_toolchain::Error>() {
        return Some(of_toolchain(error));
    }
    // What these refuse is a table of the tree, or a file that does not fit it.
    if cause.is::<stayput_card::Error>()
        || cause.is::<stayput_rootfs::Error>()
        || cause.is::<stayput_kmod::Error>()
    {
        return cause.source().and_then(of_cause).or(Some(Code::Usage));
    }
    cause.downcast_ref::<std::io::Error>().map(|_| Code::Storage)
}

fn of_harness(error: &stayput_harness::Error) -> Code {
    match error {
        stayput_harness::Error::Missing { .. } => Code::Missing,
        stayput_harness::Error::File { .. } => Code::Storage,
        _ => Code::Failed,
    }
}

fn of_toolchain(error: &stayput_toolchain::Error) -> Code {
    use stayput_toolchain::Error as E;
    match error {
        E::Host { .. } | E::NoPinned { .. } | E::Nothing { .. } => Code::Missing,
        E::Choice { .. } => Code::Usage,
        E::Packages { source, .. } => {
            let packages = source.downcast_ref::<packages::Error>();
            packages.map_or(Code::Failed, |error| of_packages(error.kind()))
        }
        _ => Code::Failed,
    }
}

fn of_packages(kind: packages::Kind) -> Code {
    match kind {
        packages::Kind::Usage | packages::Kind::Input => Code::Usage,
        packages::Kind::Network => Code::Network,
        packages::Kind::Gone => Code::Gone,
        packages::Kind::Integrity => Code::Integrity,
        packages::Kind::Io => Code::Storage,
    }
}

/// Prints an error with its causes and turns the result into the process's exit code.
pub fn report(result: anyhow::Result<()>) -> ExitCode {
    let Err(error) = result else { return ExitCode::SUCCESS };
    eprintln!("stayput: {error}");
    let mut last = error.to_string();
    for cause in error.chain().skip(1) {
        // Many errors print their source in their own text; a cause is shown when it adds something.
        let text = cause.to_string();
        if !last.contains(&text) {
            eprintln!("  because: {text}");
        }
        last = text;
    }
    ExitCode::from(code(&error) as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_keeps_its_code_under_added_context() {
        let error = anyhow::Error::from(Fault::new(Code::Missing, "no QEMU")).context("could not run");
        assert_eq!(code(&error), Code::Missing);
    }

    #[test]
    fn an_error_without_a_code_is_a_general_failure() {
        assert_eq!(code(&anyhow::anyhow!("odd")), Code::Failed);
    }

    #[test]
    fn a_program_that_is_not_installed_has_its_own_code() {
        let error = stayput_harness::Error::Missing { program: "qemu-img".into(), package: "qemu-utils" };
        assert_eq!(code(&error.into()), Code::Missing);
    }

    #[test]
    fn a_mistake_in_a_table_of_the_tree_is_the_users_to_mend() {
        let error = stayput_card::Layout::parse("card.toml", "version = 9\n").expect_err("no such version");
        assert_eq!(code(&error.into()), Code::Usage);
    }

    #[test]
    fn a_full_disk_below_a_table_stays_a_full_disk() {
        let full = std::io::Error::from(std::io::ErrorKind::StorageFull);
        let error = stayput_card::Error::Write { part: "root-a".into(), source: full };
        assert_eq!(code(&error.into()), Code::Storage);
    }

    #[test]
    fn help_lists_every_code_once() {
        let help = help();
        for (code, _) in TABLE {
            assert_eq!(help.matches(&format!("\n  {}  ", *code as u8)).count(), 1, "{code:?}");
        }
    }
}
