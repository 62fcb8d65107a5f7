//! The content APIs: properties and their pages for who manages them, and whether a reader may see a
//! page. `docs/content.md` says how.
//!
//! An address is one line of [`ADDRESSES`] and a function for each of its methods, which takes a
//! [`Call`] and knows nothing of formats. Where a surface has an API behind, proven requests pass to
//! it instead.

mod access;
mod callback;
mod format;
pub(crate) mod hand_back;
pub(crate) mod import;
mod listing;
mod members;
mod property;
mod queued;
mod resource;
mod shape;
mod subscriber;

use std::borrow::Cow;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use http::header::ACCEPT;
use http::request::Parts;
use http::{HeaderMap, Method, StatusCode};
use serde::Serialize;
use serde_json::{Map, Value, json};
use wayleave_core::{Admission, Audience, AudienceSet, Scheme, SchemeSet, ScopeSet};
use wayleave_engine::{Admitted, Engine, HeldProperty, StoreError};
use wayleave_protocol::form::{self, Fields, percent_decode};

use crate::answer::{self, Answer};
use crate::fault::Fault;
use format::Format;
use listing::{Rows, Writing};
use shape::Shape;

/// Larger bodies are refused.
const BODY_LIMIT_BYTES: usize = 1024 * 1024;
/// The same of imports.
pub(crate) const IMPORT_LIMIT_BYTES: usize = 32 * 1024 * 1024;
/// The address of imports, after the access key.
const IMPORT: &str = "ExternalSubscriberImport";

/// An address of the content APIs, in whatever case it was written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct ContentPath<'a> {
    /// The API that the address belongs to.
    pub(crate) audience: Audience,
    /// The access key in the path; empty where there is none.
    pub(crate) key: &'a str,
    noun: Noun,
    /// What follows the key and its slash; `None`: nothing, not even the slash.
    rest: Option<&'a str>,
}

impl ContentPath<'_> {
    /// The largest body that is taken at this address.
    pub(crate) fn body_limit_bytes(&self) -> usize {
        let rest = self.rest.unwrap_or_default();
        match self.noun == Noun::Property && rest.eq_ignore_ascii_case(IMPORT) {
            true => IMPORT_LIMIT_BYTES,
            false => BODY_LIMIT_BYTES,
        }
    }
}

/// What the address of a content API begins with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Noun {
    Property,
    Resource,
    TemporaryUserToken,
}

impl Noun {
    const ALL: [Noun; 3] = [Noun::Property, Noun::Resource, Noun::TemporaryUserToken];

    fn as_str(self) -> &'static str {
        match self {
            Noun::Property => "Property",
            Noun::Resource => "Resource",
            Noun::TemporaryUserToken => "TemporaryUserToken",
        }
    }

    fn audience(self) -> Audience {
        match self {
            Noun::Property => Audience::Management,
            Noun::Resource | Noun::TemporaryUserToken => Audience::Access,
        }
    }
}

/// Reads `/api/Property/{key}/…`, `/api/Resource/{key}/…` or `/api/TemporaryUserToken/{key}/…`.
pub(crate) fn resource_path(path: &str) -> Option<ContentPath<'_>> {
    let rest = strip_ignoring_case(path, "/api/")?;
    let (name, rest) = rest.split_once('/').unwrap_or((rest, ""));
    let mut nouns = Noun::ALL.into_iter();
    let noun = nouns.find(|noun| name.eq_ignore_ascii_case(noun.as_str()))?;
    let (key, rest) = match rest.split_once('/') {
        Some((key, rest)) => (key, Some(rest)),
        None => (rest, None),
    };
    Some(ContentPath {
        audience: noun.audience(),
        key,
        noun,
        rest,
    })
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

/// A request of an admitted caller, read.
struct Call<'a> {
    engine: &'a Arc<Engine>,
    admitted: &'a Admitted,
    /// The access key in the path, which is the caller's.
    access_key: &'a str,
    /// The property whose key set proved it.
    property: Arc<HeldProperty>,
    /// What stands in the path in the place of the name in braces, decoded; empty where there is none.
    place: Cow<'a, str>,
    /// The parameters of the query.
    query: Fields,
    headers: &'a HeaderMap,
    body: Bytes,
    /// In which the answer goes.
    format: Format,
}

