//! Names for the box: the region's own lead to its front door, every other does not exist; and all that was asked.

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How questions are answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Manner {
    /// As they should be.
    #[default]
    Honest,
    /// Not at all.
    Silent,
    /// By saying that something is wrong (SERVFAIL).
    Failing,
    /// Every name leads there, as in a network that wants a log-in first.
    All(Ipv4Addr),
}

/// A question that was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// In small letters, without the last dot.
    pub name: String,
    /// 1 for an IPv4 address, 28 for an IPv6 address.
    pub kind: u16,
    /// What it was answered: 0 found, 2 something is wrong, 3 no such name; `None` not at all.
    pub code: Option<u8>,
}

/// The names, as several hold them.
#[derive(Debug, Clone)]
pub struct Names(Arc<Mutex<Book>>);

#[derive(Debug)]
struct Book {
    /// In small letters; `*.` in front stands for one label or more.
    hosts: Vec<String>,
    address: Ipv4Addr,
    manner: Manner,
    asked: Vec<Question>,
}

const FOUND: u8 = 0;
const WRONG: u8 = 2;
const NO_SUCH_NAME: u8 = 3;
const ADDRESS: u16 = 1;
const ANY: u16 = 255;
const INTERNET: u16 = 1;

impl Names {
    /// These hosts, at this address.
    pub fn new(hosts: Vec<String>, address: Ipv4Addr) -> Self {
        let hosts = hosts.into_iter().map(|host| host.to_ascii_lowercase()).collect();
        Self(Arc::new(Mutex::new(Book { hosts, address, manner: Manner::default(), asked: Vec::new() })))
    }

    /// How questions are answered from now on.
    pub fn manner(&self, manner: Manner) {
        self.book().manner = manner;
    }

    /// Everything that was asked.
    pub fn asked(&self) -> Vec<Question> {
        self.book().asked.clone()
    }

    /// The answer to a packet; nothing to what is no question.
    pub fn answer(&self, packet: &[u8]) -> Option<Vec<u8>> {
        let asked = Asked::read(packet)?;
        let mut book = self.book();
        let (code, address) = book.judge(&asked);
        book.asked.push(Question { name: asked.name.clone(), kind: asked.kind, code });
        let code = code?;
        let address =
            address.filter(|_| asked.class == INTERNET && (asked.kind == ADDRESS || asked.kind == ANY));
        let mut reply = packet[..2].to_vec();
        // An answer, from one who knows, with the client's wish for recursion and the offer of it.
        reply.extend([0x84 | packet[2] & 0x01, 0x80 | code]);
        reply.extend([0, 1, 0, u8::from(address.is_some()), 0, 0, 0, 0]);
        // As it was written: a client may look whether its capitals come back.
        reply.extend(&packet[HEAD..asked.end]);
        if let Some(address) = address {
            // The name above, an address, on the internet, for half a minute, four bytes.
            reply.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 30, 0, 4]);
            reply.extend(address.octets());
        }
        Some(reply)
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Book {
    fn judge(&self, asked: &Asked) -> (Option<u8>, Option<Ipv4Addr>) {
        let is = |host: &String| match host.strip_prefix('*') {
            Some(end) => asked.name.len() > end.len() && asked.name.ends_with(end),
            None => *host == asked.name,
        };
        match self.manner {
            Manner::Silent => (None, None),
            Manner::Failing => (Some(WRONG), None),
            Manner::All(address) => (Some(FOUND), Some(address)),
            Manner::Honest if self.hosts.iter().any(is) => (Some(FOUND), Some(self.address)),
            Manner::Honest => (Some(NO_SUCH_NAME), None),
        }
    }
}

const HEAD: usize = 12;

/// A question, read.
struct Asked {
    name: String,
    kind: u16,
    class: u16,
    /// Where the question ends in the packet.
    end: usize,
}

