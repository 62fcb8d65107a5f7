//! Members of a body in whatever format it came: names in any case, numbers and flags as clients
//! write them. What nobody reads is ignored.

use std::str::FromStr;

use serde_json::{Map, Value};
use wayleave_core::Timestamp;
use wayleave_protocol::decimal::scaled;
use wayleave_protocol::iso8601;

use crate::fault::Fault;

/// The members of an object.
pub(super) struct Members(Vec<(String, Value)>);

impl Members {
    /// Errors: the body is missing, no object, or names a member twice, in whatever case.
    pub(super) fn of_body(body: Option<&Value>) -> Result<Self, Fault> {
        match body {
            Some(Value::Object(members)) => Members::of(members),
            Some(_) => Err(bad("the body", "must be an object")),
            None => Err(bad("the body", "is missing")),
        }
    }

    fn of(members: &Map<String, Value>) -> Result<Self, Fault> {
        let mut read: Vec<(String, Value)> = Vec::with_capacity(members.len());
        for (name, value) in members {
            let name = name.to_ascii_lowercase();
            if read.iter().any(|(known, _)| *known == name) {
                return Err(Fault::BadRequest(
                    "a member is given twice, in another case".to_owned(),
                ));
            }
            read.push((name, value.clone()));
        }
        Ok(Members(read))
    }

    /// A member; `None`: it is missing or null.
    fn take(&mut self, name: &str) -> Option<Value> {
        let mut members = self.0.iter();
        let place = members.position(|(known, _)| known.eq_ignore_ascii_case(name))?;
        Some(self.0.swap_remove(place).1).filter(|value| !value.is_null())
    }

    /// The same of what is not a text: an empty text says nothing.
    fn take_some(&mut self, name: &str) -> Option<Value> {
        self.take(name)
            .filter(|value| value.as_str().is_none_or(|text| !text.trim().is_empty()))
    }

    /// A text; a number or a flag counts as its text.
    pub(super) fn text(&mut self, name: &'static str) -> Result<Option<String>, Fault> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(value @ (Value::Number(_) | Value::Bool(_))) => Ok(Some(value.to_string())),
            Some(_) => Err(bad(name, "must be a text")),
        }
    }

    /// A word of a list, such as the name of a pricing model.
    pub(super) fn word<T: FromStr<Err: ToString>>(
        &mut self,
        name: &'static str,
    ) -> Result<Option<T>, Fault> {
        let Some(value) = self.take_some(name) else {
            return Ok(None);
        };
        let word = plain(&value).parse().map(Some);
        word.map_err(|error: T::Err| bad(name, &error.to_string()))
    }

    /// `true`, `false`, 1 or 0, as a text or not.
    pub(super) fn flag(&mut self, name: &'static str) -> Result<Option<bool>, Fault> {
        let Some(value) = self.take_some(name) else {
            return Ok(None);
        };
        match plain(&value).trim().to_ascii_lowercase().as_str() {
            "true" | "1" => Ok(Some(true)),
            "false" | "0" => Ok(Some(false)),
            _ => Err(bad(name, "must be true or false")),
        }
    }

    /// A whole number from 0, as a text or not.
    pub(super) fn count(&mut self, name: &'static str) -> Result<Option<u32>, Fault> {
        let Some(value) = self.take_some(name) else {
            return Ok(None);
        };
        let number = scaled(plain(&value).trim(), 0);
        let number = number.and_then(|number| u32::try_from(number).ok());
        let wanted = "must be a whole number from 0 to 4294967295";
        number.map(Some).ok_or_else(|| bad(name, wanted))
    }

    /// A number that is not below 0, in units of which `digits` digits after the point are one: cents
    /// of dollars have two. As a text or not.
    pub(super) fn decimal(
        &mut self,
        name: &'static str,
        digits: usize,
    ) -> Result<Option<i64>, Fault> {
        let Some(value) = self.take_some(name) else {
            return Ok(None);
        };
        scaled(plain(&value).trim(), digits)
            .map(Some)
            .ok_or_else(|| {
                let wanted =
                    format!("must be a number from 0 with at most {digits} digits after the point");
                bad(name, &wanted)
            })
    }

    /// A moment of ISO 8601; without a zone it is in UTC.
    pub(super) fn moment(&mut self, name: &'static str) -> Result<Option<Timestamp>, Fault> {
        let Some(value) = self.take_some(name) else {
            return Ok(None);
        };
        let micros = iso8601::parse_any_us(plain(&value).trim());
        let wanted = "must be a moment of ISO 8601, such as 2027-03-01T06:30:00Z";
        micros
            .map(|micros| Some(Timestamp::from_micros(micros)))
            .ok_or_else(|| bad(name, wanted))
    }

    /// An object.
    pub(super) fn object(&mut self, name: &'static str) -> Result<Option<Members>, Fault> {
        match self.take_some(name) {
            None => Ok(None),
            Some(Value::Object(members)) => Members::of(&members).map(Some),
            Some(_) => Err(bad(name, "must be an object")),
        }
    }

    /// A list of objects.
    pub(super) fn objects(&mut self, name: &'static str) -> Result<Option<Vec<Members>>, Fault> {
        let wanted = "must be a list of objects";
        let items = match self.take_some(name) {
            None => return Ok(None),
            Some(Value::Array(items)) => items,
            Some(_) => return Err(bad(name, wanted)),
        };
        let object = |item: &Value| match item {
            Value::Object(members) => Members::of(members),
            _ => Err(bad(name, wanted)),
        };
        items.iter().map(object).collect::<Result<_, _>>().map(Some)
    }
}

