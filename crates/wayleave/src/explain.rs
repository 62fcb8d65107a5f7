//! `wayleave explain`: why a signed request is refused, without a server.

use std::fmt::Write as _;

use http::{Method, Uri};
use serde_json::json;
use wayleave_engine::Clock;
use wayleave_protocol::http_date;
use wayleave_protocol::signed::{self, SignedRequest, TimestampError};

use crate::ports::SystemClock;

/// A signed request as it was sent, and what is known about its signing.
pub struct ExplainSettings {
    /// The method, as sent.
    pub method: Method,
    /// The address: whole, or its path and query.
    pub address: Uri,
    /// The `Timestamp` header.
    pub timestamp: String,
    /// The `Authentication` header.
    pub authentication: String,
    /// The secret, where the signature is to be checked.
    pub secret_key: Option<String>,
    /// The string that the client signed; line feeds may be written as `\n`.
    pub base_string: Option<String>,
    /// The body, where it is a form.
    pub form_body: Option<String>,
    /// Print JSON instead of text.
    pub json: bool,
}

/// What is to be printed, and whether the request would be proven by what was given.
pub struct Explained {
    /// The text.
    pub text: String,
    /// Whether nothing speaks against the request.
    pub is_good: bool,
}

/// Explains.
pub fn explain(settings: &ExplainSettings) -> Result<Explained, Box<dyn std::error::Error>> {
    let request = SignedRequest {
        method: settings.method.as_str(),
        paths: &[settings.address.path()],
        query: settings.address.query(),
        timestamp: settings.timestamp.trim(),
        form_body: settings.form_body.as_deref().map(str::as_bytes),
    };
    let base_strings = signed::base_strings(&request)
        .map_err(|error| format!("the server answers 400: {error}"))?;
    let presented = signed::parse_authentication(settings.authentication.as_bytes());
    let clock = signed::check_timestamp(request.timestamp, SystemClock.now().unix_s());
    let signature = match (&presented, &settings.secret_key) {
        (Some(presented), Some(secret)) => {
            Some(signed::verify(&request, &presented.signature, secret.as_bytes()) == Ok(true))
        }
        _ => None,
    };
    let claimed = settings
        .base_string
        .as_deref()
        .map(|text| text.replace("\\n", "\n"));
    let difference = claimed.as_deref().and_then(|claimed| {
        let differences = base_strings
            .iter()
            .map(|ours| signed::first_difference(ours, claimed));
        // A string that is one of ours has no difference at all.
        let all: Option<Vec<_>> = differences.collect();
        all?.into_iter().max_by_key(|difference| difference.at_byte)
    });
    let findings = Findings {
        form: presented.is_some(),
        clock: clock_finding(clock),
        signature,
        base_strings,
        agrees: claimed.as_ref().map(|_| difference.is_none()),
        difference: difference.map(|difference| {
            format!(
                "byte {}, line {}: the server builds \"{}\", the client signed \"{}\"",
                difference.at_byte, difference.line, difference.ours, difference.theirs
            )
        }),
    };
    let text = if settings.json {
        findings.json()
    } else {
        findings.text()
    };
    Ok(Explained {
        text,
        is_good: findings.is_good(),
    })
}

struct Findings {
    form: bool,
    clock: Result<(), String>,
    signature: Option<bool>,
    base_strings: Vec<String>,
    agrees: Option<bool>,
    difference: Option<String>,
}

fn clock_finding(clock: Result<(), TimestampError>) -> Result<(), String> {
    clock.map_err(|error| match error {
        TimestampError::NotRfc1123 => {
            "the Timestamp header is not of the form Tue, 16 Mar 2027 10:20:28 GMT, or its weekday is wrong".to_owned()
        }
        TimestampError::OutsideWindow { skew_s } => {
            let now = http_date::format(SystemClock.now().unix_s());
            format!("the Timestamp header is {} s {} this machine's clock ({now}); {} s are allowed",
                skew_s.unsigned_abs(), if skew_s > 0 { "ahead of" } else { "behind" }, signed::WINDOW_S)
        }
    })
}

impl Findings {
    fn is_good(&self) -> bool {
        self.form
            && self.clock.is_ok()
            && self.signature != Some(false)
            && self.agrees != Some(false)
    }

    fn text(&self) -> String {
        let mut text = String::new();
        let _ = writeln!(
            text,
            "header     {}",
            if self.form {
                "reads as <access key>:<base64 of 32 bytes>"
            } else {
                "does not read as <access key>:<base64 of 32 bytes>"
            }
        );
        let _ = writeln!(
            text,
            "clock      {}",
            self.clock
                .as_ref()
                .map_or_else(String::as_str, |()| "within the allowed window")
        );
        let _ = writeln!(
            text,
            "signature  {}",
            match self.signature {
                Some(true) => "is right",
                Some(false) => "is not one of this request under this secret",
                None => "not checked: give the secret in WAYLEAVE_SECRET or --secret-file",
            }
        );
        match (&self.difference, self.agrees) {
            (Some(difference), _) => {
                let _ = writeln!(text, "string     differs first at {difference}");
            }
            (None, Some(true)) => text.push_str("string     is what the server builds\n"),
            _ => {}
        }
        for (place, base) in self.base_strings.iter().enumerate() {
            let title = if place == 0 {
                "The string to sign"
            } else {
                "Also accepted"
            };
            let _ = writeln!(text, "\n{title}:\n{}", base.escape_debug());
        }
        text
    }

    fn json(&self) -> String {
        let body = json!({
            "header_reads": self.form,
            "clock": self.clock.as_ref().err(),
            "signature_is_right": self.signature,
            "base_strings": self.base_strings,
            "first_difference": self.difference,
            "good": self.is_good(),
        });
        format!("{body}\n")
    }
}
