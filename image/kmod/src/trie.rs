//! The index file of kmod (`modules.*.bin`): a compressed trie, written as kmod 34 writes it.
//!
//! Big-endian words: magic, version, offset of the root. A node is, in this order and each part only if
//! the flags in its offset's high nibble say so: the rest of the key as a zero-terminated prefix; first and
//! last child byte and a table of child offsets; a count and that many pairs of priority and value. Patterns
//! are keys like any other: the reader matches while it descends. kmod 30 wrote children before
//! parents, kmod 34 the other way round; readers take both, so [`entries`] does too.

use std::collections::BTreeMap;

use crate::error::{Error, Result};

const MAGIC: u32 = 0xB007_F457;
const VERSION: u32 = 0x0002_0001;
const HAS_PREFIX: u32 = 0x8000_0000;
const HAS_VALUES: u32 = 0x4000_0000;
const HAS_CHILDREN: u32 = 0x2000_0000;
const OFFSET: u32 = 0x0FFF_FFFF;
const HEADER: usize = 12;

#[derive(Debug, Default)]
struct Node {
    prefix: Vec<u8>,
    children: BTreeMap<u8, Node>,
    values: Vec<(u32, String)>,
}

/// An index being made.
#[derive(Debug)]
pub struct Trie {
    /// The file's name, for messages.
    file: &'static str,
    root: Node,
}

impl Trie {
    /// An empty index; `file` is its name in messages.
    pub fn new(file: &'static str) -> Self {
        Self { file, root: Node::default() }
    }

    /// Adds a value under a key. Values of one key are kept by priority, and the later one comes first
    /// among equals.
    pub fn insert(&mut self, key: &str, value: &str, priority: u32) -> Result<()> {
        for text in [key, value] {
            let reason = if !text.is_ascii() {
                "expected 7-bit ASCII"
            } else if text.contains('\0') {
                "it has a zero byte in it"
            } else if text.len() > crate::alias::LONGEST && text == key {
                "longer than modprobe can read"
            } else {
                continue;
            };
            let text = text.chars().take(200).collect();
            return Err(Error::Unindexable { file: self.file, text, reason });
        }
        self.root.insert(key.as_bytes(), value, priority);
        Ok(())
    }

    /// The file.
    pub fn write(&self) -> Result<Vec<u8>> {
        let total = HEADER + self.root.total();
        if total > OFFSET as usize {
            let text = format!("{total} bytes");
            return Err(Error::Unindexable { file: self.file, text, reason: "offsets have 28 bits" });
        }
        let mut out = Vec::with_capacity(total);
        for word in [MAGIC, VERSION, HEADER as u32 | self.root.flags()] {
            out.extend_from_slice(&word.to_be_bytes());
        }
        self.root.write(&mut out);
        Ok(out)
    }
}

impl Node {
    fn insert(&mut self, key: &[u8], value: &str, priority: u32) {
        let mut node = self;
        let mut key = key;
        loop {
            let shared = node.prefix.iter().zip(key).take_while(|(a, b)| a == b).count();
            if shared < node.prefix.len() {
                node.split(shared);
            }
            key = &key[shared..];
            let Some((&byte, rest)) = key.split_first() else {
                let place = node.values.partition_point(|(other, _)| *other < priority);
                node.values.insert(place, (priority, value.to_owned()));
                return;
            };
            node = node
                .children
                .entry(byte)
                .or_insert_with(|| Node { prefix: rest.to_owned(), ..Node::default() });
            key = rest;
        }
    }

    /// Keeps the first `shared` bytes of the prefix here and moves all else into a child.
    fn split(&mut self, shared: usize) {
        let mut prefix = std::mem::take(&mut self.prefix);
        let child_prefix = prefix.split_off(shared + 1);
        let byte = prefix[shared];
        prefix.truncate(shared);
        let lower = std::mem::replace(self, Node { prefix, ..Node::default() });
        self.children.insert(byte, Node { prefix: child_prefix, ..lower });
    }

    fn flags(&self) -> u32 {
        let flag = |there: bool, flag| if there { flag } else { 0 };
        flag(!self.prefix.is_empty(), HAS_PREFIX)
            | flag(!self.values.is_empty(), HAS_VALUES)
            | flag(!self.children.is_empty(), HAS_CHILDREN)
    }

