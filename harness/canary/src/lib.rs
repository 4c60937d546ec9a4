//! Whether anything of a secret has left: canary bytes looked for in every form that a leak may have, and a capture of packets
//! held against a table of who may talk to whom. Values in, findings out: no socket, no machine.
//!
//! A **canary** is a text that stands in a secret place (a file's content, a name) and nowhere else. **Eight consecutive bytes of
//! it** are a finding in any of these forms, at any place of what is searched:
//!
//! | form | that is |
//! |---|---|
//! | plain | as it is, letters large or small |
//! | hex | large or small digits, bare or with `:`, `-`, `%`, `\x`, `0x` and the like between the pairs |
//! | base64 | either alphabet, at each of the three places in a group of three bytes that a text can begin at |
//! | spread | one byte in every two to eight: UTF-16, one letter to a field of equal length |
//! | split by delimiters | whatever is no letter or digit taken out, of it and of its hex and base64: line ends, labels of a name, JSON |
//! | split in two | two pieces of one to seven bytes, in their order, with at most [`search::GAP`] other bytes between |
//! | packed | gzip and zlib wherever a header of theirs stands, bare deflate at the beginning of a record, broken off or not |
//! | wrapped | any of these inside percent signs, `\u` and `\x`, runs of hex or base64, or packed: three times over |
//!
//! Across records: whoever searches puts the records of one kind (all questions for names, all bodies of requests) behind each
//! other and searches that as well; a canary that comes in pieces, one to a record, is then split in two or by delimiters.
//!
//! Not found: what was encrypted or changed letter by letter by whoever leaks, packed in other formats, in pieces further apart
//! than that, or hidden in when and how much is sent.

pub mod capture;
mod error;
mod forms;
pub mod search;
pub mod talk;
mod tcp;
mod unpack;

pub use error::{Error, Result};
pub use forms::{Form, WINDOW};
pub use search::{Found, Searcher};
pub use unpack::Layer;

/// Records one behind the other, without what is between them: for a canary that comes in pieces, one to a record.
pub fn joined<T: AsRef<[u8]>>(records: impl IntoIterator<Item = T>) -> Vec<u8> {
    let mut all = Vec::new();
    for record in records {
        all.extend_from_slice(record.as_ref());
    }
    all
}
