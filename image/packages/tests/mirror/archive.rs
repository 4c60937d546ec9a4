//! A small Debian archive: packages, indexes and signed release files, made in a temporary directory.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use pgp::composed::{
    ArmorOptions, CleartextSignedMessage, KeyType, SecretKeyParamsBuilder, SignedPublicKey, SignedSecretKey,
};
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{SignatureConfig, SignatureType, Subpacket, SubpacketData};
use pgp::types::{KeyDetails, Password, Timestamp};
use sha2::{Digest, Sha256};
use stayput_packages::{Lock, Manifest, Mirror, Result, date, lock};
use tempfile::TempDir;

/// 2026-11-20 12:00:00 UTC: the clock of all tests.
pub const NOW: u64 = 1_795_176_000;

pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A throw-away signing key.
pub struct TestKey(SignedSecretKey);

impl TestKey {
    pub fn new() -> TestKey {
        TestKey::of(KeyType::Ed25519Legacy)
    }

    pub fn of(kind: KeyType) -> TestKey {
        let mut rng = rand::thread_rng();
        let params = SecretKeyParamsBuilder::default()
            .key_type(kind)
            .can_certify(true)
            .can_sign(true)
            .created_at(Timestamp::from_secs(NOW as u32 - 86_400))
            .primary_user_id("test archive".into())
            .build()
            .unwrap();
        TestKey(params.generate(&mut rng).unwrap())
    }

    pub fn public(&self) -> SignedPublicKey {
        self.0.to_public_key()
    }

    pub fn fingerprint(&self) -> String {
        self.0.fingerprint().as_bytes().iter().map(|byte| format!("{byte:02X}")).collect()
    }

    pub fn sign(&self, text: &str) -> String {
        self.sign_as(text, HashAlgorithm::Sha256, NOW - 3600)
    }

    pub fn sign_as(&self, text: &str, hash: HashAlgorithm, made: u64) -> String {
        let mut config =
            SignatureConfig::from_key(rand::thread_rng(), &self.0.primary_key, SignatureType::Text).unwrap();
        config.hash_alg = hash;
        config.hashed_subpackets = vec![
            Subpacket::regular(SubpacketData::SignatureCreationTime(Timestamp::from_secs(made as u32)))
                .unwrap(),
            Subpacket::regular(SubpacketData::IssuerFingerprint(self.0.fingerprint())).unwrap(),
        ];
        let message =
            CleartextSignedMessage::new(text, config, &self.0.primary_key, &Password::empty()).unwrap();
        message.to_armored_string(ArmorOptions::default()).unwrap()
    }
}

/// A package to be: its control fields and the files in it.
#[derive(Clone)]
pub struct TestPackage {
    pub name: String,
    pub version: String,
    pub architecture: String,
    pub fields: String,
    pub content: Vec<u8>,
}

pub fn package(name: &str, version: &str, fields: &str) -> TestPackage {
    let content = format!("{name} {version}\n").into_bytes();
    TestPackage {
        name: name.into(),
        version: version.into(),
        architecture: "arm64".into(),
        fields: fields.into(),
        content,
    }
}

impl TestPackage {
    pub fn of(mut self, architecture: &str) -> TestPackage {
        self.architecture = architecture.into();
        self
    }

    pub fn deb(&self) -> Vec<u8> {
        deb(".xz", &[file(&format!("./usr/share/{}", self.name), &self.content)])
    }

    fn path(&self) -> String {
        let version = self.version.split_once(':').map_or(self.version.as_str(), |(_, version)| version);
        format!("pool/main/{}_{version}_{}.deb", self.name, self.architecture)
    }
}

/// The archive in a directory, with everything that a lock needs beside it.
pub struct TestArchive {
    pub folder: TempDir,
    pub key: TestKey,
    pub packages: BTreeMap<&'static str, Vec<TestPackage>>,
    pub release_fields: BTreeMap<&'static str, String>,
}

