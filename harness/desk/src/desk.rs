//! The desk: everything on it, in the order in which it has to come and go.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use jiff::SignedDuration;
use stayput_card::Layout;
use stayput_harness::{Card, Machine, Options, Patience};
use stayput_region::{Keep, Region, simulator::Activation};

use crate::{Emulator, Error, Queue, Result, Settings, Worker, put};

/// The region that a desk stands in for.
const REGION: &str = "eu-central-1";
/// What its hosts end in.
const SUFFIX: &str = "amazonaws.com";
/// The desk as the box sees it.
const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 2);
/// The smallest card that the product asks for.
const CARD: u64 = 4 << 30;
/// After so many deliveries an order is set aside.
const DELIVERIES: u32 = 10;

/// What a desk is made of.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The machine; its image is flashed onto a card of the desk's own.
    pub options: Options,
    /// Where what is on that card.
    pub layout: Layout,
    /// The emulator's program.
    pub emulator: PathBuf,
    /// Whose key opens the door, as one line of OpenSSH's.
    pub door: Option<String>,
    /// What the worker is told beyond its queue.
    pub worker: Worker,
    /// The desk's files: its card, the streams of the region, logs. Made if it is not there.
    pub folder: PathBuf,
}

/// A desk. Everything on it ends with it.
pub struct Desk {
    // In the order in which they go.
    machine: Machine,
    region: Region,
    emulator: Emulator,
    queue: Option<Queue>,
    activation: Activation,
    settings: Settings,
    card: Card,
    plan: Plan,
}

impl Desk {
    /// Flashes a card, puts settings on it and switches the box on. Neither box nor queue is ready when this returns: see
    /// [`Desk::open`].
    pub fn start(plan: Plan) -> Result<Self> {
        std::fs::create_dir_all(&plan.folder).map_err(Error::file("make", &plan.folder))?;
        let emulator = Emulator::start(&plan.emulator, &plan.folder.join("emulator.log"))?;
        let region = region(&plan.folder)?;
        let until = region.clock().now().saturating_add(SignedDuration::from_hours(24));
        let activation = region.simulator().activate(1, until.unwrap_or(jiff::Timestamp::MAX));
        let mut settings = Settings::of(&region, REGION, SUFFIX, &activation);
        (settings.door, settings.worker) = (plan.door.clone(), plan.worker.clone());
        let card = Card::flash(&plan.folder.join("card.img"), &plan.options.image, CARD)?;
        put(&card, &plan.layout, "stayput.toml", Some(settings.to_toml().as_bytes()))?;
        let machine = Machine::start(plan.options.clone().with_card(card.path()))?;
        Ok(Self { machine, region, emulator, queue: None, activation, settings, card, plan })
    }

    /// Makes the queue, as soon as the emulator listens: long before the box asks for orders.
    pub fn open(&mut self) -> Result<&Queue> {
        if self.queue.is_none() {
            self.emulator.wait(self.plan.options.patience)?;
            self.queue = Some(Queue::make(REGION, &self.settings.queue, DELIVERIES)?);
        }
        self.queue.as_ref().ok_or(Error::Call { call: "CreateQueue", why: "there is no queue".to_owned() })
    }

    /// The box.
    pub fn machine(&mut self) -> &mut Machine {
        &mut self.machine
    }

    /// The region.
    pub fn region(&self) -> &Region {
        &self.region
    }

    /// The activation that is on the card.
    pub fn activation(&self) -> &Activation {
        &self.activation
    }

    /// What is on the card; see [`Desk::settle`].
    pub fn settings(&mut self) -> &mut Settings {
        &mut self.settings
    }

    /// Puts the settings onto the card, while the box is off.
    pub fn settle(&self) -> Result<()> {
        put(&self.card, &self.plan.layout, "stayput.toml", Some(self.settings.to_toml().as_bytes()))
    }

    /// How long to believe that something will still happen.
    pub fn patience(&self) -> Patience {
        self.plan.options.patience
    }

    /// The card.
    pub fn card(&self) -> &Card {
        &self.card
    }
}

/// The region, at the ports that a region has.
fn region(folder: &Path) -> Result<Region> {
    let at = |port: u16| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let streams = folder.join("streams");
    match std::fs::remove_dir_all(&streams) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(Error::file("remove", &streams)(error));
        }
        _ => {}
    }
    Ok(Region::start(stayput_region::Plan {
        suffix: SUFFIX.to_owned(),
        front: at(443),
        dns: Some(at(53)),
        time: Some(at(123)),
        address: ADDRESS,
        also: Vec::new(),
        emulator: Some(Emulator::address()),
        keep: Keep::Folder(streams),
        ..stayput_region::Plan::on_loopback(REGION)
    })?)
}
