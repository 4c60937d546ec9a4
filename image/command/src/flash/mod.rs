//! `stayput flash`: puts an image onto a card, reads it back, and never overwrites what it was not meant to.

mod contents;
mod disks;
mod person;
mod write;

use std::fs::File;
use std::io::{BufRead, IsTerminal, Seek, SeekFrom};
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::time::Instant;

use anyhow::Context;
use rustix::fs::OFlags;
use stayput_card::{Layout, mbr};

use crate::cli::FlashArgs;
use crate::exit::{Code, Fault, with_sudo};
use crate::image_file::ImageFile;
use crate::manifest::Manifest;
use crate::progress::Steps;
use crate::show::size;
use crate::tree::SourceTree;
use disks::{Disk, Found, Kernel};
use write::{Marks, Source};

/// Runs the command.
pub fn run(tree: &SourceTree, args: &FlashArgs, steps: &mut Steps) -> anyhow::Result<()> {
    let layout = Layout::load(&tree.path("image/card.toml"))?;
    let machine = Machine::read()?;
    let Some(named) = &args.device else {
        print!("{}", listing(&disks::list(&machine.kernel())?, layout.end()));
        return Err(usage("no card named: stayput flash DEVICE".to_owned()));
    };
    let given = args.config.as_deref().map(person::files).transpose()?;
    let (mut card, said) = match args.to_file {
        true => open_file(named, layout.end())?,
        false => open_disk(&machine, named, args, layout.end())?,
    };
    let image = image(tree, args, &layout, steps)?;
    let instead = given.map(|given| person::partition(&image, &layout, given)).transpose()?;
    let source = Source { image: &image.file, size: image.size, instead };
    let room = card
        .seek(SeekFrom::End(0))
        .with_context(|| format!("could not find the end of {}", named.display()))?;
    if room < layout.end() {
        // Sysfs and the device itself should agree.
        return Err(usage(format!(
            "{} has {room} bytes, too few: {} are needed",
            named.display(),
            layout.end()
        )));
    }
    let found = contents::look(&mut Unaligned(&card, 0), &layout)
        .with_context(|| format!("could not read {}: pulled out or faulty", named.display()))?;
    eprintln!("{said}\n{}", found.text);
    confirm(args, named)?;

    let started = Instant::now();
    // A box's own partitions are not written to, not even for a moment.
    let marks = (!found.kept).then(|| Marks::put(&mut card, source.size, room)).transpose().map_err(coded)?;
    let speed = |since: Instant| size((source.size as f64 / since.elapsed().as_secs_f64().max(1e-3)) as u64);
    steps.step("Writing", |step| {
        let begun = Instant::now();
        write::write(&mut card, &source, step).map_err(coded)?;
        Ok(((), format!("{}, {}/s", size(source.size), speed(begun))))
    })?;
    steps.step("Reading back", |step| {
        let begun = Instant::now();
        write::check(&mut card, &source, step).map_err(coded)?;
        if let Some(marks) = marks {
            marks.check(&mut card).map_err(coded)?;
        }
        Ok(((), format!("identical, {}/s", speed(begun))))
    })?;
    let with = if source.instead.is_some() { " with its stayput.toml" } else { "" };
    println!(
        "{} holds the image{with}: {} written and read back in {:.1} s.",
        named.display(),
        size(source.size),
        started.elapsed().as_secs_f64()
    );
    Ok(())
}

/// A card that keeps something else than it was given is a matter of integrity, not of a failed write.
fn coded(error: write::Error) -> anyhow::Error {
    match error {
        write::Error::Differs { .. } | write::Error::Lies { .. } => {
            Fault::new(Code::Integrity, error.to_string()).into()
        }
        other => other.into(),
    }
}

fn usage(message: String) -> anyhow::Error {
    Fault::new(Code::Usage, message).into()
}

/// What this machine's kernel says right now.
struct Machine {
    mounts: String,
    swaps: String,
}

impl Machine {
    fn read() -> anyhow::Result<Self> {
        // Mount points may be any bytes.
        let text = |path| std::fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        let mounts = text("/proc/self/mountinfo").context("could not read which disks are mounted")?;
        Ok(Self { mounts, swaps: text("/proc/swaps").unwrap_or_default() })
    }

    fn kernel(&self) -> Kernel<'_> {
        Kernel { sysfs: Path::new("/sys"), mounts: &self.mounts, swaps: &self.swaps }
    }
}

/// The disks that could be cards, and why some of them are not.
fn listing(disks: &[Disk], needed: u64) -> String {
    let removable = disks.iter().filter(|disk| disk.removable && disk.bytes > 0);
    let rows = removable.map(|disk| {
        let note =
            disk.refusal(needed, false).map_or(String::new(), |refusal| format!("  not now: {refusal}"));
        format!("  {:<14} {:>10}  {}{note}\n", disk.node().display(), size(disk.bytes), disk.model)
    });
    match rows.collect::<String>() {
        rows if rows.is_empty() => "This machine has no removable disk with a card in it.\n".to_owned(),
        rows => format!("Removable disks of this machine:\n{rows}"),
    }
}

