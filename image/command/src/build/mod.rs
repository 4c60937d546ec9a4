//! `stayput build`: from locked packages to `output/<board>/sdcard.img`, step by step.

mod card;
mod crates;
mod drive;
mod inputs;
mod licences;
mod outputs;
mod root;
mod sbom;
mod slot;

pub use slot::QEMU_UBOOT;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::Context;
use stayput_toolchain as toolchain;
use stayput_toolchain::Program;

use crate::boards::{self, BoardFolder};
use crate::cli::{BuildArgs, FetchArgs};
use crate::exit::{Code, Fault};
use crate::manifest::{Blob, Manifest};
use crate::progress::Steps;
use crate::show::size;
use crate::supply::{Opened, Supply};
use crate::tree::{SourceTree, cache_dir};

/// The crates whose programs run on the box.
const APPLIANCE: &[&str] = &[INIT, BOX];
/// The program that the kernel starts.
const INIT: &str = "stayput-init";
/// The program of all other parts.
const BOX: &str = "stayput-box";
/// The features of the package list that a build reads: what goes into an image, and QEMU's boot loader beside it.
const FEATURES: &[&str] = &["base", "door", "engine", "kernel", "loader", QEMU];
/// QEMU's boot loader.
const QEMU: &str = "qemu";
/// The loader of the board's 32-bit sibling, for a test.
const H3: &str = "test-h3";
/// Those of them whose packages make up the root file system.
const ROOT_FEATURES: &[&str] = &["base", "door", "engine"];
/// The tests' programs for the box: their eyes there, and the box's own program with a leak in it.
const PROBE: &str = "stayput-probe";
const LEAKER: &str = "stayput-leaker";

/// The features whose packages are in the image.
fn image_features() -> Vec<&'static str> {
    FEATURES.iter().copied().filter(|feature| *feature != QEMU).collect()
}

/// Everything that the steps of a build share.
struct Job<'a> {
    tree: &'a SourceTree,
    boards: Vec<BoardFolder>,
    layout: stayput_card::Layout,
    supply: Supply,
    toolchain: toolchain::Record,
    programs: Vec<Program>,
    /// The licence texts of the compiler's own library.
    licences: BTreeMap<String, String>,
    output: PathBuf,
    /// A quick build: weaker compression as well as a quicker compiler.
    dev: bool,
    /// The programs were brought and not compiled here.
    given: bool,
}

impl Job<'_> {
    /// The bytes of one of the box's programs.
    fn program(&self, name: &str) -> anyhow::Result<Vec<u8>> {
        let found = self.programs.iter().find(|program| program.name == name);
        read(&found.with_context(|| format!("{name} was not built"))?.path)
    }

    /// How the programs were compiled, for the manifest; `given` where nobody here knows.
    fn profile(&self) -> &'static str {
        if self.given { "given" } else { profile(self.dev).as_str() }
    }
}

/// Runs the command.
pub fn run(tree: &SourceTree, args: &BuildArgs, steps: &mut Steps) -> anyhow::Result<()> {
    let (output, manifest) = build(tree, args, steps)?;
    let image = output.join("sdcard.img");
    let shown = image.strip_prefix(std::env::current_dir()?).unwrap_or(&image);
    println!("{}  {}  {}", manifest.image.sha256, size(manifest.image.size), shown.display());
    if manifest.toolchain.toolchain == toolchain::Kind::Fallback {
        println!("toolchain: fallback (the image works; its hash is not the published one)");
    }
    if args.dev {
        println!("profile: box-dev (for work on the box's programs; its hash is not the published one)");
    }
    Ok(())
}

