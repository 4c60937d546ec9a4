//! What can be wrong with canaries and captures.

/// Everything here that can fail.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A canary is too short to be told from chance.
    #[error("the canary {text:?} has {length} bytes; give it at least 16")]
    Short {
        /// Which.
        text: String,
        /// Its length.
        length: usize,
    },
    /// The needles do not fit into a search.
    #[error("the needles of these canaries cannot be searched for: {0}; use fewer or shorter canaries")]
    Needles(#[from] aho_corasick::BuildError),
    /// The file does not begin as a capture does.
    #[error("this is no capture of packets (it begins with {0}); record it as pcap")]
    Magic(String),
    /// The capture is of another kind of network.
    #[error("the capture is of link type {0}, and only Ethernet (1) is read; record it at the card")]
    Link(u32),
    /// The file ends inside a packet.
    #[error("the capture ends at byte {at}, inside packet {packet}; read it after its machine has ended")]
    Cut {
        /// The file's length.
        at: usize,
        /// The packet's number, from 1.
        packet: usize,
    },
    /// A packet was not recorded whole.
    #[error("packet {packet} has {whole} bytes of which {kept} were recorded; record whole packets")]
    Shortened {
        /// Its number, from 1.
        packet: usize,
        /// Its length on the wire.
        whole: usize,
        /// Its length here.
        kept: usize,
    },
}

/// Of this crate.
pub type Result<T> = std::result::Result<T, Error>;
