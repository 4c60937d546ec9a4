//! The mover on a real disk: names and files as hostile as they come, each with its outcome.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod oracle;

use std::fs::{self, Permissions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use oracle::{apart, missing};
use rustix::fs::{CWD, FileType, Mode, XattrFlags, getxattr, makedev, mknodat, setxattr};
use stayput_worker::disk::Linux;
use stayput_worker::{Error, Mover, Naming, Order, OrderKey, Outcome, Settings, Subfolders, Suffix};
use tempfile::TempDir;

/// A mover with its three folders.
struct Bench {
    place: TempDir,
    destination: PathBuf,
    mover: Mover<Linux>,
}

fn settings() -> Settings {
    Settings { quiet: Duration::ZERO, reserve: 0, ..Settings::default() }
}

fn open(source: &Path, destination: &Path, log: &Path, settings: Settings) -> Result<Mover<Linux>, Error> {
    Mover::open(Linux, Linux.folder(source)?, Linux.folder(destination)?, Linux.folder(log)?, settings)
}

impl Bench {
    fn with(settings: Settings) -> Self {
        let place = TempDir::new().unwrap();
        let destination = place.path().join("destination");
        fs::create_dir(&destination).unwrap();
        Self::between(place, destination, settings)
    }

    fn new() -> Self {
        Self::with(settings())
    }

    fn between(place: TempDir, destination: PathBuf, settings: Settings) -> Self {
        let (source, log) = (place.path().join("source"), place.path().join("log"));
        fs::create_dir(&source).unwrap();
        fs::create_dir(&log).unwrap();
        let mover = open(&source, &destination, &log, settings).unwrap();
        Self { place, destination, mover }
    }

    fn restart(self, settings: Settings) -> Self {
        let Self { place, destination, mover } = self;
        drop(mover);
        let (source, log) = (place.path().join("source"), place.path().join("log"));
        let mover = open(&source, &destination, &log, settings).unwrap();
        Self { place, destination, mover }
    }

    fn source(&self, name: impl AsRef<Path>) -> PathBuf {
        self.place.path().join("source").join(name)
    }

    fn destination(&self, name: impl AsRef<Path>) -> PathBuf {
        self.destination.join(name)
    }

    fn order(&mut self, name: &[u8]) -> Outcome {
        self.order_with(name, name)
    }

    fn order_with(&mut self, key: &[u8], name: &[u8]) -> Outcome {
        let key = OrderKey::new(if key.is_empty() { b"-" } else { &key[..key.len().min(128)] }).unwrap();
        let order = Order { key, naming: Naming::Suffixed, name: name.to_vec() };
        self.mover.carry_out(&[order])[0]
    }

    fn names(&self, folder: &str) -> Vec<Vec<u8>> {
        let folder =
            if folder == "source" { self.place.path().join(folder) } else { self.destination.clone() };
        let mut names: Vec<_> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().as_bytes().to_vec())
            .collect();
        names.sort();
        names
    }
}

#[test]
fn a_file_is_moved_under_the_originals_name_with_everything_it_had() {
    let mut this = Bench::new();
    fs::write(this.source("a.csv"), "content").unwrap();
    fs::set_permissions(this.source("a.csv"), Permissions::from_mode(0o640)).unwrap();
    let before = fs::metadata(this.source("a.csv")).unwrap();
    assert_eq!(this.order(b"a.csv"), Outcome::Done);
    let after = fs::metadata(this.destination("a.csv_has_been_processed")).unwrap();
    assert_eq!(
        (after.ino(), after.mode(), after.mtime_nsec()),
        (before.ino(), before.mode(), before.mtime_nsec())
    );
    assert!(this.names("source").is_empty());
    assert_eq!(this.order(b"a.csv"), Outcome::AlreadyDone);
}

