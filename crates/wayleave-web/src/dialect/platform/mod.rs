//! The platform API below `/api`: account, price list, quotes and orders, hosted instances and pools
//! of licences, as clients of the published contract know it. `docs/platform.md` says how.
//!
//! An address is one line of [`ENDPOINTS`] and one function, which takes a [`Call`].

mod account;
mod android;
mod cart;
mod choice;
mod cloud;
mod credential;
mod error;
mod fields;
mod list;
mod once;
mod order;
mod product;

use std::pin::Pin;

use http::header::{ACCESS_CONTROL_EXPOSE_HEADERS, HeaderName};
use http::request::Parts;
use http::{HeaderValue, Method, StatusCode};
use hyper::body::Incoming;
use serde_json::{Value, json};
use wayleave_core::{Admission, Audience, AudienceSet, Money, Scheme, SchemeSet, ScopeSet};
use wayleave_engine::{Actor, Admitted, Buyer, Claim, Engine};
use wayleave_protocol::form::percent_decode;

use crate::answer::{self, Answer};
use crate::fault::Fault;
use crate::request::{media_type, read_body};
use fields::Fields;

/// Larger bodies are refused: a cart of the most lines fits.
const BODY_LIMIT_BYTES: usize = 256 * 1024;
const TOTAL_COUNT: HeaderName = HeaderName::from_static("x-total-count");
const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// What is asked of callers.
pub(crate) fn admission() -> Admission {
    Admission {
        audiences: AudienceSet::of(&[Audience::Platform]),
        schemes: SchemeSet::of(&[Scheme::Bearer, Scheme::Token]),
        scopes: ScopeSet::default(),
    }
}

/// A request of an admitted caller, read.
struct Call<'a> {
    engine: &'a Engine,
    admitted: &'a Admitted,
    buyer: Buyer,
    request_id: &'a str,
    /// What stands in the path in the place of names in braces.
    places: Vec<String>,
    query: Fields,
    body: Fields,
    /// Where it counts once, however often it is sent.
    claim: Option<Claim>,
}

impl Call<'_> {
    /// The number at a place of the path; what is no number names nothing.
    fn number(&self, place: usize) -> Result<i64, Fault> {
        let text = self.places.get(place).map(String::as_str);
        number(text.unwrap_or_default())
    }

    /// Who acts, for the audit trail.
    fn actor(&self) -> Actor {
        Actor {
            name: self.admitted.caller().credential_id().to_string(),
            request_id: self.request_id.to_owned(),
        }
    }
}

fn number(text: &str) -> Result<i64, Fault> {
    text.parse().map_err(|_| Fault::NotFound)
}

/// What an address answers.
struct Reply {
    status: StatusCode,
    /// JSON; `None`: no body and no content type.
    body: Option<String>,
    /// How many there are on all pages of a list.
    total: Option<i64>,
    /// Whether it was given before, to the same request.
    is_replayed: bool,
    /// Whether something in it is seen once only, so that it is not kept.
    is_secret: bool,
}

impl Reply {
    fn of(body: &Value) -> Self {
        Reply {
            status: StatusCode::OK,
            body: Some(body.to_string()),
            total: None,
            is_replayed: false,
            is_secret: false,
        }
    }

    /// A list, of which `total` are on all pages.
    fn list(rows: Vec<Value>, total: i64) -> Self {
        Reply {
            total: Some(total),
            ..Reply::of(&Value::Array(rows))
        }
    }

    /// Without a content type: clients decode by it, and there is nothing to decode.
    fn nothing() -> Self {
        Reply {
            status: StatusCode::NO_CONTENT,
            body: None,
            total: None,
            is_replayed: false,
            is_secret: false,
        }
    }

    fn answer(self) -> Answer {
        let mut answer = match self.body {
            Some(body) => answer::text(self.status, "application/json", body),
            None => answer::empty(self.status),
        };
        if let Some(total) = self.total {
            answer::set(&mut answer, TOTAL_COUNT, &total.to_string());
            let exposed = HeaderValue::from_static("X-Total-Count");
            answer
                .headers_mut()
                .insert(ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
        }
        if self.is_replayed {
            answer::set(&mut answer, REPLAYED, "true");
        }
        answer
    }
}

type Answering<'a> = Pin<Box<dyn Future<Output = Result<Reply, Fault>> + Send + 'a>>;
type Handler = for<'a> fn(&'a Call<'a>) -> Answering<'a>;
/// Makes the answer of a write again, from the number or id of what it made or changed.
type Again = for<'a> fn(&'a Call<'a>, &'a str) -> Answering<'a>;

