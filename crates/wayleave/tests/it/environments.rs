//! Live and test: two of everything, and nothing of one in the other (law 1).

use serde_json::json;
use wayleave_core::{Audience, Environment};
use wayleave_testkit::DatabaseKind;
use wayleave_web::Mount;

use crate::harness::{NOW_S, TestNode, on_both_databases};

on_both_databases! {
    fn no_key_token_or_signature_of_one_environment_counts_in_the_other(node: TestNode) {
        for (own, other) in [(Environment::Live, Environment::Test), (Environment::Test, Environment::Live)] {
            let foreign = node.address(other);
            let platform = node.keys(own, Audience::Platform);
            let routes = node.keys(own, Audience::Routes);
            let management = node.keys(own, Audience::Management);
            for token in [node.oauth_token(own, &platform), node.token(own, &routes)] {
                node.address(own).get("/hello").bearer(&token).send().expect(200);
                foreign.get("/hello").bearer(&token).send().expect(401);
                foreign.get("/hello").header("Authorization", &token).send().expect(401);
            }
            foreign.get("/token").basic(&routes.public_id, &routes.secret).send().expect(401);
            let fields = [
                ("grant_type", "client_credentials"),
                ("client_id", platform.public_id.as_str()),
                ("client_secret", platform.secret.as_str()),
            ];
            foreign.post("/oauth/token").form(&fields).send().expect(401);
            let target = format!("/api/Property/{}", management.public_id);
            management.signer().call(foreign, "GET", &target, NOW_S).send().expect(401);
            // An object of the other environment does not exist.
            node.operate("POST", &format!("/{other}/v1/credentials/{}/revoke", routes.credential), None).expect(404);
            node.operate("POST", &format!("/{other}/v1/partners/{}/lapse", routes.partner), None).expect(404);
        }
    }

    fn each_audience_opens_its_own_and_nothing_else(node: TestNode) {
        let live = Environment::Live;
        let keys = |audience| node.keys(live, audience);
        let (platform, routes) = (keys(Audience::Platform), keys(Audience::Routes));
        let (management, access) = (keys(Audience::Management), keys(Audience::Access));
        let signed = |keys: &crate::harness::Keys, target: &str| keys.signer().call(node.live, "GET", target, NOW_S).send().status;
        let property = |key: &str| format!("/api/Property/{key}");
        let resource = |key: &str| format!("/api/Resource/{key}/Story-1?IP=&ResourceURL=&UserToken=");
        let temporary = |key: &str| format!("/api/TemporaryUserToken/{key}/tut?ResourceKey=Story-1");
        assert_eq!(signed(&management, &property(&management.public_id)), 200);
        assert_eq!(signed(&access, &property(&access.public_id)), 403);
        assert_eq!(signed(&access, &resource(&access.public_id)), 200);
        assert_eq!(signed(&access, &temporary(&access.public_id)), 200);
        assert_eq!(signed(&management, &resource(&management.public_id)), 403);
        assert_eq!(signed(&management, &property(&access.public_id)), 403, "the path names another key");
        assert_eq!(signed(&management, &property("")), 403, "the path names no key");
        assert_eq!(signed(&management, "/hello"), 200);
        assert_eq!(signed(&access, "/hello"), 403);
        for token in [node.oauth_token(live, &platform), node.token(live, &routes)] {
            node.live.get("/hello").bearer(&token).send().expect(200);
            node.live.get(&property(&management.public_id)).bearer(&token).send().expect(403);
            node.live.get(&resource(&access.public_id)).header("Authorization", &token).send().expect(403);
        }
    }
}

#[test]
fn one_address_serves_both_environments_by_host_and_by_prefix() {
    let shared = crate::harness::free_port();
    let node = TestNode::start_with(DatabaseKind::Sqlite, |settings| {
        let [live, test] = &mut settings.environments;
        (live.address.address, test.address.address) = (shared, shared);
        live.mount = Mount {
            host: Some("api.example".to_owned()),
            prefix: String::new(),
        };
        test.mount = Mount {
            host: None,
            prefix: "/test".to_owned(),
        };
        live.public_url = Some("https://api.example".to_owned());
    });
    let address = node.live;
    let keys = node.keys(Environment::Live, Audience::Routes);
    let test_keys = node.keys(Environment::Test, Audience::Routes);
    let live = |path: &str| address.get(path).header("Host", "api.example");
    let issued = live("/token")
        .basic(&keys.public_id, &keys.secret)
        .send()
        .expect(200)
        .json();
    let token = issued["token"].as_str().expect("a token").to_owned();
    live("/hello").bearer(&token).send().expect(200);
    live("/prod/hello").bearer(&token).send().expect(200);
    address.get("/hello").bearer(&token).send().expect(404);
    address.get("/test/hello").bearer(&token).send().expect(401);
    let issued = address
        .get("/test/token")
        .basic(&test_keys.public_id, &test_keys.secret)
        .send();
    let token = issued.expect(200).json()["token"]
        .as_str()
        .expect("a token")
        .to_owned();
    for path in ["/test/hello", "/test/stag/hello", "/test/devl/hello"] {
        let answer = address.get(path).bearer(&token).send().expect(200).json();
        assert_eq!(
            (&answer["path"], &answer["caller"]["wayleave-environment"]),
            (&json!("/hello"), &json!("test"))
        );
    }
    address
        .get("/test/prod/hello")
        .bearer(&token)
        .send()
        .expect(404);
}

#[test]
fn a_surface_that_is_off_is_not_there_and_a_route_may_have_its_address() {
    let node = TestNode::start_with(DatabaseKind::Sqlite, |settings| {
        for environment in &mut settings.environments {
            environment.surfaces.token = None;
            environment.surfaces.platform = None;
            environment.surfaces.routes.push(crate::harness::route(
                "/api",
                &[Audience::Platform],
                "",
            ));
        }
    });
    let answer = node.live.get("/token").send().expect(404);
    assert!(answer.json()["message"].is_string());
    node.live.post("/authorize/access_token").send().expect(404);
    let keys = node.keys(Environment::Live, Audience::Platform);
    let token = node.oauth_token(Environment::Live, &keys);
    node.live
        .get("/api/user/account")
        .bearer(&token)
        .send()
        .expect(200);
    node.live
        .get("/api/Property/x")
        .bearer(&token)
        .send()
        .expect(403);
}

#[test]
fn a_surface_may_have_a_host_of_its_own() {
    let node = TestNode::start_with(DatabaseKind::Sqlite, |settings| {
        for environment in &mut settings.environments {
            environment.surfaces.token = Some(Mount {
                host: Some("tokens.example".to_owned()),
                prefix: "/v3".to_owned(),
            });
        }
    });
    let keys = node.keys(Environment::Live, Audience::Routes);
    let ask = |host: &str, path: &str| {
        node.live
            .get(path)
            .header("Host", host)
            .basic(&keys.public_id, &keys.secret)
            .send()
            .status
    };
    assert_eq!(ask("tokens.example", "/v3/token"), 200);
    assert_eq!(ask("TOKENS.example:8443", "/prod/v3/token"), 200);
    assert_eq!(ask("other.example", "/v3/token"), 404);
    assert_eq!(ask("tokens.example", "/token"), 404);
}
