//! Certificates of a company's own authority: inside the file, or a file beside it.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::CardFile;
use crate::finding::Flaw;

const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";
const REMEDY: &str = "paste the certificate whole, from -----BEGIN CERTIFICATE----- to -----END CERTIFICATE-----, between three quotation marks";

/// One or more certificates as text.
#[derive(Clone, PartialEq, Eq)]
pub struct Pem(Vec<Vec<u8>>);

impl Pem {
    /// The certificates in DER.
    pub fn certificates(&self) -> &[Vec<u8>] {
        &self.0
    }
}

impl fmt::Debug for Pem {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Pem({} certificates)", self.0.len())
    }
}

impl fmt::Display for Pem {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for der in &self.0 {
            writeln!(out, "{BEGIN}")?;
            let text = STANDARD.encode(der);
            for line in text.as_bytes().chunks(64) {
                writeln!(out, "{}", String::from_utf8_lossy(line))?;
            }
            writeln!(out, "{END}")?;
        }
        Ok(())
    }
}

impl FromStr for Pem {
    type Err = Flaw;

    fn from_str(text: &str) -> Result<Self, Flaw> {
        if text.contains("PRIVATE KEY") {
            return Err(Flaw::new(
                "holds a private key, which belongs on no card",
                "take it out, and treat that key as known to others",
            ));
        }
        let mut certificates = Vec::new();
        let mut open: Option<String> = None;
        for line in text.lines().map(str::trim) {
            match (&mut open, line) {
                (None, BEGIN) => open = Some(String::new()),
                (Some(body), END) => {
                    certificates.push(der(body)?);
                    open = None;
                }
                (Some(_), line) if line.starts_with("-----") => {
                    return Err(Flaw::new("has a certificate without its last line", REMEDY));
                }
                (Some(body), line) => body.push_str(line),
                (None, line) if line.starts_with("-----") => {
                    return Err(Flaw::new("holds something else than certificates", REMEDY));
                }
                // Tools write who it is for between the blocks.
                (None, _) => {}
            }
        }
        if open.is_some() {
            return Err(Flaw::new("has a certificate without its last line", REMEDY));
        }
        if certificates.is_empty() {
            return Err(Flaw::new("holds no certificate", REMEDY));
        }
        Ok(Self(certificates))
    }
}

/// The bytes of one certificate, whose outer length must be exactly theirs.
fn der(body: &str) -> Result<Vec<u8>, Flaw> {
    let cut = || Flaw::new("has a certificate that is cut or damaged", REMEDY);
    let bytes = STANDARD.decode(body).map_err(|_| cut())?;
    let length = match bytes.get(..4) {
        Some(&[0x30, short, ..]) if short < 0x80 => 2 + usize::from(short),
        Some(&[0x30, 0x81, length, _]) => 3 + usize::from(length),
        Some(&[0x30, 0x82, high, low]) => 4 + usize::from(u16::from_be_bytes([high, low])),
        _ => return Err(cut()),
    };
    if bytes.len() == length { Ok(bytes) } else { Err(cut()) }
}

/// Where a certificate comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CaSource {
    /// From the configuration itself.
    Inline(Pem),
    /// From a file beside it.
    File(CardFile),
}

impl FromStr for CaSource {
    type Err = Flaw;

    fn from_str(text: &str) -> Result<Self, Flaw> {
        if text.contains('\n') || text.contains("-----") {
            text.parse().map(Self::Inline)
        } else {
            text.parse().map(Self::File)
        }
    }
}
