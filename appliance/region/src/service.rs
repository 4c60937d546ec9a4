//! What stands behind a name of the region.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::fault::{Fault, Outcome, Script};
use crate::http::{Request, Response};

/// A service: whole requests to whole replies. One that keeps a connection for itself (the ECS agent's control plane
/// does) will be a second kind beside it.
pub trait Service: Send + Sync {
    /// What faults call it, and the first label of its name: `ssm`.
    fn name(&self) -> &str;

    /// The call that a request is, where it says so: `RegisterManagedInstance`.
    fn call(&self, request: &Request) -> Option<String> {
        call(request)
    }

    /// Carries a request out.
    fn answer(&self, request: &Request, now: Timestamp) -> Response;
}

/// What `X-Amz-Target` says behind its last dot.
pub fn call(request: &Request) -> Option<String> {
    let target = request.header("x-amz-target")?;
    Some(target.rsplit('.').next().unwrap_or(target).to_owned())
}

/// What a call met, and what its client gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Served {
    /// The call's name.
    pub call: Option<String>,
    /// The fault.
    pub fault: Option<Fault>,
    /// What comes back.
    pub outcome: Outcome,
}

/// Carries a request out, unless the script has something else in mind for it.
pub fn serve(service: &dyn Service, script: &Script, request: &Request, now: Timestamp) -> Served {
    let call = service.call(request);
    let fault = script.take(service.name(), call.as_deref());
    let act = || service.answer(request, now);
    let outcome = match fault.as_ref().map_or_else(|| Outcome::Reply(act()), |fault| fault.play(act)) {
        Outcome::Reply(reply) => Outcome::Reply(dated(reply, now)),
        Outcome::Torn(reply) => Outcome::Torn(dated(reply, now)),
        nothing => nothing,
    };
    Served { call, fault, outcome }
}

/// A reply with the region's date, as every one has.
fn dated(mut reply: Response, now: Timestamp) -> Response {
    reply.headers.retain(|(name, _)| !name.eq_ignore_ascii_case("date"));
    let date = now.to_zoned(TimeZone::UTC).strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
    reply.headers.push(("Date".to_owned(), date));
    reply
}
