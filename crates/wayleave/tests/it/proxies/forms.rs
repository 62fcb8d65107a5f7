//! What a client sends under the names that the proxy and Wayleave use between them.

use wayleave_core::{Audience, Environment};

use super::{Kind, Site, behind_each_proxy};

/// Headers that describe a request, say who calls, or say how the proxy was called. With the
/// target `/jobs`, which the caller may not pass to, none of them may open it.
const FORGED: [(&str, &str); 40] = [
    ("X-Original-URI", "/hello"),
    ("X-Original-Method", "GET"),
    ("x-original-uri", "/hello"),
    ("X_Original_URI", "/hello"),
    ("X-Original_URI", "/hello"),
    ("X-Original-URL", "/hello"),
    ("X-Rewrite-URL", "/hello"),
    ("X-Forwarded-Uri", "/hello"),
    ("X-Forwarded-Method", "GET"),
    ("X_Forwarded_Uri", "/hello"),
    ("X_Forwarded_Method", "GET"),
    ("X-Forwarded-Path", "/hello"),
    ("X-Forwarded-Prefix", "/hello"),
    ("X-Forwarded-Host", "other.example"),
    ("X_Forwarded_Host", "other.example"),
    ("X-Forwarded-For", "127.0.0.1"),
    ("X_Forwarded_For", "127.0.0.1"),
    ("X-Forwarded-Proto", "https"),
    ("X-Forwarded-Proto", "ftp"),
    ("X_Forwarded_Proto", "https"),
    ("Forwarded", "for=127.0.0.1;host=other.example;proto=https"),
    ("Wayleave-Partner", "ptr_forged"),
    ("wayleave-partner", "ptr_forged"),
    ("Wayleave_Partner", "ptr_forged"),
    ("WAYLEAVE-SCOPES", "jobs:read"),
    ("Wayleave_Scopes", "jobs:read"),
    ("Wayleave-Property", "prp_forged"),
    ("Wayleave-Body", "check-digest"),
    ("Wayleave-Audience", "platform"),
    ("Wayleave-Scheme", "signed"),
    ("Wayleave-Environment", "test"),
    ("Wayleave-Request-Id", "req_forged"),
    ("X-Deny-Status", "200"),
    ("X-Deny-Body", "{}"),
    ("Connection", "close, Wayleave-Partner, Wayleave-Credential"),
    ("Connection", "X-Original-URI, X-Original-Method"),
    ("Connection", "X-Forwarded-Uri, X-Forwarded-Method"),
    ("Connection", "Authorization"),
    ("X-HTTP-Method-Override", "GET"),
    ("Request-Id", "req_forged"),
];

behind_each_proxy! {
    fn no_header_of_the_client_opens_what_is_closed_to_it(kind: Kind) {
        let site = Site::asking(kind, Environment::Live)?;
        let keys = site.node.keys(Environment::Live, Audience::Routes);
        let token = site.node.token(Environment::Live, &keys);
        for header in FORGED {
            let call = site.front().get("/jobs").bearer(&token);
            let answer = call.header(header.0, header.1).send();
            assert!(matches!(answer.status, 400 | 401 | 403), "{header:?}: {}", answer.status);
            let answer = site.front().get("/hello").header(header.0, header.1).send();
            assert!(matches!(answer.status, 400 | 401), "{header:?}: {}", answer.status);
        }
        // Both halves of a description at once.
        for [method, uri] in [
            ["X-Original-Method", "X-Original-URI"],
            ["X-Forwarded-Method", "X-Forwarded-Uri"],
            ["X_Forwarded_Method", "X_Forwarded_Uri"],
        ] {
            let call = site.front().get("/jobs").bearer(&token);
            let answer = call.header(method, "GET").header(uri, "/hello").send();
            assert!(matches!(answer.status, 400 | 403), "{uri}: {}", answer.status);
        }
        assert!(site.api.take().is_empty());
    }

    fn no_header_of_the_client_changes_who_it_is(kind: Kind) {
        let site = Site::asking(kind, Environment::Live)?;
        let keys = site.node.keys(Environment::Live, Audience::Routes);
        let token = site.node.token(Environment::Live, &keys);
        for header in FORGED {
            let call = site.front().get("/hello?mine=1").bearer(&token);
            let answer = call.header(header.0, header.1).send();
            let seen = site.api.take();
            assert_eq!(answer.status == 200, seen.len() == 1, "{header:?}: {}", answer.status);
            for seen in seen {
                assert_eq!(seen.target, "/hello?mine=1", "{header:?}");
                assert_eq!(seen.all("wayleave-partner"), [&keys.partner], "{header:?}");
                assert_eq!(seen.all("wayleave-credential"), [&keys.credential], "{header:?}");
                assert_eq!(seen.all("wayleave-environment"), ["live"], "{header:?}");
                assert_eq!(seen.all("wayleave-audience"), ["routes"], "{header:?}");
                assert_eq!(seen.all("wayleave-scheme"), ["bearer"], "{header:?}");
                assert!(seen.all("wayleave-scopes").concat().is_empty(), "{header:?}");
                assert!(seen.all("wayleave-property").concat().is_empty(), "{header:?}");
                assert!(seen.all("wayleave-body").concat().is_empty(), "{header:?}");
                assert_ne!(seen.all("wayleave-request-id"), ["req_forged"], "{header:?}");
                let hidden = seen.all("connection").concat().to_ascii_lowercase();
                assert!(!hidden.contains("wayleave"), "{header:?}");
                let disguised = seen.headers.iter().find(|(name, _)| is_disguised(name));
                assert_eq!(disguised, None, "{header:?}");
            }
        }
    }

    fn the_api_is_told_of_the_client_by_the_proxy_alone(kind: Kind) {
        let site = Site::asking(kind, Environment::Live)?;
        let keys = site.node.keys(Environment::Live, Audience::Routes);
        let token = site.node.token(Environment::Live, &keys);
        let call = site.front().get("/hello").bearer(&token);
        let call = call.header("X-Forwarded-For", "203.0.113.9").header("X-Forwarded-Proto", "https");
        call.send().expect(200);
        let seen = site.api.take_one();
        assert_eq!(seen.all("x-forwarded-for"), ["127.0.0.1"]);
        assert_eq!(seen.all("x-forwarded-proto"), ["http"]);
    }
}

/// Whether an API that reads headers through CGI could take a name for one of ours.
fn is_disguised(name: &str) -> bool {
    let plain = name.replace('_', "-");
    let ours = plain.starts_with("wayleave-")
        || plain.starts_with("x-wayleave-")
        || plain.starts_with("x-forwarded-");
    ours && name.contains('_')
}
