//! SFTP version 3 as bytes (draft-ietf-secsh-filexfer-02, which is what every client speaks). Pure.

/// The version that is spoken, whatever the caller offers.
pub const VERSION: u32 = 3;

/// The longest packet that is taken or given: OpenSSH's own limit.
pub const LONGEST: usize = 256 * 1024;

/// Room for what stands before the bytes of a reply to a read.
pub const HEAD: usize = 64;

/// What a file is opened for (`pflags`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flags(pub u32);

impl Flags {
    const READ: u32 = 1;
    const WRITE: u32 = 2;
    const TRUNCATE: u32 = 0x10;

    /// Whether it is opened for reading and nothing else.
    pub fn is_reading(self) -> bool {
        self.0 == Self::READ
    }

    /// Whether it is opened for writing, perhaps for more.
    pub fn is_writing(self) -> bool {
        self.0 & Self::WRITE != 0
    }

    /// Whether what is there is to be thrown away.
    pub fn is_truncating(self) -> bool {
        self.0 & Self::TRUNCATE != 0
    }
}

/// What is said of a file; what is not said is `None`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Attributes {
    /// Its length.
    pub size: Option<u64>,
    /// Kind and permissions.
    pub mode: Option<u32>,
    /// When it was last read and changed, in seconds.
    pub times: Option<(u32, u32)>,
}

impl Attributes {
    const SIZE: u32 = 1;
    const OWNER: u32 = 2;
    const MODE: u32 = 4;
    const TIMES: u32 = 8;
    const EXTENDED: u32 = 0x8000_0000;

    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let flags = reader.number()?;
        let has = |flag| flags & flag != 0;
        let mut found = Self::default();
        if has(Self::SIZE) {
            found.size = Some(reader.long()?);
        }
        if has(Self::OWNER) {
            let _owner = (reader.number()?, reader.number()?);
        }
        if has(Self::MODE) {
            found.mode = Some(reader.number()?);
        }
        if has(Self::TIMES) {
            found.times = Some((reader.number()?, reader.number()?));
        }
        if has(Self::EXTENDED) {
            for _ in 0..reader.number()? {
                let _pair = (reader.text()?, reader.text()?);
            }
        }
        Some(found)
    }

    fn write(&self, out: &mut Vec<u8>) {
        let flag = |there: bool, flag| if there { flag } else { 0 };
        let flags = flag(self.size.is_some(), Self::SIZE)
            | flag(self.mode.is_some(), Self::MODE)
            | flag(self.times.is_some(), Self::TIMES);
        out.extend(flags.to_be_bytes());
        out.extend(self.size.into_iter().flat_map(u64::to_be_bytes));
        out.extend(self.mode.into_iter().flat_map(u32::to_be_bytes));
        out.extend(
            self.times.into_iter().flat_map(|(read, changed)| [read, changed]).flat_map(u32::to_be_bytes),
        );
    }
}

/// What a caller asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the requests are the draft's")]
pub enum Request<'a> {
    Open {
        path: &'a [u8],
        flags: Flags,
        attributes: Attributes,
    },
    Close {
        handle: &'a [u8],
    },
    Read {
        handle: &'a [u8],
        offset: u64,
        length: u32,
    },
    Write {
        handle: &'a [u8],
        offset: u64,
        bytes: &'a [u8],
    },
    /// Of the name or, for there are no links here, of what it leads to.
    Stat {
        path: &'a [u8],
    },
    FileStat {
        handle: &'a [u8],
    },
    SetStat {
        path: &'a [u8],
        attributes: Attributes,
    },
    FileSetStat {
        handle: &'a [u8],
        attributes: Attributes,
    },
    OpenFolder {
        path: &'a [u8],
    },
    ReadFolder {
        handle: &'a [u8],
    },
    Remove {
        path: &'a [u8],
    },
    MakeFolder,
    RemoveFolder,
    RealPath {
        path: &'a [u8],
    },
    Rename {
        old: &'a [u8],
        new: &'a [u8],
    },
    /// Links, and extensions, of which none were offered.
    Unknown,
}

/// A packet's content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Packet<'a> {
    /// The caller's first.
    Hello,
    /// A request under its number.
    Ask(u32, Request<'a>),
    /// A request that ends too early or too late.
    Broken(u32),
}

impl<'a> Packet<'a> {
    /// Reads a packet without its length; `None` where not even a number for an answer is in it.
    pub fn read(bytes: &'a [u8]) -> Option<Self> {
        let mut reader = Reader(bytes);
        let kind = reader.byte()?;
        let number = reader.number()?;
        if kind == 1 {
            return Some(Self::Hello);
        }
        let request = Request::read(kind, &mut reader).filter(|_| reader.0.is_empty());
        Some(request.map_or(Self::Broken(number), |request| Self::Ask(number, request)))
    }
}

