//! A card's partitions from outside: where they are, and what the tools of ext4 say of them.

use stayput_card::Layout;
use stayput_harness::Card;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The layout that the image was built with.
pub fn layout() -> Layout {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../image/card.toml");
    Layout::load(&path).expect("the tree's own table")
}

/// Where a partition begins and how long it is on this card: `data` as long as the card's table says.
pub fn place(card: &Card, name: &str) -> (u64, u64) {
    let layout = layout();
    let partition = layout.partition(name).expect("a partition of the table");
    if partition.number > 4 {
        return (partition.start, partition.size);
    }
    let line = 446 + 16 * (partition.number as usize - 1);
    let table = card.read(0, 512).expect("a first sector");
    let word = |at: usize| u64::from(u32::from_le_bytes(table[at..at + 4].try_into().expect("four bytes")));
    (word(line + 8) * 512, word(line + 12) * 512)
}

/// A copy of a partition as a file of its own, for tools that know no offsets.
pub fn take_out(card: &Card, name: &str, folder: &Path) -> PathBuf {
    let (at, length) = place(card, name);
    let file = folder.join(format!("{name}.part"));
    card.extract(at, length, &file).expect("a part of the card");
    file
}

/// Runs a tool of the host on a file.
pub fn tool(program: &str, arguments: &[&str], file: &Path) -> Output {
    let place = ["/usr/sbin", "/sbin"].map(|place| Path::new(place).join(program));
    let program =
        place.iter().find(|path| path.exists()).unwrap_or_else(|| panic!("{program} is not installed"));
    Command::new(program).args(arguments).arg(file).output().expect("a tool that starts")
}

/// What debugfs answers; with `-w` in `how` it may write.
pub fn debugfs(how: &str, request: &str, file: &Path) -> String {
    let output = tool("debugfs", &[how, "-R", request], file);
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Replays the journal of a copy and asserts that nothing else is wrong with it.
pub fn assert_sound(file: &Path) {
    let replayed = tool("e2fsck", &["-p", "-E", "journal_only"], file);
    assert!(matches!(replayed.status.code(), Some(0 | 1)), "{}: {replayed:?}", file.display());
    let checked = tool("e2fsck", &["-fn"], file);
    assert_eq!(checked.status.code(), Some(0), "{}: {checked:?}", file.display());
}
