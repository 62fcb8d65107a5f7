//! `/ResourceAccess/`: where sites send readers who may not see a page. There is nothing to buy here
//! yet: it says what page it is, and hands the reader back.
//!
//! Whoever comes back without having got a right is sent here again, so nobody is sent back without
//! asking for it.

use http::header::{CONTENT_SECURITY_POLICY, LOCATION};
use http::request::Parts;
use http::{HeaderValue, Method, StatusCode};
use wayleave_engine::{CameFrom, Engine, Refusal};
use wayleave_protocol::form::decode_word;

use crate::answer::{self, Answer};
use crate::fault::Fault;

/// The page loads nothing, and no other page shows it within itself.
const POLICY: HeaderValue = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");

/// Whether a path, without prefixes of the environment, is this address.
pub(crate) fn is_at(path: &str) -> bool {
    let path = path.strip_suffix('/').unwrap_or(path);
    path.eq_ignore_ascii_case("/ResourceAccess")
}

/// Shows the page (GET), or hands the reader back (POST).
pub(crate) async fn answer(engine: &Engine, parts: &Parts) -> Result<Answer, Fault> {
    let query = parts.uri.query().unwrap_or_default();
    let key = parameter(query, "ResourceKey").unwrap_or_default();
    let access_key = parameter(query, "ApiKey").unwrap_or_default();
    let from = engine.came_from(&access_key, &key).await.map_err(failed)?;
    let from = from.ok_or(Fault::NotFound)?;
    match parts.method {
        Method::GET | Method::HEAD => Ok(page(StatusCode::OK, &from, BACK)),
        Method::POST => {
            let token = parameter(query, "UserToken").unwrap_or_default();
            let to = engine.hand_back(&from, &token, query).await;
            match to.map_err(failed)? {
                Some(to) => Ok(sent_to(&to)),
                None => Ok(page(StatusCode::OK, &from, NOWHERE)),
            }
        }
        _ => Err(Fault::Method {
            allow: "GET, HEAD, POST",
        }),
    }
}

const BACK: &str = "<form method=\"post\"><button>Back to the page</button></form>";
const NOWHERE: &str = "<p>Go back to the site from which you came: it has not said where.</p>";

/// A parameter, decoded, its name in any case. The first one counts: what follows `originalURL` may
/// belong to that.
fn parameter(query: &str, name: &str) -> Option<String> {
    let mut pieces = query.split('&').filter_map(|piece| piece.split_once('='));
    let found = pieces.find(|(found, _)| found.eq_ignore_ascii_case(name));
    decode_word(found?.1).ok()
}

fn failed(refusal: Refusal) -> Fault {
    Fault::Unavailable {
        cause: refusal.to_string(),
    }
}

fn sent_to(address: &str) -> Answer {
    let mut answer = answer::empty(StatusCode::SEE_OTHER);
    answer::set(&mut answer, LOCATION, address);
    answer
}

fn page(status: StatusCode, from: &CameFrom, way: &str) -> Answer {
    let resource = from.resource.as_deref();
    let title = resource.map_or("", |resource| match resource.title.as_str() {
        "" => &resource.name,
        title => title,
    });
    let about = resource.map_or("", |resource| &resource.paywall_description);
    let html = format!(
        "<!DOCTYPE html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>{site}</title>\
         <meta name=\"robots\" content=\"noindex\"></head><body><h1>{title}</h1><p>{about}</p>\
         <p>This page is not free, or asks who you are.</p>{way}</body></html>\n",
        site = escaped(from.property.title()),
        title = escaped(title),
        about = escaped(about),
    );
    let mut answer = answer::text(status, "text/html; charset=utf-8", html);
    let headers = answer.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, POLICY);
    answer
}

/// Text that means nothing in HTML.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            letter => escaped.push(letter),
        }
    }
    escaped
}
