//! The call at the end of an order: where it may go, and the whole way from an acceptance to the
//! receiver.

use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use rustls::pki_types::PrivateKeyDer;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use wayleave::hooks::{HookCaller, Network};
use wayleave_core::{Environment, OrderId, OrderState};
use wayleave_engine::{Buyer, HookSender, Job, JobState, OrderRefusal};
use wayleave_store::BoxFuture;

use crate::harness::{TestNode, on_both_databases};
use crate::shop::{self, wait};

const HOST: &str = "hooks.example.com";
const PUBLIC: &str = "93.184.215.14";

/// Addresses that nobody outside may have called.
const INNER_V4: [&str; 25] = [
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "10.255.255.254",
    "100.64.0.1",
    "100.100.100.200",
    "127.0.0.1",
    "127.1.2.3",
    "127.255.255.254",
    "168.63.129.16",
    "169.254.0.1",
    "169.254.169.254",
    "169.254.170.2",
    "172.16.0.1",
    "172.31.255.254",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.0.1",
    "192.168.1.254",
    "198.18.0.1",
    "198.51.100.7",
    "203.0.113.9",
    "224.0.0.1",
    "255.255.255.255",
];

const INNER_V6: [&str; 18] = [
    "::",
    "::1",
    "0:0:0:0:0:0:0:1",
    "::ffff:0:0",
    "100::1",
    "64:ff9b::1",
    "fc00::1",
    "fd00:ec2::254",
    "fd12:3456:789a::1",
    "fe80::1",
    "fe80::a9fe:a9fe",
    "fec0::1",
    "ff02::1",
    "2001::1",
    "2001:2::1",
    "2001:db8::1",
    "3fff::1",
    "5f00::1",
];

/// Every way to write an address of IPv4 that some resolver, browser or library reads as it.
fn spellings(ip: Ipv4Addr) -> Vec<String> {
    let [a, b, c, d] = ip.octets();
    let number = ip.to_bits();
    let (high, low) = (number >> 16, number & 0xffff);
    let (no_high, no_low) = (!high & 0xffff, !low & 0xffff);
    let escaped: String = ip
        .to_string()
        .bytes()
        .map(|byte| format!("%{byte:02x}"))
        .collect();
    let wide = |from: char| match from {
        '.' => '．',
        digit => char::from_u32(u32::from(digit) - 0x30 + 0xff10).expect("a digit"),
    };
    vec![
        ip.to_string(),
        format!("{ip}."),
        format!("{number}"),
        format!("{number}."),
        format!("0x{number:08x}"),
        format!("0X{number:X}"),
        format!("0{number:o}"),
        format!("{a}.{}", number & 0xff_ffff),
        format!("{a}.{b}.{low}"),
        format!("0x{a:x}.0x{b:x}.0x{c:x}.0x{d:x}"),
        format!("0{a:o}.0{b:o}.0{c:o}.0{d:o}"),
        format!("000{a}.{b}.{c}.{d}"),
        format!("0x{a:x}.{b}.{c}.0{d:o}"),
        format!("{a}.{b}.{c}.0x{d:x}"),
        format!("{a}..{b}.{c}.{d}"),
        format!("{a}.{b}.{c}.{d}.0"),
        format!("{a}。{b}。{c}。{d}"),
        ip.to_string().chars().map(wide).collect(),
        escaped,
        format!("[::ffff:{ip}]"),
        format!("[::ffff:{high:x}:{low:x}]"),
        format!("[0:0:0:0:0:ffff:{ip}]"),
        format!("[::{ip}]"),
        format!("[::ffff:0:{ip}]"),
        format!("[64:ff9b::{ip}]"),
        format!("[64:ff9b:1::{ip}]"),
        format!("[2002:{high:x}:{low:x}::1]"),
        format!("[2001:0:4136:e378:8000:63bf:{no_high:x}:{no_low:x}]"),
        format!("[2600::5efe:{ip}]"),
        format!("[::ffff:{ip}%25eth0]"),
        format!("{HOST}@{ip}"),
        format!("{HOST}:443@{ip}"),
        format!("{ip}\\.{HOST}"),
        format!("{ip}:22"),
        format!("{ip}:"),
        format!("[{ip}]"),
    ]
}

