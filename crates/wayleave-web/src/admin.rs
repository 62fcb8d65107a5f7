//! The operator's address: partners, integrations, properties, credentials, tokens, keys, routes, the audit
//! trail, and what is sold: catalogue, accounts, orders and what they deliver; of either environment.

mod account;
mod audit;
mod catalogue;
mod credential;
mod customer;
mod instance;
mod integration;
mod job;
mod key;
mod mail;
mod order;
mod partner;
mod plan;
mod pool;
mod pretend;
mod property;
mod reader;
mod reading;
mod route;
mod subscriber;
mod token;
mod usage;

use std::collections::BTreeMap;
use std::pin::pin;
use std::str::FromStr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use http::request::Parts;
use http::{Method, Request, StatusCode, header};
use hyper::body::Incoming;
use serde_json::json;
use wayleave_core::{Environment, OperatorScope, PropertyId, Timestamp};
use wayleave_engine::{
    ActingOperator, Actor, Engine, NewSettings, Operator, Operators, Refusal, StoreError,
};

use crate::Surfaces;
use crate::answer::{self, Answer};
use crate::caught::caught;
use crate::dialect::Dialect;
use crate::fault::Fault;
use crate::request::single;
use crate::transport::{Connection, TrustedProxies};
use reading::{Members, Page};

/// The surface of the admin address.
pub struct Admin {
    environments: BTreeMap<&'static str, Arc<Surfaces>>,
    operators: Arc<ArcSwap<Operators>>,
    trusted_proxies: TrustedProxies,
}

impl Admin {
    /// For both environments, opened by the tokens of the operators of the moment.
    pub fn new(
        surfaces: &[Arc<Surfaces>],
        operators: Arc<ArcSwap<Operators>>,
        trusted_proxies: TrustedProxies,
    ) -> Self {
        let environments = surfaces
            .iter()
            .map(|surfaces| (surfaces.engine().environment().as_str(), surfaces.clone()))
            .collect();
        Admin {
            environments,
            operators,
            trusted_proxies,
        }
    }

    /// Answers a request.
    pub async fn handle(
        &self,
        request: Request<Incoming>,
        connection: &Connection,
        request_id: &str,
    ) -> Answer {
        let (parts, body) = request.into_parts();
        let serving = pin!(self.serve(&parts, body, connection, request_id));
        let served = caught(serving).await;
        match served.unwrap_or_else(|panicked| Err(panicked.into())) {
            Ok(answer) => answer,
            Err(fault) => Dialect::Problem.render(&fault, None, request_id),
        }
    }

    async fn serve(
        &self,
        parts: &Parts,
        body: Incoming,
        connection: &Connection,
        request_id: &str,
    ) -> Result<Answer, Fault> {
        if !self.trusted_proxies.is_secure(connection, &parts.headers) {
            return Err(Fault::Insecure);
        }
        if parts.uri.path() == "/livez" {
            return Ok(answer::json(StatusCode::OK, &json!({ "status": "ok" })));
        }
        let operator = self.check_operator(parts)?;
        let mut segments = parts.uri.path().trim_start_matches('/').split('/');
        let environment = segments
            .next()
            .and_then(|name| Environment::from_str(name).ok());
        let surfaces = environment.and_then(|name| self.environments.get(name.as_str()));
        let (Some(surfaces), Some("v1")) = (surfaces, segments.next()) else {
            return Err(Fault::NotFound);
        };
        let path: Vec<&str> = segments.collect();
        let permit = permission(&parts.method, &path);
        if !permit.is_given_to(operator.scope) {
            return Err(Fault::Forbidden(format!(
                "an operator of the scope {} may not do this",
                operator.scope
            )));
        }
        let desk = Desk {
            surfaces,
            engine: surfaces.engine(),
            given: match operator.scope {
                OperatorScope::PropertyAdministrator => Some(&operator.properties),
                OperatorScope::Operator | OperatorScope::Support => None,
            },
            actor: Actor {
                name: operator.name.clone(),
                request_id: request_id.to_owned(),
            },
        };
        desk.operate(parts, &path, body).await
    }

