//! The keeper of the identity: takes the next step towards a new one, and keeps the one in use fresh.
//!
//! Everything that must survive a power cut is in the capsule before the act that depends on it. The two lanes do not
//! wait for each other: while a new activation fails, the old identity goes on.

use std::time::Duration;

use jiff::Timestamp;
use stayput_health::Code;

use crate::capsule::{Capsule, Identity, Pending};
use crate::fault::{self, Ruling};
use crate::plan::{self, New, Old, Wish};
use crate::region::{Obstacle, Region, Reply, Request, Sent};
use crate::sign::Signer;
use crate::store::Shelf;
use crate::wire::{self, Call, Token};
use crate::{Error, Key, pace};

/// What the keeper needs of the box besides a card and a region.
pub trait Surroundings {
    /// The wall clock.
    fn now(&self) -> Timestamp;

    /// Time since the box started, sleep included.
    fn uptime(&self) -> Duration;

    /// A number from 0 to below 1.
    fn chance(&mut self) -> f64;

    /// A new key, which takes seconds on the board.
    fn key(&mut self) -> Result<Key, Error>;

    /// A random UUID.
    fn fingerprint(&mut self) -> Result<String, Error>;

    /// Hands credentials to those who wait for them.
    fn deliver(&mut self, token: &Token) -> Result<(), Error>;
}

/// Where one lane stands.
#[derive(Debug, Clone, Copy)]
struct Lane {
    /// When its next attempt is due; `None` is never.
    due: Option<Duration>,
    /// Failures in a row.
    failures: u32,
    /// What to show of it.
    code: Code,
}

impl Lane {
    const fn fresh(code: Code) -> Self {
        Self { due: Some(Duration::ZERO), failures: 0, code }
    }

    /// Whether its last attempt failed on the way, and it will try again: a refusal is not asked to change its mind.
    fn is_hindered(&self) -> bool {
        let way = matches!(
            self.code,
            Code::NoDns
                | Code::RegionUnreachable
                | Code::TlsIntercepted
                | Code::ProxyRefused
                | Code::CredentialsLate
        );
        way && self.failures > 0 && self.due.is_some()
    }

    fn is_due(&self, uptime: Duration) -> bool {
        self.due.is_some_and(|due| due <= uptime)
    }
}

/// The keeper.
#[derive(Debug)]
pub struct Keeper<S, R, E> {
    shelf: S,
    region: R,
    around: E,
    wish: Wish,
    board: String,
    capsule: Capsule,
    /// Whether what the capsule counts as unanswered was answered after all, in this process's own memory.
    answered: bool,
    new: Lane,
    old: Lane,
    /// The credentials that were handed out last end then, by the wall clock.
    expires: Option<Timestamp>,
}

impl<S: Shelf, R: Region, E: Surroundings> Keeper<S, R, E> {
    /// A keeper for this board and configuration, with whatever the shelf holds.
    pub fn open(shelf: S, region: R, around: E, wish: Wish, board: &str) -> Result<Self, Error> {
        let capsule = shelf.load()?.unwrap_or_default();
        let (new, old) = (Lane::fresh(Code::Activating), Lane::fresh(Code::Registered));
        let board = board.to_owned();
        Ok(Self { shelf, region, around, wish, board, capsule, answered: false, new, old, expires: None })
    }

    /// Does what is due. Returns how long nothing will be; `None` is until the next start.
    pub fn step(&mut self) -> Result<Option<Duration>, Error> {
        if self.new.is_due(self.around.uptime()) {
            self.towards_new()?;
        }
        if self.old.is_due(self.around.uptime()) {
            self.keep_old()?;
        }
        let due = [self.new.due, self.old.due].into_iter().flatten().min();
        Ok(due.map(|due| due.saturating_sub(self.around.uptime())))
    }

    /// What the box should show. A new identity that does not come is the more urgent news.
    pub fn code(&self) -> Code {
        match plan::new(&self.capsule, &self.wish, &self.board) {
            New::Unwanted => self.old.code,
            _ => self.new.code,
        }
    }

    /// Whether something on the way is what it waits for.
    pub fn is_hindered(&self) -> bool {
        [self.new, self.old].iter().any(Lane::is_hindered)
    }

    /// The way has changed: what waits for it is tried at once. Says whether anything does.
    pub fn hurry(&mut self) -> bool {
        let now = self.around.uptime();
        let hindered = [&mut self.new, &mut self.old].into_iter().filter(|lane| lane.is_hindered());
        hindered.map(|lane| *lane = Lane { due: Some(now), failures: 0, ..*lane }).count() > 0
    }

    /// The capsule as it stands.
    pub fn capsule(&self) -> &Capsule {
        &self.capsule
    }

    /// The credentials handed out last end then.
    pub fn expires(&self) -> Option<Timestamp> {
        self.expires
    }

    fn towards_new(&mut self) -> Result<(), Error> {
        match self.advance()? {
            Ok(()) => self.new.due = None,
            Err(ruling) => self.new = self.failed(self.new, ruling),
        }
        Ok(())
    }