impl Asked {
    fn read(packet: &[u8]) -> Option<Self> {
        let head = packet.get(..HEAD)?;
        // A question, in the one operation that there is, and one at a time.
        if head[2] & 0xf8 != 0 || head[4..6] != [0, 1] || packet.len() > 512 {
            return None;
        }
        let (mut at, mut labels) = (HEAD, Vec::new());
        loop {
            let length = usize::from(*packet.get(at)?);
            at += 1;
            match length {
                0 => break,
                // A pointer in a question has nothing to point to.
                1..=63 => labels.push(packet.get(at..at + length)?),
                _ => return None,
            }
            at += length;
        }
        let rest = packet.get(at..at + 4)?;
        let labels: Vec<String> =
            labels.iter().map(|label| String::from_utf8_lossy(label).to_ascii_lowercase()).collect();
        let number = |at: usize| u16::from_be_bytes([rest[at], rest[at + 1]]);
        Some(Self { name: labels.join("."), kind: number(0), class: number(2), end: at + 4 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(name: &str, kind: u16) -> Vec<u8> {
        let mut packet = vec![0x12, 0x34, 0x01, 0x20, 0, 1, 0, 0, 0, 0, 0, 1];
        for label in name.split('.').filter(|label| !label.is_empty()) {
            packet.push(u8::try_from(label.len()).unwrap());
            packet.extend(label.as_bytes());
        }
        packet.push(0);
        packet.extend(kind.to_be_bytes());
        // The internet; then what clients of today put behind the question.
        packet.extend([0, 1, 0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0]);
        packet
    }

    fn names() -> Names {
        let hosts = ["ssm.eu-central-1.amazonaws.com", "*.s3.eu-central-1.amazonaws.com"];
        Names::new(hosts.map(str::to_owned).to_vec(), Ipv4Addr::new(10, 0, 2, 2))
    }

    /// Code, number of answers, last four bytes.
    fn told(reply: &[u8]) -> (u8, u8, &[u8]) {
        (reply[3] & 15, reply[7], &reply[reply.len() - 4..])
    }

    #[test]
    fn the_regions_names_lead_to_its_door_and_no_other_exists() {
        let names = names();
        for (name, code, answers) in [
            ("ssm.eu-central-1.amazonaws.com", 0, 1),
            ("SSM.eu-Central-1.amazonaws.com", 0, 1),
            ("bucket.s3.eu-central-1.amazonaws.com", 0, 1),
            ("s3.eu-central-1.amazonaws.com", 3, 0),
            ("ssm.eu-west-1.amazonaws.com", 3, 0),
            ("example.com", 3, 0),
            ("", 3, 0),
        ] {
            let reply = names.answer(&question(name, 1)).unwrap();
            assert_eq!((told(&reply).0, told(&reply).1), (code, answers), "{name}");
            assert_eq!(reply[..2], [0x12, 0x34]);
            if answers == 1 {
                assert_eq!(told(&reply).2, [10, 0, 2, 2]);
            }
        }
        assert_eq!(names.asked().len(), 7);
        assert_eq!(names.asked()[1].name, "ssm.eu-central-1.amazonaws.com");
        assert_eq!(names.asked()[5], Question { name: "example.com".to_owned(), kind: 1, code: Some(3) });
    }

    #[test]
    fn a_name_without_that_kind_of_address_exists_all_the_same() {
        let reply = names().answer(&question("ssm.eu-central-1.amazonaws.com", 28)).unwrap();
        assert_eq!((told(&reply).0, told(&reply).1), (0, 0));
    }

    #[test]
    fn each_manner_answers_in_its_own_way() {
        let names = names();
        let ask = || names.answer(&question("example.com", 1));
        names.manner(Manner::Silent);
        assert_eq!(ask(), None);
        names.manner(Manner::Failing);
        assert_eq!(told(&ask().unwrap()).0, 2);
        names.manner(Manner::All(Ipv4Addr::new(192, 0, 2, 1)));
        assert_eq!(told(&ask().unwrap()), (0, 1, &[192, 0, 2, 1][..]));
        assert_eq!(names.asked()[0].code, None);
    }

    #[test]
    fn what_is_no_question_gets_no_answer() {
        let whole = question("example.com", 1);
        let mut answer = whole.clone();
        answer[2] |= 0x80;
        let mut two = whole.clone();
        two[5] = 2;
        let mut pointer = whole.clone();
        pointer[12] = 0xc0;
        for bad in [&whole[..20], &answer, &two, &pointer, &[], &[0; 600]] {
            assert_eq!(names().answer(bad), None);
        }
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes: Vec<u8>) {
            let _ = names().answer(&bytes);
            let _ = names().answer(&[&[0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0][..], &bytes].concat());
        }
    }
}