    fn check_operator(&self, parts: &Parts) -> Result<ActingOperator, Fault> {
        let value = single(&parts.headers, header::AUTHORIZATION)?;
        let presented = value
            .and_then(|value| std::str::from_utf8(value).ok())
            .and_then(|value| value.split_once(' '))
            .filter(|(word, _)| word.eq_ignore_ascii_case("bearer"));
        let operators = self.operators.load();
        let found = presented.and_then(|(_, token)| operators.find(token.trim()));
        found.map(Operator::acting).ok_or_else(|| Fault::Unproven {
            message: "send Authorization: Bearer and an operator token".to_owned(),
            server_time: None,
            explanation: None,
            challenge: Some("Bearer realm=\"wayleave admin\""),
            accept_signature: None,
        })
    }
}

/// Who may do an act.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Permit {
    /// Looking something up.
    Read,
    /// Keeping keys from harm, and undoing it.
    HelpProperty,
    /// Looking up properties and their key sets.
    ReadProperty,
    /// Changing properties and their key sets.
    ManageProperty,
    /// Everything else.
    Operate,
}

impl Permit {
    fn is_given_to(self, scope: OperatorScope) -> bool {
        match scope {
            OperatorScope::Operator => true,
            OperatorScope::Support => {
                matches!(
                    self,
                    Permit::Read | Permit::HelpProperty | Permit::ReadProperty
                )
            }
            OperatorScope::PropertyAdministrator => {
                matches!(
                    self,
                    Permit::HelpProperty | Permit::ReadProperty | Permit::ManageProperty
                )
            }
        }
    }
}

fn permission(method: &Method, path: &[&str]) -> Permit {
    match (method, path) {
        (&Method::GET, ["properties" | "credentials" | "integrations", ..]) => Permit::ReadProperty,
        (&Method::GET, _) | (_, ["tokens", "introspect"]) => Permit::Read,
        (_, ["credentials", _, "disable" | "enable"]) => Permit::HelpProperty,
        (_, ["credentials", "import"]) => Permit::Operate,
        (
            _,
            ["credentials", ..]
            | ["properties", _, _]
            | ["properties", _, "readers" | "subscribers", ..],
        ) => Permit::ManageProperty,
        _ => Permit::Operate,
    }
}

/// One operator at work in one environment.
struct Desk<'a> {
    surfaces: &'a Surfaces,
    engine: &'a Engine,
    actor: Actor,
    /// The properties that a property administrator was given, who sees nothing else; `None`: the
    /// operator's scope does not end at properties.
    given: Option<&'a [PropertyId]>,
}

