//! The one table of sections and keys: the reader, the reference page and the commented example all follow it.

use std::fmt;

/// A section of the file.
#[derive(Debug, PartialEq, Eq)]
pub struct Section {
    /// Its name, empty for the top of the file.
    pub name: &'static str,
    /// Whether it is a list of tables, written `[[name]]`.
    pub repeated: bool,
    /// What it is for.
    pub about: &'static str,
}

/// How a value is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A text in quotation marks.
    Text,
    /// A list of texts.
    Texts,
    /// `true` or `false`.
    Flag,
    /// A whole number.
    Number,
    /// A date, with or without quotation marks.
    Date,
    /// Names with texts: `{ name = "value" }`.
    Pairs,
}

/// What holds when a key is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// The file is refused.
    Required,
    /// This, in words.
    Optional(&'static str),
    /// Nothing, unless this holds: then the file is refused.
    NeededWith(&'static str),
}

/// What of a value may be repeated in a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Secrecy {
    /// The value, unless it looks like a secret.
    Plain,
    /// Nothing: secrets are put here by mistake.
    Hidden,
    /// Nothing: it is a secret. In words, how long it stays on the card.
    Secret(&'static str),
}

/// One key.
#[derive(Debug, PartialEq, Eq)]
pub struct Key {
    /// Its section, empty for the top of the file.
    pub section: &'static str,
    /// Its name.
    pub name: &'static str,
    /// How its value is written.
    pub kind: Kind,
    /// What holds when it is not there.
    pub presence: Presence,
    /// What of its value may be repeated.
    pub secrecy: Secrecy,
    /// What a value is, as the rest of "expected".
    pub form: &'static str,
    /// A good value, as TOML.
    pub example: &'static str,
    /// What it does.
    pub about: &'static str,
}

impl fmt::Display for Key {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.section {
            "" => out.write_str(self.name),
            section => write!(out, "[{section}] {}", self.name),
        }
    }
}

/// Every section, in the order of the example.
pub static SECTIONS: &[Section] = &[
    Section { name: "", repeated: false, about: "" },
    Section { name: "device", repeated: false, about: "The box itself." },
    Section {
        name: "network",
        repeated: false,
        about: "How the box reaches the region. Without this section: DHCP, no proxy.",
    },
    Section {
        name: "activation",
        repeated: false,
        about: "The hybrid activation that makes the box a managed instance. In the region's account: aws ssm create-activation, or the console's Systems Manager, Hybrid Activations.",
    },
    Section { name: "ecs", repeated: false, about: "The cluster that the box joins." },
    Section {
        name: "worker",
        repeated: false,
        about: "Which orders are taken, and what happens to the files.",
    },
    Section {
        name: "worker.s3",
        repeated: true,
        about: "A bucket from which files may come in. Without any: nothing is fetched from S3.",
    },
    Section {
        name: "drop",
        repeated: false,
        about: "The SFTP door on the local network. Without a key: no door, nothing listens.",
    },
    Section {
        name: "endpoints",
        repeated: false,
        about: "Other addresses for the region's services: private links, tests. Without this section: the services' own.",
    },
    Section { name: "status", repeated: false, about: "Lights and screen." },
    Section {
        name: "status.led",
        repeated: true,
        about: "A light on a wire of your own. Without any: those of the board's own table.",
    },
    Section {
        name: "access",
        repeated: false,
        about: "Access for maintenance, in an image that is built with it. Without effect in this one: nobody can log in.",
    },
];

macro_rules! keys {
    ($($id:ident = $section:literal $name:literal $kind:ident $presence:expr, $secrecy:expr;
        $form:literal; $example:literal; $about:literal)*) => {
        $(
            #[doc = concat!("`", $name, "` of `[", $section, "]`.")]
            pub static $id: Key = Key {
                section: $section,
                name: $name,
                kind: Kind::$kind,
                presence: $presence,
                secrecy: $secrecy,
                form: $form,
                example: $example,
                about: $about,
            };
        )*
        /// Every key, in the order of the example.
        pub static KEYS: &[&Key] = &[$(&$id),*];
    };
}

use Presence::{NeededWith, Optional, Required};
use Secrecy::{Hidden, Plain, Secret};

