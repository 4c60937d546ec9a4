//! All modules of one kernel, opened only as far as somebody asks.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::alias;
use crate::builtin::Builtin;
use crate::compression;
use crate::error::{Error, Result};
use crate::module::Module;
use crate::name::ModuleName;
use crate::order::LinkOrder;

/// The modules of a kernel package by name.
///
/// Opening all of them takes seconds (367 MB of plain modules), so [`Catalogue::aliases`] does it once, on
/// all processors, and only when it is asked; everything else opens single files.
pub struct Catalogue<'a> {
    files: BTreeMap<ModuleName, (&'a str, &'a [u8])>,
    pub(crate) builtin: Builtin,
    pub(crate) order: LinkOrder,
    aliases: OnceLock<Vec<(String, ModuleName)>>,
}

impl<'a> Catalogue<'a> {
    /// `all`: every module file by its path within the kernel's module directory; the rest are the files
    /// `modules.builtin`, `modules.builtin.modinfo` and `modules.order` beside them.
    pub fn new(
        all: &'a BTreeMap<String, Vec<u8>>,
        builtin: &str,
        builtin_modinfo: &[u8],
        order: &str,
    ) -> Result<Self> {
        let mut files: BTreeMap<ModuleName, (&str, &[u8])> = BTreeMap::new();
        for (path, bytes) in all {
            compression::check_ending(path)?;
            match files.entry(ModuleName::of_path(path)?) {
                Entry::Vacant(entry) => drop(entry.insert((path, bytes))),
                Entry::Occupied(entry) => {
                    return Err(Error::TwoFiles {
                        name: entry.key().clone(),
                        first: entry.get().0.to_owned(),
                        second: path.clone(),
                    });
                }
            }
        }
        Ok(Self {
            files,
            builtin: Builtin::parse(builtin, builtin_modinfo)?,
            order: LinkOrder::parse(order)?,
            aliases: OnceLock::new(),
        })
    }

    /// Whether there is a file for that name.
    pub fn has(&self, name: &ModuleName) -> bool {
        self.files.contains_key(name)
    }

    /// What is part of the kernel itself.
    pub fn builtin(&self) -> &Builtin {
        &self.builtin
    }

    /// A module's path and its bytes as shipped.
    pub(crate) fn file(&self, name: &ModuleName) -> Option<(&'a str, &'a [u8])> {
        self.files.get(name).copied()
    }

    /// Opens one module.
    pub fn module(&self, name: &ModuleName) -> Result<Module> {
        let (path, bytes) =
            self.file(name).ok_or_else(|| Error::NotSelected { name: name.as_str().to_owned() })?;
        Module::parse(path, &compression::open(path, bytes)?)
    }

    /// Every alias of every module with its module, as `modules.alias` would list them (by name of the module).
    pub fn aliases(&self) -> Result<&[(String, ModuleName)]> {
        if let Some(aliases) = self.aliases.get() {
            return Ok(aliases);
        }
        let names: Vec<&ModuleName> = self.files.keys().collect();
        let next = AtomicUsize::new(0);
        let workers = std::thread::available_parallelism().map_or(1, usize::from).min(names.len().max(1));
        let read = || -> Result<Vec<(String, ModuleName)>> {
            let mut found = Vec::new();
            while let Some(name) = names.get(next.fetch_add(1, Ordering::Relaxed)) {
                let module = self.module(name)?;
                found.extend(module.aliases.into_iter().map(|alias| (alias, (*name).clone())));
            }
            Ok(found)
        };
        let parts: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..workers).map(|_| scope.spawn(read)).collect();
            threads.into_iter().map(|thread| thread.join()).collect()
        });
        let mut aliases = Vec::new();
        for part in parts {
            aliases.extend(part.unwrap_or_else(|panic| std::panic::resume_unwind(panic))?);
        }
        // Stable and by module: the threads' shares differ from run to run.
        aliases.sort_by(|a, b| a.1.cmp(&b.1));
        Ok(self.aliases.get_or_init(|| aliases))
    }

    /// The modules that go by an alias.
    pub(crate) fn providers(&self, wanted: &str) -> Result<Vec<ModuleName>> {
        let Some(wanted) = alias::normalised(wanted) else {
            return Ok(Vec::new());
        };
        let mut found: Vec<ModuleName> = self
            .aliases()?
            .iter()
            .filter(|(pattern, _)| answers(pattern, &wanted))
            .map(|(_, name)| name.clone())
            .collect();
        found.dedup();
        Ok(found)
    }

    /// Names that look like one that is not there, best first.
    pub(crate) fn suggestions(&self, wrong: &str) -> Vec<String> {
        let wrong = wrong.replace('-', "_");
        let mut near: Vec<(f64, &str)> = self
            .files
            .keys()
            .chain(self.builtin.known())
            .map(|name| (strsim::jaro_winkler(&wrong, name.as_str()), name.as_str()))
            .filter(|(likeness, _)| *likeness > 0.87)
            .collect();
        near.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
        near.dedup();
        near.into_iter().take(3).map(|(_, name)| name.to_owned()).collect()
    }
}

/// Whether a module with this alias answers to a normalised name.
pub(crate) fn answers(pattern: &str, wanted: &str) -> bool {
    alias::normalised(pattern).is_some_and(|pattern| alias::matches(&pattern, wanted))
}
