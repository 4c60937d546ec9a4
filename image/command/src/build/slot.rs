//! A slot's boot partition: kernel, initramfs, device trees and boot script; and the loaders around it.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context;
use stayput_card::{addresses, cpio, kernel as arm64, script};
use stayput_health::Verity;
use stayput_kmod::{BoardModules, Catalogue, ModuleTable, Selection};
use stayput_packages::deb::EntryKind;

use super::{INIT, Job, read};
use crate::supply::{self, Opened};

/// QEMU's U-Boot beside the image: it takes the place of the board's boot ROM and loader.
pub const QEMU_UBOOT: &str = "qemu-u-boot.bin";

/// The kernel package, taken apart.
pub struct Kernel {
    /// `uname -r`.
    pub release: String,
    /// The uncompressed image.
    pub image: Vec<u8>,
    /// The modules that the root file system holds.
    pub root: Selection,
    /// The modules that the initramfs loads, in load order.
    pub initramfs: Selection,
    /// Device trees by the name in `board.toml`.
    pub device_trees: BTreeMap<String, Vec<u8>>,
}

/// What goes into the slot's boot partition and the loader's.
pub struct Slot {
    /// `boot.scr` of the loader partition.
    pub boot_script: Vec<u8>,
    /// The files of the slot's boot partition, by name.
    pub files: BTreeMap<String, Vec<u8>>,
}

impl Slot {
    /// Bytes in the boot partition.
    pub fn size(&self) -> u64 {
        self.files.values().map(|file| file.len() as u64).sum()
    }
}

/// Opens the kernel package and picks what the boards need.
pub fn kernel(job: &Job<'_>, packages: &[Opened]) -> anyhow::Result<(Kernel, String)> {
    let packages = packages.iter().filter(|package| package.features.contains("kernel"));
    let mut files: BTreeMap<&str, &[u8]> = BTreeMap::new();
    for entry in packages.flat_map(|package| &package.entries) {
        if let EntryKind::File(bytes) = &entry.kind {
            files.insert(&entry.path, bytes);
        }
    }
    let (release, image) = files
        .iter()
        .find_map(|(path, bytes)| Some((path.strip_prefix("boot/vmlinuz-")?, bytes)))
        .context("the kernel package holds no /boot/vmlinuz-*")?;
    let base = format!("usr/lib/modules/{release}/");
    let text = |name: &str| -> anyhow::Result<&[u8]> {
        files
            .get(format!("{base}{name}").as_str())
            .copied()
            .with_context(|| format!("the kernel package holds no /{base}{name}"))
    };
    let modules = files
        .iter()
        .filter_map(|(path, bytes)| Some((path.strip_prefix(&base)?, bytes)))
        .filter(|(path, _)| path.starts_with("kernel/"))
        .map(|(path, bytes)| (path.to_owned(), bytes.to_vec()))
        .collect();
    let catalogue = Catalogue::new(
        &modules,
        std::str::from_utf8(text("modules.builtin")?)?,
        text("modules.builtin.modinfo")?,
        std::str::from_utf8(text("modules.order")?)?,
    )?;
    let table = module_table(job)?;
    let of_boards: Vec<BoardModules> = job.boards.iter().map(|folder| of_board(&folder.board)).collect();
    let of_boards: Vec<&BoardModules> = of_boards.iter().collect();
    let kernel = Kernel {
        release: release.to_string(),
        image: image.to_vec(),
        root: catalogue.select(&table.root(&of_boards))?,
        initramfs: catalogue.select(&table.initramfs(&of_boards))?,
        device_trees: device_trees(job, &files, release)?,
    };
    let said = format!("Linux {release}, {} of {} modules", kernel.root.modules.len(), modules.len());
    Ok((kernel, said))
}

fn module_table(job: &Job<'_>) -> anyhow::Result<ModuleTable> {
    let path = job.tree.path("image/modules.toml");
    let text = String::from_utf8(read(&path)?).with_context(|| format!("{} is not UTF-8", path.display()))?;
    Ok(ModuleTable::parse("image/modules.toml", &text)?)
}

fn of_board(board: &stayput_health::board::Board) -> BoardModules {
    let names =
        |list: &[stayput_health::board::ModuleName]| list.iter().map(|name| name.to_string()).collect();
    BoardModules { initramfs: names(&board.modules.initramfs), root: names(&board.modules.root) }
}

fn device_trees(
    job: &Job<'_>,
    files: &BTreeMap<&str, &[u8]>,
    release: &str,
) -> anyhow::Result<BTreeMap<String, Vec<u8>>> {
    let mut trees = BTreeMap::new();
    for folder in &job.boards {
        let Some(dtb) = &folder.board.boot.dtb else { continue };
        let path = format!("usr/lib/linux-image-{release}/{dtb}");
        let bytes = files.get(path.as_str()).with_context(|| {
            format!(
                "{}/board.toml names the device tree {dtb}, which the kernel package does not hold",
                folder.folder
            )
        })?;
        trees.insert(dtb.to_string(), bytes.to_vec());
    }
    Ok(trees)
}

