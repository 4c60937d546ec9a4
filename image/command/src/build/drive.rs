//! What lies on a new card's `STAYPUT` drive: the words for the person who opens it, and the box's report files.

use std::collections::BTreeMap;

use anyhow::Context;

use super::{Job, read};

/// The folder of the tree whose files go onto the drive as they are, but for their line ends.
pub const FOLDER: &str = "image/stayput";
/// The commented configuration; a name that the box does not read.
pub const EXAMPLE: &str = "stayput.toml.example";

/// The files by name.
pub fn files(job: &Job<'_>) -> anyhow::Result<BTreeMap<String, Vec<u8>>> {
    let folder = job.tree.path(FOLDER);
    let mut files = BTreeMap::new();
    for entry in std::fs::read_dir(&folder).with_context(|| format!("could not list {}", folder.display()))? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let text =
            String::from_utf8(read(&path)?).with_context(|| format!("{} is not UTF-8", path.display()))?;
        files.insert(name, windows(&text));
    }
    files.insert(EXAMPLE.to_owned(), windows(&stayput_config::example()));
    for report in stayput_status::REPORT_FILES {
        files.insert(report.name.to_owned(), report.not_started()?);
    }
    Ok(files)
}

/// The drive is opened on any PC: line ends that every editor knows.
fn windows(text: &str) -> Vec<u8> {
    text.replace("\r\n", "\n").replace('\n', "\r\n").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_on_the_drive_is_one_that_the_box_would_take() {
        assert!(stayput_config::read(&windows(&stayput_config::example()), EXAMPLE).is_ok());
    }

    #[test]
    fn line_ends_are_those_of_windows_whatever_they_were() {
        assert_eq!(windows("a\nb\r\nc"), b"a\r\nb\r\nc");
    }
}
