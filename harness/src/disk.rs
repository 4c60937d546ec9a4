//! The disks of a machine: a throw-away layer over the card image, the probe's few KiB, the sibling's loader.

use crate::error::{Result, file};
use crate::process::tool;
use backhand::compression::Compressor;
use backhand::{FilesystemCompressor, FilesystemWriter, NodeHeader};
use std::fs::File;
use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The card that the machine sees: bigger than the image file, as a real card is, and a power of two, as
/// QEMU wants an SD card to be.
pub const CARD_SIZE: u64 = 4 << 30;

/// What qemu-img and qemu-io count in.
const SECTOR: usize = 512;

/// Where Allwinner's boot ROM looks for the loader.
const SPL_OFFSET: u64 = 8 * 1024;

/// An empty qcow2 layer over `image`: every write of the machine lands there, the image stays as it is.
pub fn overlay(image: &Path, overlay: &Path) -> Result<()> {
    let image = image.canonicalize().map_err(file("find", image))?;
    File::open(&image).map_err(file("open", &image))?;
    let mut command = Command::new("qemu-img");
    command
        .args(["create", "-q", "-f", "qcow2", "-F", "raw", "-b"])
        .arg(image)
        .arg(overlay)
        .arg(CARD_SIZE.to_string());
    tool(&mut command, "qemu-utils").map(drop)
}

/// Puts another board's loader over the one in the image, in the layer only.
pub fn replace_loader(overlay: &Path, loader: &Path, scratch: &Path) -> Result<()> {
    let mut bytes = std::fs::read(loader).map_err(file("read", loader))?;
    bytes.resize(bytes.len().next_multiple_of(SECTOR), 0);
    write(overlay, SPL_OFFSET, &bytes, scratch)
}

/// Writes whole sectors into the layer of a machine that is off; `scratch` is a file that may be overwritten.
pub fn write(overlay: &Path, at: u64, bytes: &[u8], scratch: &Path) -> Result<()> {
    std::fs::write(scratch, bytes).map_err(file("write", scratch))?;
    let order = format!("write -q -s {} {at} {}", scratch.display(), bytes.len());
    tool(Command::new("qemu-io").args(["-f", "qcow2", "-c", &order]).arg(overlay), "qemu-utils").map(drop)
}

/// Reads whole sectors of the card of a machine that is off; `scratch` is a file that may be overwritten.
pub fn read(overlay: &Path, at: u64, length: u64, scratch: &Path) -> Result<Vec<u8>> {
    // As large as both numbers allow: qemu-img reads block by block.
    let block = [1_u64 << 20, SECTOR as u64]
        .into_iter()
        .find(|block: &u64| at.is_multiple_of(*block) && length.is_multiple_of(*block));
    let block = block.unwrap_or(1);
    let mut command = Command::new("qemu-img");
    command.args(["dd", "-f", "qcow2", "-O", "raw", &format!("bs={block}")]);
    // It counts from the card's start to the end, what is skipped included.
    command.arg(format!("skip={}", at / block)).arg(format!("count={}", (at + length) / block));
    command.arg(named("if=", overlay)).arg(named("of=", scratch));
    tool(&mut command, "qemu-utils")?;
    let bytes = std::fs::read(scratch).map_err(file("read", scratch))?;
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    // Zeros at the end may be left out.
    let mut bytes = bytes.get(..length.min(bytes.len())).unwrap_or_default().to_vec();
    bytes.resize(length, 0);
    Ok(bytes)
}

/// Keeps the layer of a machine that is off under a name, or goes back to it.
pub fn snapshot(overlay: &Path, order: Keep<'_>) -> Result<()> {
    let (flag, name) = match order {
        Keep::As(name) => ("-c", name),
        Keep::BackTo(name) => ("-a", name),
    };
    tool(Command::new("qemu-img").args(["snapshot", "-q", flag, name]).arg(overlay), "qemu-utils").map(drop)
}

