//! A caller with a desk of his own, in words of the protocol.

#![allow(dead_code, reason = "each test says what it needs")]

use std::path::Path;

use stayput_door::wire::{Answer, Attributes, Flags, Refusal, Request};
use stayput_door::{Desk, Intake, Outlet};

pub const READ: u32 = 1;
pub const WRITE: u32 = 2;
pub const APPEND: u32 = 4;
pub const CREATE: u32 = 8;
pub const TRUNCATE: u32 = 0x10;
pub const EXCLUSIVE: u32 = 0x20;

pub type Said = Result<Answer, Refusal>;

pub struct Caller(Box<dyn Desk>);

impl Caller {
    pub fn adding(folder: &Path) -> Self {
        Self(Box::new(Intake::at(folder, 0).unwrap()))
    }

    pub fn adding_with(folder: &Path, reserve: u64) -> Self {
        Self(Box::new(Intake::at(folder, reserve).unwrap()))
    }

    pub fn collecting(folder: &Path) -> Self {
        Self(Box::new(Outlet::at(folder).unwrap()))
    }

    pub fn ask(&mut self, request: Request<'_>) -> Said {
        self.0.answer(&request)
    }

    pub fn open(&mut self, path: &str, flags: u32) -> Result<[u8; 4], Refusal> {
        let (path, flags, attributes) = (path.as_bytes(), Flags(flags), Attributes::default());
        match self.ask(Request::Open { path, flags, attributes })? {
            Answer::Handle(number) => Ok(number.to_be_bytes()),
            other => panic!("{other:?}"),
        }
    }

    pub fn write(&mut self, handle: &[u8], offset: u64, bytes: &[u8]) -> Said {
        self.ask(Request::Write { handle, offset, bytes })
    }

    pub fn close(&mut self, handle: &[u8]) -> Said {
        self.ask(Request::Close { handle })
    }

    /// Open, write, close, as every client does it.
    pub fn put(&mut self, path: &str, bytes: &[u8]) -> Said {
        let handle = self.open(path, WRITE | CREATE | TRUNCATE)?;
        for (chunk, offset) in bytes.chunks(1000).zip((0..).step_by(1000)) {
            self.write(&handle, offset, chunk)?;
        }
        self.close(&handle)
    }

    pub fn stat(&mut self, path: &str) -> Result<Attributes, Refusal> {
        match self.ask(Request::Stat { path: path.as_bytes() })? {
            Answer::Attributes(attributes) => Ok(attributes),
            other => panic!("{other:?}"),
        }
    }

    pub fn set(&mut self, path: &str, attributes: Attributes) -> Said {
        self.ask(Request::SetStat { path: path.as_bytes(), attributes })
    }

    pub fn rename(&mut self, old: &str, new: &str) -> Said {
        self.ask(Request::Rename { old: old.as_bytes(), new: new.as_bytes() })
    }

    pub fn remove(&mut self, path: &str) -> Said {
        self.ask(Request::Remove { path: path.as_bytes() })
    }

    pub fn list(&mut self, path: &str) -> Result<Vec<String>, Refusal> {
        let Answer::Handle(number) = self.ask(Request::OpenFolder { path: path.as_bytes() })? else {
            panic!()
        };
        let handle = number.to_be_bytes();
        let mut names = Vec::new();
        loop {
            match self.ask(Request::ReadFolder { handle: &handle })? {
                Answer::Names(entries) => {
                    names.extend(entries.into_iter().map(|entry| String::from_utf8(entry.name).unwrap()));
                }
                Answer::End => break,
                other => panic!("{other:?}"),
            }
        }
        self.close(&handle)?;
        Ok(names)
    }

    pub fn get(&mut self, path: &str) -> Result<Vec<u8>, Refusal> {
        let handle = self.open(path, READ)?;
        let mut bytes = Vec::new();
        loop {
            let offset = bytes.len() as u64;
            match self.ask(Request::Read { handle: &handle, offset, length: 700 })? {
                Answer::Bytes(more) => bytes.extend(more),
                Answer::End => break,
                other => panic!("{other:?}"),
            }
        }
        self.close(&handle)?;
        Ok(bytes)
    }

    pub fn real(&mut self, path: &str) -> String {
        match self.ask(Request::RealPath { path: path.as_bytes() }) {
            Ok(Answer::Names(entries)) => String::from_utf8(entries[0].name.clone()).unwrap(),
            other => panic!("{other:?}"),
        }
    }
}

/// The names in a folder, as they really are.
pub fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}
