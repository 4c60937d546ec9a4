//! What is part of the kernel itself, from `modules.builtin` and `modules.builtin.modinfo`.

use std::collections::BTreeSet;

use crate::alias;
use crate::error::{Error, Result};
use crate::name::ModuleName;
use crate::order;

/// The modules that this kernel has built in, with their aliases.
#[derive(Debug, Clone, Default)]
pub struct Builtin {
    /// In the order of `modules.builtin`, repeats included: the index is made from it.
    pub(crate) names: Vec<ModuleName>,
    /// Module and alias as written, in the order of `modules.builtin.modinfo`.
    pub(crate) aliases: Vec<(String, String)>,
    known: BTreeSet<ModuleName>,
    pub(crate) list: String,
    pub(crate) modinfo: Vec<u8>,
}

impl Builtin {
    /// Reads the two files as the kernel package has them.
    pub fn parse(list: &str, modinfo: &[u8]) -> Result<Self> {
        let names: Vec<_> =
            order::paths("modules.builtin", list)?.into_iter().map(|(_, name)| name).collect();
        let known = names.iter().cloned().collect();
        let mut aliases = Vec::new();
        let mut offset = 0;
        for record in modinfo.split(|byte| *byte == 0) {
            if !record.is_empty() {
                let (module, key, value) = split(record).ok_or_else(|| Error::BuiltinRecord {
                    offset,
                    record: String::from_utf8_lossy(record).chars().take(200).collect(),
                })?;
                if key == b"alias" && !value.is_empty() {
                    aliases.push((lossy(module), lossy(value)));
                }
            }
            offset += record.len() + 1;
        }
        Ok(Self { names, aliases, known, list: list.to_owned(), modinfo: modinfo.to_owned() })
    }

    /// Whether a module of that name is part of the kernel.
    pub fn has(&self, name: &ModuleName) -> bool {
        self.known.contains(name)
    }

    /// Whether something built in goes by that name or alias.
    pub(crate) fn answers_to(&self, wanted: &str) -> bool {
        ModuleName::new(wanted).is_ok_and(|name| self.has(&name))
            || alias::normalised(wanted).is_some_and(|wanted| {
                self.aliases
                    .iter()
                    .filter_map(|(_, pattern)| alias::normalised(pattern))
                    .any(|pattern| alias::matches(&pattern, &wanted))
            })
    }

    pub(crate) fn known(&self) -> impl Iterator<Item = &ModuleName> {
        self.known.iter()
    }
}

fn split(record: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let dot = record.iter().position(|byte| *byte == b'.')?;
    let equals = dot + record[dot..].iter().position(|byte| *byte == b'=')?;
    (dot > 0 && equals > dot + 1).then(|| (&record[..dot], &record[dot + 1..equals], &record[equals + 1..]))
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_built_in_module_answers_to_its_name_and_its_aliases() {
        let builtin = Builtin::parse(
            "kernel/crypto/sha256_generic.ko\nkernel/fs/fuse/fuse.ko\n",
            b"sha256_generic.alias=crypto-sha256\0fuse.license=GPL\0fuse.alias=fs-fuse*\0",
        )
        .unwrap();
        assert!(builtin.has(&ModuleName::new("sha256-generic").unwrap()));
        assert!(builtin.answers_to("crypto-sha256") && builtin.answers_to("fs-fuseblk"));
        assert!(!builtin.answers_to("crypto-crc32c"));
    }

    #[test]
    fn a_record_without_a_key_is_refused_with_its_place() {
        for (wrong, offset) in
            [(&b"a.b=c\0nonsense\0"[..], 6), (b"=x", 0), (b".key=x", 0), (b"a.=x", 0), (b"a.b", 0)]
        {
            match Builtin::parse("", wrong) {
                Err(Error::BuiltinRecord { offset: at, .. }) => assert_eq!(at, offset),
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn empty_files_are_a_kernel_without_built_in_modules() {
        assert_eq!(Builtin::parse("", b"").unwrap().names.len(), 0);
    }
}
