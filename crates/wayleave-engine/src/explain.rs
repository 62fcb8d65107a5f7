use wayleave_protocol::signed::{self, Difference};
use wayleave_protocol::{http_date, iso8601};

use crate::authenticate::{read_timestamp, signed_request};
use crate::engine::Engine;
use crate::{Evidence, Unproven, described, sigv4};

/// Why a signed request was refused, for the person who writes the client.
///
/// Made in the test environment only. It holds nothing but what the client sent and the clock:
/// neither the secret nor what a right signature would have been.
#[derive(Clone, Debug)]
pub struct Explanation {
    /// The reason in words.
    pub reason: String,
    /// The server's clock, in the form that the scheme has for the time of signing.
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
        if let Some(message) = &evidence.message
            && evidence.described.is_none()
            && evidence.authorization.is_none()
        {
            return Some(self.explain_message(message, evidence, refusal));
        }
        let (base_strings, server_time) = self.signed_strings(evidence)?;
        let claimed = evidence.claimed_base_string.map(read_claimed);
        Some(Explanation {
            reason: refusal.to_string(),
            server_time,
            difference: claimed.and_then(|claimed| nearest_difference(&base_strings, &claimed)),
            base_strings,
            hint: hint(refusal, evidence),
        })
    }

    /// The strings that may have been signed, and the clock as the scheme writes it; `None` where the
    /// evidence is no signature, or one over the message that names its parts itself.
    fn signed_strings(&self, evidence: &Evidence<'_>) -> Option<(Vec<String>, String)> {
        let now_s = self.now().unix_s();
        if let Some(message) = &evidence.message {
            return match (evidence.described, evidence.authorization) {
                (Some(scheme), _) => Some((
                    described::signed_strings(evidence, message, scheme),
                    scheme.time_form().format(now_s.saturating_mul(1000)),
                )),
                (None, Some(authorization)) => Some((
                    sigv4::signed_strings(evidence, message, authorization),
                    iso8601::format_basic(now_s),
                )),
                (None, None) => None,
            };
        }
        evidence.authentication?;
        let timestamp = read_timestamp(evidence).unwrap_or_default();
        let base_strings = signed::base_strings(&signed_request(evidence, timestamp));
        Some((base_strings.unwrap_or_default(), http_date::format(now_s)))
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

fn hint(refusal: &Unproven, evidence: &Evidence<'_>) -> &'static str {
    match refusal {
        Unproven::Mismatch if evidence.claimed_base_string.is_some() => {
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
        Unproven::Replayed | Unproven::SignedBeforeStart => {
            "sign each request anew with the present time: at this address a signature counts once"
        }
        _ if evidence.described.is_some() => {
            "sign the text that the operator describes for this address, and send key id, signature and time as described"
        }
        _ if evidence.message.is_some() => {
            "sign as AWS Signature Version 4 says, with host and every X-Amz- header among the SignedHeaders"
        }
        _ => "send Authentication: <access key>:<base64 of the HMAC-SHA256>, and Timestamp",
    }
}