impl Call<'_> {
    /// A parameter of the query, its name in any case; `None`: it is missing.
    fn parameter(&self, name: &str) -> Option<&str> {
        let mut query = self.query.iter();
        let found = query.find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value)
    }

    /// Whether a parameter of the query is `true` or 1.
    fn asks_for(&self, name: &str) -> bool {
        let value = self.parameter(name);
        value.is_some_and(|value| value.eq_ignore_ascii_case("true") || value == "1")
    }

    /// The body in its JSON form; `None`: there is none.
    fn body(&self, shape: &Shape) -> Result<Option<Value>, Fault> {
        format::read_body(self.headers, &self.body, shape)
    }

    /// An answer that is written straight, for what is asked very often.
    fn write(&self, shape: &Shape, body: &impl Serialize) -> Result<Reply, Fault> {
        let written = self.format.write_straight(shape, body);
        written
            .map(Reply::Written)
            .map_err(|error| Fault::Internal {
                cause: error.to_string(),
            })
    }
}

/// What an address answers: JSON as clients know it, whatever format it is sent in.
enum Reply {
    /// All of it.
    Whole(&'static Shape, Value),
    /// All of it, in the format that is wanted.
    Written(Vec<u8>),
    /// A list whose first rows are there, and which is read while it is being sent.
    List(&'static Shape, Rows),
}

impl Reply {
    fn of(shape: &'static Shape, body: Value) -> Self {
        Reply::Whole(shape, body)
    }

    /// A list; `shape`: of all of it.
    fn list(shape: &'static Shape, first: Rows) -> Self {
        Reply::List(shape, first)
    }

    fn answer(self, format: Format) -> Answer {
        let whole = |body: Bytes| answer::text(StatusCode::OK, format.content_type, body);
        match self {
            Reply::Whole(shape, body) => whole(format.write(shape, &body).into()),
            Reply::Written(body) => whole(body.into()),
            Reply::List(shape, rows) => {
                let first = listing::first_piece(rows, &Writing::of(shape, format));
                answer::pieces(format.content_type, first)
            }
        }
    }
}

type Answering<'a> = Pin<Box<dyn Future<Output = Result<Reply, Fault>> + Send + 'a>>;
type Handler = for<'a> fn(&'a Call<'a>) -> Answering<'a>;

/// An address with its methods.
struct Address {
    noun: Noun,
    /// What follows the access key; a name in braces stands for anything, slashes too.
    form: &'static str,
    /// For `Allow`.
    allow: &'static str,
    methods: &'static [(Method, Handler)],
}

/// Every address; of two that fit the first one counts.
static ADDRESSES: [Address; 11] = [
    Address {
        noun: Noun::Resource,
        form: "{resourceKey}",
        allow: "GET",
        methods: &[(Method::GET, |call| Box::pin(access::by_resource_key(call)))],
    },
    Address {
        noun: Noun::TemporaryUserToken,
        form: "{temporaryUserToken}",
        allow: "GET",
        methods: &[(Method::GET, |call| {
            Box::pin(access::by_temporary_token(call))
        })],
    },
    Address {
        noun: Noun::Property,
        form: "",
        allow: "GET, HEAD",
        methods: &[(Method::GET, |call| Box::pin(property::show(call)))],
    },
    Address {
        noun: Noun::Property,
        form: "Resource",
        allow: "GET, HEAD",
        methods: &[(Method::GET, |call| Box::pin(resource::list(call)))],
    },
    Address {
        noun: Noun::Property,
        form: "Resource/{resourceKey}",
        allow: "GET, HEAD, PUT, DELETE",
        methods: &[
            (Method::GET, |call| Box::pin(resource::show(call))),
            (Method::PUT, |call| Box::pin(resource::put(call))),
            (Method::DELETE, |call| Box::pin(resource::remove(call))),
        ],
    },
    Address {
        noun: Noun::Property,
        form: "ExternalSubscriber/{subscriberKey}/LinkedUser",
        allow: "GET, HEAD",
        methods: &[(Method::GET, |call| Box::pin(subscriber::linked_users(call)))],
    },
    Address {
        noun: Noun::Property,
        form: "ExternalSubscriber/{subscriberKey}",
        allow: "PUT",
        methods: &[(Method::PUT, |call| Box::pin(subscriber::put(call)))],
    },
    Address {
        noun: Noun::Property,
        form: IMPORT,
        allow: "POST",
        methods: &[(Method::POST, |call| Box::pin(queued::import(call)))],
    },
    Address {
        noun: Noun::Property,
        form: "ExternalSubscriberExport",
        allow: "POST",
        methods: &[(Method::POST, |call| Box::pin(queued::export(call)))],
    },
    Address {
        noun: Noun::Property,
        form: "ExternalFulfillmentSubscriptionExport",
        allow: "POST",
        methods: &[(Method::POST, |call| {
            Box::pin(queued::fulfilment_export(call))
        })],
    },
    Address {
        noun: Noun::Property,
        form: "CallbackResult/{token}",
        allow: "GET, HEAD",
        methods: &[(Method::GET, |call| Box::pin(callback::result(call)))],
    },
];

impl Address {
    /// What stands in the place of the name in braces, where the path is of this form.
    fn place<'p>(&self, path: ContentPath<'p>) -> Option<&'p str> {
        if self.noun != path.noun {
            return None;
        }
        let rest = path.rest.unwrap_or_default();
        match self.form.split_once('{') {
            None => rest.eq_ignore_ascii_case(self.form).then_some(""),
            Some((before, braced)) => {
                let after = braced.split_once('}').map_or("", |(_, after)| after);
                // A key that is empty still has its slash.
                let rest = path
                    .rest
                    .and_then(|rest| strip_ignoring_case(rest, before))?;
                let (place, end) = rest.split_at_checked(rest.len().checked_sub(after.len())?)?;
                end.eq_ignore_ascii_case(after).then_some(place)
            }
        }
    }
}

