//! What RFC 9113 (HTTP/2) and RFC 7541 (HPACK) forbid a client, and what a server has to do then:
//! the cases that conformance checkers ask for, frame by frame.

use wayleave_testkit::{Address, DatabaseKind};

use crate::h2_frames::*;
use crate::harness::TestNode;
use crate::strict_requests::Gateway;

const PRIORITY: u8 = 2;
const PUSH_PROMISE: u8 = 5;
const ACK: u8 = 1;
const PADDED: u8 = 8;
const PRIORITIZED: u8 = 32;

// Codes of errors (RFC 9113 section 7). The parser says PROTOCOL_ERROR for some that have a code of
// their own.
const PROTOCOL_ERROR: u32 = 1;
const FLOW_CONTROL_ERROR: u32 = 3;
const STREAM_CLOSED: u32 = 5;
const FRAME_SIZE_ERROR: u32 = 6;
const COMPRESSION_ERROR: u32 = 9;

/// The stream of a good request that follows, to find out whether the connection goes on.
const AFTERWARDS: u32 = 1_001;
const ADDRESS: &str = "/.well-known/jwks.json";

/// What the server did.
#[derive(PartialEq, Eq, Debug)]
enum Did {
    /// It ended the connection; with the code, where it came before the end.
    EndConnection(Option<u32>),
    /// It ended one stream and went on.
    EndStream(u32),
    /// It answered the stream with this status and went on.
    Answer(u16),
    /// Nothing: it went on.
    GoOn,
}

/// A client that does one forbidden thing.
struct Case {
    name: &'static str,
    /// What it sends first, and whether it waits until stream 1 is answered.
    first: Vec<u8>,
    waits: bool,
    /// The forbidden thing.
    then: Vec<u8>,
}

fn case(name: &'static str, then: Vec<u8>) -> Case {
    Case {
        name,
        first: Vec::new(),
        waits: false,
        then,
    }
}

impl Case {
    fn after(mut self, first: Vec<u8>) -> Case {
        self.first = first;
        self
    }

    fn after_an_answer(self) -> Case {
        let mut case = self.after(asked(1));
        case.waits = true;
        case
    }

    fn run(&self, address: Address) -> Did {
        let mut client = Http2::connect(address);
        client.send(&self.first);
        if self.waits {
            while client
                .next()
                .is_some_and(|frame| frame.stream != 1 || frame.flags & END_STREAM == 0)
            {
            }
        }
        client.send(&self.then);
        client.send(&asked(AFTERWARDS));
        outcome(&mut client)
    }
}

/// What comes until the good request is answered, or the connection ends.
fn outcome(client: &mut Http2) -> Did {
    let mut did = Did::GoOn;
    let code = |payload: &[u8]| {
        let code = payload[..4].try_into().expect("a code");
        u32::from_be_bytes(code)
    };
    while let Some(frame) = client.next() {
        match frame.kind {
            GOAWAY => return Did::EndConnection(Some(code(&frame.payload[4..]))),
            RST_STREAM => did = Did::EndStream(code(&frame.payload)),
            HEADERS if frame.stream == AFTERWARDS => return did,
            HEADERS if did == Did::GoOn => did = Did::Answer(status(&frame.payload)),
            _ => {}
        }
    }
    Did::EndConnection(None)
}

/// A whole good request.
fn asked(stream: u32) -> Vec<u8> {
    let flags = END_STREAM | END_HEADERS;
    frame(HEADERS, flags, stream, &block(&get(ADDRESS)))
}

/// A request whose body is still to come.
fn begun(stream: u32) -> Vec<u8> {
    frame(HEADERS, END_HEADERS, stream, &block(&post()))
}

fn post() -> Vec<(&'static str, &'static str)> {
    let mut headers = get("/oauth/token");
    headers[0].1 = "POST";
    headers.push(("content-type", "application/x-www-form-urlencoded"));
    headers
}

fn setting(name: u8, value: u32) -> Vec<u8> {
    let mut payload = vec![0, name];
    payload.extend(value.to_be_bytes());
    frame(SETTINGS, 0, 0, &payload)
}

