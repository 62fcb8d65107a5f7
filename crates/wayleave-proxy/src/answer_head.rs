//! The head of an answer of a server behind.

use std::mem::MaybeUninit;

use http::header::{
    CONNECTION, CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue, TRANSFER_ENCODING,
};
use http::{Method, Response, StatusCode};
use hyper::body::Bytes;
use hyper::ext::ReasonPhrase;

use crate::framing::{Framing, MOST_HEADERS, block_length, header};
use crate::headers::is_hop_by_hop;
use crate::inbox::Inbox;

/// Reads the head of an answer as it comes in.
#[derive(Default)]
pub(crate) struct HeadReader {
    /// Where the line begins up to which it was looked through.
    line: usize,
}

/// An answer whose body is still to come.
#[derive(Debug)]
pub(crate) struct AnswerHead {
    /// Without the headers of the connection, unless it switches to another protocol.
    pub(crate) answer: Response<()>,
    pub(crate) framing: Framing,
    /// Whether the server keeps the connection after it.
    pub(crate) keeps_connection: bool,
}

/// What the headers of an answer say of the connection and of where the body ends.
#[derive(Default)]
struct Notes {
    says_close: bool,
    says_keep_alive: bool,
    /// Other headers that are the connection's.
    named: Vec<HeaderName>,
    /// Of `Transfer-Encoding`: how many, and whether all are `chunked`.
    codings: usize,
    is_chunked: bool,
    /// The same of `Content-Length`.
    lengths: usize,
    length: Option<u64>,
    has_bad_length: bool,
}

impl HeadReader {
    /// Takes the head of the answer to a request with this method; interim ones before it are left
    /// out. `None`: it is not all there. `spare`: gives its memory to the headers.
    ///
    /// Errors: why it is no answer, or not one that everybody reads in the same way.
    pub(crate) fn take(
        &mut self,
        inbox: &mut Inbox,
        method: &Method,
        spare: &mut HeaderMap,
    ) -> Result<Option<AnswerHead>, String> {
        while let Some(length) = block_length(inbox.bytes(), &mut self.line)? {
            self.line = 0;
            spare.clear();
            let head = parse(inbox.take(length), method, std::mem::take(spare))?;
            let status = head.answer.status();
            if !status.is_informational() || status == StatusCode::SWITCHING_PROTOCOLS {
                return Ok(Some(head));
            }
        }
        Ok(None)
    }
}

/// Reads a head that is there whole. `headers`: none yet.
fn parse(head: Bytes, method: &Method, mut headers: HeaderMap) -> Result<AnswerHead, String> {
    let mut lines = [const { MaybeUninit::uninit() }; MOST_HEADERS];
    let mut parsed = httparse::Response::new(&mut []);
    let status = httparse::ParserConfig::default()
        .parse_response_with_uninit_headers(&mut parsed, &head, &mut lines)
        .map_err(|error| format!("its head cannot be read: {error}"))?;
    let status = match (status, parsed.code) {
        (httparse::Status::Complete(length), Some(code)) if length == head.len() => {
            StatusCode::from_u16(code).map_err(|error| error.to_string())?
        }
        _ => return Err("its head ends too early".to_owned()),
    };
    let is_switch = status == StatusCode::SWITCHING_PROTOCOLS;
    let mut notes = Notes::default();
    for line in &*parsed.headers {
        let (name, value) = header(&head, line)?;
        notes.note(&name, &value);
        if is_switch || !is_hop_by_hop(name.as_str()) {
            headers.append(name, value);
        }
    }
    if !is_switch {
        for name in &notes.named {
            headers.remove(name);
        }
    }
    let is_old = parsed.version == Some(0);
    let framing = notes.framing(status, method, is_old)?;
    let is_tunnel = *method == Method::CONNECT && status.is_success();
    let mut answer = Response::new(());
    *answer.status_mut() = status;
    *answer.headers_mut() = headers;
    keep_reason(&mut answer, parsed.reason.unwrap_or_default());
    Ok(AnswerHead {
        keeps_connection: notes.keeps_connection(is_old)
            && framing != Framing::UntilEnd
            && !is_switch
            && !is_tunnel,
        answer,
        framing,
    })
}

/// Clients get the words behind the status as they came.
fn keep_reason(answer: &mut Response<()>, reason: &str) {
    if Some(reason) != answer.status().canonical_reason()
        && let Ok(reason) = ReasonPhrase::try_from(reason.as_bytes())
    {
        answer.extensions_mut().insert(reason);
    }
}

impl Notes {
    fn note(&mut self, name: &HeaderName, value: &HeaderValue) {
        match *name {
            CONNECTION => self.note_connection(value),
            TRANSFER_ENCODING => {
                self.codings += 1;
                self.is_chunked = value.as_bytes().eq_ignore_ascii_case(b"chunked");
            }
            CONTENT_LENGTH => {
                self.lengths += 1;
                self.has_bad_length |= !value.as_bytes().iter().all(u8::is_ascii_digit);
                let text = std::str::from_utf8(value.as_bytes());
                self.length = text.ok().and_then(|text| text.parse().ok());
            }
            _ => {}
        }
    }

    fn note_connection(&mut self, value: &HeaderValue) {
        for option in value.to_str().unwrap_or_default().split(',').map(str::trim) {
            if option.eq_ignore_ascii_case("close") {
                self.says_close = true;
            } else if option.eq_ignore_ascii_case("keep-alive") {
                self.says_keep_alive = true;
            } else if let Ok(name) = option.parse() {
                self.named.push(name);
            }
        }
    }

    /// `is_old`: it is HTTP/1.0.
    fn keeps_connection(&self, is_old: bool) -> bool {
        !self.says_close && (!is_old || self.says_keep_alive)
    }

    fn framing(
        &self,
        status: StatusCode,
        method: &Method,
        is_old: bool,
    ) -> Result<Framing, String> {
        if status.is_informational() && status != StatusCode::SWITCHING_PROTOCOLS {
            return Ok(Framing::Length(0));
        }
        if let Some(fault) = self.length_fault() {
            return Err(fault.to_owned());
        }
        let has_none = status.is_informational()
            || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
            || *method == Method::HEAD
            || *method == Method::CONNECT && status.is_success();
        match (self.codings, self.lengths) {
            _ if has_none => Ok(Framing::Length(0)),
            (1.., _) if is_old => Err("it has a transfer coding in HTTP/1.0".to_owned()),
            (1.., _) => Ok(Framing::chunks()),
            (_, 1..) => {
                let length = self.length.ok_or("its length is no number")?;
                Ok(Framing::Length(length))
            }
            _ => Ok(Framing::UntilEnd),
        }
    }

    /// Why the length of the body cannot be known, where it is there in two ways.
    fn length_fault(&self) -> Option<&'static str> {
        if self.codings > 1 || self.codings == 1 && !self.is_chunked {
            Some("it has a transfer coding other than chunked")
        } else if self.codings > 0 && self.lengths > 0 {
            Some("it has both a length and a transfer coding")
        } else if self.lengths > 1 || self.has_bad_length {
            Some("its length is there more than once, or is no number")
        } else {
            None
        }
    }
}
