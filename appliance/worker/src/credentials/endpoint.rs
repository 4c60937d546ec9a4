//! The role of an ECS task: asked of the agent on an address of this host.

use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_smithy_http_client::Connector;
use aws_smithy_runtime_api::client::http::HttpConnector;
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;
use aws_smithy_types::date_time::{DateTime, Format};
use serde::Deserialize;

use super::Error;

/// Where the agent answers in a task's network.
const AGENT: &str = "http://169.254.170.2";
/// How long before their end credentials are replaced.
const EARLY: Duration = Duration::from_secs(300);
/// How soon after a request the next one may follow.
const PAUSE: Duration = Duration::from_secs(10);
const TIMEOUT: Duration = Duration::from_secs(5);
const LONGEST: usize = 64 * 1024;

/// The endpoint, and what it said last.
#[derive(Debug)]
pub struct Endpoint {
    uri: String,
    token: Option<Token>,
    connector: Connector,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    credentials: Option<Credentials>,
    asked: Option<std::time::Instant>,
    distrusted: bool,
}

#[derive(Debug)]
enum Token {
    Fixed(String),
    /// Read each time: whoever issues it may replace it.
    File(String),
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    access_key_id: String,
    secret_access_key: String,
    token: Option<String>,
    expiration: Option<String>,
}

impl Endpoint {
    /// The endpoint that the environment names, if it names one.
    pub fn from_environment(variable: impl Fn(&str) -> Option<String>) -> Result<Option<Self>, Error> {
        let uri = match variable("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI") {
            Some(path) => format!("{AGENT}{path}"),
            None => match variable("AWS_CONTAINER_CREDENTIALS_FULL_URI") {
                Some(uri) if is_local(&uri) => uri,
                Some(_) => return Err(Error::Address),
                None => return Ok(None),
            },
        };
        let token = variable("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE")
            .map(Token::File)
            .or_else(|| variable("AWS_CONTAINER_AUTHORIZATION_TOKEN").map(Token::Fixed));
        let connector = Connector::builder().build_http();
        Ok(Some(Self { uri, token, connector, kept: Mutex::default() }))
    }

    /// Asks again at the next call.
    pub fn forget(&self) {
        self.kept().distrusted = true;
    }

