//! From the parsed file to the checked configuration, section by section.

use std::str::FromStr;

use stayput_health::board::{ChipLabel, LedColor, LedRole};

use crate::config::{
    Activation, Addressing, Config, Device, Drop, Ecs, Endpoints, LedWire, Network, Runtime, S3Rule, Status,
    Subfolders, VERSION, Worker,
};
use crate::finding::{Flaw, Problem};
use crate::keys;
use crate::sheet::{Part, Sheet};
use crate::types::{DataPath, NameSuffix};

/// Reads everything; `None` when anything that must be there is not good, which has its finding then.
pub(crate) fn config(sheet: &mut Sheet<'_>) -> Option<Config> {
    let top = sheet.top();
    let version = sheet.number(top, &keys::VERSION, 1..=u32::MAX);
    if let Some(later) = version.filter(|&version| version != VERSION) {
        // Of a later version every other key could be called wrong without being it.
        let at = sheet.root().get(keys::VERSION.name).map_or(0, |value| value.span().start);
        let what = format!("this file is of version {later}, this program reads version {VERSION}");
        sheet.only(
            at,
            Problem::Rule { what },
            "version = 1",
            "write the file for this image: compare it with the image's own example",
        );
        return None;
    }
    let device = device(sheet);
    let network = network(sheet);
    let activation = activation(sheet);
    let ecs = ecs(sheet);
    let worker = worker(sheet);
    let drop = drop_door(sheet);
    let endpoints = endpoints(sheet);
    let status = status(sheet);
    let access = sheet.part("access");
    let access = sheet.texts(access, &keys::ACCESS_KEYS, 64);
    version?;
    Some(Config {
        device: device?,
        network: network?,
        activation: activation?,
        ecs,
        worker: worker?,
        drop,
        endpoints,
        status,
        access,
    })
}

fn device(sheet: &mut Sheet<'_>) -> Option<Device> {
    let part = sheet.part("device");
    let name = sheet.text(part, &keys::DEVICE_NAME);
    let time_zone = sheet.text(part, &keys::DEVICE_TIME_ZONE);
    let ntp = sheet.texts(part, &keys::DEVICE_NTP, 4);
    Some(Device { name: name?, time_zone, ntp })
}

fn network(sheet: &mut Sheet<'_>) -> Option<Network> {
    #[derive(Clone, Copy, PartialEq)]
    enum Method {
        Dhcp,
        Static,
    }
    let part = sheet.part("network");
    let words = [("dhcp", Method::Dhcp), ("static", Method::Static)];
    let method = sheet.choice(part, &keys::NETWORK_METHOD, &words);
    let address = sheet.text(part, &keys::NETWORK_ADDRESS);
    let gateway = sheet.text(part, &keys::NETWORK_GATEWAY);
    let addressing = match method {
        Some(Method::Static) => {
            for key in [&keys::NETWORK_ADDRESS, &keys::NETWORK_GATEWAY, &keys::NETWORK_DNS] {
                needed(sheet, part, key);
            }
            address.zip(gateway).map(|(address, gateway): (_, crate::types::ServerAddress)| {
                Addressing::Static { address, gateway: gateway.address() }
            })
        }
        _ => Some(Addressing::Dhcp),
    };
    let dns = sheet.texts(part, &keys::NETWORK_DNS, 3);
    let mdns = sheet.flag(part, &keys::NETWORK_MDNS).unwrap_or(false);
    let proxy = sheet.text(part, &keys::NETWORK_PROXY);
    let no_proxy = sheet.texts(part, &keys::NETWORK_NO_PROXY, 32);
    let ca = sheet.texts(part, &keys::NETWORK_CA, 16);
    Some(Network { addressing: addressing?, dns, mdns, proxy, no_proxy, ca })
}

/// Notes a key as missing that another value makes necessary.
fn needed(sheet: &mut Sheet<'_>, part: Part<'_>, key: &'static keys::Key) {
    if !part.has(key.name) {
        let remedy = format!("add a line like {} = {} below [{}]", key.name, key.example, key.section);
        sheet.error(part.offset(), Problem::Missing { key }, key.form, remedy);
    }
}

fn activation(sheet: &mut Sheet<'_>) -> Option<Activation> {
    let part = sheet.part("activation");
    let region = sheet.text(part, &keys::ACTIVATION_REGION);
    let id = sheet.text(part, &keys::ACTIVATION_ID);
    let code = sheet.text(part, &keys::ACTIVATION_CODE);
    let expires = sheet.date(part, &keys::ACTIVATION_EXPIRES);
    Some(Activation { region: region?, id: id?, code: code?, expires })
}

fn ecs(sheet: &mut Sheet<'_>) -> Ecs {
    let part = sheet.part("ecs");
    Ecs {
        cluster: sheet.text(part, &keys::ECS_CLUSTER),
        attributes: sheet.pairs(part, &keys::ECS_ATTRIBUTES, 10),
    }
}

