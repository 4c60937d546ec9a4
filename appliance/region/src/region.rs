//! A whole region on this desk: started from a plan, changed while it runs, gone when it is dropped.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use ring::rand::{SecureRandom as _, SystemRandom};

use crate::authority::{Authority, Chain};
use crate::front::{self, Cut, Shared, Site, Weather};
use crate::names::{Manner, Names};
use crate::pass::Pass;
use crate::service::Service;
use crate::simulator::{Rule, Simulator};
use crate::{Clock, Error, Keep, Recorder, Script, sntp};

/// What a region is to be like.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Its name: `eu-central-1`.
    pub region: String,
    /// What its hosts end in.
    pub suffix: String,
    /// Where the front door is; port 0 takes a free one.
    pub front: SocketAddr,
    /// Where names are answered; `None` leaves them to others.
    pub dns: Option<SocketAddr>,
    /// Where time is told; `None` leaves it to others.
    pub time: Option<SocketAddr>,
    /// What every name leads to: the front door as the box sees it.
    pub address: Ipv4Addr,
    /// Further names of the registration service, for clients without our names: `localhost`.
    pub also: Vec<String>,
    /// Names of time servers; `*.` in front stands for one label or more.
    pub time_names: Vec<String>,
    /// The emulator behind all other services; without one they do not exist.
    pub emulator: Option<SocketAddr>,
    /// Lets requests through to the emulator whose signature nobody looks at.
    pub lenient: bool,
    /// Where streams are kept.
    pub keep: Keep,
    /// How the registration service behaves.
    pub rule: Rule,
    /// What ids and secrets are drawn from; `None` draws others each time.
    pub seed: Option<u64>,
    /// The clock of everything here.
    pub clock: Clock,
}

impl Plan {
    /// Everything on this desk's loopback, on free ports.
    pub fn on_loopback(region: &str) -> Self {
        let free = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Self {
            region: region.to_owned(),
            suffix: "amazonaws.com".to_owned(),
            front: free,
            dns: Some(free),
            time: Some(free),
            address: Ipv4Addr::LOCALHOST,
            also: vec!["localhost".to_owned()],
            time_names: ["*.pool.ntp.org", "time.aws.com"].map(str::to_owned).to_vec(),
            emulator: None,
            lenient: false,
            keep: Keep::Memory,
            rule: Rule::default(),
            seed: None,
            clock: Clock::of_the_desk(),
        }
    }
}

/// The services behind an emulator: the first label of their name, which is their name in signatures, too; and whether a
/// bucket's name may stand in front of it.
const BEHIND: &[(&str, bool)] =
    &[("sqs", false), ("s3", true), ("logs", false), ("sts", false), ("monitoring", false)];

/// Where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Addresses {
    /// The front door.
    pub front: SocketAddr,
    /// Names.
    pub dns: Option<SocketAddr>,
    /// Time.
    pub time: Option<SocketAddr>,
}

/// A region that runs.
pub struct Region {
    shared: Arc<Shared>,
    simulator: Simulator,
    names: Names,
    /// How far the time service is ahead of the region's clock, and whether it speaks.
    time: Arc<Mutex<(SignedDuration, bool)>>,
    addresses: Addresses,
    hosts: Vec<String>,
    threads: Vec<JoinHandle<()>>,
}

impl Region {
    /// Starts what the plan says.
    pub fn start(plan: Plan) -> Result<Self, Error> {
        let seed = plan.seed.unwrap_or_else(random);
        let simulator = Simulator::new(&plan.region, plan.rule.clone(), seed);
        let sites = sites(&plan, &simulator);
        let hosts: Vec<String> = sites.iter().map(|site| site.host.clone()).collect();
        let names = Names::new([hosts.clone(), plan.time_names.clone()].concat(), plan.address);
        let mut subjects = hosts.clone();
        // For a client that comes by address.
        subjects.extend([plan.front.ip(), IpAddr::V4(plan.address)].map(|address| address.to_string()));
        let weather = Weather { cut: Cut::None, chain: Chain::Good, latency: Duration::ZERO };
        let shared = Arc::new(Shared {
            authority: Authority::new(&subjects, plan.clock.now())?,
            sites,
            script: Script::default(),
            clock: plan.clock.clone(),
            recorder: Recorder::new(plan.keep.clone())?,
            weather: Mutex::new(weather),
            ended: AtomicBool::new(false),
            open: Mutex::default(),
        });
        let (front, door) = front::open(&shared, plan.front)?;
        let addresses = Addresses { front, dns: None, time: None };
        let time = Arc::new(Mutex::new((SignedDuration::ZERO, true)));
        // From here on dropping it ends what was begun.
        let mut region = Self { shared, simulator, names, time, addresses, hosts, threads: vec![door] };
        if let Some(at) = plan.dns {
            let names = region.names.clone();
            region.addresses.dns = Some(region.datagrams("names", at, move |packet| names.answer(packet))?);
        }
        if let Some(at) = plan.time {
            let (clock, time) = (plan.clock, Arc::clone(&region.time));
            let answer = move |packet: &[u8]| {
                let (ahead, speaks) = *time.lock().unwrap_or_else(PoisonError::into_inner);
                let now = clock.now().saturating_add(ahead).unwrap_or(Timestamp::MAX);
                sntp::answer(packet, now).filter(|_| speaks).map(Vec::from)
            };
            region.addresses.time = Some(region.datagrams("time", at, answer)?);
        }
        Ok(region)
    }

