//! The upstream side of the gateway: APIs behind that behave in every way that a server can, each
//! scripted byte by byte.

mod answers;
mod connections;
mod encrypted;
mod memory;
mod requests;
mod rewriting;
pub(crate) mod scripted;
mod several;
mod websocket;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use wayleave_core::{Audience, Environment};
use wayleave_proxy::{ApiBehind, ForwardSettings, Server};
use wayleave_testkit::{Answer, Call, DatabaseKind};
use wayleave_web::Route;

use crate::harness::{TestNode, route};
use scripted::Scripted;

/// A node on one core with routes to scripted servers, and somebody who may pass.
pub(crate) struct Gateway {
    pub(crate) node: TestNode,
    pub(crate) token: String,
}

impl Gateway {
    /// With `/behind` leading to these servers.
    pub(crate) fn to(servers: &[&Scripted], settings: ForwardSettings) -> Self {
        let servers = servers.iter().map(|server| server.url()).collect();
        Gateway::with(vec![behind("/behind", servers, settings)])
    }

    pub(crate) fn with(routes: Vec<Route>) -> Self {
        let node = TestNode::start_with(DatabaseKind::Sqlite, |settings| {
            settings.threads = 1;
            settings.environments[0].surfaces.routes.extend(routes);
        });
        let keys = node.keys(Environment::Live, Audience::Routes);
        let token = node.token(Environment::Live, &keys);
        Gateway { node, token }
    }

    /// Takes over other routes while it serves.
    pub(crate) fn reload(&mut self, routes: Vec<Route>) {
        self.node.reload(|settings| {
            let own = &mut settings.environments[0].surfaces.routes;
            own.retain(|route| !route.path.starts_with("/behind"));
            own.extend(routes);
        });
    }

    /// The value of a metric, by its line without the value.
    pub(crate) fn metric(&self, line: &str) -> Option<u64> {
        let metrics = self.node.monitor.get("/metrics").send().expect(200).text();
        let found = metrics.lines().find_map(|own| own.strip_prefix(line));
        found.map(|value| value.trim().parse().expect("a number"))
    }

    /// A request of somebody who may pass.
    pub(crate) fn call(&self, method: &str, target: &str) -> Call {
        self.node.live.call(method, target).bearer(&self.token)
    }

    pub(crate) fn get(&self, target: &str) -> Answer {
        self.call("GET", target).send()
    }

    /// An open connection to the live address.
    pub(crate) fn connect(&self) -> TcpStream {
        let stream =
            TcpStream::connect(("127.0.0.1", self.node.live.port())).expect("a connection");
        let patience = Some(Duration::from_secs(30));
        stream.set_read_timeout(patience).expect("a timeout");
        stream
    }

    /// The head of a request of somebody who may pass, with more header lines, each ended.
    pub(crate) fn head(&self, method: &str, target: &str, more: &str) -> String {
        let token = &self.token;
        format!(
            "{method} {target} HTTP/1.1\r\nHost: api.example\r\nAuthorization: Bearer {token}\r\n{more}\r\n"
        )
    }

    /// Sends bytes, and returns all that comes until the other side closes.
    pub(crate) fn exchange(&self, bytes: &[u8]) -> String {
        let mut stream = self.connect();
        stream.write_all(bytes).expect("sent");
        read_all(&mut stream)
    }
}

/// A route to servers at these addresses.
pub(crate) fn behind(path: &str, servers: Vec<String>, settings: ForwardSettings) -> Route {
    let server = |url: String| {
        let server = Server::new(url.parse().expect("an upstream"), None);
        std::sync::Arc::new(server.expect("a server"))
    };
    Route {
        upstream: ApiBehind::new(servers.into_iter().map(server).collect(), settings),
        ..route(path, &[Audience::Routes], "")
    }
}

/// All that comes until the other side closes, or breaks off.
pub(crate) fn read_all(stream: &mut TcpStream) -> String {
    let mut all = Vec::new();
    let mut piece = [0; 16 * 1024];
    while let Ok(count) = stream.read(&mut piece) {
        if count == 0 {
            break;
        }
        all.extend_from_slice(&piece[..count]);
    }
    String::from_utf8_lossy(&all).into_owned()
}

/// Reads until what came ends with this.
pub(crate) fn read_until(stream: &mut TcpStream, end: &str) -> String {
    let mut all = Vec::new();
    let mut byte = [0];
    while !all.ends_with(end.as_bytes()) {
        match stream.read(&mut byte) {
            Ok(1) => all.push(byte[0]),
            other => panic!("{other:?} after {:?}", String::from_utf8_lossy(&all)),
        }
    }
    String::from_utf8_lossy(&all).into_owned()
}
