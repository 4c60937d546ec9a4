//! The part as a program: reads its configuration, keeps the identity, says how it does.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use jiff::Timestamp;
use ring::rand::{SecureRandom, SystemRandom};
use stayput_config::{Code as ActivationCode, Config};
use stayput_health::{Code, Moment, Part, State, Writer};

use crate::credentials::{self, Place};
use crate::https::Https;
use crate::plan::Wish;
use crate::store::Store;
use crate::wire::Token;
use crate::{Error, Keeper, Key, Surroundings, board};

const USAGE: &str = "\
usage: identity --config FILE --state FOLDER --credentials FOLDER[:UID] ... [--authorities FILE]

  --config FILE               the checked stayput.toml
  --state FOLDER              where the two copies of the identity are kept
  --credentials FOLDER[:UID]  where credentials go, and whose they are; once for each reader
  --authorities FILE          the certificates to trust, in PEM (/etc/ssl/certs/ca-certificates.crt)
";

/// EX_USAGE and EX_CONFIG: nothing that a restart could mend.
const WRONG_CALL: u8 = 64;
const WRONG_CONFIG: u8 = 78;

/// How often it speaks while it waits: well within its time of silence.
const SPEAK: Duration = Duration::from_secs(25);

/// How long a network card may take to appear.
const CARD: Duration = Duration::from_secs(120);

/// What the command line says.
#[derive(Debug, PartialEq, Eq)]
struct Options {
    config: PathBuf,
    state: PathBuf,
    places: Vec<Place>,
    authorities: PathBuf,
}

/// Runs the part; what follows its name is in `arguments`.
pub fn main(arguments: Vec<OsString>) -> ExitCode {
    if arguments.iter().any(|argument| argument == "--help" || argument == "-h") {
        print!("{USAGE}");
        return ExitCode::SUCCESS;
    }
    let options = match parse(arguments) {
        Ok(options) => options,
        Err(wrong) => {
            eprint!("identity: {wrong}\n{USAGE}");
            return ExitCode::from(WRONG_CALL);
        }
    };
    let config = match configuration(&options.config) {
        Ok(config) => config,
        Err(wrong) => {
            eprintln!("identity: {wrong}");
            return ExitCode::from(WRONG_CONFIG);
        }
    };
    let mut health = Writer::new(Part::Identity);
    let Err(error) = keep(&options, &config, &mut health);
    eprintln!("identity: {error}");
    let code = match error {
        Error::Io { .. } | Error::CapsuleLost { .. } => Code::StorageFault,
        Error::CapsuleVersion { .. } | Error::Key(_) | Error::NoBoard | Error::Authorities { .. } => {
            Code::InternalFault
        }
    };
    say(&mut health, State::Failed, code);
    ExitCode::FAILURE
}

fn keep(options: &Options, config: &Config, health: &mut Writer) -> Result<std::convert::Infallible, Error> {
    let board = board_when_there(health)?;
    let proxy = config.network.proxy.as_ref().map(|proxy| proxy.expose());
    let region = Https::new(&endpoint(config), &options.authorities, proxy.as_deref())?;
    let around = Box { places: options.places.clone(), random: SystemRandom::new() };
    let mut keeper = Keeper::open(Store::new(&options.state), region, around, wish(config), &board)?;
    say(health, State::Starting, Code::Activating);
    let mut last = None;
    loop {
        let wait = keeper.step()?;
        let code = keeper.code();
        if last.replace(code) != Some(code) {
            println!("{code}: {}", code.meaning());
        }
        if let Some(expires) = keeper.expires() {
            health.count("credentials-until", u64::try_from(expires.as_second()).unwrap_or(0));
        }
        let until = wait.map(|wait| now().saturating_add(wait));
        loop {
            say(health, state(code), code);
            let left = until.map_or(SPEAK, |until| until.saturating_sub(now()));
            if left.is_zero() {
                break;
            }
            std::thread::sleep(left.min(SPEAK));
        }
    }
}

/// The board's mark. One that is told by its network card has none before the card's driver is there, which is late on a slow
/// start.
fn board_when_there(health: &mut Writer) -> Result<String, Error> {
    let until = now().saturating_add(CARD);
    loop {
        match board::mark(Path::new("/")) {
            Err(Error::NoBoard) if now() < until => {
                say(health, State::Starting, Code::Activating);
                std::thread::sleep(CARD / 600);
            }
            known => return known,
        }
    }
}

/// A health file that cannot be written is no reason to stop: its silence says enough.
fn say(health: &mut Writer, state: State, code: Code) {
    if let Err(error) = health.write(state, code, Moment::now()) {
        eprintln!("identity: {error}");
    }
}

fn state(code: Code) -> State {
    match code {
        Code::Running => State::Running,
        Code::Activating | Code::Registered => State::Starting,
        Code::CredentialsLate => State::Degraded,
        _ => State::Failed,
    }
}

fn now() -> Duration {
    Duration::from_millis(Moment::now().boot_ms)
}

