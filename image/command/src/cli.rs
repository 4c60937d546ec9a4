//! The command line: every flag once, and the dispatch.

use std::io::IsTerminal;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::prelude::*;

use crate::progress::Steps;
use crate::tree::SourceTree;
use crate::{build, config, exit, flash, hat, lock, region, run, show, states, verify};

/// Builds, boots and explains the Stayput card image.
#[derive(Parser)]
#[command(name = "stayput", version, after_help = exit::help())]
struct Cli {
    /// The Stayput source tree (default: the one around the working directory)
    #[arg(long, global = true, value_name = "DIR")]
    tree: Option<PathBuf>,
    /// Say more: -v what happens, -vv every detail
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
    /// No progress, even on a terminal
    #[arg(short, long, global = true)]
    quiet: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Pin every package of image/packages.toml by version, size and SHA-256
    Lock(LockArgs),
    /// Download locked packages into the cache and print where they are; a later `build --offline` needs no network
    Fetch(FetchArgs),
    /// Build output/<board>/sdcard.img from the locked packages
    Build(BuildArgs),
    /// Boot the built image in QEMU, with its lights, the hat's screen and keys and the console in this terminal
    Run(RunArgs),
    /// Explain an image: its packages, files, partitions or sizes
    Show(ShowArgs),
    /// Write the image onto a card and read it back; without DEVICE: list the removable disks
    Flash(FlashArgs),
    /// Hold an image or a card against its manifest, part by part
    Verify(VerifyArgs),
    /// Print every state of the box with its lights, or find the states that look as someone says on the telephone
    States(StatesArgs),
    /// Draw a page of the hat's screen as a PNG
    Hat(HatArgs),
    /// Check a stayput.toml, or make one or a whole fleet's
    #[command(subcommand)]
    Config(ConfigCommand),
    /// A stand-in region on this machine, for a box in QEMU or on the desk
    #[command(subcommand)]
    Region(RegionCommand),
    /// Print what the boot tests need, as shell assignments
    #[command(hide = true)]
    TestInputs(BuildArgs),
}

/// Where packages come from.
#[derive(Args, Clone, Debug, Default)]
pub struct MirrorArgs {
    /// The Debian mirror (default: the one this machine's apt uses); a URL or a folder
    #[arg(long, value_name = "URL")]
    pub mirror: Option<String>,
    /// The mirror of the security archive (default: this machine's, or derived from --mirror)
    #[arg(long, value_name = "URL")]
    pub security_mirror: Option<String>,
}

/// `stayput lock`
#[derive(Args)]
pub struct LockArgs {
    /// Take the newest versions and print what changed, security updates marked
    #[arg(long)]
    pub update: bool,
    /// Accept a mirror that is behind the lock: older release files, older versions
    #[arg(long, requires = "update")]
    pub allow_older: bool,
    /// Only say whether the lock fits image/packages.toml; no network
    #[arg(long, conflicts_with = "update")]
    pub check: bool,
    #[command(flatten)]
    pub mirror: MirrorArgs,
}

/// `stayput fetch`
#[derive(Args)]
pub struct FetchArgs {
    /// Features of image/packages.toml (default: those that a build needs)
    #[arg(value_name = "FEATURE")]
    pub features: Vec<String>,
    #[command(flatten)]
    pub mirror: MirrorArgs,
}

/// `stayput build`
#[derive(Args)]
pub struct BuildArgs {
    /// The board, a folder under board/
    #[arg(long, default_value = "nanopi-neo2")]
    pub board: String,
    /// Compile quickly instead of small (another image, without the published hash)
    #[arg(long)]
    pub dev: bool,
    /// Take packages only from the cache
    #[arg(long)]
    pub offline: bool,
    /// Take the box's programs from there instead of compiling them (another image, which says so)
    #[arg(long, value_name = "DIR", hide = true)]
    pub programs: Option<PathBuf>,
    #[command(flatten)]
    pub mirror: MirrorArgs,
}

/// `stayput run`
#[derive(Args)]
pub struct RunArgs {
    /// The board whose image is booted
    #[arg(long, default_value = "nanopi-neo2")]
    pub board: String,
    /// Memory of the machine in MiB
    #[arg(long, default_value_t = 512, value_parser = clap::value_parser!(u32).range(256..=4096))]
    pub memory: u32,
    /// The box alone, in a network that leads nowhere: no region, no queue, no tour
    #[arg(long)]
    pub alone: bool,
    /// No lights and no screen: only the console, as where there is no terminal; the box alone
    #[arg(long, conflicts_with = "script")]
    pub console: bool,
    /// The tour as lines of text, without a person; it fails where a step does not come true
    #[arg(long, conflicts_with = "alone")]
    pub script: bool,
    /// The emulator behind the region (default: where scripts/emulator puts it)
    #[arg(long, value_name = "PROGRAM")]
    pub emulator: Option<PathBuf>,
}

