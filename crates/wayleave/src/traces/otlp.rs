//! Spans as OTLP wants them: the JSON form of `ExportTraceServiceRequest` (OTLP 1.x, "JSON Protobuf
//! Encoding": ids in hexadecimal, 64-bit numbers as texts, enumerations as numbers).

use serde_json::{Value, json};
use wayleave_core::Timestamp;

use super::context::Hexadecimal;
use super::{Attribute, EndedSpan, SpanKind};

/// Who says it.
const SERVICE: &str = "wayleave";

/// The body of a call to a collector.
pub(super) fn request(spans: &[EndedSpan]) -> Value {
    let version = env!("CARGO_PKG_VERSION");
    json!({
        "resourceSpans": [{
            "resource": { "attributes": [
                text("service.name", SERVICE),
                text("service.version", version),
            ] },
            "scopeSpans": [{
                "scope": { "name": SERVICE, "version": version },
                "spans": spans.iter().map(span).collect::<Vec<Value>>(),
            }],
        }],
    })
}

fn span(span: &EndedSpan) -> Value {
    let kind = match span.kind {
        SpanKind::Server => 2,
        SpanKind::Client => 3,
    };
    // 0: unset, 2: error.
    let status = if span.failed { 2 } else { 0 };
    let mut written = json!({
        "traceId": Hexadecimal(&span.context.trace_id).to_string(),
        "spanId": Hexadecimal(&span.context.span_id).to_string(),
        "name": span.name,
        "kind": kind,
        "startTimeUnixNano": nanoseconds(span.began),
        "endTimeUnixNano": nanoseconds(span.ended),
        "attributes": span.attributes.iter().map(attribute).collect::<Vec<Value>>(),
        "status": { "code": status },
    });
    if let Some(parent) = &span.parent {
        written["parentSpanId"] = json!(Hexadecimal(parent).to_string());
    }
    written
}

fn nanoseconds(at: Timestamp) -> String {
    (i128::from(at.micros()) * 1_000).to_string()
}

fn attribute(attribute: &Attribute) -> Value {
    match attribute {
        Attribute::Text(name, value) => text(name, value),
        Attribute::Number(name, value) => {
            json!({ "key": name, "value": { "intValue": value.to_string() } })
        }
    }
}

fn text(name: &str, value: &str) -> Value {
    json!({ "key": name, "value": { "stringValue": value } })
}