fn worker(sheet: &mut Sheet<'_>) -> Option<Worker> {
    let part = sheet.part("worker");
    let words = [("ecs", Runtime::Ecs), ("host", Runtime::Host)];
    let runtime = sheet.choice(part, &keys::WORKER_RUNTIME, &words).unwrap_or(Runtime::Ecs);
    let queue = sheet.text(part, &keys::WORKER_QUEUE);
    if runtime == Runtime::Host {
        needed(sheet, part, &keys::WORKER_QUEUE);
    }
    let source: Option<DataPath> = sheet.text(part, &keys::WORKER_SOURCE);
    let destination: Option<DataPath> = sheet.text(part, &keys::WORKER_DESTINATION);
    let suffix: Option<NameSuffix> = sheet.text(part, &keys::WORKER_SUFFIX);
    let rules = [("refuse", Subfolders::Refuse), ("last", Subfolders::Last), ("joined", Subfolders::Joined)];
    let subfolders = sheet.choice(part, &keys::WORKER_SUBFOLDERS, &rules).unwrap_or(Subfolders::Refuse);
    let s3 = sheet.parts(part, "s3", "worker.s3");
    let s3 = s3.into_iter().filter_map(|part| s3_rule(sheet, part)).collect();
    Some(Worker {
        runtime,
        queue,
        source: source.or_else(|| good("/data/source"))?,
        destination: destination.or_else(|| good("/data/destination"))?,
        suffix: suffix.or_else(|| good("_has_been_processed"))?,
        subfolders,
        s3,
    })
}

fn good<T: FromStr>(default: &str) -> Option<T> {
    default.parse().ok()
}

fn s3_rule<'t>(sheet: &mut Sheet<'t>, part: Part<'t>) -> Option<S3Rule> {
    let bucket = sheet.text(part, &keys::WORKER_S3_BUCKET);
    let prefix = sheet.text(part, &keys::WORKER_S3_PREFIX);
    let largest = sheet.number(part, &keys::WORKER_S3_LARGEST, 1..=5 * 1024 * 1024);
    Some(S3Rule {
        bucket: bucket?,
        prefix: prefix.or_else(|| good(""))?,
        largest_mib: largest.unwrap_or(5 * 1024),
    })
}

fn drop_door(sheet: &mut Sheet<'_>) -> Drop {
    let part = sheet.part("drop");
    Drop {
        keys: sheet.texts(part, &keys::DROP_KEYS, 64),
        collect_keys: sheet.texts(part, &keys::DROP_COLLECT_KEYS, 64),
        from: sheet.texts(part, &keys::DROP_FROM, 16),
    }
}

fn endpoints(sheet: &mut Sheet<'_>) -> Endpoints {
    let part = sheet.part("endpoints");
    Endpoints {
        ssm: sheet.text(part, &keys::ENDPOINTS_SSM),
        sqs: sheet.text(part, &keys::ENDPOINTS_SQS),
        s3: sheet.text(part, &keys::ENDPOINTS_S3),
        ecs: sheet.text(part, &keys::ENDPOINTS_ECS),
        logs: sheet.text(part, &keys::ENDPOINTS_LOGS),
        plain_http: sheet.flag(part, &keys::ENDPOINTS_PLAIN_HTTP).unwrap_or(false),
    }
}

fn status(sheet: &mut Sheet<'_>) -> Status {
    let part = sheet.part("status");
    let brightness = sheet.number(part, &keys::STATUS_BRIGHTNESS, 1..=100);
    let leds = sheet.parts(part, "led", "status.led");
    Status {
        brightness: brightness.and_then(|percent| u8::try_from(percent).ok()).unwrap_or(100),
        leds: leds.into_iter().filter_map(|part| led(sheet, part)).collect(),
    }
}

/// The board facts' own rule for a chip's label, in this crate's words.
struct Chip(ChipLabel);

impl FromStr for Chip {
    type Err = Flaw;

    fn from_str(text: &str) -> Result<Self, Flaw> {
        ChipLabel::try_from(text).map(Self).map_err(|_| {
            Flaw::new(
                "is no label of a GPIO chip",
                "on the NEO2 write \"1c20800.pinctrl\", for PL lines \"1f02c00.pinctrl\"",
            )
        })
    }
}

fn led<'t>(sheet: &mut Sheet<'t>, part: Part<'t>) -> Option<LedWire> {
    let roles = [
        ("power", LedRole::Power),
        ("status", LedRole::Status),
        ("ok", LedRole::Ok),
        ("busy", LedRole::Busy),
        ("fault", LedRole::Fault),
    ];
    let colors = [
        ("red", LedColor::Red),
        ("yellow", LedColor::Yellow),
        ("green", LedColor::Green),
        ("blue", LedColor::Blue),
        ("white", LedColor::White),
    ];
    let name = sheet.text(part, &keys::STATUS_LED_NAME);
    let role = sheet.choice(part, &keys::STATUS_LED_ROLE, &roles);
    let chip = sheet.text::<Chip>(part, &keys::STATUS_LED_CHIP);
    let line = sheet.number(part, &keys::STATUS_LED_LINE, 0..=1023);
    let color = sheet.choice(part, &keys::STATUS_LED_COLOR, &colors);
    let active_low = sheet.flag(part, &keys::STATUS_LED_ACTIVE_LOW);
    let open_drain = sheet.flag(part, &keys::STATUS_LED_OPEN_DRAIN);
    Some(LedWire {
        name: name?,
        role: role?,
        chip: chip?.0,
        line: line?,
        color: color.unwrap_or(LedColor::Green),
        active_low: active_low.unwrap_or(false),
        open_drain: open_drain.unwrap_or(false),
    })
}
