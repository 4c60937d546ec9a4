//! What `worker check` finds about the queue, by asking it once.

use crate::courier::desk::Trouble;
use crate::courier::{Attributes, Queue, Settings, findings};
use crate::credentials::Provider;
use crate::finding::Finding;

/// Everything that is found, if a queue is set at all.
pub(super) fn look() -> Vec<Finding> {
    let variable = |name: &str| std::env::var(name).ok();
    if variable("SQS_QUEUE_URL").is_none() {
        return vec![Finding::good("no queue is set here, as is right where only the mover runs")];
    }
    let settings = match Settings::from_environment(variable) {
        Ok(settings) => settings,
        Err(error) => return vec![told(&error)],
    };
    let queue = match Provider::from_environment(variable) {
        Ok(keys) => Queue::new(&settings, keys),
        Err(error) => return vec![told(&error)],
    };
    let queue = match queue {
        Ok(queue) => queue,
        Err(error) => return vec![told(&error)],
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            return vec![Finding::wrong(format!("no call can be made: {error}"), "see the system's limits")];
        }
    };
    let found = runtime.block_on(ask(&queue));
    runtime.shutdown_background();
    match found {
        Ok((attributes, aside)) => {
            let found = findings(&attributes, aside.as_ref());
            let warn = |finding: &crate::courier::Finding| {
                let text = finding.to_string();
                // A courier's finding holds what is so and the remedy, in this order.
                match text.rsplit_once("; ") {
                    Some((what, remedy)) => Finding::warning(what, remedy),
                    None => Finding::warning(text, String::new()),
                }
            };
            let good = Finding::good("the queue answers, and its rules can be read");
            std::iter::once(good).chain(found.iter().map(warn)).collect()
        }
        Err(trouble) => {
            vec![Finding::wrong(format!("the queue cannot be asked: {}", trouble.word()), remedy(trouble))]
        }
    }
}

async fn ask(queue: &Queue) -> Result<(Attributes, Option<Attributes>), Trouble> {
    let attributes = queue.attributes().await?;
    let aside = match &attributes.aside {
        // Its rules are good to know; that they may not be read is no reason to say nothing of the queue's own.
        Some(arn) => queue.attributes_beside(arn).await.ok(),
        None => None,
    };
    Ok((attributes, aside))
}

fn told(error: &dyn std::error::Error) -> Finding {
    let text = error.to_string();
    match text.rsplit_once("; ") {
        Some((what, remedy)) => Finding::wrong(what, remedy),
        None => Finding::wrong(text, "correct the variable where the worker is started"),
    }
}

fn remedy(trouble: Trouble) -> &'static str {
    match trouble {
        Trouble::Denied => {
            "compare the queue's URL with the queue, and let the role receive, delete, change visibility and get attributes"
        }
        Trouble::Credentials => "give the container a task role, or the box an activation",
        Trouble::Clock => "set the clock",
        Trouble::Unreachable | Trouble::Hung => {
            "let HTTPS (TCP 443) to the region pass, and see that names are answered"
        }
        _ => "try again in a minute; if it stays so, see the service's status",
    }
}
