//! The content APIs. Until they are built, proven requests go to the API behind; what is here is
//! their addresses, the rule on the key in the path, and how they say what went wrong.

use serde_json::{Map, Value, json};
use wayleave_core::{Admission, Audience, AudienceSet, Scheme, SchemeSet, ScopeSet};

use crate::answer::{self, Answer};
use crate::fault::Fault;

/// An address of the content APIs, in whatever case it was written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct ContentPath<'a> {
    /// The API that the address belongs to.
    pub(crate) audience: Audience,
    /// The access key in the path; empty where there is none.
    pub(crate) key: &'a str,
}

/// Reads `/api/Property/{key}/…`, `/api/Resource/{key}/…` or `/api/TemporaryUserToken/{key}/…`.
pub(crate) fn resource_path(path: &str) -> Option<ContentPath<'_>> {
    let rest = strip_ignoring_case(path, "/api/")?;
    let (noun, rest) = rest.split_once('/').unwrap_or((rest, ""));
    let audience = if noun.eq_ignore_ascii_case("property") {
        Audience::Management
    } else if noun.eq_ignore_ascii_case("resource")
        || noun.eq_ignore_ascii_case("temporaryusertoken")
    {
        Audience::Access
    } else {
        return None;
    };
    let key = rest.split('/').next().unwrap_or_default();
    Some(ContentPath { audience, key })
}

fn strip_ignoring_case<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let (head, rest) = text.split_at_checked(prefix.len())?;
    head.eq_ignore_ascii_case(prefix).then_some(rest)
}

/// Who may use one of the two content APIs.
pub(crate) fn admission(audience: Audience) -> Admission {
    Admission {
        audiences: AudienceSet::of(&[audience]),
        schemes: SchemeSet::of(&[Scheme::Signed]),
        scopes: ScopeSet::default(),
    }
}

pub(crate) fn render(fault: &Fault, message: &str, accept: Option<&str>) -> Answer {
    let body = body(fault, message);
    if wants_xml(accept) {
        answer::text(fault.status(), "application/xml", xml(&body))
    } else {
        answer::json(fault.status(), &Value::Object(body))
    }
}

fn body(fault: &Fault, message: &str) -> Map<String, Value> {
    let mut body = Map::new();
    body.insert("Message".into(), json!(message));
    if let Fault::Unproven {
        server_time,
        explanation,
        ..
    } = fault
    {
        if let Some(time) = server_time {
            body.insert("ServerTime".into(), json!(time));
        }
        if let Some(explanation) = explanation {
            body.insert("Reason".into(), json!(explanation.reason));
            body.insert("BaseStrings".into(), json!(explanation.base_strings));
            body.insert("Hint".into(), json!(explanation.hint));
            if let Some(difference) = &explanation.difference {
                body.insert(
                    "FirstDifference".into(),
                    json!(format!(
                        "byte {}, line {}: we built \"{}\", you signed \"{}\"",
                        difference.at_byte, difference.line, difference.ours, difference.theirs
                    )),
                );
            }
        }
    }
    body
}

/// Whether the first acceptable format that we have is XML.
fn wants_xml(accept: Option<&str>) -> bool {
    let Some(accept) = accept else { return false };
    let weight = |wanted: &[&str]| {
        accept
            .split(',')
            .filter_map(|range| {
                let mut parts = range.split(';').map(str::trim);
                let name = parts.next()?;
                wanted
                    .iter()
                    .find(|known| name.eq_ignore_ascii_case(known))?;
                let quality = parts
                    .find_map(|part| part.strip_prefix("q="))
                    .unwrap_or("1");
                quality.parse::<f32>().ok()
            })
            .fold(0.0, f32::max)
    };
    weight(&["application/xml", "text/xml"]) > weight(&["application/json", "text/json", "*/*"])
}

fn xml(body: &Map<String, Value>) -> String {
    let mut text = String::from("<?xml version=\"1.0\" encoding=\"utf-8\"?><Error>");
    for (name, value) in body {
        match value {
            Value::Array(items) => {
                text.push_str(&format!("<{name}>"));
                items
                    .iter()
                    .for_each(|item| element(&mut text, "BaseString", item));
                text.push_str(&format!("</{name}>"));
            }
            value => element(&mut text, name, value),
        }
    }
    text.push_str("</Error>");
    text
}

fn element(text: &mut String, name: &str, value: &Value) {
    text.push_str(&format!("<{name}>"));
    for letter in value.as_str().unwrap_or_default().chars() {
        match letter {
            '<' => text.push_str("&lt;"),
            '>' => text.push_str("&gt;"),
            '&' => text.push_str("&amp;"),
            '\n' | '\t' => text.push(letter),
            // XML 1.0 has no way to write the other control characters.
            letter if letter.is_control() || matches!(letter, '\u{FFFE}' | '\u{FFFF}') => {
                text.push('\u{FFFD}');
            }
            letter => text.push(letter),
        }
    }
    text.push_str(&format!("</{name}>"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_the_segment_after_the_noun_in_any_case() {
        let path = resource_path("/API/property/KEY/Resource/x").expect("a content path");
        assert_eq!((path.audience, path.key), (Audience::Management, "KEY"));
        let path = resource_path("/api/Resource/KEY//news/long").expect("a content path");
        assert_eq!((path.audience, path.key), (Audience::Access, "KEY"));
        assert_eq!(
            resource_path("/api/Property").map(|path| path.key),
            Some("")
        );
        assert_eq!(resource_path("/api/cloud"), None);
    }

    #[test]
    fn xml_is_given_only_to_who_prefers_it() {
        assert!(!wants_xml(None));
        assert!(!wants_xml(Some("*/*")));
        assert!(!wants_xml(Some("application/json")));
        assert!(wants_xml(Some("application/xml")));
        assert!(wants_xml(Some("text/xml;q=0.9, application/json;q=0.2")));
        assert!(!wants_xml(Some("text/xml;q=0.1, */*")));
    }

    #[test]
    fn what_is_written_as_xml_is_well_formed() {
        let mut body = Map::new();
        body.insert("Message".into(), json!("a<b & \u{1} c"));
        assert_eq!(
            xml(&body),
            "<?xml version=\"1.0\" encoding=\"utf-8\"?><Error><Message>a&lt;b &amp; \u{FFFD} c</Message></Error>"
        );
    }
}
