//! The keys' way in: Linux input events, whatever the keys hang on.
//!
//! gpio-keys on a board, QEMU's power key, a virtual keyboard: one code path. Which code is which key says the board;
//! F1, F2 and F3 are K1, K2 and K3 everywhere.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use evdev::{Device, EventSummary, KeyCode};
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use stayput_health::board;

use crate::press::Key;

/// Where the kernel has its input devices.
pub(crate) const DIRECTORY: &str = "/dev/input";

/// How often is looked for devices that could not be opened, and for the folder itself. An early start of the box is
/// ahead of its drivers.
const SCAN: Duration = Duration::from_secs(5);
/// The same when all that is there is open and the kernel tells of what comes later.
const SELDOM: Duration = Duration::from_secs(3600);
/// How soon is looked for a device that has just gone.
const AGAIN: Duration = Duration::from_secs(1);

/// Which input event code is which key.
#[derive(Debug, Clone)]
pub(crate) struct Map(Vec<(u16, Key)>);

impl Map {
    /// The codes of `keys`, and F1 to F3.
    pub(crate) fn new(keys: &[board::Key]) -> Self {
        let own = keys.iter().filter_map(|own| {
            let key = Key::ALL.into_iter().find(|key| key.name() == own.name)?;
            Some((own.code, key))
        });
        let usual = [KeyCode::KEY_F1, KeyCode::KEY_F2, KeyCode::KEY_F3].map(KeyCode::code);
        Self(own.chain(usual.into_iter().zip(Key::ALL)).collect())
    }

    fn key(&self, code: KeyCode) -> Option<Key> {
        self.0.iter().find(|(known, _)| *known == code.code()).map(|(_, key)| *key)
    }

    fn codes(&self) -> impl Iterator<Item = KeyCode> {
        self.0.iter().map(|(code, _)| KeyCode::new(*code))
    }
}

/// What happened to a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Motion {
    Down(Key),
    Up(Key),
    /// It is down and nobody saw it going down.
    Found(Key),
    /// The keys of a device are gone with it.
    Lost,
}

/// The input devices that have one of the keys.
pub(crate) struct Buttons {
    map: Map,
    directory: PathBuf,
    devices: Vec<(PathBuf, Device)>,
    /// Devices without a key of ours: not opened again and again.
    others: BTreeSet<PathBuf>,
    scan: Duration,
    /// The kernel's notices of the folder's changes, once it can be watched.
    watch: Option<OwnedFd>,
    /// Devices that could not be opened, and how often. The first time is not told: a device is there a moment before
    /// udev has given it to its group.
    refused: BTreeMap<PathBuf, u32>,
}

impl Buttons {
    pub(crate) fn new(map: Map, directory: impl Into<PathBuf>) -> Self {
        Self {
            map,
            directory: directory.into(),
            devices: Vec::new(),
            others: BTreeSet::new(),
            scan: Duration::ZERO,
            watch: None,
            refused: BTreeMap::new(),
        }
    }

    /// What to wait for.
    pub(crate) fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        let devices = self.devices.iter().map(|(_, device)| device.as_fd());
        devices.chain(self.watch.as_ref().map(AsFd::as_fd)).collect()
    }

    /// In how long [`Buttons::scan`] would look again.
    pub(crate) fn wait(&self, now: Duration) -> Duration {
        self.scan.saturating_sub(now)
    }

    /// Looks for devices, when it is time to. Answers the keys that were found down.
    pub(crate) fn scan(&mut self, now: Duration, log: &mut dyn FnMut(String)) -> Vec<Motion> {
        if self.changed() {
            self.scan = now;
        }
        if now < self.scan {
            return Vec::new();
        }
        // The watch before the look: what comes in between is looked at twice, not missed.
        if self.watch.is_none() {
            self.watch = watch(&self.directory).ok();
        }
        let there: BTreeSet<_> = fs::read_dir(&self.directory)
            .into_iter()
            .flatten()
            .flatten()
            .filter(|entry| entry.file_name().as_encoded_bytes().starts_with(b"event"))
            .map(|entry| entry.path())
            .collect();
        self.others.retain(|path| there.contains(path));
        self.refused.retain(|path, _| there.contains(path));
        let mut found = Vec::new();
        for path in there {
            if self.others.contains(&path) || self.devices.iter().any(|(open, _)| *open == path) {
                continue;
            }
            match Device::open(&path).and_then(|device| device.set_nonblocking(true).map(|()| device)) {
                Ok(device) => {
                    self.refused.remove(&path);
                    self.take(path, device, &mut found);
                }
                Err(error) => {
                    let times = self.refused.entry(path.clone()).or_default();
                    *times = times.saturating_add(1);
                    if *times == 2 {
                        log(format!(
                            "<4>the hat's keys: cannot open {}: {error}; tried again",
                            path.display()
                        ));
                    }
                }
            }
        }
        let all = self.watch.is_some() && self.refused.is_empty();
        self.scan = now + if all { SELDOM } else { SCAN };
        found
    }

    /// Whether a device has come, gone, or been given to its group since the last call.
    fn changed(&mut self) -> bool {
        let Some(notices) = &self.watch else { return false };
        let mut buffer = [MaybeUninit::uninit(); 1024];
        let mut reader = inotify::Reader::new(notices, &mut buffer);
        let mut any = false;
        loop {
            match reader.next() {
                Ok(event) => {
                    any = true;
                    // The folder itself is gone, or notices were lost.
                    let lost = inotify::ReadFlags::QUEUE_OVERFLOW | inotify::ReadFlags::IGNORED;
                    if event.events().intersects(lost) {
                        self.watch = None;
                        return true;
                    }
                }
                Err(rustix::io::Errno::AGAIN) => return any,
                Err(_) => {
                    self.watch = None;
                    return true;
                }
            }
        }
    }

    fn take(&mut self, path: PathBuf, device: Device, found: &mut Vec<Motion>) {
        let ours = |device: &Device| {
            device.supported_keys().is_some_and(|keys| self.map.codes().any(|code| keys.contains(code)))
        };
        if !ours(&device) {
            self.others.insert(path);
            return;
        }
        let down = device.get_key_state().unwrap_or_default();
        found.extend(down.iter().filter_map(|code| self.map.key(code)).map(Motion::Found));
        self.devices.push((path, device));
    }

    /// What has happened, without waiting. A device that has gone is let go.
    pub(crate) fn read(&mut self, now: Duration) -> Vec<Motion> {
        let mut motions = Vec::new();
        let map = &self.map;
        self.devices.retain_mut(|(_, device)| match device.fetch_events() {
            Ok(events) => {
                for event in events {
                    if let EventSummary::Key(_, code, value) = event.destructure()
                        && let Some(key) = map.key(code)
                    {
                        match value {
                            0 => motions.push(Motion::Up(key)),
                            1 => motions.push(Motion::Down(key)),
                            // 2 is the keyboard repeating itself.
                            _ => {}
                        }
                    }
                }
                true
            }
            Err(error) => match error.kind() {
                std::io::ErrorKind::WouldBlock | std::io::ErrorKind::Interrupted => true,
                _ => {
                    motions.push(Motion::Lost);
                    false
                }
            },
        });
        if motions.contains(&Motion::Lost) {
            // Not at once: one that can be opened and not read would keep the hat busy.
            self.scan = now + AGAIN;
        }
        motions
    }
}

