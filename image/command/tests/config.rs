//! `stayput config` as a person or a script meets it: files, words, exit codes.

#![allow(clippy::unwrap_used, reason = "every function here is part of a test")]

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

const ACTIVATION: &str =
    r#"{"ActivationId": "6f1c2d3e-4a5b-4c6d-8e7f-9a8b7c6d5e4f", "ActivationCode": "Kx7Pq2Rs9Tu4/Vw6Yz8B"}"#;

fn stayput(folder: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stayput"));
    command.current_dir(folder).arg("config").args(args).stdin(Stdio::null()).output().unwrap()
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// A folder outside of any source tree, with an activation in it.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("activation.json"), ACTIVATION).unwrap();
    folder
}

/// 20 days from now, as the flags want it.
fn expires() -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    stayput_config::Date::of_unix(i64::try_from(now).unwrap() + 20 * 86_400).to_string()
}

fn new(folder: &Path, more: &[&str]) -> Output {
    let expires = expires();
    let flags = [
        "new",
        "--region",
        "eu-central-1",
        "--activation",
        "activation.json",
        "--expires",
        &expires,
        "--cluster",
        "stayput",
    ];
    stayput(folder, &[&flags, more].concat())
}

#[test]
fn a_new_file_is_good_private_and_not_overwritten() {
    let folder = folder();
    let made = new(folder.path(), &["--name", "box-1", "-o", "stayput.toml"]);
    assert!(made.status.success(), "{}", said(&made));
    let path = folder.path().join("stayput.toml");
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);

    let checked = stayput(folder.path(), &["check", "stayput.toml"]);
    assert!(checked.status.success(), "{}", said(&checked));
    assert_eq!(said(&checked), "stayput.toml: good: box-1 in eu-central-1\n");

    let again = new(folder.path(), &["--name", "box-2", "-o", "stayput.toml"]);
    assert_eq!(again.status.code(), Some(2));
    assert!(said(&again).contains("--force"), "{}", said(&again));
    assert!(std::fs::read_to_string(&path).unwrap().contains("box-1"));
    assert!(new(folder.path(), &["--name", "box-2", "-o", "stayput.toml", "--force"]).status.success());
}

#[test]
fn a_fleet_is_a_folder_with_a_file_for_each_box() {
    let folder = folder();
    let made = new(folder.path(), &["--name", "box-{n}", "--count", "12", "--first", "95", "-o", "fleet"]);
    assert!(made.status.success(), "{}", said(&made));
    assert!(said(&made).contains("--registration-limit 12"), "{}", said(&made));
    let mut names: Vec<_> = std::fs::read_dir(folder.path().join("fleet"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!((names.len(), names[0].as_str(), names[11].as_str()), (12, "box-095.toml", "box-106.toml"));
    let files: Vec<String> = names.iter().map(|name| format!("fleet/{name}")).collect();
    let args: Vec<&str> = std::iter::once("check").chain(files.iter().map(String::as_str)).collect();
    let checked = stayput(folder.path(), &args);
    assert!(checked.status.success(), "{}", said(&checked));
}

#[test]
fn nothing_is_written_when_one_value_is_wrong() {
    let folder = folder();
    let made =
        new(folder.path(), &["--name", "box-{n}", "--count", "3", "--set", "network.dns=dns", "-o", "fleet"]);
    assert_eq!(made.status.code(), Some(2));
    assert!(
        said(&made).contains("[network] dns") && said(&made).contains("nothing was written"),
        "{}",
        said(&made)
    );
    assert!(!folder.path().join("fleet").exists());
}

#[test]
fn wanting_flags_are_named_where_nobody_can_be_asked() {
    let folder = folder();
    let made = stayput(folder.path(), &["new", "--name", "box-1"]);
    assert_eq!(made.status.code(), Some(2));
    assert!(
        said(&made).contains("still wanting: --region, --activation, --cluster or --queue"),
        "{}",
        said(&made)
    );
}

#[test]
fn an_activation_as_powershell_saves_it_is_understood_and_a_broken_one_not_repeated() {
    let folder = folder();
    let path = folder.path().join("activation.json");
    let utf16: Vec<u8> = ACTIVATION.encode_utf16().flat_map(u16::to_le_bytes).collect();
    std::fs::write(&path, [b"\xff\xfe".as_slice(), &utf16].concat()).unwrap();
    assert!(new(folder.path(), &["--name", "box-1"]).status.success());

    std::fs::write(&path, ACTIVATION.replace("\"ActivationCode\": ", "")).unwrap();
    let made = new(folder.path(), &["--name", "box-1"]);
    assert_eq!(made.status.code(), Some(2));
    assert!(said(&made).contains("activation.json:1:") && !said(&made).contains("Kx7P"), "{}", said(&made));
}

#[test]
fn a_refused_file_is_explained_and_ends_with_code_2() {
    let folder = folder();
    let made = new(folder.path(), &["--name", "box-1"]);
    let text = String::from_utf8(made.stdout).unwrap();
    let wrong = text.replace("eu-central-1", "eu-cental-1").replace("cluster =", "clusters =");
    std::fs::write(folder.path().join("stayput.toml"), wrong).unwrap();
    let checked = stayput(folder.path(), &["check", "stayput.toml"]);
    assert_eq!(checked.status.code(), Some(2));
    let said = said(&checked);
    assert!(
        said.contains("did you mean \"eu-central-1\"?") && said.contains("did you mean cluster?"),
        "{said}"
    );
    assert!(said.contains("stayput.toml: refused, 2 to mend"), "{said}");
    assert!(!said.contains("Kx7P"), "{said}");
}

#[test]
fn an_ended_activation_and_an_authority_that_is_not_there_are_refused_on_the_desk() {
    let folder = folder();
    let made = new(folder.path(), &["--name", "box-1", "--set", "network.ca=company-ca.pem"]);
    let text = String::from_utf8(made.stdout).unwrap().replace(&expires(), "2026-02-01");
    std::fs::write(folder.path().join("stayput.toml"), text).unwrap();
    std::fs::create_dir(folder.path().join("empty")).unwrap();
    let checked = stayput(folder.path(), &["check", "stayput.toml"]);
    assert_eq!(checked.status.code(), Some(2));
    let words = said(&checked);
    assert!(words.contains("ended on 2026-02-01"), "{words}");
    assert!(words.contains("\"company-ca.pem\" is not beside this file"), "{words}");

    for (name, words) in [("empty", "is a folder"), ("none.toml", "could not read none.toml")] {
        let checked = stayput(folder.path(), &["check", name]);
        assert!(!checked.status.success() && said(&checked).contains(words), "{}", said(&checked));
    }
}
