//! Answering one request: where it goes, and what is counted.

use http::request::Parts;
use http::{HeaderValue, Response, StatusCode, Version, header};
use http_body_util::Either;
use hyper::Request;
use hyper::body::Incoming;
use wayleave_core::Environment;
use wayleave_proxy::AnswerBody;
use wayleave_web::{
    Connection, Dialect, Fault, Forward, Handled, OwnBody, RequestBody, select_environment,
};

use super::connection::Serving;
use super::places::Place;
use super::progress::Watched;
use super::scrutiny::scrutinise;
use super::{Choices, Core, Service, traced, tunnel};
use crate::forward::forward_to_upstream;
use crate::metrics::TurnedAway;
use crate::sample_api;
use crate::traces::Span;

const REQUEST_ID: header::HeaderName = header::HeaderName::from_static("request-id");

pub(crate) type ResponseBody = Either<OwnBody, AnswerBody<RequestBody>>;

/// The body of an answer on its way to the client.
pub(super) type WatchedBody = Watched<ResponseBody, Kept>;

/// What is kept until an answer has ended.
#[derive(Default)]
pub(super) struct Kept {
    /// Among the requests in flight.
    place: Option<Place>,
    span: Option<Span>,
}

/// Answers one request.
pub(super) async fn answer(request: Request<Incoming>, serving: &Serving) -> Response<WatchedBody> {
    let Serving {
        connection, core, ..
    } = serving;
    let begun = serving.progress.begin();
    let request_id = connection.next_request_id();
    let is_http2 = request.version() == Version::HTTP_2;
    let (mut parts, body) = request.into_parts();
    let scrutinised = scrutinise(&mut parts, core.limits.head.headers);
    let mut is_last = core.is_ending.get();
    let mut kept = Kept::default();
    let mut response = match scrutinised {
        Ok(()) => {
            let request = Request::from_parts(parts, body);
            dispatch(request, serving, &request_id, &mut kept).await
        }
        Err(fault) => {
            is_last = true;
            refuse(&parts, &fault, serving, &request_id)
        }
    };
    if let Ok(value) = HeaderValue::try_from(request_id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    if is_last && !is_http2 {
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(header::CONNECTION, close);
    }
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        serving.progress.becomes_tunnel();
    }
    response.map(|body| Watched::new(body, begun, kept))
}

/// Refuses a request that could be taken for another.
fn refuse(
    parts: &Parts,
    fault: &Fault,
    serving: &Serving,
    request_id: &str,
) -> Response<ResponseBody> {
    let counters = &serving.core.counters;
    let dialect = Dialect::of_path(parts.uri.path());
    let answer = dialect.render(fault, None, request_id);
    counters.count_turned_away(TurnedAway::Malformed);
    if let Service::Environments(_) = serving.service {
        counters.count_request(None, dialect, answer.status());
    }
    answer.map(Either::Left)
}

async fn dispatch(
    request: Request<Incoming>,
    serving: &Serving,
    request_id: &str,
    kept: &mut Kept,
) -> Response<ResponseBody> {
    let Serving {
        connection, core, ..
    } = serving;
    match &serving.service {
        Service::SampleApi => {
            let answer = Box::pin(sample_api::answer(request)).await;
            answer.map(OwnBody::from).map(Either::Left)
        }
        Service::Monitor(monitor) => {
            let answer = Box::pin(monitor.answer(&request)).await;
            answer.map(OwnBody::from).map(Either::Left)
        }
        Service::Admin(admin) => {
            let admin = admin.load_full();
            let answer = Box::pin(admin.handle(request, connection, request_id)).await;
            core.counters.count_admin_request(answer.status());
            answer.map(Either::Left)
        }
        Service::Environments(choices) => {
            let choices = choices.load();
            serve_environment(request, connection, &choices, core, request_id, kept).await
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
    kept: &mut Kept,
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
    kept.span = traced::begin(core, surfaces, connection, &request);
    let (response, dialect) = match surfaces.handle(request, connection, request_id).await {
        Handled::Answer(answer, dialect) => (answer.map(Either::Left), dialect),
        Handled::Forward(forward, passage) => {
            let dialect = forward.dialect;
            kept.place = core.places.take(forward.admitted.caller().partner_id());
            let mut answer = if kept.place.is_some() {
                // Boxed, for what every request is moved by is as large as its largest part.
                let passed =
                    forward_traced(*forward, environment, core, request_id, &mut kept.span);
                Box::pin(passed).await
            } else {
                core.counters.count_turned_away(TurnedAway::Overload);
                let answer = dialect.render(&Fault::Overloaded, None, request_id);
                answer.map(Either::Left)
            };
            passage.end(&mut answer);
            (answer, dialect)
        }
    };
    let status = response.status();
    traced::end(&mut kept.span, environment, dialect, status, request_id);
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
    let client = hyper::upgrade::on(&mut forward.request);
    let mut answer = forward_to_upstream(forward, environment, proxy, counters, request_id).await;
    if let Either::Right(body) = answer.body_mut()
        && let Some(tunnel) = body.take_tunnel()
    {
        tokio::task::spawn_local(tunnel::relay(tunnel, client, core.stopped.clone()));
    }
    if let Some(call) = &mut call {
        call.say_status(answer.status());
    }
    answer
}
