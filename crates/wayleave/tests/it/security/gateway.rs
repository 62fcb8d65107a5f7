//! Rows F and O8: what stands between a client and an API behind.

use wayleave_core::{Audience, Environment};
use wayleave_testkit::DatabaseKind;

use crate::harness::TestNode;
use crate::strict_requests::Gateway;

/// What a client may say about who it is and how it came here, in forms that some API behind
/// believes.
const CLAIMS: [(&str, &str); 44] = [
    ("X-Forwarded-For", "10.0.0.1"),
    ("X-Forwarded-For", "127.0.0.1, 127.0.0.1"),
    ("x-forwarded-for", "::1"),
    ("X-FORWARDED-FOR", "10.0.0.1"),
    ("X_Forwarded_For", "10.0.0.1"),
    ("X-Forwarded_For", "10.0.0.1"),
    ("x_forwarded-for", "10.0.0.1"),
    ("X-Forwarded-Proto", "https"),
    ("X-Forwarded-Proto", "http"),
    ("X_Forwarded_Proto", "https"),
    ("X-Forwarded_Proto", "https"),
    ("X-Forwarded-Host", "evil.example"),
    ("X_Forwarded_Host", "evil.example"),
    ("x_forwarded-host", "evil.example"),
    ("Forwarded", "for=10.0.0.1;proto=https;host=evil.example"),
    ("forwarded", "for=\"[::1]\""),
    ("FORWARDED", "for=evil"),
    ("Wayleave-Partner", "evil"),
    ("wayleave-partner", "evil"),
    ("WAYLEAVE-PARTNER", "evil"),
    ("Wayleave_Partner", "evil"),
    ("wayleave_partner", "evil"),
    ("X-Wayleave-Partner", "evil"),
    ("X_Wayleave_Partner", "evil"),
    ("Wayleave-Integration", "evil"),
    ("Wayleave_Integration", "evil"),
    ("Wayleave-Credential", "evil"),
    ("Wayleave_Credential", "evil"),
    ("Wayleave-Environment", "evil"),
    ("Wayleave_Environment", "evil"),
    ("Wayleave-Audience", "evil"),
    ("Wayleave-Scheme", "evil"),
    ("Wayleave_Scheme", "evil"),
    ("Wayleave-Scopes", "evil"),
    ("Wayleave_Scopes", "evil"),
    ("Wayleave-Request-Id", "evil"),
    ("Wayleave_Request_Id", "evil"),
    ("X-Wayleave-Scopes", "evil"),
    ("Wayleave-Anything", "evil"),
    ("Proxy-Authorization", "evil"),
    ("Proxy_Authorization", "evil"),
    ("Keep-Alive", "evil"),
    ("Proxy-Connection", "evil"),
    ("Trailer", "Wayleave-Partner"),
];

/// What those headers say when we say it.
fn told(seen: &str) -> Vec<String> {
    let lines = seen.lines().map(str::to_ascii_lowercase);
    let ours = ["forward", "wayleave", "proxy", "keep-alive", "trailer"];
    lines
        .filter(|line| {
            ours.iter().any(|word| {
                line.split(':')
                    .next()
                    .is_some_and(|name| name.contains(word))
            })
        })
        .filter(|line| !line.starts_with("wayleave-request-id:"))
        .collect()
}

#[test]
fn no_claim_of_an_untrusted_peer_reaches_the_api_behind() {
    let gateway = Gateway::start(|_| {});
    let ask = |claims: &[(&str, &str)]| {
        let before = gateway.behind.text().len();
        let call = gateway
            .node
            .live
            .get("/raw")
            .bearer(&gateway.token)
            .header("Host", "a");
        let call = claims
            .iter()
            .fold(call, |call, (name, value)| call.header(name, value));
        call.send().expect(200);
        gateway.behind.text()[before..].to_owned()
    };
    let honest = told(&ask(&[]));
    assert!(
        honest.contains(&"x-forwarded-for: 127.0.0.1".to_owned()),
        "{honest:?}"
    );
    assert!(
        honest.contains(&"x-forwarded-proto: http".to_owned()),
        "{honest:?}"
    );
    assert!(honest.len() >= 8, "{honest:?}");
    for claim in CLAIMS {
        let seen = ask(&[claim]);
        assert_eq!(told(&seen), honest, "{claim:?}");
        assert!(
            !seen.contains("evil") && !seen.contains("10.0.0.1"),
            "{claim:?}: {seen}"
        );
    }
    assert_eq!(told(&ask(&CLAIMS)), honest, "all at once");
}

#[test]
fn the_real_peer_is_who_waits_after_wrong_secrets() {
    let node = TestNode::start(DatabaseKind::Sqlite);
    let names = [
        "X-Forwarded-For",
        "X_Forwarded_For",
        "Forwarded",
        "X-Real-IP",
        "True-Client-IP",
        "CF-Connecting-IP",
    ];
    let mut statuses = Vec::new();
    for number in 0..3 {
        for name in names {
            let value = format!("203.0.113.{number}");
            let id = format!("somebody-{number}-{name}");
            let call = node.live.get("/token").basic(&id, "x").header(name, &value);
            statuses.push(call.send().status);
        }
    }
    let refused = statuses.iter().filter(|status| **status == 429).count();
    assert_eq!(refused, names.len() * 3 - 10, "{statuses:?}");
}