/// A GET with a header block of its own making.
fn with_block(bytes: &[u8]) -> Vec<u8> {
    let mut all = block(&get(ADDRESS));
    all.extend_from_slice(bytes);
    frame(HEADERS, END_STREAM | END_HEADERS, 1, &all)
}

fn joined(parts: &[Vec<u8>]) -> Vec<u8> {
    parts.concat()
}

/// Runs cases in which the connection has to end with one of these codes.
fn connection_ends(address: Address, codes: &[u32], cases: Vec<Case>) {
    for case in cases {
        let did = case.run(address);
        let is_right = match &did {
            Did::EndConnection(code) => code.is_none_or(|code| codes.contains(&code)),
            _ => false,
        };
        assert!(is_right, "{}: {did:?}", case.name);
    }
}

/// Runs cases in which at least the stream has to end with one of these codes.
fn stream_ends(address: Address, codes: &[u32], cases: Vec<Case>) {
    for case in cases {
        let did = case.run(address);
        let is_right = match &did {
            Did::EndConnection(code) => code.is_none_or(|code| codes.contains(&code)),
            Did::EndStream(code) => codes.contains(code),
            _ => false,
        };
        assert!(is_right, "{}: {did:?}", case.name);
    }
}

#[test]
fn frames_of_a_wrong_size_or_form_end_the_connection() {
    let node = TestNode::start(DatabaseKind::Sqlite);
    let head = block(&get(ADDRESS));
    let mut padded = vec![200];
    padded.extend_from_slice(&head);
    let large = vec![0; 16_385];
    connection_ends(
        node.live,
        &[FRAME_SIZE_ERROR, PROTOCOL_ERROR],
        vec![
            case("a large head", frame(HEADERS, 5, 1, &large)),
            case("a long RST_STREAM", frame(RST_STREAM, 0, 1, &[0; 5])).after(begun(1)),
            case("a short RST_STREAM", frame(RST_STREAM, 0, 1, &[0; 3])).after(begun(1)),
            case(
                "an acknowledgement that says something",
                frame(SETTINGS, ACK, 0, &[0; 6]),
            ),
            case("half a setting", frame(SETTINGS, 0, 0, &[0; 3])),
            case("a short PING", frame(PING, 0, 0, &[0; 6])),
            case("a short window", frame(WINDOW_UPDATE, 0, 0, &[0; 3])),
        ],
    );
    stream_ends(
        node.live,
        &[FRAME_SIZE_ERROR, PROTOCOL_ERROR],
        vec![
            case("a large piece", frame(DATA, 0, 1, &large)).after(begun(1)),
            case("a short priority", frame(PRIORITY, 0, 1, &[0; 4])).after(begun(1)),
        ],
    );
    connection_ends(
        node.live,
        &[PROTOCOL_ERROR],
        vec![
            case(
                "padding without a head",
                frame(HEADERS, 5 | PADDED, 1, &padded),
            ),
            case(
                "padding without data",
                frame(DATA, PADDED | END_STREAM, 1, &[9, 0, 0]),
            )
            .after(begun(1)),
        ],
    );
}

#[test]
fn frames_on_the_wrong_stream_end_the_connection() {
    let node = TestNode::start(DatabaseKind::Sqlite);
    let head = block(&get(ADDRESS));
    let mut promise = 2_u32.to_be_bytes().to_vec();
    promise.extend_from_slice(&head);
    connection_ends(
        node.live,
        &[PROTOCOL_ERROR],
        vec![
            case("data on 0", frame(DATA, END_STREAM, 0, b"x")),
            case("a head on 0", frame(HEADERS, 5, 0, &head)),
            case("a priority on 0", frame(PRIORITY, 0, 0, &[0; 5])),
            case("a reset of 0", frame(RST_STREAM, 0, 0, &[0; 4])),
            case("settings on 1", frame(SETTINGS, 0, 1, &[])),
            case("a PING on 1", frame(PING, 0, 1, &[0; 8])),
            case("a goodbye on 1", frame(GOAWAY, 0, 1, &[0; 8])),
            case(
                "more of a head on 0",
                frame(CONTINUATION, END_HEADERS, 0, &head),
            ),
            case("an even stream", frame(HEADERS, 5, 2, &head)),
            case("a lower stream", asked(3)).after(asked(5)),
            case("a promise", frame(PUSH_PROMISE, END_HEADERS, 1, &promise)).after(begun(1)),
            case("data on an idle stream", frame(DATA, END_STREAM, 1, b"x")),
            case(
                "a reset of an idle stream",
                frame(RST_STREAM, 0, 1, &[0; 4]),
            ),
            case(
                "a window of an idle stream",
                frame(WINDOW_UPDATE, 0, 1, &[0, 0, 0, 9]),
            ),
            case(
                "more of a head on an idle stream",
                frame(CONTINUATION, 4, 1, &head),
            ),
        ],
    );
}