/// `stayput show`
#[derive(Args)]
pub struct ShowArgs {
    /// What to show
    #[arg(value_enum)]
    pub what: show::What,
    /// The board whose image is shown
    #[arg(long, default_value = "nanopi-neo2")]
    pub board: String,
}

/// `stayput flash`
#[derive(Args)]
pub struct FlashArgs {
    /// The card: a whole disk, for example /dev/sdX
    pub device: Option<PathBuf>,
    /// Put this file onto the card's STAYPUT drive as stayput.toml
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The image, .zst or not (default: the last build's)
    #[arg(long, value_name = "FILE")]
    pub image: Option<PathBuf>,
    /// The board whose last build is written
    #[arg(long, default_value = "nanopi-neo2", conflicts_with = "image")]
    pub board: String,
    /// Overwrite without asking
    #[arg(short, long)]
    pub yes: bool,
    /// Name DEVICE a second time to overwrite a disk that is built in or larger than 256 GB
    #[arg(long, value_name = "DEVICE", requires = "device")]
    pub really: Option<PathBuf>,
    /// DEVICE is a file that stands for a card
    #[arg(long, conflicts_with = "really", requires = "device", hide = true)]
    pub to_file: bool,
}

/// `stayput verify`
#[derive(Args)]
pub struct VerifyArgs {
    /// An image, its .zst, or the device of a card
    #[arg(value_name = "IMAGE|DEVICE")]
    pub subject: PathBuf,
    /// What it is held against (default: the manifest beside the image, else that of the last build)
    #[arg(long, value_name = "FILE")]
    pub manifest: Option<PathBuf>,
    /// The image itself, to name bytes and files that differ (default: the one beside the manifest)
    #[arg(long, value_name = "IMAGE")]
    pub reference: Option<PathBuf>,
    /// Let nothing differ that the image fills: it is as it was built, and neither person nor box wrote to it
    #[arg(long)]
    pub pristine: bool,
    /// The board whose last build it is held against
    #[arg(long, default_value = "nanopi-neo2")]
    pub board: String,
}

/// `stayput states`
#[derive(Args)]
pub struct StatesArgs {
    /// Only these, with their remedies; a code as on the screen (default: all, in a table)
    #[arg(value_name = "CODE", value_parser = states::code, conflicts_with = "blink")]
    pub codes: Vec<stayput_health::Code>,
    /// What the lights do, in a person's words: "2 short, pause", or "red 2 short, yellow 1 short"
    #[arg(long, value_name = "WORDS")]
    pub blink: Option<String>,
    /// Draw the screen of each of these states into this folder, as CODE.png
    #[arg(long, value_name = "DIR")]
    pub png: Option<PathBuf>,
}

/// `stayput hat`
#[derive(Args)]
pub struct HatArgs {
    /// The page: verdict, help, network, worker or machine; a page of several screenfuls shows all of them
    #[arg(long, default_value = "verdict", value_parser = hat::page)]
    pub page: stayput_hat::Page,
    /// The state that the box is in, by its code
    #[arg(long, value_name = "CODE", default_value = "RUN-00", value_parser = states::code)]
    pub state: stayput_health::Code,
    /// How many dots of the picture a dot of the screen is wide
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=16))]
    pub scale: u32,
    /// Where to write
    #[arg(value_name = "FILE.png")]
    pub out: PathBuf,
}

/// `stayput config`
#[derive(Subcommand)]
pub enum ConfigCommand {
    /// Say everything that is wrong with a file: line, what was expected, remedy; and what only a desk can know
    Check(ConfigCheckArgs),
    /// Make a file from flags, or from questions on a terminal; the other settings are in it as remarks
    New(ConfigNewArgs),
}

/// `stayput config check`
#[derive(Args)]
pub struct ConfigCheckArgs {
    /// The file; files that it names are looked for beside it
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
}

