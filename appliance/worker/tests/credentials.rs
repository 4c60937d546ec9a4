//! Credentials: where they come from, and that they are fresh.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::HashMap;
use std::fs;

use proptest::prelude::*;
use stayput_worker::credentials::{Error, Provider, parse};
use tempfile::TempDir;

fn provider(variables: &[(&str, &str)]) -> Result<Provider, Error> {
    let variables: HashMap<_, _> = variables.iter().copied().collect();
    Provider::from_environment(|name| variables.get(name).map(|value| (*value).to_owned()))
}

fn now(provider: &Provider) -> Result<(String, Option<String>), Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let credentials = runtime.block_on(provider.current())?;
    Ok((credentials.access_key_id().to_owned(), credentials.session_token().map(str::to_owned)))
}

fn text(id: &str) -> String {
    format!("[default]\naws_access_key_id = {id}\naws_secret_access_key = s\naws_session_token = t-{id}\n")
}

#[test]
fn a_file_that_is_replaced_or_rewritten_is_read_again() {
    let place = TempDir::new().unwrap();
    let path = place.path().join("credentials");
    let provider = Provider::from_file(path.to_str().unwrap(), "default");
    let message = provider_error(&provider);
    assert!(message.contains("could not read"), "{message}");
    fs::write(&path, text("first")).unwrap();
    assert_eq!(now(&provider).unwrap(), ("first".to_owned(), Some("t-first".to_owned())));
    fs::write(place.path().join("new"), text("other")).unwrap();
    fs::rename(place.path().join("new"), &path).unwrap();
    assert_eq!(now(&provider).unwrap().0, "other");
    fs::write(&path, text("third-of-another-length")).unwrap();
    assert_eq!(now(&provider).unwrap().0, "third-of-another-length");
}

fn provider_error(provider: &Provider) -> String {
    now(provider).unwrap_err().to_string()
}

#[test]
fn an_expired_token_has_the_file_read_again_even_if_it_looks_the_same() {
    let place = TempDir::new().unwrap();
    let path = place.path().join("credentials");
    fs::write(&path, text("aaaa")).unwrap();
    let provider = Provider::from_file(path.to_str().unwrap(), "default");
    assert_eq!(now(&provider).unwrap().0, "aaaa");
    let time = fs::metadata(&path).unwrap().modified().unwrap();
    fs::write(&path, text("bbbb")).unwrap();
    fs::File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
    assert_eq!(now(&provider).unwrap().0, "aaaa", "length, time and inode are the same");
    provider.distrust();
    assert_eq!(now(&provider).unwrap().0, "bbbb");
}

#[test]
fn the_profile_that_is_named_is_taken_with_either_line_end_and_a_mark_at_the_start() {
    let text = "\u{feff}# remark\r\n[other]\r\naws_access_key_id=x\r\n\r\n[ mine ]\r\n aws_access_key_id = a \r\n\
                aws_secret_access_key=b=c=\r\nregion = x\r\n[last]\r\naws_session_token=no\r\n";
    let found = parse(text, "f", "mine").unwrap();
    assert_eq!(
        (found.access_key_id(), found.secret_access_key(), found.session_token()),
        ("a", "b=c=", None)
    );
}

#[test]
fn a_wrong_file_is_refused_with_its_line_and_never_with_its_content() {
    let table = [
        ("", "has no profile [default]"),
        ("[other]\naws_access_key_id=a", "has no profile [default]"),
        ("[default]\naws_access_key_id=SECRET", "has no 'aws_secret_access_key'"),
        ("[default]\naws_secret_access_key=SECRET\naws_access_key_id=", "has no 'aws_access_key_id'"),
        ("[default]\nSECRET\n", "line 2 of 'f'"),
        ("[default\nSECRET=1", "line 1 of 'f'"),
        ("[default]\naws_access_key_id=SECRET\raws_secret_access_key=SECRET", "line 2 of 'f'"),
        ("[default]\r\naws_secret_access_key=SEC\0RET\r\n", "line 2 of 'f'"),
    ];
    for (text, expected) in table {
        let message = parse(text, "f", "default").unwrap_err().to_string();
        assert!(message.contains(expected) && !message.contains("SECRET"), "{message}");
    }
}

#[test]
fn a_file_that_is_no_credentials_file_is_not_read_to_its_end() {
    let place = TempDir::new().unwrap();
    let path = place.path().join("credentials");
    fs::write(&path, vec![b'#'; 70_000]).unwrap();
    let message = provider_error(&Provider::from_file(path.to_str().unwrap(), "default"));
    assert!(message.contains("longer than 64 KiB"), "{message}");
}

#[test]
fn the_environment_comes_first_and_a_pair_is_whole() {
    let pair = [("AWS_ACCESS_KEY_ID", "a"), ("AWS_SECRET_ACCESS_KEY", "b"), ("HOME", "/nowhere")];
    assert_eq!(now(&provider(&pair).unwrap()).unwrap(), ("a".to_owned(), None));
    assert!(matches!(provider(&pair[..1]), Err(Error::Half)));
    assert!(matches!(provider(&[]), Err(Error::Nowhere)));
    let elsewhere = [("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://192.0.2.1/")];
    assert!(matches!(provider(&elsewhere), Err(Error::Address)));
}

proptest! {
    #[test]
    fn any_text_is_read_without_a_panic(text in "[\\[\\]=#; \\r\\na-z_]{0,200}|\\PC{0,100}") {
        let _ = parse(&text, "f", "default");
    }
}
