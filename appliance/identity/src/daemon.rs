//! The part as a program: reads its configuration, keeps the identity, says how it does.

use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use jiff::Timestamp;
use ring::rand::{SecureRandom, SystemRandom};
use stayput_config::{Code as ActivationCode, Config, activation_in, mark_used};
use stayput_health::{Code, Moment, Part, Registration, State, Way, Writer, registration};

use crate::credentials::{self, Place};
use crate::https::Https;
use crate::plan::Wish;
use crate::store::{self, Store};
use crate::wire::Token;
use crate::{Capsule, Error, Keeper, Key, Surroundings, board};

const USAGE: &str = "\
usage: identity --config FILE --state FOLDER --credentials FOLDER[:UID] ... [--authorities FILE]
                [--registration FOLDER]

  --config FILE               the checked stayput.toml
  --state FOLDER              where the two copies of the identity are kept
  --credentials FOLDER[:UID]  where credentials go, and whose they are; once for each reader
  --authorities FILE          the certificates to trust, in PEM (/etc/ssl/certs/ca-certificates.crt)
  --registration FOLDER       where others are told who the box is, and which activations were used
";

/// EX_USAGE and EX_CONFIG: nothing that a restart could mend.
const WRONG_CALL: u8 = 64;
const WRONG_CONFIG: u8 = 78;

/// How often it speaks while it waits: well within its time of silence.
const SPEAK: Duration = Duration::from_secs(25);

/// How often it looks whether the board's mark is there.
const LOOK: Duration = Duration::from_millis(200);

/// After so long the kernel has every driver that it will ever have.
const DRIVERS: Duration = Duration::from_secs(180);

/// What the command line says.
#[derive(Debug, PartialEq, Eq)]
struct Options {
    config: PathBuf,
    state: PathBuf,
    places: Vec<Place>,
    authorities: PathBuf,
    registration: Option<PathBuf>,
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
    let board = board_when_it_is_there(health)?;
    let region = Https::new(&endpoint(config), &options.authorities, proxy(config).as_deref())?;
    let around = Box { places: options.places.clone(), random: SystemRandom::new() };
    let mut keeper = Keeper::open(Store::new(&options.state), region, around, wish(config), &board)?;
    say(health, State::Starting, Code::Activating);
    let mut last = None;
    let mut told = None;
    let mut way = Way::default();
    loop {
        let wait = keeper.step()?;
        let code = keeper.code();
        if let Some(folder) = &options.registration {
            tell(folder, keeper.capsule(), &board, &mut told)?;
        }
        // A code that is left there is worth nothing any more, and gone with the power: no reason to stop.
        if let Err(error) = forget(&options.config, keeper.capsule()) {
            eprintln!("identity: {error}");
        }
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
            if way.wait(left.min(SPEAK), keeper.is_hindered()) && keeper.hurry() {
                break;
            }
        }
    }
}

/// The board's mark. Where the network card is what tells one board from another, its driver may be later than this part.
fn board_when_it_is_there(health: &mut Writer) -> Result<String, Error> {
    loop {
        match board::mark(Path::new("/")) {
            Err(Error::NoBoard) if now() < DRIVERS => {
                say(health, State::Starting, Code::Activating);
                std::thread::sleep(LOOK);
            }
            found => return found,
        }
    }
}

/// Tells others who the box is, when that has changed.
fn tell(folder: &Path, capsule: &Capsule, board: &str, told: &mut Option<Registration>) -> Result<(), Error> {
    let own = capsule.identity.as_ref().filter(|identity| identity.board == board);
    let now = Registration {
        version: registration::VERSION,
        instance: own.map(|identity| identity.instance.clone()),
        region: own.map(|identity| identity.region.clone()),
        spent: capsule.used.iter().cloned().collect(),
    };
    if told.as_ref() != Some(&now) {
        // Nothing secret: every part may read it.
        store::replace(folder, registration::NAME, &now.to_bytes(), 0o644)?;
        *told = Some(now);
    }
    Ok(())
}