/// Names that lead inside wherever they resolve.
const INNER_NAMES: [&str; 14] = [
    "localhost.localdomain",
    "foo.localhost",
    "ip6-localhost.example",
    "localtest.me",
    "127.0.0.1.nip.io",
    "metadata.google.internal",
    "instance-data.ec2.internal",
    "kubernetes.default.svc.cluster.local",
    "printer.local",
    "router.home.arpa",
    "db.corp",
    "spoofed.burpcollaborator.net",
    "customer1.app.localhost.my.company.127.0.0.1.nip.io",
    "xn--localhost.example",
];

/// A network that answers each question for a name with the next of its answers (the last for ever),
/// and leads every connection to one place.
struct Told {
    answers: Mutex<VecDeque<Vec<IpAddr>>>,
    asked: AtomicUsize,
    connected: Mutex<Vec<SocketAddr>>,
    leads_to: SocketAddr,
}

impl Told {
    fn new(answers: &[&[&str]], leads_to: SocketAddr) -> Arc<Self> {
        let read = |texts: &&[&str]| {
            texts
                .iter()
                .map(|text| text.parse().expect("an ip"))
                .collect()
        };
        Arc::new(Told {
            answers: Mutex::new(answers.iter().map(read).collect()),
            asked: AtomicUsize::new(0),
            connected: Mutex::new(Vec::new()),
            leads_to,
        })
    }

    fn connected(&self) -> Vec<String> {
        let connected = self.connected.lock();
        connected
            .iter()
            .map(|address| address.ip().to_string())
            .collect()
    }
}

/// The network of one caller.
struct Way(Arc<Told>);

impl Network for Way {
    fn resolve<'a>(&'a self, _: &'a str, port: u16) -> BoxFuture<'a, io::Result<Vec<SocketAddr>>> {
        self.0.asked.fetch_add(1, Ordering::SeqCst);
        let mut answers = self.0.answers.lock();
        let answer = match answers.len() {
            1 => answers[0].clone(),
            _ => answers.pop_front().expect("an answer"),
        };
        let addresses = answer.into_iter().map(|ip| SocketAddr::new(ip, port));
        Box::pin(std::future::ready(Ok(addresses.collect())))
    }

    fn connect(&self, address: SocketAddr) -> BoxFuture<'_, io::Result<TcpStream>> {
        self.0.connected.lock().push(address);
        Box::pin(TcpStream::connect(self.0.leads_to))
    }
}

/// Receives calls, and answers each with the next of its answers (the last for ever).
struct Receiver {
    address: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
    trust: Arc<ClientConfig>,
}

impl Receiver {
    /// Starts one; `tls`: with a certificate for [`HOST`].
    async fn start(tls: bool, answers: &[&str]) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (accepting, trust) = certificate();
        let acceptor = tls.then(|| TlsAcceptor::from(accepting));
        let heads = Arc::new(Mutex::new(Vec::new()));
        let (written, mut answers) = (heads.clone(), owned(answers));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let answer = match answers.len() {
                    1 => answers[0].clone(),
                    _ => answers.pop_front().expect("an answer"),
                };
                match &acceptor {
                    None => serve(stream, &answer, &written).await,
                    Some(acceptor) => {
                        if let Ok(stream) = acceptor.accept(stream).await {
                            serve(stream, &answer, &written).await;
                        }
                    }
                }
            }
        });
        Receiver {
            address,
            heads,
            trust,
        }
    }

    fn count(&self) -> usize {
        self.heads.lock().len()
    }
}

fn owned(answers: &[&str]) -> VecDeque<String> {
    answers.iter().map(|answer| (*answer).to_owned()).collect()
}

/// A certificate for [`HOST`], and a client that trusts it.
fn certificate() -> (Arc<ServerConfig>, Arc<ClientConfig>) {
    let made = rcgen::generate_simple_self_signed([HOST.to_owned()]).expect("a certificate");
    let mut roots = RootCertStore::empty();
    roots.add(made.cert.der().clone()).expect("a root");
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).expect("a key");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let server = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .expect("a server");
    let client = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    (Arc::new(server), Arc::new(client))
}

/// Reads one request and answers it, head and all.
async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    answer: &str,
    heads: &Mutex<Vec<String>>,
) {
    let mut read = Vec::new();
    while !read.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => read.push(byte),
            Err(_) => return,
        }
    }
    heads.lock().push(String::from_utf8(read).expect("text"));
    let _ = stream.write_all(answer.as_bytes()).await;
    let _ = stream.shutdown().await;
}

