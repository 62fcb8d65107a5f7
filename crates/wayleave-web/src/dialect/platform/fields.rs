//! What a request says: fields of a query, of a form or of a JSON body, all read alike. A field that
//! is null or empty was not given.

use serde_json::{Map, Value};
use wayleave_protocol::form::percent_decode;
use wayleave_protocol::json;

use super::error::{invalid, other_media_type};
use crate::fault::Fault;

/// Named values; in a query or form all of them are texts.
#[derive(Clone, PartialEq, Debug, Default)]
pub(super) struct Fields(Map<String, Value>);

impl Fields {
    pub(super) fn of(members: Map<String, Value>) -> Self {
        Fields(members)
    }

    pub(super) fn of_query(query: Option<&str>) -> Result<Self, Fault> {
        Fields::of_form(query.unwrap_or_default().as_bytes())
    }

    /// Reads a body by its media type. Clients name that of forms even where there is no body.
    pub(super) fn of_body(media_type: &str, body: &[u8]) -> Result<Self, Fault> {
        if body.is_empty() {
            return Ok(Fields::default());
        }
        match media_type {
            "application/json" => json::parse_object(body)
                .map(Fields)
                .map_err(|error| Fault::BadRequest(format!("the body: {error}"))),
            "application/x-www-form-urlencoded" | "" => Fields::of_form(body),
            _ => Err(other_media_type()),
        }
    }

    /// Unlike in signed requests, values may hold line feeds: the field `lineItems` is a JSON text.
    fn of_form(form: &[u8]) -> Result<Self, Fault> {
        let unread = |why: &str| Fault::BadRequest(format!("a field {why}"));
        let text = std::str::from_utf8(form).map_err(|_| unread("is not UTF-8"))?;
        let mut members = Map::new();
        for piece in text.split('&').filter(|piece| !piece.is_empty()) {
            let (name, value) = piece.split_once('=').unwrap_or((piece, ""));
            let name = decode(name).ok_or_else(|| unread("is not UTF-8"))?;
            let value = decode(value).ok_or_else(|| unread("is not UTF-8"))?;
            if members.insert(name, Value::String(value)).is_some() {
                return Err(unread("came more than once"));
            }
        }
        Ok(Fields(members))
    }

    /// A value that was given.
    pub(super) fn value(&self, name: &str) -> Option<&Value> {
        let is_given = |value: &&Value| match value {
            Value::Null => false,
            Value::String(text) => !text.is_empty(),
            _ => true,
        };
        self.0.get(name).filter(is_given)
    }

    /// The names of the values that were given.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        let names = self.0.keys().map(String::as_str);
        names.filter(|name| self.value(name).is_some())
    }

    /// A text; a number counts as its text.
    pub(super) fn text(&self, name: &'static str) -> Result<Option<String>, Fault> {
        match self.value(name) {
            None => Ok(None),
            Some(Value::String(text)) if text.contains(char::is_control) => {
                Err(invalid(name, "must not hold control characters"))
            }
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(Value::Number(number)) => Ok(Some(number.to_string())),
            Some(_) => Err(invalid(name, "must be a text")),
        }
    }

    /// A whole number, also as a text of digits.
    pub(super) fn number(&self, name: &'static str) -> Result<Option<i64>, Fault> {
        let Some(value) = self.value(name) else {
            return Ok(None);
        };
        let number = match value {
            Value::Number(number) => number.as_i64(),
            Value::String(text) => text.trim().parse().ok(),
            _ => None,
        };
        number
            .map(Some)
            .ok_or_else(|| invalid(name, "must be a whole number"))
    }

    /// A whole number from 0 on.
    pub(super) fn count(&self, name: &'static str) -> Result<Option<u32>, Fault> {
        let number = self.number(name)?;
        number
            .map(u32::try_from)
            .transpose()
            .map_err(|_| invalid(name, "must be a whole number from 0 on"))
    }

    /// 0 or 1, also as the words of other languages for them.
    pub(super) fn flag(&self, name: &'static str) -> Result<Option<bool>, Fault> {
        let Some(value) = self.value(name) else {
            return Ok(None);
        };
        let text = match value {
            Value::String(text) => text.to_ascii_lowercase(),
            other => other.to_string(),
        };
        match text.as_str() {
            "1" | "true" => Ok(Some(true)),
            "0" | "false" => Ok(Some(false)),
            _ => Err(invalid(name, "must be 0 or 1")),
        }
    }
}

fn decode(word: &str) -> Option<String> {
    let spaced = word.replace('+', " ");
    String::from_utf8(percent_decode(&spaced).into_owned()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORM: &str = "application/x-www-form-urlencoded";

    fn fields(media_type: &str, body: &str) -> Result<Fields, Fault> {
        Fields::of_body(media_type, body.as_bytes())
    }

    #[test]
    fn a_form_a_query_and_a_json_body_are_read_alike() {
        let query = Fields::of_query(Some("a=x+%7Cy&n=7&f=1&empty=")).expect("a query");
        let form = fields(FORM, "a=x+%7Cy&n=7&f=1&empty=").expect("a form");
        let body = r#"{"a":"x |y","n":7,"f":true,"empty":null}"#;
        let body = fields("application/json", body).expect("a body");
        for read in [query, form, body] {
            assert_eq!(read.text("a").expect("a text"), Some("x |y".to_owned()));
            assert_eq!(read.number("n").expect("a number"), Some(7));
            assert_eq!(read.flag("f").expect("a flag"), Some(true));
            assert_eq!(read.text("empty").expect("nothing"), None);
            assert_eq!(read.names().collect::<Vec<_>>(), ["a", "f", "n"]);
        }
    }

    #[test]
    fn no_body_is_no_fields_whatever_its_type() {
        for media_type in [FORM, "application/json", "", "text/plain"] {
            assert_eq!(
                fields(media_type, "").expect("nothing"),
                Fields::default(),
                "{media_type}"
            );
        }
    }

    #[test]
    fn what_cannot_be_read_in_one_way_is_refused() {
        for (media_type, body, status) in [
            (FORM, "a=1&a=2", 400),
            (FORM, "a=%ff", 400),
            ("application/json", "{\"a\":1,\"a\":2}", 400),
            ("application/json", "[]", 400),
            ("application/json", "{", 400),
            ("text/plain", "a=1", 415),
        ] {
            let fault = fields(media_type, body).expect_err("a refusal");
            assert_eq!(fault.status().as_u16(), status, "{body}");
        }
    }

    #[test]
    fn values_of_another_kind_are_refused_by_name() {
        let read = fields(FORM, "n=seven&c=-1&f=maybe&t=a%00").expect("a form");
        for fault in [
            read.number("n").map(drop),
            read.count("c").map(drop),
            read.flag("f").map(drop),
            read.text("t").map(drop),
        ] {
            assert_eq!(fault.expect_err("a refusal").status().as_u16(), 422);
        }
    }
}
