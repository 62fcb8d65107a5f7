//! Money: whole minor units of a currency, never a fraction and never without its currency.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Currencies of ISO 4217 with two digits after the point; the others are below.
const TWO_DIGITS: &str = "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CNY COP CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD UYU UZS VES WST XCD YER ZAR ZMW";
const NO_DIGITS: &str = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF";
const THREE_DIGITS: &str = "BHD IQD JOD KWD LYD OMR TND";
/// The most minor units that an amount may have: what a JSON number carries exactly is more.
const MOST_MINOR: i64 = 1_000_000_000_000;

/// A currency of ISO 4217. In JSON it is its code.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Currency([u8; 3]);

/// Money that cannot be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MoneyError {
    /// No code of ISO 4217 in capital letters.
    Currency,
    /// Two currencies were to be added.
    TwoCurrencies,
    /// More than 10¹² minor units.
    TooMuch,
}

impl fmt::Display for MoneyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            MoneyError::Currency => "not a currency of ISO 4217, such as EUR",
            MoneyError::TwoCurrencies => "amounts of two currencies cannot be added",
            MoneyError::TooMuch => "an amount has at most 10^12 minor units",
        })
    }
}

impl std::error::Error for MoneyError {}

impl Currency {
    /// The dollar of the United States, in which readers pay.
    pub const USD: Currency = Currency(*b"USD");

    /// The code of ISO 4217.
    pub fn code(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// How many digits stand after the point.
    pub fn digits(self) -> u32 {
        let is_in = |list: &str| list.split(' ').any(|code| code == self.code());
        match () {
            () if is_in(NO_DIGITS) => 0,
            () if is_in(THREE_DIGITS) => 3,
            () => 2,
        }
    }

    /// What people write before an amount; the code where there is no usual sign.
    pub fn symbol(&self) -> &str {
        match self.code() {
            "GBP" => "£",
            "EUR" => "€",
            "USD" => "$",
            "JPY" | "CNY" => "¥",
            "INR" => "₹",
            code => code,
        }
    }
}

impl FromStr for Currency {
    type Err = MoneyError;

    fn from_str(text: &str) -> Result<Self, MoneyError> {
        let mut known = [TWO_DIGITS, NO_DIGITS, THREE_DIGITS]
            .into_iter()
            .flat_map(|list| list.split(' '));
        let bytes: [u8; 3] = text
            .as_bytes()
            .try_into()
            .map_err(|_| MoneyError::Currency)?;
        known
            .any(|code| code == text)
            .then_some(Currency(bytes))
            .ok_or(MoneyError::Currency)
    }
}

impl TryFrom<String> for Currency {
    type Error = MoneyError;

    fn try_from(text: String) -> Result<Self, MoneyError> {
        text.parse()
    }
}

impl From<Currency> for String {
    fn from(currency: Currency) -> String {
        currency.code().to_owned()
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// An amount of money: at most 10¹² minor units, in either direction.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Money {
    minor: i64,
    currency: Currency,
}

impl Money {
    /// So many minor units (cents, pence, fils) of a currency.
    pub fn new(minor: i64, currency: Currency) -> Result<Self, MoneyError> {
        if minor.unsigned_abs() <= MOST_MINOR.unsigned_abs() {
            Ok(Money { minor, currency })
        } else {
            Err(MoneyError::TooMuch)
        }
    }

    /// Nothing.
    pub fn zero(currency: Currency) -> Self {
        Money { minor: 0, currency }
    }

    /// In minor units.
    pub fn minor(self) -> i64 {
        self.minor
    }

    /// Of which currency.
    pub fn currency(self) -> Currency {
        self.currency
    }

    /// Whether there is nothing to pay.
    pub fn is_zero(self) -> bool {
        self.minor == 0
    }

    /// Both together.
    pub fn plus(self, other: Money) -> Result<Self, MoneyError> {
        if self.currency != other.currency {
            return Err(MoneyError::TwoCurrencies);
        }
        Money::new(self.minor + other.minor, self.currency)
    }

    /// This without the other.
    pub fn minus(self, other: Money) -> Result<Self, MoneyError> {
        let negative = Money {
            minor: -other.minor,
            ..other
        };
        self.plus(negative)
    }

    /// So many times as much.
    pub fn times(self, count: u32) -> Result<Self, MoneyError> {
        let minor = self.minor.checked_mul(i64::from(count));
        Money::new(minor.ok_or(MoneyError::TooMuch)?, self.currency)
    }

