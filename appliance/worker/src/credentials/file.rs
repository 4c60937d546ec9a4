//! The shared credentials file, as other tools write it, read again whenever it is another one.

use std::fs;
use std::io::Read;
use std::os::unix::fs::MetadataExt;

use aws_credential_types::Credentials;

use super::Error;

/// The longest file that is read; an honest one has a few hundred bytes.
const LONGEST: u64 = 64 * 1024;

/// What tells one state of a file from another: whoever replaces it makes another inode, whoever writes into it another
/// time.
pub type Stamp = (u64, u64, i64, i64, u64);

/// A profile in a file.
#[derive(Debug)]
pub struct File {
    path: String,
    profile: String,
    read: Option<(Stamp, Credentials)>,
}

impl File {
    /// The profile `profile` of the file at `path`, which is not looked at yet.
    pub fn new(path: String, profile: String) -> Self {
        Self { path, profile, read: None }
    }

    /// Reads again at the next call, changed or not.
    pub fn forget(&mut self) {
        self.read = None;
    }

    /// Which state of the file is there now, if any is.
    pub fn stamp(&self) -> Option<Stamp> {
        fs::metadata(&self.path).ok().map(|metadata| stamp(&metadata))
    }

    /// What the file says now.
    pub fn current(&mut self) -> Result<Credentials, Error> {
        let failed = |source| Error::Read { path: self.path.clone(), source };
        let stamp = stamp(&fs::metadata(&self.path).map_err(failed)?);
        if let Some((read, credentials)) = &self.read
            && *read == stamp
        {
            return Ok(credentials.clone());
        }
        let file = fs::File::open(&self.path).map_err(failed)?;
        // Of the file that was opened: the name may lead to another one by now.
        let stamp = self::stamp(&file.metadata().map_err(failed)?);
        let mut bytes = Vec::new();
        file.take(LONGEST + 1).read_to_end(&mut bytes).map_err(failed)?;
        if bytes.len() as u64 > LONGEST {
            return Err(Error::Long { path: self.path.clone() });
        }
        let credentials = parse(&String::from_utf8_lossy(&bytes), &self.path, &self.profile)?;
        self.read = Some((stamp, credentials.clone()));
        Ok(credentials)
    }
}

fn stamp(of: &fs::Metadata) -> Stamp {
    (of.dev(), of.ino(), of.mtime(), of.mtime_nsec(), of.size())
}

/// The credentials of `profile` in the text of a credentials file; `path` is for messages only.
///
/// A message names the line and never what is in it: a mistyped line may hold a secret.
pub fn parse(text: &str, path: &str, profile: &str) -> Result<Credentials, Error> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let (mut found, mut inside) = (false, false);
    let [mut id, mut secret, mut token] = [None, None, None];
    for (number, line) in text.lines().enumerate() {
        let trimmed = line.trim();
        if trimmed.is_empty() || trimmed.starts_with(['#', ';']) {
            continue;
        }
        if let Some(name) = trimmed.strip_prefix('[') {
            let Some(name) = name.strip_suffix(']') else {
                return Err(Error::Line { path: path.to_owned(), line: number + 1 });
            };
            inside = name.trim() == profile;
            found |= inside;
            continue;
        }
        // A carriage return without a line feed joins two lines that a person sees as two.
        let whole = Some(trimmed).filter(|line| !line.contains(|c: char| c.is_control() && c != '\t'));
        let Some((key, value)) = whole.and_then(|line| line.split_once('=')) else {
            return Err(Error::Line { path: path.to_owned(), line: number + 1 });
        };
        let slot = match key.trim() {
            "aws_access_key_id" => &mut id,
            "aws_secret_access_key" => &mut secret,
            "aws_session_token" | "aws_security_token" => &mut token,
            _ => continue,
        };
        if inside && !value.trim().is_empty() {
            *slot = Some(value.trim().to_owned());
        }
    }
    if !found {
        return Err(Error::NoProfile { path: path.to_owned(), profile: profile.to_owned() });
    }
    let missing = |key| Error::NoKey { path: path.to_owned(), profile: profile.to_owned(), key };
    let id = id.ok_or_else(|| missing("aws_access_key_id"))?;
    let secret = secret.ok_or_else(|| missing("aws_secret_access_key"))?;
    Ok(Credentials::new(id, secret, token, None, "file"))
}
