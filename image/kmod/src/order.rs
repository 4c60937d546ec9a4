//! Lines of module paths: `modules.order` and `modules.builtin`.

use std::collections::BTreeMap;

use crate::error::{Error, Result};
use crate::name::ModuleName;

/// The module paths of a file, one per line, without the compression's ending.
///
/// A byte-order mark, CRLF and empty lines are taken; anything else must look like a module.
pub(crate) fn paths<'a>(file: &'static str, text: &'a str) -> Result<Vec<(&'a str, ModuleName)>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut found = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim_end();
        if line.is_empty() {
            continue;
        }
        let name = ModuleName::of_path(line).ok();
        match name {
            Some(name) if line.ends_with(".ko") && line.starts_with(|c: char| c.is_ascii_alphabetic()) => {
                found.push((line, name));
            }
            _ => {
                return Err(Error::PathLine {
                    file,
                    line: index + 1,
                    text: line.chars().take(200).collect(),
                });
            }
        }
    }
    Ok(found)
}

/// Where in the kernel's own link order a module comes. Modules that bind to the same device are tried in
/// this order, so it decides which of two drivers wins.
#[derive(Debug, Clone, Default)]
pub(crate) struct LinkOrder(BTreeMap<String, usize>);

impl LinkOrder {
    /// Reads `modules.order`.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let mut places = BTreeMap::new();
        for (place, (path, _)) in paths("modules.order", text)?.into_iter().enumerate() {
            places.entry(path.to_owned()).or_insert(place);
        }
        Ok(Self(places))
    }

    /// The place of a module file; those that the list does not know come after all others, by path
    /// (depmod takes them in the order in which the directory happens to list them).
    pub(crate) fn place<'p>(&self, path: &'p str) -> (usize, &'p str) {
        (self.0.get(plain_path(path)).copied().unwrap_or(usize::MAX), path)
    }

    /// Whether the list knows this module file.
    pub(crate) fn knows(&self, path: &str) -> bool {
        self.0.contains_key(plain_path(path))
    }
}

/// A module's path without the compression's ending: `kernel/x.ko.xz` is `kernel/x.ko` in these lists.
pub(crate) fn plain_path(path: &str) -> &str {
    let file = path.rfind('/').map_or(0, |slash| slash + 1);
    path[file..].find(".ko").map_or(path, |dot| &path[..file + dot + 3])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn carriage_returns_a_byte_order_mark_and_empty_lines_are_no_part_of_a_path() {
        let lines = paths("modules.order", "\u{feff}kernel/a-b.ko\r\n\r\nkernel/c.ko").unwrap();
        let names: Vec<_> = lines.iter().map(|(path, name)| (*path, name.as_str())).collect();
        assert_eq!(names, [("kernel/a-b.ko", "a_b"), ("kernel/c.ko", "c")]);
    }

    #[test]
    fn a_line_that_is_no_module_is_refused_with_its_number() {
        let message = paths("modules.builtin", "kernel/a.ko\nkernel/b.o\n").unwrap_err().to_string();
        assert!(message.starts_with("modules.builtin:2: \"kernel/b.o\""), "{message}");
        assert!(paths("modules.builtin", "../../etc/passwd").is_err());
        assert!(paths("modules.builtin", &"x".repeat(1 << 20)).is_err());
    }

    #[test]
    fn a_module_has_its_place_whatever_its_compression_and_strangers_come_last() {
        let order = LinkOrder::parse("kernel/b.ko\nkernel/a.ko\nkernel/b.ko\n").unwrap();
        assert!(order.place("kernel/b.ko.xz") < order.place("kernel/a.ko.zst"));
        assert!(order.place("kernel/a.ko") < order.place("extra/a.ko"));
        assert!(order.knows("kernel/a.ko.gz") && !order.knows("extra/a.ko"));
    }
}
