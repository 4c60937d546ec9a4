//! `stayput show`: an image explains itself from its manifest.

use std::collections::BTreeMap;
use std::io::Write;

use crate::cli::ShowArgs;
use crate::manifest::{Content, Manifest};
use crate::tree::SourceTree;

/// The views of an image.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub enum What {
    /// Every package with its version and how much of the root file system is its
    Packages,
    /// Every path of the root file system with owner, mode, size and where it came from
    Files,
    /// The card from its first byte to its last
    Partitions,
    /// What takes the room: the image, its parts, the largest packages
    Sizes,
}

/// Runs the command.
pub fn run(tree: &SourceTree, args: &ShowArgs) -> anyhow::Result<()> {
    let manifest = Manifest::load(&tree.output(&args.board).join("manifest.json"))?;
    let text = match args.what {
        What::Packages => packages(&manifest),
        What::Files => files(&manifest),
        What::Partitions => partitions(&manifest),
        What::Sizes => sizes(&manifest),
    };
    match std::io::stdout().write_all(text.as_bytes()) {
        // `stayput show files | head` is not a failure.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => Ok(other?),
    }
}

fn packages(manifest: &Manifest) -> String {
    let shares = shares(manifest);
    let rows = manifest.packages.iter().map(|package| {
        let share = shares.get(package.name.as_str()).copied().unwrap_or(0);
        format!(
            "{:<44} {:<32} {:>10} {:>10}\n",
            package.name,
            package.version,
            size(package.download),
            size(share)
        )
    });
    format!("{:<44} {:<32} {:>10} {:>10}\n", "PACKAGE", "VERSION", ".DEB", "IN ROOT")
        + &rows.collect::<String>()
}

fn files(manifest: &Manifest) -> String {
    let rows = manifest.files.iter().map(|file| {
        let (bytes, arrow) = match &file.content {
            Content::Directory => (String::new(), "/".to_owned()),
            Content::Symlink { target } => (String::new(), format!(" -> {target}")),
            Content::File(blob) => (blob.size.to_string(), String::new()),
        };
        format!(
            "{:>5} {:>5}:{:<5} {bytes:>10} {:<24} /{}{arrow}\n",
            file.mode, file.uid, file.gid, file.source, file.path
        )
    });
    rows.collect()
}

fn partitions(manifest: &Manifest) -> String {
    let rows = manifest.partitions.iter().map(|part| {
        let number = part.number.map_or(String::new(), |number| number.to_string());
        let room = part.room.map_or("the rest".to_owned(), size);
        let (used, hash) = match &part.content {
            Some(blob) => (size(blob.size), &blob.sha256[..16]),
            None => ("empty".to_owned(), ""),
        };
        let line =
            format!("{number:>2} {:<12} {:>12} {room:>10} {used:>10}  {hash}\n", part.name, part.offset);
        let tree = part.hash_tree.as_ref().map(|tree| {
            let sizes = format!("{} checked by {} of hashes", size(tree.data_size), size(tree.tree_size));
            format!("   {:<12} {sizes}, root hash {}\n", "", tree.root)
        });
        line + &tree.unwrap_or_default()
    });
    format!("{:>2} {:<12} {:>12} {:>10} {:>10}  SHA-256\n", "#", "NAME", "OFFSET", "ROOM", "CONTENT")
        + &rows.collect::<String>()
}

fn sizes(manifest: &Manifest) -> String {
    let mut text = format!(
        "image        {:>10}  {}\ntoolchain    {}\n\n",
        size(manifest.image.size),
        manifest.image.sha256,
        manifest.toolchain.toolchain
    );
    text += &partitions(manifest);
    let mut shares: Vec<_> = shares(manifest).into_iter().collect();
    shares.sort_by_key(|&(name, bytes)| (std::cmp::Reverse(bytes), name));
    let total: u64 = shares.iter().map(|(_, bytes)| bytes).sum();
    text += &format!("\nRoot file system before compression: {}\n", size(total));
    for (name, bytes) in shares.iter().take(20) {
        text += &format!("{:>10}  {name}\n", size(*bytes));
    }
    text
}

/// Bytes of the root file system by where they came from.
fn shares(manifest: &Manifest) -> BTreeMap<&str, u64> {
    let mut shares = BTreeMap::new();
    for file in &manifest.files {
        if let Content::File(blob) = &file.content {
            *shares.entry(file.source.as_str()).or_default() += blob.size;
        }
    }
    shares
}

/// Bytes for people.
pub fn size(bytes: u64) -> String {
    match bytes {
        0..10_000 => format!("{bytes} B"),
        10_000..1_000_000 => format!("{:.0} kB", bytes as f64 / 1e3),
        _ => format!("{:.1} MB", bytes as f64 / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::size;

    #[test]
    fn sizes_are_short_and_in_thousands() {
        assert_eq!(size(512), "512 B");
        assert_eq!(size(37_732_288), "37.7 MB");
        assert_eq!(size(45_272), "45 kB");
    }
}
