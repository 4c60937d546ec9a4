//! The checked configuration: what the box is told, in types that carry their rules.

use std::collections::BTreeMap;
use std::net::IpAddr;

use stayput_health::board::{ChipLabel, LedColor, LedRole};

use crate::types::{
    ActivationId, AttributeName, AttributeValue, BucketName, CaSource, Cidr, ClusterName, Code, DataPath,
    DeviceName, Endpoint, Expiry, HostAddress, KeyPrefix, LedName, NameSuffix, NoProxy, ProxyUrl, QueueUrl,
    Region, Server, ServerAddress, SshKey, TimeZone,
};

/// The version of the format that this program reads.
pub const VERSION: u32 = 1;

/// All that a `stayput.toml` says, with its defaults filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The box itself.
    pub device: Device,
    /// How it reaches the region.
    pub network: Network,
    /// What makes it a managed instance.
    pub activation: Activation,
    /// The cluster.
    pub ecs: Ecs,
    /// Orders and files.
    pub worker: Worker,
    /// The SFTP door.
    pub drop: Drop,
    /// Other addresses of the services.
    pub endpoints: Endpoints,
    /// Lights and screen.
    pub status: Status,
    /// Who may log in for maintenance; empty for nobody.
    pub access: Vec<SshKey>,
}

/// `[device]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// The box's name.
    pub name: DeviceName,
    /// The time zone of what people read; `None` is UTC.
    pub time_zone: Option<TimeZone>,
    /// Time servers; empty for those of DHCP or the image.
    pub ntp: Vec<Server>,
}

/// `[network]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Network {
    /// Where the address comes from.
    pub addressing: Addressing,
    /// Name servers; empty for those of DHCP.
    pub dns: Vec<ServerAddress>,
    /// Whether the box answers to multicast names.
    pub mdns: bool,
    /// The proxy.
    pub proxy: Option<ProxyUrl>,
    /// What is reached without it.
    pub no_proxy: Vec<NoProxy>,
    /// Further certificate authorities.
    pub ca: Vec<CaSource>,
}

/// Where the box's address comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Addressing {
    /// From the network.
    Dhcp,
    /// From the file.
    Static {
        /// The box's own address.
        address: HostAddress,
        /// The router.
        gateway: IpAddr,
    },
}

impl Network {
    /// The proxy on the way to a host, if there is one.
    pub fn proxy_to(&self, host: &str) -> Option<&ProxyUrl> {
        self.proxy.as_ref().filter(|_| !self.no_proxy.iter().any(|without| without.covers(host)))
    }
}

/// `[activation]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Activation {
    /// The region.
    pub region: Region,
    /// The activation's id.
    pub id: ActivationId,
    /// Its code, or that it was used.
    pub code: Code,
    /// When it ends.
    pub expires: Option<Expiry>,
}

/// `[ecs]`
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ecs {
    /// The cluster; there whenever the runtime is the cluster's.
    pub cluster: Option<ClusterName>,
    /// Custom attributes.
    pub attributes: BTreeMap<AttributeName, AttributeValue>,
}

/// `[worker]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Worker {
    /// Who starts the worker; with the host there is always a queue.
    pub runtime: Runtime,
    /// The queue.
    pub queue: Option<QueueUrl>,
    /// Where files wait.
    pub source: DataPath,
    /// Where they go.
    pub destination: DataPath,
    /// What is put behind their names.
    pub suffix: NameSuffix,
    /// What a name with slashes stands for.
    pub subfolders: Subfolders,
    /// Buckets that files may come from.
    pub s3: Vec<S3Rule>,
}

/// What a name that leads into a subfolder stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subfolders {
    /// Nothing: such an order is refused.
    Refuse,
    /// Its last part.
    Last,
    /// Its parts, joined by two underscores.
    Joined,
}

impl Subfolders {
    /// The word for it, in the file and in the worker's variable.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Refuse => "refuse",
            Self::Last => "last",
            Self::Joined => "joined",
        }
    }
}

/// Who starts the worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Runtime {
    /// The cluster, as a task.
    Ecs,
    /// The box, as a service.
    Host,
}

/// `[[worker.s3]]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct S3Rule {
    /// The bucket.
    pub bucket: BucketName,
    /// How keys must begin.
    pub prefix: KeyPrefix,
    /// The largest object in MiB.
    pub largest_mib: u32,
}

/// `[drop]`
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Drop {
    /// Who may add files.
    pub keys: Vec<SshKey>,
    /// Who may read and remove processed files.
    pub collect_keys: Vec<SshKey>,
    /// From where; empty for the box's own networks.
    pub from: Vec<Cidr>,
}

impl Drop {
    /// Whether there is a door at all.
    pub fn is_open(&self) -> bool {
        !self.keys.is_empty() || !self.collect_keys.is_empty()
    }
}

/// `[endpoints]`; what is not there is the region's own.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Endpoints {
    /// Systems Manager.
    pub ssm: Option<Endpoint>,
    /// Queues.
    pub sqs: Option<Endpoint>,
    /// Objects.
    pub s3: Option<Endpoint>,
    /// Containers.
    pub ecs: Option<Endpoint>,
    /// Logs.
    pub logs: Option<Endpoint>,
    /// Whether an endpoint without TLS is allowed; lights and status show it.
    pub plain_http: bool,
}

/// `[status]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// The screen's brightness in percent.
    pub brightness: u8,
    /// Lights on wires of one's own; empty for the board's.
    pub leds: Vec<LedWire>,
}

/// `[[status.led]]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedWire {
    /// Its name.
    pub name: LedName,
    /// What it tells.
    pub role: LedRole,
    /// The chip that it hangs on.
    pub chip: ChipLabel,
    /// The line on that chip.
    pub line: u32,
    /// Its colour.
    pub color: LedColor,
    /// Whether it lights when the line is low.
    pub active_low: bool,
    /// Whether the line only pulls down.
    pub open_drain: bool,
}
