//! `GET /api/Resource/{accessKey}/{resourceKey}` and
//! `GET /api/TemporaryUserToken/{accessKey}/{temporaryUserToken}`: may this visitor see this page?
//!
//! Sites that get an error show the page, so there is one only for what is wrong with the request
//! itself; whoever cannot be recognised is somebody new.

use std::fmt::Write;

use serde_json::{Value, json};
use wayleave_core::{AdBlocker, Timestamp};
use wayleave_engine::{AccessAnswer, AccessQuestion, Subscribed, VisitorProof};
use wayleave_protocol::http_date::format_rfc3339;

use super::shape::RESOURCE_ACCESS;
use super::{Call, Reply};
use crate::fault::Fault;

/// What clients show as the name of who has not signed in.
const ANONYMOUS: &str = "Anonymous User";
/// The class of what is shown only to who may see the page.
const PAID_PART: &str = ".paid";

/// Answers for a page by its key.
pub(super) async fn by_resource_key(call: &Call<'_>) -> Result<Reply, Fault> {
    let token = call.parameter("UserToken").unwrap_or_default();
    answer(call, &call.place, VisitorProof::UserToken(token)).await
}

/// Answers for a visitor who comes from where they signed in or paid.
pub(super) async fn by_temporary_token(call: &Call<'_>) -> Result<Reply, Fault> {
    let key = call.parameter("ResourceKey");
    let key = key.ok_or_else(|| Fault::BadRequest("ResourceKey: it is missing".to_owned()))?;
    answer(call, key, VisitorProof::TemporaryToken(&call.place)).await
}

async fn answer(call: &Call<'_>, key: &str, proof: VisitorProof<'_>) -> Result<Reply, Fault> {
    let status = call.parameter("AdBlockerStatus").unwrap_or_default();
    let question = AccessQuestion {
        credential_id: call.admitted.caller().credential_id(),
        property_id: call.property.id,
        key,
        proof,
        page_url: call.parameter("ResourceURL").unwrap_or_default(),
        ad_blocker: AdBlocker::of_content_word(status),
        is_verified_crawler: is_verified_crawler(call),
    };
    let answered = call.engine.ask_for_access(&question).await;
    let answered = answered.map_err(|refusal| Fault::Internal {
        cause: refusal.to_string(),
    })?;
    let url = action_url(call, key, &answered);
    let mut body = body(&question, &answered, url);
    if call.asks_for("includeStructuredData") {
        body["StructuredData"] = json!(structured_data(&question, &answered));
    }
    Ok(Reply::of(&RESOURCE_ACCESS, body))
}

/// What the page is to tell search engines, as the text of a `script` element of the type
/// `application/ld+json`; nothing in it ends the element.
fn structured_data(question: &AccessQuestion<'_>, answer: &AccessAnswer) -> String {
    let resource = answer.resource.as_deref();
    let own_url = resource.map(|resource| resource.url.as_str());
    let own_url = own_url.filter(|url| !url.is_empty());
    let url = own_url.unwrap_or(question.page_url);
    let mut data = json!({
        "@context": "https://schema.org",
        "@type": "WebPage",
        "isAccessibleForFree": answer.is_open_to_all,
    });
    if !url.is_empty() {
        data["url"] = json!(url);
    }
    if let Some(resource) = resource.filter(|resource| !resource.title.is_empty()) {
        data["name"] = json!(resource.title);
    }
    if !answer.is_open_to_all {
        data["hasPart"] = json!({
            "@type": "WebPageElement",
            "isAccessibleForFree": false,
            "cssSelector": PAID_PART,
        });
    }
    data.to_string().replace('<', "\\u003c")
}

/// Whether the visitor comes from where a crawler comes from that the property lets in. What it says of
/// itself does not count.
fn is_verified_crawler(call: &Call<'_>) -> bool {
    let settings = &call.property.settings.verified_crawlers;
    let ip = call.parameter("IP").filter(|_| settings.enabled);
    let ip = ip.and_then(|ip| ip.trim().parse().ok());
    ip.is_some_and(|ip| call.engine.is_crawler_of(&settings.kinds, ip))
}