#[test]
fn names_that_lead_elsewhere_move_nothing() {
    let mut this = Bench::new();
    fs::write(this.place.path().join("secret"), "secret").unwrap();
    fs::create_dir(this.source("folder")).unwrap();
    fs::write(this.source("folder/x"), "x").unwrap();
    let table: &[(&[u8], Outcome)] = &[
        (b"../secret", Outcome::BadName),
        (b"/etc/hostname", Outcome::BadName),
        (b"folder/x", Outcome::BadName),
        (b"folder/", Outcome::BadName),
        (b"", Outcome::BadName),
        (b".", Outcome::BadName),
        (b"..", Outcome::BadName),
        (b"secret\0", Outcome::BadName),
        (b".stayput-0000000000000001.part", Outcome::BadName),
        (b"folder", Outcome::NotAFile),
        (&[b'x'; 1024], Outcome::NameTooLong),
    ];
    for (name, outcome) in table {
        assert_eq!(this.order(name), *outcome, "{:?}", String::from_utf8_lossy(name));
    }
    assert!(this.place.path().join("secret").exists());
    assert!(this.source("folder/x").exists());
    assert!(this.names("destination").is_empty());
}

#[test]
fn links_pipes_devices_and_second_names_stay_where_they_are() {
    let mut this = Bench::new();
    let secret = this.place.path().join("secret");
    fs::write(&secret, "secret").unwrap();
    symlink(&secret, this.source("link")).unwrap();
    symlink("nowhere", this.source("dangling")).unwrap();
    mknodat(CWD, this.source("pipe"), FileType::Fifo, Mode::RWXU, 0).unwrap();
    fs::hard_link(&secret, this.source("second-name")).unwrap();
    // The device that reads as nothing, where this user may make one.
    if mknodat(CWD, this.source("device"), FileType::CharacterDevice, Mode::RWXU, makedev(1, 3)).is_err() {
        missing("right to make a device (CAP_MKNOD)");
        fs::create_dir(this.source("device")).unwrap();
    }
    let _listener = std::os::unix::net::UnixListener::bind(this.source("socket")).unwrap();
    for (name, outcome) in [
        ("link", Outcome::NotAFile),
        ("dangling", Outcome::NotAFile),
        ("pipe", Outcome::NotAFile),
        ("device", Outcome::NotAFile),
        ("socket", Outcome::NotAFile),
        ("second-name", Outcome::Linked),
    ] {
        assert_eq!(this.order(name.as_bytes()), outcome, "{name}");
        assert!(this.source(name).symlink_metadata().is_ok(), "{name}");
    }
    assert!(this.names("destination").is_empty());
}

#[test]
fn strange_names_are_moved_byte_by_byte_and_case_matters() {
    let mut this = Bench::new();
    let names: &[&[u8]] = &[
        b"a\nb",
        b"\x1b[2J",
        b"\xff\xfe\x80",
        "\u{202e}fdp.x".as_bytes(),
        "\u{1f600}".as_bytes(),
        b"-rf *",
        b" ",
        b"...",
        b"%2e%2e",
        &[b'n'; 255 - 19],
    ];
    for name in names {
        fs::write(this.source(std::ffi::OsStr::from_bytes(name)), name).unwrap();
    }
    assert_eq!(this.order(b"-RF *"), Outcome::Waiting);
    for name in names {
        assert_eq!(this.order(name), Outcome::Done, "{:?}", String::from_utf8_lossy(name));
        let moved = [*name, b"_has_been_processed"].concat();
        assert_eq!(fs::read(this.destination(std::ffi::OsStr::from_bytes(&moved))).unwrap(), *name);
    }
    assert!(this.names("source").is_empty());
}

#[test]
fn a_name_that_the_suffix_makes_too_long_leaves_its_file() {
    let mut this = Bench::new();
    let name = [b'n'; 255 - 18];
    fs::write(this.source(std::ffi::OsStr::from_bytes(&name)), "x").unwrap();
    assert_eq!(this.order(&name), Outcome::NameTooLong);
    assert_eq!(this.names("source").len(), 1);
}

#[test]
fn a_taken_destination_is_a_conflict_and_both_files_are_kept() {
    for what in ["file", "folder", "link"] {
        let mut this = Bench::new();
        fs::write(this.source("a"), "new").unwrap();
        let taken = this.destination("a_has_been_processed");
        match what {
            "file" => fs::write(&taken, "old").unwrap(),
            "folder" => fs::create_dir(&taken).unwrap(),
            _ => symlink("/nowhere", &taken).unwrap(),
        }
        assert_eq!(this.order(b"a"), Outcome::Conflict, "{what}");
        assert_eq!(fs::read(this.source("a")).unwrap(), b"new", "{what}");
        assert!(what != "file" || fs::read(&taken).unwrap() == b"old");
        fs::rename(&taken, this.destination("elsewhere")).unwrap();
        assert_eq!(this.order(b"a"), Outcome::Done, "{what}");
    }
}

