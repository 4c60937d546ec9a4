//! Opening a module file: plain, xz, zstd or gzip, by the ending that libkmod goes by too.

use std::borrow::Cow;
use std::io::{self, Read};

use crate::error::{Error, Result};

/// The largest module of a kernel without debug symbols is some 20 MB (amdgpu); beyond this it is a bomb.
const LARGEST: u64 = 128 << 20;
/// The dictionary of the strongest xz preset is 64 MiB; this leaves room for it and refuses more.
const XZ_MEMORY: u64 = 100 << 20;

/// How a module file is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Packing {
    Plain,
    Xz,
    Zstd,
    Gzip,
}

impl Packing {
    fn of_path(path: &str) -> Option<Self> {
        let (_, ending) = path.rsplit('/').next()?.split_once('.')?;
        match ending {
            "ko" => Some(Self::Plain),
            "ko.xz" => Some(Self::Xz),
            "ko.zst" => Some(Self::Zstd),
            "ko.gz" => Some(Self::Gzip),
            _ => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Xz => "xz",
            Self::Zstd => "zstd",
            Self::Gzip => "gzip",
        }
    }
}

/// Refuses a path that is no module file.
pub(crate) fn check_ending(path: &str) -> Result<()> {
    Packing::of_path(path).map(|_| ()).ok_or_else(|| Error::UnknownEnding { path: path.to_owned() })
}

/// The plain module within a file.
pub(crate) fn open<'a>(path: &str, bytes: &'a [u8]) -> Result<Cow<'a, [u8]>> {
    let packing = Packing::of_path(path).ok_or_else(|| Error::UnknownEnding { path: path.to_owned() })?;
    let plain = match packing {
        Packing::Plain => return Ok(Cow::Borrowed(bytes)),
        Packing::Xz => unxz(bytes),
        Packing::Zstd => match zstd::zstd_safe::get_frame_content_size(bytes) {
            // zstd can do without; libkmod 34 cannot, so the box could not load it.
            Ok(None | Some(0)) => return Err(Error::SizeNotStated { path: path.to_owned() }),
            Ok(Some(_)) => zstd::stream::read::Decoder::with_buffer(bytes).and_then(limited),
            Err(_) => Err(io::Error::new(io::ErrorKind::InvalidData, "no zstd frame")),
        },
        Packing::Gzip => limited(flate2::bufread::MultiGzDecoder::new(bytes)),
    };
    match plain {
        Ok(plain) if plain.len() as u64 > LARGEST => {
            Err(Error::TooLarge { path: path.to_owned(), limit: LARGEST })
        }
        Ok(plain) => Ok(Cow::Owned(plain)),
        Err(source) => Err(Error::Compressed { path: path.to_owned(), kind: packing.name(), source }),
    }
}

fn unxz(bytes: &[u8]) -> io::Result<Vec<u8>> {
    // Several streams in a row are one file, as for libkmod; anything else after the first is damage.
    let stream = liblzma::stream::Stream::new_stream_decoder(XZ_MEMORY, liblzma::stream::CONCATENATED)?;
    limited(liblzma::bufread::XzDecoder::new_stream(bytes, stream))
}

/// Reads to the end, or one byte past the limit.
fn limited(reader: impl Read) -> io::Result<Vec<u8>> {
    let mut plain = Vec::new();
    reader.take(LARGEST + 1).read_to_end(&mut plain)?;
    Ok(plain)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn packed(ending: &str, plain: &[u8]) -> Vec<u8> {
        match ending {
            "ko.xz" => {
                let mut out = liblzma::write::XzEncoder::new(Vec::new(), 6);
                out.write_all(plain).unwrap();
                out.finish().unwrap()
            }
            "ko.zst" => zstd::bulk::compress(plain, 3).unwrap(),
            "ko.gz" => {
                let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
                out.write_all(plain).unwrap();
                out.finish().unwrap()
            }
            _ => plain.to_vec(),
        }
    }

    const ENDINGS: [&str; 4] = ["ko", "ko.xz", "ko.zst", "ko.gz"];

    #[test]
    fn every_packing_gives_the_plain_module_back() {
        let plain: Vec<u8> = (0..100_000u32).flat_map(u32::to_le_bytes).collect();
        for ending in ENDINGS {
            let file = packed(ending, &plain);
            assert_eq!(*open(&format!("kernel/x.{ending}"), &file).unwrap(), plain, "{ending}");
        }
    }

    #[test]
    fn a_module_cut_short_is_refused_by_name_at_every_length() {
        let plain: Vec<u8> =
            (0..2_000u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
        for ending in &ENDINGS[1..] {
            let file = packed(ending, &plain);
            for cut in (0..file.len()).step_by(97).chain([1, file.len() - 1]) {
                let path = format!("kernel/x.{ending}");
                let message = match open(&path, &file[..cut]) {
                    Err(error) => error.to_string(),
                    Ok(_) => panic!("{ending} cut to {cut} of {} bytes was taken", file.len()),
                };
                assert!(message.starts_with(&path) && message.contains("cut short"), "{message}");
            }
        }
    }

    #[test]
    fn bytes_after_the_end_of_an_xz_module_are_refused() {
        let mut file = packed("ko.xz", b"module");
        file.extend_from_slice(b"junk");
        assert!(matches!(open("x.ko.xz", &file), Err(Error::Compressed { kind: "xz", .. })));
    }

    #[test]
    fn a_zstd_module_that_does_not_state_its_size_is_refused_because_the_box_could_not_load_it() {
        let file = zstd::stream::encode_all(&b"module"[..], 3).unwrap();
        assert!(matches!(open("x.ko.zst", &file), Err(Error::SizeNotStated { .. })));
    }

    #[test]
    fn a_file_that_is_not_what_its_ending_says_is_refused() {
        for ending in &ENDINGS[1..] {
            assert!(matches!(open(&format!("x.{ending}"), b"\x7fELF...."), Err(Error::Compressed { .. })));
        }
    }

    #[test]
    fn a_bomb_is_refused_at_the_limit() {
        let file = packed("ko.zst", &vec![0; LARGEST as usize + 1]);
        assert!(file.len() < 100_000);
        assert!(matches!(open("x.ko.zst", &file), Err(Error::TooLarge { .. })));
    }

    #[test]
    fn an_ending_that_libkmod_does_not_know_is_refused() {
        for path in ["x", "x.ko.lz4", "kernel/modules.order", "x.o", "a.b/x"] {
            assert!(matches!(open(path, b""), Err(Error::UnknownEnding { .. })), "{path}");
        }
    }
}
