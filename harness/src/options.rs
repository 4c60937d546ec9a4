//! What a machine is made of, and the QEMU arguments that say so. Pure.

use crate::credentials::Credential;
use crate::disk::option_path;
use crate::patience::Patience;
use stayput_hat::PORT as HAT_PORT;
use stayput_probe::PORT;
use std::ffi::OsString;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

/// Which machine QEMU plays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Board {
    /// QEMU's own board: the image's second home.
    Virt {
        /// Debian's U-Boot for it (`usr/lib/u-boot/qemu_arm64/u-boot.bin` in package u-boot-qemu).
        uboot: PathBuf,
    },
    /// The NanoPi's 32-bit sibling: the same boot ROM path, SPL and script, up to the kernel it cannot start.
    OrangePiPc {
        /// `u-boot-sunxi-with-spl.bin` of package u-boot-sunxi:armhf, board nanopi_neo.
        spl: PathBuf,
    },
}

/// The sector around a byte of the card, and what the card answers with an error, every time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Worn {
    /// Reading it.
    Unreadable(u64),
    /// Writing to it.
    Unwritable(u64),
}

/// Everything a machine is started with. [`Options::new`] is the board as users have it: 512 MB, a network
/// card, a watchdog, a random source.
#[derive(Debug, Clone)]
pub struct Options {
    /// The QEMU program.
    pub qemu: OsString,
    /// The card image. Never written to.
    pub image: PathBuf,
    /// The card itself, a raw file that the machine writes to and that stays; without it a throw-away layer over the image.
    pub card: Option<PathBuf>,
    /// A place of `card` that is worn out.
    pub worn: Option<Worn>,
    /// Where every write to `card` is recorded in its order ([`crate::WriteLog`]).
    pub record: Option<PathBuf>,
    /// Which machine.
    pub board: Board,
    /// Memory in MiB.
    pub memory: u32,
    /// Processors.
    pub processors: u32,
    /// A virtio random source. Without it the box is as poor as the NEO2.
    pub random_source: bool,
    /// Random seeds for the kernel in the device tree (`kaslr-seed`, `rng-seed`).
    pub device_tree_seeds: bool,
    /// A hardware watchdog.
    pub watchdog: bool,
    /// A network card on a user-mode network that leads to the loopback of the machine's private network, and no further.
    pub network: bool,
    /// The first address that this network gives; 10.0.2.15 if none.
    pub lease: Option<Ipv4Addr>,
    /// The hardware address of its card, which is what tells this board from others; QEMU's own if none.
    pub mac: Option<String>,
    /// TCP ports of the box that a program beside the machine reaches at 127.0.0.1, each under its own number. The box
    /// must have the address that the user-mode network's DHCP gives.
    pub forwards: Vec<u16>,
    /// Where every packet of the network is recorded, as a capture file.
    pub capture: Option<PathBuf>,
    /// A hat: its screen on a port, its keys on a virtual keyboard.
    pub hat: bool,
    /// The cross-built probe; without it nobody looks inside.
    pub probe: Option<PathBuf>,
    /// More credentials for systemd on the box.
    pub credentials: Vec<Credential>,
    /// What the hardware clock says at the start (`2026-11-20T12:00:00`); the host's time if none.
    pub clock: Option<String>,
    /// How long to believe that something will still happen.
    pub patience: Patience,
}

impl Options {
    /// The `virt` board with that image and that U-Boot.
    pub fn new(image: impl Into<PathBuf>, uboot: impl Into<PathBuf>) -> Self {
        Self::on(image, Board::Virt { uboot: uboot.into() }, 512, 2)
    }

    /// The H3 sibling with that image, its loader area replaced by that SPL.
    pub fn orange_pi_pc(image: impl Into<PathBuf>, spl: impl Into<PathBuf>) -> Self {
        // The board has four cores and 1 GiB and QEMU takes nothing else.
        Self::on(image, Board::OrangePiPc { spl: spl.into() }, 1024, 4)
    }