#[test]
fn a_missing_file_waits_and_is_moved_when_it_comes() {
    let mut this = Bench::new();
    assert_eq!(this.order(b"a"), Outcome::Waiting);
    fs::write(this.source("a"), "").unwrap();
    assert_eq!(this.order(b"a"), Outcome::Done);
    assert_eq!(this.order_with(b"another order", b"a"), Outcome::Waiting);
}

#[test]
fn one_key_moves_one_file_once_even_when_the_same_name_comes_again() {
    let mut this = Bench::new();
    fs::write(this.source("a"), "first").unwrap();
    assert_eq!(this.order_with(b"1", b"a"), Outcome::Done);
    fs::rename(this.destination("a_has_been_processed"), this.place.path().join("collected")).unwrap();
    fs::write(this.source("a"), "second").unwrap();
    fs::write(this.source("b"), "b").unwrap();
    assert_eq!(this.order_with(b"1", b"a"), Outcome::AlreadyDone);
    assert_eq!(this.order_with(b"1", b"b"), Outcome::KeyReused);
    assert_eq!(fs::read(this.source("a")).unwrap(), b"second");
    this = this.restart(settings());
    assert_eq!(this.order_with(b"1", b"a"), Outcome::AlreadyDone);
    assert_eq!(this.order_with(b"2", b"a"), Outcome::Done);
}

#[test]
fn a_batch_answers_its_own_repeats_as_if_they_had_come_later() {
    let mut this = Bench::new();
    fs::write(this.source("a"), "a").unwrap();
    let order = |key: &str, name: &str| Order {
        key: OrderKey::new(key.as_bytes()).unwrap(),
        naming: Naming::Suffixed,
        name: name.as_bytes().to_vec(),
    };
    let batch = [
        order("1", "a"),
        order("1", "a"),
        order("2", "a"),
        order("1", "b"),
        order("3", "c"),
        order("3", "c"),
    ];
    use Outcome::{AlreadyDone, Done, KeyReused, Waiting};
    assert_eq!(this.mover.carry_out(&batch), [Done, AlreadyDone, Waiting, KeyReused, Waiting, Waiting]);
}

#[test]
fn a_repeat_is_one_whatever_names_its_file_was_given_by() {
    let mut this = Bench::with(Settings { subfolders: Subfolders::Last, ..settings() });
    fs::write(this.source("a"), "a").unwrap();
    let order = |name: &[u8]| {
        let key = OrderKey::new(b"1").unwrap();
        Order { key, naming: Naming::Suffixed, name: name.to_vec() }
    };
    // In one batch and in the next.
    let batch = [order(b"x/a"), order(b"a"), order(b"x/b")];
    assert_eq!(this.mover.carry_out(&batch), [Outcome::Done, Outcome::AlreadyDone, Outcome::KeyReused]);
    assert_eq!(this.mover.carry_out(&batch[1..]), [Outcome::AlreadyDone, Outcome::KeyReused]);
}

#[test]
fn a_batch_larger_than_one_write_is_done_in_several() {
    let mut this = Bench::new();
    let orders: Vec<_> = (0..100)
        .map(|number: u32| {
            let name = format!("{number:0>236}");
            fs::write(this.source(&name), "x").unwrap();
            let key = OrderKey::new(format!("{number:0>128}").as_bytes()).unwrap();
            Order { key, naming: Naming::Suffixed, name: name.into_bytes() }
        })
        .collect();
    assert!(this.mover.carry_out(&orders).iter().all(|outcome| *outcome == Outcome::Done));
    assert_eq!(this.names("destination").len(), 100);
    this = this.restart(settings());
    assert!(this.mover.carry_out(&orders).iter().all(|outcome| *outcome == Outcome::AlreadyDone));
    assert_eq!(this.mover.counters().of(Outcome::AlreadyDone), 100);
}