/// A method of an address.
struct Endpoint {
    method: Method,
    /// Below `/api`; a name in braces stands for anything.
    path: &'static str,
    handle: Handler,
    /// `None`: it writes nothing.
    again: Option<Again>,
}

const fn get(path: &'static str, handle: Handler) -> Endpoint {
    reading(Method::GET, path, handle)
}

const fn reading(method: Method, path: &'static str, handle: Handler) -> Endpoint {
    Endpoint {
        method,
        path,
        handle,
        again: None,
    }
}

const fn writing(method: Method, path: &'static str, handle: Handler, again: Again) -> Endpoint {
    Endpoint {
        method,
        path,
        handle,
        again: Some(again),
    }
}

/// Every address with its methods. Those that older clients know stand behind the others.
static ENDPOINTS: [Endpoint; 23] = [
    get("", |_| Box::pin(async { Ok(title()) })),
    get("user/account", |call| Box::pin(account::show(call))),
    get("user/credentials", |call| Box::pin(credential::list(call))),
    writing(
        Method::POST,
        "user/credentials",
        |call| Box::pin(credential::create(call)),
        |call, public_id| Box::pin(credential::show(call, public_id)),
    ),
    writing(
        Method::DELETE,
        "user/credentials/{clientId}",
        |call| Box::pin(credential::revoke(call)),
        |_, _| Box::pin(async { Ok(Reply::nothing()) }),
    ),
    get("products", |call| Box::pin(product::list(call))),
    get("shop/list", |call| Box::pin(product::list(call))),
    reading(Method::POST, "user/cart/validate", |call| {
        Box::pin(order::validate(call))
    }),
    writing(
        Method::POST,
        "user/checkout",
        |call| Box::pin(order::checkout(call)),
        |call, order| Box::pin(order::show(call, order)),
    ),
    writing(
        Method::POST,
        "shop/checkout",
        |call| Box::pin(order::checkout(call)),
        |call, order| Box::pin(order::show(call, order)),
    ),
    writing(
        Method::POST,
        "shop/processquote/{orderId}",
        |call| Box::pin(order::process(call)),
        |call, order| Box::pin(order::show_processed(call, order)),
    ),
    get("user/orders", |call| Box::pin(order::list(call))),
    get("cloud", |call| Box::pin(cloud::list(call))),
    get("cloud/region", |call| Box::pin(choice::regions(call))),
    get("cloud/domain", |call| Box::pin(choice::domains(call))),
    get("cloud/version", |call| Box::pin(choice::versions(call))),
    get("theme", |call| Box::pin(choice::themes(call))),
    writing(
        Method::POST,
        "cloud/upgrade/{hostingId}",
        |call| Box::pin(cloud::upgrade(call)),
        |call, instance| Box::pin(cloud::show(call, instance)),
    ),
    writing(
        Method::PUT,
        "cloud/renewNow/{hostingId}",
        |call| Box::pin(cloud::renew_now(call)),
        |call, order| Box::pin(order::show(call, order)),
    ),
    writing(
        Method::DELETE,
        "cloud/deleteNow/{hostingId}/{accountName}",
        |call| Box::pin(cloud::delete_now(call)),
        |_, _| Box::pin(async { Ok(Reply::nothing()) }),
    ),
    get("android", |call| Box::pin(android::list(call))),
    get("android/devices/{versionId}", |call| {
        Box::pin(android::devices(call))
    }),
    writing(
        Method::DELETE,
        "android/devices/{versionId}/{licenceId}",
        |call| Box::pin(android::remove_device(call)),
        |_, _| Box::pin(async { Ok(Reply::nothing()) }),
    ),
];

fn title() -> Reply {
    Reply::of(&json!({ "title": "Wayleave Platform API" }))
}

impl Endpoint {
    /// What stands in the place of names in braces, where the path is of this form.
    fn places(&self, segments: &[String]) -> Option<Vec<String>> {
        let form: Vec<&str> = self
            .path
            .split('/')
            .filter(|part| !part.is_empty())
            .collect();
        if form.len() != segments.len() {
            return None;
        }
        let mut places = Vec::new();
        for (part, segment) in form.iter().zip(segments) {
            if part.starts_with('{') {
                places.push(segment.clone());
            } else if part != segment {
                return None;
            }
        }
        Some(places)
    }
}

/// The parts of a path below `/api`; slashes that are repeated or at the end say nothing.
fn segments(path: &str) -> Vec<String> {
    let parts = path.split('/').filter(|part| !part.is_empty()).skip(1);
    parts
        .map(|part| String::from_utf8_lossy(&percent_decode(part)).into_owned())
        .collect()
}

