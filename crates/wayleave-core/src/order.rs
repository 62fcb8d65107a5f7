//! An order as a machine of states: each transition takes the state that it leaves, so that none can
//! be skipped and none taken twice.

use std::fmt;
use std::str::FromStr;

use crate::{OrderId, UnknownWord};

/// Where an order stands.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum OrderState {
    /// A price was named; nothing else has happened.
    Quote,
    /// It was accepted, and waits for its payment.
    Invoiced,
    /// It is being paid and delivered.
    Processing,
    /// All of it is delivered.
    Complete,
    /// It was called off before it was paid.
    Cancelled,
    /// Nobody accepted the quote in time.
    Expired,
    /// It was paid and could not be delivered, or was given up: the money went back.
    Refunded,
}

impl OrderState {
    /// Every state.
    pub const ALL: [OrderState; 7] = [
        OrderState::Quote,
        OrderState::Invoiced,
        OrderState::Processing,
        OrderState::Complete,
        OrderState::Cancelled,
        OrderState::Expired,
        OrderState::Refunded,
    ];

    /// The stored and shown word.
    pub fn as_str(self) -> &'static str {
        match self {
            OrderState::Quote => "quote",
            OrderState::Invoiced => "invoiced",
            OrderState::Processing => "processing",
            OrderState::Complete => "complete",
            OrderState::Cancelled => "cancelled",
            OrderState::Expired => "expired",
            OrderState::Refunded => "refunded",
        }
    }
}

impl fmt::Display for OrderState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for OrderState {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        OrderState::ALL
            .into_iter()
            .find(|state| state.as_str() == text)
            .ok_or(UnknownWord {
                noun: "state of an order",
                known: "quote, invoiced, processing, complete, cancelled, expired, refunded",
            })
    }
}

/// A transition of one order. There is no other way to one than through the states below, and the
/// store takes it only where the order still is in the state that it leaves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use = "nothing happens until the store takes it"]
pub struct Transition {
    order: OrderId,
    from: OrderState,
    to: OrderState,
}

impl Transition {
    /// Of which order.
    pub fn order(self) -> OrderId {
        self.order
    }

    /// The state that it leaves.
    pub fn from(self) -> OrderState {
        self.from
    }

    /// The state that it leads to.
    pub fn to(self) -> OrderState {
        self.to
    }
}

macro_rules! state {
    ($(#[$doc:meta])* $name:ident { $($(#[$way_doc:meta])* $way:ident => $to:ident),* $(,)? }) => {
        $(#[$doc])*
        #[derive(PartialEq, Eq, Debug)]
        pub struct $name(OrderId);

        impl $name {
            $($(#[$way_doc])*
            pub fn $way(self) -> Transition {
                Transition {
                    order: self.0,
                    from: OrderState::$name,
                    to: OrderState::$to,
                }
            })*
        }
    };
}

state!(
    /// An order that is a quote.
    Quote {
        /// It is accepted and to be paid by invoice.
        invoice => Invoiced,
        /// It is accepted, and paid or free: it is delivered now.
        begin => Processing,
        /// It is called off.
        cancel => Cancelled,
        /// Its time is over.
        expire => Expired,
    }
);
state!(
    /// An order that waits for its payment.
    Invoiced {
        /// It is paid: it is delivered now.
        paid => Processing,
        /// It is called off.
        cancel => Cancelled,
    }
);
state!(
    /// An order that is being paid and delivered.
    Processing {
        /// All of it is delivered.
        complete => Complete,
        /// The charge was refused, and nothing was delivered: it is paid by invoice.
        fall_back => Invoiced,
        /// The charge was refused, and there is no other way to pay it: nothing has happened.
        give_back => Quote,
        /// It cannot be delivered: what was is taken back, and the money returned.
        refund => Refunded,
    }
);
state!(
    /// An order all of which is delivered.
    Complete {
        /// It is given up, and the money returned.
        refund => Refunded,
    }
);

/// An order in its present state.
#[derive(PartialEq, Eq, Debug)]
pub enum Standing {
    /// See [`OrderState::Quote`].
    Quote(Quote),
    /// See [`OrderState::Invoiced`].
    Invoiced(Invoiced),
    /// See [`OrderState::Processing`].
    Processing(Processing),
    /// See [`OrderState::Complete`].
    Complete(Complete),
    /// Nothing can become of it: cancelled, expired or refunded.
    Over(OrderState),
}

impl Standing {
    /// An order that was read in this state.
    pub fn of(order: OrderId, state: OrderState) -> Self {
        match state {
            OrderState::Quote => Standing::Quote(Quote(order)),
            OrderState::Invoiced => Standing::Invoiced(Invoiced(order)),
            OrderState::Processing => Standing::Processing(Processing(order)),
            OrderState::Complete => Standing::Complete(Complete(order)),
            over => Standing::Over(over),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Timestamp;

    #[test]
    fn states_read_back_as_they_are_written() {
        for state in OrderState::ALL {
            assert_eq!(state.as_str().parse(), Ok(state));
        }
    }

    #[test]
    fn a_transition_says_what_it_leaves_and_where_it_leads() {
        let id = OrderId::new(Timestamp::from_unix_s(1), [1; 10]);
        let Standing::Quote(quote) = Standing::of(id, OrderState::Quote) else {
            panic!("a quote");
        };
        let begun = quote.begin();
        assert_eq!(
            (begun.from(), begun.to()),
            (OrderState::Quote, OrderState::Processing)
        );
        assert_eq!(
            Standing::of(id, OrderState::Expired),
            Standing::Over(OrderState::Expired)
        );
    }
}
