//! Packages opened in memory: what is read, and what is refused.

use stayput_packages::deb::{self, Entry, EntryKind};
use stayput_packages::{Error, Kind};
use tar::EntryType as T;
use tempfile::TempDir;

use crate::archive::{Raw, deb as make, deb_of, entry, file, pack, tar_of, write};

fn read(bytes: &[u8]) -> Result<Vec<Entry>, Error> {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("test.deb");
    write(&path, bytes);
    deb::read(&path)
}

fn refusal(bytes: &[u8]) -> String {
    let error = read(bytes).unwrap_err();
    assert_eq!(error.kind(), Kind::Input);
    let text = error.to_string();
    assert!(text.contains("test.deb'"), "{text}");
    text
}

fn sample() -> Vec<Raw> {
    let mut tool = file("./usr/bin/tool", b"\x7fELF...");
    tool.mode = 0o4755;
    vec![
        entry("./", T::Directory, ""),
        entry("./usr/", T::Directory, ""),
        entry("./usr/bin/", T::Directory, ""),
        tool,
        entry("./usr/bin/same", T::Link, "./usr/bin/tool"),
        entry("./usr/bin/link", T::Symlink, "../lib/x"),
    ]
}

#[test]
fn every_compression_that_debian_uses_gives_the_same_entries() {
    let expected = [
        ("usr", EntryKind::Directory, 0o755),
        ("usr/bin", EntryKind::Directory, 0o755),
        ("usr/bin/tool", EntryKind::File(b"\x7fELF...".to_vec()), 0o4755),
        ("usr/bin/same", EntryKind::Hardlink("usr/bin/tool".into()), 0o755),
        ("usr/bin/link", EntryKind::Symlink("../lib/x".into()), 0o755),
    ]
    .map(|(path, kind, mode)| Entry { path: path.into(), kind, mode, uid: 0, gid: 0 });
    for compression in [".xz", ".zst", ".gz", ""] {
        assert_eq!(read(&make(compression, &sample())).unwrap(), expected, "data.tar{compression}");
    }
}

#[test]
fn a_file_capability_is_refused_by_path_and_name() {
    let mut builder = tar::Builder::new(Vec::new());
    builder.append_pax_extensions([("SCHILY.xattr.security.capability", &b"\x01\x00\x00\x02"[..])]).unwrap();
    let mut header = tar::Header::new_ustar();
    header.set_size(1);
    header.set_mode(0o755);
    header.set_cksum();
    builder.append_data(&mut header, "./usr/bin/ping", &b"x"[..]).unwrap();
    let text = refusal(&deb_of("data.tar", &builder.into_inner().unwrap()));
    assert!(text.contains("'usr/bin/ping'") && text.contains("security.capability"), "{text}");
}

#[test]
fn an_unknown_compression_is_named() {
    assert!(refusal(&make(".bz2", &sample())).contains(".bz2"));
}

#[test]
fn a_truncated_package_is_refused_at_every_length() {
    for compression in [".xz", ".zst", ".gz", ""] {
        let whole = make(compression, &sample());
        let step = (whole.len() / 97).max(1);
        // The tar's last block and ar's padding byte carry nothing, so the last few bytes of a plain one do not count.
        for length in (0..whole.len() - 1).step_by(step) {
            refusal(&whole[..length]);
        }
    }
    let whole = make(".xz", &sample());
    assert!(refusal(&whole[..whole.len() - 20]).contains("cut short"));
}

#[test]
fn a_flipped_bit_in_the_data_never_gives_other_files() {
    let mut entries = sample();
    entries[3].content = (0..3000u32).flat_map(|number| (number * number).to_le_bytes()).collect();
    for compression in [".xz", ".gz", ".zst"] {
        let data = pack(compression, &tar_of(&entries));
        let good = read(&deb_of(&format!("data.tar{compression}"), &data)).unwrap();
        let mut refused = 0;
        let places: Vec<usize> = (0..data.len()).step_by(41).collect();
        for at in &places {
            let mut bytes = data.clone();
            bytes[*at] ^= 0x10;
            match read(&deb_of(&format!("data.tar{compression}"), &bytes)) {
                Ok(same) => assert!(same == good, "data.tar{compression}, byte {at}"),
                Err(_) => refused += 1,
            }
        }
        // gzip has bytes that mean nothing (its time stamp, the last bits of a block); most do mean something.
        assert!(refused * 10 > places.len() * 9, "data.tar{compression}: {refused} of {}", places.len());
    }
}