const FINE: &str = "HTTP/1.1 204 No Content\r\n\r\n";

fn url(host: &str) -> String {
    format!("https://{host}/done")
}

#[test]
fn no_spelling_of_an_inner_address_is_called() {
    let mut forms = BTreeSet::new();
    for ip in INNER_V4 {
        forms.extend(spellings(ip.parse().expect("an ip")));
    }
    forms.extend(INNER_V6.iter().map(|ip| format!("[{ip}]")));
    for odd in [
        "localhost",
        "LOCALHOST",
        "localhost.",
        "",
        ".",
        "..",
        "a..example",
        "[::1",
        "::1",
        "intranet",
        "ⓛocalhost.example",
        "hooks.example.com:80",
        "hooks.example.com#@127.0.0.1",
    ] {
        forms.insert(odd.to_owned());
    }
    assert!(forms.len() >= 300, "{} forms", forms.len());
    wait(async {
        let receiver = Receiver::start(true, &[FINE]).await;
        // Whatever it is asked, this resolver knows a public address.
        let told = Told::new(&[&[PUBLIC]], receiver.address);
        let caller = HookCaller::over(Way(told.clone()), Ok(receiver.trust.clone()), false);
        for form in &forms {
            caller.check(&url(form)).expect_err(form);
            caller.call(&url(form)).await.expect_err(form);
        }
        assert_eq!(told.connected(), Vec::<String>::new());
        assert_eq!(told.asked.load(Ordering::SeqCst), 0, "no form is a name");
        assert!(caller.call(&url(HOST)).await.is_ok(), "a good one passes");
    });
}

#[test]
fn no_name_that_resolves_to_an_inner_address_is_called() {
    wait(async {
        let receiver = Receiver::start(true, &[FINE]).await;
        for inner in INNER_V4.iter().chain(&INNER_V6) {
            for name in INNER_NAMES.iter().chain(&[HOST]) {
                for answer in [&[*inner][..], &[PUBLIC, *inner], &[*inner, PUBLIC]] {
                    let told = Told::new(&[answer], receiver.address);
                    let trust = Ok(receiver.trust.clone());
                    let caller = HookCaller::over(Way(told.clone()), trust, false);
                    let refused = caller.call(&url(name)).await.expect_err(name);
                    assert!(refused.contains("public Internet"), "{name}: {refused}");
                    assert_eq!(told.connected(), Vec::<String>::new(), "{name} {inner}");
                }
            }
        }
    });
}

#[test]
fn other_schemes_and_plain_http_are_refused() {
    let caller = HookCaller::over(
        Way(Told::new(&[&[PUBLIC]], ([127, 0, 0, 1], 1).into())),
        Err("nobody is trusted".to_owned()),
        false,
    );
    for scheme in [
        "http://",
        "ftp://",
        "file:///",
        "gopher://",
        "ws://",
        "//",
        "",
        "https:",
        "https:/",
        "javascript:",
    ] {
        let address = format!("{scheme}{HOST}/done");
        assert!(caller.check(&address).is_err(), "{address}");
    }
    assert!(
        caller
            .check(&format!("https://{HOST}/{}", "a".repeat(2048)))
            .is_err()
    );
}

#[test]
fn a_name_that_answers_otherwise_a_moment_later_gains_nothing() {
    wait(async {
        let receiver = Receiver::start(true, &[FINE]).await;
        let answers: [&[&str]; 3] = [&[PUBLIC], &["127.0.0.1"], &["169.254.169.254", PUBLIC]];
        let told = Told::new(&answers, receiver.address);
        let trust = Ok(receiver.trust.clone());
        let caller = HookCaller::over(Way(told.clone()), trust, false);
        assert_eq!(caller.call(&url(HOST)).await, Ok(()));
        assert_eq!(
            told.asked.load(Ordering::SeqCst),
            1,
            "asked once, and pinned"
        );
        assert_eq!(
            told.connected(),
            [PUBLIC],
            "what was checked is what was called"
        );
        for _ in 0..2 {
            caller
                .call(&url(HOST))
                .await
                .expect_err("it leads inside now");
        }
        assert_eq!(told.connected(), [PUBLIC]);
        assert_eq!(
            told.asked.load(Ordering::SeqCst),
            3,
            "looked at anew each time"
        );
    });
}