#[test]
fn a_file_that_changed_a_moment_ago_is_not_taken_whatever_its_own_time_says() {
    let quiet = Duration::from_millis(300);
    let mut this = Bench::with(Settings { leases: false, quiet, ..settings() });
    fs::write(this.source("a"), "half").unwrap();
    let old = SystemTime::now() - Duration::from_secs(3600);
    fs::File::options().write(true).open(this.source("a")).unwrap().set_modified(old).unwrap();
    assert_eq!(this.order(b"a"), Outcome::Unready);
    std::thread::sleep(Duration::from_millis(350));
    assert_eq!(this.order(b"a"), Outcome::Done);
}

#[test]
fn a_file_that_a_program_has_open_for_writing_is_not_taken_however_long_it_pauses() {
    let mut this = Bench::with(Settings { quiet: Duration::ZERO, ..settings() });
    fs::write(this.source("a"), "half").unwrap();
    let writer = fs::File::options().append(true).open(this.source("a")).unwrap();
    let reader = fs::File::open(this.source("a")).unwrap();
    assert_eq!(this.order(b"a"), Outcome::Unready);
    drop(writer);
    // However young it is: the one who wrote it has closed it. Readers are no hindrance.
    assert_eq!(this.order(b"a"), Outcome::Done);
    drop(reader);
}

#[test]
#[allow(unsafe_code, reason = "leases have no safe interface among the crates that the tree has")]
fn a_file_that_a_program_has_a_lease_on_for_writing_is_not_waited_for() {
    let mut this = Bench::new();
    fs::write(this.source("a"), "half").unwrap();
    let holder = fs::File::options().write(true).open(this.source("a")).unwrap();
    let descriptor = std::os::fd::AsRawFd::as_raw_fd(&holder);
    // The signal that tells the holder is one that is ignored, else it would end this process. libc lacks the command: 10.
    // SAFETY: both calls take two numbers and no memory.
    let lease = unsafe {
        libc::fcntl(descriptor, 10, libc::SIGURG);
        libc::fcntl(descriptor, libc::F_SETLEASE, libc::F_WRLCK)
    };
    assert_eq!(lease, 0, "{}", std::io::Error::last_os_error());
    let started = Instant::now();
    assert_eq!(this.order(b"a"), Outcome::Unready);
    // The kernel gives the holder 45 seconds.
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
    // With the file the holder gives its lease up.
    drop(holder);
    assert_eq!(this.order(b"a"), Outcome::Done);
}

#[test]
fn a_full_disk_is_seen_before_a_move_can_fail() {
    let mut this = Bench::with(Settings { reserve: u64::MAX, ..settings() });
    fs::write(this.source("a"), "x").unwrap();
    assert_eq!(this.order(b"a"), Outcome::DiskFull);
    assert_eq!(this.order(b"b"), Outcome::Waiting);
    assert_eq!(this.names("source"), [b"a"]);
}

#[test]
fn a_full_ledger_takes_no_order_until_messages_are_deleted() {
    let mut this = Bench::with(Settings { ledger_limit: 1, ..settings() });
    fs::write(this.source("a"), "x").unwrap();
    fs::write(this.source("b"), "x").unwrap();
    assert_eq!(this.order(b"a"), Outcome::Done);
    assert_eq!(this.order(b"b"), Outcome::LedgerFull);
    this.mover.acknowledge([&OrderKey::new(b"a").unwrap()]);
    assert_eq!(this.order(b"b"), Outcome::Done);
    assert_eq!(this.order(b"a"), Outcome::AlreadyDone);
}

#[test]
fn folders_that_are_swapped_for_links_later_are_still_the_ones_that_were_opened() {
    let mut this = Bench::new();
    fs::write(this.source("a"), "mine").unwrap();
    let (source, elsewhere) = (this.place.path().join("source"), this.place.path().join("elsewhere"));
    fs::rename(&source, this.place.path().join("moved-away")).unwrap();
    fs::create_dir(&elsewhere).unwrap();
    fs::write(elsewhere.join("a"), "not mine").unwrap();
    symlink(&elsewhere, &source).unwrap();
    assert_eq!(this.order(b"a"), Outcome::Done);
    assert_eq!(fs::read(this.destination("a_has_been_processed")).unwrap(), b"mine");
    assert!(elsewhere.join("a").exists());
}

#[test]
fn two_movers_cannot_have_one_folder() {
    let this = Bench::new();
    let place = this.place.path();
    let again = open(&place.join("source"), &place.join("destination"), &place.join("log"), settings());
    assert!(matches!(again, Err(Error::Locked)));
}

