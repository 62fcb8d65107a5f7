//! Signs requests as the signed scheme wants them: `Authentication` and `Timestamp`.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// The present second since 1970.
pub(crate) fn seconds_now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap_or_default().as_secs()
}

/// The present moment in the form of a `Timestamp` header.
pub(crate) fn timestamp_now() -> String {
    timestamp(seconds_now())
}

/// A moment, in seconds since 1970, as `Tue, 16 Mar 2027 10:20:28 GMT`.
fn timestamp(seconds: u64) -> String {
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = date(days);
    format!(
        "{}, {day:02} {} {year} {:02}:{:02}:{:02} GMT",
        DAYS[(days % 7) as usize],
        MONTHS[month],
        second / 3600,
        second / 60 % 60,
        second % 60,
    )
}

/// Year, month from 0 and day from 1 of a number of days since 1970.
fn date(mut days: u64) -> (u64, usize, u64) {
    let mut year = 1970;
    while days >= year_length(year) {
        days -= year_length(year);
        year += 1;
    }
    let february = if year_length(year) == 366 { 29 } else { 28 };
    let lengths = [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 0;
    while days >= lengths[month] {
        days -= lengths[month];
        month += 1;
    }
    (year, month, days + 1)
}

fn year_length(year: u64) -> u64 {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    if leap { 366 } else { 365 }
}

/// The signature of a request whose path and query need no decoding and no sorting.
pub(crate) fn signature(
    secret: &str,
    method: &str,
    timestamp: &str,
    path: &str,
    query: &str,
) -> Result<String, String> {
    let (path, query) = (path.to_ascii_lowercase(), query.to_ascii_lowercase());
    mac(secret, &format!("{method}\n{timestamp}\n{path}\n{query}"))
}

/// `Signature-Input` and `Signature` of a `GET` without a body, by RFC 9421 with `hmac-sha256`, as
/// header lines.
pub(super) fn message_signature(
    key_id: &str,
    secret: &str,
    uri: &str,
    created: u64,
    nonce: u64,
) -> Result<String, String> {
    let parameters = format!(
        "(\"@method\" \"@target-uri\");created={created};nonce=\"{nonce:016x}\";keyid=\"{key_id}\""
    );
    let base =
        format!("\"@method\": GET\n\"@target-uri\": {uri}\n\"@signature-params\": {parameters}");
    let signature = mac(secret, &base)?;
    Ok(format!(
        "Signature-Input: sig={parameters}\r\nSignature: sig=:{signature}:\r\n"
    ))
}

fn mac(secret: &str, text: &str) -> Result<String, String> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes())
        .map_err(|_| "a secret that HMAC cannot take")?;
    mac.update(text.as_bytes());
    Ok(STANDARD.encode(mac.finalize().into_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_written_as_http_dates() {
        assert_eq!(timestamp(0), "Thu, 01 Jan 1970 00:00:00 GMT");
        assert_eq!(timestamp(951_782_400), "Tue, 29 Feb 2000 00:00:00 GMT");
        assert_eq!(timestamp(1_805_192_428), "Tue, 16 Mar 2027 10:20:28 GMT");
        assert_eq!(timestamp(1_798_761_599), "Thu, 31 Dec 2026 23:59:59 GMT");
        assert_eq!(timestamp(4_107_542_400), "Mon, 01 Mar 2100 00:00:00 GMT");
    }

    /// Vectors v01 and v03 of the scheme.
    #[test]
    fn requests_are_signed_as_in_the_vectors() {
        let sign = |path, query| {
            let secret = "mgmt-3Kq9vZt2Lx7Rb5Yw8Nd4Hs6Jf1Pc0Gu";
            signature(secret, "GET", "Tue, 16 Mar 2027 10:20:28 GMT", path, query).unwrap()
        };
        let property = "/api/Property/C4F1E2D3-9A8B-4C7D-8E6F-102938475665";
        assert_eq!(
            sign(property, ""),
            "9etxT3R1yrZDVuFc7Opdm6qcyLk6pE8EM6tB1dDmbN0="
        );
        assert_eq!(
            sign(
                &format!("{property}/Resource/Story-0042"),
                "includePropertyData=true"
            ),
            "G0nRxXo9T0SRoFFLMz8YSh3WMXxWt5XL6xHFvMJFUoY=",
        );
    }
}
