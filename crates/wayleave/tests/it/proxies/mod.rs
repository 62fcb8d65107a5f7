//! Wayleave behind and beside real proxies, with the configurations that `deploy` has for them.

mod api;
mod asked;
mod caching;
mod forms;
mod message_signatures;
mod passed;
mod proxy;
mod traefik;
mod verdicts;

use wayleave_core::Environment;
use wayleave_testkit::{Address, DatabaseKind};

use crate::harness::TestNode;
use api::Api;
use proxy::{Kind, Mode, Proxy};

/// A proxy with Wayleave beside or behind it, and an API.
struct Site {
    node: TestNode,
    api: Api,
    proxy: Proxy,
}

impl Site {
    /// The proxy asks.
    fn asking(kind: Kind, environment: Environment) -> Option<Site> {
        Site::start(kind, Mode::ForwardAuth, environment, |_| {})
    }

    fn start(
        kind: Kind,
        mode: Mode,
        environment: Environment,
        change: impl FnOnce(&mut wayleave::node::NodeSettings),
    ) -> Option<Site> {
        let node = TestNode::start_with(DatabaseKind::Sqlite, change);
        let api = Api::start();
        let port = node.address(environment).port();
        let proxy = Proxy::start(kind, mode, ([127, 0, 0, 1], port).into(), api.address)?;
        Some(Site { node, api, proxy })
    }

    /// Where clients call.
    fn front(&self) -> Address {
        self.proxy.address
    }
}

/// Runs each test behind each proxy.
macro_rules! behind_each_proxy {
    ($($(#[$attribute:meta])* fn $name:ident($kind:ident: Kind) $body:block)*) => {
        $(
            mod $name {
                use super::*;

                fn check($kind: Kind) -> Option<()> {
                    $body
                    Some(())
                }

                $(#[$attribute])*
                #[test]
                fn nginx() {
                    check(Kind::Nginx);
                }

                $(#[$attribute])*
                #[test]
                fn caddy() {
                    check(Kind::Caddy);
                }

                $(#[$attribute])*
                #[test]
                fn haproxy() {
                    check(Kind::Haproxy);
                }
            }
        )*
    };
}
use behind_each_proxy;