impl<'a> Request<'a> {
    fn read(kind: u8, reader: &mut Reader<'a>) -> Option<Self> {
        Some(match kind {
            3 => {
                let (path, flags) = (reader.text()?, Flags(reader.number()?));
                Self::Open { path, flags, attributes: Attributes::read(reader)? }
            }
            4 => Self::Close { handle: reader.text()? },
            5 => Self::Read { handle: reader.text()?, offset: reader.long()?, length: reader.number()? },
            6 => Self::Write { handle: reader.text()?, offset: reader.long()?, bytes: reader.text()? },
            7 | 17 => Self::Stat { path: reader.text()? },
            8 => Self::FileStat { handle: reader.text()? },
            9 => Self::SetStat { path: reader.text()?, attributes: Attributes::read(reader)? },
            10 => Self::FileSetStat { handle: reader.text()?, attributes: Attributes::read(reader)? },
            11 => Self::OpenFolder { path: reader.text()? },
            12 => Self::ReadFolder { handle: reader.text()? },
            13 => Self::Remove { path: reader.text()? },
            14 => {
                let _named = (reader.text()?, Attributes::read(reader)?);
                Self::MakeFolder
            }
            15 => {
                reader.text()?;
                Self::RemoveFolder
            }
            16 => Self::RealPath { path: reader.text()? },
            18 => Self::Rename { old: reader.text()?, new: reader.text()? },
            _ => {
                reader.0 = &[];
                Self::Unknown
            }
        })
    }
}

/// Why something is not done: the draft's number, and a sentence that WinSCP and FileZilla show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// The number.
    pub code: u32,
    /// The sentence, with a remedy where there is one.
    pub says: &'static str,
}

impl Refusal {
    /// There is no such file.
    pub const NO_FILE: Self = Self { code: 2, says: "there is no such file" };
    /// An answer of another length than any request has.
    pub const BROKEN: Self = Self { code: 5, says: "the request is not one of SFTP version 3" };
    /// No such request.
    pub const UNKNOWN: Self = Self { code: 8, says: "this door does not know the request" };
    /// A number that was never given out, or was given back.
    pub const NO_HANDLE: Self = Self { code: 4, says: "the file is not open" };

    /// What this account may never do.
    pub const fn denied(says: &'static str) -> Self {
        Self { code: 3, says }
    }

    /// What went wrong this time.
    pub const fn failed(says: &'static str) -> Self {
        Self { code: 4, says }
    }
}

/// One line of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The name.
    pub name: Vec<u8>,
    /// The line that a person is shown.
    pub line: Vec<u8>,
    /// The same for programs.
    pub attributes: Attributes,
}

/// What a caller is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the replies are the draft's")]
pub enum Answer {
    Done,
    /// The end of a file or a list.
    End,
    Handle(u32),
    Bytes(Vec<u8>),
    Names(Vec<Entry>),
    Attributes(Attributes),
}

/// The answer to a hello. No extension is offered: each would be a way more to the files.
pub fn hello() -> Vec<u8> {
    packet(2, |out| out.extend(VERSION.to_be_bytes()))
}

/// An answer to the request `number`, with its length.
pub fn reply(number: u32, answer: &Result<Answer, Refusal>) -> Vec<u8> {
    let status = |code: u32, says: &str| {
        packet(101, |out| {
            out.extend(number.to_be_bytes());
            out.extend(code.to_be_bytes());
            text(out, says.as_bytes());
            text(out, b"en");
        })
    };
    let numbered = |kind, write: &dyn Fn(&mut Vec<u8>)| {
        packet(kind, |out| {
            out.extend(number.to_be_bytes());
            write(out);
        })
    };
    match answer {
        Err(Refusal { code, says }) => status(*code, says),
        Ok(Answer::Done) => status(0, "done"),
        Ok(Answer::End) => status(1, "the end"),
        Ok(Answer::Handle(handle)) => numbered(102, &|out| text(out, &handle.to_be_bytes())),
        Ok(Answer::Bytes(bytes)) => numbered(103, &|out| text(out, bytes)),
        Ok(Answer::Attributes(attributes)) => numbered(105, &|out| attributes.write(out)),
        Ok(Answer::Names(entries)) => numbered(104, &|out| {
            out.extend(length(entries.len()));
            for entry in entries {
                text(out, &entry.name);
                text(out, &entry.line);
                entry.attributes.write(out);
            }
        }),
    }
}

/// The number in a handle's bytes.
pub fn handle(bytes: &[u8]) -> Result<u32, Refusal> {
    bytes.try_into().map(u32::from_be_bytes).map_err(|_| Refusal::NO_HANDLE)
}

fn packet(kind: u8, write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = vec![0, 0, 0, 0, kind];
    write(&mut out);
    let whole = length(out.len() - 4);
    out[..4].copy_from_slice(&whole);
    out
}

fn text(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend(length(bytes.len()));
    out.extend(bytes);
}

fn length(length: usize) -> [u8; 4] {
    u32::try_from(length).expect("answers are bounded").to_be_bytes()
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1).map(|bytes| bytes[0])
    }

    fn number(&mut self) -> Option<u32> {
        self.take(4)?.try_into().ok().map(u32::from_be_bytes)
    }

    fn long(&mut self) -> Option<u64> {
        self.take(8)?.try_into().ok().map(u64::from_be_bytes)
    }

    fn text(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.number()?).ok()?;
        self.take(length)
    }
}
