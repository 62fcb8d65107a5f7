//! What goes through a proxy: bodies as they come, connections that change their protocol, and
//! addresses byte by byte.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use wayleave_core::{Audience, Environment};
use wayleave_testkit::Address;

use super::api::ANSWER;
use super::{Kind, Site, behind_each_proxy};

behind_each_proxy! {
    fn a_body_reaches_the_api_while_it_is_sent(kind: Kind) {
        let site = Site::asking(kind, Environment::Live)?;
        let keys = site.node.keys(Environment::Live, Audience::Routes);
        let token = site.node.token(Environment::Live, &keys);
        let mut stream = connect(site.front());
        let head = format!(
            "PUT /hello/upload HTTP/1.1\r\nHost: api.example.com\r\nAuthorization: Bearer {token}\r\n\
             Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(b"6\r\nfirst \r\n").unwrap();
        site.api.wait_for_body(b"first ");
        stream.write_all(b"6\r\nsecond\r\n0\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert!(ANSWER.iter().all(|piece| answer.contains(piece)), "{answer}");
        let seen = site.api.take_one();
        assert_eq!(seen.body, b"first second");
    }

    fn a_large_body_arrives_whole_and_none_arrives_when_refused(kind: Kind) {
        let site = Site::asking(kind, Environment::Live)?;
        let keys = site.node.keys(Environment::Live, Audience::Routes);
        let token = site.node.token(Environment::Live, &keys);
        let body = vec![b'x'; 900 * 1024];
        let call = site.front().post("/hello").bearer(&token);
        call.body("text/plain", &body).send().expect(200);
        assert_eq!(site.api.take_one().body.len(), body.len());
        site.front().post("/hello").body("text/plain", &body[..1000]).send().expect(401);
        assert!(site.api.take().is_empty());
    }

    fn a_connection_changes_its_protocol_after_the_verdict(kind: Kind) {
        let site = Site::asking(kind, Environment::Live)?;
        let keys = site.node.keys(Environment::Live, Audience::Routes);
        let token = site.node.token(Environment::Live, &keys);
        let upgrade = |authorization: &str| {
            let mut stream = connect(site.front());
            let head = format!(
                "GET /hello/live HTTP/1.1\r\nHost: api.example.com\r\n{authorization}\
                 Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                 Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
            );
            stream.write_all(head.as_bytes()).unwrap();
            let mut head = Vec::new();
            let mut byte = [0];
            while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap() == 1 {
                head.push(byte[0]);
            }
            (stream, String::from_utf8(head).unwrap())
        };
        let (_, refused) = upgrade("");
        assert!(refused.starts_with("HTTP/1.1 401"), "{refused}");
        let (mut stream, head) = upgrade(&format!("Authorization: Bearer {token}\r\n"));
        assert!(head.starts_with("HTTP/1.1 101"), "{head}");
        stream.write_all(b"there and back").unwrap();
        let mut echo = [0; 14];
        stream.read_exact(&mut echo).unwrap();
        assert_eq!(&echo, b"there and back");
    }

    fn what_was_asked_about_is_what_is_passed_on(kind: Kind) {
        let site = Site::asking(kind, Environment::Live)?;
        let keys = site.node.keys(Environment::Live, Audience::Routes);
        let token = site.node.token(Environment::Live, &keys);
        for target in TARGETS {
            let answer = site.front().get(target).bearer(&token).send();
            let seen = site.api.take();
            match answer.status {
                200 => assert_eq!(seen[0].target, target),
                status => {
                    assert!(matches!(status, 400 | 403), "{target}: {status}");
                    assert!(seen.is_empty(), "{target}");
                }
            }
        }
    }
}

/// Addresses below a route that the caller may pass to, and some that lead out of it for those who
/// tidy up.
const TARGETS: [&str; 22] = [
    "/hello",
    "/hello/",
    "/hello?",
    "/hello?a=b&a=c&&=&x",
    "/hello?q=%2F%2f%3D+%20",
    "/hello?q=../../jobs",
    "/hello?q=a?b",
    "/hello/%C3%84/x%20y",
    "/hello/a;b=c,d",
    "/hello/a:b@c!$'()*",
    "/hello/%3Fnot-a-query",
    "/hello/%2e%2e/jobs",
    "/hello/..%2fjobs",
    "/hello/../jobs",
    "/hello/./x",
    "//hello",
    "/hello//x",
    "/hello\\..\\jobs",
    "/hello/%5c..%5cjobs",
    "/hello/%00",
    "/%68ello",
    "/hello/..;/jobs",
];

fn connect(address: Address) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", address.port())).unwrap();
    let limit = Some(Duration::from_secs(20));
    stream.set_read_timeout(limit).unwrap();
    stream
}
