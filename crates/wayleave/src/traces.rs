//! Traces of requests, for a collector of OpenTelemetry. Off unless `[traces]` is set.
//!
//! A traced request has a server span, and below it a client span where an API behind was asked. A
//! span is made only for a request that is sampled; any other costs one comparison. Nothing of a
//! request's query, headers or body is in a span.

mod context;
mod otlp;
mod queue;

use std::cell::Cell;
use std::io;
use std::rc::Rc;
use std::sync::Arc;

use http::{HeaderValue, StatusCode};
use wayleave_core::Timestamp;
use wayleave_engine::{Clock, Randomness};

pub use context::TraceContext;
pub use queue::{CollectorAddress, CollectorAddressError, TraceQueue};

/// How requests are traced.
#[derive(Clone, PartialEq, Debug)]
pub struct TraceSettings {
    /// Where spans go.
    pub collector: CollectorAddress,
    /// Which share of the requests that come without a trace begin one, from 0 to 1.
    pub sample_ratio: f64,
}

/// What every core's tracer is made of.
#[derive(Clone)]
pub struct Tracing {
    pub(crate) queue: Arc<TraceQueue>,
    sample_ratio: f64,
    clock: Arc<dyn Clock>,
    randomness: Arc<dyn Randomness>,
}

impl Tracing {
    /// Starts the queue. Errors: the system refused a thread.
    pub(crate) fn start(
        settings: &TraceSettings,
        clock: Arc<dyn Clock>,
        randomness: Arc<dyn Randomness>,
    ) -> io::Result<Self> {
        Ok(Tracing {
            queue: Arc::new(TraceQueue::start(settings.collector.clone())?),
            sample_ratio: settings.sample_ratio,
            clock,
            randomness,
        })
    }

    /// A tracer for a core.
    pub(crate) fn tracer(self) -> Tracer {
        let mut seed = [0; 8];
        self.randomness.fill(&mut seed);
        Tracer {
            queue: self.queue,
            clock: self.clock,
            threshold: threshold(self.sample_ratio),
            state: Cell::new(u64::from_le_bytes(seed)),
        }
    }
}

/// What a span is of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum SpanKind {
    /// A request that came in.
    Server,
    /// A request to an API behind.
    Client,
}

/// What a span says besides its times: a name of OpenTelemetry's conventions, or one of ours.
#[derive(Clone, Debug)]
pub(crate) enum Attribute {
    Text(&'static str, String),
    Number(&'static str, i64),
}

/// A span that has ended.
#[derive(Debug)]
pub(crate) struct EndedSpan {
    pub(crate) context: TraceContext,
    pub(crate) parent: Option<[u8; 8]>,
    pub(crate) name: String,
    pub(crate) kind: SpanKind,
    pub(crate) began: Timestamp,
    pub(crate) ended: Timestamp,
    pub(crate) attributes: Vec<Attribute>,
    /// The fault was on this side: a 5xx, or no answer.
    pub(crate) failed: bool,
}

/// Makes spans on one core.
pub(crate) struct Tracer {
    queue: Arc<TraceQueue>,
    clock: Arc<dyn Clock>,
    /// A request is sampled where a random number is below.
    threshold: u64,
    /// Of SplitMix64: ids have to differ, not to be secret.
    state: Cell<u64>,
}

impl Tracer {
    /// Begins the span of a request, where it is sampled. `parent`: the trace that a trusted proxy
    /// said it belongs to; its word decides.
    pub(crate) fn begin(self: &Rc<Self>, parent: Option<TraceContext>) -> Option<Span> {
        let sampled = match parent {
            Some(parent) => parent.sampled,
            None => self.random() < self.threshold,
        };
        sampled.then(|| {
            let trace_id = parent.map_or_else(|| self.trace_id(), |parent| parent.trace_id);
            let parent = parent.map(|parent| parent.span_id);
            self.span(trace_id, parent, SpanKind::Server)
        })
    }

    fn span(self: &Rc<Self>, trace_id: [u8; 16], parent: Option<[u8; 8]>, kind: SpanKind) -> Span {
        let now = self.clock.now();
        let going_on = EndedSpan {
            context: TraceContext {
                trace_id,
                span_id: self.random().max(1).to_be_bytes(),
                sampled: true,
            },
            parent,
            name: String::new(),
            kind,
            began: now,
            ended: now,
            attributes: Vec::new(),
            failed: false,
        };
        Span {
            tracer: self.clone(),
            going_on: Some(Box::new(going_on)),
        }
    }

    fn trace_id(&self) -> [u8; 16] {
        let mut id = [0; 16];
        id[..8].copy_from_slice(&self.random().max(1).to_be_bytes());
        id[8..].copy_from_slice(&self.random().to_be_bytes());
        id
    }

    /// SplitMix64, by Sebastiano Vigna.
    fn random(&self) -> u64 {
        let state = self.state.get().wrapping_add(0x9E37_79B9_7F4A_7C15);
        self.state.set(state);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }
}

/// The share of all numbers that are below it.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a float that is cast stays within the limits of the integer"
)]
fn threshold(ratio: f64) -> u64 {
    (ratio.clamp(0.0, 1.0) * 2_f64.powi(64)) as u64
}

/// A span that goes on; it ends when it is dropped.
pub(crate) struct Span {
    tracer: Rc<Tracer>,
    /// Taken when it ends.
    going_on: Option<Box<EndedSpan>>,
}

impl Span {
    /// Begins a span of a call to an API behind, below this one.
    pub(crate) fn child(&self) -> Option<Self> {
        let above = self.going_on.as_ref()?.context;
        let parent = Some(above.span_id);
        Some(self.tracer.span(above.trace_id, parent, SpanKind::Client))
    }

    /// Gives it its name.
    pub(crate) fn name(&mut self, name: String) {
        if let Some(span) = &mut self.going_on {
            span.name = name;
        }
    }

    /// Says something more of it.
    pub(crate) fn say(&mut self, attribute: Attribute) {
        if let Some(span) = &mut self.going_on {
            span.attributes.push(attribute);
        }
    }

    /// Says how it was answered.
    pub(crate) fn say_status(&mut self, status: StatusCode) {
        let number = i64::from(status.as_u16());
        self.say(Attribute::Number("http.response.status_code", number));
        if let Some(span) = &mut self.going_on {
            span.failed = status.is_server_error();
        }
    }

    /// What the next server is told: `traceparent` (W3C Trace Context).
    pub(crate) fn traceparent(&self) -> Option<HeaderValue> {
        let text = self.going_on.as_ref()?.context.to_string();
        HeaderValue::from_str(&text).ok()
    }
}

impl Drop for Span {
    fn drop(&mut self) {
        if let Some(mut span) = self.going_on.take() {
            span.ended = self.tracer.clock.now();
            self.tracer.queue.put(*span);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_threshold_is_the_share_of_numbers_below_it() {
        assert_eq!(threshold(0.0), 0);
        assert_eq!(threshold(1.0), u64::MAX);
        assert_eq!(threshold(0.5), 1 << 63);
        assert_eq!(threshold(7.0), u64::MAX);
    }
}
