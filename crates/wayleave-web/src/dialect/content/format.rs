//! In which format a body comes and an answer goes: JSON or XML, by `Content-Type` and `Accept`.

use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};
use serde::Serialize;
use serde_json::{Map, Value};
use wayleave_protocol::xml::{self, is_char};
use wayleave_protocol::{form, json};

use super::shape::Shape;
use crate::fault::Fault;

/// A media type that is written, and how it is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Format {
    /// Group and name of the type.
    group: &'static str,
    name: &'static str,
    /// What goes into `Content-Type`.
    pub(super) content_type: &'static str,
    /// Whether it is XML; else it is JSON.
    pub(super) is_xml: bool,
}

const fn format(
    group: &'static str,
    name: &'static str,
    content_type: &'static str,
    is_xml: bool,
) -> Format {
    Format {
        group,
        name,
        content_type,
        is_xml,
    }
}

/// The types of bodies that are read.
pub(super) const JSON_TYPE: &str = "application/json";
pub(super) const TEXT_JSON_TYPE: &str = "text/json";
pub(super) const XML_TYPE: &str = "application/xml";
pub(super) const TEXT_XML_TYPE: &str = "text/xml";
/// The format of whom none was named by.
pub(super) const JSON: Format = format("application", "json", "application/json", false);
/// Every format, the more usual of two that are equally wanted first.
const FORMATS: [Format; 4] = [
    JSON,
    format("text", "json", "text/json; charset=utf-8", false),
    format("application", "xml", "application/xml; charset=utf-8", true),
    format("text", "xml", "text/xml; charset=utf-8", true),
];
/// More than most bodies take.
const USUAL_BODY_BYTES: usize = 1024;
/// The weight of a range that names none, in thousandths (RFC 9110 section 12.4.2).
const WHOLE: u16 = 1000;

impl Format {
    /// The one that an `Accept` header wants most (RFC 9110 section 12.5.1); JSON where there is none,
    /// or where both are wanted alike. `None`: it wants neither.
    pub(super) fn wanted(accept: Option<&str>) -> Option<Self> {
        let Some(accept) = accept.filter(|accept| !accept.trim().is_empty()) else {
            return Some(JSON);
        };
        let mut best = None;
        for format in FORMATS {
            let weight = format.weight(accept);
            if weight > best.map_or(0, |(_, weight)| weight) {
                best = Some((format, weight));
            }
        }
        best.map(|(format, _)| format)
    }

    /// How much it is wanted, by the range that names it most exactly.
    fn weight(self, accept: &str) -> u16 {
        let mut found = (0, 0);
        for range in accept.split(',') {
            let mut parts = range.split(';').map(str::trim);
            let exactness = self.is_in(parts.next().unwrap_or_default());
            if exactness > found.0 {
                found = (exactness, quality(parts));
            }
        }
        found.1
    }

    /// How exactly a range names it, from 1; 0: not at all.
    fn is_in(self, range: &str) -> u8 {
        let (group, name) = range.split_once('/').unwrap_or_default();
        match (group.eq_ignore_ascii_case(self.group), name) {
            (true, name) if name.eq_ignore_ascii_case(self.name) => 3,
            (true, "*") => 2,
            _ if range == "*/*" => 1,
            _ => 0,
        }
    }

    /// A body in this format.
    pub(super) fn write(self, shape: &Shape, body: &Value) -> String {
        match self.is_xml {
            true => shape.write(body),
            false => body.to_string(),
        }
    }

    /// The same of what need not become a [`Value`] first, where that is JSON.
    pub(super) fn write_straight(
        self,
        shape: &Shape,
        body: &impl Serialize,
    ) -> serde_json::Result<Vec<u8>> {
        if self.is_xml {
            return Ok(shape.write(&serde_json::to_value(body)?).into_bytes());
        }
        let mut text = Vec::with_capacity(USUAL_BODY_BYTES);
        serde_json::to_writer(&mut text, body)?;
        Ok(text)
    }
}

/// The weight among the parameters of a range, in thousandths; 0 where it cannot be read.
fn quality<'a>(parameters: impl Iterator<Item = &'a str>) -> u16 {
    for parameter in parameters {
        let Some((name, value)) = parameter.split_once('=') else {
            continue;
        };
        if name.trim().eq_ignore_ascii_case("q") {
            let quality = value.trim().parse::<f32>().ok();
            let quality = quality.filter(|quality| (0.0..=1.0).contains(quality));
            // From 0 to 1000.
            return quality.map_or(0, |quality| (quality * f32::from(WHOLE)).round() as u16);
        }
    }
    WHOLE
}