/// Builds the image unless it is there already, made from exactly these inputs.
fn build(tree: &SourceTree, args: &BuildArgs, steps: &mut Steps) -> anyhow::Result<(PathBuf, Manifest)> {
    let boards = boards::of_image(tree, &args.board)?;
    let layout = stayput_card::Layout::load(&tree.path("image/card.toml"))?;
    let supply = Supply::open(tree, &args.mirror, args.offline)?;
    let output = tree.output(&args.board);
    std::fs::create_dir_all(&output).with_context(|| format!("could not create {}", output.display()))?;
    let _turn = take_turn(&output, steps)?;

    let (toolchain, programs) = compile(tree, args, &supply, APPLIANCE, steps)?;
    let job = Job {
        tree,
        boards,
        layout,
        supply,
        toolchain: toolchain.record().clone(),
        programs,
        licences: toolchain.licences(),
        output,
        dev: args.dev,
        given: args.programs.is_some(),
    };
    let inputs = inputs::sha256(&job)?;
    if let Some(manifest) = already_built(&job.output, &inputs) {
        steps.say("Nothing changed since the last build.");
        return Ok((job.output, manifest));
    }
    fetch(&job, steps)?;
    let (packages, others): (Vec<_>, Vec<_>) = steps.step("Opening packages", |step| {
        let opened = job.supply.read(FEATURES, step)?;
        let said = format!("{} packages", opened.len());
        let on_the_box =
            |package: &Opened| ROOT_FEATURES.iter().any(|feature| package.features.contains(*feature));
        Ok((opened.into_iter().partition(on_the_box), said))
    })?;
    let notices = licences::notices(packages.iter().chain(&others));
    let kernel = steps.step("Kernel and its modules", |_| slot::kernel(&job, &others))?;
    let root = steps.step("Root file system", |_| root::assemble(&job, packages, &kernel))?;
    let squashed = job.output.join(".root.squashfs.partial");
    let (slot, verity) = steps.step("Compressing", |_| {
        // One thread each: the root is single-threaded, and the kernel is as long as nothing.
        let (sealed, files) =
            rayon::join(|| root::squash(&job, &root, &squashed), || slot::compressed(&job, &kernel));
        let verity = sealed?;
        let slot = slot::files(&job, &kernel, files?, &verity)?;
        let said = format!("root {}, slot {}", size(verity.size()), size(slot.size()));
        Ok(((slot, verity), said))
    })?;
    // An input that changed while the build read it would put these bytes under a wrong name.
    anyhow::ensure!(
        inputs::sha256(&job)? == inputs,
        "a file of the tree changed during the build: build again"
    );
    let manifest = steps.step("Card image", |_| {
        let loaders = slot::loaders(&job, &others)?;
        let sealed = card::Root { tree: &root, file: &squashed, verity };
        card::write(&job, &inputs, &sealed, &slot, &loaders, &notices)
    })?;
    let _ = std::fs::remove_file(&squashed);
    steps.write_times(&job.output.join("times.json"))?;
    Ok((job.output, manifest))
}

/// One build of a board at a time; the second one waits and then finds its work done.
fn take_turn(output: &Path, steps: &Steps) -> anyhow::Result<File> {
    let path = output.join(".lock");
    let lock = File::create(&path).with_context(|| format!("could not create {}", path.display()))?;
    if lock.try_lock().is_err() {
        steps.say("Another build of this board is under way; waiting for it.");
        lock.lock().with_context(|| format!("could not lock {}", path.display()))?;
    }
    Ok(lock)
}

fn compile(
    tree: &SourceTree,
    args: &BuildArgs,
    supply: &Supply,
    packages: &[&str],
    steps: &mut Steps,
) -> anyhow::Result<(toolchain::Toolchain, Vec<Program>)> {
    steps.step("Programs of the box", |step| {
        let choice =
            toolchain::Choice::from_environment().map_err(|e| Fault::new(Code::Usage, e.to_string()))?;
        let cache = cache_dir()?.join("toolchain");
        let packages_of_compilers = supply.compilers(step);
        let request = toolchain::Request {
            tree: tree.root(),
            cache: &cache,
            choice,
            offline: args.offline,
            packages: &packages_of_compilers,
        };
        let toolchain = toolchain::ensure(&request, &mut |line| step.doing(line))?;
        let profile = profile(args.dev);
        let order = toolchain::Order { tree: tree.root(), packages, profile, offline: args.offline };
        let programs = match &args.programs {
            Some(folder) => given(folder, packages)?,
            None => toolchain.compile(&order, &mut |line| step.doing(line))?,
        };
        let total = programs.iter().map(|program| program.size).sum();
        let said = format!("{} with the {} toolchain", size(total), toolchain.kind());
        Ok(((toolchain, programs), said))
    })
}