fn configuration(path: &Path) -> Result<Config, String> {
    let bytes = std::fs::read(path).map_err(|error| format!("could not read {}: {error}", path.display()))?;
    let checked =
        stayput_config::read(&bytes, &path.display().to_string()).map_err(|findings| findings.to_string())?;
    Ok(checked.config)
}

fn wish(config: &Config) -> Wish {
    let activation = &config.activation;
    let code = match &activation.code {
        ActivationCode::Unused(code) => Some(code.clone()),
        ActivationCode::Used => None,
    };
    Wish { region: activation.region.to_string(), activation: activation.id.to_string(), code }
}

fn endpoint(config: &Config) -> String {
    let region = &config.activation.region;
    let own = || format!("https://ssm.{region}.{}", region.domain());
    config.endpoints.ssm.as_ref().map_or_else(own, ToString::to_string)
}

fn parse(arguments: Vec<OsString>) -> Result<Options, String> {
    let (mut config, mut state, mut places) = (None, None, Vec::new());
    let mut authorities = PathBuf::from("/etc/ssl/certs/ca-certificates.crt");
    let mut arguments = arguments.into_iter();
    while let Some(name) = arguments.next() {
        let value = arguments.next().ok_or_else(|| format!("{} has no value", name.display()))?;
        match name.to_str() {
            Some("--config") => config = Some(PathBuf::from(value)),
            Some("--state") => state = Some(PathBuf::from(value)),
            Some("--authorities") => authorities = PathBuf::from(value),
            Some("--credentials") => places.push(place(&value)?),
            _ => return Err(format!("there is no option {}", name.display())),
        }
    }
    let config = config.ok_or("--config is missing")?;
    let state = state.ok_or("--state is missing")?;
    Ok(Options { config, state, places, authorities })
}

fn place(value: &OsString) -> Result<Place, String> {
    let text = value.to_str().ok_or("--credentials is not UTF-8")?;
    let Some((folder, owner)) = text.rsplit_once(':') else {
        return Ok(Place { folder: text.into(), owner: None });
    };
    let owner = owner
        .parse()
        .map_err(|_| format!("--credentials {text}: behind the colon stands a user's number"))?;
    Ok(Place { folder: folder.into(), owner: Some(owner) })
}

/// The real surroundings.
#[derive(Debug)]
struct Box {
    places: Vec<Place>,
    random: SystemRandom,
}

impl Box {
    fn random<const N: usize>(&self) -> Result<[u8; N], Error> {
        let mut bytes = [0; N];
        self.random
            .fill(&mut bytes)
            .map_err(|_| Error::Key("the kernel gives no random numbers".to_owned()))?;
        Ok(bytes)
    }
}

impl Surroundings for Box {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn uptime(&self) -> Duration {
        now()
    }

    fn chance(&mut self) -> f64 {
        // Without random numbers the fleet loses its spread, and nothing else.
        self.random::<4>()
            .map_or(0.5, |bytes| f64::from(u32::from_le_bytes(bytes)) / (f64::from(u32::MAX) + 1.0))
    }

    fn key(&mut self) -> Result<Key, Error> {
        Key::generate()
    }

    fn fingerprint(&mut self) -> Result<String, Error> {
        let mut bytes = self.random::<16>()?;
        // A version 4 UUID, as the original agent makes.
        bytes[6] = bytes[6] & 0x0f | 0x40;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        let text = crate::sign::hex(&bytes);
        Ok(format!("{}-{}-{}-{}-{}", &text[..8], &text[8..12], &text[12..16], &text[16..20], &text[20..]))
    }

    fn deliver(&mut self, token: &Token) -> Result<(), Error> {
        credentials::write(&self.places, token)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<OsString> {
        text.split_whitespace().map(OsString::from).collect()
    }

    #[test]
    fn credentials_go_to_as_many_readers_as_are_named() {
        let options =
            parse(words("--config c --state s --credentials /run/a --credentials /run/b:207")).unwrap();
        let of = |folder: &str, owner| Place { folder: folder.into(), owner };
        assert_eq!(options.places, [of("/run/a", None), of("/run/b", Some(207))]);
    }

    #[test]
    fn a_wrong_call_is_named() {
        let said = |text| parse(words(text)).unwrap_err();
        assert!(said("--config").contains("has no value"));
        assert!(said("--confg x").contains("--confg"));
        assert!(said("--state s").contains("--config is missing"));
        assert!(said("--credentials /a:root").contains("user's number"));
    }

    #[test]
    fn a_fingerprint_is_a_version_4_uuid() {
        let mut around = Box { places: Vec::new(), random: SystemRandom::new() };
        let one = around.fingerprint().unwrap();
        assert_eq!(one.len(), 36);
        assert_eq!(one.as_bytes()[14], b'4');
        assert!(b"89ab".contains(&one.as_bytes()[19]));
        assert_ne!(one, around.fingerprint().unwrap());
    }
}