    fn on(image: impl Into<PathBuf>, board: Board, memory: u32, processors: u32) -> Self {
        Self {
            qemu: "qemu-system-aarch64".into(),
            image: image.into(),
            card: None,
            worn: None,
            record: None,
            board,
            memory,
            processors,
            random_source: true,
            device_tree_seeds: true,
            watchdog: true,
            network: true,
            lease: None,
            mac: None,
            forwards: Vec::new(),
            capture: None,
            hat: false,
            probe: None,
            credentials: Vec::new(),
            clock: None,
            patience: Patience::from_env(),
        }
    }

    /// With this card in place of a layer over the image.
    pub fn with_card(mut self, card: impl Into<PathBuf>) -> Self {
        self.card = Some(card.into());
        self
    }

    /// With this probe.
    pub fn with_probe(mut self, probe: impl Into<PathBuf>) -> Self {
        self.probe = Some(probe.into());
        self
    }
}

/// Who has the console.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ConsoleEnd {
    /// The harness.
    Socket,
    /// A person: Ctrl-A X and Ctrl-C end the machine.
    Terminal,
}

/// The files that the machine's home holds.
#[derive(Debug)]
pub(crate) struct Files {
    pub card: PathBuf,
    pub console: PathBuf,
    pub control: PathBuf,
    pub probe_port: PathBuf,
    pub probe_disk: PathBuf,
    pub hat_port: PathBuf,
    /// Each credential's name for fw_cfg and its file.
    pub credentials: Vec<(String, PathBuf)>,
}

/// The whole command line after the program's name.
pub(crate) fn arguments(options: &Options, files: &Files, console: ConsoleEnd) -> Vec<OsString> {
    let mut line = Line::default();
    // Nothing that this QEMU's packager or this user's configuration thinks every machine should have.
    line.flag("-nodefaults").flag("-no-user-config").option("-display", "none");
    match &options.board {
        Board::Virt { uboot } => virt(&mut line, options, files, uboot),
        Board::OrangePiPc { .. } => {
            line.option("-machine", "orangepi-pc");
            line.with_path("-drive", "if=sd,format=qcow2,file=", &files.card);
        }
    }
    line.option("-m", options.memory.to_string()).option("-smp", options.processors.to_string());
    if let Some(clock) = &options.clock {
        line.option("-rtc", format!("base={clock}"));
    }
    match console {
        ConsoleEnd::Socket => {
            line.with_path("-chardev", "socket,id=console,path=", &files.console)
                .option("-serial", "chardev:console");
            line.with_path("-chardev", "socket,id=control,path=", &files.control);
            line.option("-mon", "chardev=control,mode=control");
        }
        ConsoleEnd::Terminal => {
            line.option("-chardev", "stdio,id=console,mux=on,signal=on").option("-serial", "chardev:console");
            line.option("-mon", "chardev=console");
        }
    }
    line.0
}

