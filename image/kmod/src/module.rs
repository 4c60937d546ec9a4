//! One module: what its ELF sections say about it.

use object::Endian;
use object::elf;
use object::read::elf::{ElfFile64, FileHeader, Sym};
use object::read::{Object, ObjectSection};

use crate::alias;
use crate::error::{Error, Result};
use crate::name::ModuleName;
use crate::softdep::SoftDependencies;

/// What the image needs to know of a module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Module {
    /// Its name, from the file's.
    pub name: ModuleName,
    /// Where the file lies within the kernel's module directory.
    pub path: String,
    /// What must be loaded before it.
    pub depends: Vec<ModuleName>,
    /// What it would like to have loaded before and after it.
    pub soft: SoftDependencies,
    /// The `softdep=` records as written.
    pub softdep_records: Vec<String>,
    /// The `weakdep=` records as written: a hint for initramfs makers that nothing loads.
    pub weakdep_records: Vec<String>,
    /// What it answers to, as written.
    pub aliases: Vec<String>,
    /// The symbols that it gives to others.
    pub exports: Vec<String>,
    /// The symbols that it takes from the kernel and from other modules, in its own order.
    pub imports: Vec<String>,
}

/// Room for a symbol's name in `__versions`: 64 bytes less the checksum.
const VERSION_RECORD: usize = 64;
const VERSION_NAME: usize = 8;

impl Module {
    /// Reads a plain (uncompressed) module.
    pub fn parse(path: &str, bytes: &[u8]) -> Result<Self> {
        let name = ModuleName::of_path(path)?;
        let refuse = |reason: String| Error::NotAModule { path: path.to_owned(), reason };
        let file =
            ElfFile64::<object::Endianness>::parse(bytes).map_err(|error| refuse(error.to_string()))?;
        let endian = file.endian();
        if endian.is_big_endian() {
            return Err(refuse("big-endian".to_owned()));
        }
        if file.elf_header().e_type(endian) != elf::ET_REL {
            return Err(refuse("a program or a library, not an object to link".to_owned()));
        }
        let section = |name: &'static str| -> Result<Option<&[u8]>> {
            match file.section_by_name(name) {
                None => Ok(None),
                Some(section) => {
                    section.data().map(Some).map_err(|error| refuse(format!("section {name}: {error}")))
                }
            }
        };
        let modinfo = section(".modinfo")?.ok_or_else(|| refuse("no .modinfo section".to_owned()))?;

        let mut module = Self {
            name,
            path: path.to_owned(),
            depends: Vec::new(),
            soft: SoftDependencies::default(),
            softdep_records: Vec::new(),
            weakdep_records: Vec::new(),
            aliases: Vec::new(),
            exports: Vec::new(),
            imports: Vec::new(),
        };
        for record in strings(modinfo) {
            module.take(record)?;
        }

        let table = file.elf_symbol_table();
        let mut symbols = Vec::with_capacity(table.len());
        for symbol in table.iter().skip(1) {
            let name = symbol
                .name(endian, table.strings())
                .map_err(|error| refuse(format!("symbol table: {error}")))?;
            symbols.push((String::from_utf8_lossy(name), symbol.st_shndx(endian)));
        }
        module.exports = symbols
            .iter()
            .filter_map(|(name, _)| name.strip_prefix("__crc_"))
            .filter(|name| !name.is_empty())
            .map(str::to_owned)
            .collect();
        if module.exports.is_empty() {
            // A kernel without symbol versions has no checksums to name its exports by.
            let names = section("__ksymtab_strings")?.unwrap_or_default();
            module.exports = strings(names).map(|name| String::from_utf8_lossy(name).into_owned()).collect();
        }
        module.imports = symbols
            .iter()
            .filter(|(name, place)| *place == elf::SHN_UNDEF && !name.is_empty())
            .map(|(name, _)| name.clone().into_owned())
            .collect();
        module.add_versions(section("__versions")?.unwrap_or_default());
        Ok(module)
    }

    /// Takes in one `key=value` of `.modinfo`.
    fn take(&mut self, record: &[u8]) -> Result<()> {
        let refuse = |reason| Error::Modinfo {
            path: self.path.clone(),
            record: String::from_utf8_lossy(record).chars().take(200).collect(),
            reason,
        };
        let Some(equals) = record.iter().position(|byte| *byte == b'=') else {
            return Ok(());
        };
        let (key, value) = (&record[..equals], &record[equals + 1..]);
        if !matches!(key, b"name" | b"depends" | b"softdep" | b"weakdep" | b"alias") {
            // Authors and descriptions may hold anything.
            return Ok(());
        }
        let value = std::str::from_utf8(value)
            .ok()
            .filter(|value| value.is_ascii() && !value.contains('\n'))
            .ok_or_else(|| refuse("expected 7-bit ASCII on one line, the indexes hold nothing else"))?;
        if value.len() > alias::LONGEST {
            return Err(refuse("longer than modprobe can read"));
        }
        match key {
            b"name" if value.replace('-', "_") != self.name.as_str() => {
                return Err(Error::OtherName { path: self.path.clone(), says: value.to_owned() });
            }
            b"depends" => {
                for name in value.split(',').filter(|name| !name.is_empty()) {
                    self.depends.push(
                        ModuleName::new(name).map_err(|_| refuse("depends on something that is no name"))?,
                    );
                }
            }
            b"softdep" => {
                self.soft.add(value);
                self.softdep_records.push(value.to_owned());
            }
            b"weakdep" => self.weakdep_records.push(value.to_owned()),
            b"alias" => self.aliases.push(value.to_owned()),
            _ => {}
        }
        Ok(())
    }

    /// Adds what only the version table names (`module_layout`): depmod looks there too, after the symbols.
    fn add_versions(&mut self, table: &[u8]) {
        if !table.len().is_multiple_of(VERSION_RECORD) {
            return;
        }
        let known: std::collections::BTreeSet<&str> = self.imports.iter().map(String::as_str).collect();
        let more: Vec<String> = table
            .chunks_exact(VERSION_RECORD)
            .filter_map(|record| strings(&record[VERSION_NAME..]).next())
            .map(|name| String::from_utf8_lossy(name).into_owned())
            .filter(|name| !known.contains(name.as_str()))
            .collect();
        self.imports.extend(more);
    }
}

/// The zero-terminated strings of a section; padding between them is none.
fn strings(section: &[u8]) -> impl Iterator<Item = &[u8]> {
    section.split(|byte| *byte == 0).filter(|string| !string.is_empty())
}