    /// First and last byte that a child begins with: the table covers all between.
    fn span(&self) -> Option<(u8, u8)> {
        Some((*self.children.first_key_value()?.0, *self.children.last_key_value()?.0))
    }

    /// Bytes of this node alone.
    fn size(&self) -> usize {
        let prefix = if self.prefix.is_empty() { 0 } else { self.prefix.len() + 1 };
        let children = self.span().map_or(0, |(first, last)| 2 + 4 * (usize::from(last - first) + 1));
        let values = if self.values.is_empty() {
            0
        } else {
            4 + self.values.iter().map(|(_, value)| 4 + value.len() + 1).sum::<usize>()
        };
        prefix + children + values
    }

    /// Bytes of this node and all below it.
    fn total(&self) -> usize {
        self.size() + self.children.values().map(Node::total).sum::<usize>()
    }

    fn write(&self, out: &mut Vec<u8>) {
        let mut below = out.len() + self.size();
        if !self.prefix.is_empty() {
            out.extend_from_slice(&self.prefix);
            out.push(0);
        }
        if let Some((first, last)) = self.span() {
            out.extend_from_slice(&[first, last]);
            for byte in first..=last {
                let word = match self.children.get(&byte) {
                    None => 0,
                    Some(child) => {
                        let word = below as u32 | child.flags();
                        below += child.total();
                        word
                    }
                };
                out.extend_from_slice(&word.to_be_bytes());
            }
        }
        if !self.values.is_empty() {
            out.extend_from_slice(&(self.values.len() as u32).to_be_bytes());
            for (priority, value) in &self.values {
                out.extend_from_slice(&priority.to_be_bytes());
                out.extend_from_slice(value.as_bytes());
                out.push(0);
            }
        }
        for child in self.children.values() {
            child.write(out);
        }
    }
}

/// One value of an index: key, priority, value.
pub type Entry = (String, u32, String);

/// Everything in an index file, by key, in the order of the values: what to compare two kmod versions by,
/// and what `show` prints.
pub fn entries(file: &[u8]) -> Result<Vec<Entry>> {
    let mut at = 0;
    let mut word = || -> Result<u32> {
        let word = Reader { file, at }.word()?;
        at += 4;
        Ok(word)
    };
    let (magic, version, root) = (word()?, word()?, word()?);
    if magic != MAGIC {
        return Err(Error::NotAnIndex { offset: 0, reason: "wrong magic" });
    }
    if version >> 16 != VERSION >> 16 {
        return Err(Error::NotAnIndex { offset: 4, reason: "a version of the format that is not known" });
    }
    let mut found = Vec::new();
    // No valid file has more nodes than bytes: a loop of offsets ends here.
    let mut budget = file.len();
    let mut todo = vec![(root, Vec::new())];
    while let Some((pointer, mut key)) = todo.pop() {
        let mut node = Reader { file, at: (pointer & OFFSET) as usize };
        budget = budget
            .checked_sub(1)
            .ok_or(Error::NotAnIndex { offset: node.at, reason: "its nodes go round in a circle" })?;
        if key.len() > crate::alias::LONGEST {
            return Err(Error::NotAnIndex { offset: node.at, reason: "a key longer than any" });
        }
        if pointer & HAS_PREFIX != 0 {
            key.extend_from_slice(node.string()?);
        }
        let mut children = Vec::new();
        if pointer & HAS_CHILDREN != 0 {
            let (first, last) = (node.byte()?, node.byte()?);
            for byte in first..=last {
                let child = node.word()?;
                if child != 0 {
                    let mut key = key.clone();
                    key.push(byte);
                    children.push((child, key));
                }
            }
        }
        if pointer & HAS_VALUES != 0 {
            for _ in 0..node.word()? {
                let priority = node.word()?;
                let value = String::from_utf8_lossy(node.string()?).into_owned();
                found.push((String::from_utf8_lossy(&key).into_owned(), priority, value));
            }
        }
        todo.extend(children.into_iter().rev());
    }
    Ok(found)
}

