//! The other slot: held against the running one, and made the same where it is not. Pure but for the media.

use stayput_health::Verity;

use crate::medium::{Buffer, Medium, PIECE, pieces};
use crate::tree::is_whole;
use crate::{Error, Pace, Result};

/// What the boot state says of the other slot. Each word is on the card when the call returns.
pub trait Ledger {
    /// It is being written: not to be started.
    fn piece(&mut self) -> Result<()>;
    /// It is whole, and has all its tries.
    fn whole(&mut self) -> Result<()>;
}

/// One partition here and its counterpart there.
pub struct Pair<'a> {
    /// The running slot's.
    pub source: &'a mut dyn Medium,
    /// The other slot's.
    pub target: &'a mut dyn Medium,
}

/// What became of the other slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It was the same already.
    Same,
    /// So many bytes were written, and all of it was read back.
    Copied(u64),
}

/// Makes the other slot the same as this one.
///
/// `boot` is compared whole; `root` as far as `verity` says, by the hash tree on the other side alone. Nothing is written
/// before [`Ledger::piece`], and [`Ledger::whole`] comes after everything was read back.
pub fn equalise(
    boot: &mut Pair<'_>,
    root: &mut Pair<'_>,
    verity: &Verity,
    ledger: &mut dyn Ledger,
    pace: &mut Pace<'_>,
) -> Result<Outcome> {
    let same = same(boot, pace)? && is_whole(root.target, verity, pace)?;
    if same {
        ledger.whole()?;
        return Ok(Outcome::Same);
    }
    ledger.piece()?;
    let boot_size = boot.source.size();
    let written = copy(boot, boot_size, pace)? + copy(root, verity.size(), pace)?;
    // The running slot's script names this very root hash, so a root that fits it is the right one.
    if !self::same(boot, pace)? || !is_whole(root.target, verity, pace)? {
        return Err(Error::NotKept);
    }
    ledger.whole()?;
    Ok(Outcome::Copied(written))
}

/// Whether both hold the same bytes, as far as the source goes.
fn same(pair: &mut Pair<'_>, pace: &mut Pace<'_>) -> Result<bool> {
    if pair.target.size() < pair.source.size() {
        return Ok(false);
    }
    let (mut here, mut there) = (Buffer::new(PIECE), Buffer::new(PIECE));
    for (at, length) in pieces(pair.source.size()) {
        pair.source.read(at, &mut here[..length])?;
        pair.target.read(at, &mut there[..length])?;
        pace.piece(2 * length);
        if here[..length] != there[..length] {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Writes the pieces that are not there yet; tells how many bytes. What cannot be read counts as not there.
fn copy(pair: &mut Pair<'_>, length: u64, pace: &mut Pace<'_>) -> Result<u64> {
    let (mut here, mut there) = (Buffer::new(PIECE), Buffer::new(PIECE));
    let mut written = 0;
    for (at, length) in pieces(length) {
        pair.source.read(at, &mut here[..length])?;
        let there_already =
            pair.target.read(at, &mut there[..length]).is_ok() && here[..length] == there[..length];
        if !there_already {
            pair.target.write(at, &here[..length])?;
            written += length as u64;
        }
        pace.piece(2 * length);
    }
    pair.target.flush()?;
    Ok(written)
}
