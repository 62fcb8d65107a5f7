use std::fmt;
use std::str::FromStr;

use crate::Timestamp;

/// Crockford's base 32 in lower case: no i, l, o, u.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
/// 128 bits need 26 symbols of 5 bits.
const TEXT_LENGTH: usize = 26;
/// What an id begins with: three letters and a low line.
const PREFIX_LENGTH: usize = 4;
/// In [`VALUES`]: not in the alphabet.
const NO_SYMBOL: u8 = 255;
/// What each byte counts as a symbol. A table, since millions of ids are read at a start.
const VALUES: [u8; 256] = values();

const fn values() -> [u8; 256] {
    let mut values = [NO_SYMBOL; 256];
    let mut value = 0;
    while value < ALPHABET.len() {
        values[ALPHABET[value] as usize] = value as u8;
        value += 1;
    }
    values
}

/// A text that is not an id of the wanted type.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct IdError {
    /// What the id must begin with, such as `ptr_`.
    pub prefix: &'static str,
}

impl fmt::Display for IdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "not an id of this type: it begins with {} and has {TEXT_LENGTH} more letters and digits",
            self.prefix
        )
    }
}

impl std::error::Error for IdError {}

/// 48 bits of milliseconds, then 80 random bits: ids sort by the time they were made.
fn compose(at: Timestamp, random: [u8; 10]) -> [u8; 16] {
    let ms = u64::try_from(at.micros() / 1000).unwrap_or(0);
    let mut bytes = [0; 16];
    bytes[..6].copy_from_slice(&ms.to_be_bytes()[2..]);
    bytes[6..].copy_from_slice(&random);
    bytes
}

/// Writes an id in one piece: ids go along with every request.
fn encode(prefix: &str, bytes: [u8; 16], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let number = u128::from_be_bytes(bytes);
    let mut text = [0; PREFIX_LENGTH + TEXT_LENGTH];
    text[..PREFIX_LENGTH].copy_from_slice(prefix.as_bytes());
    for (place, symbol) in text[PREFIX_LENGTH..].iter_mut().enumerate() {
        let shift = 5 * (TEXT_LENGTH - 1 - place);
        *symbol = ALPHABET[((number >> shift) & 31) as usize];
    }
    f.write_str(std::str::from_utf8(&text).map_err(|_| fmt::Error)?)
}

fn decode(text: &str) -> Option<[u8; 16]> {
    let symbols = text.as_bytes();
    if symbols.len() != TEXT_LENGTH || symbols[0] > b'7' {
        return None;
    }
    let mut number: u128 = 0;
    for symbol in symbols {
        let value = VALUES[usize::from(*symbol)];
        if value == NO_SYMBOL {
            return None;
        }
        number = (number << 5) | u128::from(value);
    }
    Some(number.to_be_bytes())
}

macro_rules! typed_id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; 16]);

        impl $name {
            /// What the text form begins with.
            pub const PREFIX: &'static str = $prefix;

            /// A new id from the time and 80 random bits.
            pub fn new(at: Timestamp, random: [u8; 10]) -> Self {
                Self(compose(at, random))
            }

            /// The id of a number that [`Self::number`] gave.
            pub fn from_number(number: u128) -> Self {
                Self(number.to_be_bytes())
            }

            /// The id as a number, for tables in memory.
            pub fn number(self) -> u128 {
                u128::from_be_bytes(self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                encode($prefix, self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                text.strip_prefix($prefix)
                    .and_then(decode)
                    .map(Self)
                    .ok_or(IdError { prefix: $prefix })
            }
        }
    };
}

typed_id!(
    /// A company that the operator has admitted.
    PartnerId,
    "ptr_"
);
typed_id!(
    /// A named client program of a partner.
    IntegrationId,
    "int_"
);
typed_id!(
    /// A public id with one or more secrets.
    CredentialId,
    "crd_"
);
typed_id!(
    /// A content site that belongs to a partner.
    PropertyId,
    "prp_"
);
typed_id!(
    /// One secret of a credential.
    SecretId,
    "sct_"
);

typed_id!(
    /// A client company of a partner.
    CustomerId,
    "cus_"
);
typed_id!(
    /// A quote and the order that it becomes.
    OrderId,
    "ord_"
);
typed_id!(
    /// A hosted instance.
    InstanceId,
    "ins_"
);
typed_id!(
    /// A pool of licences.
    PoolId,
    "pol_"
);
typed_id!(
    /// A device that uses a licence.
    DeviceId,
    "dev_"
);
typed_id!(
    /// A term of a plan.
    PlanTermId,
    "plt_"
);
typed_id!(
    /// Something that is to be done later, once.
    JobId,
    "job_"
);
typed_id!(
    /// A payment that is or was attempted.
    ChargeId,
    "chg_"
);
typed_id!(
    /// A page of a property.
    ResourceId,
    "rsc_"
);
typed_id!(
    /// A message in the pretended mailbox.
    MailId,
    "eml_"
);
typed_id!(
    /// A person who visits a property. The content dialect writes it as a GUID.
    ReaderId,
    "rdr_"
);
typed_id!(
    /// A page that a reader has bought.
    PurchaseId,
    "pur_"
);
typed_id!(
    /// Somebody whose subscription is kept elsewhere.
    SubscriberId,
    "sub_"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_back_as_itself() {
        let id = PartnerId::new(Timestamp::from_unix_s(1_800_000_000), [255; 10]);
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(id.to_string().len(), "ptr_".len() + TEXT_LENGTH);
    }

    #[test]
    fn ids_sort_by_time() {
        let early = CredentialId::new(Timestamp::from_unix_s(1), [255; 10]);
        let late = CredentialId::new(Timestamp::from_unix_s(2), [0; 10]);
        assert!(early < late && early.to_string() < late.to_string());
    }

    #[test]
    fn an_id_of_another_type_or_with_other_letters_is_refused() {
        let id = PartnerId::new(Timestamp::from_unix_s(1), [7; 10]).to_string();
        assert!(id.parse::<CredentialId>().is_err());
        assert!(id.to_uppercase().parse::<PartnerId>().is_err());
        assert!(
            "ptr_zzzzzzzzzzzzzzzzzzzzzzzzzz"
                .parse::<PartnerId>()
                .is_err(),
            "over 128 bits"
        );
        assert!("ptr_".parse::<PartnerId>().is_err());
        for stranger in ["i", "l", "o", "u", "-", "_"] {
            let text = format!("ptr_{}{stranger}", "0".repeat(25));
            assert!(text.parse::<PartnerId>().is_err(), "{text}");
        }
    }
}