/// Has the kernel tell of changes in `directory`.
fn watch(directory: &Path) -> rustix::io::Result<OwnedFd> {
    let notices = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?;
    // A device comes as root's; udev gives it to its group a moment later.
    let what = WatchFlags::CREATE | WatchFlags::ATTRIB | WatchFlags::DELETE | WatchFlags::ONLYDIR;
    inotify::add_watch(&notices, directory, what)?;
    Ok(notices)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own(name: &str, code: u16) -> board::Key {
        let chip = board::ChipLabel::try_from("chip").unwrap();
        board::Key { name: name.to_owned(), code, chip, line: 0 }
    }

    #[test]
    fn function_keys_are_keys_everywhere_and_a_board_may_name_others() {
        let map = Map::new(&[own("K1", 116), own("volume", 115)]);
        let key = |code| map.key(KeyCode::new(code));
        assert_eq!((key(59), key(60), key(61)), (Some(Key::K1), Some(Key::K2), Some(Key::K3)));
        assert_eq!((key(116), key(115)), (Some(Key::K1), None));
    }

    #[test]
    fn a_box_without_input_devices_is_looked_at_rarely_and_quietly() {
        let mut buttons = Buttons::new(Map::new(&[]), "/nonexistent");
        assert_eq!(buttons.scan(Duration::ZERO, &mut |line| panic!("{line}")), []);
        assert_eq!(buttons.wait(Duration::ZERO), SCAN);
        assert!(buttons.read(Duration::ZERO).is_empty() && buttons.descriptors().is_empty());
    }

    #[test]
    fn a_device_that_comes_is_looked_at_at_once_and_nothing_is_looked_for_in_between() {
        let home = tempfile::tempdir().unwrap();
        let mut buttons = Buttons::new(Map::new(&[]), home.path());
        let mut log = Vec::new();
        buttons.scan(Duration::ZERO, &mut |line| log.push(line));
        assert_eq!(buttons.wait(Duration::ZERO), SELDOM);
        fs::write(home.path().join("event0"), "").unwrap();
        // No device, so that it is told of when it is tried for the second time.
        for moment in [1, 2, 7] {
            buttons.scan(Duration::from_secs(moment), &mut |line| log.push(line));
        }
        assert!(log.len() == 1 && log[0].contains("event0"), "{log:?}");
        assert_eq!(buttons.wait(Duration::from_secs(7)), SCAN);
        fs::remove_file(home.path().join("event0")).unwrap();
        buttons.scan(Duration::from_secs(8), &mut |line| log.push(line));
        assert_eq!(buttons.wait(Duration::from_secs(8)), SELDOM);
        // A folder that is gone is asked for again and again.
        drop(home);
        buttons.scan(Duration::from_secs(9), &mut |line| log.push(line));
        assert_eq!((buttons.wait(Duration::from_secs(9)), log.len()), (SCAN, 1));
    }

    #[test]
    fn what_is_no_input_device_is_told_of_once() {
        let home = tempfile::tempdir().unwrap();
        fs::write(home.path().join("event0"), "").unwrap();
        fs::write(home.path().join("mouse0"), "").unwrap();
        let mut buttons = Buttons::new(Map::new(&[]), home.path());
        let mut log = Vec::new();
        for second in 0..100 {
            buttons.scan(Duration::from_secs(second), &mut |line| log.push(line));
        }
        assert_eq!(log.len(), 1, "{log:?}");
        assert!(log[0].contains("event0"), "{log:?}");
        assert_eq!(buttons.wait(Duration::from_secs(95)), SCAN, "it is tried again soon");
    }
}