struct Reader<'a> {
    file: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn cut(&self) -> Error {
        Error::NotAnIndex { offset: self.at, reason: "cut short" }
    }

    fn byte(&mut self) -> Result<u8> {
        let byte = *self.file.get(self.at).ok_or_else(|| self.cut())?;
        self.at += 1;
        Ok(byte)
    }

    fn word(&mut self) -> Result<u32> {
        let bytes = self.file.get(self.at..).and_then(|rest| rest.first_chunk()).ok_or_else(|| self.cut())?;
        self.at += 4;
        Ok(u32::from_be_bytes(*bytes))
    }

    fn string(&mut self) -> Result<&'a [u8]> {
        let rest = self.file.get(self.at..).unwrap_or_default();
        let length = rest.iter().position(|byte| *byte == 0).ok_or_else(|| self.cut())?;
        self.at += length + 1;
        Ok(&rest[..length])
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn index(entries: &[(&str, &str, u32)]) -> Vec<u8> {
        let mut trie = Trie::new("test");
        for (key, value, priority) in entries {
            trie.insert(key, value, *priority).unwrap();
        }
        trie.write().unwrap()
    }

    #[test]
    fn a_small_index_has_exactly_these_bytes() {
        // Root with the one child 'a', prefix "b" below it, value "v" at priority 7.
        let expected: &[u8] = &[
            0xB0, 0x07, 0xF4, 0x57, 0, 2, 0, 1, 0x20, 0, 0, 12, // header, root at 12 with children
            b'a', b'a', 0xC0, 0, 0, 18, // one child at 18 with prefix and values
            b'b', 0, 0, 0, 0, 1, 0, 0, 0, 7, b'v', 0,
        ];
        assert_eq!(index(&[("ab", "v", 7)]), expected);
    }

    #[test]
    fn an_empty_index_is_a_header() {
        assert_eq!(index(&[]).len(), HEADER);
        assert_eq!(entries(&index(&[])).unwrap(), []);
    }

    #[test]
    fn values_of_one_key_go_by_priority_and_the_later_one_comes_first_among_equals() {
        let file = index(&[("k", "second", 2), ("k", "first", 1), ("k", "later", 2)]);
        let values: Vec<_> = entries(&file).unwrap().into_iter().map(|(_, _, value)| value).collect();
        assert_eq!(values, ["first", "later", "second"]);
    }

    #[test]
    fn what_the_format_cannot_hold_is_refused() {
        let mut trie = Trie::new("modules.alias.bin");
        for (key, value) in [("schön", "x"), ("x", "schön"), ("a\0b", "x"), (&*"k".repeat(5000), "x")] {
            let message = trie.insert(key, value, 0).unwrap_err().to_string();
            assert!(message.starts_with("modules.alias.bin: "), "{message}");
        }
    }

    #[test]
    fn an_index_cut_short_anywhere_is_refused_or_shorter() {
        let file = index(&[("abc", "one", 1), ("abd", "two", 2), ("x", "three", 3)]);
        for length in 0..file.len() {
            assert!(entries(&file[..length]).is_err(), "{length}");
        }
    }

    #[test]
    fn an_index_whose_child_is_its_parent_is_refused() {
        let mut file = index(&[("ab", "v", 7)]);
        file[14..18].copy_from_slice(&(HAS_CHILDREN | 12).to_be_bytes());
        assert!(matches!(entries(&file), Err(Error::NotAnIndex { .. })));
    }

    proptest! {
        #[test]
        fn what_was_written_is_read_back(pairs in prop::collection::vec(("[a-c*]{0,6}", "[a-z]{0,4}", 0..4u32), 0..40)) {
            let mut trie = Trie::new("test");
            let mut expected: BTreeMap<String, Vec<(u32, String)>> = BTreeMap::new();
            for (key, value, priority) in &pairs {
                trie.insert(key, value, *priority).unwrap();
                expected.entry(key.clone()).or_default().insert(0, (*priority, value.clone()));
            }
            let expected: Vec<Entry> = expected.into_iter().flat_map(|(key, mut values)| {
                values.sort_by_key(|(priority, _)| *priority);
                values.into_iter().map(move |(priority, value)| (key.clone(), priority, value))
            }).collect();
            let mut found = entries(&trie.write().unwrap()).unwrap();
            found.sort_by(|a, b| a.0.cmp(&b.0));
            prop_assert_eq!(found, expected);
        }

        #[test]
        fn no_file_makes_the_reader_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            if bytes.len() >= 8 {
                bytes[..4].copy_from_slice(&MAGIC.to_be_bytes());
                bytes[4..8].copy_from_slice(&VERSION.to_be_bytes());
            }
            let _ = entries(&bytes);
        }
    }
}
