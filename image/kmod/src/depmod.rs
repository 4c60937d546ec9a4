//! The files that libkmod reads, for exactly the selected modules, byte for byte as depmod 34 writes them.
//!
//! depmod goes by symbols, not by `depends`: a module needs whoever exports what it imports. The order
//! among dependencies, and the priority of a module among those with one alias, follow from the
//! kernel's link order and from a topological sort whose ties the symbol tables decide, so all of
//! that is done here in the same way.
//!
//! Left out is `modules.symbols`, the text form of `modules.symbols.bin`: nothing reads it, and its order is
//! that of a hash table. The `.bin` is there because libkmod refuses to load any index if one of them is missing.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::alias;
use crate::error::{Error, Result};
use crate::module::Module;
use crate::order;
use crate::select::Selection;
use crate::trie::Trie;

/// The names of the files that [`indexes`] makes.
pub const INDEX_FILES: [&str; 13] = [
    "modules.alias",
    "modules.alias.bin",
    "modules.builtin",
    "modules.builtin.alias.bin",
    "modules.builtin.bin",
    "modules.builtin.modinfo",
    "modules.dep",
    "modules.dep.bin",
    "modules.devname",
    "modules.order",
    "modules.softdep",
    "modules.symbols.bin",
    "modules.weakdep",
];

/// Makes the index files of a selection, by name within the kernel's module directory.
pub fn indexes(selection: &Selection) -> Result<BTreeMap<String, Vec<u8>>> {
    let graph = Graph::of(selection)?;
    let files: [(&str, Vec<u8>); 13] = [
        ("modules.alias", graph.alias().into_bytes()),
        ("modules.alias.bin", graph.alias_bin()?),
        ("modules.builtin", selection.kernel.list.clone().into_bytes()),
        ("modules.builtin.alias.bin", builtin_alias_bin(selection)?),
        ("modules.builtin.bin", builtin_bin(selection)?),
        ("modules.builtin.modinfo", selection.kernel.modinfo.clone()),
        ("modules.dep", graph.dep().into_bytes()),
        ("modules.dep.bin", graph.dep_bin()?),
        ("modules.devname", graph.devname().into_bytes()),
        ("modules.order", graph.link_order(selection).into_bytes()),
        ("modules.softdep", graph.softdep().into_bytes()),
        ("modules.symbols.bin", graph.symbols_bin()?),
        ("modules.weakdep", graph.weakdep().into_bytes()),
    ];
    Ok(files.into_iter().map(|(name, bytes)| (name.to_owned(), bytes)).collect())
}

/// The selected modules in link order, and who needs whom.
struct Graph<'s> {
    modules: Vec<&'s Module>,
    /// Who exports a symbol; of two, the later one.
    symbols: BTreeMap<&'s str, usize>,
    /// For each module, all that it needs, near and far, users first.
    needs: Vec<Vec<usize>>,
}

impl<'s> Graph<'s> {
    fn of(selection: &'s Selection) -> Result<Self> {
        let mut modules: Vec<&Module> = selection.parsed.values().collect();
        modules.sort_by_key(|module| selection.order.place(&module.path));
        let mut symbols = BTreeMap::new();
        for (index, module) in modules.iter().enumerate() {
            for symbol in &module.exports {
                symbols.insert(symbol.as_str(), index);
            }
        }
        let mut direct: Vec<Vec<usize>> = Vec::with_capacity(modules.len());
        let mut users = vec![0_usize; modules.len()];
        for module in &modules {
            let mut owners = Vec::new();
            for import in &module.imports {
                // 64-bit PowerPC's ".name" is the same symbol as "name"; depmod skips the dot anywhere.
                let name = import.strip_prefix('.').unwrap_or(import);
                match symbols.get(name) {
                    Some(owner) if !owners.contains(owner) => {
                        owners.push(*owner);
                        users[*owner] += 1;
                    }
                    _ => {}
                }
            }
            direct.push(owners);
        }
        let rank = ranks(&modules, &direct, users)?;
        let needs = (0..modules.len()).map(|index| reach(index, &direct, &rank)).collect();
        Ok(Self { modules, symbols, needs })
    }

    /// `path: path path`, for each module.
    fn dep_lines(&self) -> impl Iterator<Item = (&'s Module, String)> {
        self.modules.iter().zip(&self.needs).map(|(module, needs)| {
            let mut line = format!("{}:", module.path);
            for need in needs {
                line.push(' ');
                line.push_str(&self.modules[*need].path);
            }
            (*module, line)
        })
    }

    fn dep(&self) -> String {
        self.dep_lines().map(|(_, line)| line + "\n").collect()
    }

    fn dep_bin(&self) -> Result<Vec<u8>> {
        let mut trie = Trie::new("modules.dep.bin");
        for (index, (module, line)) in self.dep_lines().enumerate() {
            trie.insert(module.name.as_str(), &line, index as u32)?;
        }
        trie.write()
    }

    fn alias(&self) -> String {
        let mut text = String::from("# Aliases extracted from modules themselves.\n");
        for module in &self.modules {
            for alias in &module.aliases {
                line(&mut text, format_args!("alias {alias} {}", module.name));
            }
        }
        text
    }