/// A scalar as its text; what is none has none.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(_) | Value::Bool(_) => value.to_string(),
        _ => String::new(),
    }
}

/// A member that cannot be.
pub(super) fn bad(name: &str, why: &str) -> Fault {
    Fault::BadRequest(format!("{name}: {why}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn members(body: Value) -> Members {
        Members::of_body(Some(&body)).unwrap_or_else(|fault| panic!("{fault:?}"))
    }

    #[test]
    fn names_have_no_case_and_come_once() {
        let mut read = members(json!({ "nAME": "a", "Title": null }));
        assert_eq!(read.text("Name").ok(), Some(Some("a".to_owned())));
        assert_eq!(read.text("Title").ok(), Some(None));
        assert_eq!(read.text("Byline").ok(), Some(None));
        assert!(Members::of_body(Some(&json!({ "Name": 1, "name": 2 }))).is_err());
        assert!(Members::of_body(Some(&json!([]))).is_err());
        assert!(Members::of_body(None).is_err());
    }

    #[test]
    fn numbers_and_flags_are_read_as_clients_write_them() {
        for (value, flag) in [
            (json!(true), Some(Some(true))),
            (json!(1), Some(Some(true))),
            (json!("1"), Some(Some(true))),
            (json!("False"), Some(Some(false))),
            (json!(0), Some(Some(false))),
            (json!(""), Some(None)),
            (json!(2), None),
            (json!([]), None),
        ] {
            let read = members(json!({ "Active": value })).flag("Active");
            assert_eq!(read.ok(), flag, "{value}");
        }
        for (value, cents) in [
            (json!(0.35), Some(Some(35))),
            (json!("0.50"), Some(Some(50))),
            (json!("12"), Some(Some(1_200))),
            (json!(1e2), Some(Some(10_000))),
            (json!("0.500"), Some(Some(50))),
            (json!(0.355), None),
            (json!(-1), None),
            (json!("1e2"), None),
            (json!("NaN"), None),
            (json!(1e300), None),
            (json!("1.2.3"), None),
            (json!(".5"), None),
        ] {
            let read = members(json!({ "Price": value })).decimal("Price", 2);
            assert_eq!(read.ok(), cents, "{value}");
        }
        for (value, count) in [
            (json!(3), Some(Some(3))),
            (json!("3"), Some(Some(3))),
            (json!(3.0), Some(Some(3))),
            (json!(3.5), None),
            (json!(4_294_967_296_i64), None),
        ] {
            let read = members(json!({ "Tier": value })).count("Tier");
            assert_eq!(read.ok(), count, "{value}");
        }
        let key = members(json!({ "ExternalKey": 42 })).text("ExternalKey");
        assert_eq!(key.ok(), Some(Some("42".to_owned())));
    }

    #[test]
    fn moments_come_with_an_offset_or_in_utc() {
        for (text, unix_s) in [
            ("2027-03-01T06:30:00", Some(1_803_882_600)),
            ("2027-03-01T06:30:00Z", Some(1_803_882_600)),
            ("2027-03-01T08:30:00+02:00", Some(1_803_882_600)),
            ("2027-03-01T06:30:00.000Z", Some(1_803_882_600)),
            ("yesterday", None),
        ] {
            let read = members(json!({ "PublicationDate": text })).moment("PublicationDate");
            let read = read.ok().flatten().map(Timestamp::unix_s);
            assert_eq!(read, unix_s, "{text}");
        }
    }

    #[test]
    fn objects_are_read_like_the_body() {
        let mut read = members(json!({ "Tiers": [{ "tier": 1 }], "Group": { "ID": 7 } }));
        let mut tiers = read.objects("Tiers").ok().flatten().unwrap_or_default();
        assert_eq!(tiers[0].count("Tier").ok(), Some(Some(1)));
        let group = read.object("Group").ok().flatten();
        let id = group.and_then(|mut group| group.text("Id").ok().flatten());
        assert_eq!(id.as_deref(), Some("7"));
        assert!(members(json!({ "Tiers": [1] })).objects("Tiers").is_err());
        assert!(members(json!({ "Tiers": {} })).objects("Tiers").is_err());
        assert!(members(json!({ "Group": [] })).object("Group").is_err());
    }
}