impl Desk<'_> {
    async fn operate(&self, parts: &Parts, path: &[&str], body: Incoming) -> Result<Answer, Fault> {
        let (noun, rest) = path.split_first().ok_or(Fault::NotFound)?;
        match (&parts.method, rest) {
            (&Method::GET, _) => self.look_up(noun, rest, parts.uri.query()).await,
            (&Method::POST, [id, "subscribers", "import"]) if *noun == "properties" => {
                self.import_subscribers(id, body).await
            }
            (&Method::POST, _) => {
                let members = Members::read(body, reading::BODY_LIMIT_BYTES).await?;
                self.act(noun, rest, members).await
            }
            _ => Err(Fault::Method { allow: "GET, POST" }),
        }
    }

    async fn look_up(
        &self,
        noun: &str,
        rest: &[&str],
        query: Option<&str>,
    ) -> Result<Answer, Fault> {
        let mut page = Page::read(query)?;
        let answer = match (noun, rest) {
            ("partners", []) => self.partners(&mut page).await,
            ("partners", [id]) => self.partner(id).await,
            ("integrations", []) => self.integrations(&mut page).await,
            ("integrations", [id]) => self.integration(id).await,
            ("properties", []) => self.properties(&mut page).await,
            ("properties", [id]) => self.property(id).await,
            ("properties", [id, "subscribers"]) => self.subscribers(id, &mut page).await,
            ("properties", [id, "subscribers", key]) => self.subscriber(id, key).await,
            ("properties", [id, "queued"]) => self.all_queued(id, &mut page).await,
            ("properties", [id, "queued", queued]) => self.queued(id, queued).await,
            ("properties", [id, "readers", rest @ ..]) => {
                self.look_up_readers(id, rest, &mut page).await
            }
            ("properties", [id, "settings"]) => self.settings(id).await,
            ("credentials", []) => self.credentials(&mut page).await,
            ("credentials", [id]) => self.credential(id).await,
            ("keys", []) => self.keys().await,
            ("routes", []) => Ok(self.routes()),
            ("audit", []) => self.audit(&mut page).await,
            ("usage", []) => self.usage(&mut page).await,
            _ => match self.look_up_sales(noun, rest, &mut page).await? {
                Some(answer) => Ok(answer),
                None => Err(not_looked_up(noun, rest)),
            },
        }?;
        page.finish()?;
        Ok(answer)
    }

    /// The same for what is sold, and what comes of it; `None`: nothing has this address.
    async fn look_up_sales(
        &self,
        noun: &str,
        rest: &[&str],
        page: &mut Page,
    ) -> Result<Option<Answer>, Fault> {
        let answer = match (noun, rest) {
            ("catalogue", []) => self.catalogue().await,
            ("catalogue", ["versions", version]) => self.catalogue_version(version).await,
            ("partners", [id, "account"]) => self.account(id).await,
            ("customers", []) => self.customers(page).await,
            ("orders", []) => self.orders(page).await,
            ("orders", [id]) => self.order(id).await,
            ("instances", []) => self.instances(page).await,
            ("instances", [id]) => self.instance(id).await,
            ("pools", []) => self.pools(page).await,
            ("pools", [id]) => self.pool(id).await,
            ("plans", []) => self.plans(page).await,
            ("jobs", []) => self.jobs(page).await,
            ("mail", []) => self.mail(page).await,
            ("pretend", []) => self.pretence(),
            _ => return Ok(None),
        };
        answer.map(Some)
    }

    async fn act(&self, noun: &str, rest: &[&str], members: Members) -> Result<Answer, Fault> {
        match (noun, rest) {
            ("partners", []) => self.create_partner(members).await,
            ("partners", [id, verb]) => self.change_partner(id, verb, members).await,
            ("partners", [id, "account", "change"]) => self.change_account(id, members).await,
            ("catalogue", []) => self.put_catalogue(members).await,
            ("orders", [id, verb]) => self.change_order(id, verb, members).await,
            ("pools", [id, "devices"]) => self.add_device(id, members).await,
            ("plans", [id, "end"]) => self.end_plan(id, members).await,
            ("jobs", ["retry"]) => self.retry_job(members).await,
            ("pretend", []) => self.pretend(members).await,
            ("integrations", []) => self.create_integration(members).await,
            ("integrations", [id, "rename"]) => self.rename_integration(id, members).await,
            ("properties", []) => self.create_property(members).await,
            ("properties", [id, "readers"]) => self.create_reader(id, members).await,
            ("properties", [id, "readers", reader, verb]) => {
                self.act_on_reader(id, (reader, verb), members).await
            }
            ("properties", [id, "change"]) => self.change_property(id, members).await,
            ("properties", [id, "settings"]) => {
                self.put_settings(id, members, NewSettings::Whole).await
            }
            ("properties", [id, "change-settings"]) => {
                self.put_settings(id, members, NewSettings::Part).await
            }
            ("properties", [id, "subscribers", verb]) => {
                self.change_subscribers(id, verb, members).await
            }
            ("credentials", []) => self.create_credential(members).await,
            ("credentials", ["import"]) => self.import_credentials(members).await,
            ("credentials", [id, verb]) => self.change_credential(id, verb, members).await,
            ("credentials", [id, "secrets", secret, "end"]) => {
                self.end_secret(id, secret, members).await
            }
            ("tokens", ["introspect"]) => self.introspect_token(members),
            ("tokens", ["revoke"]) => self.revoke_token(members).await,
            ("keys", ["rotate"]) => self.rotate_keys(members).await,
            ("keys", [kid, "remove"]) => self.remove_key(kid, members).await,
            _ if is_looked_up(noun, rest) => Err(Fault::Method { allow: "GET" }),
            _ => Err(Fault::NotFound),
        }
    }
}

/// Why an address cannot be looked up.
fn not_looked_up(noun: &str, rest: &[&str]) -> Fault {
    if is_act(noun, rest) {
        Fault::Method { allow: "POST" }
    } else {
        Fault::NotFound
    }
}