#[test]
fn what_follows_the_end_of_a_stream_is_refused() {
    let node = TestNode::start(DatabaseKind::Sqlite);
    let reset = frame(RST_STREAM, 0, 1, &[0, 0, 0, 8]);
    let ended = joined(&[begun(1), frame(DATA, END_STREAM, 1, b"a=b")]);
    stream_ends(
        node.live,
        &[STREAM_CLOSED, PROTOCOL_ERROR],
        vec![
            case("data after the end", frame(DATA, 0, 1, b"c=d")).after(ended.clone()),
            case("a head after the end", asked(1)).after(ended.clone()),
            case("a head after the answer", asked(1)).after_an_answer(),
            case("data after the answer", frame(DATA, 0, 1, b"x")).after_an_answer(),
        ],
    );
    connection_ends(
        node.live,
        &[PROTOCOL_ERROR, STREAM_CLOSED],
        vec![
            case(
                "more of a head after the end",
                frame(CONTINUATION, 4, 1, b""),
            )
            .after(ended),
            case(
                "more of a head after the answer",
                frame(CONTINUATION, 4, 1, b""),
            )
            .after_an_answer(),
            case("more of a head after data", frame(CONTINUATION, 4, 1, b""))
                .after(joined(&[begun(1), frame(DATA, 0, 1, b"a=")])),
        ],
    );
    // What was under way when the client took it back is no error, whatever it was.
    for then in [
        frame(DATA, 0, 1, b"c=d"),
        frame(WINDOW_UPDATE, 0, 1, &[0, 0, 0, 9]),
    ] {
        let late = case("late", then).after(joined(&[begun(1), reset.clone()]));
        let did = late.run(node.live);
        assert!(
            !matches!(did, Did::Answer(_)),
            "a stream that was taken back is not answered: {did:?}"
        );
    }
}

#[test]
fn nothing_may_come_between_the_pieces_of_a_head() {
    let node = TestNode::start(DatabaseKind::Sqlite);
    let head = block(&get(ADDRESS));
    let (one, other) = head.split_at(10);
    let open = frame(HEADERS, END_STREAM, 1, one);
    let between = |name, piece: Vec<u8>| {
        let rest = frame(CONTINUATION, END_HEADERS, 1, other);
        case(name, joined(&[open.clone(), piece, rest]))
    };
    connection_ends(
        node.live,
        &[PROTOCOL_ERROR],
        vec![
            between("data", frame(DATA, 0, 1, b"x")),
            between("another head", asked(3)),
            between("a priority", frame(PRIORITY, 0, 1, &[0; 5])),
            between("a PING", frame(PING, 0, 0, &[0; 8])),
            between("settings", frame(SETTINGS, 0, 0, &[])),
            between("what nobody knows", frame(200, 0, 1, b"x")),
            between("more of another head", frame(CONTINUATION, 0, 3, b"")),
            case("more after its end", frame(CONTINUATION, 4, 1, b"")).after(joined(&[
                open.clone(),
                frame(CONTINUATION, END_HEADERS, 1, other),
            ])),
        ],
    );
    let pieces = joined(&[
        frame(HEADERS, END_STREAM, 1, &head[..1]),
        frame(CONTINUATION, 0, 1, &head[1..20]),
        frame(CONTINUATION, END_HEADERS, 1, &head[20..]),
    ]);
    assert_eq!(case("in three", pieces).run(node.live), Did::Answer(200));
}