    /// Goes on until there is a new identity in use, none is wanted, or something is in the way.
    fn advance(&mut self) -> Result<Result<(), Ruling>, Error> {
        loop {
            let done = match plan::new(&self.capsule, &self.wish, &self.board) {
                New::Unwanted => return Ok(Ok(())),
                New::Stuck(code) => Err(Ruling::Permanent(code)),
                New::Begin => Ok(self.begin()?),
                New::Register => self.register()?,
                New::Prove => self.prove()?,
            };
            if done.is_err() {
                return Ok(done);
            }
        }
    }

    fn failed(&mut self, lane: Lane, ruling: Ruling) -> Lane {
        let failures = lane.failures.saturating_add(1);
        let wait = pace::retry(ruling, failures, self.around.chance());
        Lane { due: wait.map(|wait| self.around.uptime() + wait), failures, code: ruling.code() }
    }

    /// Writes down who the box will be, before anyone is told.
    fn begin(&mut self) -> Result<(), Error> {
        let identity = Identity {
            board: self.board.clone(),
            instance: String::new(),
            region: self.wish.region.clone(),
            fingerprint: self.around.fingerprint()?,
            key: self.around.key()?.to_text().to_owned(),
            next_key: None,
        };
        let activation = self.wish.activation.clone();
        self.capsule.pending = Some(Pending { activation, unanswered: 0, identity });
        self.answered = true;
        self.save()
    }

    fn register(&mut self) -> Result<Result<(), Ruling>, Error> {
        let (Some(code), Some(pending)) = (self.wish.code.clone(), self.capsule.pending.clone()) else {
            return Ok(Err(Ruling::Permanent(Code::InternalFault)));
        };
        self.new.code = Code::Activating;
        // The count goes up only when the region is there: waiting for a cable must not cost an attempt.
        if let Err(obstacle) = self.region.reach() {
            return Ok(Err(Ruling::Passing(fault::code(obstacle))));
        }
        if pending.unanswered == 0 || !self.answered {
            self.count_unanswered()?;
        }
        let key = Key::from_text(&pending.identity.key)?;
        let body = wire::body(&wire::Register {
            activation_code: code.expose(),
            activation_id: &pending.activation,
            fingerprint: &pending.identity.fingerprint,
            public_key: &key.public()?,
            public_key_type: wire::RSA,
        });
        self.answered = false;
        let reply = match self.region.send(&Request { call: Call::Register, headers: Vec::new(), body }) {
            Sent::Never(obstacle) => {
                self.answered = true;
                return Ok(Err(Ruling::Passing(fault::code(obstacle))));
            }
            Sent::Unanswered(obstacle) => return Ok(Err(self.unanswered(obstacle))),
            Sent::Answered(reply) => reply,
        };
        if reply.status != 200 {
            let ruling = fault::judge(Call::Register, &reply, self.around.now());
            self.answered = true;
            return Ok(Err(self.refused(ruling)?));
        }
        let Some(instance) = wire::registered(&reply.body) else {
            // It says yes and not to what: as good as no answer.
            return Ok(Err(self.unanswered(Obstacle::Connection)));
        };
        if let Some(pending) = &mut self.capsule.pending {
            pending.identity.instance = instance;
        }
        self.capsule.used.insert(pending.activation);
        self.save()?;
        self.new.failures = 0;
        Ok(Ok(()))
    }

    fn count_unanswered(&mut self) -> Result<(), Error> {
        if let Some(pending) = &mut self.capsule.pending {
            pending.unanswered += 1;
        }
        self.save()
    }

    fn unanswered(&self, obstacle: Obstacle) -> Ruling {
        match plan::new(&self.capsule, &self.wish, &self.board) {
            New::Stuck(code) => Ruling::Permanent(code),
            _ => Ruling::Passing(fault::code(obstacle)),
        }
    }

    /// After a refusal that is final: the same activation may be corrected on the card, so nothing of it is kept; but
    /// an earlier attempt that may have arrived stays on record. Says what to show, now and after a restart.
    fn refused(&mut self, ruling: Ruling) -> Result<Ruling, Error> {
        let unclear = Ruling::Permanent(Code::ActivationUnclear);
        let unanswered = self.capsule.pending.as_ref().map_or(0, |pending| pending.unanswered);
        let shown = match ruling {
            Ruling::Permanent(Code::ActivationUnclear) => {
                if let Some(pending) = &mut self.capsule.pending {
                    pending.unanswered = plan::UNANSWERED;
                }
                ruling
            }
            // An earlier attempt had the same code: it fared no better.
            Ruling::Permanent(Code::ActivationWrong) => {
                self.capsule.pending = None;
                ruling
            }
            Ruling::Permanent(_) if unanswered <= 1 => {
                self.capsule.pending = None;
                ruling
            }
            // Used up, perhaps, by the earlier attempt.
            Ruling::Permanent(_) => unclear,
            _ => return Ok(ruling),
        };
        self.save()?;
        Ok(shown)
    }

