//! Connections to servers behind: how they are used again, and what happens when they end.

use std::io::Write;
use std::time::Duration;

use wayleave_proxy::ForwardSettings;

use super::scripted::{Scripted, ok};
use super::{Gateway, read_all, read_until};

#[test]
fn a_connection_is_used_again() {
    let server = Scripted::answering(ok("hello"));
    let gateway = Gateway::to(&[&server], ForwardSettings::default());
    for _ in 0..20 {
        assert_eq!(gateway.get("/behind").expect(200).text(), "hello");
    }
    let body = "x".repeat(100_000);
    gateway
        .call("POST", "/behind")
        .body("text/plain", &body)
        .send()
        .expect(200);
    assert_eq!((server.connections(), server.requests().len()), (1, 21));
}

#[test]
fn a_connection_that_the_server_closed_while_unused_is_no_error() {
    let server = Scripted::new(|caller| {
        if caller.receive().is_some() {
            caller.send(&ok("once"));
        }
    });
    let gateway = Gateway::to(&[&server], ForwardSettings::default());
    for _ in 0..20 {
        gateway.get("/behind").expect(200);
        // What cannot be repeated would meet a close that is still on its way.
        server.wait_for_closed();
        let posted = gateway.call("POST", "/behind").body("text/plain", "x");
        posted.send().expect(200);
    }
    assert_eq!(server.requests().len(), 40);
}

/// A server that answers the first request on each connection, and ends the connection at the next
/// one after it has read it, as one does that closes what is unused at that very moment.
fn ends_at_the_second() -> Scripted {
    Scripted::new(|caller| {
        if caller.receive().is_some() {
            caller.send(&ok("first"));
            caller.receive();
        }
    })
}

#[test]
fn what_can_be_repeated_is_when_a_used_connection_breaks_before_the_answer() {
    for method in ["GET", "PUT", "DELETE", "OPTIONS"] {
        let server = ends_at_the_second();
        let gateway = Gateway::to(&[&server], ForwardSettings::default());
        gateway.get("/behind").expect(200);
        gateway.call(method, "/behind").send().expect(200);
        let seen = server.requests();
        assert_eq!(
            (seen.len(), server.connections()),
            (3, 2),
            "{method}: {seen:?}"
        );
    }
}

#[test]
fn what_cannot_be_repeated_is_sent_once() {
    let server = ends_at_the_second();
    let gateway = Gateway::to(&[&server], ForwardSettings::default());
    gateway.get("/behind").expect(200);
    let posted = gateway.call("POST", "/behind").body("text/plain", "x");
    let refused = posted.send().expect(502).json();
    assert!(
        refused["message"]
            .as_str()
            .is_some_and(|text| text.starts_with("the API behind")),
        "{refused}"
    );
    let seen = server.requests();
    let posts = seen
        .iter()
        .filter(|request| request.first_line().starts_with("POST"));
    assert_eq!(posts.count(), 1);
}

#[test]
fn a_body_that_was_passed_on_is_not_sent_again() {
    let server = ends_at_the_second();
    let gateway = Gateway::to(&[&server], ForwardSettings::default());
    gateway.get("/behind").expect(200);
    let put = gateway.call("PUT", "/behind").body("text/plain", "x");
    put.send().expect(502);
    assert_eq!(server.requests().len(), 2);
}

