//! The operator's address: partners, integrations and credentials of either environment.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use http::request::Parts;
use http::{Method, Request, StatusCode, header};
use hyper::body::Incoming;
use serde_json::{Map, Value, json};
use wayleave_core::{
    Audience, CredentialId, Environment, Membership, PartnerId, SchemeSet, ScopeSet, Timestamp,
};
use wayleave_engine::{
    ActingOperator, Credential, Engine, ImportedPair, NewCredential, Operator, Operators, Partner,
    Refusal, StoreError,
};
use wayleave_protocol::form;
use wayleave_protocol::json as strict_json;
use wayleave_protocol::secret::SecretText;

use crate::answer::{self, Answer};
use crate::caught::caught;
use crate::dialect::Dialect;
use crate::fault::Fault;
use crate::request::{read_body, single};
use crate::transport::{Connection, TrustedProxies};

const BODY_LIMIT_BYTES: usize = 64 * 1024;
/// How many credentials a page holds.
const PAGE: i64 = 100;

/// The surface of the admin address.
pub struct Admin {
    engines: BTreeMap<&'static str, Arc<Engine>>,
    operators: Arc<ArcSwap<Operators>>,
    trusted_proxies: TrustedProxies,
}

impl Admin {
    /// For the engines of both environments, opened by the tokens of the operators of the moment.
    pub fn new(
        engines: &[Arc<Engine>],
        operators: Arc<ArcSwap<Operators>>,
        trusted_proxies: TrustedProxies,
    ) -> Self {
        let engines = engines
            .iter()
            .map(|engine| (engine.environment().as_str(), engine.clone()))
            .collect();
        Admin {
            engines,
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
        let served = caught(self.serve(&parts, body, connection)).await;
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
    ) -> Result<Answer, Fault> {
        if !self.trusted_proxies.is_secure(connection, &parts.headers) {
            return Err(Fault::Insecure);
        }
        if parts.uri.path() == "/livez" {
            return Ok(answer::json(StatusCode::OK, &json!({ "status": "ok" })));
        }
        self.check_operator(parts)?;
        let mut segments = parts.uri.path().trim_start_matches('/').split('/');
        let environment = segments
            .next()
            .and_then(|name| Environment::from_str(name).ok());
        let engine = environment.and_then(|name| self.engines.get(name.as_str()));
        let (Some(engine), Some("v1")) = (engine, segments.next()) else {
            return Err(Fault::NotFound);
        };
        let rest: Vec<&str> = segments.collect();
        operate(engine, parts, &rest, body).await
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
        })
    }
}

/// One act of an operator in one environment.
async fn operate(
    engine: &Engine,
    parts: &Parts,
    path: &[&str],
    body: Incoming,
) -> Result<Answer, Fault> {
    match (&parts.method, path) {
        (&Method::POST, ["partners"]) => create_partner(engine, Members::read(body).await?).await,
        (&Method::POST, ["partners", id, "lapse"]) => {
            set_membership(engine, id, Membership::Lapsed).await
        }
        (&Method::POST, ["partners", id, "admit"]) => {
            set_membership(engine, id, Membership::Admitted).await
        }
        (&Method::POST, ["integrations"]) => {
            create_integration(engine, Members::read(body).await?).await
        }
        (&Method::POST, ["credentials"]) => {
            create_credential(engine, Members::read(body).await?).await
        }
        (&Method::GET, ["credentials"]) => list_credentials(engine, parts.uri.query()).await,
        (&Method::POST, ["credentials", id, "revoke"]) => revoke_credential(engine, id).await,
        (_, ["credentials"]) => Err(Fault::Method { allow: "GET, POST" }),
        (
            _,
            ["partners" | "integrations"]
            | ["partners", _, "lapse" | "admit"]
            | ["credentials", _, "revoke"],
        ) => Err(Fault::Method { allow: "POST" }),
        _ => Err(Fault::NotFound),
    }
}

/// The members of a JSON body; every one has to be used up.
struct Members(Map<String, Value>);

impl Members {
    async fn read(body: Incoming) -> Result<Self, Fault> {
        let body = read_body(body, BODY_LIMIT_BYTES).await?;
        let members = strict_json::parse_object(&body)
            .map_err(|error| Fault::BadRequest(format!("the body: {error}")))?;
        Ok(Members(members))
    }

    fn optional(&mut self, name: &'static str) -> Result<Option<String>, Fault> {
        match self.0.remove(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(Fault::Invalid {
                field: name,
                why: "must be a string".to_owned(),
            }),
        }
    }

    fn required(&mut self, name: &'static str) -> Result<String, Fault> {
        self.optional(name)?.ok_or_else(|| Fault::Invalid {
            field: name,
            why: "is missing".to_owned(),
        })
    }

    fn parsed<T: FromStr<Err: ToString>>(&mut self, name: &'static str) -> Result<T, Fault> {
        parse(name, &self.required(name)?)
    }

    fn parsed_optional<T: FromStr<Err: ToString>>(
        &mut self,
        name: &'static str,
    ) -> Result<Option<T>, Fault> {
        self.optional(name)?
            .map(|text| parse(name, &text))
            .transpose()
    }

