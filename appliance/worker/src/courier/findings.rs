//! What is wrong with a queue's rules, before an order is lost to them.

use std::time::Duration;

use super::ladder::SHARE;
use super::{Attributes, LONGEST, Ladder};

/// The fewest deliveries that give a file time to come and a person time to mend something.
const FEWEST: u32 = 4;
/// Messages in flight that are near the service's 120,000 for a standard queue.
const FLYING: u32 = 100_000;
/// The shortest time for which a queue should keep messages.
const SHORTEST: Duration = Duration::from_secs(24 * 3600);

/// Something about a queue that could lose or delay orders.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Finding {
    /// The queue keeps an order.
    #[error(
        "the queue is a FIFO queue, and the worker carries orders out as their files come; use a standard queue"
    )]
    Fifo,
    /// Nothing is ever set aside.
    #[error(
        "the queue has no redrive policy, so an order that cannot be carried out comes again until the queue drops it; add a \
         dead-letter queue with maxReceiveCount 10"
    )]
    NoRedrive,
    /// Orders are set aside too soon.
    #[error(
        "the queue sets an order aside after {receives} deliveries, so an order waits at most {} for its file; set \
         maxReceiveCount to {better}", hours(*waits)
    )]
    FewReceives {
        /// The count.
        receives: u32,
        /// For how long an order waits.
        waits: Duration,
        /// What would do.
        better: u32,
    },
    /// Orders are set aside too late.
    #[error(
        "the queue sets an order aside after {receives} deliveries, which takes {} at least, and keeps it for {}; an order whose file \
         does not come is dropped without a trace; set maxReceiveCount to {better}",
        hours(*waits), hours(*retention)
    )]
    ManyReceives {
        /// The count.
        receives: u32,
        /// For how long an order waits.
        waits: Duration,
        /// For how long messages are kept.
        retention: Duration,
        /// What would do.
        better: u32,
    },
    /// Messages are dropped early.
    #[error(
        "the queue keeps messages for only {}, and an order that waits for its file longer is dropped without a trace; set \
         MessageRetentionPeriod to 1209600", hours(*retention)
    )]
    ShortRetention {
        /// For how long messages are kept.
        retention: Duration,
    },
    /// What is set aside is dropped soon after.
    #[error(
        "the dead-letter queue keeps messages for {}, counted from when they were first sent, and the queue itself for {}; what is \
         set aside late would be dropped at once; set its MessageRetentionPeriod to 1209600", hours(*aside), hours(*retention)
    )]
    AsideExpires {
        /// For how long the dead-letter queue keeps messages.
        aside: Duration,
        /// For how long the queue does.
        retention: Duration,
    },
    /// Its rules could not be read.
    #[error(
        "the queue's rules could not be read, so the waiting is spread over guessed ones; allow the role \
         sqs:GetQueueAttributes on it"
    )]
    Unread,
    /// Too many messages are in flight.
    #[error(
        "{0} messages are in flight, and the service stops delivering at 120000; bring the files that orders wait for, or remove \
         the orders"
    )]
    Flying(u32),
}

/// What is wrong with a queue, and with the one that it sets messages aside on, where that could be asked.
pub fn findings(queue: &Attributes, aside: Option<&Attributes>) -> Vec<Finding> {
    let mut found = Vec::new();
    if queue.fifo {
        found.push(Finding::Fifo);
    }
    let waits = Ladder::new(&queue.rules()).total();
    match queue.receives {
        None => found.push(Finding::NoRedrive),
        Some(receives) => {
            let possible = queue.retention.mul_f64(0.7);
            // The first step is short; each further one can be as long as the service allows.
            let steps = (possible.as_secs_f64() / f64::from(LONGEST)).ceil() as u32;
            let better = (steps + 2).max(FEWEST);
            let retention = queue.retention;
            if receives < FEWEST || waits < possible {
                found.push(Finding::FewReceives { receives, waits, better });
            } else if waits > retention.mul_f64(SHARE) {
                found.push(Finding::ManyReceives { receives, waits, retention, better });
            }
        }
    }
    if queue.retention < SHORTEST {
        found.push(Finding::ShortRetention { retention: queue.retention });
    }
    if let Some(aside) = aside
        && aside.retention <= queue.retention
        && aside.retention < Duration::from_secs(14 * 24 * 3600)
    {
        found.push(Finding::AsideExpires { aside: aside.retention, retention: queue.retention });
    }
    if queue.flying >= FLYING {
        found.push(Finding::Flying(queue.flying));
    }
    found
}

fn hours(time: Duration) -> String {
    match time.as_secs() {
        seconds @ 0..7200 => format!("{} minutes", seconds / 60),
        seconds => format!("{} hours", seconds / 3600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 24 * 3600;

    fn queue(receives: Option<u32>, days: u64) -> Attributes {
        let retention = Duration::from_secs(days * DAY);
        Attributes { receives, retention, ..Attributes::default() }
    }

    #[test]
    fn a_queue_with_good_rules_has_no_findings() {
        assert_eq!(findings(&queue(Some(10), 4), Some(&queue(None, 14))), []);
        assert_eq!(findings(&queue(Some(30), 14), Some(&queue(None, 14))), []);
    }

    #[test]
    fn what_could_lose_orders_is_named_with_its_remedy() {
        assert_eq!(findings(&queue(None, 4), None), [Finding::NoRedrive]);
        let few = findings(&queue(Some(3), 4), None);
        let waits = Duration::from_secs(120 + 2 * u64::from(LONGEST));
        assert_eq!(few, [Finding::FewReceives { receives: 3, waits, better: 8 }]);
        assert!(few[0].to_string().contains("at most 23 hours"), "{}", few[0]);
        // The count that is advised is enough.
        assert_eq!(findings(&queue(Some(8), 4), None), []);
        // Steps of two minutes each are the shortest.
        let many = findings(&queue(Some(1000), 1), None);
        let (waits, retention) = (Duration::from_secs(120_000), Duration::from_secs(DAY));
        assert_eq!(many, [Finding::ManyReceives { receives: 1000, waits, retention, better: 4 }]);
        assert!(
            many[0]
                .to_string()
                .contains("takes 33 hours at least, and keeps it for 24 hours; an order whose file does not"),
            "{}",
            many[0]
        );
        assert_eq!(findings(&queue(Some(576), 1), None), []);
        assert_eq!(findings(&queue(Some(4), 1), None), []);
        let short = Attributes { retention: Duration::from_secs(3600), ..queue(Some(10), 0) };
        assert_eq!(findings(&short, None), [Finding::ShortRetention { retention: short.retention }]);
        assert!(matches!(
            findings(&queue(Some(10), 4), Some(&queue(None, 4)))[..],
            [Finding::AsideExpires { .. }]
        ));
        let busy = Attributes { flying: 110_000, fifo: true, ..queue(Some(10), 4) };
        assert_eq!(findings(&busy, None), [Finding::Fifo, Finding::Flying(110_000)]);
    }
}
