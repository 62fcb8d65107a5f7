//! A request on its way through: what limits let it pass, how the answer tells its caller, and that
//! it is counted once.

use bytes::{BufMut, BytesMut};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use hyper::body::Body;
use wayleave_engine::{
    Admitted, CountedRoute, Engine, Exceeded, OverLimit, Standing, Taken, Tally, UsageKind,
};

use crate::fault::Fault;
use crate::header_value::{header_value, put_number};

const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const STANDING: HeaderName = HeaderName::from_static("ratelimit");
/// What is counted of a client that went away before its answer began, as nginx does.
const CLIENT_GONE: u16 = 499;

/// A request that its limits let pass. It is counted once: when it is answered, or else when this is
/// dropped because its client went away.
pub struct Passage<'e> {
    engine: &'e Engine,
    tally: Tally,
    kind: UsageKind,
    request_bytes: u64,
    standing: Option<(HeaderValue, HeaderValue)>,
    /// What its caller got.
    answered: Option<(StatusCode, u64)>,
}

impl<'e> Passage<'e> {
    /// Lets a request pass the limits of its route and of its partner's plan.
    pub(crate) async fn take(
        engine: &'e Engine,
        admitted: &Admitted,
        route: &CountedRoute,
        tally: Tally,
    ) -> Result<Self, Fault> {
        let taken = engine.take(admitted, route).await.map_err(fault)?;
        Ok(Passage {
            engine,
            tally,
            kind: UsageKind::Proxied,
            request_bytes: 0,
            standing: headers(&taken, route),
            answered: None,
        })
    }

    /// Says what it is counted as. `request_bytes`: of its body, 0 where the length is not known.
    pub(crate) fn counted_as(mut self, kind: UsageKind, request_bytes: u64) -> Self {
        self.kind = kind;
        self.request_bytes = request_bytes;
        self
    }

    /// Tells in the answer how the caller stands with its limits
    /// (draft-ietf-httpapi-ratelimit-headers-10: `RateLimit-Policy` and `RateLimit`), in the place of
    /// what the API behind may have said of its own, and counts the request.
    pub fn end<B: Body>(mut self, answer: &mut Response<B>) {
        if let Some((policy, standing)) = self.standing.take() {
            answer.headers_mut().insert(POLICY, policy);
            answer.headers_mut().insert(STANDING, standing);
        }
        let answer_bytes = answer.body().size_hint().exact().unwrap_or(0);
        self.answered = Some((answer.status(), answer_bytes));
    }

    /// Counts the request as refused by ourselves after its limits let it pass.
    pub(crate) fn refused(mut self, status: StatusCode) {
        self.answered = Some((status, 0));
    }
}

impl Drop for Passage<'_> {
    fn drop(&mut self) {
        let (status, answer_bytes) = match self.answered {
            Some((status, bytes)) => (status.as_u16(), bytes),
            None => (CLIENT_GONE, 0),
        };
        let request_bytes = self.request_bytes;
        self.engine
            .count(self.tally, self.kind, status, request_bytes, answer_bytes);
    }
}

fn fault(refused: OverLimit) -> Fault {
    match refused {
        OverLimit::TooFast(exceeded) => Fault::TooFast(Box::new(exceeded)),
        OverLimit::UsedUp(exceeded) => Fault::OverQuota(Box::new(exceeded)),
        OverLimit::QuotaAway { limit } => Fault::Unavailable {
            cause: format!(
                "how much is left of the quota {limit} cannot be found out: the database is away"
            ),
        },
        OverLimit::UnknownPlan { partner, plan } => Fault::Unavailable {
            cause: format!(
                "{partner} has the plan {plan}, which is not in the configuration of this node: add it, or give the partner another one"
            ),
        },
    }
}

fn headers(taken: &Taken, route: &CountedRoute) -> Option<(HeaderValue, HeaderValue)> {
    taken.each(route).next()?;
    let policy = header_value(|text| {
        for (place, (limit, _)) in taken.each(route).enumerate() {
            separate(text, place);
            text.put_slice(limit.policy().as_bytes());
        }
    })?;
    let standing = header_value(|text| {
        for (place, (limit, standing)) in taken.each(route).enumerate() {
            separate(text, place);
            put_standing(text, limit.name(), standing);
        }
    })?;
    Some((policy, standing))
}

/// The headers of an answer to a request that is over a limit.
pub(crate) fn refused(exceeded: &Exceeded) -> Option<[(HeaderName, HeaderValue); 2]> {
    let policy = HeaderValue::from_str(&exceeded.policy).ok()?;
    let standing = header_value(|text| put_standing(text, &exceeded.limit, exceeded.standing))?;
    Some([(POLICY, policy), (STANDING, standing)])
}

fn separate(text: &mut BytesMut, place: usize) {
    if place > 0 {
        text.put_slice(b", ");
    }
}

fn put_standing(text: &mut BytesMut, name: &str, standing: Standing) {
    text.put_u8(b'"');
    text.put_slice(name.as_bytes());
    text.put_slice(b"\";r=");
    put_number(text, standing.remaining);
    text.put_slice(b";t=");
    put_number(text, standing.reset_s);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_they_are_read() {
        for number in [0, 7, 10, 1_805_192_430, u64::MAX] {
            let value = header_value(|text| put_number(text, number)).expect("a value");
            assert_eq!(value.to_str().expect("text"), number.to_string());
        }
    }

    #[test]
    fn blocks_run_out_and_values_stay_whole() {
        let name = "n".repeat(64);
        let write = |remaining| {
            let standing = Standing {
                remaining,
                reset_s: 9,
            };
            header_value(|text| put_standing(text, &name, standing)).expect("a value")
        };
        let values: Vec<HeaderValue> = (0..10_000).map(write).collect();
        for (number, value) in values.iter().enumerate() {
            assert_eq!(value, &format!("\"{name}\";r={number};t=9"));
        }
    }
}