#[test]
fn settings_and_windows_out_of_range_end_the_connection() {
    let node = TestNode::start(DatabaseKind::Sqlite);
    let window = |stream, more: u32| frame(WINDOW_UPDATE, 0, stream, &more.to_be_bytes());
    connection_ends(
        node.live,
        &[PROTOCOL_ERROR],
        vec![
            case("push 2", setting(2, 2)),
            case("pieces too small", setting(5, 16_383)),
            case("pieces too large", setting(5, 1 << 24)),
            case("a window that grows by nothing", window(0, 0)),
        ],
    );
    connection_ends(
        node.live,
        &[FLOW_CONTROL_ERROR, PROTOCOL_ERROR],
        vec![
            case("a window too large at first", setting(4, 1 << 31)),
            case(
                "a window too large",
                joined(&[window(0, i32::MAX as u32), window(0, 1)]),
            ),
        ],
    );
    let all = i32::MAX as u32;
    let both = joined(&[window(1, all), window(1, all)]);
    stream_ends(
        node.live,
        &[FLOW_CONTROL_ERROR, PROTOCOL_ERROR],
        vec![case("a stream's window too large", both).after(begun(1))],
    );
    stream_ends(
        node.live,
        &[PROTOCOL_ERROR],
        vec![case("a stream's window that grows by nothing", window(1, 0)).after(begun(1))],
    );
}

#[test]
fn heads_that_cannot_be_unpacked_end_the_connection() {
    let node = TestNode::start(DatabaseKind::Sqlite);
    connection_ends(
        node.live,
        &[COMPRESSION_ERROR, PROTOCOL_ERROR],
        vec![
            case("entry 0", with_block(&[0x80])),
            case("an entry that is not there", with_block(&[0xff, 0x7f])),
            case(
                "a name that is not there",
                with_block(&[0x7f, 0x7f, 1, b'x']),
            ),
            case("a number without an end", with_block(&[0xff; 12])),
            case("a text that ends early", with_block(&[0, 5, b'x'])),
            case("a table that changes at the end", with_block(&[0x20])),
            case(
                "a table that is larger than it may be",
                frame(
                    HEADERS,
                    5,
                    1,
                    &joined(&[vec![0x3f, 0xe1, 0xff, 0x7f], block(&get(ADDRESS))]),
                ),
            ),
            // Huffman: padding of a whole byte, padding with zeros, and the end as a letter.
            case(
                "padding of eight bits",
                with_block(&[0, 1, b'x', 0x82, 0x1f, 0xff]),
            ),
            case("padding with zeros", with_block(&[0, 1, b'x', 0x81, 0x18])),
            case(
                "the end within",
                with_block(&[0, 1, b'x', 0x84, 0xff, 0xff, 0xff, 0xff]),
            ),
        ],
    );
}

