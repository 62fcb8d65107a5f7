//! Tests of how answers are read: each comes in one piece, cut in two at every place, and byte by byte.

use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode};
use hyper::ext::ReasonPhrase;

use crate::answer_head::{AnswerHead, HeadReader};
use crate::framing::{Framing, Taken};
use crate::inbox::{Inbox, LARGEST_HEAD};

/// What was read of an answer.
#[derive(PartialEq, Eq, Debug)]
struct Read {
    status: u16,
    headers: Vec<(String, String)>,
    body: String,
    trailers: Vec<(String, String)>,
    /// Whether the connection can be used again.
    keeps: bool,
    /// What came behind it.
    rest: String,
}

fn pairs(headers: &HeaderMap) -> Vec<(String, String)> {
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let pair = |(name, value): (&HeaderName, _)| (name.to_string(), text(value));
    headers.iter().map(pair).collect()
}

/// Reads pieces as they come, and then the end of the connection. `None`: it ended before all of the
/// head was there.
fn read(method: &Method, pieces: &[&[u8]]) -> Result<Option<Read>, String> {
    let mut pieces = pieces.iter();
    let mut inbox = Inbox::default();
    let mut reader = HeadReader::default();
    let mut spare = HeaderMap::new();
    spare.insert("x-of-the-request", HeaderValue::from_static("1"));
    let AnswerHead {
        answer,
        mut framing,
        keeps_connection,
    } = loop {
        match reader.take(&mut inbox, method, &mut spare)? {
            Some(head) => break head,
            None => match pieces.next() {
                Some(piece) => inbox.add(piece),
                None => return Ok(None),
            },
        }
    };
    let (mut body, mut trailers) = (Vec::new(), Vec::new());
    loop {
        match framing.take(&mut inbox)? {
            Taken::Piece(piece) => {
                assert!(!piece.is_empty());
                body.extend_from_slice(&piece);
            }
            Taken::Trailers(fields) => trailers = pairs(&fields),
            Taken::End => break,
            Taken::Missing => match pieces.next() {
                Some(piece) => inbox.add(piece),
                None => framing.connection_ended()?,
            },
        }
    }
    assert!(framing.is_done());
    pieces.for_each(|piece| inbox.add(piece));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok(Some(Read {
        status: answer.status().as_u16(),
        headers: pairs(answer.headers()),
        body: text(&body),
        trailers,
        keeps: keeps_connection,
        rest: text(inbox.bytes()),
    }))
}

/// Reads an answer in every way in which it may come in; all have to have one outcome.
fn read_cut(method: &Method, answer: &str) -> Result<Option<Read>, ()> {
    let bytes = answer.as_bytes();
    let whole = read(method, &[bytes]).map_err(drop);
    for place in 0..bytes.len() {
        let (first, second) = bytes.split_at(place);
        let cut = read(method, &[first, second]).map_err(drop);
        assert_eq!(cut, whole, "{answer:?} cut at {place}");
    }
    let single: Vec<&[u8]> = bytes.chunks(1).collect();
    assert_eq!(read(method, &single).map_err(drop), whole, "{answer:?}");
    whole
}

fn get(answer: &str) -> Read {
    let read = read_cut(&Method::GET, answer);
    read.expect("an answer").expect("a whole one")
}

#[test]
fn bodies_end_where_their_heads_say() {
    for (answer, body, keeps) in [
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
            "hello",
            true,
        ),
        (
            "HTTP/1.1 200 OK\r\ncontent-length:\t005 \r\n\r\nhello",
            "hello",
            true,
        ),
        ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "", true),
        (
            "HTTP/1.1 200 OK\r\n\r\nuntil the end",
            "until the end",
            false,
        ),
        (
            "HTTP/1.0 200 OK\r\n\r\nuntil the end",
            "until the end",
            false,
        ),
        (
            "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
            "ok",
            false,
        ),
        (
            "HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 2\r\n\r\nok",
            "ok",
            true,
        ),
        (
            "HTTP/1.1 200 OK\r\nConnection: x, Close\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok",
            "ok",
            false,
        ),
        ("HTTP/1.1 204 No Content\r\n\r\n", "", true),
        (
            "HTTP/1.1 304 Not Modified\r\nContent-Length: 12\r\n\r\n",
            "",
            true,
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
            "hello",
            true,
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "",
            true,
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n00a\r\n0123456789\r\nB \t;x=\"y\"\r\nabcdefghijk\r\n000\r\n\r\n",
            "0123456789abcdefghijk",
            true,
        ),
        (
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
            "ok",
            true,
        ),
    ] {
        let read = get(answer);
        assert_eq!(
            (read.body.as_str(), read.keeps),
            (body, keeps),
            "{answer:?}"
        );
        assert_eq!(read.rest, "", "{answer:?}");
        assert!(
            !read
                .headers
                .iter()
                .any(|(name, _)| name == "link" || name == "x-of-the-request")
        );
    }
}