#[test]
fn a_server_that_ends_a_new_connection_is_502_and_not_asked_again() {
    let server = Scripted::new(|caller| {
        caller.receive();
    });
    let gateway = Gateway::to(&[&server], ForwardSettings::default());
    let refused = gateway.get("/behind").expect(502).json();
    assert_eq!(refused["type"], "urn:wayleave:problem:bad-gateway");
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn an_answer_that_does_not_begin_in_time_is_504() {
    let server = Scripted::new(|caller| {
        caller.receive();
        caller.wait_for_end();
    });
    let settings = ForwardSettings {
        answer_timeout: Duration::from_secs(1),
        ..ForwardSettings::default()
    };
    let gateway = Gateway::to(&[&server], settings);
    gateway.get("/behind").expect(504);
    let posted = gateway.call("POST", "/behind").body("text/plain", "x");
    posted.send().expect(504);
}

#[test]
fn a_client_that_is_slow_with_its_body_is_not_the_servers_fault() {
    let server = Scripted::answering(ok("all of it"));
    let settings = ForwardSettings {
        answer_timeout: Duration::from_secs(1),
        ..ForwardSettings::default()
    };
    let gateway = Gateway::to(&[&server], settings);
    let mut stream = gateway.connect();
    let head = gateway.head(
        "POST",
        "/behind",
        "Content-Length: 4\r\nConnection: close\r\n",
    );
    stream.write_all(head.as_bytes()).expect("sent");
    for piece in ["a", "b", "c", "d"] {
        std::thread::sleep(Duration::from_millis(800));
        stream.write_all(piece.as_bytes()).expect("sent");
    }
    let answer = read_all(&mut stream);
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert_eq!(server.requests()[0].body, "abcd");
}

#[test]
fn a_client_that_leaves_ends_its_exchange() {
    let (told, ended) = std::sync::mpsc::channel();
    let told = std::sync::Mutex::new(told);
    let server = Scripted::new(move |caller| {
        caller.receive();
        caller.wait_for_end();
        let _ = told.lock().expect("no panic").send(());
    });
    let gateway = Gateway::to(&[&server], ForwardSettings::default());
    let mut stream = gateway.connect();
    stream
        .write_all(gateway.head("GET", "/behind", "").as_bytes())
        .expect("sent");
    while server.requests().is_empty() {
        std::thread::sleep(Duration::from_millis(10));
    }
    drop(stream);
    ended
        .recv_timeout(Duration::from_secs(20))
        .expect("the exchange ended");
}

#[test]
fn a_silent_server_within_its_answer_breaks_it_off() {
    let server = Scripted::new(|caller| {
        caller.receive();
        caller.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
        caller.wait_for_end();
    });
    let settings = ForwardSettings {
        idle_timeout: Duration::from_secs(1),
        ..ForwardSettings::default()
    };
    let gateway = Gateway::to(&[&server], settings);
    let answer = gateway.exchange(gateway.head("GET", "/behind", "").as_bytes());
    assert!(answer.ends_with("\r\n\r\nhalf"), "{answer}");
}

#[test]
fn a_server_may_answer_while_the_body_still_comes() {
    let server = Scripted::new(|caller| {
        let Some(_) = caller.receive_head() else {
            return;
        };
        caller.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        // One chunk of the answer for each byte of the body, and the rest of it at its end.
        while let Some(bytes) = caller.receive_bytes(1) {
            let text = String::from_utf8_lossy(&bytes).into_owned();
            caller.send(&format!("1\r\n{text}\r\n"));
            if text == "." {
                break;
            }
        }
        caller.send("0\r\n\r\n");
    });
    let gateway = Gateway::to(&[&server], ForwardSettings::default());
    let mut stream = gateway.connect();
    let head = gateway.head("POST", "/behind", "Content-Length: 3\r\n");
    stream.write_all(head.as_bytes()).expect("sent");
    assert!(read_until(&mut stream, "\r\n\r\n").starts_with("HTTP/1.1 200 "));
    for piece in ["a", "b", "."] {
        stream.write_all(piece.as_bytes()).expect("sent");
        read_until(&mut stream, &format!("1\r\n{piece}\r\n"));
    }
    read_until(&mut stream, "0\r\n\r\n");
}

#[test]
fn a_server_that_refuses_a_body_early_is_heard() {
    let refusal = "HTTP/1.1 413 Payload Too Large\r\nContent-Length: 3\r\n\r\nbig";
    let server = Scripted::new(move |caller| {
        if caller.receive_head().is_some() {
            caller.send(refusal);
            caller.wait_for_end();
        }
    });
    let gateway = Gateway::to(&[&server], ForwardSettings::default());
    let mut stream = gateway.connect();
    let head = gateway.head("POST", "/behind", "Content-Length: 1000000\r\n");
    stream.write_all(head.as_bytes()).expect("sent");
    stream.write_all(&[b'x'; 1000]).expect("sent");
    let answer = read_until(&mut stream, "big");
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
}