/// Requests that are none. A server may end the stream, the connection, or answer 400 (RFC 9113
/// section 8.1.1).
#[test]
fn malformed_requests_are_never_served() {
    let node = TestNode::start(DatabaseKind::Sqlite);
    let without = |place: usize| {
        let mut headers = get(ADDRESS);
        headers.remove(place);
        headers
    };
    let with = |more: (&'static str, &'static str)| {
        let mut headers = get(ADDRESS);
        headers.push(more);
        headers
    };
    let mut late = get(ADDRESS);
    late.swap(2, 3);
    late.insert(3, ("x-early", "1"));
    let mut all = vec![
        without(0),
        without(1),
        without(3),
        late,
        with((":method", "GET")),
        with((":scheme", "http")),
        with((":authority", "a")),
        with((":path", ADDRESS)),
        with((":status", "200")),
        with((":protocol", "websocket")),
        with((":other", "x")),
        with(("", "x")),
        with(("X-Upper", "x")),
        with(("x:y", "x")),
        with(("x-end", "a\nb")),
        with(("x-end", "a\rb")),
        with(("x-null", "a\0b")),
        with(("x-blank", " a")),
        with(("x-blank", "a ")),
        with(("connection", "x")),
        with(("keep-alive", "x")),
        with(("proxy-connection", "x")),
        with(("transfer-encoding", "chunked")),
        with(("upgrade", "h2c")),
        with(("te", "trailers, deflate")),
        with(("content-length", "1")),
        with(("content-length", "x")),
        with(("host", "other")),
    ];
    all.extend(
        [
            (1, ""),
            (3, ""),
            (0, ""),
            (2, "user@a"),
            (3, "x"),
            (3, "/a b"),
        ]
        .map(|(place, value)| {
            let mut headers = get(ADDRESS);
            headers[place].1 = value;
            headers
        }),
    );
    for headers in all {
        let mut client = Http2::connect(node.live);
        client.request(1, &headers);
        client.send(&asked(AFTERWARDS));
        let did = outcome(&mut client);
        let is_right = match did {
            Did::EndStream(code) => code == PROTOCOL_ERROR,
            Did::EndConnection(code) => code.is_none_or(|code| code == PROTOCOL_ERROR),
            Did::Answer(status) => status == 400,
            Did::GoOn => false,
        };
        assert!(is_right, "{headers:?}: {did:?}");
    }
}

#[test]
fn bodies_and_trailers_that_are_none_are_refused() {
    let gateway = Gateway::start(|_| {});
    let live = gateway.node.live;
    let begun = |more: &[(&'static str, &'static str)]| {
        let mut headers = get("/raw");
        headers[0].1 = "POST";
        headers.push(("authorization", &gateway.token));
        headers.extend(more);
        frame(HEADERS, END_HEADERS, 1, &block(&headers))
    };
    let announced = |length| begun(&[("content-length", length)]);
    let data = |bytes: &[u8], flags| frame(DATA, flags, 1, bytes);
    let trailers = |headers: &[(&str, &str)], flags| frame(HEADERS, flags, 1, &block(headers));
    let last = END_STREAM | END_HEADERS;
    let whole = case("whole", data(b"a=b", END_STREAM)).after(announced("3"));
    assert_eq!(answer(&whole, live), Did::Answer(200));
    let all = [
        case("less than was announced", data(b"a=b", END_STREAM)).after(announced("4")),
        case("more than was announced", data(b"a=b", END_STREAM)).after(announced("2")),
        case("nothing of what was announced", data(b"", END_STREAM)).after(announced("2")),
        case(
            "more in two pieces",
            [data(b"a=", 0), data(b"b", END_STREAM)].concat(),
        )
        .after(announced("2")),
        case("less before trailers", trailers(&[("x", "y")], last)).after(announced("2")),
        case("a second head", trailers(&[("x", "y")], END_HEADERS)).after(begun(&[])),
        case("large letters", trailers(&[("X-Sum", "1")], last)).after(begun(&[])),
        case(
            "a header of the connection",
            trailers(&[("connection", "x")], last),
        )
        .after(begun(&[])),
    ];
    for case in all {
        let did = answer(&case, live);
        assert!(
            did != Did::Answer(200) && did != Did::GoOn,
            "{}: {did:?}",
            case.name
        );
    }
    // What began was passed on as it came; none of it ended as a whole request.
    assert_eq!(gateway.behind.answered(), 1);
    // The parser leaves a pseudo header out of trailers: nobody sees it.
    for name in [":method", ":status", ":path"] {
        let then = trailers(&[(name, "PSEUDO")], last);
        answer(&case("a pseudo header", then).after(begun(&[])), live);
    }
    assert!(!gateway.behind.text().contains("PSEUDO"));
}

