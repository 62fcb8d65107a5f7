use wayleave_protocol::http_date;
use wayleave_protocol::signed::{self, Difference};

use crate::authenticate::{read_timestamp, signed_request};
use crate::engine::Engine;
use crate::{Evidence, Unproven};

/// Why a signed request was refused, for the person who writes the client.
///
/// Made in the test environment only. It holds nothing but what the client sent and the clock:
/// neither the secret nor what a right signature would have been.
#[derive(Clone, Debug)]
pub struct Explanation {
    /// The reason in words.
    pub reason: String,
    /// The server's clock, in the form of the `Timestamp` header.
    pub server_time: String,
    /// The strings that a signature of this request may have been made over, the documented
    /// reading first. Empty where the request cannot be read unambiguously.
    pub base_strings: Vec<String>,
    /// Where the string that the client says it signed first differs from the nearest of ours.
    pub difference: Option<Difference>,
    /// What to do next.
    pub hint: &'static str,
}

impl Engine {
    /// Explains a refusal of signed evidence; `None` where the evidence was no signature.
    pub fn explain(&self, evidence: &Evidence<'_>, refusal: &Unproven) -> Option<Explanation> {
        if let Some(message) = &evidence.message {
            return Some(self.explain_message(message, evidence, refusal));
        }
        evidence.authentication?;
        let timestamp = read_timestamp(evidence).unwrap_or_default();
        let base_strings =
            signed::base_strings(&signed_request(evidence, timestamp)).unwrap_or_default();
        let claimed = evidence.claimed_base_string.map(read_claimed);
        Some(Explanation {
            reason: refusal.to_string(),
            server_time: http_date::format(self.now().unix_s()),
            difference: claimed.and_then(|claimed| nearest_difference(&base_strings, &claimed)),
            base_strings,
            hint: hint(refusal, evidence.claimed_base_string.is_some()),
        })
    }
}

/// A base string in a header: line feeds are written as the two characters `\n`.
pub(crate) fn read_claimed(value: &[u8]) -> String {
    String::from_utf8_lossy(value).replace("\\n", "\n")
}

/// The difference from the candidate that agrees longest; none where one agrees wholly.
pub(crate) fn nearest_difference(base_strings: &[String], claimed: &str) -> Option<Difference> {
    let mut nearest: Option<Difference> = None;
    for ours in base_strings {
        let difference = signed::first_difference(ours, claimed)?;
        if nearest
            .as_ref()
            .is_none_or(|held| held.at_byte < difference.at_byte)
        {
            nearest = Some(difference);
        }
    }
    nearest
}

fn hint(refusal: &Unproven, claimed: bool) -> &'static str {
    match refusal {
        Unproven::Mismatch if claimed => {
            "where no difference is shown the strings agree, so the secret differs: sign with the secret's UTF-8 text as it was given, not decoded"
        }
        Unproven::Mismatch => {
            "compare these base strings with the string that you signed, or send yours in the header Wayleave-Base-String (line feeds as \\n) and see the first difference"
        }
        Unproven::Timestamp(_) | Unproven::NoTimestamp => {
            "send the time of signing in UTC, in the form of the server's time here, and sign that very text"
        }
        Unproven::UnknownKey => {
            "the access key is not known in this environment: live and test have keys of their own"
        }
        Unproven::Revoked => "ask for a new key set: this one was revoked",
        _ => "send Authentication: <access key>:<base64 of the HMAC-SHA256>, and Timestamp",
    }
}
