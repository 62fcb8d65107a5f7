//! `GET /api/Resource/{accessKey}/{resourceKey}` and
//! `GET /api/TemporaryUserToken/{accessKey}/{temporaryUserToken}`: may this visitor see this page?
//!
//! Sites that get an error show the page, so there is one only for what is wrong with the request
//! itself; whoever cannot be recognised is somebody new.

use std::fmt::Write;

use serde::Serialize;
use serde_json::json;
use wayleave_core::{AdBlocker, Timestamp};
use wayleave_engine::{AccessAnswer, AccessQuestion, VisitorProof};
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
    let told = call
        .asks_for("includeStructuredData")
        .then(|| structured_data(&question, &answered));
    call.write(
        &RESOURCE_ACCESS,
        &ResourceAccess::of(&question, &answered, url, told),
    )
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

/// The resource access object (3.2), in which nothing is ever null: clients fail on that.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ResourceAccess<'a> {
    user_token: &'a str,
    /// Empty where the token is for a browser's session.
    user_token_expiration: String,
    property_name: &'a str,
    paywall_display_style: &'a str,
    resource_name: &'a str,
    user_name: &'a str,
    first_name: &'a str,
    is_anonymous_user: bool,
    is_ad_supported: bool,
    ad_supported_message_title: &'a str,
    ad_supported_message: &'a str,
    ad_blocker_status: &'a str,
    is_no_cost: bool,
    is_accessible_for_free: bool,
    quota: QuotaShown,
    subscription: SubscriptionShown<'a>,
    purchase: PurchaseShown,
    access_action: &'a str,
    access_reason: &'a str,
    #[serde(rename = "AccessActionURL")]
    access_action_url: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    structured_data: Option<String>,
}

impl<'a> ResourceAccess<'a> {
    fn of(
        question: &AccessQuestion<'_>,
        answer: &'a AccessAnswer,
        access_action_url: String,
        structured_data: Option<String>,
    ) -> Self {
        let (settings, decision) = (&answer.property.settings, answer.decision);
        let (names, resource) = (answer.names.as_ref(), answer.resource.as_deref());
        let ads = &settings.ad_supported;
        let expires = answer.user_token_expires_at.map(time);
        let is_ad_supported = ads.enabled && resource.is_some();
        let told = |text: &'a str| if is_ad_supported { text } else { "" };
        ResourceAccess {
            user_token: &answer.user_token,
            user_token_expiration: expires.unwrap_or_default(),
            property_name: &answer.property.name,
            paywall_display_style: settings.display_style.as_str(),
            resource_name: resource.map_or("", |resource| &resource.name),
            user_name: names.map_or(ANONYMOUS, |(user_name, _)| user_name),
            first_name: names.map_or("", |(_, first_name)| first_name),
            is_anonymous_user: names.is_none(),
            is_ad_supported,
            ad_supported_message_title: told(&ads.title),
            ad_supported_message: told(&ads.message),
            ad_blocker_status: question.ad_blocker.content_word(),
            is_no_cost: decision.is_no_cost(),
            is_accessible_for_free: answer.is_open_to_all,
            quota: QuotaShown::of(answer),
            subscription: SubscriptionShown::of(answer),
            purchase: PurchaseShown {
                is_purchased: answer.is_bought,
            },
            access_action: decision.action().content_word(),
            access_reason: decision.reason().content_word(),
            access_action_url,
            structured_data,
        }
    }
}

/// What is off has filler, which clients ignore.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct QuotaShown {
    is_enabled: bool,
    hit_count: i64,
    allowed_hits: i64,
    period_start_date: String,
    period_name: &'static str,
    is_met: bool,
}

impl QuotaShown {
    fn of(answer: &AccessAnswer) -> Self {
        match answer.meter {
            None => QuotaShown {
                is_enabled: false,
                hit_count: -1,
                allowed_hits: -1,
                period_start_date: time(answer.at),
                period_name: "",
                is_met: true,
            },
            Some(meter) => QuotaShown {
                is_enabled: true,
                hit_count: meter.reading.hits.into(),
                allowed_hits: meter.reading.allowed.into(),
                period_start_date: time(meter.starts_at),
                period_name: meter.period.as_str(),
                is_met: meter.reading.is_met(),
            },
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct SubscriptionShown<'a> {
    is_expired: bool,
    expiration_date: String,
    is_current: bool,
    #[serde(rename = "SubscriptionGroupID")]
    subscription_group_id: &'a str,
}

impl<'a> SubscriptionShown<'a> {
    fn of(answer: &'a AccessAnswer) -> Self {
        let found = answer.subscription.as_ref();
        let is_current = found.is_some_and(|found| found.is_current);
        SubscriptionShown {
            is_expired: found.is_some() && !is_current,
            expiration_date: time(found.map_or(answer.at, |found| found.until)),
            is_current,
            subscription_group_id: found.map_or("", |found| &found.group_id),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct PurchaseShown {
    is_purchased: bool,
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
