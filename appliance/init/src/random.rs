//! Random bytes at a time when a board may not have gathered any yet.

use rustix::io::Errno;
use rustix::rand::{GetRandomFlags, getrandom};

use crate::log::Log;

/// 16 bytes from the kernel. A board without a hardware generator may have to wait for it at this early time: the
/// kernel then gathers from the timer's jitter, which takes about a second, and the log says what is waited for.
pub fn sixteen_bytes(log: &mut Log) -> [u8; 16] {
    let mut bytes = [0; 16];
    match getrandom(&mut bytes, GetRandomFlags::NONBLOCK) {
        Ok(16) => return bytes,
        Err(Errno::AGAIN) => log.info("waiting for the kernel's random numbers"),
        _ => {}
    }
    let mut filled = 0;
    while filled < bytes.len() {
        match getrandom(&mut bytes[filled..], GetRandomFlags::empty()) {
            Ok(more) => filled += more,
            Err(Errno::INTR) => {}
            // Not with any kernel that has the rest of what this program calls.
            Err(error) => {
                log.warn(&format!("the kernel gives no random numbers: {error}"));
                break;
            }
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_drawings_differ() {
        let mut log = Log::open();
        assert_ne!(sixteen_bytes(&mut log), sixteen_bytes(&mut log));
    }
}
