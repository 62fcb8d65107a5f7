//! A cache in front of Wayleave, and several callers who ask for the same address: nginx, told to keep
//! whatever it may.

use std::io::{BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use wayleave_core::{Audience, Environment};
use wayleave_proxy::ApiBehind;
use wayleave_testkit::{Answer, Call, DatabaseKind, MessageSigner, Signer};
use wayleave_web::Route;

use super::api::read_head;
use super::proxy::Proxy;
use crate::harness::{NOW_S, TestNode, route};

const LIVE: Environment = Environment::Live;
const HOST: &str = "api.example.com";

/// An API that says on each path something else of caches, and whom it answers.
struct Api {
    address: SocketAddr,
    asked: Arc<AtomicUsize>,
}

/// What it says of caches, by the last segment of the path.
const SAID: [(&str, &str); 13] = [
    ("silent", ""),
    ("public", "Cache-Control: public, max-age=600\r\n"),
    ("shared", "Cache-Control: s-maxage=600\r\n"),
    ("fresh", "Cache-Control: max-age=600\r\n"),
    ("checked", "Cache-Control: max-age=600, must-revalidate\r\n"),
    ("named", "Cache-Control: private=\"x-own\", max-age=600\r\n"),
    (
        "lines",
        "Cache-Control: max-age=600\r\nCache-Control: public\r\n",
    ),
    ("dated", "Expires: Thu, 01 Jan 2099 00:00:00 GMT\r\n"),
    ("nginx", "X-Accel-Expires: 600\r\n"),
    (
        "nginx-private",
        "X-Accel-Expires: 600\r\nCache-Control: private\r\n",
    ),
    (
        "varied",
        "Cache-Control: public, max-age=600\r\nVary: Accept\r\n",
    ),
    (
        "varied-twice",
        "Vary: Accept\r\nCache-Control: public, max-age=600\r\nVary: Origin\r\n",
    ),
    ("private", "Cache-Control: private, max-age=600\r\n"),
];

impl Api {
    fn start() -> Api {
        let listener = TcpListener::bind("127.0.0.1:0").expect("an address");
        let api = Api {
            address: listener.local_addr().expect("its address"),
            asked: Arc::default(),
        };
        let asked = api.asked.clone();
        // Ends with the test's process.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let asked = asked.clone();
                std::thread::spawn(move || answer_all(stream, &asked));
            }
        });
        api
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

/// The whole answer says who asked: behind Wayleave the credential, and without it the proof itself.
fn answer_all(stream: TcpStream, asked: &AtomicUsize) {
    let Ok(mut writer) = stream.try_clone() else {
        return;
    };
    let mut reader = BufReader::new(stream);
    while let Some(head) = read_head(&mut reader) {
        asked.fetch_add(1, Ordering::SeqCst);
        let names = ["wayleave-credential", "authorization"];
        let who = names.iter().flat_map(|name| head.all(name)).next();
        let body = who.unwrap_or("nobody");
        let path = head.target.split('?').next().unwrap_or_default();
        let of_path = SAID
            .iter()
            .find(|(name, _)| path.ends_with(&format!("/{name}")));
        let said = of_path.map_or("", |(_, said)| said);
        let head = format!(
            "HTTP/1.1 200 OK\r\n{said}Content-Length: {}\r\n\r\n",
            body.len()
        );
        if writer.write_all((head + body).as_bytes()).is_err() {
            return;
        }
    }
}