/// The image, checked against the manifest beside it and against the table that the rest goes by.
fn image(
    tree: &SourceTree,
    args: &FlashArgs,
    layout: &Layout,
    steps: &mut Steps,
) -> anyhow::Result<ImageFile> {
    let path = args.image.clone().unwrap_or_else(|| tree.output(&args.board).join("sdcard.img"));
    if !path.is_file() {
        return Err(usage(format!("no image at {}: run `stayput build` first", path.display())));
    }
    let image = ImageFile::open(&path)?;
    let mut sector = [0; 512];
    let table = &mbr::table(layout)[0].bytes;
    if image.file.read_exact_at(&mut sector, 0).is_err() || sector != *table || image.size % 4096 != 0 {
        let message =
            format!("{} is not an image with the partition table of image/card.toml", path.display());
        return Err(Fault::new(Code::Integrity, message).into());
    }
    let beside = path.with_file_name("manifest.json");
    if !beside.is_file() {
        eprintln!("No manifest.json beside {}: what is written is not checked against one.", path.display());
        return Ok(image);
    }
    let manifest = Manifest::load(&beside)?;
    steps.step("Checking the image", |step| {
        let blob = image.blob(step)?;
        if blob != manifest.image {
            let message = format!(
                "{} is not what its manifest says (SHA-256 {}, not {}): build or download it again",
                path.display(),
                blob.sha256,
                manifest.image.sha256
            );
            return Err(Fault::new(Code::Integrity, message).into());
        }
        Ok(((), blob.sha256[..16].to_owned()))
    })?;
    Ok(image)
}

/// A regular file in place of a card, which must be there: nothing is made by mistake.
fn open_file(path: &Path, needed: u64) -> anyhow::Result<(File, String)> {
    let failed = || format!("could not open {}", path.display());
    let about = std::fs::metadata(path).with_context(failed)?;
    if !about.is_file() || about.len() < needed {
        let message =
            format!("{} is no file of at least {needed} bytes: make it with truncate --size", path.display());
        return Err(usage(message));
    }
    let file = File::options().read(true).write(true).open(path).with_context(failed)?;
    Ok((file, format!("{}: a file of {}.", path.display(), size(about.len()))))
}

/// The disk, if it may be overwritten; held so that nothing can mount it meanwhile.
fn open_disk(
    machine: &Machine,
    path: &Path,
    args: &FlashArgs,
    needed: u64,
) -> anyhow::Result<(File, String)> {
    let about =
        std::fs::metadata(path).map_err(|error| usage(format!("no disk {} ({error})", path.display())))?;
    if !about.file_type().is_block_device() {
        return Err(usage(format!("{} is not a disk; `stayput flash` lists them", path.display())));
    }
    let number = |about: &std::fs::Metadata| {
        format!("{}:{}", rustix::fs::major(about.rdev()), rustix::fs::minor(about.rdev()))
    };
    let disk = match disks::find(&machine.kernel(), &number(&about))? {
        Found::Disk(disk) => disk,
        Found::Partition(disk) => {
            return Err(usage(format!(
                "{} is a partition: name the whole card, /dev/{disk}",
                path.display()
            )));
        }
        Found::Unknown => return Err(usage(format!("{} is no disk that the kernel lists", path.display()))),
    };
    let really = args.really.as_ref().is_some_and(|really| really == path);
    if let Some(refusal) = disk.refusal(needed, really) {
        return Err(usage(refusal.to_string()));
    }
    let card = open_exclusively(path)?;
    if number(&card.metadata()?) != number(&about) {
        return Err(usage(format!("{} was just exchanged for another disk: run it again", path.display())));
    }
    let model = if disk.model.is_empty() { "of no name" } else { &disk.model };
    let said = format!("{}: {}, {model}.", path.display(), size(disk.bytes));
    Ok((card, said))
}

/// O_EXCL on a disk: the kernel refuses it while anything of it is mounted or held, and refuses to mount it while we
/// hold it. O_DIRECT: what is read back comes from the card, not from memory.
fn open_exclusively(path: &Path) -> anyhow::Result<File> {
    let open = |flags: OFlags| {
        let flags = (flags | OFlags::EXCL).bits().cast_signed();
        File::options().read(true).write(true).custom_flags(flags).open(path)
    };
    let opened = match open(OFlags::DIRECT) {
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::INVAL.raw_os_error()) => {
            open(OFlags::empty())
        }
        opened => opened,
    };
    opened.map_err(|error| match error.kind() {
        std::io::ErrorKind::PermissionDenied => {
            let message = format!("no permission to write to {}: run `{}`", path.display(), with_sudo());
            Fault::new(Code::Storage, message).into()
        }
        std::io::ErrorKind::ResourceBusy => usage(format!(
            "{} is in use by something on this machine: unmount or close it first",
            path.display()
        )),
        _ => anyhow::Error::from(error).context(format!("could not open {}", path.display())),
    })
}

/// Asks on a terminal; elsewhere only `--yes` says yes.
fn confirm(args: &FlashArgs, card: &Path) -> anyhow::Result<()> {
    if args.yes {
        return Ok(());
    }
    if !std::io::stdin().is_terminal() {
        return Err(usage("nobody to ask whether to overwrite it: add --yes if that is meant".to_owned()));
    }
    eprint!("Overwrite {}? [y/N] ", card.display());
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer).context("could not read the answer")?;
    match answer.trim().to_ascii_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => Err(usage("nothing was written".to_owned())),
    }
}

/// Reads small pieces from a file that was opened for O_DIRECT, which takes only whole aligned blocks.
struct Unaligned<'a>(&'a File, u64);

impl std::io::Read for Unaligned<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> std::io::Result<usize> {
        let (count, block) = write::read_block(self.0, self.1)?;
        let from = (self.1 % block.len() as u64) as usize;
        let length = bytes.len().min(count.saturating_sub(from));
        bytes[..length].copy_from_slice(&block[from..from + length]);
        self.1 += length as u64;
        Ok(length)
    }
}

impl Seek for Unaligned<'_> {
    fn seek(&mut self, to: SeekFrom) -> std::io::Result<u64> {
        let SeekFrom::Start(at) = to else { return Err(std::io::ErrorKind::Unsupported.into()) };
        self.1 = at;
        Ok(at)
    }
}