#[test]
fn an_answer_to_head_has_no_body_whatever_it_says() {
    for said in [
        "Content-Length: 12\r\n",
        "Transfer-Encoding: chunked\r\n",
        "",
    ] {
        let answer = format!("HTTP/1.1 200 OK\r\n{said}\r\n");
        let read = read_cut(&Method::HEAD, &answer).expect("an answer");
        let read = read.expect("a whole one");
        assert_eq!((read.body.as_str(), read.keeps), ("", true), "{answer:?}");
    }
}

#[test]
fn what_comes_behind_an_answer_is_none_of_it() {
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    ] {
        let more = "HTTP/1.1 200 OK\r\n\r\nnot asked";
        let read = get(&format!("{answer}{more}"));
        assert_eq!((read.body.as_str(), read.rest.as_str()), ("ok", more));
    }
}

#[test]
fn headers_of_the_connection_end_here_unless_it_switches() {
    let head = "Connection: Upgrade, X-Hop\r\nUpgrade: websocket\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nX-End: 1\r\nX-End:  2\t\r\n";
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let read = get(&format!(
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n{head}\r\n"
    ));
    assert_eq!(
        read.headers,
        [
            pair("content-length", "0"),
            pair("x-end", "1"),
            pair("x-end", "2")
        ]
    );
    let read = get(&format!(
        "HTTP/1.1 101 Switching Protocols\r\n{head}\r\nearly"
    ));
    assert_eq!(
        (read.status, read.keeps, read.rest.as_str()),
        (101, false, "early")
    );
    assert_eq!(read.headers.len(), 6);
}

#[test]
fn trailers_come_behind_the_last_chunk() {
    let chunks = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n";
    let read = get(&format!("{chunks}X-Sum: 7\r\nX-Sum: 8\r\nX-None:\r\n\r\n"));
    let names: Vec<_> = read
        .trailers
        .iter()
        .map(|(name, value)| (&**name, &**value))
        .collect();
    assert_eq!(names, [("x-sum", "7"), ("x-sum", "8"), ("x-none", "")]);
    for bad in [
        "X Sum: 7\r\n\r\n",
        "X-Sum : 7\r\n\r\n",
        "X-Sum: 7\r\n folded\r\n\r\n",
        "X-Sum: 7\n\r\n",
        "X-Sum: a\0b\r\n\r\n",
        "X-Sum: a\rb\r\n\r\n",
        "no colon\r\n\r\n",
        "X-Sum: 7\r\n",
        "",
    ] {
        let answer = format!("{chunks}{bad}");
        assert!(read_cut(&Method::GET, &answer).is_err(), "{answer:?}");
    }
}

#[test]
fn what_is_no_answer_or_two_is_none() {
    for head in [
        "garbage\r\n\r\n",
        "\r\n\r\n",
        "HTTP/1.1\r\n\r\n",
        "HTTP/1.1 20 OK\r\n\r\n",
        "HTTP/1.1 2000 OK\r\n\r\n",
        "HTTP/1.1 099 OK\r\n\r\n",
        "HTTP/2.0 200 OK\r\n\r\n",
        "http/1.1 200 OK\r\n\r\n",
        "HTTP/1.1 200 OK\n\n",
        "HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 0\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\n",
        "HTTP/1.1 200 OK\r\nX-Folded: a\r\n b\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX-Spaced : a\r\n\r\n",
        "HTTP/1.1 200 OK\r\n X-Spaced: a\r\n\r\n",
        "HTTP/1.1 200 OK\r\n: a\r\n\r\n",
        "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX-Null: a\0b\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX-Return: a\rb\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nContent-Length: 0x5\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551616\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 304 OK\r\nContent-Length: 5, 5\r\n\r\n",
        "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ] {
        assert!(read_cut(&Method::GET, head).is_err(), "{head:?}");
    }
}

