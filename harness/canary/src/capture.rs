//! A capture of packets, as QEMU writes it: the classic pcap file.

use std::time::Duration;

use crate::{Error, Result};

/// One packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet<'a> {
    /// When, since the capture's own zero.
    pub at: Duration,
    /// From the Ethernet header on.
    pub bytes: &'a [u8],
}

const HEADER: usize = 24;
const RECORD: usize = 16;
const ETHERNET: u32 = 1;

/// Every packet of a capture, whole.
pub fn packets(file: &[u8]) -> Result<Vec<Packet<'_>>> {
    // The first word says the order of bytes, and whether fractions are of a million or of a thousand million.
    let (word, nanoseconds): (fn([u8; 4]) -> u32, u32) = match file.get(..4) {
        Some([0xd4, 0xc3, 0xb2, 0xa1]) => (u32::from_le_bytes, 1_000),
        Some([0x4d, 0x3c, 0xb2, 0xa1]) => (u32::from_le_bytes, 1),
        Some([0xa1, 0xb2, 0xc3, 0xd4]) => (u32::from_be_bytes, 1_000),
        Some([0xa1, 0xb2, 0x3c, 0x4d]) => (u32::from_be_bytes, 1),
        _ => return Err(Error::Magic(hex::encode(&file[..file.len().min(4)]))),
    };
    let at = |place: usize| file.get(place..place + 4).and_then(|bytes| bytes.try_into().ok()).map(word);
    let link = at(20).ok_or(Error::Cut { at: file.len(), packet: 0 })?;
    if link != ETHERNET {
        return Err(Error::Link(link));
    }
    let (mut all, mut place) = (Vec::new(), HEADER);
    while place < file.len() {
        let packet = all.len() + 1;
        let cut = Error::Cut { at: file.len(), packet };
        let record = [0, 4, 8, 12].map(|offset| at(place + offset));
        let [Some(seconds), Some(fraction), Some(kept), Some(whole)] = record else { return Err(cut) };
        let [kept, whole] = [kept, whole].map(|length| usize::try_from(length).unwrap_or(usize::MAX));
        if kept != whole {
            return Err(Error::Shortened { packet, whole, kept });
        }
        let start = place + RECORD;
        let bytes = start.checked_add(kept).and_then(|end| file.get(start..end)).ok_or(cut)?;
        let time = Duration::from_secs(seconds.into())
            + Duration::from_nanos(u64::from(fraction) * u64::from(nanoseconds));
        all.push(Packet { at: time, bytes });
        place = start + kept;
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(packets: &[&[u8]]) -> Vec<u8> {
        let mut file =
            hex::decode("d4c3b2a1020004000000000000000000000001000100 0000".replace(' ', "")).unwrap();
        for bytes in packets {
            let length = u32::try_from(bytes.len()).unwrap();
            for word in [7, 250_000, length, length] {
                file.extend(u32::to_le_bytes(word));
            }
            file.extend(*bytes);
        }
        file
    }

    #[test]
    fn packets_come_in_their_order_with_their_times() {
        let file = file(&[b"one", b"", b"three"]);
        let read = packets(&file).unwrap();
        assert_eq!(read.iter().map(|packet| packet.bytes).collect::<Vec<_>>(), [&b"one"[..], b"", b"three"]);
        assert_eq!(read[0].at, Duration::from_millis(7_250));
    }

    #[test]
    fn what_is_not_a_whole_capture_is_refused_with_its_place() {
        let good = file(&[b"one", b"two"]);
        for cut in HEADER + 1..good.len() {
            let read = packets(&good[..cut]);
            let is_whole = cut == HEADER + RECORD + 3;
            assert_eq!(read.is_ok(), is_whole, "{cut}: {read:?}");
        }
        assert!(matches!(packets(b"\x0a\x0d\x0d\x0a"), Err(Error::Magic(_))));
        assert!(matches!(packets(b""), Err(Error::Magic(_))));
        let mut other = good.clone();
        other[20] = 101;
        assert!(matches!(packets(&other), Err(Error::Link(101))));
        let mut long = good.clone();
        long[HEADER + 12] = 9;
        assert!(matches!(packets(&long), Err(Error::Shortened { packet: 1, whole: 9, kept: 3 })));
        let mut huge = good;
        huge[HEADER + 8..HEADER + 16].fill(0xff);
        assert!(matches!(packets(&huge), Err(Error::Cut { packet: 1, .. })));
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes: Vec<u8>) {
            let _ = packets(&bytes);
            let _ = packets(&[&file(&[])[..], &bytes].concat());
        }
    }
}
