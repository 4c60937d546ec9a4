//! `sbom.cdx.json`: what the image is made of, as CycloneDX 1.6. A function of the image and the lock: no clock, no
//! random number.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use stayput_packages::Locked;
use stayput_packages::built_using::SourcePackage;
use stayput_toolchain::Record;

use super::crates::Crate;
use super::licences::{self, Notices};
use crate::manifest::Manifest;

/// What a bill is made from.
pub struct Parts<'a> {
    /// The image.
    pub manifest: &'a Manifest,
    /// Seconds since 1970: the lock's newest release file.
    pub epoch: u32,
    /// The packages in it.
    pub packages: &'a [&'a Locked],
    /// What they say of their licences.
    pub notices: &'a Notices,
    /// The sources inside packages, by package: what Debian linked into them.
    pub sources: &'a BTreeMap<String, BTreeSet<SourcePackage>>,
    /// The crates in the box's programs.
    pub crates: &'a [Crate],
    /// The crates whose programs these are.
    pub programs: &'a [&'a str],
}

const IMAGE: &str = "image";

/// The bill.
pub fn bill(parts: &Parts<'_>) -> Value {
    let manifest = parts.manifest;
    let version = env!("CARGO_PKG_VERSION");
    let mut components: Vec<Value> =
        parts.packages.iter().map(|package| debian(package, parts.notices)).collect();
    let inside: BTreeSet<&SourcePackage> = parts.sources.values().flatten().collect();
    components.extend(inside.into_iter().map(source));
    components.extend(parts.crates.iter().map(cargo));
    components.extend(libraries(&manifest.toolchain).map(library));
    let mut of_image: Vec<String> = parts.packages.iter().map(|package| purl_of_package(package)).collect();
    let programs = parts.crates.iter().filter(|one| parts.programs.contains(&one.name.as_str()));
    of_image.extend(programs.clone().map(purl_of_crate));
    let mut dependencies = vec![json!({"ref": IMAGE, "dependsOn": of_image})];
    for package in parts.packages {
        let Some(inside) = parts.sources.get(&package.name).filter(|inside| !inside.is_empty()) else {
            continue;
        };
        let inside: Vec<_> = inside.iter().map(purl_of_source).collect();
        dependencies.push(json!({"ref": purl_of_package(package), "dependsOn": inside}));
    }
    for one in parts.crates {
        let mut uses: Vec<String> =
            one.uses.iter().map(|(name, version)| purl("cargo", name, version, "")).collect();
        if parts.programs.contains(&one.name.as_str()) {
            uses.extend(libraries(&manifest.toolchain).map(|library| library.purl()));
        }
        dependencies.push(json!({"ref": purl_of_crate(one), "dependsOn": uses}));
    }
    json!({
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": format!("urn:uuid:{}", uuid(&manifest.image.sha256)),
        "version": 1,
        "metadata": {
            "timestamp": timestamp(parts.epoch),
            "tools": {"components": [{"type": "application", "name": "stayput", "version": version}]},
            "component": {
                "type": "operating-system",
                "bom-ref": IMAGE,
                "name": format!("stayput-{}", manifest.board),
                "version": version,
                "hashes": sha256(&manifest.image.sha256),
                "properties": [
                    {"name": "stayput:lock", "value": manifest.lock_sha256},
                    {"name": "stayput:profile", "value": manifest.profile},
                    {"name": "stayput:serves", "value": manifest.serves.join(" ")},
                    {"name": "stayput:toolchain", "value": manifest.toolchain.toolchain.as_str()},
                ],
            },
        },
        "components": components,
        "dependencies": dependencies,
    })
}

fn debian(package: &Locked, notices: &Notices) -> Value {
    let purl = purl_of_package(package);
    let mut component = json!({
        "type": "library",
        "bom-ref": purl,
        "name": package.name,
        "version": package.version,
        "purl": purl,
        // Of the package as Debian serves it.
        "hashes": sha256(&package.sha256),
    });
    let names = notices.packages.get(&package.name).map(|notice| licences::names(notice)).unwrap_or_default();
    if !names.is_empty() {
        // Debian's short names, which are not SPDX's.
        let named: Vec<_> = names.iter().map(|name| json!({"license": {"name": name}})).collect();
        component["licenses"] = Value::Array(named);
    }
    component
}

fn cargo(one: &Crate) -> Value {
    let purl = purl_of_crate(one);
    let mut component = json!({
        "type": "library",
        "bom-ref": purl,
        "name": one.name,
        "version": one.version,
        "purl": purl,
    });
    if let Some(hash) = &one.sha256 {
        component["hashes"] = sha256(hash);
    }
    if let Some(expression) = &one.licence {
        component["licenses"] = json!([{"expression": expression}]);
    }
    component
}

