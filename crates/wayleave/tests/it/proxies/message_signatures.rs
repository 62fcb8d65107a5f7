//! HTTP message signatures through real proxies: what they cover is what the proxy received.

use serde_json::json;
use wayleave_core::Environment;
use wayleave_testkit::MessageSigner;

use super::{Kind, Mode, Site, behind_each_proxy};
use crate::harness::NOW_S;

/// A signer whose credential the site knows, for requests to its proxy.
fn signer(site: &Site) -> MessageSigner {
    let partner = site.node.partner(Environment::Live);
    let more = json!({ "audience": "routes", "schemes": "http-signature" });
    let keys = site.node.keys_of(Environment::Live, &partner, more);
    MessageSigner::new(&keys.public_id, &keys.secret, NOW_S)
}

behind_each_proxy! {
    fn a_signature_over_host_path_and_query_holds_when_asked_about(kind: Kind) {
        let site = Site::asking(kind, Environment::Live)?;
        let signer = signer(&site).covering(&["@method", "@authority", "@path", "@query"]);
        for target in ["/hello", "/hello?", "/hello/%C3%84;x?b=%2F&a=+", "/hello/a%20b?a=1&a=2"] {
            signer.get(site.front(), target).send().expect(200);
            assert_eq!(site.api.take_one().target, target);
        }
        let elsewhere = MessageSigner { authority: Some("other.example".into()), ..signer.clone() };
        elsewhere.get(site.front(), "/hello").send().expect(401);
    }

    fn a_signature_over_the_address_holds_when_passed_through(kind: Kind) {
        let site = Site::start(kind, Mode::Gateway, Environment::Live, |_| {})?;
        let signer = signer(&site);
        for target in ["/hello", "/hello?", "/hello/%C3%84;x?b=%2F&a=+"] {
            signer.get(site.front(), target).send().expect(200);
        }
        signer.call(site.front(), "POST", "/hello", &[], b"signed").send().expect(200);
    }

    fn a_body_has_to_be_under_the_signature_though_it_is_not_seen(kind: Kind) {
        let site = Site::asking(kind, Environment::Live)?;
        let signer = signer(&site);
        for method in ["POST", "DELETE", "PUT"] {
            signer.call(site.front(), method, "/hello", &[], b"signed").send().expect(200);
            let seen = site.api.take_one();
            assert_eq!(seen.all("wayleave-body"), ["check-digest"], "{method}");
            assert_eq!(seen.body, b"signed");
            let bare = signer.call(site.front(), method, "/hello", &[], b"").raw_body(b"unsigned");
            bare.header("Content-Length", "8").send().expect(401);
            assert!(site.api.take().is_empty(), "{method}");
        }
        signer.call(site.front(), "DELETE", "/hello", &[], b"").send().expect(200);
        assert!(site.api.take_one().all("wayleave-body").concat().is_empty());
    }
}
