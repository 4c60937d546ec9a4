//! Rules over several values: what cannot work together, and what will not do what it seems to.

use std::collections::BTreeMap;
use std::net::IpAddr;

use stayput_health::Place;

use crate::config::{Addressing, Config, Runtime};
use crate::finding::{Finding, Problem, Severity};
use crate::keys::{self, Key};
use crate::sheet::Places;
use crate::types::{CaSource, Endpoint, Server};

/// A collector of findings at the places of keys.
pub(crate) struct Judge<'a> {
    file: &'a str,
    places: &'a Places,
    pub(crate) findings: Vec<Finding>,
}

impl<'a> Judge<'a> {
    pub(crate) fn new(file: &'a str, places: &'a Places) -> Self {
        Self { file, places, findings: Vec::new() }
    }

    pub(crate) fn has(&self, key: &Key) -> bool {
        self.places.contains_key(&key.path())
    }

    fn find(&mut self, severity: Severity, key: &Key, what: String, expected: &str, remedy: String) {
        let place = self.places.get(&key.path()).cloned();
        let place = place.unwrap_or_else(|| Place::of(self.file, "", 0));
        let expected = expected.to_owned();
        self.findings.push(Finding { place, severity, problem: Problem::Rule { what }, expected, remedy });
    }

    pub(crate) fn error(
        &mut self,
        key: &Key,
        what: impl Into<String>,
        expected: &str,
        remedy: impl Into<String>,
    ) {
        self.find(Severity::Error, key, what.into(), expected, remedy.into());
    }

    pub(crate) fn warning(
        &mut self,
        key: &Key,
        what: impl Into<String>,
        expected: &str,
        remedy: impl Into<String>,
    ) {
        self.find(Severity::Warning, key, what.into(), expected, remedy.into());
    }
}

/// Everything that the file alone can tell.
pub(crate) fn judge(config: &Config, judge: &mut Judge<'_>) {
    network(config, judge);
    worker(config, judge);
    plain_http(config, judge);
    door(config, judge);
    lights(config, judge);
    access(config, judge);
}

fn network(config: &Config, judge: &mut Judge<'_>) {
    let network = &config.network;
    match network.addressing {
        Addressing::Dhcp => {
            for key in [&keys::NETWORK_ADDRESS, &keys::NETWORK_GATEWAY] {
                if judge.has(key) {
                    judge.error(
                        key,
                        format!("{key} is given, and the address still comes from DHCP"),
                        "method = \"static\" beside it",
                        "write method = \"static\", or put # before this line",
                    );
                }
            }
        }
        Addressing::Static { address, gateway } => {
            let link_local = matches!(gateway, IpAddr::V6(v6) if v6.is_unicast_link_local());
            if gateway == address.address() {
                judge.error(
                    &keys::NETWORK_GATEWAY,
                    "the gateway is the box's own address",
                    "the router's address",
                    "look it up at another computer of this network",
                );
            } else if !address.net().contains(&gateway) && !link_local {
                judge.error(
                    &keys::NETWORK_GATEWAY,
                    format!("the gateway is not in the box's network {}", address.net()),
                    "an address in the same network as the box",
                    "check the address, its prefix length and the gateway",
                );
            }
        }
    }
    if network.proxy.is_none() && !network.no_proxy.is_empty() {
        judge.warning(
            &keys::NETWORK_NO_PROXY,
            "exceptions from a proxy are given, and no proxy",
            "proxy beside no_proxy",
            "add proxy, or take no_proxy out",
        );
    }
    if let Some(proxy) = &network.proxy {
        if config.device.ntp.is_empty() {
            judge.warning(
                &keys::NETWORK_PROXY,
                "time servers are not reached through a proxy, and [device] ntp names none of this network",
                "a time server that is reached without the proxy",
                "name one in [device] ntp if this network closes the internet's; until then the clock follows the region's answers",
            );
        }
        if proxy.has_password() {
            judge.warning(
                &keys::NETWORK_PROXY,
                "the proxy's password stays on the card in plain text",
                "a password that opens this proxy and nothing else",
                "give the box an account of its own at the proxy",
            );
        }
        if matches!(proxy.server(), Server::Name(name) if !name.as_str().contains('.')) {
            judge.warning(
                &keys::NETWORK_PROXY,
                "the proxy's name has no domain",
                "a full name, or an address",
                "write the full name: the box searches no domain",
            );
        }
    }
    let mut files = BTreeMap::new();
    for source in &network.ca {
        if let CaSource::File(file) = source
            && let Some(first) = files.insert(file.as_str().to_ascii_lowercase(), file)
        {
            judge.warning(
                &keys::NETWORK_CA,
                format!("\"{first}\" and \"{file}\" are the same file: the card knows no capitals"),
                "each file once",
                "take one out",
            );
        }
    }
}