/// Which method of which address is called, and what stands in its place.
fn find<'p>(method: &Method, path: ContentPath<'p>) -> Result<(Handler, &'p str), Fault> {
    let mut found = ADDRESSES
        .iter()
        .filter_map(|address| Some((address, address.place(path)?)));
    let (address, place) = found.next().ok_or(Fault::NotFound)?;
    // Looking at what a page would be answered counts nothing: there is no HEAD where GET does.
    let method = match *method {
        Method::HEAD if address.allow.contains("HEAD") => &Method::GET,
        _ => method,
    };
    let mut methods = address.methods.iter();
    let handler = methods.find(|(known, _)| known == method);
    handler
        .map(|(_, handler)| (*handler, place))
        .ok_or(Fault::Method {
            allow: address.allow,
        })
}

/// A request that is to be answered here.
pub(crate) struct Asked<'a> {
    /// The environment's engine.
    pub(crate) engine: &'a Arc<Engine>,
    /// Whose it is.
    pub(crate) admitted: &'a Admitted,
    /// Its head.
    pub(crate) parts: &'a Parts,
    /// Its address.
    pub(crate) path: ContentPath<'a>,
    /// Its body.
    pub(crate) body: Bytes,
}

/// Answers a request of an admitted caller.
pub(crate) async fn answer(asked: Asked<'_>) -> Result<Answer, Fault> {
    let Asked { engine, parts, .. } = asked;
    let (handler, place) = find(&parts.method, asked.path)?;
    let format = answer_format(parts, asked.path.audience)?;
    let call = Call {
        engine,
        admitted: asked.admitted,
        access_key: asked.path.key,
        property: property_of(engine, asked.admitted)?,
        place: decode(place)?,
        query: read_query(parts.uri.query())?,
        headers: &parts.headers,
        body: asked.body,
        format,
    };
    let reply = handler(&call).await?;
    Ok(reply.answer(format))
}

/// The format of the answer. Sites show a page where the Access API answers with an error, so there
/// it is JSON for who wants something else.
fn answer_format(parts: &Parts, audience: Audience) -> Result<Format, Fault> {
    let accept = parts.headers.get(ACCEPT);
    let wanted = Format::wanted(accept.and_then(|value| value.to_str().ok()));
    let otherwise = (audience == Audience::Access).then_some(format::JSON);
    wanted.or(otherwise).ok_or_else(format::not_acceptable)
}

/// The property whose key set made the request.
fn property_of(engine: &Engine, admitted: &Admitted) -> Result<Arc<HeldProperty>, Fault> {
    let id = admitted.caller().property_id();
    let held = id.and_then(|id| engine.held_property(id));
    held.ok_or_else(|| {
        Fault::Forbidden("this key set belongs to no property: ask for one that does".to_owned())
    })
}