/// nginx as those run it who want a cache and think of nothing else. `/deaf` ignores what is said of
/// caches but for `Vary`; `/bare` leads past Wayleave.
fn site(own: SocketAddr, folder: &std::path::Path, wayleave: u16, api: SocketAddr) -> String {
    format!(
        "proxy_cache_path {folder}/cache keys_zone=all:1m;
         server {{
             listen {own};
             proxy_cache all;
             proxy_cache_valid any 10m;
             proxy_http_version 1.1;
             proxy_set_header Host $http_host;
             proxy_set_header Connection \"\";
             add_header X-Cache $upstream_cache_status always;
             location / {{ proxy_pass http://127.0.0.1:{wayleave}; }}
             location /deaf/ {{
                 proxy_cache_valid 200 10m;
                 proxy_cache_valid any 0;
                 proxy_ignore_headers Cache-Control Expires X-Accel-Expires;
                 proxy_pass http://127.0.0.1:{wayleave}/;
             }}
             location /bare/ {{ proxy_pass http://{api}/; }}
         }}",
        folder = folder.display()
    )
}

/// Everybody who asks: what each is called in an answer, and how it proves itself.
struct Callers {
    tokens: [(String, String); 2],
    signing: (String, Signer),
    message: (String, MessageSigner),
}

struct Cached {
    node: TestNode,
    api: Api,
    nginx: Proxy,
    callers: Callers,
}

impl Cached {
    fn start() -> Option<Cached> {
        let api = Api::start();
        let behind: ApiBehind = format!("http://{}", api.address).parse().expect("an API");
        let node = TestNode::start_with(DatabaseKind::Sqlite, |settings| {
            for environment in &mut settings.environments {
                environment.surfaces.authorities.add(HOST);
                environment.surfaces.routes.push(Route {
                    upstream: behind.clone(),
                    ..route("/kept", &[Audience::Routes, Audience::Management], "")
                });
            }
        });
        let wayleave = node.live.port();
        let nginx = Proxy::nginx(|own, folder| site(own, folder, wayleave, api.address))?;
        let callers = Callers::of(&node);
        Some(Cached {
            node,
            api,
            nginx,
            callers,
        })
    }

    fn get(&self, target: &str) -> Call {
        self.nginx.address.get(target).header("Host", HOST)
    }

    fn with_token(&self, target: &str, token: &str) -> Answer {
        self.get(target).bearer(token).send()
    }

    /// Has everybody ask for an address; each gets its own answer and nobody else's.
    fn ask_all(&self, target: &str) {
        for (who, token) in &self.callers.tokens {
            let answer = self.with_token(target, token).expect(200);
            assert_eq!(&answer.text(), who, "{target}: {:?}", answer.headers);
        }
        for wrong in ["", "Bearer x.y.z"] {
            let mut call = self.get(target);
            if !wrong.is_empty() {
                call = call.header("Authorization", wrong);
            }
            call.send().expect(401);
        }
    }

    /// The same of those who sign: where they say whom they mean, the address has to be their own.
    fn ask_signing(&self, target: &str) {
        let (who, signer) = &self.callers.signing;
        let mut call = self.get(target);
        for (name, value) in signer.headers("GET", target, NOW_S) {
            call = call.header(&name, &value);
        }
        assert_eq!(&call.send().expect(200).text(), who, "{target}");
        let (who, signer) = &self.callers.message;
        let call = signer.call(self.nginx.address, "GET", target, &[("Host", HOST)], b"");
        assert_eq!(&call.send().expect(200).text(), who, "{target}");
    }
}

impl Callers {
    fn of(node: &TestNode) -> Callers {
        let with_token = || {
            let keys = node.keys(LIVE, Audience::Routes);
            (keys.credential.clone(), node.token(LIVE, &keys))
        };
        let tokens = [with_token(), with_token()];
        let signed = node.keys(LIVE, Audience::Management);
        let message = node.signing_keys(LIVE);
        let mut signer = message.message_signer();
        signer.authority = Some(HOST.to_owned());
        Callers {
            tokens,
            signing: (signed.credential.clone(), signed.signer()),
            message: (message.credential, signer),
        }
    }
}

#[test]
fn no_cache_gives_one_callers_answer_to_another() {
    let Some(cached) = Cached::start() else {
        return;
    };
    for (path, _) in SAID {
        for way in ["", "/deaf"] {
            let target = format!("{way}/kept/{path}");
            // Whoever comes first and second: what was kept is there for the next round.
            for _ in 0..2 {
                cached.ask_all(&target);
                if way.is_empty() {
                    cached.ask_signing(&target);
                }
            }
        }
    }
}

#[test]
fn what_an_api_lets_caches_share_is_kept_for_whoever_asked_and_nothing_else_is() {
    let Some(cached) = Cached::start() else {
        return;
    };
    let (_, token) = &cached.callers.tokens[0];
    for (path, _) in SAID {
        let target = format!("/kept/{path}");
        let before = cached.api.asked();
        for _ in 0..3 {
            cached.with_token(&target, token).expect(200);
        }
        let is_shared = matches!(
            path,
            "public" | "shared" | "lines" | "nginx" | "nginx-private" | "varied" | "varied-twice"
        );
        let times = if is_shared { 1 } else { 3 };
        assert_eq!(cached.api.asked() - before, times, "{path}");
    }
}

#[test]
fn a_refusal_is_kept_by_no_cache() {
    let Some(cached) = Cached::start() else {
        return;
    };
    let (who, token) = &cached.callers.tokens[0];
    cached.get("/kept/public").send().expect(401);
    cached.get("/kept/none/../public").send();
    let answer = cached.with_token("/kept/public", token).expect(200);
    assert_eq!(&answer.text(), who);
    let keys = cached.node.keys(LIVE, Audience::Routes);
    let asked = cached.get("/token").basic(&keys.public_id, &keys.secret);
    asked.send().expect(200);
    cached.get("/token").send().expect(401);
}

#[test]
fn without_wayleave_the_same_cache_does_mix_callers() {
    let Some(cached) = Cached::start() else {
        return;
    };
    let ask = |token| cached.with_token("/bare/kept/public", token).text();
    assert_eq!(ask("one"), "Bearer one");
    assert_eq!(ask("other"), "Bearer one");
}