    /// The new identity takes the old one's place when it has given a token, and not before.
    fn prove(&mut self) -> Result<Result<(), Ruling>, Error> {
        let Some(pending) = self.capsule.pending.clone() else {
            return Ok(Err(Ruling::Permanent(Code::InternalFault)));
        };
        self.new.code = Code::Registered;
        let token = match self.token(&pending.identity, &pending.identity.key)? {
            Ok(token) => token,
            Err(ruling) => return Ok(Err(ruling)),
        };
        self.capsule.identity = Some(pending.identity);
        self.capsule.pending = None;
        self.save()?;
        self.hand_out(&token)?;
        Ok(Ok(()))
    }

    fn keep_old(&mut self) -> Result<(), Error> {
        match plan::old(&self.capsule, &self.wish, &self.board) {
            Old::None => {
                self.old.due = None;
                // The card says that its activation was used, and this box has nothing to show for it.
                self.old.code = Code::ActivationUsedUp;
            }
            Old::Refused(code) => self.old = Lane { due: None, code, ..self.old },
            Old::Renew => match self.renew()? {
                Ok(token) => self.hand_out(&token)?,
                Err(ruling) => {
                    self.old = self.failed(self.old, ruling);
                    let holds = self.expires.is_some_and(|expires| expires > self.around.now());
                    if holds && matches!(ruling, Ruling::Passing(_)) {
                        self.old.code = Code::CredentialsLate;
                    }
                }
            },
        }
        Ok(())
    }

    /// A token of the identity in use, by whichever of its two keys the region knows.
    fn renew(&mut self) -> Result<Result<Token, Ruling>, Error> {
        let Some(identity) = self.capsule.identity.clone() else {
            return Ok(Err(Ruling::Permanent(Code::InternalFault)));
        };
        let token = match (self.token(&identity, &identity.key)?, &identity.next_key) {
            (Err(Ruling::OtherKey), Some(next)) => {
                let token = self.token(&identity, next)?;
                if token.is_ok() {
                    self.change_key()?;
                }
                return Ok(token);
            }
            (token, _) => token,
        };
        if let Ok(token) = &token {
            self.offer_key(token)?;
        }
        Ok(token)
    }

    /// Gives the region the next key, where it wants one or one was begun. That it fails is no news: the old one holds.
    fn offer_key(&mut self, token: &Token) -> Result<(), Error> {
        let Some(identity) = self.capsule.identity.clone() else { return Ok(()) };
        let next = match (&identity.next_key, token.wants_new_key) {
            (Some(next), _) => Key::from_text(next)?,
            (None, false) => return Ok(()),
            (None, true) => {
                let next = self.around.key()?;
                if let Some(identity) = &mut self.capsule.identity {
                    identity.next_key = Some(next.to_text().to_owned());
                }
                self.save()?;
                next
            }
        };
        let public = next.public()?;
        let body = wire::body(&wire::UpdateKey { new_public_key: &public, new_public_key_type: wire::RSA });
        match self.signed(Call::UpdateKey, &identity, &identity.key, body)? {
            Sent::Answered(Reply { status: 200, .. }) => self.change_key(),
            // Refused, or unknown what became of it: the next renewal finds out which key the region knows.
            _ => Ok(()),
        }
    }

    fn change_key(&mut self) -> Result<(), Error> {
        if let Some(identity) = &mut self.capsule.identity
            && let Some(next) = identity.next_key.take()
        {
            identity.key = next;
        }
        self.save()
    }

    fn token(&mut self, identity: &Identity, key: &str) -> Result<Result<Token, Ruling>, Error> {
        let body = wire::body(&wire::RoleToken { fingerprint: &identity.fingerprint });
        Ok(match self.signed(Call::RoleToken, identity, key, body)? {
            Sent::Never(obstacle) | Sent::Unanswered(obstacle) => Err(Ruling::Passing(fault::code(obstacle))),
            Sent::Answered(reply) if reply.status == 200 => {
                wire::token(&reply.body).ok_or(Ruling::Passing(Code::RegionUnreachable))
            }
            Sent::Answered(reply) => Err(fault::judge(Call::RoleToken, &reply, self.around.now())),
        })
    }

    fn signed(&mut self, call: Call, identity: &Identity, key: &str, body: Vec<u8>) -> Result<Sent, Error> {
        let key = Key::from_text(key)?;
        let signer = Signer { instance: &identity.instance, region: &identity.region, key: &key };
        let host = self.region.host().to_owned();
        let signed = signer.sign(&host, wire::CONTENT_TYPE, call.target(), &body, self.around.now())?;
        let headers = vec![
            ("X-Amz-Date", signed.date),
            ("X-Amz-Content-Sha256", signed.body),
            ("Authorization", signed.authorization),
        ];
        Ok(self.region.send(&Request { call, headers, body }))
    }

    fn hand_out(&mut self, token: &Token) -> Result<(), Error> {
        self.around.deliver(token)?;
        self.expires = Some(token.expires);
        let life = token.expires.duration_since(self.around.now());
        let life = Duration::try_from(life).unwrap_or_default();
        let due = Some(self.around.uptime() + pace::renewal(life));
        self.old = Lane { due, failures: 0, code: Code::Running };
        Ok(())
    }

    fn save(&mut self) -> Result<(), Error> {
        self.shelf.save(&mut self.capsule)
    }
}