/// Runs a case whose stream is answered by an API behind, which may take a moment.
fn answer(case: &Case, address: Address) -> Did {
    let mut client = Http2::connect(address);
    client.send(&case.first);
    client.send(&case.then);
    loop {
        match client.next() {
            None => return Did::EndConnection(None),
            Some(frame) if frame.kind == GOAWAY => return Did::EndConnection(None),
            Some(frame) if frame.stream == 1 && frame.kind == RST_STREAM => {
                return Did::EndStream(PROTOCOL_ERROR);
            }
            Some(frame) if frame.stream == 1 && frame.kind == HEADERS => {
                return Did::Answer(status(&frame.payload));
            }
            Some(_) => {}
        }
    }
}

#[test]
fn what_is_unknown_is_ignored_and_what_is_asked_for_is_done() {
    let node = TestNode::start(DatabaseKind::Sqlite);
    for (name, then) in [
        ("an unknown frame", frame(200, 255, 0, b"whatever")),
        (
            "an unknown frame of a stream",
            frame(200, 255, 7, b"whatever"),
        ),
        ("an unknown setting", setting(200, 7)),
        ("an unknown code of a goodbye's kind", {
            joined(&[begun(1), frame(RST_STREAM, 0, 1, &[0, 0, 0, 99])])
        }),
        ("an answer to no PING", frame(PING, ACK, 0, &[7; 8])),
        (
            "a priority of an idle stream",
            frame(PRIORITY, 0, 9, &[0, 0, 0, 0, 1]),
        ),
        (
            "a window of the connection",
            frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 9]),
        ),
    ] {
        assert_eq!(case(name, then).run(node.live), Did::GoOn, "{name}");
    }
    let mut headers = vec![0, 0, 0, 0, 15];
    headers.extend(block(&get(ADDRESS)));
    let prioritized = frame(HEADERS, 5 | PRIORITIZED, 1, &headers);
    assert_eq!(
        case("priority", prioritized).run(node.live),
        Did::Answer(200)
    );
    let mut padded = vec![3];
    padded.extend(block(&get(ADDRESS)));
    padded.extend([0; 3]);
    let padded = frame(HEADERS, 5 | PADDED, 1, &padded);
    assert_eq!(case("padding", padded).run(node.live), Did::Answer(200));
    let mut client = Http2::connect(node.live);
    client.send(&joined(&[setting(3, 1), frame(PING, 0, 0, b"question")]));
    let mut acknowledged = 0;
    let answer = loop {
        let frame = client.next().expect("a frame");
        acknowledged += u32::from(frame.kind == SETTINGS && frame.flags == ACK);
        if frame.kind == PING {
            break frame;
        }
    };
    assert_eq!((answer.flags, &answer.payload[..]), (ACK, &b"question"[..]));
    client.send(&asked(1));
    while client.next().expect("a frame").kind != HEADERS {}
    assert!(acknowledged <= 2, "each settings frame once");
}

#[test]
fn an_answer_waits_for_the_window_of_its_client() {
    let node = TestNode::start(DatabaseKind::Sqlite);
    let mut client = Http2::connect(node.live);
    client.send(&joined(&[setting(4, 3), asked(1)]));
    let piece = |client: &mut Http2| loop {
        let frame = client.next().expect("a frame");
        if frame.kind == DATA {
            break frame.payload.len();
        }
    };
    assert_eq!(piece(&mut client), 3);
    // It shrinks below nothing and has to grow beyond that again (section 6.9.2).
    client.send(&setting(4, 1));
    client.send(&frame(WINDOW_UPDATE, 0, 1, &[0, 0, 0, 2]));
    client.send(&frame(PING, 0, 0, &[1; 8]));
    while client.next().expect("a frame").kind != PING {}
    client.send(&frame(WINDOW_UPDATE, 0, 1, &[0, 0, 0, 1]));
    assert_eq!(piece(&mut client), 1);
}

#[test]
fn what_does_not_begin_as_http2_does_is_no_connection() {
    let node = TestNode::start(DatabaseKind::Sqlite);
    for begin in [
        "PRI * HTTP/2.0\r\n\r\nXM\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nGET / HTTP/1.1\r\n\r\n",
    ] {
        let answer = crate::strict_requests::exchange(node.live, begin.as_bytes());
        assert!(!answer.contains(" 200"), "{begin:?}: {answer}");
    }
    crate::http2::serves(node.live);
}