#[test]
fn our_own_answers_to_callers_are_kept_by_no_cache() {
    let node = TestNode::start(DatabaseKind::Sqlite);
    let keys = node.keys(Environment::Live, Audience::Routes);
    let token = node.token(Environment::Live, &keys);
    let answers = [
        node.live
            .get("/token")
            .basic(&keys.public_id, &keys.secret)
            .send()
            .expect(200),
        node.live.get("/hello").send().expect(401),
        node.live.get("/jobs").bearer(&token).send().expect(403),
        node.live.get("/nobody").bearer(&token).send().expect(502),
        node.live.get("/nothing").send().expect(404),
        node.live
            .get("/hello/../x")
            .bearer(&token)
            .send()
            .expect(400),
        node.operate("GET", "/live/v1/partners", None).expect(200),
        node.admin.get("/live/v1/partners").send().expect(401),
    ];
    for answer in answers {
        let control = answer
            .header("cache-control")
            .unwrap_or_default()
            .to_owned();
        assert!(
            control == "private, no-store",
            "{}: {control:?} {}",
            answer.status,
            answer.text()
        );
    }
    let check = node.live.get("/auth/check").bearer(&token);
    let check = check
        .header("X-Forwarded-Method", "GET")
        .header("X-Forwarded-Uri", "/hello");
    let check = check.send();
    assert!(matches!(check.status, 200 | 204), "{}", check.text());
    assert!(
        check
            .header("cache-control")
            .is_some_and(|control| control == "private, no-store")
    );
}

#[test]
fn paths_that_could_be_read_in_two_ways_are_refused() {
    let gateway = Gateway::start(|_| {});
    for path in [
        "/raw/../admin",
        "/raw/./x",
        "/raw/..",
        "/raw/%2e%2e/admin",
        "/raw/%2E%2e/admin",
        "/raw/.%2e/admin",
        "/raw/%252e%252e/../admin",
        "/raw//admin",
        "/raw/%2fadmin",
        "/raw/%2Fadmin",
        "/raw/..;/admin",
        "/raw/.;/admin",
        "/raw;x/admin",
        "/raw/a;b=c/admin",
        "/raw/%3b/admin",
        "/raw/\\admin",
        "/raw/..\\admin",
        "/raw/%5cadmin",
        "/raw/%00",
        "/raw/%0d%0aX:y",
        "/raw/%7f",
        "/raw/%61dmin",
        "/raw/%",
        "/raw/%4",
        "/raw/%zz",
        "/raw/%u002e",
        "/%72aw/x",
        "//raw/x",
    ] {
        let answer = gateway.node.live.get(path).bearer(&gateway.token).send();
        assert!(
            matches!(answer.status, 400 | 404),
            "{path}: {}",
            answer.status
        );
    }
    assert_eq!(gateway.behind.text(), "", "nothing of it was passed on");
    for path in [
        "/raw",
        "/raw/",
        "/raw/a.b",
        "/raw/%20",
        "/raw/%C3%A4",
        "/raw/a,b",
        "/raw/...",
        "/raw/@x:y",
    ] {
        gateway
            .node
            .live
            .get(path)
            .bearer(&gateway.token)
            .send()
            .expect(200);
    }
}

#[test]
fn old_versions_of_tls_are_refused_and_sessions_resumed() {
    use std::process::Command;
    let folder = wayleave_testkit::TestFolder::new();
    let files = crate::transport::certificate(&folder);
    let node = TestNode::start_with(DatabaseKind::Sqlite, |settings| {
        settings.environments[0].address.tls = Some(files.clone());
    });
    let port = node.live.port();
    let url = format!("https://localhost:{port}/.well-known/jwks.json");
    let status = |arguments: &[&str]| {
        let mut curl = Command::new("curl");
        curl.args(["-s", "-o", "/dev/null", "-w", "%{http_code}"]);
        curl.arg("--cacert").arg(&files.certificate);
        let got = curl.args(arguments).arg(&url).output().expect("curl");
        String::from_utf8_lossy(&got.stdout).into_owned()
    };
    for old in ["1.0", "1.1"] {
        // The client would: its own floor is taken away.
        let ciphers = "DEFAULT:@SECLEVEL=0";
        assert_eq!(
            status(&["--tls-max", old, "--tlsv1.0", "--ciphers", ciphers]),
            "000",
            "{old}"
        );
    }
    assert_eq!(status(&["--tls-max", "1.2"]), "200");
    assert_eq!(status(&["--tlsv1.3"]), "200");
    for version in ["-tls1_2", "-tls1_3"] {
        let session = folder.path().join("session");
        let run = |how: &str| {
            let call = Command::new("openssl")
                .args([
                    "s_client",
                    "-connect",
                    &format!("localhost:{port}"),
                    version,
                    how,
                ])
                .arg(&session)
                .stdin(std::process::Stdio::piped())
                .stdout(std::process::Stdio::piped())
                .stderr(std::process::Stdio::null())
                .spawn();
            let mut child = call.expect("openssl");
            // A ticket of TLS 1.3 comes with the first answer.
            use std::io::Write;
            let request = b"GET /.well-known/jwks.json HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
            let mut input = child.stdin.take().expect("its input");
            input.write_all(request).expect("written");
            std::thread::sleep(std::time::Duration::from_millis(300));
            drop(input);
            String::from_utf8_lossy(&child.wait_with_output().expect("its end").stdout).into_owned()
        };
        let first = run("-sess_out");
        assert!(first.contains("New, "), "{version}: {first}");
        let second = run("-sess_in");
        assert!(second.contains("Reused, "), "{version}: {second}");
        assert!(!second.contains("Early data was accepted"), "{second}");
    }
}
