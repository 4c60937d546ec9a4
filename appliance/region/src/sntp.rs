//! Time for the box: one packet to one packet, with the region's clock and an error of its own.

use jiff::Timestamp;

/// From 1900, where these packets count from, to 1970.
const ERA: i64 = 2_208_988_800;

/// The reply to a client's packet; nothing to what is none.
pub fn answer(packet: &[u8], now: Timestamp) -> Option<[u8; 48]> {
    let first = *packet.first()?;
    let (version, mode) = (first >> 3 & 7, first & 7);
    if packet.len() < 48 || mode != 3 || !(1..=4).contains(&version) {
        return None;
    }
    let time = stamp(now);
    let mut reply = [0; 48];
    reply[0] = version << 3 | 4;
    reply[1] = 2; // Stratum: told by one that knows.
    reply[2] = packet[2]; // The client's own interval.
    reply[3] = 0xec; // Good to a millionth of a second.
    reply[7] = 16; // Root delay and dispersion: a quarter of a millisecond, in seconds by 65,536.
    reply[11] = 16;
    reply[12..16].copy_from_slice(&[127, 0, 0, 1]);
    reply[16..24].copy_from_slice(&time);
    reply[24..32].copy_from_slice(&packet[40..48]);
    reply[32..40].copy_from_slice(&time);
    reply[40..48].copy_from_slice(&time);
    Some(reply)
}

/// Seconds and their fraction; past 2036 the seconds begin again, as the protocol has it.
fn stamp(at: Timestamp) -> [u8; 8] {
    let nanos = at.as_nanosecond().rem_euclid(1_000_000_000);
    let seconds = at.as_nanosecond().div_euclid(1_000_000_000) + i128::from(ERA);
    let fraction = (nanos << 32) / 1_000_000_000;
    let value = (seconds.rem_euclid(1 << 32) << 32) + fraction;
    u64::try_from(value).unwrap_or(0).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(first: u8) -> [u8; 48] {
        let mut packet = [0; 48];
        packet[0] = first;
        packet[40..48].copy_from_slice(b"a moment");
        packet
    }

    #[test]
    fn a_client_gets_its_own_stamp_back_and_the_regions_time() {
        let now = Timestamp::from_millisecond(1_795_000_000_500).unwrap();
        for (asked, told) in [(0x23, 0x24), (0xe3, 0x24), (0x1b, 0x1c)] {
            let reply = answer(&packet(asked), now).unwrap();
            assert_eq!(reply[0], told);
            assert_eq!(&reply[24..32], b"a moment");
            let seconds = u32::from_be_bytes(reply[40..44].try_into().unwrap());
            assert_eq!(i64::from(seconds) - ERA, 1_795_000_000);
            assert_eq!(reply[44], 0x80, "half a second");
        }
    }

    #[test]
    fn what_is_no_clients_packet_gets_no_answer() {
        let now = Timestamp::UNIX_EPOCH;
        for bad in [&[][..], &[0x23; 47], &packet(0x24), &packet(0x3b), &packet(0x03)] {
            assert_eq!(answer(bad, now), None, "{:?}", bad.first());
        }
    }

    #[test]
    fn after_2036_the_seconds_begin_again() {
        assert_eq!(stamp("2036-02-07T06:28:16Z".parse().unwrap()), [0; 8]);
    }
}