fn decode(place: &str) -> Result<Cow<'_, str>, Fault> {
    if !place.contains('%') {
        return Ok(Cow::Borrowed(place));
    }
    let decoded = String::from_utf8(percent_decode(place).into_owned());
    decoded
        .map(Cow::Owned)
        .map_err(|_| Fault::BadRequest("the path is not UTF-8".to_owned()))
}

fn read_query(query: Option<&str>) -> Result<Fields, Fault> {
    form::decode(query.unwrap_or_default().as_bytes())
        .map_err(|error| Fault::BadRequest(format!("the query: {error}")))
}

/// A refusal in the words of the address.
fn refused(status: StatusCode, message: impl Into<String>) -> Fault {
    Fault::Platform {
        status,
        message: message.into(),
        property: None,
    }
}

/// A failure of the store.
fn failed(error: StoreError) -> Fault {
    match error {
        error @ StoreError::OutcomeUnknown(_) => Fault::OutcomeUnknown {
            cause: error.to_string(),
        },
        error => Fault::Unavailable {
            cause: error.to_string(),
        },
    }
}

/// Cents as dollars. Amounts have fewer digits than a JSON number carries exactly.
fn dollars(minor: i64) -> Value {
    json!(minor as f64 / 100.0)
}

/// Basis points as a part of 1.
fn fraction(basis_points: u32) -> Value {
    json!(f64::from(basis_points) / 10_000.0)
}

pub(crate) fn render(fault: &Fault, message: &str, accept: Option<&str>) -> Answer {
    let format = Format::wanted(accept).unwrap_or(format::JSON);
    let body = Value::Object(body(fault, message));
    let body = format.write(&shape::ERROR, &body);
    answer::text(fault.status(), format.content_type, body)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_the_segment_after_the_noun_in_any_case() {
        let path = resource_path("/API/property/KEY/Resource/x").expect("a content path");
        assert_eq!((path.audience, path.key), (Audience::Management, "KEY"));
        let path = resource_path("/api/Resource/KEY//news/long").expect("a content path");
        assert_eq!((path.audience, path.key), (Audience::Access, "KEY"));
        assert_eq!(path.rest, Some("/news/long"));
        assert_eq!(
            resource_path("/api/Property").map(|path| path.key),
            Some("")
        );
        assert_eq!(resource_path("/api/cloud"), None);
    }

    fn found(method: Method, path: &str) -> Result<&str, String> {
        let path = resource_path(path).expect("a content path");
        let found = find(&method, path).map(|(_, place)| place);
        found.map_err(|fault| format!("{fault:?}"))
    }

    #[test]
    fn an_address_is_found_by_what_follows_the_key() {
        assert_eq!(found(Method::GET, "/api/Property/K"), Ok(""));
        assert_eq!(found(Method::HEAD, "/api/property/K/"), Ok(""));
        let other = Err("Method { allow: \"GET, HEAD\" }".to_owned());
        assert_eq!(found(Method::DELETE, "/api/Property/K"), other);
        let page = found(Method::PUT, "/api/Property/K/resource//news/Long");
        assert_eq!(page, Ok("/news/Long"));
        assert_eq!(found(Method::GET, "/api/Property/K/Resource/"), Ok(""));
        let nothing = Err("NotFound".to_owned());
        assert_eq!(found(Method::GET, "/api/Property/K/Nothing"), nothing);
    }

    #[test]
    fn money_is_written_as_it_was_meant() {
        for (minor, text) in [
            (0, "0.0"),
            (35, "0.35"),
            (750, "7.5"),
            (999_999_999_999, "9999999999.99"),
        ] {
            assert_eq!(dollars(minor).to_string(), text);
        }
        assert_eq!(fraction(2_000).to_string(), "0.2");
    }

    #[test]
    fn a_refusal_is_in_the_format_that_is_wanted() {
        let fault = Fault::BadRequest(String::new());
        let shown = |accept| {
            let answer = render(&fault, "a<b & \u{1} c", accept);
            let kind = answer.headers()[http::header::CONTENT_TYPE].clone();
            (kind, format!("{:?}", answer.into_body()))
        };
        let (kind, body) = shown(Some("text/xml"));
        assert_eq!(kind, "text/xml; charset=utf-8");
        assert!(
            body.contains("<Error><Message>a&lt;b &amp; \\xef\\xbf\\xbd c</Message></Error>"),
            "{body}"
        );
        for accept in [None, Some("*/*"), Some("text/html")] {
            assert_eq!(shown(accept).0, "application/json");
        }
    }
}
