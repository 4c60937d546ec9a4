//! Whether a root partition holds exactly the file system that a root hash stands for: the file system and the tree
//! behind it, both read from the card, the way dm-verity will read them.

use sha2::{Digest, Sha256};
use stayput_health::Verity;
use stayput_health::verity::{BLOCK, HASH, levels};

use crate::medium::{Buffer, Medium, PIECE, pieces};
use crate::{Pace, Result};

type Hash = [u8; HASH];

const BLOCK_BYTES: usize = BLOCK as usize;

/// One level of the tree: the block that is being filled, and where the level begins.
struct Level {
    block: Vec<u8>,
    next: u64,
}

/// Reads all of it. False where a block of the tree is not what the blocks below it have, or the top is another.
pub fn is_whole(medium: &mut dyn Medium, verity: &Verity, pace: &mut Pace<'_>) -> Result<bool> {
    if medium.size() < verity.size() {
        return Ok(false);
    }
    let mut tree = Tree::new(verity);
    let mut buffer = Buffer::new(PIECE);
    for (at, length) in pieces(verity.data_size()) {
        let piece = &mut buffer[..length];
        medium.read(at, piece)?;
        for block in piece.chunks(BLOCK_BYTES) {
            if !tree.push(0, Sha256::digest(block).into(), medium)? {
                return Ok(false);
            }
        }
        pace.piece(length);
    }
    tree.end(medium, verity)
}

struct Tree {
    /// The lowest first.
    levels: Vec<Level>,
    stored: Buffer,
    /// The hash that has no level to go to.
    top: Option<Hash>,
}

impl Tree {
    fn new(verity: &Verity) -> Self {
        // On the card the top comes first.
        let mut next = verity.blocks() + levels(verity.blocks()).iter().sum::<u64>();
        let levels = levels(verity.blocks())
            .into_iter()
            .map(|blocks| {
                next -= blocks;
                Level { block: Vec::with_capacity(BLOCK_BYTES), next }
            })
            .collect();
        Self { levels, stored: Buffer::new(BLOCK_BYTES), top: None }
    }

    fn push(&mut self, level: usize, hash: Hash, medium: &mut dyn Medium) -> Result<bool> {
        let Some(found) = self.levels.get_mut(level) else {
            self.top = Some(hash);
            return Ok(true);
        };
        found.block.extend_from_slice(&hash);
        if found.block.len() < BLOCK_BYTES { Ok(true) } else { self.close(level, medium) }
    }

    /// Holds a level's block against the card's, and hands its hash on to the level above.
    fn close(&mut self, level: usize, medium: &mut dyn Medium) -> Result<bool> {
        let Some(found) = self.levels.get_mut(level) else { return Ok(true) };
        found.block.resize(BLOCK_BYTES, 0);
        medium.read(found.next * BLOCK, &mut self.stored)?;
        if *self.stored != *found.block {
            return Ok(false);
        }
        found.next += 1;
        found.block.clear();
        let hash = Sha256::digest(&*self.stored).into();
        self.push(level + 1, hash, medium)
    }

    fn end(mut self, medium: &mut dyn Medium, verity: &Verity) -> Result<bool> {
        for level in 0..self.levels.len() {
            if !self.levels[level].block.is_empty() && !self.close(level, medium)? {
                return Ok(false);
            }
        }
        Ok(self.top == Some(verity.root()))
    }
}
