//! `Idempotency-Key`: a write that is sent again with its key is answered again and not done again.

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderName, StatusCode};
use wayleave_engine::{Claim, Earlier};

use super::error::not_once;
use super::{Again, Call, Handler, Reply};
use crate::dialect::platform_body;
use crate::fault::Fault;
use crate::request::single;

const KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// A UUID has 36.
const MOST_KEY_BYTES: usize = 255;

/// The claim of a request that has a key. The path is that of the address that was meant, however
/// its slashes were.
pub(super) fn claim(
    call: &Call<'_>,
    parts: &Parts,
    segments: &[String],
    body: &Bytes,
) -> Result<Option<Claim>, Fault> {
    let Some(key) = single(&parts.headers, KEY)? else {
        return Ok(None);
    };
    let is_key = (1..=MOST_KEY_BYTES).contains(&key.len()) && key.iter().all(u8::is_ascii_graphic);
    let key = std::str::from_utf8(key).ok().filter(|_| is_key);
    let key = key.ok_or_else(|| {
        Fault::BadRequest(format!(
            "Idempotency-Key has 1 to {MOST_KEY_BYTES} visible letters, such as a UUID"
        ))
    })?;
    let query = parts.uri.query().unwrap_or_default();
    let path = format!("{}?{query}", segments.join("/"));
    let caller = call.admitted.caller();
    Ok(Some(Claim::new(
        caller,
        key,
        parts.method.as_str(),
        &path,
        body,
    )))
}

/// Does a write, or gives the answer that its key got before.
pub(super) async fn serve(call: &Call<'_>, handle: Handler, again: Again) -> Result<Reply, Fault> {
    let Some(claim) = &call.claim else {
        return handle(call).await;
    };
    let _serving = call.engine.serve_once(claim).map_err(not_once)?;
    if let Some(earlier) = call.engine.earlier(claim).await.map_err(not_once)? {
        return replay(call, claim, again, earlier).await;
    }
    let done = handle(call).await;
    match &done {
        Ok(reply) if reply.is_secret => {}
        Ok(reply) => keep(call, claim, reply.status, reply.body.as_deref()).await,
        // Another node may have done it at this moment.
        Err(fault) if fault.status() == StatusCode::CONFLICT => {
            if let Some(earlier) = call.engine.earlier(claim).await.map_err(not_once)? {
                return replay(call, claim, again, earlier).await;
            }
        }
        Err(fault) if fault.status().is_client_error() => {
            let body = platform_body(fault, &fault.message()).to_string();
            keep(call, claim, fault.status(), Some(&body)).await;
        }
        // What the effect was, if there was one, is found out when it is asked for again.
        Err(_) => {}
    }
    done
}

/// Without it the answer is made again from what the write made.
async fn keep(call: &Call<'_>, claim: &Claim, status: StatusCode, body: Option<&str>) {
    let body = body.unwrap_or_default();
    let kept = call.engine.keep_answer(claim, status.as_u16(), body).await;
    if let Err(error) = kept {
        tracing::warn!(request_id = call.request_id, %error, "the answer to a key was not kept");
    }
}

async fn replay(
    call: &Call<'_>,
    claim: &Claim,
    again: Again,
    earlier: Earlier,
) -> Result<Reply, Fault> {
    let reply = match earlier {
        Earlier::Answered { status, body } => Reply {
            status: StatusCode::from_u16(status).map_err(|error| Fault::Internal {
                cause: error.to_string(),
            })?,
            body: Some(body).filter(|body| !body.is_empty()),
            total: None,
            is_replayed: true,
            is_secret: false,
        },
        Earlier::Done { effect } => {
            let reply = again(call, &effect).await?;
            keep(call, claim, reply.status, reply.body.as_deref()).await;
            Reply {
                is_replayed: true,
                ..reply
            }
        }
    };
    Ok(reply)
}
