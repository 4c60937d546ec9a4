//! The closure of a list of names: every file that they need, in an order in which they load.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::alias;
use crate::builtin::Builtin;
use crate::catalogue::{Catalogue, answers};
use crate::compression;
use crate::error::{Error, Result};
use crate::module::Module;
use crate::name::ModuleName;
use crate::order::LinkOrder;

/// The modules that an image carries.
#[derive(Debug, Clone)]
pub struct Selection {
    /// Path within the kernel's module directory, and the file as it was shipped.
    pub modules: BTreeMap<String, Vec<u8>>,
    /// Names so that each comes after all that it needs; otherwise in the order of the list.
    pub load_order: Vec<String>,
    /// Names of the list that need no file, because this kernel has them built in.
    pub builtin: Vec<String>,
    /// Soft dependencies that nothing in this kernel satisfies. The modules load without them.
    pub unmet: Vec<UnmetSoftDependency>,
    pub(crate) parsed: BTreeMap<ModuleName, Module>,
    pub(crate) kernel: Builtin,
    pub(crate) order: LinkOrder,
}

/// A wish that this kernel cannot fulfil.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct UnmetSoftDependency {
    /// Who wishes.
    pub module: String,
    /// For what.
    pub wish: String,
}

/// Closes `wanted` over everything that the modules need.
///
/// `all` holds every module file by its path within the kernel's module directory. A soft dependency may name
/// an alias; it counts as met when a module of the closure answers to it, else every module of the
/// kernel that does is added (for that all of them are opened, which takes seconds: name the provider
/// in the list to save them).
pub fn select(
    all: &BTreeMap<String, Vec<u8>>,
    wanted: &[String],
    builtin: &str,
    builtin_modinfo: &[u8],
    order: &str,
) -> Result<Selection> {
    Catalogue::new(all, builtin, builtin_modinfo, order)?.select(wanted)
}

impl Catalogue<'_> {
    /// Like [`select`], for more than one list of the same kernel.
    pub fn select(&self, wanted: &[String]) -> Result<Selection> {
        let mut roots = Vec::new();
        let mut builtin = Vec::new();
        for written in wanted {
            let name = ModuleName::new(written)?;
            if self.has(&name) {
                roots.push(name);
            } else if self.builtin.has(&name) {
                builtin.push(name.to_string());
            } else {
                return Err(Error::NoSuchModule {
                    name: written.clone(),
                    suggestions: self.suggestions(written),
                });
            }
        }

        let mut closure = Closure { catalogue: self, parsed: BTreeMap::new() };
        for name in &roots {
            closure.add(name)?;
        }
        let (edges, unmet) = closure.settle()?;
        let parsed = closure.parsed;
        let load_order = load_order(&roots, &parsed, &edges)?;
        let modules = parsed
            .keys()
            .filter_map(|name| self.file(name))
            .map(|(path, bytes)| (path.to_owned(), bytes.to_owned()))
            .collect();
        Ok(Selection {
            modules,
            load_order: load_order.iter().map(ModuleName::to_string).collect(),
            builtin,
            unmet,
            parsed,
            kernel: self.builtin.clone(),
            order: self.order.clone(),
        })
    }
}

impl Selection {
    /// What is known of each module, by name.
    pub fn parsed(&self) -> impl Iterator<Item = &Module> {
        self.parsed.values()
    }

    /// The path of a module, whichever way its name is spelled.
    pub fn path(&self, name: &str) -> Result<&str> {
        ModuleName::new(name)
            .ok()
            .and_then(|name| self.parsed.get(&name))
            .map(|module| module.path.as_str())
            .ok_or_else(|| Error::NotSelected { name: name.to_owned() })
    }

    /// The plain module: what the initramfs carries, because its `/init` brings no decoder.
    pub fn decompressed(&self, name: &str) -> Result<Vec<u8>> {
        let path = self.path(name)?;
        let bytes = self.modules.get(path).ok_or_else(|| Error::NotSelected { name: name.to_owned() })?;
        Ok(compression::open(path, bytes)?.into_owned())
    }
}

/// For each module, what soft dependencies bind it to within the closure.
type SoftEdges = BTreeMap<ModuleName, (Vec<ModuleName>, Vec<ModuleName>)>;

struct Closure<'c, 'a> {
    catalogue: &'c Catalogue<'a>,
    parsed: BTreeMap<ModuleName, Module>,
}

impl Closure<'_, '_> {
    /// Takes in a module and all that it depends on; what the kernel has built in needs nothing.
    fn add(&mut self, name: &ModuleName) -> Result<()> {
        let mut todo = vec![name.clone()];
        while let Some(name) = todo.pop() {
            if self.parsed.contains_key(&name) {
                continue;
            }
            let module = self.catalogue.module(&name)?;
            for dependency in &module.depends {
                if self.catalogue.has(dependency) {
                    todo.push(dependency.clone());
                } else if !self.catalogue.builtin.has(dependency) {
                    return Err(Error::MissingDependency {
                        module: module.name,
                        dependency: dependency.clone(),
                    });
                }
            }
            self.parsed.insert(name, module);
        }
        Ok(())
    }

