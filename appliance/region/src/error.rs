//! Why a region cannot be started.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

/// A region that is not there, and what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An address is taken or not ours.
    #[error(
        "could not listen on {address} for {what}: {source}; choose another address or port, 0 takes a free one"
    )]
    Listen {
        /// For what.
        what: &'static str,
        /// Where.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// A file or folder could not be written.
    #[error("could not {action} {}: {source}", path.display())]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// On which path.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// No certificate could be made.
    #[error("could not make the certificates: {0}; is '{1}' a region's name?")]
    Certificate(String, String),
}

impl Error {
    pub(crate) fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { action, path, source }
    }
}
