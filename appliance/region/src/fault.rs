//! Faults on demand: a table that a test fills, one row for what happens to which call.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::http::Response;

/// What happens to a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// It is answered, so much later.
    Late(Duration),
    /// It is refused with a status and an error's name, and not carried out.
    Refused(u16, String),
    /// A page without the service's form comes in place of the reply; it is not carried out.
    Page(u16),
    /// It is lost on the way there: not carried out, not answered.
    LostBefore,
    /// It is carried out, and the answer is lost.
    LostAfter,
    /// It is carried out, and the answer breaks off in its middle.
    Torn,
    /// The connection is reset as soon as it has arrived; it is not carried out.
    Reset,
    /// It is carried out, and something unreadable comes with a status of success.
    Garbled,
}

/// What the client gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// A reply.
    Reply(Response),
    /// The beginning of a reply.
    Torn(Response),
    /// Nothing: the connection is closed.
    Lost,
    /// Nothing: the connection is reset.
    Reset,
}

impl Fault {
    /// A refusal by a modelled error's name, with the status that goes with it.
    pub fn refused(name: &str) -> Self {
        Self::Refused(crate::simulator::status(name), name.to_owned())
    }

    /// Plays it: carries out what is to be carried out, and says what comes back.
    pub fn play(&self, act: impl FnOnce() -> Response) -> Outcome {
        match self {
            Self::Late(_) => Outcome::Reply(act()),
            Self::Refused(status, name) => Outcome::Reply(crate::simulator::refusal(*status, name)),
            Self::Page(status) => {
                Outcome::Reply(Response::new(*status, "text/html", "<html><body>not now</body></html>"))
            }
            Self::LostBefore => Outcome::Lost,
            Self::LostAfter => {
                act();
                Outcome::Lost
            }
            Self::Torn => Outcome::Torn(act()),
            Self::Reset => Outcome::Reset,
            Self::Garbled => {
                let answered = act();
                Outcome::Reply(Response { body: b"{\"Ins\xfftance".to_vec(), status: 200, ..answered })
            }
        }
    }

    /// How long it keeps the answer back.
    pub fn late(&self) -> Duration {
        match self {
            Self::Late(time) => *time,
            _ => Duration::ZERO,
        }
    }
}

/// A row: to which calls, what, and how often.
#[derive(Debug, Clone)]
struct Row {
    /// A service's or a call's name, or `*`.
    of: String,
    fault: Fault,
    /// How many more times; `None` until it is taken away.
    left: Option<u32>,
}

/// The faults to come, as several hold them.
#[derive(Debug, Clone, Default)]
pub struct Script(Arc<Mutex<VecDeque<Row>>>);

impl Script {
    /// The next call of a name meets a fault. Rows of the same name come one after the other.
    ///
    /// A name is a service's (`sqs`), a call's (`RegisterManagedInstance`) or `*` for all.
    pub fn next(&self, of: &str, fault: Fault) {
        self.times(of, fault, 1);
    }

    /// The next so many calls of a name meet a fault.
    pub fn times(&self, of: &str, fault: Fault, times: u32) {
        self.rows(|rows| rows.push_back(Row { of: of.to_owned(), fault, left: Some(times) }));
    }

    /// Every call of a name meets a fault, after what was said before, until [`Script::clear`].
    pub fn always(&self, of: &str, fault: Fault) {
        self.rows(|rows| rows.push_back(Row { of: of.to_owned(), fault, left: None }));
    }

    /// Takes away everything said of a name; `*` takes away all.
    pub fn clear(&self, of: &str) {
        self.rows(|rows| rows.retain(|row| of != "*" && row.of != of));
    }

    /// How many rows have not come to their end.
    pub fn left(&self) -> usize {
        self.rows(|rows| rows.len())
    }

    /// What happens to this call: the first row that is meant for it.
    pub fn take(&self, service: &str, call: Option<&str>) -> Option<Fault> {
        self.rows(|rows| {
            let is_meant = |row: &Row| row.of == "*" || row.of == service || Some(row.of.as_str()) == call;
            let at = rows.iter().position(is_meant)?;
            let fault = rows[at].fault.clone();
            if let Some(left) = &mut rows[at].left {
                *left = left.saturating_sub(1);
                if *left == 0 {
                    rows.remove(at);
                }
            }
            Some(fault)
        })
    }

    fn rows<T>(&self, act: impl FnOnce(&mut VecDeque<Row>) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_in_their_order_each_to_the_calls_it_names() {
        let script = Script::default();
        script.times("ssm", Fault::LostBefore, 2);
        script.next("Register", Fault::Torn);
        script.always("*", Fault::Reset);
        let take = |service, call| script.take(service, call).unwrap();
        assert_eq!(take("sqs", Some("Send")), Fault::Reset);
        assert_eq!(take("ssm", Some("Register")), Fault::LostBefore);
        assert_eq!(take("ssm", None), Fault::LostBefore);
        assert_eq!(take("ssm", Some("Register")), Fault::Torn);
        assert_eq!(take("ssm", Some("Register")), Fault::Reset);
        script.clear("*");
        assert_eq!(script.take("ssm", Some("Register")), None);
    }

    #[test]
    fn only_the_faults_that_say_so_carry_a_call_out() {
        let rows = [
            (Fault::Late(Duration::ZERO), true),
            (Fault::Refused(400, "X".to_owned()), false),
            (Fault::Page(503), false),
            (Fault::LostBefore, false),
            (Fault::LostAfter, true),
            (Fault::Torn, true),
            (Fault::Reset, false),
            (Fault::Garbled, true),
        ];
        for (fault, expected) in rows {
            let mut acted = false;
            fault.play(|| {
                acted = true;
                Response::new(200, "x", "y")
            });
            assert_eq!(acted, expected, "{fault:?}");
        }
    }
}
