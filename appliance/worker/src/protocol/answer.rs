//! What the mover answers.

use super::Refusal;
use super::wire::{Reader, Writer};
use crate::{Counters, Outcome};

/// What the mover answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// To [`super::Request::Hello`].
    Welcome {
        /// The most orders in one message.
        batch: u16,
    },
    /// To [`super::Request::Move`]: an outcome for each order, in their order.
    Moved {
        /// The request's number.
        batch: u32,
        /// The outcomes.
        outcomes: Vec<Outcome>,
    },
    /// To [`super::Request::Deleted`] and [`super::Request::Count`].
    Counted(Counters),
    /// To [`super::Request::Ready`].
    Ready {
        /// What every order would be answered now; `None` when orders can be carried out.
        obstacle: Option<Outcome>,
    },
    /// To [`super::Request::Inbound`]: the writing end of a pipe comes with it.
    Open {
        /// The transfer's number.
        transfer: u32,
    },
    /// To [`super::Request::Complete`] and [`super::Request::Abort`], and to an [`super::Request::Inbound`] that is not begun.
    Ended {
        /// The transfer's number.
        transfer: u32,
        /// What became of the order.
        outcome: Outcome,
    },
    /// To anything else. The connection ends.
    Refused(Refusal),
}

impl Answer {
    /// The message's bytes, or why it cannot be sent: more outcomes than a message may have.
    pub fn encode(&self) -> Result<Vec<u8>, Refusal> {
        let mut out = Writer::new();
        let kind = match self {
            Self::Welcome { batch } => {
                out.u16(*batch);
                129
            }
            Self::Moved { batch, outcomes } => {
                out.u32(*batch);
                out.count(outcomes.len())?;
                outcomes.iter().for_each(|outcome| out.u8(outcome.number()));
                130
            }
            Self::Counted(counters) => {
                out.count(Outcome::ALL.len())?;
                counters.iter().for_each(|(_, count)| out.u64(count));
                131
            }
            Self::Ready { obstacle } => {
                out.u8(obstacle.map_or(0, Outcome::number));
                132
            }
            Self::Open { transfer } => {
                out.u32(*transfer);
                144
            }
            Self::Ended { transfer, outcome } => {
                out.u32(*transfer);
                out.u8(outcome.number());
                145
            }
            Self::Refused(refusal) => {
                out.u8(refusal.number());
                255
            }
        };
        out.message(kind)
    }

    /// The answer in `bytes`.
    pub fn decode(bytes: &[u8]) -> Result<Self, Refusal> {
        let (kind, mut reader) = Reader::message(bytes)?;
        let answer = match kind {
            129 => Self::Welcome { batch: reader.u16()? },
            130 => {
                let batch = reader.u32()?;
                let outcomes =
                    (0..reader.count()?).map(|_| outcome(&mut reader)).collect::<Result<_, _>>()?;
                Self::Moved { batch, outcomes }
            }
            131 => {
                if reader.count()? != Outcome::ALL.len() {
                    return Err(Refusal::Value);
                }
                let counts = Outcome::ALL.iter().map(|_| reader.u64()).collect::<Result<Vec<_>, _>>()?;
                Self::Counted(Counters::from_counts(counts))
            }
            132 => match reader.u8()? {
                0 => Self::Ready { obstacle: None },
                number => Self::Ready { obstacle: Some(Outcome::from_number(number).ok_or(Refusal::Value)?) },
            },
            144 => Self::Open { transfer: reader.u32()? },
            145 => Self::Ended { transfer: reader.u32()?, outcome: outcome(&mut reader)? },
            255 => {
                let number = reader.u8()?;
                let refusal = Refusal::ALL.into_iter().find(|refusal| refusal.number() == number);
                Self::Refused(refusal.ok_or(Refusal::Value)?)
            }
            _ => return Err(Refusal::Kind),
        };
        reader.end()?;
        Ok(answer)
    }
}

fn outcome(reader: &mut Reader<'_>) -> Result<Outcome, Refusal> {
    Outcome::from_number(reader.u8()?).ok_or(Refusal::Value)
}