fn is_act(noun: &str, rest: &[&str]) -> bool {
    matches!(
        (noun, rest),
        (
            "partners",
            [_, "rename" | "lapse" | "admit" | "set-plan"] | [_, "account", "change"]
        ) | ("orders", [_, "settle" | "cancel" | "refund"])
            | ("pools", [_, "devices"])
            | ("plans", [_, "end"])
            | ("jobs", ["retry"])
            | ("integrations", [_, "rename"])
            | ("properties", [_, "change" | "change-settings"])
            | (
                "properties",
                [
                    _,
                    "subscribers",
                    "import" | "export" | "link" | "unlink" | "details"
                ]
            )
            | (
                "properties",
                [
                    _,
                    "readers",
                    _,
                    "change" | "sign-in" | "buy" | "subscribe" | "give-subscription" | "erase"
                ]
            )
            | (
                "credentials",
                [
                    _,
                    "revoke" | "disable" | "enable" | "expire" | "roll" | "refresh" | "callback"
                ] | [_, "secrets", _, "end"]
            )
            | ("tokens", ["introspect" | "revoke"])
            | ("keys", ["rotate"] | [_, "remove"])
    )
}

fn is_looked_up(noun: &str, rest: &[&str]) -> bool {
    matches!(
        (noun, rest),
        (
            "partners"
                | "integrations"
                | "properties"
                | "credentials"
                | "orders"
                | "instances"
                | "pools",
            [_]
        ) | (
            "keys"
                | "routes"
                | "audit"
                | "usage"
                | "customers"
                | "orders"
                | "instances"
                | "pools"
                | "plans"
                | "jobs"
                | "mail",
            []
        ) | ("partners", [_, "account"])
            | ("properties", [_, "subscribers" | "queued"])
            | ("properties", [_, "queued", _])
            | ("catalogue", ["versions", _])
            | ("properties", [_, "readers", _] | [_, "readers", _, "data"])
    )
}

/// Whole seconds since 1970 UTC.
fn time(at: Timestamp) -> i64 {
    at.unix_s()
}

fn fault(refusal: Refusal) -> Fault {
    match refusal {
        Refusal::Invalid { field, why } => Fault::Invalid { field, why },
        Refusal::NotFound { .. } => Fault::NotFound,
        Refusal::Taken { noun } => Fault::Taken(noun),
        Refusal::Forbidden { why } => Fault::Conflict(why),
        Refusal::TooManyGuesses { retry_after_s } => Fault::TooManyGuesses { retry_after_s },
        Refusal::Store(StoreError::Conflict) => Fault::Taken("id"),
        Refusal::Store(error @ StoreError::OutcomeUnknown(_)) => Fault::OutcomeUnknown {
            cause: error.to_string(),
        },
        Refusal::Store(error) => Fault::Unavailable {
            cause: error.to_string(),
        },
        Refusal::MasterKey(_) | Refusal::SigningKey(_) => Fault::Internal {
            cause: refusal.to_string(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn support_looks_things_up_and_helps_and_no_more() {
        let may = |scope: OperatorScope, method: Method, path: &[&str]| {
            permission(&method, path).is_given_to(scope)
        };
        let support = OperatorScope::Support;
        assert!(may(support, Method::GET, &["audit"]));
        assert!(may(support, Method::POST, &["tokens", "introspect"]));
        assert!(may(
            support,
            Method::POST,
            &["credentials", "crd_1", "disable"]
        ));
        for path in [
            &["credentials"][..],
            &["credentials", "crd_1", "roll"],
            &["partners", "ptr_1", "lapse"],
            &["keys", "rotate"],
        ] {
            assert!(!may(support, Method::POST, path), "{path:?}");
            assert!(may(OperatorScope::Operator, Method::POST, path));
        }
        let property = OperatorScope::PropertyAdministrator;
        assert!(!may(property, Method::GET, &["partners"]));
        assert!(!may(property, Method::GET, &["audit"]));
        assert!(!may(property, Method::POST, &["credentials", "import"]));
        assert!(!may(property, Method::POST, &["properties"]));
        assert!(may(property, Method::GET, &["properties"]));
        assert!(may(
            property,
            Method::POST,
            &["properties", "prp_1", "change"]
        ));
        let buy = ["properties", "prp_1", "readers", "rdr_1", "buy"];
        assert!(may(property, Method::POST, &buy));
        assert!(!may(support, Method::POST, &buy));
        assert!(may(
            property,
            Method::POST,
            &["credentials", "crd_1", "roll"]
        ));
    }
}
