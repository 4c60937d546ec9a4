//! How a long step tells how far it is; who shows it, and whether, is the caller's business.

/// Told from several threads at once.
pub trait Progress: Sync {
    /// How many bytes there are to do in all.
    fn total(&self, bytes: u64);
    /// So many more bytes are done.
    fn advance(&self, bytes: u64);
}

/// Nobody listens.
impl Progress for () {
    fn total(&self, _bytes: u64) {}
    fn advance(&self, _bytes: u64) {}
}
