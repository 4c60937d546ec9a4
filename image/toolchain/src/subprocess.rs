//! Running another program and keeping what it said.

use std::process::{Command, Stdio};

use crate::Error;

/// Runs to the end and returns standard output; anything but success carries both outputs.
pub(crate) fn output(command: &mut Command) -> Result<String, Error> {
    tracing::debug!(command = %line(command), "run");
    let done = command
        .stdin(Stdio::null())
        .output()
        .map_err(|error| failure(command, format!("could not be started: {error}"), ""))?;
    let stdout = String::from_utf8_lossy(&done.stdout).into_owned();
    if done.status.success() {
        return Ok(stdout);
    }
    let said = format!("{}{}", String::from_utf8_lossy(&done.stderr), stdout);
    Err(failure(command, format!("ended with {}", done.status), &said))
}

fn failure(command: &Command, outcome: String, output: &str) -> Error {
    Error::Command { command: line(command), outcome, output: output.to_owned() }
}

/// The command as a person would type it.
pub(crate) fn line(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_says_no_is_quoted() {
        let error = output(Command::new("sh").args(["-c", "echo too bad >&2; exit 3"])).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("exit status: 3") && text.contains("too bad"), "{text}");
    }

    #[test]
    fn a_program_that_is_not_there_is_named() {
        let error = output(&mut Command::new("/nonexistent/rustup")).unwrap_err();
        assert!(error.to_string().contains("/nonexistent/rustup` could not be started"), "{error}");
    }
}
