//! The monitor address: whether the process lives, whether it can serve, and its metrics. It knows
//! no secret and asks for none, so it belongs where only the operator's machines reach it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::{HeaderValue, Method, Response, StatusCode, header};
use http_body_util::Full;
use hyper::Request;
use hyper::body::Incoming;
use serde_json::{Value, json};
use wayleave_core::Timestamp;
use wayleave_engine::Engine;
use wayleave_web::Surfaces;

use crate::metrics::{self, Counters, seconds};
use crate::traces::TraceQueue;

/// How long a database may take to answer a read and still count as there.
const READ_PATIENCE: Duration = Duration::from_secs(2);
/// The media type of Prometheus' text format.
const METRICS_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What the monitor address tells.
pub struct Monitor {
    engines: Vec<Arc<Engine>>,
    counters: Counters,
    spans: Option<Arc<TraceQueue>>,
    shown: ArcSwap<Vec<Arc<Surfaces>>>,
    started_at: Option<Timestamp>,
    is_ending: AtomicBool,
}

impl Monitor {
    /// About these engines, from now on. `spans`: where traces are waiting, if any are made.
    pub fn new(
        engines: Vec<Arc<Engine>>,
        counters: Counters,
        spans: Option<Arc<TraceQueue>>,
    ) -> Self {
        Monitor {
            started_at: engines.first().map(|engine| engine.now()),
            engines,
            counters,
            spans,
            shown: ArcSwap::default(),
            is_ending: AtomicBool::new(false),
        }
    }

    /// From now on it tells of the APIs behind these.
    pub fn tell_of(&self, shown: &[Arc<Surfaces>]) {
        self.shown.store(Arc::new(shown.to_vec()));
    }

    /// From now on the node is not ready: it ends.
    pub fn announce_end(&self) {
        self.is_ending.store(true, Ordering::Relaxed);
    }

    /// Answers a request.
    pub async fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            let mut answer = told(
                StatusCode::METHOD_NOT_ALLOWED,
                &json!({ "status": "GET only" }),
            );
            let allow = HeaderValue::from_static("GET, HEAD");
            answer.headers_mut().insert(header::ALLOW, allow);
            return answer;
        }
        match request.uri().path() {
            "/livez" => told(StatusCode::OK, &json!({ "status": "ok" })),
            "/readyz" => self.readiness().await,
            "/metrics" => {
                let mut text =
                    self.counters
                        .render(&self.engines, self.spans.as_deref(), self.uptime_s());
                text.push_str(&metrics::behind::render(&self.shown.load()));
                typed(StatusCode::OK, METRICS_TYPE, text)
            }
            _ => told(
                StatusCode::NOT_FOUND,
                &json!({ "status": "there are /livez, /readyz and /metrics" }),
            ),
        }
    }

    async fn readiness(&self) -> Response<Full<Bytes>> {
        let mut missing = Vec::new();
        if self.is_ending.load(Ordering::Relaxed) {
            missing.push("the node is ending".to_owned());
        }
        // Side by side, so that two silent databases take no longer than one.
        let asked = self.engines.iter().map(|engine| {
            let asking = tokio::task::spawn_local(answers(engine.clone()));
            (engine.environment(), asking)
        });
        for (environment, asking) in asked.collect::<Vec<_>>() {
            if !asking.await.unwrap_or(false) {
                missing.push(format!("the {environment} database does not answer"));
            }
        }
        if missing.is_empty() {
            told(StatusCode::OK, &json!({ "status": "ready" }))
        } else {
            let body = json!({ "status": "not ready", "because": missing });
            told(StatusCode::SERVICE_UNAVAILABLE, &body)
        }
    }

    fn uptime_s(&self) -> f64 {
        let now = self.engines.first().map(|engine| engine.now());
        match (self.started_at, now) {
            (Some(started_at), Some(now)) => seconds(now.micros() - started_at.micros()),
            _ => 0.0,
        }
    }
}

async fn answers(engine: Arc<Engine>) -> bool {
    let reading = engine
        .store()
        .read(|reader| Box::pin(async move { reader.last_change().await }));
    matches!(
        tokio::time::timeout(READ_PATIENCE, reading).await,
        Ok(Ok(_))
    )
}

fn told(status: StatusCode, body: &Value) -> Response<Full<Bytes>> {
    typed(status, "application/json", format!("{body}\n"))
}

fn typed(status: StatusCode, media_type: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::new(Bytes::from(body)));
    *answer.status_mut() = status;
    let media_type = HeaderValue::from_static(media_type);
    answer
        .headers_mut()
        .insert(header::CONTENT_TYPE, media_type);
    let never = HeaderValue::from_static("private, no-store");
    answer.headers_mut().insert(header::CACHE_CONTROL, never);
    answer
}
