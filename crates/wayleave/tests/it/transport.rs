//! Plain HTTP and TLS.

use std::path::Path;

use wayleave::tls::TlsFiles;
use wayleave_core::{Audience, Environment};
use wayleave_testkit::{DatabaseKind, TestFolder};
use wayleave_web::TrustedProxies;

use crate::harness::TestNode;

#[test]
fn a_trusted_proxys_word_for_plain_http_is_403_in_the_dialect_and_never_a_redirect() {
    let node = TestNode::start_with(DatabaseKind::Sqlite, |settings| {
        settings.trusted_proxies = TrustedProxies::parse(&["127.0.0.1"]).expect("an address");
    });
    for (path, member) in [
        ("/token", "message"),
        ("/oauth/token", "error"),
        ("/api/user/account", "message"),
        ("/api/Property/x", "Message"),
        ("/hello", "detail"),
    ] {
        let answer = node
            .live
            .post(path)
            .header("X-Forwarded-Proto", "http")
            .send()
            .expect(403);
        assert!(
            answer.json()[member].is_string(),
            "{path}: {}",
            answer.text()
        );
        assert_eq!(answer.header("location"), None);
    }
    let keys = node.keys(Environment::Live, Audience::Routes);
    let call = node.live.get("/token").basic(&keys.public_id, &keys.secret);
    call.header("X-Forwarded-Proto", "https").send().expect(200);
}

#[test]
fn wrong_secrets_are_counted_by_the_address_that_a_trusted_proxy_names() {
    let node = TestNode::start_with(DatabaseKind::Sqlite, |settings| {
        settings.trusted_proxies = TrustedProxies::parse(&["127.0.0.1"]).expect("an address");
    });
    let attempt = |source: &str| {
        let call = node
            .live
            .get("/token")
            .basic("nobody", "x")
            .header("X-Forwarded-Proto", "https");
        call.header("X-Forwarded-For", source).send().status
    };
    for _ in 0..10 {
        assert_eq!(attempt("203.0.113.9"), 401);
    }
    assert_eq!(attempt("203.0.113.9"), 429);
    assert_eq!(
        attempt("198.51.100.1, 203.0.113.9"),
        429,
        "only the nearest counts"
    );
    assert_eq!(attempt("203.0.113.10"), 401);
}

/// A fresh certificate for this machine, which vouches for itself.
pub(crate) fn certificate(folder: &TestFolder) -> TlsFiles {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let files = TlsFiles {
        certificate: folder.path().join("certificate.pem"),
        key: folder.path().join("key.pem"),
    };
    std::fs::write(&files.certificate, made.cert.pem()).expect("written");
    let key = made.signing_key.serialize_pem();
    wayleave::key_file::write_private(&files.key, &key).expect("written");
    files
}

/// One GET over TLS, trusting the certificate of the tests.
pub(crate) fn get_over_tls(port: u16, trusted: &Path, path: &str) -> String {
    use std::io::{Read, Write};
    use std::sync::Arc;

    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject;

    let mut roots = rustls::RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_file(trusted).unwrap())
        .unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = "localhost".try_into().unwrap();
    let mut session = rustls::ClientConnection::new(Arc::new(config), name).unwrap();
    let mut socket = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    let mut stream = rustls::Stream::new(&mut session, &mut socket);
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn tls_ends_here_with_the_certificate_files_of_an_address() {
    let folder = TestFolder::new();
    let files = certificate(&folder);
    let node = TestNode::start_with(DatabaseKind::Sqlite, |settings| {
        settings.environments[0].address.tls = Some(files.clone());
    });
    assert!(node.live_url.starts_with("https://"));
    let answer = get_over_tls(
        node.live.port(),
        &files.certificate,
        "/.well-known/oauth-authorization-server",
    );
    assert!(
        answer.starts_with("HTTP/1.1 200") && answer.contains(&node.live_url),
        "{answer}"
    );
    // Plain HTTP to the TLS address gets no answer, and the other address is plain as before.
    node.test.get("/.well-known/jwks.json").send().expect(200);
    let answer = get_over_tls(node.live.port(), &files.certificate, "/hello");
    assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
}

#[test]
fn a_certificate_that_cannot_be_used_is_named() {
    let folder = TestFolder::new();
    let TlsFiles { certificate, key } = certificate(&folder);
    let missing = TlsFiles {
        certificate: folder.path().join("nothing.pem"),
        key: key.clone(),
    };
    let error = wayleave::tls::load(&missing)
        .expect_err("a refusal")
        .to_string();
    assert!(error.contains("nothing.pem"), "{error}");
    let swapped = TlsFiles {
        certificate: key,
        key: certificate,
    };
    assert!(wayleave::tls::load(&swapped).is_err());
}
