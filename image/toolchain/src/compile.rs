//! Compiling the box's programs: one cargo call a package, whose result depends on the tree and the toolchain alone.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::Deserialize;

use crate::flags::Flags;
use crate::{Error, Kind, Toolchain, cargo_home, environment, program, subprocess};

/// How the programs are optimised; both are profiles of the workspace's `Cargo.toml`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// For the image: one code unit, fat LTO.
    Box,
    /// For work on the box's programs: larger, but linked again in seconds.
    BoxDev,
}

impl Profile {
    /// The profile's name in `Cargo.toml`.
    pub fn as_str(self) -> &'static str {
        match self {
            Profile::Box => "box",
            Profile::BoxDev => "box-dev",
        }
    }
}

/// A program for the box.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Program {
    /// Its name, as in its package's `[[bin]]`.
    pub name: String,
    /// Where cargo put it.
    pub path: PathBuf,
    /// Its size in bytes.
    pub size: u64,
}

/// What to compile.
#[derive(Clone, Copy, Debug)]
pub struct Order<'a> {
    /// The workspace.
    pub tree: &'a Path,
    /// The packages whose programs are wanted.
    pub packages: &'a [&'a str],
    /// How they are optimised.
    pub profile: Profile,
    /// Use only crates that are already on this machine.
    pub offline: bool,
}

/// Compiles; `say` gets cargo's lines as they come.
pub(crate) fn compile(
    toolchain: &Toolchain,
    order: &Order<'_>,
    say: &mut dyn FnMut(&str),
) -> Result<Vec<Program>, Error> {
    let tree = order.tree.canonicalize().map_err(Error::file("find", order.tree))?;
    let person = environment::cargo_home().ok_or_else(|| Error::Text {
        path: tree.clone(),
        reason: "neither CARGO_HOME nor HOME is set, so crates have no place to be kept; set HOME".to_owned(),
    })?;
    let home = toolchain.cache.join("cargo-home");
    cargo_home::ensure(&home, &person)?;
    let target = toolchain.record.target.as_str();

    let mut fetch = cargo(toolchain, "fetch", &tree, &home, order.offline);
    fetch.args(["--target", target, "--target", &toolchain.host]);
    drive(&mut fetch, order, say)?;

    // Only after the fetch is it known which directories the sources lie in.
    let flags = Flags::new(toolchain, &tree, &home, &person);
    // A directory of its own: the flags differ from those of the workstation's programs, and its lock is not held
    // by whoever works on those.
    let output = tree.join("target").join(match toolchain.record.toolchain {
        Kind::Pinned => "box",
        Kind::Fallback => "box-fallback",
    });
    let mut made = Vec::new();
    // One call each: in one call, a feature that one program wants of a crate would end up in all.
    for package in order.packages {
        let mut build = cargo(toolchain, "build", &tree, &home, order.offline);
        build.args(["--target", target, "--profile", order.profile.as_str(), "--package", package]);
        build.arg("--message-format=json-render-diagnostics");
        build.arg("--target-dir").arg(&output);
        flags.give(&mut build, toolchain);
        made.extend(programs(&drive(&mut build, order, say)?, &[package])?);
    }
    made.sort();

    let places = [tree.as_path(), &home, &person];
    for program in &made {
        examine(program, toolchain.record.toolchain, &places)?;
    }
    Ok(made)
}

fn examine(made: &Program, kind: Kind, places: &[&Path]) -> Result<(), Error> {
    let file = fs::read(&made.path).map_err(Error::file("read", &made.path))?;
    program::check(&made.path, &file)?;
    // The fallback makes no promise about its bytes.
    match program::leak(&file, places).filter(|_| kind == Kind::Pinned) {
        None => Ok(()),
        Some(place) => Err(Error::Program {
            path: made.path.clone(),
            reason: format!(
                "it holds the path {}, so it would differ on another machine; find the crate whose build script \
                 writes it (strings on the program) and make it take the path from the compiler, which maps it",
                place.display()
            ),
        }),
    }
}

fn cargo(toolchain: &Toolchain, verb: &str, tree: &Path, home: &Path, offline: bool) -> Command {
    let mut command = environment::command(&toolchain.cargo);
    command
        .args([verb, "--locked"])
        .args(offline.then_some("--offline"))
        .arg("--manifest-path")
        .arg(tree.join("Cargo.toml"))
        // cargo reads configuration from the current directory and from all above it; above the root is nothing.
        .current_dir("/")
        .env("CARGO_HOME", home)
        .env("RUSTC", &toolchain.rustc)
        .env("CARGO_TERM_COLOR", "never")
        .env("CARGO_TERM_PROGRESS_WHEN", "never")
        .env("LC_ALL", "C");
    command
}

