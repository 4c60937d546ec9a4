//! The worker's environment variables: one table, which reading, `--help` and the manual follow.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};

use crate::{Error, Result};

/// One variable.
#[derive(Debug, PartialEq, Eq)]
pub struct Variable {
    /// Its name.
    pub name: &'static str,
    /// What a value is, as the rest of "expected".
    pub form: &'static str,
    /// What holds without it, in words; empty when it must be there for whoever uses it.
    pub default: &'static str,
    /// What it does.
    pub about: &'static str,
}

macro_rules! variables {
    ($($id:ident = $name:literal, $form:literal, $default:literal, $about:literal;)+) => {
        $(
            #[doc = concat!("`", $name, "`: ", $about)]
            pub static $id: Variable =
                Variable { name: $name, form: $form, default: $default, about: $about };
        )+
        /// Every variable, in the order of the manual.
        pub static TABLE: &[&Variable] = &[$(&$id),+];
    };
}

// The first six are the original worker's and its S3 sibling's, and mean what they meant there.
variables! {
    QUEUE_URL = "SQS_QUEUE_URL", "the URL of an SQS queue", "",
        "The queue that orders come from.";
    REGION = "AWS_REGION", "a region's code", "",
        "The region of the queue and the buckets.";
    SOURCE = "EFS_SOURCE_FOLDER", "a folder", "/data/source",
        "The folder that files wait in; made if it is not there.";
    DESTINATION = "EFS_DESTINATION_FOLDER", "a folder", "/data/destination",
        "The folder that processed files go to; made if it is not there.";
    BUCKET = "BUCKET_NAME", "a bucket's name, with or without s3://", "",
        "The bucket that the one-shot job fetches from.";
    FILE_KEY = "FILE_KEY", "an object's key", "",
        "The object that the one-shot job fetches.";
    BUCKETS = "STAYPUT_BUCKETS", "buckets, each as name or name/how-keys-begin, with spaces between", "none",
        "The buckets whose notifications are orders to fetch the object.";
    LEDGER = "STAYPUT_LEDGER_FOLDER", "a folder", "`ledger` beside the source folder",
        "The folder of the mover's log; made if it is not there. Never share it between boxes.";
    SUFFIX = "STAYPUT_SUFFIX", "up to 64 bytes without a slash; may be empty", "_has_been_processed",
        "What is put behind a processed file's name.";
    SUBFOLDERS = "STAYPUT_SUBFOLDERS", "refuse, last or joined", "refuse",
        "What a name with slashes stands for: nothing, its last part, or its parts joined by two underscores.";
    SOCKET = "STAYPUT_SOCKET", "a path", "/run/stayput-mover/socket",
        "The mover's socket, which the courier connects to.";
    COURIER_UID = "STAYPUT_COURIER_UID", "a user's number", "801",
        "Whose processes may give the mover orders.";
    MOVER_UID = "STAYPUT_MOVER_UID", "a user's number", "the owner of the source folder, refused if that is root; 802 where there is none yet",
        "Who the mover runs as when `both` starts it.";
    RESERVE = "STAYPUT_RESERVE_MIB", "a number of MiB", "16",
        "How much must stay free where the files and the log are.";
    LARGEST = "STAYPUT_LARGEST_MIB", "a number of MiB", "5120",
        "The largest file that may come in.";
    QUIET = "STAYPUT_QUIET_SECONDS", "a number of seconds", "2",
        "For how long a file must not have changed, where leases do not tell who writes to it.";
    LEASES = "STAYPUT_LEASES", "on or off", "on",
        "Off for folders that other machines write to as well: the kernel knows of its own programs only.";
    HEALTH = "STAYPUT_HEALTH_FOLDER", "a folder", "/run/stayput/health",
        "Where the health file goes; none is written where this folder is not.";
}

/// The variables that are set, as they were found.
#[derive(Debug, Clone, Default)]
pub struct Variables(BTreeMap<&'static str, OsString>);

impl Variables {
    /// Those of this process.
    pub fn of_process() -> Self {
        let set = TABLE.iter().filter_map(|variable| Some((variable.name, std::env::var_os(variable.name)?)));
        Self(set.collect())
    }

    /// These, for tests.
    pub fn with<'a>(set: impl IntoIterator<Item = (&'static Variable, &'a OsStr)>) -> Self {
        Self(set.into_iter().map(|(variable, value)| (variable.name, value.to_owned())).collect())
    }

    /// A variable's value. One that is set to nothing counts as not set, as task definitions often have them.
    pub fn get(&self, variable: &Variable) -> Option<&OsStr> {
        self.0.get(variable.name).map(OsString::as_os_str).filter(|value| !value.is_empty())
    }

    /// A variable's value where even nothing is one.
    pub fn get_even_empty(&self, variable: &Variable) -> Option<&OsStr> {
        self.0.get(variable.name).map(OsString::as_os_str)
    }

    /// A variable's value as what it should be; `None` when it is not set.
    pub fn parse<T>(
        &self,
        variable: &'static Variable,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<Option<T>> {
        let Some(value) = self.get(variable) else { return Ok(None) };
        let parsed = value.to_str().map(str::trim).and_then(parse);
        parsed.map(Some).ok_or(Error::Variable { name: variable.name, form: variable.form })
    }
}

/// The table as text for a terminal.
pub fn help() -> String {
    let mut text = String::from("environment:\n");
    for variable in TABLE {
        text += &format!("  {}\n      {} (", variable.name, variable.about);
        text += variable.form;
        match variable.default {
            "" => {}
            default => text += &format!("; without it {default}"),
        }
        text += ")\n";
    }
    text
}

/// The table as Markdown for the manual.
pub fn manual() -> String {
    let mut text = String::from("| variable | a value is | without it | what it does |\n|---|---|---|---|\n");
    for Variable { name, form, default, about } in TABLE {
        let default = if default.is_empty() { "refused where it is needed" } else { default };
        text += &format!("| `{name}` | {form} | {default} | {about} |\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_variables_share_a_name() {
        let names: std::collections::BTreeSet<_> = TABLE.iter().map(|variable| variable.name).collect();
        assert_eq!(names.len(), TABLE.len());
    }

    #[test]
    fn a_value_that_is_none_is_refused_with_what_was_expected_and_is_not_repeated() {
        let variables = Variables::with([(&RESERVE, OsStr::new("secret"))]);
        let error = variables.parse(&RESERVE, |text| text.parse::<u64>().ok()).unwrap_err().to_string();
        assert!(error.contains("STAYPUT_RESERVE_MIB") && error.contains("a number of MiB"), "{error}");
        assert!(!error.contains("secret"), "{error}");
    }

    #[test]
    fn an_empty_value_counts_as_not_set() {
        let variables = Variables::with([(&RESERVE, OsStr::new(""))]);
        assert_eq!(variables.parse(&RESERVE, |text| text.parse::<u64>().ok()).unwrap(), None);
        assert_eq!(variables.get_even_empty(&RESERVE), Some(OsStr::new("")));
    }
}
