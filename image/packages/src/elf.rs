//! Shared libraries across a closure: what the files need, and what none of them brings.
//!
//! A package that is left out on purpose may take a library along that something else is linked with; the box would
//! notice when it starts that program. The builder asks here instead.

use std::collections::{BTreeMap, BTreeSet};

use object::elf;
use object::read::elf::{Dyn, ElfFile32, ElfFile64, FileHeader, ProgramHeader};
use object::{Endianness, FileKind};

use crate::deb::{Entry, EntryKind};

/// A library that is needed and not there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// Its soname, as `libcap.so.2`.
    pub library: String,
    /// The files that need it.
    pub needed_by: Vec<String>,
}

/// What an ELF file says to the dynamic loader.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Dynamic {
    /// DT_NEEDED.
    pub needed: Vec<String>,
    /// DT_RUNPATH and DT_RPATH, parted at the colons.
    pub search: Vec<String>,
    /// The program interpreter, if the file asks for one.
    pub interpreter: Option<String>,
    /// Machine and class: a library of another one does not count.
    machine: (u16, u8),
}

/// The libraries that files of these entries need and that no entry is, searched as the dynamic loader does: the
/// file's own run path, a library's own folder, then `usr/lib` and its multiarch folders. Program interpreters count as libraries.
pub fn missing_libraries<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> Vec<Missing> {
    let mut names: BTreeMap<&str, &EntryKind> = BTreeMap::new();
    let mut needs: Vec<(&str, Dynamic)> = Vec::new();
    let mut machines: BTreeMap<&str, (u16, u8)> = BTreeMap::new();
    for entry in entries {
        names.insert(&entry.path, &entry.kind);
        if let EntryKind::File(content) = &entry.kind
            && let Some(dynamic) = read_dynamic(content)
        {
            machines.insert(&entry.path, dynamic.machine);
            needs.push((&entry.path, dynamic));
        }
    }
    let closure = Closure { names, machines };
    let mut missing: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    for (path, dynamic) in &needs {
        for library in &dynamic.needed {
            if !closure.has_library(path, dynamic, library) {
                missing.entry(library.clone()).or_default().insert(path);
            }
        }
        if let Some(interpreter) = &dynamic.interpreter
            && closure.follow(interpreter.trim_start_matches('/')).is_none()
        {
            missing.entry(interpreter.clone()).or_default().insert(path);
        }
    }
    let missing = missing.into_iter();
    missing
        .map(|(library, by)| Missing { library, needed_by: by.into_iter().map(str::to_string).collect() })
        .collect()
}

struct Closure<'a> {
    names: BTreeMap<&'a str, &'a EntryKind>,
    machines: BTreeMap<&'a str, (u16, u8)>,
}

impl<'a> Closure<'a> {
    fn has_library(&self, needer: &str, dynamic: &Dynamic, library: &str) -> bool {
        let origin = needer.rsplit_once('/').map_or("", |(folder, _)| folder);
        let own = dynamic.search.iter().map(|folder| {
            let folder = folder.replace("${ORIGIN}", "$ORIGIN").replace("$ORIGIN", &format!("/{origin}"));
            normal(&folder)
        });
        let common = ["usr/lib", "usr/lib64", "lib", "lib64"].map(str::to_string);
        let multiarch = self
            .names
            .keys()
            .filter_map(|path| path.strip_prefix("usr/lib/")?.split_once('/'))
            .filter(|(folder, _)| folder.contains("-linux-"))
            .map(|(folder, _)| format!("usr/lib/{folder}"))
            .collect::<BTreeSet<_>>();
        // A library beside its user is already loaded by then: systemd's own are found through the program's run path.
        let beside = dynamic.interpreter.is_none().then(|| origin.to_string());
        own.chain(beside).chain(common).chain(multiarch).any(|folder| {
            let found = self.follow(&format!("{folder}/{library}"));
            found.is_some_and(|path| {
                self.machines.get(path).is_some_and(|machine| *machine == dynamic.machine)
            })
        })
    }

    /// The file behind a path, links followed (a few: a circle ends it).
    fn follow(&self, path: &str) -> Option<&'a str> {
        let mut path = self.through_merged_usr(path);
        for _ in 0..16 {
            let (known, kind) = self.names.get_key_value(path.as_str())?;
            match kind {
                EntryKind::File(_) => return Some(known),
                EntryKind::Hardlink(target) => path = target.clone(),
                EntryKind::Symlink(target) => {
                    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
                    path = self.through_merged_usr(&match target.strip_prefix('/') {
                        Some(absolute) => normal(absolute),
                        None => normal(&format!("{folder}/{target}")),
                    });
                }
                EntryKind::Directory => return None,
            }
        }
        None
    }

    /// `/lib/ld-linux-aarch64.so.1` is in usr/lib: the links lib → usr/lib are the root's, not a package's.
    fn through_merged_usr(&self, path: &str) -> String {
        let path = normal(path);
        let merged = ["lib/", "lib64/", "bin/", "sbin/"].iter().any(|prefix| path.starts_with(prefix));
        if merged && !self.names.contains_key(path.as_str()) { format!("usr/{path}") } else { path }
    }
}

/// The path without a leading slash, `.` and `..`.
fn normal(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// What the file tells the dynamic loader; `None` where it is no ELF program or library, or is broken.
pub fn read_dynamic(content: &[u8]) -> Option<Dynamic> {
    match FileKind::parse(content).ok()? {
        FileKind::Elf64 => {
            let file = ElfFile64::<Endianness>::parse(content).ok()?;
            dynamic_of(file.elf_header(), content)
        }
        FileKind::Elf32 => {
            let file = ElfFile32::<Endianness>::parse(content).ok()?;
            dynamic_of(file.elf_header(), content)
        }
        _ => None,
    }
}

fn dynamic_of<H: FileHeader<Endian = Endianness>>(header: &H, content: &[u8]) -> Option<Dynamic> {
    let endian = header.endian().ok()?;
    let kind = header.e_type(endian);
    if kind != elf::ET_EXEC && kind != elf::ET_DYN {
        return None;
    }
    let machine = (header.e_machine(endian).0, header.e_ident().class.0);
    let mut found = Dynamic { machine, ..Dynamic::default() };
    let sections = header.sections(endian, content).ok()?;
    let segments = header.program_headers(endian, content).ok()?;
    for segment in segments {
        if let Ok(Some(interpreter)) = segment.interpreter(endian, content) {
            found.interpreter = Some(String::from_utf8_lossy(interpreter).into_owned());
        }
    }
    let Ok(Some((entries, link))) = sections.dynamic(endian, content) else { return Some(found) };
    let strings = sections.strings(endian, content, link).ok()?;
    for entry in entries {
        let text =
            || entry.string(endian, strings).ok().map(|text| String::from_utf8_lossy(text).into_owned());
        match entry.tag(endian) {
            elf::DT_NEEDED => found.needed.extend(text()),
            elf::DT_RUNPATH | elf::DT_RPATH => {
                found.search.extend(text().iter().flat_map(|list| list.split(':').map(str::to_string)));
            }
            _ => {}
        }
    }
    Some(found)
}