    fn alias_bin(&self) -> Result<Vec<u8>> {
        let mut trie = Trie::new("modules.alias.bin");
        for (index, module) in self.modules.iter().enumerate() {
            for alias in module.aliases.iter().filter_map(|alias| alias::normalised(alias)) {
                trie.insert(&alias, module.name.as_str(), index as u32)?;
            }
        }
        trie.write()
    }

    fn softdep(&self) -> String {
        let mut text = String::from("# Soft dependencies extracted from modules themselves.\n");
        for module in &self.modules {
            for record in &module.softdep_records {
                line(&mut text, format_args!("softdep {} {record}", module.name));
            }
        }
        text
    }

    fn weakdep(&self) -> String {
        let mut text = String::from("# Weak dependencies extracted from modules themselves.\n");
        for module in &self.modules {
            for record in &module.weakdep_records {
                line(&mut text, format_args!("weakdep {} {record}", module.name));
            }
        }
        text
    }

    fn symbols_bin(&self) -> Result<Vec<u8>> {
        let mut trie = Trie::new("modules.symbols.bin");
        for (symbol, owner) in &self.symbols {
            trie.insert(&format!("symbol:{symbol}"), self.modules[*owner].name.as_str(), *owner as u32)?;
        }
        trie.write()
    }

    /// Device nodes that systemd-tmpfiles makes before their module is there, so that opening one loads it.
    fn devname(&self) -> String {
        let mut text = String::new();
        for module in &self.modules {
            let mut node = None;
            let mut number = None;
            for alias in &module.aliases {
                if let Some(name) = alias.strip_prefix("devname:") {
                    node = Some(name);
                } else if let Some(found) = device_number(alias) {
                    number = Some(found);
                }
                if node.is_some() && number.is_some() {
                    break;
                }
            }
            if let (Some(node), Some((kind, major, minor))) = (node, number) {
                if text.is_empty() {
                    text.push_str("# Device nodes to trigger on-demand module loading.\n");
                }
                line(&mut text, format_args!("{} {node} {kind}{major}:{minor}", module.name));
            }
        }
        text
    }

    /// The kernel's link order, cut down to what is there.
    fn link_order(&self, selection: &Selection) -> String {
        let known = self.modules.iter().filter(|module| selection.order.knows(&module.path));
        known.map(|module| format!("{}\n", order::plain_path(&module.path))).collect()
    }
}

fn line(text: &mut String, content: std::fmt::Arguments<'_>) {
    writeln!(text, "{content}").expect("writing to a String does not fail");
}

/// Users first: each module's place in a topological sort that takes, of those without users left, the one
/// found last.
fn ranks(modules: &[&Module], direct: &[Vec<usize>], mut users: Vec<usize>) -> Result<Vec<usize>> {
    let mut free: Vec<usize> = (0..modules.len()).filter(|index| users[*index] == 0).collect();
    let mut rank = vec![usize::MAX; modules.len()];
    let mut next = 0;
    while let Some(index) = free.pop() {
        rank[index] = next;
        next += 1;
        for need in &direct[index] {
            users[*need] -= 1;
            if users[*need] == 0 {
                free.push(*need);
            }
        }
    }
    if next < modules.len() {
        let members = (0..modules.len()).filter(|index| rank[*index] == usize::MAX);
        return Err(Error::Circle {
            members: members.map(|index| modules[index].name.to_string()).collect(),
        });
    }
    Ok(rank)
}

/// Everything that a module needs, directly or not, by rank.
fn reach(from: usize, direct: &[Vec<usize>], rank: &[usize]) -> Vec<usize> {
    let mut found = std::collections::BTreeSet::new();
    let mut todo = vec![from];
    while let Some(index) = todo.pop() {
        todo.extend(direct[index].iter().filter(|need| found.insert((rank[**need], **need))));
    }
    found.into_iter().map(|(_, index)| index).collect()
}

/// `char-major-10-237`: what kind of device node, and its numbers.
fn device_number(alias: &str) -> Option<(char, u32, u32)> {
    let (kind, rest) = match alias.strip_prefix("char-major-") {
        Some(rest) => ('c', rest),
        None => ('b', alias.strip_prefix("block-major-")?),
    };
    let (major, rest) = rest.split_once('-')?;
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    Some((kind, major.parse().ok()?, rest[..end].parse().ok()?))
}

fn builtin_bin(selection: &Selection) -> Result<Vec<u8>> {
    let mut trie = Trie::new("modules.builtin.bin");
    for name in &selection.kernel.names {
        trie.insert(name.as_str(), "", 0)?;
    }
    trie.write()
}

fn builtin_alias_bin(selection: &Selection) -> Result<Vec<u8>> {
    let mut trie = Trie::new("modules.builtin.alias.bin");
    for (module, alias) in &selection.kernel.aliases {
        if let Some(alias) = alias::normalised(alias) {
            trie.insert(&alias, module, 0)?;
        }
    }
    trie.write()
}
