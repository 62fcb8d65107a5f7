//! What is counted, and the text that Prometheus reads (text format 0.0.4).
//!
//! Each core counts in a block of its own that no other core writes: a request costs two plain
//! additions, no lock, no allocation and no text. The blocks are summed when somebody asks.
//! `docs/monitoring.md` says what each number means.

pub(crate) mod behind;

use std::fmt::{Display, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use http::StatusCode;
use wayleave_core::Environment;
use wayleave_engine::Engine;
use wayleave_proxy::ProxyError;
use wayleave_web::{Dialect, panics_caught};

use crate::traces::TraceQueue;

/// The classes of a status, `1xx` to `5xx`.
const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];
/// What requests are counted by: live, test, and none where a shared address knew no environment.
const ENVIRONMENTS: [&str; 3] = ["live", "test", "none"];
const REFUSALS: [StatusCode; 2] = [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN];

type Classes = [AtomicU64; CLASSES.len()];

/// Why an API behind gave no answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum UpstreamFailure {
    /// It could not be reached.
    Unreachable,
    /// It broke off before its answer.
    Broken,
    /// What it sent is no answer.
    Malformed,
    /// Its answer did not begin in time.
    TimedOut,
}

impl UpstreamFailure {
    const ALL: [UpstreamFailure; 4] = [
        UpstreamFailure::Unreachable,
        UpstreamFailure::Broken,
        UpstreamFailure::Malformed,
        UpstreamFailure::TimedOut,
    ];

    /// The failure of the API behind; `None` where it was not the API that failed.
    pub(crate) fn of<E>(error: &ProxyError<E>) -> Option<Self> {
        match error {
            ProxyError::Unreachable(_) => Some(UpstreamFailure::Unreachable),
            ProxyError::Broken(_) => Some(UpstreamFailure::Broken),
            ProxyError::Malformed(_) => Some(UpstreamFailure::Malformed),
            ProxyError::TimedOut => Some(UpstreamFailure::TimedOut),
            ProxyError::Body(_) | ProxyError::UnclearPath => None,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            UpstreamFailure::Unreachable => "unreachable",
            UpstreamFailure::Broken => "broken",
            UpstreamFailure::Malformed => "malformed",
            UpstreamFailure::TimedOut => "timed_out",
        }
    }
}

/// Why a connection or request was cut off or refused before anything else was looked at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TurnedAway {
    /// It is no request, or one that could be read in two ways.
    Malformed,
    /// Its address is too long.
    TargetTooLong,
    /// Its headers are too large or too many.
    HeadTooLarge,
    /// A head took too long.
    SlowHead,
    /// The client took its answer too slowly.
    SlowReader,
    /// HTTP/2 frames that ask for nothing.
    Flood,
    /// A TLS handshake failed or took too long.
    Handshake,
    /// There were enough connections.
    Connections,
    /// There were enough connections from its address.
    ConnectionsOfPeer,
    /// There were enough requests in flight, in all or of its partner.
    Overload,
}

impl TurnedAway {
    /// All of them, in the order of their numbers (`why as usize`).
    pub const ALL: [TurnedAway; 10] = [
        TurnedAway::Malformed,
        TurnedAway::TargetTooLong,
        TurnedAway::HeadTooLarge,
        TurnedAway::SlowHead,
        TurnedAway::SlowReader,
        TurnedAway::Flood,
        TurnedAway::Handshake,
        TurnedAway::Connections,
        TurnedAway::ConnectionsOfPeer,
        TurnedAway::Overload,
    ];

    fn as_str(self) -> &'static str {
        match self {
            TurnedAway::Malformed => "malformed",
            TurnedAway::TargetTooLong => "target_too_long",
            TurnedAway::HeadTooLarge => "head_too_large",
            TurnedAway::SlowHead => "slow_head",
            TurnedAway::SlowReader => "slow_reader",
            TurnedAway::Flood => "flood",
            TurnedAway::Handshake => "handshake",
            TurnedAway::Connections => "connections",
            TurnedAway::ConnectionsOfPeer => "connections_of_peer",
            TurnedAway::Overload => "overload",
        }
    }
}