    /// What the endpoint said last, or says now when that is about to end.
    pub async fn current(&self) -> Result<Credentials, Error> {
        let held = {
            let kept = self.kept();
            let now = SystemTime::now();
            let good = |credentials: &Credentials, by: SystemTime| {
                credentials.expiry().is_none_or(|expiry| by < expiry)
            };
            let recent = kept.asked.is_some_and(|asked| asked.elapsed() < PAUSE);
            match &kept.credentials {
                Some(credentials) if good(credentials, now + EARLY) && !kept.distrusted => {
                    return Ok(credentials.clone());
                }
                // Asked a moment ago: the agent has no newer ones.
                Some(credentials) if recent => return Ok(credentials.clone()),
                Some(credentials) if good(credentials, now) => Some(credentials.clone()),
                _ => None,
            }
        };
        self.kept().asked = Some(std::time::Instant::now());
        let asked = tokio::time::timeout(TIMEOUT, self.ask()).await;
        match (asked.unwrap_or(Err(Error::Endpoint("does not answer"))), held) {
            (Ok(fresh), _) => {
                let mut kept = self.kept();
                (kept.credentials, kept.distrusted) = (Some(fresh.clone()), false);
                Ok(fresh)
            }
            // Those that there are still hold.
            (Err(_), Some(held)) => Ok(held),
            (Err(error), None) => Err(error),
        }
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn ask(&self) -> Result<Credentials, Error> {
        let mut request = HttpRequest::new(SdkBody::empty());
        request.set_uri(self.uri.as_str()).map_err(|_| Error::Endpoint("has an address that is none"))?;
        let token = match &self.token {
            Some(Token::Fixed(token)) => Some(token.clone()),
            Some(Token::File(path)) => Some(
                std::fs::read_to_string(path)
                    .map_err(|_| Error::Endpoint("wants a token whose file cannot be read"))?,
            ),
            None => None,
        };
        if let Some(token) = token {
            let token = token.trim().to_owned();
            if token.contains(['\r', '\n']) {
                return Err(Error::Endpoint("wants a token of one line, and there are several"));
            }
            request.headers_mut().insert("authorization", token);
        }
        let response = self.connector.call(request).await;
        let response = response.map_err(|_| Error::Endpoint("cannot be reached"))?;
        if !response.status().is_success() {
            return Err(Error::Endpoint("refuses"));
        }
        let length = response.headers().get("content-length").and_then(|length| length.parse::<usize>().ok());
        if length.is_some_and(|length| length > LONGEST) {
            return Err(Error::Endpoint("answers with far too much"));
        }
        let body = ByteStream::new(response.into_body()).collect().await;
        let body = body.map_err(|_| Error::Endpoint("breaks its answer off"))?.into_bytes();
        read(&body)
    }
}

fn read(body: &[u8]) -> Result<Credentials, Error> {
    let wrong = Error::Endpoint("answers with what is no credentials");
    let Ok(answer) = serde_json::from_slice::<Answer>(body) else { return Err(wrong) };
    let expiry = match answer.expiration {
        None => None,
        Some(text) => match DateTime::from_str(&text, Format::DateTime).map(SystemTime::try_from) {
            Ok(Ok(time)) => Some(time),
            _ => return Err(wrong),
        },
    };
    let Answer { access_key_id, secret_access_key, token, .. } = answer;
    Ok(Credentials::new(access_key_id, secret_access_key, token, expiry, "task"))
}

/// Whether `uri` is plain HTTP to this host: credentials travel unencrypted, so nothing else will do.
fn is_local(uri: &str) -> bool {
    let Some(rest) = uri.strip_prefix("http://") else { return false };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = match authority.strip_prefix('[') {
        Some(six) => six.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    };
    let agents = ["169.254.170.2", "169.254.170.23", "fd00:ec2::23"];
    host == "localhost"
        || agents.contains(&host)
        || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::super::{Provider, Source};
    use super::*;

    /// An agent on this host, and a provider that asks it.
    struct Site {
        provider: Provider,
        refuses: Arc<AtomicBool>,
    }

    impl Site {
        /// The agent gives the key `k<n>` for the n-th request, for as long as `life`.
        fn new(life: Duration, token: Option<&str>) -> Self {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let uri = format!("http://{}/credentials", listener.local_addr().unwrap());
            let refuses = Arc::new(AtomicBool::new(false));
            let is_refusing = refuses.clone();
            std::thread::spawn(move || {
                for (number, stream) in (1..).zip(listener.incoming()) {
                    let mut stream = stream.unwrap();
                    let mut buffer = [0; 4096];
                    let length = stream.read(&mut buffer).unwrap();
                    let request = String::from_utf8_lossy(&buffer[..length]).to_lowercase();
                    let end = DateTime::from(SystemTime::now() + life).fmt(Format::DateTime).unwrap();
                    let body = format!(
                        r#"{{"AccessKeyId":"k{number}","SecretAccessKey":"s","Token":"t","Expiration":"{end}"}}"#
                    );
                    let knows = request.contains("authorization: open sesame\r\n");
                    let gives = knows && !is_refusing.load(Ordering::SeqCst);
                    let (status, length) = (if gives { "200 OK" } else { "403 No" }, body.len());
                    let head =
                        format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
                    stream.write_all((head + &body).as_bytes()).unwrap();
                }
            });
            let variable = |name: &str| match name {
                "AWS_CONTAINER_CREDENTIALS_FULL_URI" => Some(uri.clone()),
                "AWS_CONTAINER_AUTHORIZATION_TOKEN" => token.map(str::to_owned),
                _ => None,
            };
            Self { provider: Provider::from_environment(variable).unwrap(), refuses }
        }

        fn key(&self) -> Result<String, Error> {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(self.provider.current()).map(|found| found.access_key_id().to_owned())
        }

        fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
            let Source::Endpoint(endpoint) = &*self.provider.0 else { panic!("not the task's role") };
            endpoint.kept()
        }

        /// Lets the time pass that is between two requests.
        fn pause(&self) {
            let mut kept = self.kept();
            kept.asked = kept.asked.and_then(|asked| asked.checked_sub(PAUSE));
        }
    }

