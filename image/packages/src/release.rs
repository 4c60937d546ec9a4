//! A suite's signed release file: signature, identity, dates; and the indexes that it vouches for.

use std::collections::BTreeMap;
use std::io::Read;

use sha2::{Digest, Sha256};

use crate::control::paragraphs;
use crate::date;
use crate::error::{Error, Result};
use crate::index::is_sha256;
use crate::keys::{Key, verify_clearsigned};
use crate::manifest::{Manifest, Suite};
use crate::mirror::{Base, Mirror};

/// Two clocks may differ by this much before a date counts as in the future.
pub(crate) const CLOCK_TOLERANCE: u64 = 600;
/// The largest release file in use is below 300 KB.
const RELEASE_LIMIT: u64 = 16 << 20;
/// The largest Packages file in use is below 60 MB.
const INDEX_LIMIT: u64 = 512 << 20;

/// A release file whose signature and dates hold.
#[derive(Debug)]
pub(crate) struct Release {
    pub suite: String,
    pub date: u64,
    /// The main suite has none: a point release stays valid until the next one.
    pub valid_until: Option<u64>,
    pub signed_by: String,
    pub origin: String,
    by_hash: bool,
    files: BTreeMap<String, (String, u64)>,
}

/// Fetches a suite's release from the first address that has a good one; says which address that was.
pub(crate) fn fetch<'m>(
    manifest: &Manifest,
    suite: &Suite,
    mirror: &'m Mirror,
    now: u64,
) -> Result<(Release, &'m Base)> {
    let keys = Key::of_suite(manifest, suite)?;
    let mut first_error = None;
    for base in mirror.bases(suite.archive) {
        let path = format!("dists/{}/InRelease", suite.name);
        let origin = base.shown(&path);
        let release = mirror
            .read(base, &path, RELEASE_LIMIT)
            .and_then(|bytes| check(&bytes, suite, &keys, &origin, now));
        match release {
            Ok(release) => return Ok((release, base)),
            Err(error) => {
                tracing::debug!(%origin, %error, "this address will not do");
                first_error.get_or_insert(error);
            }
        }
    }
    Err(first_error.unwrap_or_else(|| Error::NoMirror { searched: format!("for the suite {}", suite.name) }))
}

/// Everything that must hold before a word of the file is believed.
pub(crate) fn check(bytes: &[u8], suite: &Suite, keys: &[Key], origin: &str, now: u64) -> Result<Release> {
    let signed = verify_clearsigned(bytes, keys, origin, now)?;
    let bad = |reason: String| Error::Release { origin: origin.to_string(), reason };
    let expired =
        |reason: String| Error::Expired { origin: origin.to_string(), reason, now: date::format(now) };
    let mut all = paragraphs(&signed.text);
    let fields = all
        .next()
        .ok_or_else(|| bad("the release file is empty".into()))?
        .map_err(|error| bad(format!("line {}: {}", error.line, error.reason)))?;
    if all.next().is_some() {
        return Err(bad("more than one paragraph in a release file".into()));
    }
    let names = [fields.get("Codename"), fields.get("Suite")];
    if !names.contains(&Some(&suite.name)) {
        return Err(bad(format!(
            "this is the release file of '{}', not of '{}'",
            names[0].or(names[1]).unwrap_or("nothing"),
            suite.name
        )));
    }
    let moment = |field: &str| match fields.get(field) {
        Some(text) => date::parse(text).map(Some).ok_or_else(|| bad(format!("{field}: '{text}' is no date"))),
        None => Ok(None),
    };
    let made = moment("Date")?.ok_or_else(|| bad("it has no Date".into()))?;
    if made > now + CLOCK_TOLERANCE {
        return Err(expired(format!("its Date, {}, is in the future", date::format(made))));
    }
    let valid_until = moment("Valid-Until")?;
    match valid_until {
        Some(end) if end < now => {
            return Err(expired(format!("it was valid until {}", date::format(end))));
        }
        None if suite.expires => {
            return Err(bad("it has no Valid-Until, and packages.toml says that this suite's must".into()));
        }
        _ => {}
    }
    let files = fields.get("SHA256").ok_or_else(|| bad("it lists no SHA256 sums".into()))?;
    Ok(Release {
        suite: suite.name.clone(),
        date: made,
        valid_until,
        signed_by: signed.fingerprint,
        origin: origin.to_string(),
        by_hash: fields.get("Acquire-By-Hash") == Some("yes"),
        files: read_sums(files).map_err(bad)?,
    })
}

