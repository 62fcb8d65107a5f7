use std::fmt;

/// Where a request stands in a trace: the header `traceparent` (W3C Trace Context, version 00).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TraceContext {
    /// Names the trace.
    pub trace_id: [u8; 16],
    /// Names the span that the request was made in.
    pub span_id: [u8; 8],
    /// Whether the trace is recorded.
    pub sampled: bool,
}

impl TraceContext {
    /// Reads a header. `None`: it is none that can be gone on with, and a new trace begins, as the
    /// standard wants it (section 3.2.2.3).
    pub fn parse(value: &[u8]) -> Option<Self> {
        let mut parts = std::str::from_utf8(value).ok()?.split('-');
        let version: [u8; 1] = hexadecimal(parts.next()?)?;
        let context = TraceContext {
            trace_id: hexadecimal(parts.next()?)?,
            span_id: hexadecimal(parts.next()?)?,
            sampled: hexadecimal::<1>(parts.next()?)?[0] & 1 == 1,
        };
        let is_whole = match version[0] {
            0xFF => false,
            // The one that is known has no further parts.
            0 => parts.next().is_none(),
            _ => true,
        };
        let names_something = context.trace_id != [0; 16] && context.span_id != [0; 8];
        (is_whole && names_something).then_some(context)
    }
}

/// Small letters only, as the standard has it.
fn hexadecimal<const N: usize>(text: &str) -> Option<[u8; N]> {
    let is_fine = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    if text.len() != 2 * N || !text.bytes().all(is_fine) {
        return None;
    }
    let mut bytes = [0; N];
    for (number, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * number..2 * number + 2], 16).ok()?;
    }
    Some(bytes)
}

/// Bytes as digits.
pub(super) struct Hexadecimal<'b>(pub(super) &'b [u8]);

impl fmt::Display for Hexadecimal<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (trace_id, span_id) = (Hexadecimal(&self.trace_id), Hexadecimal(&self.span_id));
        write!(f, "00-{trace_id}-{span_id}-{:02x}", u8::from(self.sampled))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_reads_back_as_itself() {
        for text in [
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00",
        ] {
            let context = TraceContext::parse(text.as_bytes()).expect(text);
            assert_eq!(context.to_string(), text);
        }
    }

    #[test]
    fn what_is_no_trace_is_not_gone_on_with() {
        for text in [
            "",
            "00",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
            "00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319-b7ad6b7169203331-01",
        ] {
            assert_eq!(TraceContext::parse(text.as_bytes()), None, "{text}");
        }
        let later = "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more";
        assert!(TraceContext::parse(later.as_bytes()).is_some(), "{later}");
    }
}