#[test]
fn what_is_no_package_is_said_to_be_none() {
    for bytes in [b"".as_slice(), b"<html>", b"!<arch>\n", b"PK\x03\x04 zip"] {
        refusal(bytes);
    }
    assert!(refusal(&deb_of("other.tar.xz", b"")).contains("no data.tar"));
    let mut old = make(".xz", &sample());
    let at = old.windows(4).position(|window| window == b"2.0\n").unwrap();
    old[at] = b'3';
    assert!(refusal(&old).contains("format 2"));
}

#[test]
fn a_path_that_climbs_out_is_refused() {
    for path in ["../etc/passwd", "./usr/../../etc/passwd", "usr/..", "/etc/passwd", "//etc"] {
        let text = refusal(&make(".xz", &[file(path, b"x")]));
        assert!(text.contains("climbs out") || text.contains("absolute"), "{path}: {text}");
    }
}

#[test]
fn a_file_below_a_link_is_refused() {
    let entries = [entry("./usr", T::Symlink, "/etc"), file("./usr/passwd", b"x")];
    assert!(refusal(&make(".xz", &entries)).contains("below 'usr'"));
}

#[test]
fn a_hard_link_must_name_a_file_before_it() {
    for target in ["./usr/bin/later", "../../etc/shadow", "/etc/shadow", "./usr"] {
        let entries = [entry("./usr", T::Directory, ""), entry("./usr/same", T::Link, target)];
        refusal(&make(".xz", &entries));
    }
}

#[test]
fn devices_pipes_and_unknown_kinds_are_refused_by_name() {
    for (kind, told) in
        [(T::Char, "device"), (T::Block, "device"), (T::Fifo, "pipe"), (T::new(b'Z'), "unknown kind")]
    {
        let text = refusal(&make(".xz", &[entry("./dev/x", kind, "")]));
        assert!(text.contains(told) && text.contains("dev/x"), "{text}");
    }
}

#[test]
fn one_path_twice_is_refused_and_a_directory_twice_is_not() {
    assert!(refusal(&make(".xz", &[file("./a", b"1"), file("./a", b"2")])).contains("twice"));
    assert!(refusal(&make(".xz", &[entry("./a", T::Directory, ""), file("a", b"2")])).contains("twice"));
    read(&make(".xz", &[entry("./a", T::Directory, ""), entry("./a/", T::Directory, "")])).unwrap();
}

#[test]
fn a_size_that_the_package_does_not_have_is_refused() {
    let mut tar = tar_of(&[file("./a", b"1")]);
    let mut header = tar::Header::new_gnu();
    header.as_old_mut().name[..3].copy_from_slice(b"./a");
    header.set_size(1 << 40);
    header.set_mode(0o644);
    header.set_cksum();
    tar[..512].copy_from_slice(header.as_bytes());
    refusal(&deb_of("data.tar.xz", &pack(".xz", &tar)));
}

#[test]
fn an_empty_tar_is_refused() {
    assert!(refusal(&make(".xz", &[])).contains("empty"));
}

#[test]
fn many_packages_come_back_in_order() {
    let folder = TempDir::new().unwrap();
    let paths: Vec<_> = (0..20)
        .map(|number| {
            let path = folder.path().join(format!("{number}.deb"));
            write(&path, &make(".xz", &[file(&format!("./file{number}"), &vec![b'x'; number * 1000])]));
            path
        })
        .collect();
    let all = deb::read_all(&paths, &()).unwrap();
    for (number, entries) in all.iter().enumerate() {
        assert_eq!(entries[0].path, format!("file{number}"));
    }
    std::fs::write(&paths[7], b"").unwrap();
    assert!(deb::read_all(&paths, &()).unwrap_err().to_string().contains("7.deb"));
}
