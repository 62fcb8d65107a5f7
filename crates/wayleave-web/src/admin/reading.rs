//! How bodies and queries of the admin API are read: every member and parameter is used up, and
//! what is unknown is refused.

use std::str::FromStr;
use std::time::Duration;

use hyper::body::Incoming;
use serde_json::{Map, Value, json};
use wayleave_core::Timestamp;
use wayleave_protocol::form;
use wayleave_protocol::json as strict_json;
use wayleave_protocol::secret::name_in_message;

use crate::answer::{self, Answer};
use crate::fault::Fault;
use crate::request::read_body;

/// Enough for a thousand imported credentials.
pub(super) const BODY_LIMIT_BYTES: usize = 1024 * 1024;
const OF_SECONDS: &str = " of seconds";
/// How many objects a page holds, and may hold.
const USUAL_PAGE: i64 = 100;
const LARGEST_PAGE: i64 = 1_000;
/// `9999-12-31T23:59:59Z`: a time beyond it is a mistake of unit.
pub(super) const LAST_TIME_S: i64 = 253_402_300_799;

/// The members of a JSON body; every one has to be used up.
pub(super) struct Members(Map<String, Value>);

impl Members {
    /// Reads a body of at most so many bytes; none at all counts as an empty object.
    pub(super) async fn read(body: Incoming, limit_bytes: usize) -> Result<Self, Fault> {
        let body = read_body(body, limit_bytes).await?;
        if body.is_empty() {
            return Ok(Members(Map::new()));
        }
        let members = strict_json::parse_object(&body)
            .map_err(|error| Fault::BadRequest(format!("the body: {error}")))?;
        Ok(Members(members))
    }

    pub(super) fn of(members: Map<String, Value>) -> Self {
        Members(members)
    }

    /// All of them at once, as one document.
    pub(super) fn document(self) -> Value {
        Value::Object(self.0)
    }

    pub(super) fn optional(&mut self, name: &'static str) -> Result<Option<String>, Fault> {
        match self.0.remove(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(invalid(name, "must be a string")),
        }
    }

    /// A text, or an object as its text.
    pub(super) fn text_or_object(&mut self, name: &'static str) -> Result<Option<String>, Fault> {
        match self.0.remove(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(object @ Value::Object(_)) => Ok(Some(object.to_string())),
            Some(_) => Err(invalid(name, "must be a string or an object")),
        }
    }

    pub(super) fn required(&mut self, name: &'static str) -> Result<String, Fault> {
        self.optional(name)?
            .ok_or_else(|| invalid(name, "is missing"))
    }

    pub(super) fn parsed<T: FromStr<Err: ToString>>(
        &mut self,
        name: &'static str,
    ) -> Result<T, Fault> {
        parse(name, &self.required(name)?)
    }

    pub(super) fn parsed_optional<T: FromStr<Err: ToString>>(
        &mut self,
        name: &'static str,
    ) -> Result<Option<T>, Fault> {
        self.optional(name)?
            .map(|text| parse(name, &text))
            .transpose()
    }

    pub(super) fn flag(&mut self, name: &'static str) -> Result<bool, Fault> {
        match self.0.remove(name) {
            None | Some(Value::Null) => Ok(false),
            Some(Value::Bool(value)) => Ok(value),
            Some(_) => Err(invalid(name, "must be true or false")),
        }
    }

    pub(super) fn objects(&mut self, name: &'static str) -> Result<Vec<Members>, Fault> {
        let Some(Value::Array(items)) = self.0.remove(name) else {
            return Err(invalid(name, "must be a list of objects"));
        };
        let object = |item| match item {
            Value::Object(members) => Ok(Members::of(members)),
            _ => Err(invalid(name, "must be a list of objects")),
        };
        items.into_iter().map(object).collect()
    }

    /// A whole number from 0.
    pub(super) fn number(&mut self, name: &'static str, most: i64) -> Result<Option<i64>, Fault> {
        self.whole(name, most, "")
    }

