"""Reads a body sent to a collector with the published schema of OTLP; an unknown member is an error.

JSON writes ids of OTLP in hexadecimal, which protobuf's own JSON form does not know: they are
turned into its base 64 first.
"""

import base64
import json
import sys

from google.protobuf import json_format
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

with open(sys.argv[1], encoding="utf-8") as file:
    body = json.load(file)
for resource in body["resourceSpans"]:
    for scope in resource["scopeSpans"]:
        for span in scope["spans"]:
            for name, size in (("traceId", 16), ("spanId", 8), ("parentSpanId", 8)):
                if name in span:
                    plain = bytes.fromhex(span[name])
                    assert len(plain) == size, (name, span[name])
                    span[name] = base64.b64encode(plain).decode()

request = json_format.ParseDict(body, ExportTraceServiceRequest())
spans = [
    span
    for resource in request.resource_spans
    for scope in resource.scope_spans
    for span in scope.spans
    if span.kind == Span.SPAN_KIND_CLIENT
    or not any(own.value.string_value == "token" for own in span.attributes)
]
for span in spans:
    assert span.kind in (Span.SPAN_KIND_SERVER, Span.SPAN_KIND_CLIENT), span
    assert span.start_time_unix_nano > 0 and span.end_time_unix_nano >= span.start_time_unix_nano
services = [own.value.string_value for own in request.resource_spans[0].resource.attributes]
assert services[0] == "wayleave", services
print(f"ok {len(spans)} spans")