/// Source code of Debian's that was linked into a package: name and version are all that the package says of it.
fn source(source: &SourcePackage) -> Value {
    let purl = purl_of_source(source);
    json!({
        "type": "library",
        "bom-ref": purl,
        "name": source.name,
        "version": source.version,
        "purl": purl,
    })
}

/// A library that the compiler brings: in every program of the box and in no lock.
struct Library<'a> {
    name: &'a str,
    version: &'a str,
    licence: &'a str,
}

/// The standard library and the C library.
fn libraries(toolchain: &Record) -> impl Iterator<Item = Library<'_>> {
    let (name, version) = toolchain.c_library.split_once(' ').unwrap_or((&toolchain.c_library, "unknown"));
    let licence = if name == "musl" { "MIT" } else { "LGPL-2.1-or-later" };
    let std = Library { name: "rust-std", version: release(&toolchain.rustc), licence: "MIT OR Apache-2.0" };
    [std, Library { name, version, licence }].into_iter()
}

impl Library<'_> {
    fn purl(&self) -> String {
        purl("generic", self.name, self.version, "")
    }
}

fn library(library: Library<'_>) -> Value {
    let purl = library.purl();
    json!({
        "type": "library",
        "bom-ref": purl,
        "name": library.name,
        "version": library.version,
        "purl": purl,
        "licenses": [{"expression": library.licence}],
    })
}

fn release(rustc: &str) -> &str {
    rustc.lines().find_map(|line| line.strip_prefix("release: ")).unwrap_or("unknown")
}

fn purl_of_package(package: &Locked) -> String {
    let more = format!("?arch={}&distro=trixie", package.architecture);
    purl("deb/debian", &package.name, &package.version, &more)
}

fn purl_of_source(source: &SourcePackage) -> String {
    purl("deb/debian", &source.name, &source.version, "?arch=source&distro=trixie")
}

fn purl_of_crate(one: &Crate) -> String {
    purl("cargo", &one.name, &one.version, "")
}

/// A package URL. Its rules leave letters, digits and `.-_~:` as they are; `+` in a name or version is escaped.
fn purl(kind: &str, name: &str, version: &str, more: &str) -> String {
    let escape = |text: &str| {
        let one = |byte: u8| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'_' | b'~' | b':' => {
                char::from(byte).to_string()
            }
            other => format!("%{other:02X}"),
        };
        text.bytes().map(one).collect::<String>()
    };
    format!("pkg:{kind}/{}@{}{more}", escape(name), escape(version))
}

fn sha256(hash: &str) -> Value {
    json!([{"alg": "SHA-256", "content": hash}])
}

/// A UUID of version 8 (RFC 9562: made by rules of one's own) from a hash in hex.
fn uuid(hash: &str) -> String {
    let mut digits: Vec<char> = hash.chars().chain("0".repeat(32).chars()).take(32).collect();
    digits[12] = '8';
    let variant = digits[16].to_digit(16).unwrap_or(0) & 3 | 8;
    digits[16] = char::from_digit(variant, 16).unwrap_or('8');
    let text: String = digits.into_iter().collect();
    format!("{}-{}-{}-{}-{}", &text[..8], &text[8..12], &text[12..16], &text[16..20], &text[20..])
}

/// RFC 3339, in UTC.
fn timestamp(epoch: u32) -> String {
    // A release file's own form says day, month, year and time; only the order differs.
    let text = stayput_packages::date::format(u64::from(epoch));
    let words: Vec<&str> = text.split_whitespace().collect();
    let &[_, day, month, year, time, _] = words.as_slice() else { return String::new() };
    const MONTHS: &str = "JanFebMarAprMayJunJulAugSepOctNovDec";
    let month = MONTHS.find(month).map_or(0, |at| at / 3 + 1);
    format!("{year}-{month:02}-{day}T{time}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn package_urls_escape_what_debian_versions_hold() {
        assert_eq!(
            purl("deb/debian", "libstdc++6", "1:14.2.0-19+deb13u1~x", "?arch=arm64"),
            "pkg:deb/debian/libstdc%2B%2B6@1:14.2.0-19%2Bdeb13u1~x?arch=arm64"
        );
    }

    #[test]
    fn the_serial_number_follows_from_the_hash_and_is_a_uuid_of_version_8() {
        assert_eq!(uuid(&"f".repeat(64)), "ffffffff-ffff-8fff-bfff-ffffffffffff");
        assert_eq!(uuid(&"0".repeat(64)), "00000000-0000-8000-8000-000000000000");
        assert_eq!(uuid(""), "00000000-0000-8000-8000-000000000000");
    }

    #[test]
    fn the_time_is_the_epoch_in_the_form_of_rfc_3339() {
        assert_eq!(timestamp(0), "1970-01-01T00:00:00Z");
        assert_eq!(timestamp(1_794_000_000), "2026-11-06T21:20:00Z");
    }
}
