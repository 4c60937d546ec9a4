//! The hash tree over a root file system, as the kernel's dm-verity reads it: format 1, SHA-256, blocks of 4 KiB.
//!
//! Each block of the file system is hashed; 128 hashes fill a block of the tree; those blocks are hashed again, until one
//! block is left, whose hash is the root hash. In the partition the file system comes first, then the tree from its top
//! down. There is no salt: it would protect hashes of secrets, and here is nothing secret. There is no super block
//! either: what it would say, the boot argument says ([`stayput_health::verity`]), and a second place could only differ.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom, Write};

use sha2::{Digest, Sha256};
use stayput_health::verity::{BLOCK, HASH, Verity, levels};

use crate::{Error, Result};

/// One block.
type Block = [u8; BLOCK as usize];

/// A tree and what it hangs on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tree {
    /// The file system's length and the root hash.
    pub verity: Verity,
    /// The tree's blocks, from the top down.
    pub bytes: Vec<u8>,
}

impl Tree {
    /// The tree over everything that `data` has. A last block that is not full counts as if zeros filled it.
    pub fn over(data: &mut dyn Read) -> Result<Self> {
        let mut hashes = Vec::new();
        let mut block: Block = [0; BLOCK as usize];
        while fill(data, &mut block)? {
            hashes.extend_from_slice(&hash(&block));
        }
        let blocks = (hashes.len() / HASH) as u64;
        let refused = || Error::Verity {
            problem: format!("a file system of {blocks} blocks"),
            remedy: "there must be one, smaller than 2 TiB",
        };
        let mut tree = Vec::new();
        for blocks in levels(blocks) {
            hashes.resize((blocks * BLOCK) as usize, 0);
            let above = hashes.chunks(BLOCK as usize).flat_map(hash).collect();
            tree.push(std::mem::replace(&mut hashes, above));
        }
        // What is left is the hash of the top, or of the only block that there is; with no block there is none.
        let root = hashes.as_slice().try_into().map_err(|_| refused())?;
        let verity = Verity::new(blocks, root).ok_or_else(refused)?;
        Ok(Self { verity, bytes: tree.into_iter().rev().flatten().collect() })
    }
}

/// Makes a file with a file system into what a root partition holds: zeros up to a whole block, then the tree.
pub fn seal(file: &mut File) -> Result<Verity> {
    let failed = |source| Error::Write { part: "the hash tree".into(), source };
    file.rewind().map_err(failed)?;
    let tree = Tree::over(&mut BufReader::with_capacity(1 << 20, &*file))?;
    file.set_len(tree.verity.data_size()).map_err(failed)?;
    file.seek(SeekFrom::End(0)).and_then(|_| file.write_all(&tree.bytes)).map_err(failed)?;
    Ok(tree.verity)
}

/// Checks what a root partition holds against what the boot argument says, the way the kernel would: every block.
pub fn check(partition: &mut impl Read, verity: &Verity) -> Result<()> {
    let mismatch = |problem: &str| Err(Error::Mismatch { problem: format!("root-a: {problem}") });
    let tree = Tree::over(&mut partition.by_ref().take(verity.data_size()))?;
    if tree.verity != *verity {
        return mismatch(&format!("the boot argument says {verity}, the file system is {}", tree.verity));
    }
    let mut found = Vec::new();
    let read = partition.take(verity.tree_size()).read_to_end(&mut found);
    match read {
        Ok(_) if found == tree.bytes => Ok(()),
        Ok(_) => mismatch("the hash tree behind the file system is another one"),
        Err(error) => mismatch(&format!("the hash tree cannot be read ({error})")),
    }
}

fn hash(block: &[u8]) -> [u8; HASH] {
    Sha256::digest(block).into()
}

