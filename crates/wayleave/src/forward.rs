//! Takes a request that may pass to the API behind, and its failures into the caller's words.

use http::{Response, header};
use http_body_util::Either;
use hyper::Request;
use wayleave_core::Environment;
use wayleave_proxy::{Inbound, Proxy, ProxyError};
use wayleave_web::{Fault, Forward, RequestBody, caught};

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
    } = forward;
    let accept = request.headers().get(header::ACCEPT).cloned();
    let host = host_as_written(&request);
    let body = request.body().fate();
    let inbound = Inbound {
        source,
        scheme,
        host: &host,
        request_id,
    };
    let answered = match upstream.address(&path, request.uri().query()) {
        Ok(address) => caught(proxy.forward(&admitted, address, request, &inbound)).await,
        Err(error) => Ok(Err(ProxyError::Unreachable(error.to_string()))),
    };
    let failed = |failure| counters.count_upstream_failure(environment, failure);
    let fault = match answered {
        Ok(Ok(answer)) => return answer.map(Either::Right),
        // The client's own body broke the way off, not the API behind.
        Ok(Err(_)) if body.error().is_some() => body.error().map_or(Fault::TooSlow, Fault::from),
        Ok(Err(ProxyError::Unreachable(cause))) => {
            failed(UpstreamFailure::Unreachable);
            Fault::BadGateway {
                cause: format!("{}: {cause}", upstream.authority()),
            }
        }
        Ok(Err(ProxyError::TimedOut)) => {
            failed(UpstreamFailure::TimedOut);
            Fault::GatewayTimeout
        }
        Err(panicked) => Fault::from(panicked),
    };
    let accept = accept.as_ref().and_then(|value| value.to_str().ok());
    dialect.render(&fault, accept, request_id).map(Either::Left)
}

/// The host that a request is for: of an absolute target, else of the `Host` header.
fn host_as_written(request: &Request<RequestBody>) -> String {
    let header = request
        .headers()
        .get(header::HOST)
        .and_then(|value| value.to_str().ok());
    let authority = request
        .uri()
        .authority()
        .map(|authority| authority.as_str());
    authority.or(header).unwrap_or_default().to_owned()
}