/// Reads a body into its JSON form, by its `Content-Type`; without one it is JSON. `None`: there is no
/// body. Errors: it cannot be read (400), or it is in no format that is read (415).
pub(super) fn read_body(
    headers: &HeaderMap,
    body: &[u8],
    shape: &Shape,
) -> Result<Option<Value>, Fault> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Ok(None);
    }
    let value = match essence(headers)?.as_str() {
        "" | JSON_TYPE | TEXT_JSON_TYPE => {
            let read = json::parse_object(body);
            Value::Object(read.map_err(|error| unread(&error.to_string()))?)
        }
        XML_TYPE | TEXT_XML_TYPE => {
            let document = xml::parse(body).map_err(|error| unread(&error.to_string()))?;
            shape.read(&document).map_err(|why| unread(&why))?
        }
        "application/x-www-form-urlencoded" => {
            let fields = form::parse(body).map_err(|error| unread(&error.to_string()))?;
            let texts = fields.into_iter();
            Value::Object(texts.map(|(name, value)| (name, value.into())).collect())
        }
        _ => return Err(other_format()),
    };
    check(&value)?;
    Ok(Some(value))
}

/// The type of a body, in small letters; empty where none is said. Errors: it is none of UTF-8.
pub(super) fn essence(headers: &HeaderMap) -> Result<String, Fault> {
    let content_type = headers.get(CONTENT_TYPE);
    let content_type = content_type.map_or(Ok(""), |value| value.to_str());
    let content_type = content_type.map_err(|_| other_format())?;
    must_be_utf8(content_type)?;
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    Ok(essence.to_ascii_lowercase())
}

/// Text in another encoding than UTF-8 is not read.
fn must_be_utf8(content_type: &str) -> Result<(), Fault> {
    for parameter in content_type.split(';').skip(1) {
        let (name, value) = parameter.split_once('=').unwrap_or_default();
        let value = value.trim().trim_matches('"');
        if name.trim().eq_ignore_ascii_case("charset") && !value.eq_ignore_ascii_case("utf-8") {
            return Err(other_format());
        }
    }
    Ok(())
}

/// Refuses names that differ in letter case only, because names are found in any case, and characters
/// that XML could not carry back. The nesting is bounded by whoever read the value.
pub(super) fn check(value: &Value) -> Result<(), Fault> {
    match value {
        Value::Object(members) => {
            must_differ(members)?;
            members.values().try_for_each(check)
        }
        Value::Array(items) => items.iter().try_for_each(check),
        Value::String(text) if !text.chars().all(is_char) => {
            Err(unread("a text holds a character that XML does not have"))
        }
        _ => Ok(()),
    }
}

fn must_differ(members: &Map<String, Value>) -> Result<(), Fault> {
    let mut names: Vec<String> = members.keys().map(|name| name.to_lowercase()).collect();
    names.sort_unstable();
    match names.windows(2).any(|pair| pair[0] == pair[1]) {
        true => Err(unread("a name is given more than once, in different case")),
        false => Ok(()),
    }
}

/// What is answered to a body that cannot be read.
pub(super) fn unread(why: &str) -> Fault {
    Fault::BadRequest(format!("the body cannot be read: {why}"))
}

fn other_format() -> Fault {
    Fault::Platform {
        status: StatusCode::UNSUPPORTED_MEDIA_TYPE,
        message: "the body has to be JSON (application/json, text/json) or XML (application/xml, \
                  text/xml) in UTF-8"
            .to_owned(),
        property: None,
    }
}