/// Kernel and initramfs as they lie in the slot: what takes time, and does not depend on the root file system.
pub fn compressed(job: &Job<'_>, kernel: &Kernel) -> anyhow::Result<BTreeMap<String, Vec<u8>>> {
    let mut files = BTreeMap::new();
    files.insert(script::KERNEL.to_owned(), arm64::gzip(&kernel.image));
    files.insert(script::INITRD.to_owned(), initramfs(job, kernel)?);
    Ok(files)
}

/// Adds what else is in the slot, its script with the hash of `root` among it, and proves that what they load does not
/// overlap in memory.
pub fn files(
    job: &Job<'_>,
    kernel: &Kernel,
    mut files: BTreeMap<String, Vec<u8>>,
    root: &Verity,
) -> anyhow::Result<Slot> {
    let header = arm64::Header::read(&kernel.image)?;
    let loader = String::from_utf8(read(&job.tree.path("board/loader.cmd"))?)
        .context("board/loader.cmd is not UTF-8")?;
    let names: Vec<String> =
        job.boards.iter().map(|folder| format!("{}/loader.cmd", folder.folder)).collect();
    let parts: Vec<_> = job
        .boards
        .iter()
        .zip(&names)
        .filter_map(|(folder, file)| {
            let text = folder.loader_script.as_deref()?;
            Some(script::BoardScript { board: &folder.board, file, text })
        })
        .collect();
    let boot_script =
        script::image("stayput boot", &script::loader("board/loader.cmd", &loader, &parts, &job.layout)?)?;

    let common =
        String::from_utf8(read(&job.tree.path("board/slot.cmd"))?).context("board/slot.cmd is not UTF-8")?;
    let names: Vec<String> = job.boards.iter().map(|folder| format!("{}/slot.cmd", folder.folder)).collect();
    let parts: Vec<_> = job
        .boards
        .iter()
        .zip(&names)
        .map(|(folder, file)| script::BoardScript { board: &folder.board, file, text: &folder.slot_script })
        .collect();
    for folder in &job.boards {
        if let (Some(path), Some(name)) = (&folder.board.boot.dtb, script::dtb_name(&folder.board)) {
            files.insert(name, kernel.device_trees[&path.to_string()].clone());
        }
    }
    let fits = script::Fits { root, files: &files };
    let slot_script = script::slot("board/slot.cmd", &common, &parts, &job.layout, fits)?;

    files.insert("slot.scr".to_owned(), script::image("stayput slot", &slot_script)?);
    let size =
        |files: &BTreeMap<String, Vec<u8>>, name: &str| files.get(name).map_or(0, |file| file.len() as u64);
    for folder in &job.boards {
        let dtb = script::dtb_name(&folder.board);
        let sizes = addresses::Sizes {
            kernel: header,
            kernel_unpacked: kernel.image.len() as u64,
            kernel_compressed: size(&files, script::KERNEL),
            initrd: size(&files, script::INITRD),
            dtb: dtb.map_or(0, |name| size(&files, &name)),
            script: size(&files, "slot.scr"),
        };
        addresses::check(&folder.board, &sizes)?;
    }
    Ok(Slot { boot_script, files })
}

/// The initramfs: our init and the modules it loads, in order.
fn initramfs(job: &Job<'_>, kernel: &Kernel) -> anyhow::Result<Vec<u8>> {
    let mut archive = cpio::Archive::new();
    archive.file("init", 0o755, job.program(INIT)?)?;
    // The kernel opens it for init's first three descriptors before anything is mounted.
    archive.character("dev/console", 0o600, 5, 1)?;
    let mut order = String::new();
    for name in &kernel.initramfs.load_order {
        let file = format!("{name}.ko");
        order += &format!("{file}\n");
        archive.file(&format!("modules/{file}"), 0o644, kernel.initramfs.decompressed(name)?)?;
    }
    archive.file("modules/load", 0o644, order.into_bytes())?;
    Ok(archive.zstd()?)
}

/// The loaders: the board's, which its boot ROM starts from the card, and QEMU's, which goes beside the image.
pub struct Loaders {
    /// None where the board brings its own.
    pub board: Option<Vec<u8>>,
    /// U-Boot for `-M virt`.
    pub qemu: Vec<u8>,
}

/// Finds the loaders in the opened packages.
pub fn loaders(job: &Job<'_>, packages: &[Opened]) -> anyhow::Result<Loaders> {
    let file =
        |package: &str, path: &str| supply::file(packages, package, Path::new(path)).map(<[u8]>::to_vec);
    let qemu = job.supply.taken(super::QEMU, packages)?.to_vec();
    let board = job.boards[0].board.loader.as_ref();
    let board = board.map(|loader| file(&loader.package, &loader.file.to_string())).transpose()?;
    Ok(Loaders { board, qemu })
}
