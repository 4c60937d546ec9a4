//! `stayput verify`: says of every part of an image or a card whether it is what was built.

mod builds;
mod compare;
mod places;
mod table;

use std::fs::File;
use std::io::{Seek, SeekFrom};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::cli::VerifyArgs;
use crate::exit::{Code, Fault, with_sudo};
use crate::image_file::ImageFile;
use crate::manifest::Manifest;
use crate::progress::Steps;
use crate::show::size;
use crate::tree::SourceTree;
use compare::{Row, Subject, Verdict};

/// Runs the command. The source tree is asked for only where neither manifest is named nor one lies beside the image.
pub fn run(
    tree: impl FnOnce() -> anyhow::Result<SourceTree>,
    args: &VerifyArgs,
    steps: &mut Steps,
) -> anyhow::Result<()> {
    let about = std::fs::metadata(&args.subject)
        .with_context(|| format!("could not find {}", args.subject.display()))?;
    let device = about.file_type().is_block_device();
    if !device && !about.is_file() {
        let message = format!("{} is neither an image file nor a card", args.subject.display());
        return Err(Fault::new(Code::Usage, message).into());
    }
    let place = manifest_place(tree, args, device)?;
    let manifest = Manifest::load(&place)?;
    let (mut file, size_of_subject) = match device {
        true => open_card(&args.subject)?,
        false => ImageFile::open(&args.subject).map(|image| (image.file, image.size))?,
    };
    let mut reference = reference(args, &place, about.ino())?;
    let rows = steps.step("Comparing", |step| {
        let mut subject = Subject {
            path: args.subject.clone(),
            bytes: &mut file,
            size: size_of_subject,
            device,
            pristine: args.pristine,
        };
        let rows = compare::compare(&manifest, &mut subject, reference.as_mut(), step)?;
        Ok((rows, size(manifest.image.size)))
    })?;
    for row in &rows {
        println!("{}", line(row));
    }
    if args.pristine && rows.iter().any(|row| matches!(row.verdict, Verdict::Different(_))) {
        why(&manifest, &place, &args.subject);
    }
    verdict(&rows, &manifest, reference.is_some())
}

/// Files are named up to here.
const MOST_FILES: usize = 20;

/// An image with a manifest of its own is another build: the two say what they were made from and what is in them.
fn why(manifest: &Manifest, place: &Path, subject: &Path) {
    let beside = subject.with_file_name("manifest.json");
    let same = |a: &Path, b: &Path| a.canonicalize().ok() == b.canonicalize().ok();
    if same(&beside, place) {
        return;
    }
    let Ok(theirs) = Manifest::load(&beside) else { return };
    for line in builds::differences(manifest, &theirs, MOST_FILES) {
        println!("  {line}");
    }
}

/// What was named, what lies beside an image, or what the tree built.
fn manifest_place(
    tree: impl FnOnce() -> anyhow::Result<SourceTree>,
    args: &VerifyArgs,
    device: bool,
) -> anyhow::Result<PathBuf> {
    if let Some(named) = &args.manifest {
        return Ok(named.clone());
    }
    let beside = args.subject.with_file_name("manifest.json");
    if !device && beside.is_file() {
        return Ok(beside);
    }
    let tree = tree().context("which manifest? Name it with --manifest FILE")?;
    Ok(tree.output(&args.board).join("manifest.json"))
}

/// The image itself: named, or beside the manifest; not the very file that is looked at.
fn reference(args: &VerifyArgs, manifest: &Path, subject: u64) -> anyhow::Result<Option<ImageFile>> {
    if let Some(named) = &args.reference {
        return ImageFile::open(named).map(Some);
    }
    for name in ["sdcard.img", "sdcard.img.zst"] {
        let path = manifest.with_file_name(name);
        if std::fs::metadata(&path).is_ok_and(|about| about.is_file() && about.ino() != subject) {
            return ImageFile::open(&path).map(Some);
        }
    }
    Ok(None)
}

/// Opens a card and forgets what the machine remembers of it: what is compared comes from the card.
fn open_card(path: &Path) -> anyhow::Result<(File, u64)> {
    let failed = || format!("could not read {}", path.display());
    let mut file = match File::open(path) {
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            let message = format!("no permission to read {}: run `{}`", path.display(), with_sudo());
            return Err(Fault::new(Code::Storage, message).into());
        }
        opened => opened.with_context(failed)?,
    };
    let size = file.seek(SeekFrom::End(0)).with_context(failed)?;
    let _ = rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed);
    Ok((file, size))
}

fn line(row: &Row) -> String {
    let (word, note) = match &row.verdict {
        Verdict::Identical(note) => ("identical", note),
        Verdict::Different(note) => ("DIFFERENT", note),
        Verdict::Variable(note) => ("variable by design", note),
    };
    format!("{:<15} {word:<18} {note}", row.part).trim_end().to_owned()
}

fn verdict(rows: &[Row], manifest: &Manifest, with_reference: bool) -> anyhow::Result<()> {
    let named = |wanted: fn(&Verdict) -> bool| {
        rows.iter().filter(|row| wanted(&row.verdict)).map(|row| row.part.as_str()).collect::<Vec<_>>()
    };
    let different = named(|verdict| matches!(verdict, Verdict::Different(_)));
    if different.is_empty() {
        println!("Everything that must not change is that of image {}.", manifest.image.sha256);
        let variable = named(|verdict| matches!(verdict, Verdict::Variable(_)));
        if !variable.is_empty() {
            println!("No part of that, because a box or a person writes there: {}.", variable.join(", "));
        }
        return Ok(());
    }
    let hint = match with_reference {
        true => "",
        false => " (with the image itself beside the manifest, bytes and files are named)",
    };
    let message = format!("different from image {}: {}{hint}", manifest.image.sha256, different.join(", "));
    Err(Fault::new(Code::Integrity, message).into())
}
