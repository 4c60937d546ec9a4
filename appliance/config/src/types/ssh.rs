//! SSH public keys, one line each, as `authorized_keys` has them, without options.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::plain;
use crate::finding::Flaw;

/// A public key that may open a door.
#[derive(Clone, PartialEq, Eq)]
pub struct SshKey {
    kind: KeyKind,
    blob: String,
    comment: String,
}

/// The kinds of key that are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "kinds are what they are called")]
pub enum KeyKind {
    Ed25519,
    Ecdsa256,
    Ecdsa384,
    Ecdsa521,
    Rsa,
    SecurityKeyEd25519,
    SecurityKeyEcdsa,
}

const KINDS: &[(KeyKind, &str)] = &[
    (KeyKind::Ed25519, "ssh-ed25519"),
    (KeyKind::Ecdsa256, "ecdsa-sha2-nistp256"),
    (KeyKind::Ecdsa384, "ecdsa-sha2-nistp384"),
    (KeyKind::Ecdsa521, "ecdsa-sha2-nistp521"),
    (KeyKind::Rsa, "ssh-rsa"),
    (KeyKind::SecurityKeyEd25519, "sk-ssh-ed25519@openssh.com"),
    (KeyKind::SecurityKeyEcdsa, "sk-ecdsa-sha2-nistp256@openssh.com"),
];

const REMEDY: &str =
    "copy the one line of the file that ends in .pub, or PuTTYgen's box \"Public key for pasting\"";

impl SshKey {
    /// Its kind.
    pub fn kind(&self) -> KeyKind {
        self.kind
    }

    /// What was written behind it, usually whose it is.
    pub fn comment(&self) -> &str {
        &self.comment
    }
}

impl fmt::Display for SshKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = KINDS.iter().find(|(kind, _)| *kind == self.kind).map_or("", |(_, name)| name);
        write!(out, "{kind} {}", self.blob)?;
        if self.comment.is_empty() { Ok(()) } else { write!(out, " {}", self.comment) }
    }
}

impl fmt::Debug for SshKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

impl FromStr for SshKey {
    type Err = Flaw;

    fn from_str(text: &str) -> Result<Self, Flaw> {
        if text.contains("PRIVATE") || text.contains("PuTTY-User-Key-File") {
            return Err(Flaw::new(
                "is a private key, which belongs on no card",
                format!("make a new pair, for this one is no longer private; {REMEDY}"),
            ));
        }
        if text.contains("BEGIN SSH2 PUBLIC KEY") {
            return Err(Flaw::new("is in PuTTY's own form", REMEDY));
        }
        if text.trim().contains('\n') {
            return Err(Flaw::new("has several lines", format!("give each key its own text; {REMEDY}")));
        }
        // What a paste leaves at the ends of a line is no mistake.
        let text = plain(text.trim(), 16 * 1024)?;
        let mut words = text.splitn(3, [' ', '\t']);
        let (kind, blob) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let Some(&(kind, name)) = KINDS.iter().find(|(_, name)| *name == kind) else {
            return Err(match kind {
                "ssh-dss" => Flaw::new("is a DSA key, which nobody accepts any more", "make an Ed25519 key"),
                _ => Flaw::new("does not begin with a kind of public key, as in ssh-ed25519", REMEDY),
            });
        };
        let cut = || Flaw::new("is cut or damaged", REMEDY);
        let bytes = STANDARD.decode(blob).map_err(|_| cut())?;
        let mut fields = Fields(&bytes);
        if fields.next().ok_or_else(cut)? != name.as_bytes() {
            return Err(Flaw::new("says another kind inside than in front", REMEDY));
        }
        let rest: Vec<&[u8]> = fields.by_ref().collect();
        if !fields.0.is_empty() || !fits(kind, &rest) {
            return Err(cut());
        }
        if kind == KeyKind::Rsa && rest[1].len() < 256 {
            return Err(Flaw::new(
                "is an RSA key of less than 2048 bits",
                "make an Ed25519 key, or RSA with 3072 bits",
            ));
        }
        Ok(Self { kind, blob: blob.to_owned(), comment: words.next().unwrap_or_default().trim().to_owned() })
    }
}

/// Whether the fields behind the kind are those of such a key, at full length.
fn fits(kind: KeyKind, fields: &[&[u8]]) -> bool {
    let point = |curve: &[u8], length: usize| {
        fields.first() == Some(&curve) && fields.get(1).is_some_and(|point| point.len() == length)
    };
    match kind {
        KeyKind::Ed25519 => fields.len() == 1 && fields[0].len() == 32,
        KeyKind::Rsa => fields.len() == 2,
        KeyKind::Ecdsa256 => fields.len() == 2 && point(b"nistp256", 65),
        KeyKind::Ecdsa384 => fields.len() == 2 && point(b"nistp384", 97),
        KeyKind::Ecdsa521 => fields.len() == 2 && point(b"nistp521", 133),
        KeyKind::SecurityKeyEd25519 => fields.len() == 2 && fields[0].len() == 32,
        KeyKind::SecurityKeyEcdsa => fields.len() == 3 && point(b"nistp256", 65),
    }
}

/// The length-prefixed fields of a key; what does not fit remains.
struct Fields<'a>(&'a [u8]);

impl<'a> Iterator for Fields<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let (length, rest) = self.0.split_first_chunk::<4>()?;
        let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
        let field = rest.get(..length)?;
        self.0 = &rest[length..];
        Some(field)
    }
}
