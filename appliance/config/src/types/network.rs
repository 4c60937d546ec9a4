//! Addresses, and the proxy, whose password shows itself nowhere.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;

use super::{HostName, plain};
use crate::finding::Flaw;

/// A network: an address with the length of its prefix, nothing set behind the prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cidr(IpNet);

/// An address of the box itself, with the length of its network's prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct HostAddress(IpNet);

/// An address that a single other host can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ServerAddress(IpAddr);

/// Another host, by name or by address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Server {
    /// By name.
    Name(HostName),
    /// By address.
    Address(ServerAddress),
}

impl Cidr {
    /// The network.
    pub fn net(self) -> IpNet {
        self.0
    }
}

impl HostAddress {
    /// The address.
    pub fn address(self) -> IpAddr {
        self.0.addr()
    }

    /// The network that it lies in.
    pub fn net(self) -> IpNet {
        self.0.trunc()
    }
}

impl ServerAddress {
    /// The address.
    pub fn address(self) -> IpAddr {
        self.0
    }
}

macro_rules! displayed {
    ($($name:ident),+) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, out)
            }
        }
    )+};
}
displayed!(Cidr, HostAddress, ServerAddress);

impl fmt::Display for Server {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => fmt::Display::fmt(name, out),
            Self::Address(address) => fmt::Display::fmt(address, out),
        }
    }
}

fn net(text: &str) -> Result<IpNet, Flaw> {
    let text = plain(text, 64)?;
    if text.parse::<IpAddr>().is_ok() {
        return Err(Flaw::new(
            "has no prefix length",
            "add it behind a slash: 255.255.255.0 is /24, 255.255.0.0 is /16",
        ));
    }
    if text.split_once('/').is_some_and(|(_, mask)| mask.contains('.')) {
        return Err(Flaw::new(
            "has a net mask in place of the prefix length",
            "write 255.255.255.0 as /24, 255.255.0.0 as /16, 255.255.255.128 as /25",
        ));
    }
    text.parse().map_err(|_| Flaw::new("is no address with a prefix length", "check digits, dots and slash"))
}

impl FromStr for Cidr {
    type Err = Flaw;

    fn from_str(text: &str) -> Result<Self, Flaw> {
        let net = net(text)?;
        if net != net.trunc() {
            let remedy = format!("write the network: \"{}\"", net.trunc());
            return Err(Flaw::new("is an address inside a network, not the network", remedy));
        }
        Ok(Self(net))
    }
}

impl FromStr for HostAddress {
    type Err = Flaw;

    fn from_str(text: &str) -> Result<Self, Flaw> {
        let net = net(text)?;
        // Networks of one or two addresses have no network and broadcast address.
        if net.max_prefix_len() - net.prefix_len() >= 2 {
            if net.addr() == net.network() {
                return Err(Flaw::new("is the network's own address", "give the box an address inside it"));
            }
            if net.addr().is_ipv4() && net.addr() == net.broadcast() {
                return Err(Flaw::new(
                    "is the network's broadcast address",
                    "give the box an address inside it",
                ));
            }
        }
        unicast(net.addr())?;
        Ok(Self(net))
    }
}

fn unicast(address: IpAddr) -> Result<(), Flaw> {
    let broadcast = matches!(address, IpAddr::V4(v4) if v4.is_broadcast());
    if address.is_unspecified() || address.is_multicast() || address.is_loopback() || broadcast {
        return Err(Flaw::new("is no address that a host on a network can have", "check it"));
    }
    Ok(())
}

impl FromStr for ServerAddress {
    type Err = Flaw;

    fn from_str(text: &str) -> Result<Self, Flaw> {
        let text = plain(text, 64)?;
        if text.contains('/') {
            return Err(Flaw::new("is more than an address", "leave out the slash and what follows it"));
        }
        let address: IpAddr = text.parse().map_err(|_| {
            let what = match text.contains(|c: char| c.is_ascii_alphabetic()) && !text.contains(':') {
                true => "is a name; names cannot be looked up before this is set",
                false => "is no IP address",
            };
            Flaw::new(
                what,
                "write four numbers from 0 to 255 with dots, as in \"192.168.1.1\", or an IPv6 address",
            )
        })?;
        unicast(address)?;
        Ok(Self(address))
    }
}

impl FromStr for Server {
    type Err = Flaw;

    fn from_str(text: &str) -> Result<Self, Flaw> {
        match text.parse::<IpAddr>() {
            Ok(_) => text.parse().map(Self::Address),
            Err(_) => text.parse().map(Self::Name),
        }
    }
}

/// A destination that is reached without the proxy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoProxy {
    /// A network.
    Net(Cidr),
    /// One address.
    Address(ServerAddress),
    /// A name, and with `below` every name that ends in it.
    Name {
        /// The name.
        name: HostName,
        /// Whether the names below it are meant.
        below: bool,
    },
}

impl NoProxy {
    /// Whether a host is reached without the proxy by this.
    pub fn covers(&self, host: &str) -> bool {
        let address = match host.parse() {
            Ok(Server::Address(address)) => Some(address.address()),
            _ => None,
        };
        match self {
            Self::Net(net) => address.is_some_and(|address| net.net().contains(&address)),
            Self::Address(one) => address == Some(one.address()),
            Self::Name { name, below } => {
                let (name, host) = (name.as_str().to_ascii_lowercase(), host.to_ascii_lowercase());
                let is_below = host.strip_suffix(&name).is_some_and(|rest| rest.ends_with('.'));
                host == name || *below && is_below
            }
        }
    }
}

