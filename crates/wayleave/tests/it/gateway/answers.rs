//! Answers of servers behind: what reaches the client, and what cannot be one.

use wayleave_proxy::{ForwardSettings, HeaderRules};

use super::Gateway;
use super::scripted::{Scripted, ok};

/// What a client gets for one GET where the server sends this, ends the connection, and is asked for
/// nothing more.
fn answer_to(method: &str, sent: &'static str) -> String {
    let server = Scripted::new(move |caller| {
        if caller.receive().is_some() {
            caller.send(sent);
        }
    });
    let gateway = Gateway::to(&[&server], ForwardSettings::default());
    let head = gateway.head(method, "/behind", "Connection: close\r\nTE: trailers\r\n");
    gateway.exchange(head.as_bytes())
}

#[test]
fn an_answer_that_ends_early_is_broken_for_the_client_too() {
    // What came before the end may reach the client or not; that it is not whole always does.
    let with_length = answer_to("GET", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
    let (head, body) = with_length.split_once("\r\n\r\n").unwrap_or_default();
    assert!(
        head.is_empty() || head.contains("content-length: 10") && body == "half",
        "{with_length}"
    );
    for chunks in ["4\r\nhalf\r\n", "4\r\nhalf\r\nzz\r\n", "4\r\nha"] {
        let sent = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}");
        let answer = answer_to("GET", sent.leak());
        assert!(!answer.contains("\r\n0\r\n"), "{answer}");
    }
}

#[test]
fn an_answer_without_a_length_ends_with_its_connection() {
    for first_line in ["HTTP/1.0 200 OK", "HTTP/1.1 200 OK"] {
        let sent = format!("{first_line}\r\nX-Kind: old\r\n\r\nall of it");
        let answer = answer_to("GET", sent.leak());
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert!(
            answer.ends_with("9\r\nall of it\r\n0\r\n\r\n"),
            "a whole one: {answer}"
        );
    }
}

#[test]
fn answers_without_a_body_stay_so() {
    let head = answer_to("HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n");
    assert!(
        head.contains("content-length: 12\r\n") && head.ends_with("\r\n\r\n"),
        "{head}"
    );
    let none = answer_to(
        "GET",
        "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n",
    );
    assert!(none.starts_with("HTTP/1.1 204 ") && none.ends_with("\r\n\r\n"));
    assert!(!none.contains("content-length"), "{none}");
    let unchanged = answer_to(
        "GET",
        "HTTP/1.1 304 Not Modified\r\nETag: \"1\"\r\nContent-Length: 12\r\n\r\n",
    );
    assert!(
        unchanged.contains("etag: \"1\"\r\n") && unchanged.ends_with("\r\n\r\n"),
        "{unchanged}"
    );
}

#[test]
fn what_comes_before_the_answer_is_left_out() {
    let answer = answer_to(
        "GET",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    );
    assert!(
        answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\nok"),
        "{answer}"
    );
    assert!(!answer.contains("link"), "{answer}");
}

#[test]
fn what_is_no_answer_is_502() {
    let giant: &str = format!(
        "HTTP/1.1 200 OK\r\nX-Giant: {}\r\nContent-Length: 0\r\n\r\n",
        "x".repeat(100_000)
    )
    .leak();
    let many: &str = format!(
        "HTTP/1.1 200 OK\r\n{}Content-Length: 0\r\n\r\n",
        "X-Many: x\r\n".repeat(200)
    )
    .leak();
    for sent in [
        "garbage\r\n\r\n",
        "HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n",
        "HTTP/3.0 200 OK\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX-Folded: a\r\n b\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX-Spaced : a\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX-Null: a\0b\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\nContent-Length: 0\n\n",
        "HTTP/1.1 200 OK\r\nX-Line: a\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        giant,
        many,
    ] {
        let answer = answer_to("GET", sent);
        assert!(
            answer.starts_with("HTTP/1.1 502 "),
            "{} for {}",
            answer.lines().next().unwrap_or_default(),
            &sent[..sent.len().min(80)]
        );
        assert!(
            answer.contains("application/problem+json"),
            "{answer}, for {sent}"
        );
    }
}