/// The counters of one core. The alignment keeps two cores' blocks off one cache line (and off the
/// pair of lines that is fetched together).
#[derive(Default)]
#[repr(align(128))]
pub struct CoreCounters {
    requests: [[Classes; Dialect::ALL.len()]; ENVIRONMENTS.len()],
    refusals: [[AtomicU64; REFUSALS.len()]; ENVIRONMENTS.len()],
    upstream_failures: [[AtomicU64; UpstreamFailure::ALL.len()]; ENVIRONMENTS.len()],
    admin_requests: Classes,
    turned_away: [AtomicU64; TurnedAway::ALL.len()],
    accepted: AtomicU64,
    closed: AtomicU64,
}

/// Adds one. Only one thread writes, so that no locked instruction is needed.
fn add(counter: &AtomicU64) {
    counter.store(counter.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
}

fn place(environment: Option<Environment>) -> usize {
    environment.map_or(ENVIRONMENTS.len() - 1, |environment| environment as usize)
}

fn class(status: StatusCode) -> usize {
    usize::from(status.as_u16() / 100).clamp(1, CLASSES.len()) - 1
}

impl CoreCounters {
    /// A request was answered. `environment`: `None` where a shared address knew none.
    pub fn count_request(
        &self,
        environment: Option<Environment>,
        dialect: Dialect,
        status: StatusCode,
    ) {
        let place = place(environment);
        add(&self.requests[place][dialect as usize][class(status)]);
        for (refusal, counter) in REFUSALS.iter().zip(&self.refusals[place]) {
            if *refusal == status {
                add(counter);
            }
        }
    }

    /// A request at the admin address was answered.
    pub fn count_admin_request(&self, status: StatusCode) {
        add(&self.admin_requests[class(status)]);
    }

    /// An API behind gave no answer.
    pub fn count_upstream_failure(&self, environment: Environment, failure: UpstreamFailure) {
        add(&self.upstream_failures[place(Some(environment))][failure as usize]);
    }

    /// A connection or request was cut off or refused.
    pub fn count_turned_away(&self, why: TurnedAway) {
        add(&self.turned_away[why as usize]);
    }

    /// A connection was accepted.
    pub fn count_accepted(&self) {
        add(&self.accepted);
    }

    /// A connection ended.
    pub fn count_closed(&self) {
        add(&self.closed);
    }
}

/// The counters of all cores.
#[derive(Clone)]
pub struct Counters(Vec<Arc<CoreCounters>>);

impl Counters {
    /// For a number of threads.
    pub fn new(threads: usize) -> Self {
        Counters((0..threads).map(|_| Arc::default()).collect())
    }

    /// The counters of each core.
    pub fn cores(&self) -> &[Arc<CoreCounters>] {
        &self.0
    }

    fn sum(&self, of: impl Fn(&CoreCounters) -> &AtomicU64) -> u64 {
        let counts = self.0.iter().map(|core| of(core).load(Ordering::Relaxed));
        counts.sum()
    }

    /// Writes every metric. `spans`: where traces wait, if any are made. `uptime_s`: seconds since
    /// the start.
    pub fn render(
        &self,
        engines: &[Arc<Engine>],
        spans: Option<&TraceQueue>,
        uptime_s: f64,
    ) -> String {
        let mut text = Text::default();
        self.render_requests(&mut text);
        self.render_connections(&mut text);
        render_engines(&mut text, engines);
        if let Some(spans) = spans {
            render_spans(&mut text, spans);
        }
        text.begin(
            "wayleave_panics_total",
            "counter",
            "Requests that ended in a panic and were answered with 500.",
        );
        text.line("", panics_caught());
        text.begin(
            "wayleave_uptime_seconds",
            "gauge",
            "Seconds since the node began to serve.",
        );
        text.line("", uptime_s);
        text.begin("wayleave_build_info", "gauge", "The version; always 1.");
        text.line(concat!("version=\"", env!("CARGO_PKG_VERSION"), "\""), 1);
        text.written
    }

    fn render_requests(&self, text: &mut Text) {
        text.begin(
            "wayleave_requests_total",
            "counter",
            "Requests answered, by environment, dialect of the address and class of the status.",
        );
        for (environment, name) in ENVIRONMENTS.iter().enumerate() {
            for dialect in Dialect::ALL {
                for (class, status) in CLASSES.iter().enumerate() {
                    let count =
                        self.sum(|core| &core.requests[environment][dialect as usize][class]);
                    let surface = dialect.as_str();
                    let labels =
                        format!("environment=\"{name}\",surface=\"{surface}\",status=\"{status}\"");
                    text.line(&labels, count);
                }
            }
        }
        text.begin(
            "wayleave_refusals_total",
            "counter",
            "Requests that were not proven (401) or not admitted (403).",
        );
        for (environment, name) in ENVIRONMENTS.iter().enumerate() {
            for (number, status) in REFUSALS.iter().enumerate() {
                let count = self.sum(|core| &core.refusals[environment][number]);
                let status = status.as_u16();
                text.line(
                    &format!("environment=\"{name}\",status=\"{status}\""),
                    count,
                );
            }
        }
        text.begin(
            "wayleave_upstream_failures_total",
            "counter",
            "Requests that the API behind gave no answer to.",
        );
        for environment in Environment::ALL {
            for failure in UpstreamFailure::ALL {
                let count = self.sum(|core| {
                    &core.upstream_failures[place(Some(environment))][failure as usize]
                });
                let reason = failure.as_str();
                text.line(
                    &format!("environment=\"{environment}\",reason=\"{reason}\""),
                    count,
                );
            }
        }
    }

    fn render_connections(&self, text: &mut Text) {
        text.begin(
            "wayleave_admin_requests_total",
            "counter",
            "Requests answered at the admin address, by class of the status.",
        );
        for (class, status) in CLASSES.iter().enumerate() {
            let count = self.sum(|core| &core.admin_requests[class]);
            text.line(&format!("status=\"{status}\""), count);
        }
        text.begin(
            "wayleave_turned_away_total",
            "counter",
            "Connections and requests that were cut off or refused by a limit, by reason.",
        );
        for why in TurnedAway::ALL {
            let count = self.sum(|core| &core.turned_away[why as usize]);
            text.line(&format!("reason=\"{}\"", why.as_str()), count);
        }
        // Closed ones first: a connection that ends meanwhile must not make the difference negative.
        let closed = self.sum(|core| &core.closed);
        let accepted = self.sum(|core| &core.accepted);
        text.begin(
            "wayleave_connections_total",
            "counter",
            "Connections accepted at every address but this one.",
        );
        text.line("", accepted);
        text.begin(
            "wayleave_open_connections",
            "gauge",
            "Connections that are open now, but for those to this address.",
        );
        text.line("", accepted.saturating_sub(closed));
    }
}

fn render_spans(text: &mut Text, spans: &TraceQueue) {
    text.begin(
        "wayleave_trace_spans_total",
        "counter",
        "Spans of traces, by what became of them: sent, or dropped because the collector was away or slow.",
    );
    text.line("outcome=\"sent\"", spans.sent());
    text.line("outcome=\"dropped\"", spans.dropped());
}

fn render_engines(text: &mut Text, engines: &[Arc<Engine>]) {
    let mut each = |name, kind, help, value: &dyn Fn(&Engine) -> String| {
        text.begin(name, kind, help);
        for engine in engines {
            let labels = format!("environment=\"{}\"", engine.environment());
            text.line(&labels, value(engine));
        }
    };
    each(
        "wayleave_tokens_issued_total",
        "counter",
        "Access tokens issued.",
        &|engine| engine.tokens_issued().to_string(),
    );
    each(
        "wayleave_rate_limited_total",
        "counter",
        "Requests refused because they came too soon for a limit (429).",
        &|engine| engine.requests_too_fast().to_string(),
    );
    each(
        "wayleave_over_quota_total",
        "counter",
        "Requests refused because a quota was used up (429).",
        &|engine| engine.requests_over_quota().to_string(),
    );
    each(
        "wayleave_usage_lost_total",
        "counter",
        "Requests whose counts were lost: the database was away for too long.",
        &|engine| engine.usage_lost().to_string(),
    );
    each(
        "wayleave_usage_age_seconds",
        "gauge",
        "Seconds since the counts of requests were last written.",
        &|engine| {
            let since = engine.now().micros() - engine.usage_written_at().micros();
            seconds(since.max(0)).to_string()
        },
    );
    each(
        "wayleave_orders_stuck",
        "gauge",
        "Orders that have been processing for 10 minutes without change, or have a job that was given up.",
        &|engine| engine.orders_stuck().to_string(),
    );
    each(
        "wayleave_jobs_given_up",
        "gauge",
        "Jobs that were given up and that somebody has to look at.",
        &|engine| engine.jobs_given_up().to_string(),
    );
    each(
        "wayleave_credentials",
        "gauge",
        "Credentials in memory, revoked ones too.",
        &|engine| engine.credential_count().to_string(),
    );
    each(
        "wayleave_feed_change",
        "gauge",
        "The number of the last change that was taken over from the database.",
        &|engine| engine.feed_standing().number.to_string(),
    );
    each(
        "wayleave_feed_age_seconds",
        "gauge",
        "Seconds since the change feed was last read without an error.",
        &|engine| {
            let since = engine.now().micros() - engine.feed_standing().read_at.micros();
            seconds(since.max(0)).to_string()
        },
    );
}

/// Microseconds as seconds.
pub(crate) fn seconds(micros: i64) -> f64 {
    micros as f64 / 1_000_000.0
}

#[derive(Default)]
struct Text {
    written: String,
    name: &'static str,
}

impl Text {
    fn begin(&mut self, name: &'static str, kind: &str, help: &str) {
        self.name = name;
        let _ = writeln!(self.written, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn line(&mut self, labels: &str, value: impl Display) {
        let name = self.name;
        let _ = match labels {
            "" => writeln!(self.written, "{name} {value}"),
            labels => writeln!(self.written, "{name}{{{labels}}} {value}"),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_each_core_counted_is_summed() {
        let counters = Counters::new(2);
        let live = Some(Environment::Live);
        for core in counters.cores() {
            core.count_request(live, Dialect::Content, StatusCode::UNAUTHORIZED);
            core.count_request(None, Dialect::Problem, StatusCode::NOT_FOUND);
            core.count_upstream_failure(Environment::Test, UpstreamFailure::TimedOut);
            core.count_accepted();
        }
        counters.cores()[0].count_closed();
        let text = counters.render(&[], None, 1.5);
        for line in [
            r#"wayleave_requests_total{environment="live",surface="content",status="4xx"} 2"#,
            r#"wayleave_requests_total{environment="none",surface="problem",status="4xx"} 2"#,
            r#"wayleave_refusals_total{environment="live",status="401"} 2"#,
            r#"wayleave_refusals_total{environment="live",status="403"} 0"#,
            r#"wayleave_upstream_failures_total{environment="test",reason="timed_out"} 2"#,
            "wayleave_connections_total 2",
            "wayleave_open_connections 1",
            "wayleave_uptime_seconds 1.5",
        ] {
            assert!(
                text.lines().any(|written| written == line),
                "{line}\n{text}"
            );
        }
    }

    #[test]
    fn a_status_out_of_the_usual_has_a_class_too() {
        let of = |status| class(StatusCode::from_u16(status).expect("a status"));
        assert_eq!((of(100), of(204), of(599), of(999)), (0, 1, 4, 4));
    }
}