#[test]
fn chunks_that_not_everybody_reads_alike_are_no_body() {
    for chunks in [
        "\r\n",
        "x\r\n",
        "-1\r\n",
        "+2\r\nok\r\n0\r\n\r\n",
        "0x2\r\nok\r\n0\r\n\r\n",
        " 2\r\nok\r\n0\r\n\r\n",
        "2 2\r\nok\r\n0\r\n\r\n",
        "2\nok\r\n0\r\n\r\n",
        "2\r\nok\n0\r\n\r\n",
        "2\r\nokay\r\n0\r\n\r\n",
        "2;a\rb\r\nok\r\n0\r\n\r\n",
        "2;a\nb\r\nok\r\n0\r\n\r\n",
        "2\r\nok\r\n0\n\n",
        "2\r\nok\r\n0\r\n\n",
        "2\r\nok\r\n",
        "10000000000000000\r\nok\r\n0\r\n\r\n",
    ] {
        let answer = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}");
        assert!(read_cut(&Method::GET, &answer).is_err(), "{answer:?}");
    }
}

#[test]
fn an_end_within_an_answer_is_no_end_of_it() {
    let whole = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
    let head = whole.len() - 5;
    for length in 0..head {
        assert_eq!(read(&Method::GET, &[&whole.as_bytes()[..length]]), Ok(None));
    }
    for length in head..whole.len() {
        assert!(read(&Method::GET, &[&whole.as_bytes()[..length]]).is_err());
    }
}

#[test]
fn sizes_and_numbers_have_bounds() {
    let large = |length: usize| {
        let value = "x".repeat(length);
        format!("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-Large: {value}\r\n\r\n")
    };
    let frame = large(0).len();
    let many = |count: usize| {
        let lines = "X-Many: x\r\n".repeat(count - 1);
        format!("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n{lines}\r\n")
    };
    let extended = |count: usize| {
        let chunk = format!("1;{}\r\nx\r\n", "e".repeat(1023));
        let chunks = chunk.repeat(count);
        format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}0\r\n\r\n")
    };
    let trailing = |count: usize| {
        let lines = "X-Many: x\r\n".repeat(count);
        format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n{lines}\r\n")
    };
    let endless = "x".repeat(LARGEST_HEAD);
    for (good, bad) in [
        (large(LARGEST_HEAD - frame), large(LARGEST_HEAD - frame + 1)),
        (many(100), many(101)),
        (extended(16), extended(17)),
        (trailing(100), trailing(101)),
        (large(9), endless),
    ] {
        let pieces = |answer: &str| {
            let pieces: Vec<Vec<u8>> = answer.as_bytes().chunks(999).map(<[u8]>::to_vec).collect();
            let pieces: Vec<&[u8]> = pieces.iter().map(Vec::as_slice).collect();
            read(&Method::GET, &pieces)
        };
        assert!(
            pieces(&good).is_ok_and(|read| read.is_some()),
            "{:.200}",
            good
        );
        assert!(pieces(&bad).is_err(), "{:.200}", bad);
    }
}

#[test]
fn the_words_behind_a_status_stay() {
    let words = |answer: &str| {
        let mut inbox = Inbox::default();
        inbox.add(answer.as_bytes());
        let head = HeadReader::default().take(&mut inbox, &Method::GET, &mut HeaderMap::new());
        let head = head.expect("an answer").expect("a whole one");
        assert_eq!(head.answer.status(), StatusCode::OK);
        let reason = head.answer.extensions().get::<ReasonPhrase>();
        reason.map(|reason| reason.as_bytes().to_vec())
    };
    assert_eq!(words("HTTP/1.1 200 OK\r\n\r\n"), None);
    assert_eq!(words("HTTP/1.1 200 Fine\r\n\r\n"), Some(b"Fine".to_vec()));
    assert_eq!(words("HTTP/1.1 200\r\n\r\n"), Some(Vec::new()));
}

#[test]
fn what_is_left_of_a_body_is_known_where_its_length_is() {
    let mut inbox = Inbox::default();
    let mut framing = Framing::Length(5);
    inbox.add(b"hel");
    assert!(matches!(framing.take(&mut inbox), Ok(Taken::Piece(_))));
    assert_eq!(framing.size_hint().exact(), Some(2));
    assert_eq!(Framing::chunks().size_hint().exact(), None);
    assert!(!Framing::UntilEnd.is_done() && !Framing::chunks().is_done());
}