    fn whole(
        &mut self,
        name: &'static str,
        most: i64,
        of_what: &str,
    ) -> Result<Option<i64>, Fault> {
        match self.0.remove(name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => value
                .as_i64()
                .filter(|number| (0..=most).contains(number))
                .map(Some)
                .ok_or_else(|| {
                    let why = format!("must be a whole number{of_what} from 0 to {most}");
                    invalid(name, &why)
                }),
        }
    }

    /// A span in whole seconds.
    pub(super) fn span(
        &mut self,
        name: &'static str,
        longest: Duration,
    ) -> Result<Option<Duration>, Fault> {
        let most = i64::try_from(longest.as_secs()).unwrap_or(i64::MAX);
        let seconds = self.whole(name, most, OF_SECONDS)?;
        Ok(seconds.map(|seconds| Duration::from_secs(seconds.unsigned_abs())))
    }

    /// A moment: `expires_at` in Unix seconds, or `expires_in_s` from now; not both.
    pub(super) fn expiry(&mut self, now: Timestamp) -> Result<Option<Timestamp>, Fault> {
        let at = self.whole("expires_at", LAST_TIME_S, OF_SECONDS)?;
        let within = self.span("expires_in_s", Duration::from_secs(100 * 366 * 24 * 3600))?;
        match (at, within) {
            (Some(_), Some(_)) => Err(invalid("expires_at", "goes without expires_in_s")),
            (Some(at), None) => Ok(Some(Timestamp::from_unix_s(at))),
            (None, span) => Ok(span.map(|span| now.plus(span))),
        }
    }

    pub(super) fn finish(self) -> Result<(), Fault> {
        match self.0.keys().next() {
            None => Ok(()),
            Some(name) => Err(Fault::BadRequest(format!(
                "unknown member {}",
                name_in_message(name)
            ))),
        }
    }
}

pub(super) fn invalid(field: &'static str, why: &str) -> Fault {
    Fault::Invalid {
        field,
        why: why.to_owned(),
    }
}

pub(super) fn parse<T: FromStr<Err: ToString>>(
    field: &'static str,
    text: &str,
) -> Result<T, Fault> {
    text.parse()
        .map_err(|error: T::Err| invalid(field, &error.to_string()))
}

/// The parameters of a list; every one has to be used up.
pub(super) struct Page(Vec<(String, String)>);

impl Page {
    pub(super) fn read(query: Option<&str>) -> Result<Self, Fault> {
        form::parse(query.unwrap_or_default().as_bytes())
            .map(Page)
            .map_err(|error| Fault::BadRequest(format!("the query: {error}")))
    }

    /// The text of a parameter; an empty one counts as none.
    pub(super) fn text(&mut self, name: &str) -> Option<String> {
        let place = self.0.iter().position(|(known, _)| known == name)?;
        Some(self.0.swap_remove(place).1).filter(|text| !text.is_empty())
    }

    pub(super) fn parsed<T: FromStr<Err: ToString>>(
        &mut self,
        name: &'static str,
    ) -> Result<Option<T>, Fault> {
        self.text(name).map(|text| parse(name, &text)).transpose()
    }

    /// How many objects are wanted.
    pub(super) fn limit(&mut self) -> Result<i64, Fault> {
        let limit = self.parsed::<i64>("limit")?.unwrap_or(USUAL_PAGE);
        if (1..=LARGEST_PAGE).contains(&limit) {
            Ok(limit)
        } else {
            Err(invalid("limit", "must be from 1 to 1000"))
        }
    }

    pub(super) fn finish(self) -> Result<(), Fault> {
        match self.0.first() {
            None => Ok(()),
            Some((name, _)) => Err(Fault::BadRequest(format!(
                "unknown parameter {}",
                name_in_message(name)
            ))),
        }
    }
}

/// A page of at most `limit` objects, out of one more where there are more.
pub(super) fn page_answer<T>(found: &[T], limit: i64, body: impl Fn(&T) -> Value) -> Answer {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let data: Vec<Value> = found.iter().take(limit).map(body).collect();
    let page = json!({ "data": data, "has_more": found.len() > limit });
    answer::json(http::StatusCode::OK, &page)
}