fn virt(line: &mut Line, options: &Options, files: &Files, uboot: &Path) {
    // acpi=off: with ACPI, QEMU drops the GPIO chip that the lights hang on.
    let seeds = if options.device_tree_seeds { "" } else { ",dtb-randomness=off" };
    line.option("-machine", format!("virt,acpi=off{seeds}")).option("-cpu", "cortex-a53");
    line.with_path("-bios", "", uboot);
    // First on the bus: U-Boot tries disks in that order, and the kernel names them in it.
    match (&options.card, &options.record, options.worn) {
        (None, ..) => {
            line.with_path("-drive", "if=none,id=card,format=qcow2,discard=unmap,file=", &files.card)
        }
        (Some(card), None, None) => {
            line.with_path("-drive", "if=none,id=card,format=raw,discard=unmap,file=", card)
        }
        (Some(card), None, Some(worn)) => {
            // QEMU's own way to make errors: every read or write that touches the sector fails.
            let (kind, byte) = match worn {
                Worn::Unreadable(byte) => ("read", byte),
                Worn::Unwritable(byte) => ("write", byte),
            };
            let error = "file.inject-error.0";
            let before = format!(
                "if=none,id=card,driver=raw,file.driver=blkdebug,{error}.event={kind}_aio,{error}.iotype={kind},\
                 {error}.errno=5,{error}.sector={},file.image.driver=file,file.image.filename=",
                byte / 512
            );
            line.with_path("-drive", &before, card)
        }
        (Some(card), Some(record), _) => {
            let mut before =
                OsString::from("if=none,id=card,driver=blklogwrites,log-super-update-interval=1,");
            before.push("log.driver=file,log.filename=");
            before.push(option_path(record));
            before.push(",file.driver=file,file.filename=");
            before.push(option_path(card));
            line.option("-drive", before)
        }
    };
    line.option("-device", "virtio-blk-pci,drive=card");
    if options.network {
        let first = options.lease.map(|first| format!(",dhcpstart={first}")).unwrap_or_default();
        let forward = |port: &u16| format!(",hostfwd=tcp:127.0.0.1:{port}-:{port}");
        let forwards: String = options.forwards.iter().map(forward).collect();
        line.option("-netdev", format!("user,id=network{first}{forwards}"));
        if let Some(capture) = &options.capture {
            line.with_path("-object", "filter-dump,id=capture,netdev=network,file=", capture);
        }
        let mac = options.mac.as_ref().map(|mac| format!(",mac={mac}")).unwrap_or_default();
        line.option("-device", format!("virtio-net-pci,id=nic,netdev=network,romfile={mac}"));
    }
    if options.random_source {
        line.option("-device", "virtio-rng-pci");
    }
    if options.watchdog {
        line.option("-device", "i6300esb");
    }
    if options.probe.is_some() || options.hat {
        line.option("-device", "virtio-serial-pci");
    }
    if options.hat {
        line.with_path("-chardev", "socket,id=hat,path=", &files.hat_port);
        line.option("-device", format!("virtserialport,chardev=hat,name={HAT_PORT}"));
        line.option("-device", "virtio-keyboard-pci");
    }
    if options.probe.is_some() {
        line.with_path("-drive", "if=none,id=probe,format=raw,readonly=on,file=", &files.probe_disk);
        line.option("-device", "virtio-blk-pci,drive=probe");
        line.with_path("-chardev", "socket,id=probe,path=", &files.probe_port);
        line.option("-device", format!("virtserialport,chardev=probe,name={PORT}"));
    }
    for (name, path) in &files.credentials {
        line.with_path("-fw_cfg", &format!("name={name},file="), path);
    }
}

#[derive(Default)]
struct Line(Vec<OsString>);

impl Line {
    fn flag(&mut self, flag: &str) -> &mut Self {
        self.0.push(flag.into());
        self
    }

    fn option(&mut self, flag: &str, value: impl Into<OsString>) -> &mut Self {
        self.0.push(flag.into());
        self.0.push(value.into());
        self
    }

