//! Tools that others wrote, as judges of what we write. Each is said plainly when it is absent; with
//! STAYPUT_REQUIRE_ORACLES=1 its absence is a failure.

use std::process::Command;

/// What a tool said, and whether it was content. `None`: it is not installed here.
pub fn ask(tool: &str, arguments: &[&str]) -> Option<(bool, String)> {
    match Command::new(tool).args(arguments).env("LC_ALL", "C").output() {
        Ok(output) => {
            let text = [output.stdout, output.stderr].concat();
            Some((output.status.success(), String::from_utf8_lossy(&text).into_owned()))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let required = std::env::var("STAYPUT_REQUIRE_ORACLES").is_ok_and(|value| value == "1");
            assert!(!required, "{tool} is not installed, and STAYPUT_REQUIRE_ORACLES=1 asks for it");
            eprintln!("NOT CHECKED: {tool} is not installed");
            None
        }
        Err(error) => panic!("{tool}: {error}"),
    }
}
