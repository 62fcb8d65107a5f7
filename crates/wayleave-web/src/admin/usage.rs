use http::StatusCode;
use serde_json::{Map, Value, json};
use wayleave_core::{CredentialId, PartnerId, Period, Timestamp};
use wayleave_engine::{UsageGroups, UsageKind, UsageQuestion, UsageSum};

use super::reading::{LAST_TIME_S, Page, invalid};
use super::{Desk, fault};
use crate::answer::{self, Answer};
use crate::fault::Fault;

/// How far back is looked unless `from` says it, in seconds: days, and hours.
const USUAL_DAYS_S: i64 = 30 * 86_400;
const USUAL_HOURS_S: i64 = 86_400;

impl Desk<'_> {
    /// What was used, summed as `by` says.
    pub(super) async fn usage(&self, page: &mut Page) -> Result<Answer, Fault> {
        let (period, groups) = groups(page.text("by").as_deref().unwrap_or("day"))?;
        let now_s = self.engine.now().unix_s();
        let usual_s = match period {
            Period::Hour => USUAL_HOURS_S,
            _ => USUAL_DAYS_S,
        };
        let from_s = page.parsed::<i64>("from")?.map(within_time);
        let from_s = from_s.unwrap_or(now_s - usual_s);
        let to_s = page.parsed::<i64>("to")?.map(within_time);
        let moment = Timestamp::from_unix_s;
        // Whole hours or days: the one that `to` lies in counts, unless it begins there.
        let to = to_s.map(|to_s| Timestamp::from_unix_s(period.end_s(moment(to_s - 1))));
        let question = UsageQuestion {
            hours: period == Period::Hour,
            from: moment(period.start_s(moment(from_s))),
            to: to.unwrap_or(Timestamp::from_micros(i64::MAX)),
            partner_id: page.parsed::<PartnerId>("partner")?,
            credential_id: page.parsed::<CredentialId>("credential")?,
            route: page.text("route"),
            kind: page.text("kind").map(|word| kind(&word)).transpose()?,
            status: page.parsed("status")?,
            groups,
        };
        let after = page.text("after").map(|text| cursor(&text)).transpose()?;
        let limit = page.limit()?;
        let found = self.engine.store().read(move |reader| {
            Box::pin(async move {
                reader
                    .usage_after(&question, after.as_ref(), limit + 1)
                    .await
            })
        });
        let found = found.await.map_err(|error| fault(error.into()))?;
        let shown = usize::try_from(limit).unwrap_or(usize::MAX);
        let data: Vec<Value> = found
            .iter()
            .take(shown)
            .map(|sum| body(sum, groups))
            .collect();
        let page = json!({ "data": data, "has_more": found.len() > shown });
        Ok(answer::json(StatusCode::OK, &page))
    }
}

/// Times before 1970 and after 9999 bound nothing more.
fn within_time(seconds: i64) -> i64 {
    seconds.clamp(0, LAST_TIME_S)
}

/// What is told apart, and whether hours or days are counted.
fn groups(by: &str) -> Result<(Period, UsageGroups), Fault> {
    let mut groups = UsageGroups::default();
    let mut period = Period::Day;
    for word in by.split(',') {
        match word {
            "hour" | "day" if groups.time => {
                return Err(invalid("by", "takes hour or day, not both"));
            }
            "hour" => (period, groups.time) = (Period::Hour, true),
            "day" => groups.time = true,
            "partner" => groups.partner = true,
            "credential" => groups.credential = true,
            "route" => groups.route = true,
            "kind" => groups.kind = true,
            "status" => groups.status = true,
            _ => {
                let why = "takes hour or day, partner, credential, route, kind and status, separated by commas";
                return Err(invalid("by", why));
            }
        }
    }
    Ok((period, groups))
}

fn kind(word: &str) -> Result<UsageKind, Fault> {
    UsageKind::ALL
        .into_iter()
        .find(|kind| kind.as_str() == word)
        .ok_or_else(|| invalid("kind", "must be proxied, refused or checked"))
}

/// A sum as a text that the next page begins after. The route is last, since its name may have a
/// slash.
fn cursor_of(sum: &UsageSum) -> String {
    let UsageSum {
        starts_at,
        partner,
        credential,
        kind,
        status,
        route,
        ..
    } = sum;
    format!("{starts_at}/{partner}/{credential}/{kind}/{status}/{route}")
}

fn cursor(text: &str) -> Result<UsageSum, Fault> {
    let wrong = || {
        invalid(
            "after",
            "must be the cursor of the last row of the page before",
        )
    };
    let parts: Vec<&str> = text.splitn(6, '/').collect();
    let [starts_at, partner, credential, kind, status, route] = parts[..] else {
        return Err(wrong());
    };
    Ok(UsageSum {
        starts_at: starts_at.parse().map_err(|_| wrong())?,
        partner: partner.to_owned(),
        credential: credential.to_owned(),
        route: route.to_owned(),
        kind: kind.to_owned(),
        status: status.parse().map_err(|_| wrong())?,
        ..UsageSum::default()
    })
}

fn body(sum: &UsageSum, groups: UsageGroups) -> Value {
    let starts_at = Timestamp::from_micros(sum.starts_at).unix_s();
    let members = [
        ("starts_at", groups.time, json!(starts_at)),
        ("partner", groups.partner, json!(sum.partner)),
        ("credential", groups.credential, json!(sum.credential)),
        ("route", groups.route, json!(sum.route)),
        ("kind", groups.kind, json!(sum.kind)),
        ("status", groups.status, json!(sum.status)),
        ("requests", true, json!(sum.usage.requests)),
        ("request_bytes", true, json!(sum.usage.request_bytes)),
        ("answer_bytes", true, json!(sum.usage.answer_bytes)),
        ("cursor", true, json!(cursor_of(sum))),
    ];
    let shown = members.into_iter().filter(|(_, is_shown, _)| *is_shown);
    let object: Map<String, Value> = shown
        .map(|(name, _, value)| (name.to_owned(), value))
        .collect();
    Value::Object(object)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_reads_back_whatever_the_route_is_called() {
        let sum = UsageSum {
            starts_at: -3_600_000_000,
            credential: "crd_1".to_owned(),
            route: "api.example/v2/%2F".to_owned(),
            kind: "proxied".to_owned(),
            status: 200,
            ..UsageSum::default()
        };
        assert_eq!(cursor(&cursor_of(&sum)).expect("a cursor"), sum);
        for text in ["", "1/2/3/4/5", "x/a/b/c/200/r", "1/a/b/c/x/r"] {
            assert!(cursor(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_told_apart_is_said_in_words() {
        let (period, told) = groups("hour,route").expect("words");
        assert!(period == Period::Hour && told.time && told.route && !told.partner);
        let (period, told) = groups("partner").expect("a word");
        assert!(period == Period::Day && !told.time && told.partner);
        for by in ["", "week", "hour,day", "day,day", "partner, route"] {
            assert!(groups(by).is_err(), "{by}");
        }
    }
}
