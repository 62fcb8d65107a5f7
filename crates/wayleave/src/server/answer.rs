//! Answering one request: where it goes, and what is counted.

use std::convert::Infallible;

use bytes::Bytes;
use http::{HeaderValue, Response, header};
use http_body_util::{Either, Full};
use hyper::Request;
use hyper::body::Incoming;
use wayleave_core::Environment;
use wayleave_proxy::AnswerBody;
use wayleave_web::{Connection, Dialect, Fault, Forward, Handled, RequestBody, select_environment};

use super::{Choices, Core, Service, traced};
use crate::forward::forward_to_upstream;
use crate::malformed::{Answering, Marked};
use crate::sample_api;
use crate::traces::Span;

const REQUEST_ID: header::HeaderName = header::HeaderName::from_static("request-id");

pub(crate) type ResponseBody = Either<Full<Bytes>, AnswerBody<RequestBody>>;

/// Answers one request.
pub(super) async fn answer(
    request: Request<Incoming>,
    connection: &Connection,
    service: &Service,
    core: &Core,
    answering: &Answering,
) -> Result<Response<Marked<ResponseBody>>, Infallible> {
    let request_id = connection.next_request_id();
    let mut span = None;
    let mut response = dispatch(request, connection, service, core, &request_id, &mut span).await;
    if let Ok(value) = HeaderValue::from_str(&request_id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    if core.is_ending.get() {
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(header::CONNECTION, close);
    }
    Ok(response.map(|body| answering.mark(body, span)))
}

async fn dispatch(
    request: Request<Incoming>,
    connection: &Connection,
    service: &Service,
    core: &Core,
    request_id: &str,
    span: &mut Option<Span>,
) -> Response<ResponseBody> {
    match service {
        Service::SampleApi => sample_api::answer(request).await.map(Either::Left),
        Service::Monitor(monitor) => monitor.answer(&request).await.map(Either::Left),
        Service::Admin(admin) => {
            let admin = admin.load_full();
            let answer = admin.handle(request, connection, request_id).await;
            core.counters.count_admin_request(answer.status());
            answer.map(Either::Left)
        }
        Service::Environments(choices) => {
            serve_environment(request, connection, &choices.load(), core, request_id, span).await
        }
    }
}

/// Takes a request to the environment that it is for.
async fn serve_environment(
    request: Request<Incoming>,
    connection: &Connection,
    choices: &Choices,
    core: &Core,
    request_id: &str,
    span: &mut Option<Span>,
) -> Response<ResponseBody> {
    let chosen = match choices.as_slice() {
        [(_, only)] => Some(only),
        several => select_environment(several, request.uri(), request.headers()),
    };
    let Some(surfaces) = chosen else {
        let dialect = Dialect::of_path(request.uri().path());
        let answer = dialect.render(&Fault::NotFound, None, request_id);
        core.counters.count_request(None, dialect, answer.status());
        return answer.map(Either::Left);
    };
    let environment = surfaces.engine().environment();
    *span = traced::begin(core, surfaces, connection, &request);
    let (response, dialect) = match surfaces.handle(request, connection, request_id).await {
        Handled::Answer(answer, dialect) => (answer.map(Either::Left), dialect),
        Handled::Forward(forward, passage) => {
            let dialect = forward.dialect;
            let mut answer = forward_traced(*forward, environment, core, request_id, span).await;
            passage.tell(answer.headers_mut());
            (answer, dialect)
        }
    };
    let status = response.status();
    traced::end(span, environment, dialect, status, request_id);
    core.counters
        .count_request(Some(environment), dialect, status);
    response
}

/// Passes a request on, within a span of its own where the request is traced.
async fn forward_traced(
    mut forward: Forward,
    environment: Environment,
    core: &Core,
    request_id: &str,
    span: &mut Option<Span>,
) -> Response<ResponseBody> {
    let mut call = traced::begin_call(span, &mut forward);
    let (proxy, counters) = (&core.proxy, &core.counters);
    let answer = forward_to_upstream(forward, environment, proxy, counters, request_id).await;
    if let Some(call) = &mut call {
        call.say_status(answer.status());
    }
    answer
}