impl fmt::Display for NoProxy {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Net(net) => net.fmt(out),
            Self::Address(address) => address.fmt(out),
            Self::Name { name, below } => write!(out, "{}{name}", if *below { "." } else { "" }),
        }
    }
}

impl FromStr for NoProxy {
    type Err = Flaw;

    fn from_str(text: &str) -> Result<Self, Flaw> {
        if text.parse::<IpAddr>().is_ok() {
            return text.parse().map(Self::Address);
        }
        if text.contains('/') && !text.contains("://") {
            return text.parse().map(Self::Net);
        }
        let below = text.strip_prefix("*.").or_else(|| text.strip_prefix('.'));
        let name = below.unwrap_or(text).parse()?;
        Ok(Self::Name { name, below: below.is_some() })
    }
}

/// The proxy for HTTPS, with name and password if it wants them. Both stay on the card: the box needs them at each boot.
#[derive(Clone, PartialEq, Eq)]
pub struct ProxyUrl {
    user: Option<(String, String)>,
    server: Server,
    port: u16,
}

impl ProxyUrl {
    /// The proxy itself.
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Whether it is told a password, which then stays on the card.
    pub fn has_password(&self) -> bool {
        self.user.as_ref().is_some_and(|(_, password)| !password.is_empty())
    }

    /// The URL with name and password as they were written, for those who connect.
    pub fn expose(&self) -> String {
        match &self.user {
            Some((name, password)) => format!("http://{name}:{password}@{}", self.host_and_port()),
            None => format!("http://{}", self.host_and_port()),
        }
    }

    fn host_and_port(&self) -> String {
        bracketed(&self.server, self.port)
    }
}

fn bracketed(server: &Server, port: u16) -> String {
    match server {
        Server::Address(address) if address.address().is_ipv6() => format!("[{address}]:{port}"),
        other => format!("{other}:{port}"),
    }
}

impl fmt::Display for ProxyUrl {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let user = if self.user.is_some() { "(name and password not shown)@" } else { "" };
        write!(out, "http://{user}{}", self.host_and_port())
    }
}

impl fmt::Debug for ProxyUrl {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

impl FromStr for ProxyUrl {
    type Err = Flaw;

    fn from_str(text: &str) -> Result<Self, Flaw> {
        let text = plain(text, 512)?;
        let form = "write http://HOST:PORT or http://NAME:PASSWORD@HOST:PORT";
        let Some(rest) = text.strip_prefix("http://") else {
            return Err(match text.starts_with("https://") {
                true => Flaw::new(
                    "begins with https://",
                    "write http://: that is how the box talks to the proxy; what goes through it is encrypted all the same",
                ),
                false => Flaw::new("does not begin with http://", form),
            });
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (user, place) = match rest.rsplit_once('@') {
            None => (None, rest),
            Some((user, place)) => {
                let (name, password) = user.split_once(':').unwrap_or((user, ""));
                (Some((part(name)?, part(password)?)), place)
            }
        };
        let (host, port) =
            host_and_port(place).ok_or_else(|| Flaw::new("has no host and port behind http://", form))?;
        let port =
            port.ok_or_else(|| Flaw::new("has no port", "add it behind a colon; 3128 and 8080 are usual"))?;
        let server =
            host.parse().map_err(|flaw: Flaw| Flaw::new(format!("has a host that {}", flaw.what), form))?;
        Ok(Self { user, server, port })
    }
}

/// A name or password inside a URL, where other characters than these have to be written as %XX.
fn part(text: &str) -> Result<String, Flaw> {
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let good = match byte {
            b'%' => [rest.next(), rest.next()].iter().all(|next| next.is_some_and(|b| b.is_ascii_hexdigit())),
            b'/' | b'?' | b'#' | b':' | b'@' | b'[' | b']' => false,
            other => other.is_ascii_graphic(),
        };
        if !good {
            return Err(Flaw::new(
                "has a name or password with a character that a URL cannot hold as it is",
                "write it as % and two digits: %40 for @, %3A for :, %2F for /, %23 for #, %25 for %",
            ));
        }
    }
    Ok(text.to_owned())
}

/// Splits `host`, `host:port`, `[v6]:port`; a port is a number from 1.
pub(super) fn host_and_port(text: &str) -> Option<(&str, Option<u16>)> {
    let (host, port) = if let Some(rest) = text.strip_prefix('[') {
        let (host, rest) = rest.split_once(']')?;
        host.parse::<std::net::Ipv6Addr>().ok()?;
        (host, if rest.is_empty() { None } else { Some(rest.strip_prefix(':')?) })
    } else {
        match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        }
    };
    if host.is_empty() {
        return None;
    }
    match port {
        None => Some((host, None)),
        Some(port) if port.bytes().all(|byte| byte.is_ascii_digit()) => {
            port.parse().ok().filter(|&port: &u16| port > 0).map(|port| (host, Some(port)))
        }
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exceptions_from_the_proxy_are_names_what_is_below_them_addresses_and_networks() {
        for (without, host, expected) in [
            ("example.com", "example.com", true),
            ("example.com", "ssm.example.com", false),
            (".example.com", "ssm.Example.com", true),
            (".example.com", "ssm.badexample.com", false),
            ("10.0.0.0/8", "10.1.2.3", true),
            ("10.0.0.0/8", "11.1.2.3", false),
            ("10.1.2.3", "10.1.2.3", true),
            ("10.0.0.0/8", "ten.example.com", false),
        ] {
            let rule: NoProxy = without.parse().unwrap();
            assert_eq!(rule.covers(host), expected, "{without} {host}");
        }
    }
}
