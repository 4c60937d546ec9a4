//! The door's own key, by which a person knows that it is this box: Ed25519, made when a door is first asked for, kept on `state`.
//!
//! The file is OpenSSH's (PROTOCOL.key in its source). Made here, for the box has no program for it and needs none.

use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use ring::signature::{Ed25519KeyPair, KeyPair};
use rustix::rand::{GetRandomFlags, getrandom};
use sha2::{Digest, Sha256};

use crate::file::{self, Access};
use crate::{Error, Result};

/// The key's name in its folder. sshd's configuration has it too; a test holds the two together.
pub const NAME: &str = "host";

const KIND: &str = "ssh-ed25519";
const MAGIC: &[u8] = b"openssh-key-v1\0";
const BEGIN: &str = "-----BEGIN OPENSSH PRIVATE KEY-----";
const END: &str = "-----END OPENSSH PRIVATE KEY-----";

/// The longest that is read; an honest one has about 400 bytes.
const LONGEST: usize = 4096;

/// A key. `Debug` shows the half that everybody may know.
pub struct HostKey {
    seed: [u8; 32],
    public: [u8; 32],
}

/// The key of `folder`, made and kept there if there is none. One that is damaged is told and replaced: a door that lets nobody
/// in would be the worse.
pub fn keep(folder: &Path) -> Result<(HostKey, Option<Error>)> {
    let path = folder.join(NAME);
    let damaged = match file::read(&path, LONGEST).map_err(Error::io("read", &path))? {
        Some(bytes) => match HostKey::parse(&bytes) {
            Some(key) => return Ok((key, None)),
            None => Some(Error::HostKey { path: PathBuf::from(&path) }),
        },
        None => None,
    };
    let key = HostKey::make()?;
    let mut check = [0; 4];
    random(&mut check)?;
    // Durable before anybody is shown it: a door with another key after a power cut would look like somebody else's.
    file::replace(&path, key.to_text(check).as_bytes(), Access { mode: 0o600, owner: None }, true)?;
    Ok((key, damaged))
}

impl HostKey {
    fn make() -> Result<Self> {
        let mut seed = [0; 32];
        random(&mut seed)?;
        Self::from_seed(seed).ok_or_else(|| Error::Random(std::io::ErrorKind::InvalidData.into()))
    }

    /// The key of a seed.
    pub fn from_seed(seed: [u8; 32]) -> Option<Self> {
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed).ok()?;
        let public = pair.public_key().as_ref().try_into().ok()?;
        Some(Self { seed, public })
    }

    /// The key in a file's bytes; `None` unless it is to the byte what [`HostKey::to_text`] writes.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        let body: String =
            text.strip_prefix(BEGIN)?.trim_end().strip_suffix(END)?.split_whitespace().collect();
        let binary = STANDARD.decode(body).ok()?;
        // Everything in front of the seed has a fixed length, for there is one kind of key.
        let before = MAGIC.len() + 8 + 8 + 4 + 4 + (4 + 51) + 4;
        let check = binary.get(before..before + 4)?.try_into().ok()?;
        let at = before + 8 + (4 + KIND.len()) + (4 + 32) + 4;
        let seed = binary.get(at..at + 32)?.try_into().ok()?;
        Self::from_seed(seed).filter(|key| key.to_text(check).as_bytes() == bytes)
    }

    /// The key as its file; `check` is four bytes by chance, by which a reader sees that a password was right.
    pub fn to_text(&self, check: [u8; 4]) -> String {
        let mut secret = Vec::new();
        secret.extend([check, check].concat());
        put(&mut secret, KIND.as_bytes());
        put(&mut secret, &self.public);
        put(&mut secret, &[self.seed, self.public].concat());
        put(&mut secret, b"");
        // To full blocks of eight.
        secret.extend((1..=8).take((8 - secret.len() % 8) % 8));
        let mut binary = MAGIC.to_vec();
        put(&mut binary, b"none");
        put(&mut binary, b"none");
        put(&mut binary, b"");
        binary.extend(1_u32.to_be_bytes());
        put(&mut binary, &self.blob());
        put(&mut binary, &secret);
        let body = STANDARD.encode(binary);
        let mut text = format!("{BEGIN}\n");
        let mut rest = body.as_str();
        while !rest.is_empty() {
            let (line, later) = rest.split_at(rest.len().min(70));
            text += line;
            text.push('\n');
            rest = later;
        }
        text + END + "\n"
    }

    fn blob(&self) -> Vec<u8> {
        let mut blob = Vec::new();
        put(&mut blob, KIND.as_bytes());
        put(&mut blob, &self.public);
        blob
    }

    /// What clients show a person who comes for the first time.
    pub fn fingerprint(&self) -> String {
        format!("SHA256:{}", STANDARD_NO_PAD.encode(Sha256::digest(self.blob())))
    }

    /// The public half in one line.
    pub fn public_line(&self) -> String {
        format!("{KIND} {}", STANDARD.encode(self.blob()))
    }
}

impl std::fmt::Debug for HostKey {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "HostKey({})", self.fingerprint())
    }
}

fn put(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend(u32::try_from(bytes.len()).expect("keys are short").to_be_bytes());
    out.extend(bytes);
}

fn random(buffer: &mut [u8]) -> Result<()> {
    let mut filled = 0;
    while filled < buffer.len() {
        // Waits until the kernel has gathered enough; a board without a generator gathers it from its own timing.
        match getrandom(&mut buffer[filled..], GetRandomFlags::empty()) {
            Ok(count) => filled += count,
            Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(Error::Random(errno.into())),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// Written by OpenSSH's own ssh-keygen, and the line beside it.
    const OPENSSH: &str = include_str!("../tests/host_key/openssh");
    const PUBLIC: &str = include_str!("../tests/host_key/openssh.pub");
    const FINGERPRINT: &str = include_str!("../tests/host_key/openssh.fingerprint");

    #[test]
    fn a_key_of_opensshs_own_is_read_and_written_the_same() {
        let key = HostKey::parse(OPENSSH.as_bytes()).expect("a key without comment and password");
        assert_eq!(key.public_line(), PUBLIC.trim());
        assert_eq!(key.fingerprint(), FINGERPRINT.trim());
        assert!(!format!("{key:?}").contains(&hex::encode(key.seed)));
    }

    #[test]
    fn a_key_is_made_once_kept_for_root_alone_and_found_again() {
        let folder = tempfile::tempdir().unwrap();
        let (first, told) = keep(folder.path()).unwrap();
        assert!(told.is_none());
        let path = folder.path().join(NAME);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let (again, told) = keep(folder.path()).unwrap();
        assert!(told.is_none());
        assert_eq!(first.fingerprint(), again.fingerprint());
        let other = tempfile::tempdir().unwrap();
        assert_ne!(keep(other.path()).unwrap().0.fingerprint(), first.fingerprint());
    }

    #[test]
    fn a_damaged_key_is_told_and_replaced_whichever_byte_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(NAME);
        for at in (0..OPENSSH.len()).step_by(7) {
            let mut bytes = OPENSSH.as_bytes().to_vec();
            bytes[at] ^= 1;
            assert!(HostKey::parse(&bytes).is_none(), "byte {at}");
        }
        for damaged in [&OPENSSH.as_bytes()[..100], b"", &[0; 9000]] {
            fs::write(&path, damaged).unwrap();
            let (key, told) = keep(folder.path()).unwrap();
            assert!(told.unwrap().to_string().contains("known_hosts"));
            assert_eq!(keep(folder.path()).unwrap().0.fingerprint(), key.fingerprint());
        }
    }
}