#[test]
fn two_movers_cannot_have_one_destination_and_one_mover_may_have_one_folder_for_both() {
    let this = Bench::new();
    let other = TempDir::new().unwrap();
    for name in ["source", "log"] {
        fs::create_dir(other.path().join(name)).unwrap();
    }
    let (source, log) = (other.path().join("source"), other.path().join("log"));
    let second = open(&source, &this.destination(""), &log, settings());
    assert!(matches!(second, Err(Error::Locked)));
    assert!(open(&source, &source, &log, settings()).is_ok());
}

#[test]
fn a_missing_folder_is_named_with_what_to_do() {
    let error = Linux.folder(Path::new("/nonexistent/source")).unwrap_err().to_string();
    assert!(error.contains("/nonexistent/source") && error.contains("create it"), "{error}");
}

#[test]
fn between_file_systems_content_mode_time_and_attributes_arrive_and_the_source_goes() {
    let Some((near, far)) = apart() else { return };
    let mut this = Bench::between(near, far.path().to_owned(), settings());
    let content: Vec<u8> = (0..400_000u32).flat_map(u32::to_le_bytes).collect();
    fs::write(this.source("a"), &content).unwrap();
    fs::set_permissions(this.source("a"), Permissions::from_mode(0o4751)).unwrap();
    let old = SystemTime::UNIX_EPOCH + Duration::new(1_000_000_000, 123_456_789);
    fs::File::options().write(true).open(this.source("a")).unwrap().set_modified(old).unwrap();
    fs::write(this.source("taken"), "new").unwrap();
    let taken = this.destination("taken_has_been_processed");
    fs::write(&taken, "old").unwrap();
    let attributes: [(&str, &[u8]); 2] = [("user.origin", b"clinic 7\0\xff"), ("user.empty", b"")];
    let set = |path: &Path| {
        let mut each = attributes.iter();
        each.try_for_each(|(name, value)| setxattr(path, *name, value, XattrFlags::empty()))
    };
    let has_attributes = set(&taken).and_then(|()| set(&this.source("a"))).is_ok();
    if !has_attributes {
        missing("file system with user attributes for both folders");
    }
    assert_eq!(this.order(b"a"), Outcome::Done);
    assert_eq!(this.order(b"taken"), Outcome::Conflict);
    assert!(!this.source("a").exists() && this.source("taken").exists());
    let moved = this.destination("a_has_been_processed");
    assert_eq!(fs::read(&moved).unwrap(), content);
    assert_eq!(fs::metadata(&moved).unwrap().mode() & 0o7777, 0o751);
    assert_eq!(fs::metadata(&moved).unwrap().modified().unwrap(), old);
    for (name, value) in attributes.into_iter().filter(|_| has_attributes) {
        let mut found = [0; 64];
        let length = getxattr(&moved, name, &mut found[..]).unwrap();
        assert_eq!(&found[..length], value, "{name}");
    }
    assert_eq!(this.names("destination").len(), 2, "no temporary file is left");
    this = this.restart(settings());
    assert_eq!(this.order(b"a"), Outcome::AlreadyDone);
}

#[test]
fn an_unfinished_copy_of_an_earlier_life_is_removed_at_the_start() {
    let this = Bench::new();
    fs::write(this.destination(".stayput-00000000000000aa.part"), "half").unwrap();
    fs::write(this.destination(".stayput-notes"), "someone's").unwrap();
    let this = this.restart(settings());
    assert_eq!(this.mover.recovery().leftovers, 1);
    assert_eq!(this.names("destination"), [b".stayput-notes"]);
}

#[test]
fn naming_and_suffix_are_the_settings_and_the_orders_choice() {
    let mut this = Bench::with(Settings { suffix: Suffix::new(b".ok").unwrap(), ..settings() });
    fs::write(this.source("a"), "x").unwrap();
    fs::write(this.source("b"), "x").unwrap();
    assert_eq!(this.order(b"a"), Outcome::Done);
    let key = OrderKey::new(b"b").unwrap();
    let plain = Order { key, naming: Naming::Unchanged, name: b"b".to_vec() };
    assert_eq!(this.mover.carry_out(&[plain]), [Outcome::Done]);
    assert_eq!(this.names("destination"), [&b"a.ok"[..], b"b"]);
}