/// The answer to who wants neither JSON nor XML.
pub(super) fn not_acceptable() -> Fault {
    Fault::Platform {
        status: StatusCode::NOT_ACCEPTABLE,
        message: "answers are JSON (application/json, text/json) or XML (application/xml, \
                  text/xml): accept one of them"
            .to_owned(),
        property: None,
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::super::shape;
    use super::*;

    fn wanted(accept: &str) -> Option<&'static str> {
        Format::wanted(Some(accept)).map(|format| format.content_type)
    }

    #[test]
    fn the_format_that_is_wanted_most_is_given() {
        const XML: &str = "application/xml; charset=utf-8";
        const TEXT_XML: &str = "text/xml; charset=utf-8";
        const TEXT_JSON: &str = "text/json; charset=utf-8";
        assert_eq!(Format::wanted(None), Some(JSON));
        for (accept, given) in [
            ("", "application/json"),
            ("*/*", "application/json"),
            ("application/json", "application/json"),
            ("APPLICATION/XML", XML),
            ("application/*", "application/json"),
            ("text/*", TEXT_JSON),
            ("text/json", TEXT_JSON),
            ("text/xml", TEXT_XML),
            ("text/xml;q=0.9, application/json;q=0.2", TEXT_XML),
            ("text/xml;q=0.1, */*", "application/json"),
            ("application/xml, application/json", "application/json"),
            ("application/json;q=0.5,application/xml;q=0.501", XML),
            ("application/json;q=0, */*;q=0.1", TEXT_JSON),
            (
                "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
                XML,
            ),
            ("application/xml; charset=utf-8 ; Q=1.0, */*;q=0.1", XML),
            (
                "application/xml;q=2, application/json;q=0.1",
                "application/json",
            ),
        ] {
            assert_eq!(wanted(accept), Some(given), "{accept}");
        }
        for accept in ["text/html", "application/json;q=0", "json", ",;", "*/*;q=0"] {
            assert_eq!(wanted(accept), None, "{accept}");
        }
    }

    fn read(content_type: &'static str, body: &str) -> Result<Option<Value>, u16> {
        let mut headers = HeaderMap::new();
        if !content_type.is_empty() {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        }
        let read = read_body(&headers, body.as_bytes(), &shape::RESOURCE);
        read.map_err(|fault| fault.status().as_u16())
    }

    #[test]
    fn a_body_is_read_by_its_type() {
        let expected = serde_json::json!({"Name": "Tide", "Price": "0.50"});
        for (content_type, body) in [
            ("", r#"{"Name":"Tide","Price":"0.50"}"#),
            ("application/json", r#"{"Name":"Tide","Price":"0.50"}"#),
            (
                "text/json; charset=\"UTF-8\"",
                r#"{"Name":"Tide","Price":"0.50"}"#,
            ),
            ("application/x-www-form-urlencoded", "Name=Tide&Price=0.50"),
            (
                "Application/XML",
                "<Resource><Name>Tide</Name><Price>0.50</Price></Resource>",
            ),
            (
                "text/xml",
                "<resource price='0.50'><name>Tide</name><Else/></resource>",
            ),
        ] {
            assert_eq!(
                read(content_type, body),
                Ok(Some(expected.clone())),
                "{content_type}"
            );
        }
        assert_eq!(read("text/html", " \r\n"), Ok(None));
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused_in_both_formats() {
        for (content_type, body, status) in [
            ("application/json", r#"{"Name":"a","Name":"b"}"#, 400),
            ("application/json", r#"{"Name":"a","name":"b"}"#, 400),
            (
                "application/json",
                r#"{"PricingGroup":{"ID":1,"Id":2}}"#,
                400,
            ),
            ("application/json", r#"{"Name":"a\u0001"}"#, 400),
            ("application/json", "[]", 400),
            ("application/json", "null", 400),
            ("application/json; charset=utf-16", "{}", 415),
            ("text/plain", "{}", 415),
            ("application/soap+xml", "<Resource/>", 415),
            (
                "application/xml",
                "<Resource><Name>a</Name><Name>b</Name></Resource>",
                400,
            ),
            (
                "application/xml",
                "<Resource><Name>a</Name><name>b</name></Resource>",
                400,
            ),
            (
                "application/xml",
                "<Resource Name='a'><NAME>b</NAME></Resource>",
                400,
            ),
            (
                "application/xml",
                "<Resource><Else/><Else/></Resource>",
                400,
            ),
            (
                "application/xml",
                "<Resource><Name>a<b/></Name></Resource>",
                400,
            ),
            ("application/xml", "<Resource>text</Resource>", 400),
            ("application/xml", "<Property/>", 400),
            ("application/xml", "{}", 400),
            ("application/xml", "<!DOCTYPE Resource><Resource/>", 400),
        ] {
            assert_eq!(read(content_type, body), Err(status), "{body}");
        }
    }
}