    /// Adds what soft dependencies ask for until nothing more comes.
    fn settle(&mut self) -> Result<(SoftEdges, Vec<UnmetSoftDependency>)> {
        loop {
            let mut edges = SoftEdges::new();
            let mut unmet = Vec::new();
            let mut missing = BTreeSet::new();
            for module in self.parsed.values() {
                let mut resolve = |wishes: &[String]| -> Result<Vec<ModuleName>> {
                    let mut met = Vec::new();
                    for wish in wishes {
                        let within = self.within(wish);
                        if !within.is_empty() {
                            met.extend(within);
                        } else if !self.catalogue.builtin.answers_to(wish) {
                            let providers = self.elsewhere(wish)?;
                            if providers.is_empty() {
                                unmet.push(UnmetSoftDependency {
                                    module: module.name.to_string(),
                                    wish: wish.clone(),
                                });
                            }
                            missing.extend(providers);
                        }
                    }
                    Ok(met)
                };
                let pre = resolve(&module.soft.pre)?;
                let post = resolve(&module.soft.post)?;
                edges.insert(module.name.clone(), (pre, post));
            }
            if missing.is_empty() {
                unmet.sort();
                unmet.dedup();
                return Ok((edges, unmet));
            }
            for name in missing {
                self.add(&name)?;
            }
        }
    }

    /// The modules of the closure that answer to a name or an alias.
    fn within(&self, wish: &str) -> Vec<ModuleName> {
        if let Some(module) = ModuleName::new(wish).ok().and_then(|name| self.parsed.get(&name)) {
            return vec![module.name.clone()];
        }
        let Some(wish) = alias::normalised(wish) else { return Vec::new() };
        self.parsed
            .values()
            .filter(|module| module.aliases.iter().any(|pattern| answers(pattern, &wish)))
            .map(|module| module.name.clone())
            .collect()
    }

    /// The modules outside the closure that do.
    fn elsewhere(&self, wish: &str) -> Result<Vec<ModuleName>> {
        match ModuleName::new(wish) {
            Ok(name) if self.catalogue.has(&name) => Ok(vec![name]),
            _ => self.catalogue.providers(wish),
        }
    }
}

/// For each module, what is to be loaded before it.
type Before<'m> = BTreeMap<&'m ModuleName, Vec<&'m ModuleName>>;

enum Step<'m> {
    Enter(&'m ModuleName),
    Load(&'m ModuleName),
}

/// Depth first: soft "pre", then dependencies, the module itself, soft "post", as modprobe goes about it.
///
/// A circle of hard dependencies is an error. A wish that would close a circle comes after instead: a
/// wish must not make a module load before what it needs.
fn load_order(
    roots: &[ModuleName],
    parsed: &BTreeMap<ModuleName, Module>,
    soft: &SoftEdges,
) -> Result<Vec<ModuleName>> {
    let mut before: Before<'_> = parsed
        .iter()
        .map(|(name, module)| {
            (name, module.depends.iter().filter(|need| parsed.contains_key(need)).collect())
        })
        .collect();
    let mut after: BTreeMap<&ModuleName, Vec<&ModuleName>> = BTreeMap::new();
    for (name, (pre, post)) in soft {
        let late = after.entry(name).or_default();
        let mut early = Vec::new();
        for wish in pre {
            let list = if reaches(&before, wish, name) { &mut *late } else { &mut early };
            list.push(wish);
        }
        late.extend(post);
        if let Some(needs) = before.get_mut(name) {
            needs.splice(0..0, early);
        }
    }

    let mut done = BTreeSet::new();
    let mut open: Vec<&ModuleName> = Vec::new();
    let mut order = Vec::with_capacity(parsed.len());
    // What comes after a module waits until all that was begun is loaded (it may need some of that), and then
    // goes before the rest of the list.
    let mut waiting: VecDeque<&ModuleName> = roots.iter().collect();
    while let Some(root) = waiting.pop_front() {
        let mut late = Vec::new();
        let mut stack = vec![Step::Enter(root)];
        while let Some(step) = stack.pop() {
            match step {
                Step::Enter(name) if done.contains(name) => {}
                Step::Enter(name) => {
                    if let Some(start) = open.iter().position(|other| *other == name) {
                        let members = open[start..].iter().chain([&name]).map(|name| name.to_string());
                        return Err(Error::Circle { members: members.collect() });
                    }
                    open.push(name);
                    stack.push(Step::Load(name));
                    // The stack gives back the last first.
                    stack.extend(before.get(name).into_iter().flatten().rev().map(|name| Step::Enter(name)));
                }
                Step::Load(name) => {
                    open.pop();
                    done.insert(name);
                    order.push(name.clone());
                    late.extend(after.get(name).into_iter().flatten().copied());
                }
            }
        }
        late.into_iter().rev().for_each(|wish| waiting.push_front(wish));
    }
    Ok(order)
}

/// Whether loading `from` needs `to` to be loaded before it, or is it.
fn reaches(before: &Before<'_>, from: &ModuleName, to: &ModuleName) -> bool {
    let mut seen = BTreeSet::new();
    let mut todo = vec![from];
    while let Some(name) = todo.pop() {
        if name == to {
            return true;
        }
        if seen.insert(name) {
            todo.extend(before.get(name).into_iter().flatten().copied());
        }
    }
    false
}
