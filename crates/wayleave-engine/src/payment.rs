//! The payment processor, as a port; and the one that pretends.

use std::collections::HashMap;

use parking_lot::Mutex;
use wayleave_core::ChargeId;
use wayleave_store::{BoxFuture, Card, Charge};

/// What a payment processor says of a charge.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ChargeOutcome {
    /// The money was taken.
    Paid,
    /// It was not.
    Declined,
    /// It was not: the holder of the card has to agree first.
    AuthenticationNeeded,
    /// It cannot be said; ask again with the same charge.
    Unknown,
}

/// Takes money and gives it back. Asked twice with the same charge it answers the same and takes
/// nothing twice: the charge's id is the key.
pub trait Processor: Send + Sync {
    /// Takes the money of a charge.
    fn charge<'a>(&'a self, charge: &'a Charge) -> BoxFuture<'a, ChargeOutcome>;

    /// Gives the money of a charge back; whether that is certain.
    fn refund<'a>(&'a self, charge: &'a Charge) -> BoxFuture<'a, bool>;
}

/// The cards of the processor that pretends: what it calls them, what people see, what they do.
const PRETENDED: [(&str, &str, ChargeOutcome); 4] = [
    ("pretend_pays", "Pretend •••• 4242", ChargeOutcome::Paid),
    (
        "pretend_declines",
        "Pretend •••• 0002",
        ChargeOutcome::Declined,
    ),
    (
        "pretend_asks",
        "Pretend •••• 3155",
        ChargeOutcome::AuthenticationNeeded,
    ),
    (
        "pretend_unclear",
        "Pretend •••• 0119",
        ChargeOutcome::Unknown,
    ),
];

/// The card of the processor that pretends, by the word after `pretend_`: `pays`, `declines`, `asks`
/// (for authentication) or `unclear` (it is not known at first whether it paid, and then it has).
pub fn pretended_card(word: &str) -> Option<Card> {
    let mut cards = PRETENDED.iter();
    let (token, label, _) =
        cards.find(|(token, ..)| token.strip_prefix("pretend_") == Some(word))?;
    Some(Card {
        token: (*token).to_owned(),
        label: (*label).to_owned(),
    })
}

/// A processor that takes nobody's money, and remembers what it was asked.
#[derive(Default)]
pub struct PretendProcessor {
    asked: Mutex<HashMap<ChargeId, (ChargeOutcome, u32)>>,
}

impl Processor for PretendProcessor {
    fn charge<'a>(&'a self, charge: &'a Charge) -> BoxFuture<'a, ChargeOutcome> {
        let mut cards = PRETENDED.iter();
        let known = cards.find(|(token, ..)| *token == charge.card);
        let outcome = known.map_or(ChargeOutcome::Declined, |(_, _, outcome)| *outcome);
        let mut asked = self.asked.lock();
        let (_, times) = asked
            .entry(charge.id)
            .and_modify(|(_, times)| *times += 1)
            .or_insert((outcome, 1));
        let outcome = match outcome {
            ChargeOutcome::Unknown if *times > 1 => ChargeOutcome::Paid,
            outcome => outcome,
        };
        Box::pin(std::future::ready(outcome))
    }

    fn refund<'a>(&'a self, _: &'a Charge) -> BoxFuture<'a, bool> {
        Box::pin(std::future::ready(true))
    }
}
