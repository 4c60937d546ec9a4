//! Feeds the readers of the protocol and of the log what no honest writer made: `hammer RUNS [SEED]`, for each of them.
//!
//! Half of the inputs are honest ones with a few bytes changed, cut off or put in, which come far; half are noise. Nothing may panic,
//! nothing may be taken that its writer would not write again, and no run may take long.

use std::time::Instant;

use stayput_worker::checksum::{Algorithm, Checksum};
use stayput_worker::disk::Identity;
use stayput_worker::log::{Chain, Event, Record};
use stayput_worker::protocol::{Answer, Inbound, Request};
use stayput_worker::{FileName, Naming, Order, OrderKey, Outcome};

/// A small generator, so that a run can be had again by its seed.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() >> 16).unwrap_or(0) % limit.max(1)
    }

    fn bytes(&mut self, most: usize) -> Vec<u8> {
        (0..self.below(most + 1)).map(|_| self.next().to_le_bytes()[3]).collect()
    }

    /// Changes a few bytes of an honest input, or makes noise.
    fn spoil(&mut self, honest: &[u8]) -> Vec<u8> {
        let mut bytes = if self.below(8) == 0 { self.bytes(96) } else { honest.to_vec() };
        for _ in 0..self.below(4) {
            let at = self.below(bytes.len());
            match self.below(4) {
                _ if bytes.is_empty() => bytes.push(self.next().to_le_bytes()[1]),
                0 => bytes.truncate(at),
                1 => bytes[at] ^= 1 << self.below(8),
                2 => bytes.insert(at, self.next().to_le_bytes()[2]),
                _ => bytes[at] = [0, 1, 0x7f, 0x80, 0xff][self.below(5)],
            }
        }
        bytes
    }
}

fn order(random: &mut Random) -> Option<Order> {
    let key = OrderKey::new(&random.bytes(40)).or_else(|| OrderKey::new(b"k"))?;
    let naming = if random.below(2) == 0 { Naming::Suffixed } else { Naming::Unchanged };
    Some(Order { key, naming, name: random.bytes(60) })
}

fn request(random: &mut Random) -> Option<Request> {
    Some(match random.below(6) {
        0 => Request::Hello,
        1 | 2 => {
            let orders = (0..1 + random.below(4)).map(|_| order(random)).collect::<Option<_>>()?;
            Request::Move { batch: 7, orders }
        }
        3 => Request::Deleted(vec![order(random)?.key]),
        4 => Request::Complete { transfer: 3 },
        _ => {
            let algorithm = Algorithm::ALL[random.below(5)];
            let checksum = Checksum::new(algorithm, &vec![7; algorithm.length()]);
            Request::Inbound(Inbound {
                transfer: 1,
                order: order(random)?,
                length: 9,
                checksum,
                version: random.bytes(40),
            })
        }
    })
}

fn record(random: &mut Random) -> Option<Record> {
    let identity = Identity { inode: random.next(), born: 5, size: random.next(), modified: 7 };
    let name = FileName::any(b"a name").ok()?;
    let key = OrderKey::new(b"a key")?;
    let event = match random.below(6) {
        0 => Event::Opened { version: 1, head: [3; 32] },
        1 => Event::Intent { key, naming: Naming::Suffixed, name: name.clone(), target: name, identity },
        2 => Event::Done { intent: random.next() },
        3 => Event::Abandoned { intent: 4, outcome: Some(Outcome::Changed) },
        4 => Event::Copied { intent: 4, identity },
        _ => Event::Received {
            key,
            naming: Naming::Unchanged,
            name: name.clone(),
            target: name,
            identity,
            digest: [9; 32],
            verified: None,
            version: random.bytes(30),
        },
    };
    Some(Record { sequence: random.next() >> 40, synced: 0, time: 1, event })
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let runs = arguments.next().ok_or("say how many runs")?.parse()?;
    hammer(runs, arguments.next().map_or(Ok(0x5eed), |seed| seed.parse())?);
    Ok(())
}

/// So many runs for each reader.
pub fn hammer(runs: u64, seed: u64) {
    let mut random = Random(seed | 1);
    let (start, mut taken) = (Instant::now(), 0_u64);
    for run in 0..runs {
        let honest = request(&mut random).and_then(|request| request.encode().ok()).unwrap_or_default();
        let bytes = random.spoil(&honest);
        if let Ok(request) = Request::decode(&bytes) {
            taken += 1;
            assert_eq!(request.encode().as_deref(), Ok(&bytes[..]), "run {run} of seed {seed}: {bytes:02x?}");
        }
        // The courier reads what the mover says with no more trust.
        if let Ok(answer) = Answer::decode(&bytes) {
            assert_eq!(answer.encode().as_deref(), Ok(&bytes[..]), "run {run} of seed {seed}: {bytes:02x?}");
        }
    }
    println!("protocol: {runs} runs, {taken} understood, {:.1} s", start.elapsed().as_secs_f64());

    let mut random = Random(seed.rotate_left(32) | 1);
    let (start, mut taken) = (Instant::now(), 0_u64);
    for run in 0..runs {
        let before: Chain = [run.to_le_bytes()[0]; 32];
        let mut honest = Vec::new();
        if let Some(record) = record(&mut random) {
            record.write(&before, &mut honest);
        }
        let spoiled = random.spoil(&honest);
        // Without a chain before it, as at a file's beginning, too: then only its own hash stands for it.
        let chain = (random.below(4) > 0).then_some(&before);
        if let Some((record, length, _)) = Record::read(chain, &spoiled) {
            taken += 1;
            let mut again = Vec::new();
            if chain.is_some() {
                record.write(&before, &mut again);
                assert_eq!(again, spoiled[..length], "run {run} of seed {seed}");
                assert_eq!(again, honest, "run {run} of seed {seed}: a changed record was taken");
            }
        }
    }
    println!("log: {runs} runs, {taken} understood, {:.1} s", start.elapsed().as_secs_f64());
}
