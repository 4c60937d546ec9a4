//! An image as a file that can be read anywhere: as it is, or unpacked from its `.zst` first.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use sha2::{Digest, Sha256};
use stayput_packages::Progress;

use crate::exit::{Code, Fault};
use crate::manifest::Blob;

/// How a zstd frame begins.
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// No image is larger: its parts end with slot A. A compressed file that goes on is a bomb, not an image.
const LARGEST: u64 = 4 << 30;
/// Zeros of this length become a hole in the unpacked file.
const HOLE: usize = 1 << 16;

/// An image, open for reading.
#[derive(Debug)]
pub struct ImageFile {
    /// What the person named.
    pub path: PathBuf,
    /// The image itself: that file, or a nameless temporary one.
    pub file: File,
    /// Bytes of the image, unpacked.
    pub size: u64,
}

impl ImageFile {
    /// Opens an image, `.zst` or not: its first bytes tell.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        let failed = || format!("could not read {}", path.display());
        let mut file = File::open(path).with_context(failed)?;
        let mut start = Vec::new();
        (&mut file).take(4).read_to_end(&mut start).with_context(failed)?;
        file.rewind().with_context(failed)?;
        if start == ZSTD {
            file = unpack(path, file)?;
        }
        let size = file.seek(SeekFrom::End(0)).with_context(failed)?;
        Ok(Self { path: path.to_owned(), file, size })
    }

    /// Size and hash of the image.
    pub fn blob(&self, progress: &dyn Progress) -> anyhow::Result<Blob> {
        progress.total(self.size);
        let (mut sum, mut at, mut buffer) = (Sha256::new(), 0, vec![0; 1 << 20]);
        while at < self.size {
            let length = buffer.len().min((self.size - at) as usize);
            let read = self.file.read_exact_at(&mut buffer[..length], at);
            read.with_context(|| format!("could not read {}", self.path.display()))?;
            sum.update(&buffer[..length]);
            progress.advance(length as u64);
            at += length as u64;
        }
        Ok(Blob { size: self.size, sha256: hex::encode(sum.finalize()) })
    }
}

/// The content of a `.zst` in a nameless file, holes where there is nothing.
fn unpack(path: &Path, packed: File) -> anyhow::Result<File> {
    let broken = |error: std::io::Error| {
        let message =
            format!("{} is not a whole zstd file ({error}): download or build it again", path.display());
        anyhow::Error::from(Fault::new(Code::Integrity, message))
    };
    let no_room =
        "could not unpack the image into a temporary file; set TMPDIR to a folder with 300 MB of room";
    let mut from = zstd::Decoder::new(packed).map_err(broken)?;
    let mut file = tempfile::tempfile().context(no_room)?;
    let (mut buffer, mut size) = (vec![0; HOLE], 0);
    loop {
        let mut length = 0;
        while length < HOLE {
            match from.read(&mut buffer[length..]).map_err(broken)? {
                0 => break,
                count => length += count,
            }
        }
        if length == 0 {
            file.set_len(size).context(no_room)?;
            return Ok(file);
        }
        if buffer[..length].iter().any(|byte| *byte != 0) {
            file.seek(SeekFrom::Start(size)).context(no_room)?;
            file.write_all(&buffer[..length]).context(no_room)?;
        }
        size += length as u64;
        if size > LARGEST {
            let message = format!("{} unpacks to more than 4 GiB: it is no Stayput image", path.display());
            return Err(Fault::new(Code::Integrity, message).into());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(bytes: &[u8]) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(bytes).unwrap();
        file
    }

    fn content() -> Vec<u8> {
        let mut bytes = vec![0; 300_001];
        bytes[200_000..].fill(7);
        bytes
    }

    #[test]
    fn a_packed_image_reads_like_the_image() {
        let packed = written(&zstd::encode_all(&content()[..], 3).unwrap());
        for file in [packed, written(&content())] {
            let image = ImageFile::open(file.path()).unwrap();
            let mut bytes = vec![0; image.size as usize];
            image.file.read_exact_at(&mut bytes, 0).unwrap();
            assert!(bytes == content());
        }
    }

    #[test]
    fn a_packed_image_cut_short_is_an_integrity_failure() {
        let packed = zstd::encode_all(&content()[..], 3).unwrap();
        let error = ImageFile::open(written(&packed[..packed.len() - 5]).path()).unwrap_err();
        assert_eq!(crate::exit::code(&error), Code::Integrity, "{error}");
    }

    #[test]
    fn an_empty_file_has_no_bytes_and_is_left_to_the_caller() {
        assert_eq!(ImageFile::open(written(b"").path()).unwrap().size, 0);
    }
}
