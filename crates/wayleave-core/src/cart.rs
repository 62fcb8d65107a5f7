//! What a partner asks for: the lines of a cart, before they have a price.

use serde::{Deserialize, Serialize};

use crate::{CalendarPeriod, Expiration, ProductNumber};

/// The most units of anything in one line.
pub const MOST_UNITS: u32 = 100_000;
/// The most lines of a cart.
pub const MOST_LINES: usize = 100;

/// For whom a line is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Recipient {
    /// The partner itself.
    Own,
    /// One of its customers, by number.
    Customer(i64),
    /// One of its customers, by the partner's own reference; made with this name where the reference
    /// is new.
    Reference {
        /// The partner's own id of the customer, unique for the partner.
        reference: String,
        /// The name of a customer that is made; one that is there keeps its own.
        name: String,
    },
}

/// A line of a cart.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CartLine {
    /// For whom it is.
    pub recipient: Recipient,
    /// Which product.
    pub product: ProductNumber,
    /// How it is to be.
    pub details: LineDetails,
}

/// How a product is to be. Stored with its order as JSON.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize, Serialize)]
#[serde(tag = "is", rename_all = "kebab-case")]
pub enum LineDetails {
    /// Licences in a new pool or the pool of this address.
    Licences {
        /// To whom they are sent.
        email: String,
        /// Of which version; the newest where nothing is said.
        version: Option<String>,
        /// How many.
        count: u32,
    },
    /// The newest version for licences of a pool.
    Upgrade {
        /// The number of the pool.
        pool: i64,
        /// For how many licences.
        count: u32,
    },
    /// A new instance.
    NewInstance(NewInstance),
    /// Other displays for an instance that is there, or a demonstration that becomes a paid one.
    ChangeInstance {
        /// The number of the instance.
        instance: i64,
        /// How many displays it is to have then.
        displays: u32,
    },
    /// One more term for an instance that is there, with the displays that it has.
    RenewInstance {
        /// The number of the instance.
        instance: i64,
    },
    /// A page, for a reader.
    Page {
        /// Its id.
        resource: String,
        /// Its key, for people.
        key: String,
        /// How long it is the reader's.
        expiration: Expiration,
    },
    /// One period of a subscription, for a reader.
    Subscription {
        /// The GUID of its group.
        group: String,
        /// The key of its group, for people.
        key: String,
        /// How long it lasts.
        period: CalendarPeriod,
    },
    /// A plan.
    Plan {
        /// For how many months at a time.
        months: u32,
        /// Whether it goes on after its term.
        renews: bool,
    },
}

/// How a new instance is to be; what is not chosen is the first or the newest there is.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize, Serialize)]
pub struct NewInstance {
    /// Its name, which is also its host label.
    pub account_name: String,
    /// How many displays it may serve.
    pub displays: u32,
    /// Whether it is paid by the month instead of by the year.
    pub is_monthly: bool,
    /// Whether it goes on after its term.
    pub renews: bool,
    /// The number of its region.
    pub region: Option<u32>,
    /// The number of its domain.
    pub domain: Option<u32>,
    /// The number of its theme.
    pub theme: Option<u32>,
    /// The number of its version.
    pub version: Option<u32>,
}

/// Why the name of an instance cannot be one: it becomes the first label of a host
/// (RFC 1123 section 2.1).
pub fn check_account_name(name: &str) -> Result<(), &'static str> {
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    if !(3..=50).contains(&name.len()) || !name.bytes().all(is_letter) {
        Err("a name has 3 to 50 letters, digits and hyphens")
    } else if name.starts_with('-') || name.ends_with('-') {
        Err("a name neither begins nor ends with a hyphen")
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_an_instance_is_a_host_label() {
        for name in ["api", "apiX1y2Z", "a-b", &"n".repeat(50)] {
            assert_eq!(check_account_name(name), Ok(()), "{name}");
        }
        for name in ["", "ab", "a_b", "a b", "-ab", "ab-", "ä12", &"n".repeat(51)] {
            assert!(check_account_name(name).is_err(), "{name}");
        }
    }
}