/// Runs cargo, hands its lines on as they come, returns its messages; a refusal carries all that it said.
fn drive(command: &mut Command, order: &Order<'_>, say: &mut dyn FnMut(&str)) -> Result<String, Error> {
    let line = subprocess::line(command);
    tracing::debug!(command = %line, "run");
    let failed = |outcome: String, output: String| Error::Command { command: line.clone(), outcome, output };
    let piped = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = piped.spawn().map_err(|e| failed(format!("could not be started: {e}"), String::new()))?;
    let stdout = child.stdout.take();
    // Both outputs at once: a full pipe on either would stop cargo.
    let messages = std::thread::spawn(move || {
        let mut text = Vec::new();
        stdout.map(|mut pipe| pipe.read_to_end(&mut text)).transpose().map(|_| text)
    });
    let mut said = String::new();
    for text in child.stderr.take().map(BufReader::new).into_iter().flat_map(|pipe| pipe.split(b'\n')) {
        let text = text.map_err(|e| failed(format!("could not be heard: {e}"), said.clone()))?;
        let text = String::from_utf8_lossy(&text);
        say(text.trim_end());
        said.push_str(&text);
        said.push('\n');
    }
    let status = child.wait().map_err(|e| failed(format!("was lost: {e}"), said.clone()))?;
    if !status.success() {
        return Err(Error::Cargo { packages: order.packages.join(", "), output: said });
    }
    match messages.join() {
        Ok(Ok(text)) => Ok(String::from_utf8_lossy(&text).into_owned()),
        Ok(Err(error)) => Err(failed(format!("could not be heard: {error}"), said)),
        Err(_) => Err(failed("could not be heard".to_owned(), said)),
    }
}

/// The part of cargo's messages that is read here.
#[derive(Deserialize)]
struct Message {
    reason: String,
    #[serde(default)]
    package_id: String,
    target: Option<Target>,
    executable: Option<PathBuf>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
    kind: Vec<String>,
}

/// Reads the programs out of cargo's messages; each package must have made at least one.
fn programs(messages: &str, packages: &[&str]) -> Result<Vec<Program>, Error> {
    let mut made = Vec::new();
    let mut makers = Vec::new();
    // A build script may print to standard output too; what is no message is none of ours.
    for message in messages.lines().filter_map(|line| serde_json::from_str::<Message>(line).ok()) {
        let (Some(target), Some(path)) = (message.target, message.executable) else { continue };
        if message.reason != "compiler-artifact" || !target.kind.iter().any(|kind| kind == "bin") {
            continue;
        }
        let size = fs::metadata(&path).map_err(Error::file("find", &path))?.len();
        makers.push(package_name(&message.package_id).to_owned());
        made.push(Program { name: target.name, path, size });
    }
    if let Some(package) = packages.iter().find(|package| !makers.iter().any(|maker| maker == *package)) {
        return Err(Error::NoProgram { package: (*package).to_owned() });
    }
    made.sort();
    Ok(made)
}

/// The name in `path+file:///tree/appliance/init#stayput-init@0.1.0`, or the last part of the path where cargo leaves
/// the name out because they agree.
fn package_name(id: &str) -> &str {
    let (place, fragment) = id.rsplit_once('#').unwrap_or(("", id));
    match fragment.split_once('@') {
        Some((name, _)) => name,
        None => place.rsplit('/').next().unwrap_or(place),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(id: &str, kind: &str, executable: &Path) -> String {
        serde_json::json!({
            "reason": "compiler-artifact", "package_id": id, "executable": executable,
            "target": { "name": "stayput-init", "kind": [kind] }, "fresh": true,
        })
        .to_string()
    }

    #[test]
    fn the_programs_of_the_packages_are_found_among_other_messages() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("stayput-init");
        fs::write(&file, [0; 7]).unwrap();
        let id = "path+file:///w/appliance/init#stayput-init@0.1.0";
        let text = format!(
            "a build script talks\n{}\r\n{{\"reason\":\"build-finished\",\"success\":true}}\n{}\n",
            message("registry+x#ring@0.17", "custom-build", &file),
            message(id, "bin", &file)
        );
        let found = programs(&text, &["stayput-init"]).unwrap();
        assert_eq!(found, [Program { name: "stayput-init".into(), path: file, size: 7 }]);
    }

    #[test]
    fn a_package_without_program_is_named() {
        let error =
            programs("{\"reason\":\"build-finished\",\"success\":true}", &["stayput-health"]).unwrap_err();
        assert!(error.to_string().contains("'stayput-health' has no program"), "{error}");
    }

    #[test]
    fn a_package_is_known_by_its_name_in_both_ways_cargo_writes_it() {
        assert_eq!(package_name("path+file:///w/appliance/init#stayput-init@0.1.0"), "stayput-init");
        assert_eq!(package_name("path+file:///w/stayput-init#0.1.0"), "stayput-init");
        assert_eq!(package_name(""), "");
    }
}
