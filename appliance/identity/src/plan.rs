//! What is to be done about the identity: decided from the capsule, the configuration and the board, and nothing else.

use stayput_config::ActivationCode;
use stayput_health::Code;

use crate::capsule::Capsule;

/// What the configuration wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    /// The region's name.
    pub region: String,
    /// The activation's id.
    pub activation: String,
    /// Its code; `None` once the card says that it was used.
    pub code: Option<ActivationCode>,
}

/// The next step towards a new identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum New {
    /// None is wanted.
    Unwanted,
    /// Make a key and a fingerprint, and write them down.
    Begin,
    /// Send the registration that is written down.
    Register,
    /// Ask for the first token of the new identity.
    Prove,
    /// It cannot go on without a person.
    Stuck(Code),
}

/// What to do with the identity in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Old {
    /// There is none.
    None,
    /// Keep its credentials fresh.
    Renew,
    /// It must not be used.
    Refused(Code),
}

/// How often a registration may go unanswered. The second attempt has the same key and fingerprint; whether a third one
/// would use the activation up, nobody here can know.
pub(crate) const UNANSWERED: u32 = 2;

/// The next step towards a new identity.
pub fn new(capsule: &Capsule, wish: &Wish, board: &str) -> New {
    let pending = capsule.pending.as_ref().filter(|pending| pending.identity.board == board);
    if pending.is_some_and(|pending| pending.is_registered()) {
        return New::Prove;
    }
    if wish.code.is_none() || capsule.used.contains(&wish.activation) {
        return New::Unwanted;
    }
    match pending.filter(|pending| pending.activation == wish.activation) {
        Some(pending) if pending.unanswered >= UNANSWERED => New::Stuck(Code::ActivationUnclear),
        Some(pending) if pending.identity.region == wish.region => New::Register,
        // Sent to another region or never sent at all: what was begun there is of no use here.
        Some(_) | None => New::Begin,
    }
}

/// What to do with the identity in use.
pub fn old(capsule: &Capsule, wish: &Wish, board: &str) -> Old {
    match &capsule.identity {
        None => Old::None,
        // Two boards with one identity would fight over it, and one of them would lose.
        Some(identity) if identity.board != board => Old::Refused(Code::IdentityOther),
        Some(identity) if identity.region != wish.region => Old::Refused(Code::ActivationWrong),
        Some(_) => Old::Renew,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capsule::{Identity, Pending};

    fn wish(activation: &str, code: bool) -> Wish {
        let code = code.then(|| "EXAMPLE/CodeOf20Char".parse().unwrap());
        Wish { region: "eu-central-1".to_owned(), activation: activation.to_owned(), code }
    }

    fn identity(instance: &str) -> Identity {
        Identity {
            board: "here".to_owned(),
            instance: instance.to_owned(),
            region: "eu-central-1".to_owned(),
            fingerprint: "f".to_owned(),
            key: "k".to_owned(),
            next_key: None,
        }
    }

    fn pending(instance: &str, unanswered: u32) -> Capsule {
        let pending = Pending { activation: "one".to_owned(), unanswered, identity: identity(instance) };
        Capsule { pending: Some(pending), ..Capsule::new() }
    }

    fn settled() -> Capsule {
        let used = ["one".to_owned()].into();
        Capsule { identity: Some(identity("mi-1")), used, ..Capsule::new() }
    }

    #[test]
    fn an_activation_that_was_never_used_begins_a_registration() {
        assert_eq!(new(&Capsule::new(), &wish("one", true), "here"), New::Begin);
        assert_eq!(new(&settled(), &wish("two", true), "here"), New::Begin);
    }

    #[test]
    fn a_used_activation_is_not_used_again_even_if_its_code_is_back_on_the_card() {
        assert_eq!(new(&settled(), &wish("one", true), "here"), New::Unwanted);
        assert_eq!(old(&settled(), &wish("one", true), "here"), Old::Renew);
    }

    #[test]
    fn a_registration_without_an_answer_is_sent_once_more_and_never_a_third_time() {
        for (unanswered, expected) in
            [(0, New::Register), (1, New::Register), (2, New::Stuck(Code::ActivationUnclear))]
        {
            assert_eq!(new(&pending("", unanswered), &wish("one", true), "here"), expected, "{unanswered}");
        }
        assert_eq!(new(&pending("", 2), &wish("two", true), "here"), New::Begin, "another activation helps");
    }

    #[test]
    fn a_registered_identity_proves_itself_whatever_the_card_says_now() {
        assert_eq!(new(&pending("mi-2", 1), &wish("one", false), "here"), New::Prove);
    }

    #[test]
    fn a_card_in_another_board_impersonates_nobody() {
        let wish = wish("one", true);
        assert_eq!(old(&settled(), &wish, "there"), Old::Refused(Code::IdentityOther));
        assert_eq!(
            new(&settled(), &wish, "there"),
            New::Unwanted,
            "and does not use up the activation again"
        );
        assert_eq!(new(&pending("mi-2", 1), &wish, "there"), New::Begin);
    }

    #[test]
    fn another_region_without_another_activation_is_not_called_with_the_old_identity() {
        let elsewhere = Wish { region: "eu-west-1".to_owned(), ..wish("one", false) };
        assert_eq!(old(&settled(), &elsewhere, "here"), Old::Refused(Code::ActivationWrong));
    }
}