#[test]
fn redirects_are_failures_and_are_not_followed() {
    wait(async {
        let inside = Receiver::start(false, &[FINE]).await;
        for status in [300, 301, 302, 303, 304, 305, 307, 308] {
            let answer = format!(
                "HTTP/1.1 {status} Elsewhere\r\nLocation: http://{}/\r\nContent-Length: 0\r\n\r\n",
                inside.address
            );
            let receiver = Receiver::start(true, &[&answer]).await;
            let told = Told::new(&[&[PUBLIC]], receiver.address);
            let trust = Ok(receiver.trust.clone());
            let caller = HookCaller::over(Way(told.clone()), trust, false);
            let failed = caller.call(&url(HOST)).await.expect_err("a failure");
            assert!(failed.contains("redirects are not followed"), "{failed}");
            assert_eq!((receiver.count(), told.connected().len()), (1, 1));
        }
        assert_eq!(inside.count(), 0, "nothing came inside");
    });
}

#[test]
fn a_call_is_an_empty_post_to_exactly_the_address() {
    wait(async {
        let receiver = Receiver::start(true, &[FINE]).await;
        let told = Told::new(&[&[PUBLIC]], receiver.address);
        let caller = HookCaller::over(Way(told), Ok(receiver.trust.clone()), false);
        let address = format!("https://{HOST}:8443/a%20b/?order=7&x=%7C");
        assert_eq!(caller.call(&address).await, Ok(()));
        let heads = receiver.heads.lock();
        let head = heads[0].to_ascii_lowercase();
        assert!(
            heads[0].starts_with("POST /a%20b/?order=7&x=%7C HTTP/1.1\r\n"),
            "{head}"
        );
        assert!(
            head.contains(&format!("\r\nhost: {HOST}:8443\r\n")),
            "{head}"
        );
        assert!(head.contains("\r\ncontent-length: 0\r\n"), "{head}");
    });
}

#[test]
fn whoever_is_not_trusted_or_says_too_much_or_breaks_off_is_a_failure() {
    wait(async {
        let endless = format!("HTTP/1.1 200 OK\r\nX: {}", "x".repeat(1 << 20));
        for answer in [
            "",
            "HTTP/1.1 500 Broken\r\n\r\n",
            "HTTP/1.1 404 Not Found\r\n\r\n",
            "no HTTP\r\n\r\n",
            &endless,
        ] {
            let receiver = Receiver::start(true, &[answer]).await;
            let told = Told::new(&[&[PUBLIC]], receiver.address);
            let caller = HookCaller::over(Way(told), Ok(receiver.trust.clone()), false);
            assert!(caller.call(&url(HOST)).await.is_err(), "{answer:.40}");
        }
        let receiver = Receiver::start(true, &[FINE]).await;
        let (_, strangers) = certificate();
        let told = Told::new(&[&[PUBLIC]], receiver.address);
        let caller = HookCaller::over(Way(told), Ok(strangers), false);
        let failed = caller.call(&url(HOST)).await.expect_err("not trusted");
        assert!(failed.contains("TLS failed"), "{failed}");
        assert_eq!(receiver.count(), 0);
    });
}

#[test]
fn a_test_environment_may_call_this_machine_and_nothing_else_inside() {
    wait(async {
        let receiver = Receiver::start(false, &[FINE]).await;
        let told = Told::new(&[&["127.0.0.1", "::1"]], receiver.address);
        let caller = HookCaller::over(Way(told), Err("nobody".to_owned()), true);
        for host in ["127.0.0.1", "localhost", "[::1]"] {
            let address = format!("http://{host}:{}/done", receiver.address.port());
            assert_eq!(caller.call(&address).await, Ok(()), "{address}");
        }
        for host in [
            "10.0.0.1",
            "169.254.169.254",
            "[::ffff:127.0.0.1]",
            "0.0.0.0",
            "[::]",
            PUBLIC,
        ] {
            let address = format!("http://{host}:8080/done");
            assert!(caller.check(&address).is_err(), "{address}");
        }
    });
}

/// Buys licences with a card that pays, and has an address called.
async fn buy(node: &TestNode, buyer: Buyer, hook: &str) -> OrderId {
    let engine = node.engine(Environment::Test);
    let quote = shop::quote(engine, buyer, &[shop::licences("a@b.example", 2)]).await;
    let acceptance = shop::acceptance(true, hook);
    let accepted = engine.process_quote(buyer, quote.order.number, acceptance);
    let accepted = accepted.await.expect("accepted");
    assert_eq!(accepted.order.state, OrderState::Complete);
    accepted.order.id
}

