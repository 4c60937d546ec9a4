//! Whether the units that a box cannot do without are active, in the service manager's own words.

use std::process::Command;

use crate::{Error, Result};

/// The units of `required` that are not active.
pub fn not_active(required: &[String]) -> Result<Vec<String>> {
    if required.is_empty() {
        return Ok(Vec::new());
    }
    let failed = |why: String| Error::Units(why);
    let asked = Command::new("/usr/bin/systemctl")
        .args(["show", "--no-pager", "--property=Id,ActiveState", "--"])
        .args(required)
        .output()
        .map_err(|error| failed(error.to_string()))?;
    if !asked.status.success() {
        return Err(failed(String::from_utf8_lossy(&asked.stderr).trim().to_owned()));
    }
    Ok(idle(required, &String::from_utf8_lossy(&asked.stdout)))
}

/// Those of `required` that `said` does not call active: blocks of `Name=value`, a block for each unit in their order.
fn idle(required: &[String], said: &str) -> Vec<String> {
    let active: Vec<&str> = said
        .split("\n\n")
        .filter(|block| block.lines().any(|line| line == "ActiveState=active"))
        .filter_map(|block| block.lines().find_map(|line| line.strip_prefix("Id=")))
        .collect();
    required.iter().filter(|unit| !active.contains(&unit.as_str())).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_unit_that_is_said_to_be_active_is() {
        let required = ["a.service", "b.service", "c.service", "d.service"].map(String::from);
        let said = "Id=a.service\nActiveState=active\n\nActiveState=activating\nId=b.service\n\n\
                    Id=c.service\nActiveState=failed\n";
        assert_eq!(idle(&required, said), ["b.service", "c.service", "d.service"]);
        assert_eq!(idle(&required, ""), required);
        assert!(idle(&[], said).is_empty());
    }
}