    fn finish(self) -> Result<(), Fault> {
        match self.0.keys().next() {
            None => Ok(()),
            Some(name) => Err(Fault::BadRequest(format!("unknown member {name:?}"))),
        }
    }
}

fn parse<T: FromStr<Err: ToString>>(field: &'static str, text: &str) -> Result<T, Fault> {
    text.parse().map_err(|error: T::Err| Fault::Invalid {
        field,
        why: error.to_string(),
    })
}

async fn create_partner(engine: &Engine, mut members: Members) -> Result<Answer, Fault> {
    let name = members.required("name")?;
    members.finish()?;
    let partner = engine.create_partner(&name).await.map_err(fault)?;
    Ok(answer::json(StatusCode::CREATED, &partner_body(&partner)))
}

async fn set_membership(
    engine: &Engine,
    id: &str,
    membership: Membership,
) -> Result<Answer, Fault> {
    let id: PartnerId = id.parse().map_err(|_| Fault::NotFound)?;
    let partner = engine.set_membership(id, membership).await.map_err(fault)?;
    Ok(answer::json(StatusCode::OK, &partner_body(&partner)))
}

async fn create_integration(engine: &Engine, mut members: Members) -> Result<Answer, Fault> {
    let partner = members.parsed("partner")?;
    let name = members.required("name")?;
    members.finish()?;
    let integration = engine
        .create_integration(partner, &name)
        .await
        .map_err(fault)?;
    let body = json!({
        "id": integration.id.to_string(),
        "partner": integration.partner_id.to_string(),
        "name": integration.name,
        "created_at": time(integration.created_at),
    });
    Ok(answer::json(StatusCode::CREATED, &body))
}

async fn create_credential(engine: &Engine, mut members: Members) -> Result<Answer, Fault> {
    let new = NewCredential {
        integration_id: members.parsed("integration")?,
        audience: members.parsed::<Audience>("audience")?,
        schemes: members.parsed_optional::<SchemeSet>("schemes")?,
        scopes: members
            .parsed_optional::<ScopeSet>("scopes")?
            .unwrap_or_default(),
        imported: imported(&mut members)?,
    };
    members.finish()?;
    let issued = engine.create_credential(new).await.map_err(fault)?;
    let mut body = credential_body(&issued.credential);
    body["secret"] = json!(issued.secret.expose());
    Ok(answer::json(StatusCode::CREATED, &body))
}

fn imported(members: &mut Members) -> Result<Option<ImportedPair>, Fault> {
    let secret = members.optional("secret")?.map(SecretText::new);
    match (members.optional("public_id")?, secret) {
        (None, None) => Ok(None),
        (Some(public_id), Some(secret)) => Ok(Some(ImportedPair { public_id, secret })),
        (None, Some(_)) => Err(Fault::Invalid {
            field: "public_id",
            why: "goes with secret".to_owned(),
        }),
        (Some(_), None) => Err(Fault::Invalid {
            field: "secret",
            why: "goes with public_id".to_owned(),
        }),
    }
}

async fn list_credentials(engine: &Engine, query: Option<&str>) -> Result<Answer, Fault> {
    let mut after = None;
    let parameters = form::parse(query.unwrap_or_default().as_bytes())
        .map_err(|error| Fault::BadRequest(format!("the query: {error}")))?;
    for (name, value) in parameters {
        match name.as_str() {
            "after" => after = Some(parse::<CredentialId>("after", &value)?),
            _ => return Err(Fault::BadRequest(format!("unknown parameter {name:?}"))),
        }
    }
    let page = engine
        .store()
        .read(move |reader| Box::pin(reader.credentials_after(after, PAGE + 1)));
    let mut page = page.await.map_err(|error| fault(error.into()))?;
    let has_more = page.len() > PAGE as usize;
    page.truncate(PAGE as usize);
    let data: Vec<Value> = page
        .iter()
        .map(|stored| credential_body(&stored.credential))
        .collect();
    Ok(answer::json(
        StatusCode::OK,
        &json!({ "data": data, "has_more": has_more }),
    ))
}

async fn revoke_credential(engine: &Engine, id: &str) -> Result<Answer, Fault> {
    let id: CredentialId = id.parse().map_err(|_| Fault::NotFound)?;
    let credential = engine.revoke_credential(id).await.map_err(fault)?;
    Ok(answer::json(StatusCode::OK, &credential_body(&credential)))
}

fn partner_body(partner: &Partner) -> Value {
    json!({
        "id": partner.id.to_string(),
        "name": partner.name,
        "membership": partner.membership.as_str(),
        "created_at": time(partner.created_at),
    })
}

fn credential_body(credential: &Credential) -> Value {
    json!({
        "id": credential.id.to_string(),
        "public_id": credential.public_id.as_str(),
        "partner": credential.partner_id.to_string(),
        "integration": credential.integration_id.to_string(),
        "audience": credential.audience.as_str(),
        "schemes": credential.schemes.to_string(),
        "scopes": credential.scopes.to_string(),
        "state": credential.state.as_str(),
        "created_at": time(credential.created_at),
        "revoked_at": credential.revoked_at.map(time),
    })
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