async fn hook_job(node: &TestNode, order: OrderId) -> Option<Job> {
    let name = format!("hook {order}");
    let store = node.engine(Environment::Test).store();
    let read = store.read(move |reader| Box::pin(async move { reader.job(&name).await }));
    read.await.expect("read")
}

/// Waits until something has become of the job that calls.
async fn until(node: &TestNode, order: OrderId, is_so: impl Fn(&Job) -> bool) -> Job {
    for _ in 0..400 {
        if let Some(job) = hook_job(node, order).await
            && is_so(&job)
        {
            return job;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!(
        "nothing has become of the hook in 20 seconds: {:?}",
        hook_job(node, order).await
    );
}

on_both_databases! {
    fn an_order_calls_once_and_again_after_a_failure(node: TestNode) {
        let buyer = shop::buyer(&node);
        wait(async {
            let answers = ["HTTP/1.1 500 Broken\r\n\r\n", FINE];
            let receiver = Receiver::start(false, &answers).await;
            let hook = format!("http://{}/done?by=us", receiver.address);
            let order = buy(&node, buyer, &hook).await;
            let failed = until(&node, order, |job| job.last_error.is_some()).await;
            assert_eq!((failed.state, receiver.count()), (JobState::Waiting, 1));
            assert_eq!(failed.last_error.as_deref(), Some("it answered 500"));
            node.clock.advance(Duration::from_secs(3));
            until(&node, order, |job| job.state == JobState::Done).await;
            assert_eq!(receiver.count(), 2);
            node.clock.advance(Duration::from_secs(3 * 24 * 3600));
            tokio::time::sleep(Duration::from_millis(1200)).await;
            assert_eq!(receiver.count(), 2, "once it was received it is not called again");
            assert!(receiver.heads.lock()[1].starts_with("POST /done?by=us HTTP/1.1\r\n"));
        });
    }

    fn a_hook_that_never_works_is_given_up_after_a_day(node: TestNode) {
        let buyer = shop::buyer(&node);
        wait(async {
            let receiver = Receiver::start(false, &["HTTP/1.1 503 No\r\n\r\n"]).await;
            let order = buy(&node, buyer, &format!("http://{}/", receiver.address)).await;
            until(&node, order, |job| job.last_error.is_some()).await;
            node.clock.advance(Duration::from_secs(23 * 3600));
            let again = until(&node, order, |job| job.attempts == 2 && job.run_at > node.engine(Environment::Test).now()).await;
            assert_eq!(again.state, JobState::Waiting, "a day is not over");
            node.clock.advance(Duration::from_secs(2 * 3600));
            until(&node, order, |job| job.state == JobState::Failed).await;
            assert_eq!(receiver.count(), 3);
        });
    }

    fn a_receiver_that_does_not_answer_keeps_no_other_waiting(node: TestNode) {
        let buyer = shop::buyer(&node);
        wait(async {
            let silent = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
            let nobody = silent.local_addr().expect("an address");
            let slow = buy(&node, buyer, &format!("http://{nobody}/")).await;
            let _called = silent.accept().await.expect("a call");
            let receiver = Receiver::start(false, &[FINE]).await;
            let quick = buy(&node, buyer, &format!("http://{}/", receiver.address)).await;
            until(&node, quick, |job| job.state == JobState::Done).await;
            let slow = hook_job(&node, slow).await.expect("there");
            assert_eq!((slow.state, slow.last_error), (JobState::Waiting, None));
        });
    }

    fn an_address_inside_is_refused_when_the_quote_is_accepted(node: TestNode) {
        let buyer = shop::buyer(&node);
        wait(async {
            let engine = node.engine(Environment::Test);
            let quote = shop::quote(engine, buyer, &[shop::licences("a@b.example", 1)]).await;
            for hook in ["https://10.0.0.1/", "https://169.254.169.254/latest", "http://hooks.example.com/", "hooks"] {
                let acceptance = shop::acceptance(true, hook);
                let refused = engine.process_quote(buyer, quote.order.number, acceptance).await;
                assert!(matches!(refused, Err(OrderRefusal::Hook(_))), "{hook}");
            }
            let still = engine.order(buyer, quote.order.number).await.expect("there");
            assert_eq!(still.order.state, OrderState::Quote, "{}", shop::shown(&still));
        });
    }
}
