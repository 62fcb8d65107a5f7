use std::str::FromStr;

use wayleave_core::{ChargeId, Currency, Money, OrderId, PartnerId, Timestamp, UnknownWord};

use crate::{Reader, StoreError, Transaction, must_touch};

/// How a payment stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ChargeState {
    /// The processor is being asked, or was asked and has not said anything that can be trusted:
    /// unknown is not failed.
    Unknown,
    /// The money was taken.
    Paid,
    /// It was not.
    Declined,
    /// It was not, because the holder of the card has to agree first.
    AuthenticationNeeded,
    /// It was taken and given back.
    Refunded,
}

impl ChargeState {
    /// Every state.
    pub const ALL: [ChargeState; 5] = [
        ChargeState::Unknown,
        ChargeState::Paid,
        ChargeState::Declined,
        ChargeState::AuthenticationNeeded,
        ChargeState::Refunded,
    ];

    /// The stored and shown word.
    pub fn as_str(self) -> &'static str {
        match self {
            ChargeState::Unknown => "unknown",
            ChargeState::Paid => "paid",
            ChargeState::Declined => "declined",
            ChargeState::AuthenticationNeeded => "authentication-needed",
            ChargeState::Refunded => "refunded",
        }
    }
}

impl FromStr for ChargeState {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        ChargeState::ALL
            .into_iter()
            .find(|state| state.as_str() == text)
            .ok_or(UnknownWord {
                noun: "state of a charge",
                known: "unknown, paid, declined, authentication-needed, refunded",
            })
    }
}

/// A payment that is or was attempted. Its id is the key under which the processor is asked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Charge {
    /// Its id.
    pub id: ChargeId,
    /// For which order.
    pub order_id: OrderId,
    /// Who pays.
    pub partner_id: PartnerId,
    /// The card, as the processor calls it.
    pub card: String,
    /// How much.
    pub amount: Money,
    /// How it stands.
    pub state: ChargeState,
    /// When it was begun.
    pub created_at: Timestamp,
    /// When it came to where it stands.
    pub changed_at: Timestamp,
}

type Row = (
    String,
    String,
    String,
    String,
    i64,
    String,
    String,
    i64,
    i64,
);

fn from_row(row: Row) -> Result<Charge, StoreError> {
    let currency: Currency = StoreError::read("charge", &row.5)?;
    Ok(Charge {
        id: StoreError::read("charge", &row.0)?,
        order_id: StoreError::read("charge", &row.1)?,
        partner_id: StoreError::read("charge", &row.2)?,
        card: row.3,
        amount: Money::new(row.4, currency)
            .map_err(|error| StoreError::corrupt("charge", error))?,
        state: StoreError::read("charge", &row.6)?,
        created_at: Timestamp::from_micros(row.7),
        changed_at: Timestamp::from_micros(row.8),
    })
}

impl Reader {
    /// The charges of an order, the oldest first.
    pub async fn charges_of(&mut self, order_id: OrderId) -> Result<Vec<Charge>, StoreError> {
        let rows = fetch_all!(
            &mut self.link,
            Row,
            "SELECT id, order_id, partner_id, card, amount_minor, currency, state, created_at,
                    changed_at
             FROM charge WHERE order_id = $1 ORDER BY id",
            order_id.to_string()
        )?;
        rows.into_iter().map(from_row).collect()
    }
}

impl Transaction {
    /// Notes a charge before the processor is asked.
    pub async fn add_charge(&mut self, charge: &Charge) -> Result<(), StoreError> {
        execute!(
            self.link(),
            "INSERT INTO charge (id, order_id, partner_id, card, amount_minor, currency, state,
                 created_at, changed_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
            charge.id.to_string(),
            charge.order_id.to_string(),
            charge.partner_id.to_string(),
            &charge.card,
            charge.amount.minor(),
            charge.amount.currency().to_string(),
            charge.state.as_str(),
            charge.created_at.micros(),
            charge.changed_at.micros()
        )
        .map(drop)
    }

    /// Notes what became of a charge. [`StoreError::Conflict`] when it no longer is as it was.
    pub async fn move_charge(
        &mut self,
        id: ChargeId,
        from: ChargeState,
        to: ChargeState,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let moved = execute!(
            self.link(),
            "UPDATE charge SET state = $3, changed_at = $4 WHERE id = $1 AND state = $2",
            id.to_string(),
            from.as_str(),
            to.as_str(),
            now.micros()
        )?;
        must_touch(moved, StoreError::Conflict)
    }
}