fn read_sums(text: &str) -> Result<BTreeMap<String, (String, u64)>, String> {
    let mut sums = BTreeMap::new();
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let mut words = line.split_ascii_whitespace();
        let (Some(sum), Some(size), Some(path), None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return Err(format!("the SHA256 list has the line '{}'", line.trim()));
        };
        let size = size.parse().map_err(|_| format!("the SHA256 list has the size '{size}'"))?;
        if !is_sha256(sum) {
            return Err(format!("the SHA256 list has the sum '{sum}'"));
        }
        sums.insert(path.to_string(), (sum.to_string(), size));
    }
    Ok(sums)
}

impl Release {
    /// Size of the compressed index of an architecture.
    pub(crate) fn index_size(&self, architecture: &str) -> Result<u64> {
        self.file(&format!("main/binary-{architecture}/Packages.xz")).map(|(_, size)| *size)
    }

    /// SHA-256 of the compressed index of an architecture.
    pub(crate) fn index_sum(&self, architecture: &str) -> Result<&str> {
        self.file(&format!("main/binary-{architecture}/Packages.xz")).map(|(sum, _)| sum.as_str())
    }

    /// Fetches the index of an architecture; both the compressed and the unpacked bytes are checked.
    pub(crate) fn fetch_index(&self, mirror: &Mirror, base: &Base, architecture: &str) -> Result<String> {
        let plain_name = format!("main/binary-{architecture}/Packages");
        let name = format!("{plain_name}.xz");
        let (sum, size) = self.file(&name)?;
        let by_name = format!("dists/{}/{name}", self.suite);
        let by_hash = format!("dists/{}/main/binary-{architecture}/by-hash/SHA256/{sum}", self.suite);
        // By hash first: the file of that name may already belong to the next release.
        let tries = if self.by_hash { vec![by_hash, by_name] } else { vec![by_name] };
        let mut outcome = Err(Error::NotFound { url: name.clone(), reason: "never asked".into() });
        let mut place = String::new();
        for path in &tries {
            place = base.shown(path);
            outcome = mirror.read(base, path, *size);
            if !matches!(outcome, Err(Error::NotFound { .. })) {
                break;
            }
        }
        let packed = outcome?;
        compare(&packed, sum, *size, &name, &place)?;
        let (plain_sum, plain_size) = self.file(&plain_name)?;
        if *plain_size > INDEX_LIMIT {
            let reason =
                format!("it lists {plain_name} with {plain_size} bytes, which is too large to be true");
            return Err(Error::Release { origin: self.origin.clone(), reason });
        }
        let mut plain = Vec::with_capacity(*plain_size as usize);
        liblzma::read::XzDecoder::new_multi_decoder(packed.as_slice())
            .take(plain_size + 1)
            .read_to_end(&mut plain)
            .map_err(|error| Error::Index {
                origin: place.clone(),
                line: 0,
                reason: format!("broken xz: {error}"),
            })?;
        compare(&plain, plain_sum, *plain_size, &plain_name, &place)?;
        String::from_utf8(plain).map_err(|_| Error::Index {
            origin: place,
            line: 0,
            reason: "it is not UTF-8".into(),
        })
    }

    fn file(&self, name: &str) -> Result<&(String, u64)> {
        self.files.get(name).ok_or_else(|| Error::Release {
            origin: self.origin.clone(),
            reason: format!("it does not list {name}; does this mirror carry the architecture?"),
        })
    }
}

fn compare(bytes: &[u8], sum: &str, size: u64, what: &str, place: &str) -> Result<()> {
    let got = hex::encode(Sha256::digest(bytes));
    if got == sum && bytes.len() as u64 == size {
        return Ok(());
    }
    Err(Error::WrongHash {
        what: what.to_string(),
        origin: place.to_string(),
        expected: format!("{sum}, {size} bytes"),
        got: format!("{got}, {} bytes", bytes.len()),
    })
}