keys! {
    VERSION = "" "version" Number Required, Plain;
        "1"; "1";
        "The version of this format."

    DEVICE_NAME = "device" "name" Text Required, Plain;
        "1 to 63 small letters, digits and hyphens"; "\"stayput-1\"";
        "The box's name: on the network, on its screen, in its status."
    DEVICE_TIME_ZONE = "device" "time_zone" Text Optional("UTC"), Plain;
        "a time zone as Area/City, or UTC"; "\"Europe/Berlin\"";
        "The time zone of what people read. The box itself counts in UTC."
    DEVICE_NTP = "device" "ntp" Texts Optional("the time servers that DHCP names, else the image's"), Plain;
        "up to 4 names or addresses of time servers"; "[\"ntp.example.com\"]";
        "Time servers."

    NETWORK_METHOD = "network" "method" Text Optional("\"dhcp\""), Plain;
        "\"dhcp\" or \"static\""; "\"static\"";
        "Where the box's address comes from."
    NETWORK_ADDRESS = "network" "address" Text NeededWith("method = \"static\""), Plain;
        "an address with its prefix length"; "\"192.168.1.20/24\"";
        "The box's own address; /24 is the net mask 255.255.255.0."
    NETWORK_GATEWAY = "network" "gateway" Text NeededWith("method = \"static\""), Plain;
        "an IP address"; "\"192.168.1.1\"";
        "The router."
    NETWORK_DNS = "network" "dns" Texts Optional("the servers that DHCP names; needed with method = \"static\""), Plain;
        "1 to 3 IP addresses"; "[\"192.168.1.1\"]";
        "Name servers, in place of those that DHCP names."
    NETWORK_MDNS = "network" "mdns" Flag Optional("false"), Plain;
        "true or false"; "true";
        "Whether the box answers to NAME.local on the local network."
    NETWORK_PROXY = "network" "proxy" Text Optional("no proxy"), Secret("stays, if it holds a password: the box needs it at each boot");
        "http://HOST:PORT or http://NAME:PASSWORD@HOST:PORT"; "\"http://proxy.example.com:3128\"";
        "The proxy for all calls to the region. Time servers are not reached through it."
    NETWORK_NO_PROXY = "network" "no_proxy" Texts Optional("everything goes through the proxy"), Plain;
        "names (with a dot in front: and all below), addresses or networks"; "[\".corp.example.com\", \"10.0.0.0/8\"]";
        "What is reached without the proxy."
    NETWORK_CA = "network" "ca" Texts Optional("the public authorities only"), Hidden;
        "names of files beside stayput.toml, or certificates in PEM between three quotation marks"; "[\"company-ca.pem\"]";
        "Further certificate authorities, for a proxy that opens TLS or for private endpoints."

    ACTIVATION_REGION = "activation" "region" Text Required, Plain;
        "a region's code"; "\"eu-central-1\"";
        "The AWS region that the box belongs to."
    ACTIVATION_ID = "activation" "id" Text Required, Hidden;
        "the Activation ID, a UUID"; "\"01234567-89ab-cdef-0123-456789abcdef\"";
        "The activation's id. Another id than the one used makes the box register anew."
    ACTIVATION_CODE = "activation" "code" Text Required, Secret("until it is used; then the box writes a mark over it");
        "the Activation Code, at least 20 characters; or \"used\" on a card whose box is registered"; "\"EXAMPLE/CodeOf20Char\"";
        "The activation's code, as the service showed it once."
    ACTIVATION_EXPIRES = "activation" "expires" Date Optional("nobody warns before the activation ends"), Plain;
        "a day, or a moment in UTC"; "2030-12-24";
        "When the activation ends: 24 hours after it was made if nothing else was said, at most 30 days."

    ECS_CLUSTER = "ecs" "cluster" Text NeededWith("runtime = \"ecs\""), Plain;
        "the cluster's name, not its ARN"; "\"stayput\"";
        "The ECS cluster."
    ECS_ATTRIBUTES = "ecs" "attributes" Pairs Optional("none"), Plain;
        "names with texts, at most 10"; "{ site = \"berlin\" }";
        "Custom attributes, for placement. The cluster learns them at the first registration only."

    WORKER_RUNTIME = "worker" "runtime" Text Optional("\"ecs\""), Plain;
        "\"ecs\" or \"host\""; "\"host\"";
        "Who starts the worker: the cluster, as a task, or the box itself."
    WORKER_QUEUE = "worker" "queue" Text NeededWith("runtime = \"host\""), Plain;
        "the URL of an SQS queue"; "\"https://sqs.eu-central-1.amazonaws.com/123456789012/orders\"";
        "The queue that orders come from. With runtime = \"ecs\" the task definition names it."
    WORKER_SOURCE = "worker" "source" Text Optional("\"/data/source\""), Plain;
        "an absolute path below /data"; "\"/data/source\"";
        "The folder that files wait in."
    WORKER_DESTINATION = "worker" "destination" Text Optional("\"/data/destination\""), Plain;
        "an absolute path below /data"; "\"/data/destination\"";
        "The folder that processed files go to."
    WORKER_SUFFIX = "worker" "suffix" Text Optional("\"_has_been_processed\""), Plain;
        "up to 64 bytes without a slash; may be empty"; "\"_has_been_processed\"";
        "What is put behind a processed file's name."
    WORKER_SUBFOLDERS = "worker" "subfolders" Text Optional("\"refuse\""), Plain;
        "\"refuse\", \"last\" or \"joined\""; "\"last\"";
        "What an order's name with slashes stands for: nothing, its last part, or its parts joined by two underscores."

    WORKER_S3_BUCKET = "worker.s3" "bucket" Text Required, Plain;
        "a bucket's name"; "\"inbound-files\"";
        "The bucket."
    WORKER_S3_PREFIX = "worker.s3" "prefix" Text Optional("all objects"), Plain;
        "the beginning of objects' keys"; "\"berlin/\"";
        "Only objects whose keys begin like this."
    WORKER_S3_LARGEST = "worker.s3" "largest_mib" Number Optional("5120"), Plain;
        "a number of MiB from 1 to 5242880"; "5120";
        "The largest object that is fetched."

    DROP_KEYS = "drop" "keys" Texts Optional("no door for adding"), Hidden;
        "SSH public keys, each as one line"; "[\"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f front-desk\"]";
        "Who may add files: user name drop, into the source folder, never reading."
    DROP_COLLECT_KEYS = "drop" "collect_keys" Texts Optional("no door for collecting"), Hidden;
        "SSH public keys, each as one line"; "[\"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAICAhIiMkJSYnKCkqKywtLi8wMTIzNDU2Nzg5Ojs8PT4/ back-office\"]";
        "Who may read and remove processed files: user name collect."
    DROP_FROM = "drop" "from" Texts Optional("the networks that the box itself is in"), Plain;
        "networks as address/length"; "[\"192.168.1.0/24\"]";
        "From where the door may be reached."

    ENDPOINTS_SSM = "endpoints" "ssm" Text Optional("the region's own"), Plain;
        "https://HOST, with :PORT if it is not 443"; "\"https://ssm.example.com\"";
        "Systems Manager: identity and its refresh."
    ENDPOINTS_SQS = "endpoints" "sqs" Text Optional("the region's own"), Plain;
        "https://HOST, with :PORT if it is not 443"; "\"https://sqs.example.com\"";
        "The queue service."
    ENDPOINTS_S3 = "endpoints" "s3" Text Optional("the region's own"), Plain;
        "https://HOST, with :PORT if it is not 443"; "\"https://s3.example.com\"";
        "The object store."
    ENDPOINTS_ECS = "endpoints" "ecs" Text Optional("the region's own"), Plain;
        "https://HOST, with :PORT if it is not 443"; "\"https://ecs.example.com\"";
        "The container service. The agent wants port 443 here."
    ENDPOINTS_LOGS = "endpoints" "logs" Text Optional("the region's own"), Plain;
        "https://HOST, with :PORT if it is not 443"; "\"https://logs.example.com\"";
        "The log service."
    ENDPOINTS_PLAIN_HTTP = "endpoints" "plain_http" Flag Optional("false"), Plain;
        "true or false"; "true";
        "Allows http:// above and in the queue's URL. For tests only: lights and status show it."

    STATUS_BRIGHTNESS = "status" "brightness" Number Optional("100"), Plain;
        "a number from 1 to 100"; "60";
        "The screen's brightness in percent."

    STATUS_LED_NAME = "status.led" "name" Text Required, Plain;
        "up to 63 letters, digits and - _ : ."; "\"door:green\"";
        "The light's name."
    STATUS_LED_ROLE = "status.led" "role" Text Required, Plain;
        "\"power\", \"status\", \"ok\", \"busy\" or \"fault\""; "\"ok\"";
        "What it tells: status is everything by rhythm; ok, busy and fault share it."
    STATUS_LED_CHIP = "status.led" "chip" Text Required, Plain;
        "a GPIO chip's label (not gpiochip0: numbers change)"; "\"1c20800.pinctrl\"";
        "The GPIO chip that it hangs on."
    STATUS_LED_LINE = "status.led" "line" Number Required, Plain;
        "a number from 0 to 1023"; "203";
        "The line on that chip; on the NEO2 PA0 is 0, PC0 is 64, PG0 is 192."
    STATUS_LED_COLOR = "status.led" "color" Text Optional("\"green\""), Plain;
        "\"red\", \"yellow\", \"green\", \"blue\" or \"white\""; "\"green\"";
        "Its colour, for the manual and the screen."
    STATUS_LED_ACTIVE_LOW = "status.led" "active_low" Flag Optional("false"), Plain;
        "true or false"; "true";
        "Whether it lights when the line is low."
    STATUS_LED_OPEN_DRAIN = "status.led" "open_drain" Flag Optional("false"), Plain;
        "true or false"; "true";
        "Whether the line only pulls down and never drives up."

    ACCESS_KEYS = "access" "keys" Texts Optional("nobody"), Hidden;
        "SSH public keys, each as one line"; "[\"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEBBQkNERUZHSElKS0xNTk9QUVJTVFVWV1hZWltcXV5f workshop\"]";
        "Who may log in for maintenance. This image lets nobody in and says so with a warning."
}

/// The section of that name.
pub fn section(name: &str) -> Option<&'static Section> {
    SECTIONS.iter().find(|section| section.name == name)
}

/// The keys of a section.
pub fn keys_of(section: &str) -> impl Iterator<Item = &'static Key> {
    KEYS.iter().copied().filter(move |key| key.section == section)
}

/// The key that `section.name` or, at the top, `name` stands for.
pub fn find(path: &str) -> Option<&'static Key> {
    KEYS.iter().copied().find(|key| key.path() == path)
}

impl Key {
    /// `section.name`, as `stayput config new --set` takes it.
    pub fn path(&self) -> String {
        if self.section.is_empty() { self.name.to_owned() } else { format!("{}.{}", self.section, self.name) }
    }

    /// Whether a value of it may be repeated in a message.
    pub(crate) fn may_be_shown(&self) -> bool {
        self.secrecy == Plain
    }
}