    /// Where it is.
    pub fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// The hosts behind the front door.
    pub fn hosts(&self) -> &[String] {
        &self.hosts
    }

    /// The authority that a box has to trust, in PEM.
    pub fn authority(&self) -> &str {
        self.shared.authority.pem()
    }

    /// The registration service.
    pub fn simulator(&self) -> &Simulator {
        &self.simulator
    }

    /// What happens to which call.
    pub fn script(&self) -> &Script {
        &self.shared.script
    }

    /// The region's clock; a skew of it reaches signatures, dates of replies and the time service.
    pub fn clock(&self) -> &Clock {
        &self.shared.clock
    }

    /// Everything that crossed the front door.
    pub fn recorder(&self) -> &Recorder {
        &self.shared.recorder
    }

    /// The names, what they lead to and what was asked.
    pub fn names(&self) -> &Names {
        &self.names
    }

    /// Takes the region away, or brings it back. What is connected is broken, but where nobody is to notice.
    pub fn cut(&self, cut: Cut) {
        self.weather(|weather| weather.cut = cut);
        if matches!(cut, Cut::Refused | Cut::Reset) {
            self.shared.reset();
        }
    }

    /// What the front door shows of itself to those who come from now on.
    pub fn show(&self, chain: Chain) {
        self.weather(|weather| weather.chain = chain);
    }

    /// How much later every answer comes.
    pub fn latency(&self, time: Duration) {
        self.weather(|weather| weather.latency = time);
    }

    /// How far the time service is ahead of the region's clock; `None` silences it.
    pub fn tell_time(&self, ahead: Option<SignedDuration>) {
        let told = (ahead.unwrap_or_default(), ahead.is_some());
        *self.time.lock().unwrap_or_else(PoisonError::into_inner) = told;
    }

    /// How questions for names are answered from now on.
    pub fn answer_names(&self, manner: Manner) {
        self.names.manner(manner);
    }

    fn weather(&self, change: impl FnOnce(&mut Weather)) {
        change(&mut self.shared.weather.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// One packet in, at most one out.
    fn datagrams(
        &mut self,
        what: &'static str,
        at: SocketAddr,
        answer: impl Fn(&[u8]) -> Option<Vec<u8>> + Send + 'static,
    ) -> Result<SocketAddr, Error> {
        let wrong = |source| Error::Listen { what, address: at, source };
        let socket = UdpSocket::bind(at).map_err(wrong)?;
        socket.set_read_timeout(Some(front::TICK * 4)).map_err(wrong)?;
        let address = socket.local_addr().map_err(wrong)?;
        let shared = Arc::clone(&self.shared);
        self.threads.push(std::thread::spawn(move || {
            let mut packet = [0; 2048];
            while !shared.has_ended() {
                let Ok((length, peer)) = socket.recv_from(&mut packet) else { continue };
                if let Some(reply) = answer(&packet[..length]) {
                    // Who asks and is gone before the answer has missed it.
                    let _ = socket.send_to(&reply, peer);
                }
            }
        }));
        Ok(address)
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            // One that panicked has said so.
            let _ = thread.join();
        }
    }
}

fn random() -> u64 {
    let mut bytes = [0; 8];
    // Without random numbers the ids are those of the run before, which nobody mixes up.
    let _ = SystemRandom::new().fill(&mut bytes);
    u64::from_le_bytes(bytes)
}

/// Who stands behind which name.
fn sites(plan: &Plan, simulator: &Simulator) -> Vec<Site> {
    let full = |label: &str| format!("{label}.{}.{}", plan.region, plan.suffix);
    let registration: Arc<dyn Service> = Arc::new(simulator.clone());
    let own =
        [full(registration.name())].into_iter().chain(plan.also.iter().map(|name| name.to_ascii_lowercase()));
    let mut sites: Vec<Site> = own.map(|host| Site { host, service: Arc::clone(&registration) }).collect();
    let Some(to) = plan.emulator else { return sites };
    for (name, has_buckets) in BEHIND {
        let sessions = (!plan.lenient).then(|| simulator.clone());
        let service: Arc<dyn Service> = Arc::new(Pass { name: (*name).to_owned(), to, sessions });
        sites.push(Site { host: full(name), service: Arc::clone(&service) });
        if *has_buckets {
            sites.push(Site { host: full(&format!("*.{name}")), service });
        }
    }
    sites
}