    const DAY: Duration = Duration::from_secs(24 * 3600);

    #[test]
    fn a_tasks_role_is_asked_for_once_and_again_when_it_is_distrusted() {
        let site = Site::new(DAY, Some("open sesame"));
        for _ in 0..5 {
            assert_eq!(site.key().unwrap(), "k1");
            site.pause();
        }
        assert_eq!(site.key().unwrap(), "k1");
        site.provider.distrust();
        assert_eq!(site.key().unwrap(), "k2");
        site.provider.distrust();
        assert_eq!(site.key().unwrap(), "k2", "asked a moment ago, so the agent is left alone");
        site.pause();
        assert_eq!(site.key().unwrap(), "k3");
        site.pause();
        assert_eq!(site.key().unwrap(), "k3", "trusted again");
    }

    #[test]
    fn credentials_that_are_about_to_end_are_replaced_and_kept_for_as_long_as_no_others_come() {
        let site = Site::new(EARLY - Duration::from_secs(1), Some("open sesame"));
        assert_eq!(site.key().unwrap(), "k1");
        assert_eq!(site.key().unwrap(), "k1", "asked a moment ago, so the agent is left alone");
        site.pause();
        assert_eq!(site.key().unwrap(), "k2");
        site.refuses.store(true, Ordering::SeqCst);
        site.pause();
        assert_eq!(site.key().unwrap(), "k2", "these still hold");
        // Until they have ended.
        let ended = SystemTime::now() - Duration::from_secs(1);
        let old = Credentials::new("old", "s", None, Some(ended), "task");
        site.kept().credentials = Some(old);
        site.pause();
        assert!(site.key().unwrap_err().to_string().contains("refuses"));
    }

    #[test]
    fn a_task_without_its_token_gets_nothing() {
        let site = Site::new(DAY, None);
        assert!(site.key().unwrap_err().to_string().contains("refuses"));
    }

    #[test]
    fn credentials_are_fetched_from_this_host_only() {
        for good in [
            "http://169.254.170.2/v2/credentials/x",
            "http://169.254.170.23/v1/credentials",
            "http://[fd00:ec2::23]/v1/credentials",
            "http://localhost:8080/x",
            "http://127.0.0.3/x",
            "http://[::1]:80/x",
        ] {
            assert!(is_local(good), "{good}");
        }
        for bad in [
            "https://169.254.170.2/x",
            "http://192.0.2.1/x",
            "http://localhost.example.com/x",
            "http://127.0.0.1@192.0.2.1/x",
            "http://169.254.169.254/x",
            "",
        ] {
            assert!(!is_local(bad), "{bad}");
        }
    }

    #[test]
    fn an_answer_that_is_none_is_refused() {
        let good = br#"{"RoleArn":"r","AccessKeyId":"a","SecretAccessKey":"s","Token":"t","Expiration":"2026-11-20T12:00:00Z"}"#;
        assert!(read(good).unwrap().expiry().is_some());
        let bad: &[&[u8]] = &[
            b"",
            b"{}",
            br#"{"AccessKeyId":"a"}"#,
            br#"{"AccessKeyId":"a","SecretAccessKey":"s","Expiration":"soon"}"#,
            &good[..good.len() - 1],
        ];
        for bad in bad {
            assert!(read(bad).is_err());
        }
    }
}
