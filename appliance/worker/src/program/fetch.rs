//! `worker fetch`: one object out of a bucket into the destination folder, once, as a job of a workflow.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use super::{misused, no_arguments};
use crate::client::{Client, PATIENCE};
use crate::courier::desk::Trouble;
use crate::courier::store::Store;
use crate::credentials::Provider;
use crate::protocol::{self, Inbound};
use crate::variables::{self, Variable, Variables};
use crate::{Disposition, Exit, Outcome};

/// How long it is tried again when the region or the mover has a moment of its own.
const PAUSES: [Duration; 4] =
    [Duration::from_secs(1), Duration::from_secs(2), Duration::from_secs(4), Duration::from_secs(8)];

/// Why an object was not fetched.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("{0} is not set; set it to {1}")]
    Missing(&'static str, &'static str),
    #[error("{0} is not {1}; correct it")]
    Wrong(&'static str, &'static str),
    #[error(transparent)]
    Courier(#[from] crate::courier::Error),
    #[error(transparent)]
    Mover(#[from] crate::Error),
    #[error("the object was not fetched: {}", said(*.0))]
    Region(Trouble),
    #[error("the object was not fetched: {}", .0.meaning())]
    Outcome(Outcome),
}

impl Error {
    fn exit(&self) -> Exit {
        match self {
            Self::Missing(..) | Self::Wrong(..) | Self::Courier(_) => Exit::Settings,
            Self::Mover(error) => error.exit(),
            Self::Region(_) => Exit::Unreachable,
            Self::Outcome(_) => Exit::Wrong,
        }
    }

    fn may_pass(&self) -> bool {
        match self {
            Self::Region(trouble) => !matches!(trouble, Trouble::Denied | Trouble::Answer),
            Self::Outcome(outcome) => outcome.disposition() == Disposition::Later,
            _ => false,
        }
    }
}

/// What a trouble is where there is no queue, and its remedy.
fn said(trouble: Trouble) -> String {
    let (what, remedy) = match trouble {
        Trouble::Denied => (
            "the bucket or the object is missing, or the role may not read it",
            "correct BUCKET_NAME and FILE_KEY, or allow the role s3:GetObject on it",
        ),
        Trouble::Answer => (
            "the store refused the call, or its answer could not be understood",
            "correct AWS_REGION: it must be the bucket's",
        ),
        other => (other.meaning(), super::courier::remedy(other)),
    };
    format!("{what}; {remedy}")
}

/// The job.
pub fn main(variables: &Variables, arguments: &[OsString]) -> ExitCode {
    if let Err(error) = no_arguments(arguments) {
        return misused(&error);
    }
    match run(variables) {
        Ok(text) => {
            println!("fetch: {text}");
            Exit::Fine.into()
        }
        Err(error) => {
            eprintln!("fetch: {error}");
            error.exit().into()
        }
    }
}

fn run(variables: &Variables) -> Result<String, Error> {
    let bucket = text(variables, &variables::BUCKET)?;
    // The original job was given it with the scheme, and some people end it with a slash.
    let bucket = bucket.strip_prefix("s3://").unwrap_or(bucket).trim_end_matches('/');
    if bucket.is_empty() || !bucket.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
    {
        return Err(Error::Wrong(variables::BUCKET.name, variables::BUCKET.form));
    }
    let key = text(variables, &variables::FILE_KEY)?;
    let region = text(variables, &variables::REGION)?;
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let provider = Provider::from_environment(variable).map_err(crate::courier::Error::from)?;
    let endpoint = variable("AWS_ENDPOINT_URL_S3").or_else(|| variable("AWS_ENDPOINT_URL"));
    let authorities = variable("AWS_CA_BUNDLE").map(PathBuf::from);
    let store = Store::new(region, endpoint, authorities.as_deref(), provider)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let failed = |source| crate::courier::Error::Runtime { action: "start the event loop", source };
    let runtime = runtime.map_err(failed)?;
    let socket = variables.get(&variables::SOCKET).map_or(variables::SOCKET.default.into(), PathBuf::from);
    let mut client = Client::connect(&socket, PATIENCE)?;
    let mut pauses = PAUSES.iter();
    loop {
        match runtime.block_on(fetch(&store, &mut client, bucket, key)) {
            Err(error) if error.may_pass() => match pauses.next() {
                Some(pause) => std::thread::sleep(*pause),
                None => return Err(error),
            },
            ended => return ended,
        }
    }
}

fn text<'a>(variables: &'a Variables, variable: &'static Variable) -> Result<&'a str, Error> {
    let value = variables.get(variable).ok_or(Error::Missing(variable.name, variable.form))?;
    value.to_str().ok_or(Error::Wrong(variable.name, variable.form))
}

async fn fetch(store: &Store, client: &mut Client, bucket: &str, key: &str) -> Result<String, Error> {
    let started = Instant::now();
    let object = store.get(bucket, key, None).await.map_err(Error::Region)?;
    let (length, verified) = (object.length, object.checksum.is_some());
    let order = object.order(bucket, key);
    let done = vec![order.key.clone()];
    let inbound = Inbound {
        transfer: 1,
        order,
        length,
        checksum: object.checksum.clone(),
        version: protocol::version(&object.version),
    };
    let outcome = match client.send_in(inbound)? {
        Err(outcome) => outcome,
        Ok(pipe) => match object.pour(pipe).await {
            Ok(()) => client.complete(1)?,
            Err(trouble) => {
                client.abort(1)?;
                return Err(Error::Region(trouble));
            }
        },
    };
    match outcome {
        Outcome::Done => {
            // No message will bring this order again.
            client.deleted(done)?;
            let seconds = started.elapsed().as_secs_f64();
            let how = if verified {
                "checksum compared"
            } else {
                "the store has no checksum over the whole object"
            };
            Ok(format!("{length} bytes in {seconds:.1} s, {how}"))
        }
        Outcome::AlreadyDone => Ok("this version was fetched before".to_owned()),
        outcome => Err(Error::Outcome(outcome)),
    }
}