/// Where the visitor is sent; empty where the page is shown. Always with a `?`: sites append to it.
fn action_url(call: &Call<'_>, key: &str, answer: &AccessAnswer) -> String {
    if answer.decision.is_granted() {
        return String::new();
    }
    let mut url = call.engine.issuer().to_owned();
    url.push_str("/ResourceAccess/?ApiKey=");
    push_escaped(&mut url, &call.access_key.to_ascii_lowercase());
    url.push_str("&ResourceKey=");
    push_escaped(&mut url, key);
    url.push_str("&UserToken=");
    push_escaped(&mut url, &answer.user_token);
    url.push_str("&SendTemporaryUserToken=True");
    url
}

/// Percent-encodes all but the unreserved characters (RFC 3986 section 2.3), in small digits.
fn push_escaped(url: &mut String, text: &str) {
    for byte in text.bytes() {
        match byte {
            b'-' | b'.' | b'_' | b'~' => url.push(char::from(byte)),
            _ if byte.is_ascii_alphanumeric() => url.push(char::from(byte)),
            _ => {
                let _ = write!(url, "%{byte:02x}");
            }
        }
    }
}

fn time(at: Timestamp) -> String {
    format_rfc3339(at.unix_s())
}

/// The resource access object.
fn body(question: &AccessQuestion<'_>, answer: &AccessAnswer, url: String) -> Value {
    let (settings, decision) = (&answer.property.settings, answer.decision);
    let names = answer.names.as_ref();
    let ads = &settings.ad_supported;
    let resource = answer.resource.as_deref();
    let expires = answer.user_token_expires_at.map(time);
    let is_ad_supported = ads.enabled && resource.is_some();
    let told = |text: &str| match is_ad_supported {
        true => text.to_owned(),
        false => String::new(),
    };
    json!({
        "UserToken": answer.user_token,
        "UserTokenExpiration": expires.unwrap_or_default(),
        "PropertyName": answer.property.name,
        "PaywallDisplayStyle": settings.display_style.as_str(),
        "ResourceName": resource.map_or("", |resource| &resource.name),
        "UserName": names.map_or(ANONYMOUS, |(user_name, _)| user_name),
        "FirstName": names.map_or("", |(_, first_name)| first_name),
        "IsAnonymousUser": names.is_none(),
        "IsAdSupported": is_ad_supported,
        "AdSupportedMessageTitle": told(&ads.title),
        "AdSupportedMessage": told(&ads.message),
        "AdBlockerStatus": question.ad_blocker.content_word(),
        "IsNoCost": decision.is_no_cost(),
        "IsAccessibleForFree": answer.is_open_to_all,
        "Quota": quota(answer),
        "Subscription": subscription(answer),
        "Purchase": { "IsPurchased": answer.is_bought },
        "AccessAction": decision.action().content_word(),
        "AccessReason": decision.reason().content_word(),
        "AccessActionURL": url,
    })
}

/// Never null: clients fail on that. What is off has filler, which clients ignore.
fn quota(answer: &AccessAnswer) -> Value {
    match answer.meter {
        None => json!({
            "IsEnabled": false,
            "HitCount": -1,
            "AllowedHits": -1,
            "PeriodStartDate": time(answer.at),
            "PeriodName": "",
            "IsMet": true,
        }),
        Some(meter) => json!({
            "IsEnabled": true,
            "HitCount": meter.reading.hits,
            "AllowedHits": meter.reading.allowed,
            "PeriodStartDate": time(meter.starts_at),
            "PeriodName": meter.period.as_str(),
            "IsMet": meter.reading.is_met(),
        }),
    }
}

fn subscription(answer: &AccessAnswer) -> Value {
    let none = Subscribed {
        group_id: String::new(),
        until: answer.at,
        is_current: false,
    };
    let found = answer.subscription.as_ref();
    let shown = found.unwrap_or(&none);
    json!({
        "IsExpired": found.is_some() && !shown.is_current,
        "ExpirationDate": time(shown.until),
        "IsCurrent": shown.is_current,
        "SubscriptionGroupID": shown.group_id,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_into_an_address_cannot_end_it() {
        let mut url = String::new();
        push_escaped(&mut url, "a-b_c.d~|ä/&=?#% +");
        assert_eq!(url, "a-b_c.d~%7c%c3%a4%2f%26%3d%3f%23%25%20%2b");
    }
}
