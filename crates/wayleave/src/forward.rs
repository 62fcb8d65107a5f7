//! Takes a request that may pass to the API behind, and its failures into the caller's words.

use std::pin::pin;

use http::{HeaderValue, Method, Response, Uri, header};
use http_body_util::{BodyExt, Either, Full, Limited};
use wayleave_core::Environment;
use wayleave_proxy::{AnswerBody, Inbound, Proxy, ProxyError};
use wayleave_web::{
    AnswerSigner, BodyError, Fault, Forward, OwnBody, RequestBody, SIGNED_BODY_BYTES, caught,
};

use crate::metrics::{CoreCounters, UpstreamFailure};
use crate::server::ResponseBody;

/// Passes a request on through the pool of this core. What goes wrong on the way is counted and
/// told in the words of the caller's dialect.
pub(crate) async fn forward_to_upstream(
    forward: Forward,
    environment: Environment,
    proxy: &Proxy<RequestBody>,
    counters: &CoreCounters,
    request_id: &str,
) -> Response<ResponseBody> {
    let Forward {
        admitted,
        upstream,
        path,
        request,
        dialect,
        source,
        scheme,
        answer_signer,
    } = forward;
    let method = request.method().clone();
    let accept = request.headers().get(header::ACCEPT).cloned();
    let (address, host) = (
        request.uri().clone(),
        request.headers().get(header::HOST).cloned(),
    );
    let inbound = Inbound {
        source,
        scheme,
        host: host_as_written(&address, host.as_ref()),
        request_id,
    };
    let forwarding = pin!(proxy.forward(&admitted, &upstream, &path, request, &inbound));
    let fault = match caught(forwarding).await {
        Ok(Ok(answer)) => {
            upstream.counts().count_answer(answer.status());
            match answer_signer {
                None => return answer.map(Either::Right),
                Some(signer) => match signed(&signer, &method, answer).await {
                    Ok(answer) => return answer,
                    Err(fault) => fault,
                },
            }
        }
        Ok(Err(error)) => {
            if let Some(failure) = UpstreamFailure::of(&error) {
                counters.count_upstream_failure(environment, failure);
            }
            fault_of(error)
        }
        Err(panicked) => Fault::from(panicked),
    };
    upstream.counts().count_answer(fault.status());
    let accept = accept.as_ref().and_then(|value| value.to_str().ok());
    dialect.render(&fault, accept, request_id).map(Either::Left)
}

/// Signs an answer, with the digest of its body where that is small.
async fn signed(
    signer: &AnswerSigner,
    method: &Method,
    answer: Response<AnswerBody<RequestBody>>,
) -> Result<Response<ResponseBody>, Fault> {
    let (mut parts, body) = answer.into_parts();
    if !signer.wants_body(method, parts.status, &parts.headers) {
        signer.sign(parts.status, &mut parts.headers, None);
        return Ok(Response::from_parts(parts, Either::Right(body)));
    }
    let limited = Limited::new(body, SIGNED_BODY_BYTES as usize);
    let body = limited.collect().await.map_err(|error| Fault::BadGateway {
        cause: format!("the body of an answer broke off before it was signed: {error}"),
    })?;
    let body = body.to_bytes();
    signer.sign(parts.status, &mut parts.headers, Some(&body));
    let body = OwnBody::from(Full::new(body));
    Ok(Response::from_parts(parts, Either::Left(body)))
}

/// The host that a request is for: of an absolute target, else of the `Host` header.
fn host_as_written<'a>(address: &'a Uri, header: Option<&'a HeaderValue>) -> &'a str {
    let authority = address.authority().map(|authority| authority.as_str());
    let header = header.and_then(|value| value.to_str().ok());
    authority.or(header).unwrap_or_default()
}

/// Whose fault it is, and what its owner is told.
fn fault_of(error: ProxyError<BodyError>) -> Fault {
    match error {
        ProxyError::TimedOut => Fault::GatewayTimeout,
        ProxyError::Body(error) => error.into(),
        ProxyError::UnclearPath => Fault::BadRequest(
            "the path can be read in more than one way: without its prefix it is another address"
                .to_owned(),
        ),
        ProxyError::Unreachable(_) | ProxyError::Broken(_) | ProxyError::Malformed(_) => {
            Fault::BadGateway {
                cause: error.to_string(),
            }
        }
    }
}