fn worker(config: &Config, judge: &mut Judge<'_>) {
    let worker = &config.worker;
    if worker.runtime == Runtime::Ecs && config.ecs.cluster.is_none() {
        let key =
            if judge.has(&keys::WORKER_RUNTIME) { &keys::WORKER_RUNTIME } else { &keys::ACTIVATION_REGION };
        judge.error(
            key,
            "the cluster is to start the worker (runtime = \"ecs\", the default), and [ecs] cluster is missing",
            "the cluster's name, or runtime = \"host\"",
            "add cluster below [ecs]; or let the box start the worker: runtime = \"host\" and queue below [worker]",
        );
    }
    if let Some(queue) = &worker.queue
        && let Some(region) = queue.region()
        && region != config.activation.region
    {
        judge.error(
            &keys::WORKER_QUEUE,
            format!("the queue is in {region}, the activation in {}", config.activation.region),
            "a queue in the activation's region: the box talks to no other",
            "use a queue of the activation's region, or an activation of the queue's",
        );
    }
    if worker.source == worker.destination && worker.suffix.as_str().is_empty() {
        judge.error(
            &keys::WORKER_SUFFIX,
            "source and destination are the same folder, and the suffix is empty",
            "processed files with another path than before",
            "choose another destination, or a suffix",
        );
    }
    let (source, destination) = (worker.source.as_str(), worker.destination.as_str());
    for (key, inner, outer) in
        [(&keys::WORKER_SOURCE, source, destination), (&keys::WORKER_DESTINATION, destination, source)]
    {
        if inner.strip_prefix(outer).is_some_and(|rest| rest.starts_with('/')) {
            let key = if judge.has(key) { key } else { &keys::WORKER_SOURCE };
            judge.error(
                key,
                format!("{inner} lies inside {outer}"),
                "two folders side by side",
                "choose folders that do not contain each other",
            );
        }
    }
    let mut seen = Vec::new();
    for rule in &worker.s3 {
        if seen.contains(&(&rule.bucket, &rule.prefix)) {
            judge.error(
                &keys::WORKER_S3_BUCKET,
                format!("bucket \"{}\" is here twice with the same prefix", rule.bucket),
                "each bucket and prefix once",
                "take one [[worker.s3]] out",
            );
        }
        seen.push((&rule.bucket, &rule.prefix));
    }
}

fn plain_http(config: &Config, judge: &mut Judge<'_>) {
    let given = &config.endpoints;
    let queue = config.worker.queue.as_ref().map(|queue| queue.endpoint());
    let endpoints: [(&Key, Option<&Endpoint>); 6] = [
        (&keys::ENDPOINTS_SSM, given.ssm.as_ref()),
        (&keys::ENDPOINTS_SQS, given.sqs.as_ref()),
        (&keys::ENDPOINTS_S3, given.s3.as_ref()),
        (&keys::ENDPOINTS_ECS, given.ecs.as_ref()),
        (&keys::ENDPOINTS_LOGS, given.logs.as_ref()),
        (&keys::WORKER_QUEUE, queue),
    ];
    for (key, endpoint) in endpoints {
        if endpoint.is_some_and(|endpoint| !endpoint.is_tls()) && !given.plain_http {
            judge.error(
                key,
                format!("{key} is not encrypted (http://)"),
                "https://",
                "write https://; for a test on your own desk set plain_http = true below [endpoints]",
            );
        }
    }
    if given.plain_http {
        judge.warning(
            &keys::ENDPOINTS_PLAIN_HTTP,
            "endpoints without encryption are allowed",
            "plain_http only on a desk",
            "take it out before the box leaves the desk; lights and status show it",
        );
    }
    // The agent checks the certificate of its websockets against host and port (facts/ecs-anywhere.md F).
    if let Some(ecs) = given.ecs.as_ref().filter(|ecs| ecs.is_tls() && ecs.port() != 443) {
        judge.warning(
            &keys::ENDPOINTS_ECS,
            format!("the ECS endpoint is on port {}", ecs.port()),
            "port 443: the agent's connections accept no certificate on another",
            "put the endpoint on port 443",
        );
    }
}

fn door(config: &Config, judge: &mut Judge<'_>) {
    let drop = &config.drop;
    if !drop.from.is_empty() && !drop.is_open() {
        judge.warning(
            &keys::DROP_FROM,
            "networks for the SFTP door are given, and no key: there is no door",
            "keys or collect_keys beside from",
            "add a public key, or take from out",
        );
    }
    // In one folder for both, nobody could take results away without the files that wait, too.
    let worker = &config.worker;
    if worker.source == worker.destination && !drop.collect_keys.is_empty() {
        judge.error(
            &keys::DROP_COLLECT_KEYS,
            "results are to be collected, and source and destination are the same folder",
            "a destination of their own for results",
            "choose another destination below [worker], or take collect_keys out",
        );
    }
    let open = drop.from.iter().filter(|cidr| cidr.net().prefix_len() == 0).count();
    if open > 0 && drop.is_open() {
        judge.warning(
            &keys::DROP_FROM,
            "the SFTP door may be reached from everywhere",
            "the networks of the people who use it",
            "name those networks, as in \"192.168.1.0/24\"",
        );
    }
    // One key for both doors would make whoever adds files a reader of everybody's results.
    let both = drop.keys.iter().any(|key| drop.collect_keys.contains(key));
    if both {
        judge.warning(
            &keys::DROP_COLLECT_KEYS,
            "one key may both add and collect",
            "different keys for drop and collect",
            "make a second key unless the same person really does both",
        );
    }
}

fn access(config: &Config, judge: &mut Judge<'_>) {
    if !config.access.is_empty() {
        judge.warning(
            &keys::ACCESS_KEYS,
            "keys for maintenance are given, and nobody can log in to this image",
            "no [access]: it has no effect",
            "take it out; it is kept for images that are built with such an access",
        );
    }
}

fn lights(config: &Config, judge: &mut Judge<'_>) {
    let mut names = Vec::new();
    let mut lines = Vec::new();
    for led in &config.status.leds {
        if names.contains(&&led.name) {
            judge.error(
                &keys::STATUS_LED_NAME,
                format!("two lights are called \"{}\"", led.name),
                "a name of its own for each light",
                "rename one",
            );
        }
        if lines.contains(&(&led.chip, led.line)) {
            judge.error(
                &keys::STATUS_LED_LINE,
                format!("two lights hang on line {} of \"{}\"", led.line, led.chip),
                "a line of its own for each light",
                "check the wiring and change one",
            );
        }
        names.push(&led.name);
        lines.push((&led.chip, led.line));
    }
}
