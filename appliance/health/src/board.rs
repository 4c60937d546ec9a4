//! Board facts: the schema of `board/<name>/board.toml`, read by the image builder and by the box.

mod names;

use std::path::Path;

use serde::{Deserialize, Serialize};
use toml::Spanned;

use crate::document::Document;
use crate::{Error, Result};

pub use names::{Argument, BoardName, BusName, ChipLabel, Compatible, Console, ModuleName, RelativePath};

/// The version of the schema.
pub const VERSION: u32 = 1;

/// One board: what is peculiar to it, as data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Board {
    /// The board's name, which is its folder's.
    pub name: BoardName,
    /// The name that people know it by.
    pub title: String,
    /// What the root of its device tree says it is, any of these.
    pub compatible: Vec<Compatible>,
    /// Its console, as the kernel's `console=` wants it.
    pub console: Console,
    /// Other boards that the image made for this one boots on as well.
    pub serves: Vec<BoardName>,
    /// The boot loader that is written to the card, where the board reads one from there.
    pub loader: Option<Loader>,
    /// What the boot scripts need to know.
    pub boot: Boot,
    /// The kernel modules it needs.
    pub modules: Modules,
    /// Its lights.
    pub leds: Vec<Led>,
    /// Its keys.
    pub keys: Vec<Key>,
    /// Its small screen.
    pub oled: Option<Oled>,
    /// The row of pins that hats and wires sit on.
    pub header: Option<Header>,
}

/// A boot loader on the card outside all partitions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Loader {
    /// The package that has it.
    pub package: String,
    /// Its path in the package.
    pub file: RelativePath,
    /// Where it goes, in bytes from the start of the card.
    pub offset: u64,
    /// How the board's boot ROM recognises it.
    pub kind: LoaderKind,
}

/// How a boot ROM recognises a boot loader.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LoaderKind {
    /// Allwinner's eGON header with its checksum.
    Sunxi,
}

/// What the boot scripts need to know: U-Boot's name for the board, and addresses that do not collide.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Boot {
    /// `${board}` in this board's U-Boot.
    pub uboot_board: String,
    /// The device tree, as the kernel package names it; absent where the machine hands one over.
    pub dtb: Option<RelativePath>,
    /// Where the compressed kernel is loaded, and where booti puts the unpacked one; a multiple of 2 MiB.
    pub kernel: u64,
    /// Where booti unpacks it on the way (`kernel_comp_addr_r`).
    pub kernel_compressed: u64,
    /// How much room the unpacked kernel has there.
    pub kernel_compressed_size: u64,
    /// Where the initramfs is loaded.
    pub initrd: u64,
    /// Where the device tree is put.
    pub fdt: u64,
    /// Where boot scripts are loaded.
    pub script: u64,
    /// Where memory begins.
    pub ram_start: u64,
    /// The least memory that any such board has.
    pub ram_size_mib: u64,
    /// What this board's processor wants the kernel to be told.
    #[serde(default)]
    pub arguments: Vec<Argument>,
}

/// Kernel modules by name; what they depend on is found by the builder.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Modules {
    /// Needed before the root file system is there, in this order where nothing else decides.
    #[serde(default)]
    pub initramfs: Vec<ModuleName>,
    /// Carried in the root file system.
    #[serde(default)]
    pub root: Vec<ModuleName>,
}

/// One light.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Led {
    /// Its name in the kernel's LED class.
    pub name: String,
    /// What it tells.
    pub role: LedRole,
    /// The GPIO chip that it hangs on.
    pub chip: ChipLabel,
    /// The line on that chip.
    pub line: u32,
    /// Its colour.
    pub color: LedColor,
    /// Whether it lights when its line is low.
    #[serde(default)]
    pub active_low: bool,
    /// Whether it is soldered to the board, so that it is there without any hat.
    #[serde(default)]
    pub builtin: bool,
}

/// What a light tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LedRole {
    /// The box has power; steady.
    Power,
    /// The one light of a box without others: everything, by rhythm.
    Status,
    /// All is well.
    Ok,
    /// Work is going on.
    Busy,
    /// Something needs a person.
    Fault,
}

/// A light's colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "colours are what they are called")]
pub enum LedColor {
    Red,
    Yellow,
    Green,
    Blue,
    White,
}

/// One key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Key {
    /// Its name, as printed beside it.
    pub name: String,
    /// The input event code that it sends (`linux/input-event-codes.h`).
    pub code: u16,
    /// The GPIO chip that it hangs on.
    pub chip: ChipLabel,
    /// The line on that chip.
    pub line: u32,
}

/// A small screen on an I2C bus.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Oled {
    /// The bus, by the device-tree path of its controller: bus numbers differ between kernels.
    pub bus: BusName,
    /// The 7-bit address.
    pub address: I2cAddress,
}

/// A double row of pins, as the wiring plan draws it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// The chip whose lines lead to it.
    pub chip: ChipLabel,
    /// What each pin is, from pin 1 on: odd ones in one row, even ones in the other.
    pub pins: Vec<Pin>,
}

/// What a pin is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Pin {
    /// A line of the chip.
    Line(u32),
    /// A supply, ground, or a bus's wire, by its usual name.
    Named(String),
}

impl Header {
    /// What ground is called.
    pub const GROUND: &str = "GND";

    /// The pin, counted from 1, that a line of a chip leads to.
    pub fn pin(&self, chip: &ChipLabel, line: u32) -> Option<usize> {
        let found = self.pins.iter().position(|pin| *pin == Pin::Line(line))?;
        (*chip == self.chip).then_some(found + 1)
    }
}

/// A 7-bit I2C address that a device may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct I2cAddress(u8);

impl TryFrom<u8> for I2cAddress {
    type Error = String;