/// The settings below `/run` lose a code that was used, in the memory that it stood in.
fn forget(settings: &Path, capsule: &Capsule) -> Result<(), Error> {
    let failed = |action| move |source| Error::Io { action, path: settings.to_owned(), source };
    let bytes = fs::read(settings).map_err(failed("read"))?;
    let Some((id, true)) = activation_in(&bytes) else { return Ok(()) };
    if !capsule.used.contains(&id) {
        return Ok(());
    }
    let Some(marked) = mark_used(&bytes, &Timestamp::now().to_string()) else { return Ok(()) };
    let file = OpenOptions::new().write(true).open(settings).map_err(failed("open"))?;
    file.write_all_at(&marked, 0).map_err(failed("write"))
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

/// The proxy on the way there, where `no_proxy` does not name it.
fn proxy(config: &Config) -> Option<String> {
    let region = &config.activation.region;
    let host = match &config.endpoints.ssm {
        Some(endpoint) => endpoint.host().to_string(),
        None => format!("ssm.{region}.{}", region.domain()),
    };
    config.network.proxy_to(&host).map(stayput_config::ProxyUrl::expose)
}

fn parse(arguments: Vec<OsString>) -> Result<Options, String> {
    let (mut config, mut state, mut registration, mut places) = (None, None, None, Vec::new());
    let mut authorities = PathBuf::from("/etc/ssl/certs/ca-certificates.crt");
    let mut arguments = arguments.into_iter();
    while let Some(name) = arguments.next() {
        let value = arguments.next().ok_or_else(|| format!("{} has no value", name.display()))?;
        match name.to_str() {
            Some("--config") => config = Some(PathBuf::from(value)),
            Some("--state") => state = Some(PathBuf::from(value)),
            Some("--authorities") => authorities = PathBuf::from(value),
            Some("--registration") => registration = Some(PathBuf::from(value)),
            Some("--credentials") => places.push(place(&value)?),
            _ => return Err(format!("there is no option {}", name.display())),
        }
    }
    let config = config.ok_or("--config is missing")?;
    let state = state.ok_or("--state is missing")?;
    Ok(Options { config, state, places, authorities, registration })
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
    fn others_are_told_who_the_box_is_on_its_own_board_and_which_codes_are_of_no_use_on_any() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let identity = crate::capsule::Identity {
            board: "here".to_owned(),
            instance: "mi-0123456789abcdef0".to_owned(),
            region: "eu-central-1".to_owned(),
            fingerprint: "f".to_owned(),
            key: "k".to_owned(),
            next_key: None,
        };
        let used = ["one".to_owned()].into();
        let capsule = Capsule { identity: Some(identity), used, ..Capsule::new() };
        let read = |board| {
            tell(folder.path(), &capsule, board, &mut None).unwrap();
            Registration::read(folder.path()).unwrap().unwrap()
        };
        assert_eq!(read("here").instance.as_deref(), Some("mi-0123456789abcdef0"));
        let elsewhere = read("there");
        assert_eq!((elsewhere.instance, elsewhere.spent), (None, vec!["one".to_owned()]));
        let path = folder.path().join(registration::NAME);
        assert_eq!(std::fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o644);
    }

    #[test]
    fn a_code_that_was_used_leaves_the_settings_below_run_and_any_other_stays_there() {
        const ID: &str = "01234567-89ab-cdef-0123-456789abcdef";
        let file = tempfile::NamedTempFile::new().unwrap();
        let text = format!("# mine\n[activation]\nid = \"{ID}\"\ncode = \"EXAMPLE/CodeOf20Char\"\n[ecs]\n");
        fs::write(file.path(), &text).unwrap();
        let of = |used: &str| Capsule { used: [used.to_owned()].into(), ..Capsule::new() };
        forget(file.path(), &of("fedcba98-89ab-cdef-0123-456789abcdef")).unwrap();
        assert_eq!(fs::read_to_string(file.path()).unwrap(), text);
        forget(file.path(), &of(ID)).unwrap();
        let left = fs::read_to_string(file.path()).unwrap();
        assert!(left.len() == text.len() && !left.contains("CodeOf20Char"), "{left}");
        assert!(left.starts_with("# mine\n") && left.ends_with("\"\n[ecs]\n"), "{left}");
        // The mark of the first time stays.
        forget(file.path(), &of(ID)).unwrap();
        assert_eq!(fs::read_to_string(file.path()).unwrap(), left);
        let error = forget(Path::new("/nowhere/stayput.toml"), &of(ID)).unwrap_err().to_string();
        assert!(error.contains("/nowhere/stayput.toml"), "{error}");
    }

    #[test]
    fn a_region_that_no_proxy_names_is_called_without_the_proxy() {
        let settings = |without: &str| {
            let text = format!(
                "version = 1\n[device]\nname = \"box-1\"\n[network]\nproxy = \"http://proxy.example.com:3128\"\n\
                 no_proxy = [\"{without}\"]\n[activation]\nregion = \"eu-central-1\"\n\
                 id = \"01234567-89ab-cdef-0123-456789abcdef\"\ncode = \"used\"\n[ecs]\ncluster = \"here\"\n"
            );
            stayput_config::read(text.as_bytes(), "stayput.toml").unwrap().config
        };
        assert!(proxy(&settings("elsewhere.example.com")).unwrap().contains("proxy.example.com:3128"));
        assert_eq!(proxy(&settings(".amazonaws.com")), None);
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
