//! The values of a configuration, each with its rule; a checked one cannot be made unchecked.

mod activation;
mod date;
mod files;
mod names;
mod network;
mod pem;
mod region;
mod service;
mod ssh;

pub use activation::{ActivationCode, ActivationId, Code};
pub use date::{Date, Expiry};
pub use files::{CardFile, DataPath, NameSuffix};
pub use names::{AttributeName, AttributeValue, ClusterName, DeviceName, HostName, LedName, TimeZone};
pub use network::{Cidr, HostAddress, NoProxy, ProxyUrl, Server, ServerAddress};
pub use pem::{CaSource, Pem};
pub use region::Region;
pub use service::{BucketName, Endpoint, KeyPrefix, QueueUrl};
pub use ssh::{KeyKind, SshKey};

use crate::finding::Flaw;

/// Quotation marks that word processors put in place of the plain ones, and blanks that only look like blanks.
pub(crate) const LOOKALIKES: &str = "\u{201c}\u{201d}\u{201e}\u{201f}\u{2018}\u{2019}\u{201a}\u{00ab}\u{00bb}\u{00a0}\u{200b}\u{feff}\u{2013}\u{2014}";

/// What all one-line values share: not empty, no blanks around, no control characters, no lookalikes, not too long.
pub(crate) fn plain(text: &str, longest: usize) -> Result<&str, Flaw> {
    if text.is_empty() {
        return Err(Flaw::new("is empty", "fill it in, or put # before the line"));
    }
    if text.trim() != text {
        return Err(Flaw::new("has blanks at an end", "take out the blanks beside the quotation marks"));
    }
    if text.chars().any(|c| LOOKALIKES.contains(c)) {
        return Err(Flaw::new(
            "holds a quotation mark, dash or blank of a word processor",
            "type it again in a plain text editor",
        ));
    }
    if text.chars().any(char::is_control) {
        return Err(Flaw::new(
            "holds a control character",
            "type it again in one line; in double quotes a backslash begins a code, use single quotes to keep it",
        ));
    }
    if text.len() > longest {
        return Err(Flaw::new(
            format!("has {} bytes, more than the {longest} allowed", text.len()),
            "make it shorter",
        ));
    }
    Ok(text)
}

/// A newtype over a checked text: `as_str`, `Display` and, where it is no secret, `Debug`.
macro_rules! text_type {
    ($(#[$doc:meta])+ $name:ident) => {
        $(#[$doc])+
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                out.pad(&self.0)
            }
        }
    };
}
pub(crate) use text_type;