fn profile(dev: bool) -> toolchain::Profile {
    if dev { toolchain::Profile::BoxDev } else { toolchain::Profile::Box }
}

/// The programs of these packages, each under its package's name.
fn given(folder: &Path, packages: &[&str]) -> anyhow::Result<Vec<Program>> {
    let program = |name: &&str| {
        let path = folder.join(name);
        let about = std::fs::metadata(&path).map_err(|error| {
            Fault::new(Code::Usage, format!("--programs: no program at {} ({error})", path.display()))
        })?;
        Ok(Program { name: (*name).to_owned(), path, size: about.len() })
    };
    packages.iter().map(program).collect()
}

fn fetch(job: &Job<'_>, steps: &mut Steps) -> anyhow::Result<()> {
    steps.step("Packages", |step| {
        let packages = job.supply.locked(FEATURES)?;
        job.supply.fetch(&packages, step)?;
        let total = packages.iter().map(|package| package.size).sum();
        Ok(((), format!("{} packages, {}", packages.len(), size(total))))
    })
}

/// `stayput fetch`: brings packages into the cache and prints where each one is.
pub fn fetch_only(tree: &SourceTree, args: &FetchArgs, steps: &mut Steps) -> anyhow::Result<()> {
    let supply = Supply::open(tree, &args.mirror, false)?;
    let named: Vec<&str> = args.features.iter().map(String::as_str).collect();
    let for_a_build = [FEATURES, &[toolchain::COMPILER_FEATURE]].concat();
    let packages = supply.locked(if named.is_empty() { &for_a_build } else { &named })?;
    let paths = steps.step("Packages", |step| {
        let paths = supply.fetch(&packages, step)?;
        let said = format!("{} packages", paths.len());
        Ok((paths, said))
    })?;
    for path in paths {
        println!("{}", path.display());
    }
    Ok(())
}

/// The manifest of the image that is there, when it was made from these inputs and is still whole.
fn already_built(output: &Path, inputs: &str) -> Option<Manifest> {
    let manifest = Manifest::load(&output.join("manifest.json")).ok()?;
    let image = Blob::of_file(&output.join("sdcard.img")).ok()?;
    let beside = [slot::QEMU_UBOOT, outputs::PACKED, outputs::BILL, outputs::LICENCES];
    let all = beside.iter().all(|name| output.join(name).is_file());
    (manifest.inputs == inputs && manifest.image == image && all).then_some(manifest)
}

/// Prints what the boot tests need, for a shell to read.
pub fn test_inputs(tree: &SourceTree, args: &BuildArgs, steps: &mut Steps) -> anyhow::Result<()> {
    let (output, _) = build(tree, args, steps)?;
    let supply = Supply::open(tree, &args.mirror, args.offline)?;
    let (_, programs) = compile(tree, args, &supply, &[PROBE, LEAKER], steps)?;
    let program = |name: &str| {
        let made = programs.iter().find(|program| program.name == name);
        made.map(|program| &program.path).with_context(|| format!("{name} has no program"))
    };
    let h3 = output.join("h3-spl.bin");
    let packages = supply.read(&[H3], &())?;
    std::fs::write(&h3, supply.taken(H3, &packages)?)?;
    for (name, path) in [
        ("STAYPUT_IMAGE", &output.join("sdcard.img")),
        ("STAYPUT_UBOOT", &output.join(slot::QEMU_UBOOT)),
        ("STAYPUT_PROBE", program(PROBE)?),
        ("STAYPUT_LEAKER", program(LEAKER)?),
        ("STAYPUT_H3_SPL", &h3),
    ] {
        println!("{name}='{}'", path.display());
    }
    Ok(())
}

/// The bytes of a file of the tree or of the build, its path in the error.
fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut open = File::open(path).with_context(|| format!("could not open {}", path.display()))?;
    open.read_to_end(&mut bytes).with_context(|| format!("could not read {}", path.display()))?;
    Ok(bytes)
}
