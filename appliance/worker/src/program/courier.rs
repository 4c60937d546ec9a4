//! `worker courier`: brings orders from the queue until it is told to stop.

use std::ffi::OsString;
use std::process::ExitCode;

use super::{fail, misused, no_arguments};
use crate::courier::desk::Trouble;
use crate::courier::{self, Error, Queue, Settings, findings};
use crate::credentials::Provider;
use crate::finding::Finding;
use crate::variables::{self, Variables};
use crate::{Exit, courier::Finding as Rule};

/// The job. Besides the worker's own variables it reads the SDK's usual ones: credentials, endpoint, proxy, authorities.
pub fn main(_: &Variables, arguments: &[OsString]) -> ExitCode {
    if let Err(error) = no_arguments(arguments) {
        return misused(&error);
    }
    if let Err(error) = crate::confine::close_up() {
        return fail(&error.into());
    }
    match start() {
        Ok(()) => Exit::Fine.into(),
        Err(error) => {
            eprintln!("{error}");
            Exit::Settings.into()
        }
    }
}

fn start() -> Result<(), Error> {
    let variable = |name: &str| std::env::var(name).ok();
    let settings = Settings::from_environment(variable)?;
    courier::run(&settings, Provider::from_environment(variable)?)
}

/// What a check finds on the courier's side: settings, credentials, the queue and its rules. Nothing is received, since that
/// would count against an order.
pub(super) fn check(variables: &Variables) -> Vec<Finding> {
    if variables.get(&variables::QUEUE_URL).is_none() {
        return vec![Finding::warning(
            "SQS_QUEUE_URL is not set here, so the queue was not looked at",
            "set it and check again, if this is the courier's container",
        )];
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime {
        Ok(runtime) => runtime.block_on(look()).unwrap_or_else(|error| vec![wrong(&error)]),
        Err(error) => vec![Finding::wrong(
            error.to_string(),
            "the process has too few descriptors or too little memory",
        )],
    }
}

async fn look() -> Result<Vec<Finding>, Error> {
    let variable = |name: &str| std::env::var(name).ok();
    let settings = Settings::from_environment(variable)?;
    let provider = Provider::from_environment(variable)?;
    provider.current().await?;
    let queue = Queue::new(&settings, provider)?;
    let mut found = vec![Finding::good("credentials are there")];
    let attributes = match queue.attributes().await {
        Ok(attributes) => attributes,
        Err(trouble) => {
            found.push(Finding::wrong(
                format!("the queue could not be asked: {}", trouble.meaning()),
                remedy(trouble),
            ));
            return Ok(found);
        }
    };
    found.push(Finding::good("the queue answers"));
    let aside = match &attributes.aside {
        Some(arn) => match queue.attributes_beside(arn).await {
            Ok(aside) => Some(aside),
            Err(trouble) => {
                let what = format!("the dead-letter queue could not be asked: {}", trouble.meaning());
                found.push(Finding::warning(
                    what,
                    "allow sqs:GetQueueUrl and sqs:GetQueueAttributes on it, too",
                ));
                None
            }
        },
        None => None,
    };
    let rules = findings(&attributes, aside.as_ref());
    if rules.is_empty() {
        found.push(Finding::good("the queue's rules leave orders time for their files and lose none"));
    }
    found.extend(rules.iter().map(|rule| {
        let (what, remedy) = halves(rule.to_string());
        if *rule == Rule::Fifo { Finding::wrong(what, remedy) } else { Finding::warning(what, remedy) }
    }));
    Ok(found)
}

fn wrong(error: &Error) -> Finding {
    let (what, remedy) = halves(error.to_string());
    Finding::wrong(what, remedy)
}

/// A message's two parts: what is so, and behind its last semicolon what to do.
fn halves(text: String) -> (String, String) {
    match text.rsplit_once("; ") {
        Some((what, remedy)) => (what.to_owned(), remedy.to_owned()),
        None => (text, "the error says it".to_owned()),
    }
}

pub(super) const fn remedy(trouble: Trouble) -> &'static str {
    match trouble {
        Trouble::Unreachable | Trouble::Hung => {
            "see whether the network, its proxy and its firewall let the box reach the region"
        }
        Trouble::Throttled | Trouble::Service => "try again in a minute",
        Trouble::Denied => {
            "correct SQS_QUEUE_URL, or allow the role sqs:ReceiveMessage, DeleteMessage, ChangeMessageVisibility and \
             GetQueueAttributes on it"
        }
        Trouble::Credentials => {
            "give the task a role, or see whether the box is registered: its credentials have ended"
        }
        Trouble::Clock => "set this machine's clock",
        Trouble::Quota => "bring the files that orders wait for, or remove the orders",
        Trouble::Answer => "correct SQS_QUEUE_URL and AWS_REGION; the host that answers may be no queue's",
    }
}