/// Which method of which address is called, and what stands in its places.
fn find(method: &Method, segments: &[String]) -> Result<(&'static Endpoint, Vec<String>), Fault> {
    let method = match *method {
        Method::HEAD => &Method::GET,
        _ => method,
    };
    let mut allow = None;
    for endpoint in &ENDPOINTS {
        match endpoint.places(segments) {
            Some(places) if endpoint.method == method => return Ok((endpoint, places)),
            Some(_) => allow = Some(allowed(&endpoint.method)),
            None => {}
        }
    }
    Err(allow.map_or(Fault::NotFound, |allow| Fault::Method { allow }))
}

/// Every address has one method.
fn allowed(method: &Method) -> &'static str {
    match *method {
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        _ => "GET, HEAD",
    }
}

/// A request that is to be answered here.
pub(crate) struct Asked<'a> {
    /// The environment's engine.
    pub(crate) engine: &'a Engine,
    /// Whose it is.
    pub(crate) admitted: &'a Admitted,
    /// Its head.
    pub(crate) parts: &'a Parts,
    /// Its path without prefixes of ours, beginning with `/api`.
    pub(crate) path: &'a str,
    /// Its id.
    pub(crate) request_id: &'a str,
}

/// Answers a request of an admitted caller.
pub(crate) async fn answer(asked: Asked<'_>, body: Incoming) -> Result<Answer, Fault> {
    let body = read_body(body, BODY_LIMIT_BYTES).await?;
    let Asked { parts, engine, .. } = asked;
    let segments = segments(asked.path);
    let (endpoint, places) = find(&parts.method, &segments)?;
    let mut call = Call {
        engine,
        admitted: asked.admitted,
        buyer: Buyer::of(asked.admitted),
        request_id: asked.request_id,
        places,
        query: Fields::of_query(parts.uri.query())?,
        body: Fields::of_body(&media_type(&parts.headers), &body)?,
        claim: None,
    };
    let reply = match endpoint.again {
        Some(again) => {
            call.claim = once::claim(&call, parts, &segments, &body)?;
            once::serve(&call, endpoint.handle, again).await?
        }
        None => (endpoint.handle)(&call).await?,
    };
    Ok(reply.answer())
}

/// An amount as a JSON number; whole where its currency has no smaller units.
fn money(amount: Money) -> Value {
    let text = amount.to_string();
    match text.contains('.') {
        true => json!(text.parse::<f64>().unwrap_or_default()),
        false => json!(amount.minor()),
    }
}

/// A flag as clients expect it.
fn flag(is_set: bool) -> Value {
    json!(u8::from(is_set))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(method: Method, path: &str) -> Result<(&'static str, Vec<String>), String> {
        find(&method, &segments(path))
            .map(|(endpoint, places)| (endpoint.path, places))
            .map_err(|fault| format!("{fault:?}"))
    }

    #[test]
    fn paths_are_found_whatever_their_slashes() {
        for path in [
            "/api/user/account",
            "//api//user/account",
            "/api/user/account/",
        ] {
            assert_eq!(found(Method::GET, path), Ok(("user/account", Vec::new())));
        }
        assert_eq!(found(Method::GET, "/api/"), Ok(("", Vec::new())));
        let places = vec!["7".to_owned(), "apiX1 y".to_owned()];
        assert_eq!(
            found(Method::DELETE, "/api/cloud/deleteNow/7/apiX1%20y"),
            Ok(("cloud/deleteNow/{hostingId}/{accountName}", places))
        );
    }

    #[test]
    fn another_method_is_told_the_right_one_and_another_path_is_nothing() {
        for (method, path, fault) in [
            (
                Method::GET,
                "/api/user/checkout",
                "Method { allow: \"POST\" }",
            ),
            (
                Method::POST,
                "/api/cloud",
                "Method { allow: \"GET, HEAD\" }",
            ),
            (
                Method::GET,
                "/api/cloud/renewNow/7",
                "Method { allow: \"PUT\" }",
            ),
            (Method::GET, "/api/user", "NotFound"),
            (Method::GET, "/api/User/Account", "NotFound"),
        ] {
            assert_eq!(found(method, path), Err(fault.to_owned()), "{path}");
        }
    }

    #[test]
    fn amounts_are_numbers_with_the_digits_of_their_currency() {
        for (minor, currency, text) in [
            (1_205, "EUR", "12.05"),
            (1_250, "EUR", "12.5"),
            (-5, "GBP", "-0.05"),
            (1_205, "JPY", "1205"),
            (1_205, "KWD", "1.205"),
            (999_999_999_999, "EUR", "9999999999.99"),
        ] {
            let currency = currency.parse().expect("a currency");
            let amount = Money::new(minor, currency).expect("an amount");
            assert_eq!(money(amount).to_string(), text);
        }
    }
}