/// The next block, filled up with zeros; false at the end.
fn fill(data: &mut dyn Read, block: &mut Block) -> Result<bool> {
    let mut length = 0;
    while length < block.len() {
        match data.read(&mut block[length..]) {
            Ok(0) => break,
            Ok(count) => length += count,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(source) => return Err(Error::Read { path: "the root file system".into(), source }),
        }
    }
    block[length..].fill(0);
    Ok(length > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The kernel's way, backwards: from the root hash down to a block.
    fn leads_to(tree: &Tree, data: &[u8], number: u64) -> bool {
        let mut expected = tree.verity.root();
        let mut start = 0;
        for (level, blocks) in levels(tree.verity.blocks()).iter().enumerate().rev() {
            let covered = 128_u64.pow(level as u32);
            let index = number / covered / 128;
            let at = ((start + index) * BLOCK) as usize;
            let block = &tree.bytes[at..at + BLOCK as usize];
            if hash(block) != expected {
                return false;
            }
            let place = (number / covered % 128) as usize * HASH;
            expected = block[place..place + HASH].try_into().unwrap();
            start += blocks;
        }
        let mut block = data[(number * BLOCK) as usize..].to_vec();
        block.resize(BLOCK as usize, 0);
        hash(&block) == expected
    }

    fn data(blocks: usize) -> Vec<u8> {
        (0..blocks).flat_map(|block| [(block % 251) as u8; BLOCK as usize]).collect()
    }

    #[test]
    fn every_block_hangs_on_the_root_hash_by_way_of_the_tree() {
        for blocks in [1, 2, 127, 128, 129, 128 * 128 + 1] {
            let data = data(blocks);
            let tree = Tree::over(&mut &data[..]).unwrap();
            assert_eq!(tree.verity.blocks(), blocks as u64);
            assert_eq!(tree.bytes.len() as u64, tree.verity.tree_size());
            for number in [0, blocks / 2, blocks - 1] {
                let rest = &data[..((number + 1) * BLOCK as usize)];
                assert!(leads_to(&tree, rest, number as u64), "block {number} of {blocks}");
            }
        }
    }

    #[test]
    fn a_last_block_that_is_not_full_counts_as_filled_with_zeros() {
        let mut short = data(3);
        short.truncate(2 * BLOCK as usize + 5);
        let mut full = short.clone();
        full.resize(3 * BLOCK as usize, 0);
        assert_eq!(Tree::over(&mut &short[..]).unwrap(), Tree::over(&mut &full[..]).unwrap());
        let error = Tree::over(&mut std::io::empty()).unwrap_err().to_string();
        assert!(error.contains("0 blocks"), "{error}");
    }

    #[test]
    fn a_sealed_file_is_the_file_system_and_its_tree() {
        let mut file = tempfile::tempfile().unwrap();
        let mut bytes = data(200);
        bytes.truncate(200 * BLOCK as usize - 7);
        file.write_all(&bytes).unwrap();
        let verity = seal(&mut file).unwrap();
        assert_eq!(file.metadata().unwrap().len(), verity.size());
        file.rewind().unwrap();
        check(&mut file, &verity).unwrap();
        let mut sealed = Vec::new();
        file.rewind().unwrap();
        file.read_to_end(&mut sealed).unwrap();
        assert!(sealed.starts_with(&bytes));
    }

    #[test]
    fn one_changed_byte_anywhere_is_noticed() {
        let mut bytes = data(200);
        let tree = Tree::over(&mut &bytes[..]).unwrap();
        bytes.extend(&tree.bytes);
        check(&mut &bytes[..], &tree.verity).unwrap();
        for at in [0, 4095, 100 * 4096, 200 * 4096 - 1, 200 * 4096, 200 * 4096 + 31, bytes.len() - 1] {
            bytes[at] ^= 1;
            assert!(check(&mut &bytes[..], &tree.verity).is_err(), "byte {at}");
            bytes[at] ^= 1;
        }
        assert!(check(&mut &bytes[..bytes.len() - 1], &tree.verity).is_err());
        assert!(check(&mut &bytes[..4096], &tree.verity).is_err());
        let mut other = tree.verity.root();
        other[31] ^= 0x80;
        assert!(check(&mut &bytes[..], &Verity::new(200, other).unwrap()).is_err());
    }
}