    fn try_from(address: u8) -> Result<Self, String> {
        match address {
            0x08..=0x77 => Ok(Self(address)),
            _ => Err(format!("{address:#04x} is no I2C device address; expected 0x08 to 0x77")),
        }
    }
}

impl From<I2cAddress> for u8 {
    fn from(address: I2cAddress) -> Self {
        address.0
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    #[serde(rename = "version")]
    _version: i64,
    name: BoardName,
    title: String,
    compatible: Vec<Spanned<Compatible>>,
    console: Console,
    #[serde(default)]
    serves: Vec<Spanned<BoardName>>,
    loader: Option<Loader>,
    boot: Spanned<Boot>,
    modules: RawModules,
    #[serde(default)]
    led: Vec<Spanned<Led>>,
    #[serde(default)]
    key: Vec<Spanned<Key>>,
    oled: Option<Oled>,
    header: Option<Header>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawModules {
    #[serde(default)]
    initramfs: Vec<Spanned<ModuleName>>,
    #[serde(default)]
    root: Vec<Spanned<ModuleName>>,
}

impl Board {
    /// Reads the file at `path`.
    pub fn load(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(Error::io("read", path))?;
        Self::parse(&bytes, &path.display().to_string())
    }

    /// The board in `bytes`; `file` is only for messages.
    pub fn parse(bytes: &[u8], file: &str) -> Result<Self> {
        let document = Document::<Raw>::parse(bytes, file, VERSION)?;
        let raw = &document.content;
        document.distinct("the compatible", &raw.compatible, "name each device tree once")?;
        document.distinct("the board", &raw.serves, "name each board once")?;
        for list in [&raw.modules.initramfs, &raw.modules.root] {
            document.distinct_by(
                "the module",
                list,
                ModuleName::normal,
                "name each module once in a list",
            )?;
        }
        document.distinct_by(
            "the light",
            &raw.led,
            |led| led.name.clone(),
            "give each light its own name",
        )?;
        document.distinct_by("the key", &raw.key, |key| key.name.clone(), "give each key its own name")?;
        document.distinct_by("the code", &raw.key, |key| key.code, "give each key its own code")?;
        let lines = raw.led.iter().map(|led| (led.span(), &led.get_ref().chip, led.get_ref().line));
        let lines =
            lines.chain(raw.key.iter().map(|key| (key.span(), &key.get_ref().chip, key.get_ref().line)));
        let lines: Vec<_> =
            lines.map(|(span, chip, line)| Spanned::new(span, format!("{line} of {chip}"))).collect();
        document.distinct("the line", &lines, "give each light and key its own line")?;
        if let Some(itself) = raw.serves.iter().find(|served| served.get_ref() == &raw.name) {
            let what = format!("board '{}' serves itself", raw.name);
            return Err(document.broken(itself, what, "list only the other boards"));
        }
        if let Err(what) = raw.boot.get_ref().check() {
            return Err(document.broken(&raw.boot, what, "choose addresses as in the U-Boot of this board"));
        }
        Ok(document.content.into_board())
    }

    /// The board whose device tree has these `compatibles`: the value of `/compatible`, zero-terminated texts, the most
    /// particular first. The first text that any board claims decides; among boards that claim it, the first.
    pub fn matching<'a>(boards: &'a [Self], compatibles: &[u8]) -> Option<&'a Self> {
        compatibles.split(|byte| *byte == 0).filter(|text| !text.is_empty()).find_map(|text| {
            boards.iter().find(|board| board.compatible.iter().any(|own| own.as_str().as_bytes() == text))
        })
    }
}

impl Boot {
    fn check(&self) -> Result<(), String> {
        if !self.kernel.is_multiple_of(2 << 20) {
            return Err(format!("kernel = {:#x} is not a multiple of 2 MiB", self.kernel));
        }
        let end = (self.ram_size_mib.checked_mul(1 << 20)).and_then(|size| size.checked_add(self.ram_start));
        let Some(end) = end.filter(|_| self.ram_size_mib > 0) else {
            return Err(format!(
                "memory of {} MiB at {:#x} is not possible",
                self.ram_size_mib, self.ram_start
            ));
        };
        let compressed_end = self.kernel_compressed.saturating_add(self.kernel_compressed_size);
        let addresses = [
            ("kernel", self.kernel),
            ("kernel_compressed", self.kernel_compressed),
            ("kernel_compressed + kernel_compressed_size - 1", compressed_end.saturating_sub(1)),
            ("initrd", self.initrd),
            ("fdt", self.fdt),
            ("script", self.script),
        ];
        for (name, address) in addresses {
            if address < self.ram_start || address >= end {
                return Err(format!(
                    "{name} = {address:#x} is outside memory, {:#x} to {end:#x}",
                    self.ram_start
                ));
            }
        }
        for (name, address) in [("kernel", self.kernel), ("initrd", self.initrd), ("fdt", self.fdt)] {
            if (self.kernel_compressed..compressed_end).contains(&address) {
                return Err(format!("{name} = {address:#x} lies inside the room of the compressed kernel"));
            }
        }
        Ok(())
    }
}

impl Raw {
    fn into_board(self) -> Board {
        fn plain<T>(values: Vec<Spanned<T>>) -> Vec<T> {
            values.into_iter().map(Spanned::into_inner).collect()
        }
        let modules = Modules { initramfs: plain(self.modules.initramfs), root: plain(self.modules.root) };
        Board {
            name: self.name,
            title: self.title,
            compatible: plain(self.compatible),
            console: self.console,
            serves: plain(self.serves),
            loader: self.loader,
            boot: self.boot.into_inner(),
            modules,
            leds: plain(self.led),
            keys: plain(self.key),
            oled: self.oled,
            header: self.header,
        }
    }
}