const SUITES: [(&str, &str); 2] = [("trixie", "debian"), ("trixie-security", "debian-security")];

impl TestArchive {
    /// An archive whose main suite has these packages.
    pub fn with(packages: &[TestPackage]) -> TestArchive {
        let date = format!("Date: {}\n", date::format(NOW - 7200));
        let until = format!("Valid-Until: {}\n", date::format(NOW + 7 * 86_400));
        let archive = TestArchive {
            folder: TempDir::new().unwrap(),
            key: TestKey::new(),
            packages: [("trixie", packages.to_vec()), ("trixie-security", vec![])].into(),
            release_fields: [("trixie", date.clone()), ("trixie-security", date + &until)].into(),
        };
        archive.publish();
        archive
    }

    pub fn main(&self) -> PathBuf {
        self.folder.path().join("debian")
    }

    /// Writes pool, indexes and signed release files anew.
    pub fn publish(&self) {
        for (suite, folder) in SUITES {
            let root = self.folder.path().join(folder);
            for package in &self.packages[suite] {
                write(&root.join(package.path()), &package.deb());
            }
            let text = self.release_text(suite);
            write(&root.join(format!("dists/{suite}/InRelease")), self.key.sign(&text).as_bytes());
        }
        write(
            &self.folder.path().join("tree/keys/test.asc"),
            self.key.public().to_armored_string(ArmorOptions::default()).unwrap().as_bytes(),
        );
    }

    /// The unsigned release file of a suite; its indexes are written on the way.
    pub fn release_text(&self, suite: &str) -> String {
        let folder = SUITES.iter().find(|(name, _)| *name == suite).unwrap().1;
        let dists = self.folder.path().join(folder).join("dists").join(suite);
        let mut text = format!("Origin: Debian\nSuite: {suite}\nCodename: {suite}\nAcquire-By-Hash: yes\n");
        text += &self.release_fields[suite];
        text += "SHA256:\n";
        for architecture in ["amd64", "arm64"] {
            let plain = self.index(suite, architecture);
            let packed = xz(plain.as_bytes());
            let name = format!("main/binary-{architecture}/Packages");
            text += &format!(" {} {} {name}\n", sha256(plain.as_bytes()), plain.len());
            text += &format!(" {} {} {name}.xz\n", sha256(&packed), packed.len());
            write(&dists.join(format!("{name}.xz")), &packed);
            let by_hash = format!("main/binary-{architecture}/by-hash/SHA256/{}", sha256(&packed));
            write(&dists.join(by_hash), &packed);
        }
        text
    }

    fn index(&self, suite: &str, architecture: &str) -> String {
        let mut text = String::new();
        for package in &self.packages[suite] {
            if package.architecture != architecture && package.architecture != "all" {
                continue;
            }
            let deb = package.deb();
            text += &format!(
                "Package: {}\nVersion: {}\nArchitecture: {}\n{}Filename: {}\nSize: {}\nSHA256: {}\n\n",
                package.name,
                package.version,
                package.architecture,
                package.fields,
                package.path(),
                deb.len(),
                sha256(&deb)
            );
        }
        text
    }

    /// A package list with one feature `base` for arm64, whose tables the caller gives.
    pub fn manifest(&self, base: &str) -> Manifest {
        self.try_manifest(base).unwrap()
    }

    pub fn try_manifest(&self, base: &str) -> Result<Manifest> {
        let text = format!(
            "version = 1\n\
             [[suite]]\nname = \"trixie\"\narchive = \"main\"\nkeys = [\"test\"]\nexpires = false\n\
             [[suite]]\nname = \"trixie-security\"\narchive = \"security\"\nkeys = [\"test\"]\nexpires = true\n\
             [keys.test]\nfile = \"keys/test.asc\"\nfingerprint = \"{}\"\n\
             [features.base]\narchitecture = \"arm64\"\nwhy = \"a test\"\n{base}\n",
            self.key.fingerprint()
        );
        Manifest::parse(&text, &self.folder.path().join("tree/packages.toml"))
    }