    /// A part in ten thousand, such as 2000 for a tax of 20 %; halves are rounded away from zero.
    pub fn share(self, basis_points: u32) -> Result<Self, MoneyError> {
        let product = i128::from(self.minor) * i128::from(basis_points);
        let rounded = (product + product.signum() * 5_000) / 10_000;
        let minor = i64::try_from(rounded).map_err(|_| MoneyError::TooMuch)?;
        Money::new(minor, self.currency)
    }
}

impl fmt::Display for Money {
    /// The number alone, with as many digits after the point as the currency has.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.minor < 0 { "-" } else { "" };
        let digits = self.currency.digits();
        let unit = 10_u64.pow(digits);
        let minor = self.minor.unsigned_abs();
        match digits {
            0 => write!(f, "{sign}{minor}"),
            digits => write!(
                f,
                "{sign}{}.{:0width$}",
                minor / unit,
                minor % unit,
                width = digits as usize
            ),
        }
    }
}

impl fmt::Debug for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self} {}", self.currency)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn currency(code: &str) -> Currency {
        code.parse().expect("a currency")
    }

    fn money(minor: i64, code: &str) -> Money {
        Money::new(minor, currency(code)).expect("money")
    }

    #[test]
    fn amounts_have_the_digits_of_their_currency() {
        assert_eq!(money(1_205, "EUR").to_string(), "12.05");
        assert_eq!(money(1_205, "JPY").to_string(), "1205");
        assert_eq!(money(1_205, "KWD").to_string(), "1.205");
        assert_eq!(money(-5, "GBP").to_string(), "-0.05");
        assert!("eur".parse::<Currency>().is_err() && "XXX".parse::<Currency>().is_err());
    }

    #[test]
    fn amounts_of_two_currencies_are_never_added() {
        let sum = money(1, "EUR").plus(money(1, "USD"));
        assert_eq!(sum, Err(MoneyError::TwoCurrencies));
        assert_eq!(money(3, "EUR").minus(money(1, "EUR")), Ok(money(2, "EUR")));
    }

    #[test]
    fn nothing_overflows() {
        let most = money(MOST_MINOR, "EUR");
        assert_eq!(most.plus(money(1, "EUR")), Err(MoneyError::TooMuch));
        assert_eq!(most.times(u32::MAX), Err(MoneyError::TooMuch));
        assert_eq!(most.share(u32::MAX), Err(MoneyError::TooMuch));
        assert_eq!(
            Money::new(i64::MIN, currency("EUR")),
            Err(MoneyError::TooMuch)
        );
    }

    #[test]
    fn a_share_is_rounded_half_away_from_zero() {
        for (minor, share) in [(25, 5), (24, 5), (22, 4), (-25, -5), (0, 0), (3, 1), (2, 0)] {
            assert_eq!(money(minor, "EUR").share(2_000), Ok(money(share, "EUR")));
        }
        // 12.5 and 13.5 hundredths.
        assert_eq!(money(5, "EUR").share(1_000), Ok(money(1, "EUR")));
    }

    const CODES: [&str; 5] = ["EUR", "GBP", "USD", "JPY", "KWD"];

    fn any_money() -> impl Strategy<Value = Money> {
        (-MOST_MINOR..=MOST_MINOR, 0..CODES.len())
            .prop_map(|(minor, code)| money(minor, CODES[code]))
    }

    /// The minor units of an amount as it is written.
    fn read_back(amount: Money) -> i64 {
        let text = amount.to_string();
        let (whole, part) = text.split_once('.').unwrap_or((&text, ""));
        assert_eq!(part.len(), amount.currency().digits() as usize, "{text}");
        format!("{whole}{part}").parse().expect("digits")
    }

    proptest! {
        #[test]
        fn what_is_added_is_taken_away_again_and_nothing_wraps(one in any_money(), other in any_money()) {
            match one.plus(other) {
                Ok(sum) => {
                    prop_assert_eq!(sum.minor(), one.minor() + other.minor());
                    prop_assert_eq!(sum.minus(other), Ok(one));
                }
                Err(MoneyError::TwoCurrencies) => prop_assert_ne!(one.currency(), other.currency()),
                Err(_) => prop_assert!((one.minor() + other.minor()).abs() > MOST_MINOR),
            }
        }

        #[test]
        fn so_many_times_is_so_many_sums(amount in -1_000_000_i64..1_000_000, count in 0_u32..100) {
            let one = money(amount, "EUR");
            let mut sum = money(0, "EUR");
            for _ in 0..count {
                sum = sum.plus(one).expect("a small sum");
            }
            prop_assert_eq!(one.times(count), Ok(sum));
        }

        #[test]
        fn any_product_is_exact_or_refused(one in any_money(), count in any::<u32>()) {
            let exact = i128::from(one.minor()) * i128::from(count);
            match one.times(count) {
                Ok(product) => prop_assert_eq!(i128::from(product.minor()), exact),
                Err(error) => {
                    prop_assert_eq!(error, MoneyError::TooMuch);
                    prop_assert!(exact.unsigned_abs() > MOST_MINOR.unsigned_abs().into());
                }
            }
        }

        #[test]
        fn a_share_is_off_by_half_a_unit_at_most(one in any_money(), points in 0_u32..=10_000) {
            let share = one.share(points).expect("no more than the whole");
            let exact = i128::from(one.minor()) * i128::from(points);
            let off = i128::from(share.minor()) * 10_000 - exact;
            prop_assert!(off.abs() <= 5_000, "{} of {:?} is {:?}", points, one, share);
            prop_assert!(share.minor().abs() <= one.minor().abs());
        }

        #[test]
        fn an_amount_is_written_so_that_it_reads_back(one in any_money()) {
            prop_assert_eq!(read_back(one), one.minor());
        }
    }
}