#[test]
fn bytes_after_an_answer_are_not_the_next_one() {
    let server = Scripted::new(|caller| {
        while caller.receive().is_some() {
            caller.send(&(ok("asked") + &ok("not asked")));
        }
    });
    let gateway = Gateway::to(&[&server], ForwardSettings::default());
    for _ in 0..10 {
        assert_eq!(gateway.get("/behind").expect(200).text(), "asked");
    }
}

#[test]
fn trailers_reach_a_client_that_takes_them() {
    let sent = "HTTP/1.1 200 OK\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 7\r\n\r\n";
    let answer = answer_to("GET", sent);
    assert!(answer.contains("trailer: X-Sum\r\n"), "{answer}");
    assert!(answer.ends_with("0\r\nx-sum: 7\r\n\r\n"), "{answer}");
}

#[test]
fn an_answer_that_says_nothing_of_caches_is_for_its_caller() {
    for silent in ["", "Expires: Thu, 01 Jan 2099 00:00:00 GMT\r\n"] {
        let sent = format!("HTTP/1.1 200 OK\r\n{silent}Content-Length: 0\r\n\r\n");
        let answer = answer_to("GET", sent.leak());
        assert!(answer.contains("cache-control: private\r\n"), "{answer}");
        assert!(answer.contains("vary: Authorization\r\n"), "{answer}");
    }
    let changed = answer_to("POST", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    assert!(
        !changed.contains("cache-control") && !changed.contains("vary"),
        "{changed}"
    );
}

#[test]
fn what_an_api_says_of_caches_stays_and_the_answer_varies_by_the_proof() {
    for method in ["GET", "POST"] {
        let said = answer_to(
            method,
            "HTTP/1.1 200 OK\r\nCache-Control: public, max-age=60\r\nVary: Accept\r\nVary: Origin\r\nContent-Length: 0\r\n\r\n",
        );
        assert!(
            said.contains("cache-control: public, max-age=60\r\n") && !said.contains("private"),
            "{said}"
        );
        assert!(
            said.contains("vary: Accept, Origin, Authorization\r\n"),
            "{said}"
        );
        let fresh = answer_to(
            method,
            "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 0\r\n\r\n",
        );
        assert!(
            fresh.contains("cache-control: max-age=60\r\ncache-control: private\r\n"),
            "{fresh}"
        );
    }
}

#[test]
fn a_setting_may_let_caches_share_an_answer_but_not_between_callers() {
    use http::header::{CACHE_CONTROL, HeaderValue, VARY};
    let server = Scripted::answering("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    let settings = ForwardSettings {
        answer_headers: HeaderRules {
            remove: vec![VARY],
            set: vec![(CACHE_CONTROL, HeaderValue::from_static("public, max-age=5"))],
        },
        ..ForwardSettings::default()
    };
    let answer = Gateway::to(&[&server], settings).get("/behind").expect(200);
    assert_eq!(answer.header("cache-control"), Some("public, max-age=5"));
    assert_eq!(answer.header("vary"), Some("Authorization"));
}

#[test]
fn what_belongs_to_the_connection_behind_ends_there() {
    let answer = answer_to(
        "GET",
        "HTTP/1.1 200 OK\r\nConnection: keep-alive, X-Hop\r\nKeep-Alive: timeout=5\r\nX-Hop: 1\r\nX-End: 1\r\nRequest-Id: theirs\r\nContent-Length: 0\r\n\r\n",
    );
    assert!(
        !answer.contains("keep-alive") && !answer.contains("x-hop"),
        "{answer}"
    );
    assert!(answer.contains("x-end: 1\r\n"), "{answer}");
    assert!(
        answer.contains("request-id: req_") && !answer.contains("theirs"),
        "{answer}"
    );
}
