//! HTTP message signatures through real proxies: what they cover is what the proxy received.

use serde_json::json;
use wayleave_core::Environment;
use wayleave_testkit::{Call, MessageSigner};

use super::{Kind, Mode, Site, behind_each_proxy};
use crate::harness::NOW_S;

/// The name that the proxy has for its clients.
const HOST: &str = "api.example.com:8443";

/// A proxy before an environment that knows its name.
fn site(kind: Kind, mode: Mode) -> Option<Site> {
    Site::start(kind, mode, Environment::Live, |settings| {
        for environment in &mut settings.environments {
            environment.surfaces.authorities.add(HOST);
        }
    })
}

/// Somebody whom the site knows.
fn signer(site: &Site) -> MessageSigner {
    let partner = site.node.partner(Environment::Live);
    let more = json!({ "audience": "routes", "schemes": "http-signature" });
    let keys = site.node.keys_of(Environment::Live, &partner, more);
    let mut signer = MessageSigner::new(&keys.public_id, &keys.secret, NOW_S);
    signer.authority = Some(HOST.to_owned());
    signer
}

/// A signed request to the proxy.
fn call(site: &Site, signer: &MessageSigner, method: &str, target: &str, body: &[u8]) -> Call {
    signer.call(site.front(), method, target, &[("Host", HOST)], body)
}

behind_each_proxy! {
    fn a_signature_over_host_path_and_query_holds_when_asked_about(kind: Kind) {
        let site = site(kind, Mode::ForwardAuth)?;
        let signer = signer(&site).covering(&["@method", "@authority", "@path", "@query"]);
        for target in ["/hello", "/hello?", "/hello/%C3%84,x?b=%2F&a=+", "/hello/a%20b?a=1&a=2"] {
            call(&site, &signer, "GET", target, b"").send().expect(200);
            assert_eq!(site.api.take_one().target, target);
        }
        let mut elsewhere = signer.clone();
        elsewhere.authority = Some("other.example".to_owned());
        let refused = call(&site, &elsewhere, "GET", "/hello", b"").send().expect(401);
        assert!(refused.header("accept-signature").is_some());
    }

    fn a_nonce_counts_once_and_the_question_uses_it_up(kind: Kind) {
        let site = site(kind, Mode::ForwardAuth)?;
        let mut once = signer(&site);
        once.nonce = Some("once".to_owned());
        call(&site, &once, "GET", "/hello", b"").send().expect(200);
        let again = call(&site, &once, "GET", "/hello", b"").send().expect(401);
        assert!(again.header("accept-signature").is_some());
        assert_eq!(site.api.take().len(), 1);
        // A refusal for another reason is told as it is, though its nonce is used up by then.
        once.nonce = Some("refused".to_owned());
        call(&site, &once, "GET", "/jobs", b"").send().expect(403);
    }

    fn a_signature_over_the_address_holds_when_passed_through(kind: Kind) {
        let site = site(kind, Mode::Gateway)?;
        let signer = signer(&site);
        for target in ["/hello", "/hello?", "/hello/%C3%84,x?b=%2F&a=+"] {
            call(&site, &signer, "GET", target, b"").send().expect(200);
        }
        call(&site, &signer, "POST", "/hello", b"signed").send().expect(200);
    }

    fn a_body_has_to_be_under_the_signature_though_it_is_not_seen(kind: Kind) {
        let site = site(kind, Mode::ForwardAuth)?;
        let signer = signer(&site);
        for method in ["POST", "DELETE", "PUT"] {
            call(&site, &signer, method, "/hello", b"signed").send().expect(200);
            let seen = site.api.take_one();
            assert_eq!(seen.all("wayleave-body"), ["check-digest"], "{method}");
            assert_eq!(seen.body, b"signed");
            let bare = call(&site, &signer, method, "/hello", b"").raw_body(b"unsigned");
            bare.header("Content-Length", "8").send().expect(401);
            assert!(site.api.take().is_empty(), "{method}");
        }
        call(&site, &signer, "DELETE", "/hello", b"").send().expect(200);
        assert!(site.api.take_one().all("wayleave-body").concat().is_empty());
    }
}
