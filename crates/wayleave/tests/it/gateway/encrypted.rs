//! Servers behind that are called over TLS.

use std::path::Path;
use std::sync::Arc;

use arc_swap::ArcSwap;
use wayleave::config::Config;
use wayleave::server::{Bound, Listener, Server, Service};
use wayleave_testkit::TestFolder;
use wayleave_web::Route;

use super::Gateway;
use crate::harness::{free_address, small_server};
use crate::transport::certificate;

/// The sample API over TLS, on a port of its own.
fn encrypted_api(folder: &TestFolder) -> (u16, Server) {
    let bound = Bound::new(free_address(), true, 1).expect("an address");
    let port = bound.address.port();
    let tls = wayleave::tls::load(&certificate(folder)).expect("a certificate");
    let listener = Listener {
        bound,
        tls: Some(Arc::new(ArcSwap::new(tls))),
        service: Service::SampleApi,
    };
    let server = Server::start(vec![listener], &small_server());
    (port, server.expect("a server"))
}

/// The route of a configuration.
fn route(upstream: &str, more: &str) -> Result<Route, String> {
    let text = format!(
        r#"
        data = "/nowhere"
        live.address = "127.0.0.1:8080"
        test.address = "127.0.0.1:8081"
        admin = {{ address = "127.0.0.1:8082", operators_file = "operators.toml" }}
        [[route]]
        path = "/behind"
        audiences = ["routes"]
        schemes = ["bearer"]
        upstream.live = "{upstream}"
        {more}
        "#
    );
    let config = Config::parse(&text).map_err(|error| error.to_string())?;
    let settings = config.settings().map_err(|error| error.to_string())?;
    let [live, _] = settings.environments;
    Ok(live.surfaces.routes.into_iter().next().expect("the route"))
}

fn trusting(file: &Path) -> String {
    format!("ca_file = {file:?}")
}

#[test]
fn a_server_is_called_over_tls_and_has_to_be_who_it_says() {
    let folder = TestFolder::new();
    let (port, _server) = encrypted_api(&folder);
    let file = folder.path().join("certificate.pem");
    let known = route(&format!("https://localhost:{port}"), &trusting(&file)).expect("a route");
    let gateway = Gateway::with(vec![known]);
    for _ in 0..3 {
        let answer = gateway.get("/behind/x").expect(200).json();
        assert_eq!(answer["path"], "/behind/x");
    }
    let posted = gateway.call("POST", "/behind").body("text/plain", "x");
    assert_eq!(posted.send().expect(200).json()["body_bytes"], 1);

    // The certificate is for localhost, not for this address.
    let other_name =
        route(&format!("https://127.0.0.1:{port}"), &trusting(&file)).expect("a route");
    Gateway::with(vec![other_name]).get("/behind").expect(502);

    // Another certificate is trusted, not the server's.
    let other_folder = TestFolder::new();
    let other_file = certificate(&other_folder).certificate;
    let stranger =
        route(&format!("https://localhost:{port}"), &trusting(&other_file)).expect("a route");
    Gateway::with(vec![stranger]).get("/behind").expect(502);
}

#[test]
fn a_file_without_certificates_is_refused_before_anything_starts() {
    let folder = TestFolder::new();
    let empty = folder.path().join("empty.pem");
    std::fs::write(&empty, "").expect("written");
    let refused = route("https://localhost", &trusting(&empty)).expect_err("a refusal");
    assert!(
        refused.contains("route[0].upstream") && refused.contains("no certificate"),
        "{refused}"
    );
    let refused = route(
        "https://localhost",
        &trusting(&folder.path().join("none.pem")),
    );
    assert!(refused.is_err());
}
