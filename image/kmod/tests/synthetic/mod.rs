//! Small modules made in the test: the sections that depmod reads, and nothing to run.

#![allow(dead_code)]

use std::collections::BTreeMap;
use std::io::Write;

use object::write::{Object, Symbol, SymbolSection};
use object::{Architecture, BinaryFormat, Endianness, SectionKind, SymbolFlags, SymbolKind, SymbolScope};

/// A module to be.
#[derive(Debug, Clone, Default)]
pub struct Ko {
    path: String,
    modinfo: Vec<u8>,
    exports: Vec<String>,
    imports: Vec<String>,
    versions: Option<Vec<u8>>,
    checksums: bool,
}

impl Ko {
    pub fn new(path: &str) -> Self {
        Self { path: path.to_owned(), ..Self::default() }.info("license", "GPL")
    }

    /// Adds a record to `.modinfo`.
    pub fn info(mut self, key: &str, value: &str) -> Self {
        self.modinfo.extend_from_slice(format!("{key}={value}\0").as_bytes());
        self
    }

    pub fn raw_info(mut self, bytes: &[u8]) -> Self {
        self.modinfo.extend_from_slice(bytes);
        self
    }

    /// Takes a symbol from every one of these modules, and says so in `depends` as modpost would.
    pub fn needs(mut self, modules: &[&str]) -> Self {
        self.imports.extend(modules.iter().map(|module| format!("of_{}", module.replace('-', "_"))));
        self.info("depends", &modules.join(","))
    }

    pub fn exports(mut self, symbol: &str) -> Self {
        self.exports.push(symbol.to_owned());
        self
    }

    pub fn imports(mut self, symbol: &str) -> Self {
        self.imports.push(symbol.to_owned());
        self
    }

    /// Names its exports by `__crc_` symbols, as a kernel with symbol versions does.
    pub fn with_checksums(mut self) -> Self {
        self.checksums = true;
        self
    }

    pub fn with_versions(mut self, names: &[&str]) -> Self {
        let mut table = Vec::new();
        for name in names {
            let mut record = [0; 64];
            record[8..8 + name.len()].copy_from_slice(name.as_bytes());
            table.extend_from_slice(&record);
        }
        self.versions = Some(table);
        self
    }

    pub fn path(&self) -> &str {
        &self.path
    }

    pub fn elf(&self) -> Vec<u8> {
        self.elf_for(Architecture::Aarch64, Endianness::Little)
    }

    pub fn elf_for(&self, architecture: Architecture, endian: Endianness) -> Vec<u8> {
        let mut object = Object::new(BinaryFormat::Elf, architecture, endian);
        let mut section = |name: &str, bytes: &[u8]| {
            let id = object.add_section(Vec::new(), name.as_bytes().to_vec(), SectionKind::ReadOnlyData);
            object.append_section_data(id, bytes, 1);
        };
        section(".modinfo", &self.modinfo);
        let stem = self.path.rsplit('/').next().unwrap().split('.').next().unwrap().replace('-', "_");
        let exports: Vec<String> =
            std::iter::once(format!("of_{stem}")).chain(self.exports.clone()).collect();
        if !self.checksums {
            section(
                "__ksymtab_strings",
                exports.iter().map(|name| format!("{name}\0")).collect::<String>().as_bytes(),
            );
        }
        if let Some(versions) = &self.versions {
            section("__versions", versions);
        }
        let mut symbol = |name: String, section| {
            object.add_symbol(Symbol {
                name: name.into_bytes(),
                value: 0,
                size: 0,
                kind: if section == SymbolSection::Undefined {
                    SymbolKind::Unknown
                } else {
                    SymbolKind::Data
                },
                scope: if section == SymbolSection::Undefined {
                    SymbolScope::Unknown
                } else {
                    SymbolScope::Dynamic
                },
                weak: false,
                section,
                flags: SymbolFlags::None,
            });
        };
        if self.checksums {
            exports.iter().for_each(|name| symbol(format!("__crc_{name}"), SymbolSection::Absolute));
        }
        self.imports.iter().for_each(|name| symbol(name.clone(), SymbolSection::Undefined));
        object.write().unwrap()
    }

    /// The file, packed as its ending says.
    pub fn file(&self) -> Vec<u8> {
        let plain = self.elf();
        if self.path.ends_with(".xz") {
            let mut out = liblzma::write::XzEncoder::new(Vec::new(), 1);
            out.write_all(&plain).unwrap();
            out.finish().unwrap()
        } else if self.path.ends_with(".zst") {
            zstd::bulk::compress(&plain, 1).unwrap()
        } else {
            plain
        }
    }
}

/// A kernel of such modules.
pub fn kernel(modules: &[Ko]) -> BTreeMap<String, Vec<u8>> {
    modules.iter().map(|module| (module.path.clone(), module.file())).collect()
}

pub fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}