    pub fn mirror(&self) -> Mirror {
        Mirror::named(self.main().to_str().unwrap(), None).unwrap()
    }

    pub fn lock(&self, base: &str) -> Result<Lock> {
        lock::resolve_fresh(&self.manifest(base), &self.mirror(), NOW, &())
    }

    /// The lock of packages by these names.
    pub fn lock_of(&self, names: &[&str]) -> Lock {
        self.lock(&roots(names)).unwrap()
    }
}

/// `[features.base.packages]` with these names.
pub fn roots(names: &[&str]) -> String {
    let lines: String = names.iter().map(|name| format!("\"{name}\" = \"for the test\"\n")).collect();
    format!("[features.base.packages]\n{lines}")
}

pub fn write(path: &Path, bytes: &[u8]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

pub fn xz(bytes: &[u8]) -> Vec<u8> {
    let mut packer = liblzma::write::XzEncoder::new(Vec::new(), 1);
    packer.write_all(bytes).unwrap();
    packer.finish().unwrap()
}

pub fn pack(compression: &str, tar: &[u8]) -> Vec<u8> {
    match compression {
        ".xz" => xz(tar),
        ".zst" => {
            // With the frame's checksum, as dpkg packs it.
            let mut packer = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
            packer.include_checksum(true).unwrap();
            packer.write_all(tar).unwrap();
            packer.finish().unwrap()
        }
        ".gz" => {
            let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            packer.write_all(tar).unwrap();
            packer.finish().unwrap()
        }
        _ => tar.to_vec(),
    }
}

/// One tar entry, raw: names and kinds that no decent tool would write are wanted here.
#[derive(Clone)]
pub struct Raw {
    pub path: String,
    pub kind: tar::EntryType,
    pub link: String,
    pub content: Vec<u8>,
    pub mode: u32,
}

pub fn file(path: &str, content: &[u8]) -> Raw {
    let (path, content) = (path.to_string(), content.to_vec());
    Raw { path, kind: tar::EntryType::Regular, link: String::new(), content, mode: 0o644 }
}

pub fn entry(path: &str, kind: tar::EntryType, link: &str) -> Raw {
    Raw { path: path.into(), kind, link: link.into(), content: Vec::new(), mode: 0o755 }
}

pub fn tar_of(entries: &[Raw]) -> Vec<u8> {
    let mut out = Vec::new();
    for entry in entries {
        let mut header = tar::Header::new_gnu();
        header.as_old_mut().name[..entry.path.len()].copy_from_slice(entry.path.as_bytes());
        header.as_old_mut().linkname[..entry.link.len()].copy_from_slice(entry.link.as_bytes());
        header.set_entry_type(entry.kind);
        header.set_size(entry.content.len() as u64);
        header.set_mode(entry.mode);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_cksum();
        out.extend_from_slice(header.as_bytes());
        out.extend_from_slice(&entry.content);
        out.resize(out.len().next_multiple_of(512), 0);
    }
    out.resize(out.len() + 1024, 0);
    out
}

/// A .deb whose data member is packed so.
pub fn deb(compression: &str, entries: &[Raw]) -> Vec<u8> {
    deb_of(&format!("data.tar{compression}"), &pack(compression, &tar_of(entries)))
}

/// A .deb with these bytes as its data member.
pub fn deb_of(member: &str, data: &[u8]) -> Vec<u8> {
    let mut builder = ar::Builder::new(Vec::new());
    for (name, bytes) in
        [("debian-binary", b"2.0\n".as_slice()), ("control.tar.xz", b"not read"), (member, data)]
    {
        let mut header = ar::Header::new(name.as_bytes().to_vec(), bytes.len() as u64);
        header.set_mode(0o100644);
        builder.append(&header, bytes).unwrap();
    }
    builder.into_inner().unwrap()
}
