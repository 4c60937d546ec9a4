//! What a test needs and not every machine or user has. Without it a test says that it did not run; with
//! STAYPUT_REQUIRE_ORACLES=1 that is a failure.

use std::fs;
use std::os::unix::fs::MetadataExt;

use tempfile::TempDir;

/// Says that a test cannot run here for want of `what`.
pub fn missing(what: &str) {
    let required = std::env::var("STAYPUT_REQUIRE_ORACLES").is_ok_and(|value| value == "1");
    assert!(!required, "there is no {what} here, and STAYPUT_REQUIRE_ORACLES=1 asks for it");
    println!("skipped: there is no {what} here");
}

/// Two file systems, where this machine has them: the temporary folder's and the memory's.
pub fn apart() -> Option<(TempDir, TempDir)> {
    let near = TempDir::new().unwrap();
    let far = TempDir::new_in("/dev/shm").ok().filter(|far| {
        let device = |place: &TempDir| fs::metadata(place.path()).unwrap().dev();
        device(&near) != device(far)
    });
    if far.is_none() {
        missing("second file system at /dev/shm");
    }
    Some((near, far?))
}