/// `stayput config new`
#[derive(Args)]
pub struct ConfigNewArgs {
    /// The box's name; with --count a pattern such as box-{n}
    #[arg(long)]
    pub name: Option<String>,
    /// Make so many files into the folder --out, one for each box
    #[arg(long, value_name = "N", requires_all = ["name", "out"])]
    pub count: Option<u32>,
    /// The first box's number
    #[arg(long, value_name = "N", default_value_t = 1, requires = "count")]
    pub first: u32,
    /// The AWS region
    #[arg(long)]
    pub region: Option<String>,
    /// What `aws ssm create-activation` printed; - for standard input. So the code is in no shell history
    #[arg(long, value_name = "FILE")]
    pub activation: Option<PathBuf>,
    /// When the activation ends, as in 2030-12-24
    #[arg(long, value_name = "DATE")]
    pub expires: Option<String>,
    /// The ECS cluster; without it give --queue, and the box itself starts the worker
    #[arg(long)]
    pub cluster: Option<String>,
    /// The SQS queue for a worker that the box itself starts
    #[arg(long, value_name = "URL")]
    pub queue: Option<String>,
    /// Any other setting of docs/config.md; a list gets one more with each
    #[arg(long, value_name = "SECTION.KEY=VALUE")]
    pub set: Vec<String>,
    /// Where to write (default: standard output)
    #[arg(short, long, value_name = "FILE|FOLDER")]
    pub out: Option<PathBuf>,
    /// Overwrite what is there
    #[arg(long)]
    pub force: bool,
}

/// `stayput region`
#[derive(Subcommand)]
pub enum RegionCommand {
    /// Start it: HTTPS with an authority of its own, names, time, and the registration service; until Ctrl-C
    Local(RegionLocalArgs),
}

/// `stayput region local`
#[derive(Args)]
pub struct RegionLocalArgs {
    /// The region that it stands in for
    #[arg(long, default_value = "eu-central-1")]
    pub region: String,
    /// The address of all its ports
    #[arg(long, value_name = "ADDRESS", default_value_t = Ipv4Addr::LOCALHOST)]
    pub listen: Ipv4Addr,
    /// The port for HTTPS, for which a box needs 443; 0 takes a free one
    #[arg(long, default_value_t = 0)]
    pub port: u16,
    /// The port for names, for which a box needs 53
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    pub dns_port: u16,
    /// The port for time, for which a box needs 123
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    pub time_port: u16,
    /// What its names lead to: the address of this machine as the box sees it (default: --listen)
    #[arg(long, value_name = "ADDRESS")]
    pub address: Option<Ipv4Addr>,
    /// With an emulator of SQS, S3 and logs: the one that listens there, or without a value the one that scripts/emulator
    /// has installed, which ends with the region
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub emulator: Option<Option<SocketAddr>>,
    /// Let requests through to the emulator whose signature is of no session of this region
    #[arg(long, requires = "emulator")]
    pub lenient: bool,
    /// For how many boxes the activation is good that it prints
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub boxes: u32,
    /// Where its authority and every decrypted stream are written (default: output/region)
    #[arg(short, long, value_name = "FOLDER")]
    pub out: Option<PathBuf>,
}

/// Parses the command line and runs the command.
pub fn run() -> anyhow::Result<()> {
    let cli = Cli::parse();
    tracing_to_stderr(cli.verbose);
    let tree = || match &cli.tree {
        Some(root) => SourceTree::at(root),
        None => SourceTree::find(),
    };
    // Tracing lines and a moving progress line would write over each other.
    let mut steps = Steps::new(cli.quiet || cli.verbose > 0);
    match cli.command {
        Command::Lock(args) => lock::run(&tree()?, &args, &mut steps),
        Command::Fetch(args) => build::fetch_only(&tree()?, &args, &mut steps),
        Command::Build(args) => build::run(&tree()?, &args, &mut steps),
        Command::Run(args) => run::run(&tree()?, &args),
        Command::Show(args) => show::run(&tree()?, &args),
        Command::Flash(args) => flash::run(&tree()?, &args, &mut steps),
        // Who checks a card has an image and its manifest, not necessarily this tree.
        Command::Verify(args) => verify::run(tree, &args, &mut steps),
        Command::States(args) => states::run(&args),
        Command::Hat(args) => hat::run(&args),
        Command::Config(command) => config::run(&command),
        Command::Region(RegionCommand::Local(args)) => region::local(tree, &args),
        Command::TestInputs(args) => build::test_inputs(&tree()?, &args, &mut steps),
    }
}

fn tracing_to_stderr(verbose: u8) {
    let level = match verbose {
        0 => LevelFilter::WARN,
        1 => LevelFilter::INFO,
        _ => LevelFilter::DEBUG,
    };
    // Only our own crates speak: what a library logs of its inner steps helps nobody here.
    let ours = Targets::new().with_target("stayput", level);
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let lines = lines.with_ansi(std::io::stderr().is_terminal()).with_target(false).without_time();
    tracing_subscriber::registry().with(lines.with_filter(ours)).init();
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn help_ends_with_the_exit_codes() {
        let help = Cli::command().render_help().to_string();
        assert!(help.contains("Exit codes:"), "{help}");
    }
}
