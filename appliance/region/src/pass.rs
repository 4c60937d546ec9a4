//! The way through to an emulator on this desk, for those whose signature holds.

use std::io::{BufReader, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;

use crate::http::{self, Flaw, Request, Response};
use crate::service::Service;
use crate::simulator::{Refused, Simulator};

/// A service that somebody else's emulator plays.
#[derive(Debug)]
pub(crate) struct Pass {
    /// `sqs`
    pub name: String,
    /// Where the emulator listens.
    pub to: SocketAddr,
    /// Whose sessions are let through; `None` lets everybody.
    pub sessions: Option<Simulator>,
}

/// Longer than a long poll.
const PATIENCE: Duration = Duration::from_secs(90);

impl Service for Pass {
    fn name(&self) -> &str {
        &self.name
    }

    fn answer(&self, request: &Request, now: Timestamp) -> Response {
        let looked = self.sessions.as_ref().map(|sessions| sessions.session(request, &self.name, now));
        if let Some(Err(refused)) = looked {
            return self.refusal(403, &refused);
        }
        self.pass(request).unwrap_or_else(|flaw| {
            self.refusal(
                503,
                &Refused::plain("ServiceUnavailable", format!("the emulator at {}: {flaw}", self.to)),
            )
        })
    }
}

impl Pass {
    fn pass(&self, request: &Request) -> Result<Response, Flaw> {
        let mut stream = TcpStream::connect_timeout(&self.to, Duration::from_secs(5))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(&http::write_request(request))?;
        http::response(&mut BufReader::new(stream), &request.method)
    }

    /// As this service says no: the bucket service in XML and with names of its own, the others in JSON.
    fn refusal(&self, status: u16, refused: &Refused) -> Response {
        if self.name != "s3" {
            let body = json!({ "__type": format!("com.amazonaws.{}#{}", self.name, refused.name), "message": refused.message });
            return Response::new(status, "application/x-amz-json-1.0", body.to_string());
        }
        const NAMES: &[(&str, &str)] = &[
            ("ExpiredTokenException", "ExpiredToken"),
            ("UnrecognizedClientException", "InvalidAccessKeyId"),
            ("MissingAuthenticationToken", "AccessDenied"),
            ("InvalidSignatureException", "SignatureDoesNotMatch"),
        ];
        let skewed =
            refused.message.starts_with("Signature expired") || refused.message.contains("not yet current");
        let found = NAMES.iter().find(|(name, _)| *name == refused.name).map(|(_, name)| *name);
        let name = if skewed { "RequestTimeTooSkewed" } else { found.unwrap_or(&refused.name) };
        let body = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{name}</Code><Message>{}</Message></Error>",
            plain(&refused.message)
        );
        Response::new(status, "application/xml", body)
    }
}

/// What stands between two tags as it is.
fn plain(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