/// What [`snapshot`] does.
#[derive(Debug, Clone, Copy)]
pub enum Keep<'a> {
    /// Keep it under this name.
    As(&'a str),
    /// Make it what it was then.
    BackTo(&'a str),
}

fn named(key: &str, path: &Path) -> std::ffi::OsString {
    let mut word = std::ffi::OsString::from(key);
    word.push(path);
    word
}

/// A read-only disk with one executable file: a squashfs, because the image mounts one anyway.
pub fn probe(program: &Path, disk: &Path) -> Result<()> {
    let bytes = std::fs::read(program).map_err(file("read", program))?;
    let made = || -> Result<Vec<u8>, backhand::BackhandError> {
        let mut writer = FilesystemWriter::default();
        writer.set_compressor(FilesystemCompressor::new(Compressor::Zstd, None)?);
        writer.set_root_mode(0o755);
        writer.set_time(0);
        let header = NodeHeader { permissions: 0o755, ..NodeHeader::default() };
        writer.push_file(Cursor::new(bytes), "stayput-probe", header)?;
        let mut out = Cursor::new(Vec::new());
        writer.write(&mut out)?;
        Ok(out.into_inner())
    };
    let mut image = made().map_err(|error| file("write", disk)(std::io::Error::other(error)))?;
    // A block device has whole sectors.
    image.resize(image.len().next_multiple_of(4096), 0);
    std::fs::write(disk, image).map_err(file("write", disk))
}

/// A path as one value inside a comma-separated QEMU option.
pub fn option_path(path: &Path) -> PathBuf {
    let text = path.as_os_str().as_encoded_bytes();
    let mut out = Vec::with_capacity(text.len());
    for &byte in text {
        out.push(byte);
        if byte == b',' {
            out.push(b',');
        }
    }
    PathBuf::from(<std::ffi::OsString as std::os::unix::ffi::OsStringExt>::from_vec(out))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comma_in_a_path_does_not_end_the_option() {
        assert_eq!(option_path(Path::new("/a,b/c")), Path::new("/a,,b/c"));
    }

    #[test]
    fn the_probes_disk_is_a_squashfs_with_one_executable() {
        let dir = tempfile::tempdir().unwrap();
        let (program, disk) = (dir.path().join("p"), dir.path().join("d"));
        std::fs::write(&program, b"\x7fELF probe").unwrap();
        probe(&program, &disk).unwrap();
        let read =
            backhand::FilesystemReader::from_reader(std::io::BufReader::new(File::open(&disk).unwrap()))
                .unwrap();
        let names: Vec<_> =
            read.files().map(|node| (node.fullpath.display().to_string(), node.header.permissions)).collect();
        assert_eq!(names, [("/".to_owned(), 0o755), ("/stayput-probe".to_owned(), 0o755)]);
        assert_eq!(std::fs::metadata(&disk).unwrap().len() % 4096, 0);
    }

    #[test]
    fn what_is_written_into_the_layer_is_read_from_it_and_gone_after_going_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        std::fs::write(path("image"), vec![7; 1 << 20]).unwrap();
        if let Err(error) = overlay(&path("image"), &path("layer")) {
            eprintln!("NOT CHECKED: {error}");
            return;
        }
        let read = |at| read(&path("layer"), at, 1024, &path("out")).unwrap();
        snapshot(&path("layer"), Keep::As("before")).unwrap();
        write(&path("layer"), 512, &[9; 512], &path("in")).unwrap();
        assert_eq!(read(0), [[7; 512], [9; 512]].concat());
        // Behind the image there is nothing.
        assert_eq!(read(CARD_SIZE - 1024), [0; 1024]);
        snapshot(&path("layer"), Keep::BackTo("before")).unwrap();
        assert_eq!(read(0), [7; 1024]);
        assert_eq!(std::fs::read(path("image")).unwrap(), vec![7; 1 << 20]);
    }

    #[test]
    fn an_image_that_is_not_there_is_named_before_qemu_is_asked() {
        let dir = tempfile::tempdir().unwrap();
        let error = overlay(&dir.path().join("sdcard.img"), &dir.path().join("o")).unwrap_err().to_string();
        assert!(error.contains("sdcard.img"), "{error}");
    }
}