    fn with_path(&mut self, flag: &str, before: &str, path: &Path) -> &mut Self {
        let mut value = OsString::from(before);
        // `-bios` takes a bare path; only inside an option list does a comma mean something.
        value.push(if before.is_empty() { path.to_owned() } else { option_path(path) });
        self.option(flag, value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credentials::for_the_probe;

    fn files() -> Files {
        let at = |name: &str| PathBuf::from("/h").join(name);
        Files {
            card: at("card"),
            console: at("console"),
            control: at("control"),
            probe_port: at("port"),
            probe_disk: at("disk"),
            hat_port: at("hat"),
            credentials: for_the_probe().iter().map(|c| (c.firmware_name(), at(c.name()))).collect(),
        }
    }

    fn said(options: &Options, console: ConsoleEnd) -> String {
        let words = arguments(options, &files(), console);
        words.iter().map(|word| word.to_str().unwrap()).collect::<Vec<_>>().join(" ")
    }

    fn virt() -> Options {
        Options::new("/i", "/u")
    }

    #[test]
    fn the_card_is_the_first_disk_on_the_bus() {
        let said = said(&virt().with_probe("/p"), ConsoleEnd::Socket);
        assert!(said.find("drive=card").unwrap() < said.find("drive=probe").unwrap(), "{said}");
    }

    #[test]
    fn without_a_random_source_there_is_no_seed_by_another_way() {
        let poor = Options { random_source: false, device_tree_seeds: false, ..virt() };
        let said = said(&poor, ConsoleEnd::Socket);
        assert!(!said.contains("virtio-rng") && said.contains("virt,acpi=off,dtb-randomness=off"), "{said}");
    }

    #[test]
    fn without_a_probe_there_is_no_port_and_no_second_disk() {
        let said = said(&virt(), ConsoleEnd::Socket);
        assert!(!said.contains("virtserialport") && !said.contains("id=probe"), "{said}");
    }

    #[test]
    fn a_hat_brings_its_port_and_its_keys_and_shares_the_bus_with_the_probe() {
        let said = said(&Options { hat: true, ..virt() }.with_probe("/p"), ConsoleEnd::Socket);
        assert!(said.contains("virtserialport,chardev=hat,name=stayput.oled"), "{said}");
        assert!(said.contains("virtio-keyboard-pci"), "{said}");
        assert_eq!(said.matches("virtio-serial-pci").count(), 1, "{said}");
    }

    #[test]
    fn a_port_of_the_box_is_reached_from_beside_the_machine_and_from_nowhere_else() {
        let said = said(&Options { forwards: vec![22], ..virt() }, ConsoleEnd::Socket);
        assert!(said.contains("user,id=network,hostfwd=tcp:127.0.0.1:22-:22 "), "{said}");
    }

    #[test]
    fn another_lease_and_another_board_are_the_networks_and_the_cards() {
        let other =
            Options { lease: Some([10, 0, 2, 99].into()), mac: Some("52:54:00:00:00:99".into()), ..virt() };
        let other = said(&other, ConsoleEnd::Socket);
        assert!(other.contains("user,id=network,dhcpstart=10.0.2.99 "), "{other}");
        assert!(other.contains("netdev=network,romfile=,mac=52:54:00:00:00:99"), "{other}");
        assert!(!said(&virt(), ConsoleEnd::Socket).contains("mac="));
    }

    #[test]
    fn the_sibling_gets_an_sd_card_and_nothing_virtual() {
        let said = said(&Options::orange_pi_pc("/i", "/s"), ConsoleEnd::Socket);
        assert!(said.contains("-machine orangepi-pc -drive if=sd,format=qcow2,file=/h/card"), "{said}");
        assert!(!said.contains("virtio") && !said.contains("-bios"), "{said}");
    }

    #[test]
    fn a_card_of_its_own_is_written_to_and_recorded_where_that_is_asked_for() {
        let own = said(&virt().with_card("/c"), ConsoleEnd::Socket);
        assert!(own.contains("format=raw,discard=unmap,file=/c ") && !own.contains("qcow2"), "{own}");
        let recorded = Options { record: Some("/l".into()), ..virt().with_card("/c") };
        let recorded = said(&recorded, ConsoleEnd::Socket);
        assert!(
            recorded.contains("driver=blklogwrites") && recorded.contains("log.filename=/l,"),
            "{recorded}"
        );
        assert!(recorded.contains("file.filename=/c "), "{recorded}");
    }

    #[test]
    fn a_worn_card_fails_at_one_sector_and_in_one_direction() {
        for (worn, kind) in [(Worn::Unreadable(1024), "read"), (Worn::Unwritable(1535), "write")] {
            let said = said(&Options { worn: Some(worn), ..virt().with_card("/c") }, ConsoleEnd::Socket);
            assert!(said.contains(&format!(".event={kind}_aio,")) && said.contains(".sector=2,"), "{said}");
            assert!(said.contains(&format!(".iotype={kind},")) && said.contains("filename=/c "), "{said}");
        }
    }

    #[test]
    fn a_person_gets_the_monitor_key_and_ctrl_c_instead_of_sockets() {
        let said = said(&virt(), ConsoleEnd::Terminal);
        assert!(said.contains("stdio,id=console,mux=on,signal=on") && !said.contains("socket"), "{said}");
    }
}
