//! The person's own partition, made again with their `stayput.toml` in it before anything is written.

use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::Path;

use anyhow::Context;
use stayput_card::{Layout, fat};
use stayput_config::{CaSource, LONGEST, Pem};

use super::usage;
use crate::image_file::ImageFile;

/// A file for the partition.
#[derive(Debug, PartialEq, Eq)]
pub struct Given {
    /// Its name there.
    pub name: String,
    /// Its bytes, as the person has them.
    pub bytes: Vec<u8>,
}

/// The configuration, checked as the box will check it, and the certificates that it names, from beside it.
pub fn files(config: &Path) -> anyhow::Result<Vec<Given>> {
    let bytes = read(config)?;
    let checked = stayput_config::read(&bytes, &config.display().to_string()).map_err(|findings| {
        usage(format!("{findings}\nThe box would refuse this file; nothing was written"))
    })?;
    for warning in &checked.warnings {
        eprintln!("{warning}");
    }
    let mut files = vec![Given { name: "stayput.toml".to_owned(), bytes }];
    for source in &checked.config.network.ca {
        let CaSource::File(name) = source else { continue };
        let path = config.with_file_name(name.as_str());
        let bytes = read(&path).context("the configuration names it as an authority")?;
        if let Err(flaw) = String::from_utf8_lossy(&bytes).parse::<Pem>() {
            return Err(usage(format!("{} {}: give certificates in PEM", path.display(), flaw.what)));
        }
        files.push(Given { name: name.as_str().to_owned(), bytes });
    }
    Ok(files)
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    let failed = |error| usage(format!("could not read {} ({error})", path.display()));
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(failed)?;
    // What is longer is refused by its reader; no more of it is needed for that.
    file.take(LONGEST as u64 + 1).read_to_end(&mut bytes).map_err(failed)?;
    Ok(bytes)
}

/// The partition's place on the card and its bytes, with these files in place of the image's of the same name.
pub fn partition(image: &ImageFile, layout: &Layout, given: Vec<Given>) -> anyhow::Result<(u64, Vec<u8>)> {
    let part = layout.partition("stayput")?;
    let kind = part.fat.as_ref().context("image/card.toml gives 'stayput' no fat")?;
    let mut bytes = vec![0; part.size as usize];
    image
        .file
        .read_exact_at(&mut bytes, part.start)
        .context("the image ends before its STAYPUT partition")?;
    let mut files = fat::files(&kind.label, &bytes)?;
    files.retain(|(name, _)| !given.iter().any(|file| file.name.eq_ignore_ascii_case(name)));
    files.extend(given.into_iter().map(|file| (file.name, file.bytes)));
    let files: Vec<_> = files.iter().map(|(name, bytes)| fat::File { name, bytes }).collect();
    Ok((part.start, fat::image(kind, part.size, &files)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::{Code, code};

    #[test]
    fn a_configuration_that_the_box_would_refuse_is_refused_with_its_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("stayput.toml");
        for text in
            [&b""[..], b"version = 1\n[devise]\n", b"\xff\xfe", b"version = 1\r\n[device", &[b' '; 1 << 20]]
        {
            std::fs::write(&path, text).unwrap();
            let error = files(&path).unwrap_err();
            assert_eq!(code(&error), Code::Usage, "{error}");
            assert!(error.to_string().contains("nothing was written"), "{error}");
        }
        assert!(files(folder.path()).unwrap_err().to_string().contains("could not read"));
    }

    #[test]
    fn given_files_take_the_place_of_those_of_the_same_name_and_leave_the_others() {
        let layout = Layout::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../card.toml")).unwrap();
        let part = layout.partition("stayput").unwrap();
        let old = [
            fat::File { name: "STAYPUT.TOML", bytes: b"old" },
            fat::File { name: "README.txt", bytes: b"read" },
        ];
        let made = fat::image(part.fat.as_ref().unwrap(), part.size, &old).unwrap();
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().write_all_at(&made, part.start).unwrap();
        let image = ImageFile::open(file.path()).unwrap();
        let given = Given { name: "stayput.toml".into(), bytes: b"new".to_vec() };
        let (start, bytes) = partition(&image, &layout, vec![given]).unwrap();
        assert_eq!(start, part.start);
        let files = fat::files("STAYPUT", &bytes).unwrap();
        let wanted =
            [("README.txt".to_owned(), b"read".to_vec()), ("stayput.toml".to_owned(), b"new".to_vec())];
        assert_eq!(files, wanted);
    }
}
