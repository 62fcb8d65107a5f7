//! The tests of `docs/security.md`, by the letters of its rows.

mod audit_trail;
mod canary;
mod credentials;
mod document;
mod faults;
mod forged_tokens;
mod formats;
mod gateway;
mod signatures;
mod token_addresses;
mod walls;

use serde_json::{Value, json};
use wayleave::node::NodeSettings;
use wayleave_core::{Audience, Environment};
use wayleave_engine::{AuditHead, AuditReport, Database, Vault, verify_audit};
use wayleave_store::Snapshot;
use wayleave_testkit::{Address, Call, DatabaseKind, RawSql};

use crate::harness::{Keys, TestNode, root, wait_for};
use crate::sold;

/// Runs a check on both databases, with changed settings.
fn on_each_database(change: impl Fn(&mut NodeSettings), check: impl Fn(TestNode)) {
    for kind in [DatabaseKind::Sqlite, DatabaseKind::Postgres] {
        if kind.is_available() {
            check(TestNode::start_with(kind, &change));
        }
    }
}

/// For tests with many wrong secrets.
fn without_limit(settings: &mut NodeSettings) {
    settings.wrong_secrets_per_minute = None;
}

fn database(node: &TestNode, environment: Environment) -> Database {
    let of = |settings: &&wayleave::node::EnvironmentSettings| settings.environment == environment;
    let found = node.settings().environments.iter().find(of);
    found.expect("both are there").database.clone()
}

fn other(environment: Environment) -> Environment {
    match environment {
        Environment::Live => Environment::Test,
        Environment::Test => Environment::Live,
    }
}

/// Keys of every audience, in the order of [`Audience::ALL`].
fn keys_of_every_kind(node: &TestNode, environment: Environment) -> Vec<(Audience, Keys)> {
    let make = |audience| (audience, node.keys(environment, audience));
    Audience::ALL.into_iter().map(make).collect()
}

/// Every row of the tables that say what there is: not the audit trail, nor the feed.
fn objects(node: &TestNode, environment: Environment) -> Vec<Vec<Option<Vec<u8>>>> {
    let mut sql = RawSql::open(&database(node, environment));
    let columns = [
        ("partner", "id, name, membership"),
        ("integration", "id, partner_id, name"),
        ("property", "id, partner_id, name, origins"),
        (
            "credential",
            "id, public_id, state, not_before_at, expires_at, revoked_at, name, scopes",
        ),
        ("secret", "id, credential_id, material, expires_at"),
        ("signing_key", "kid, signs_from_at"),
        ("revoked_token", "jti"),
        ("catalogue", "version, document"),
        ("account", "partner_id, card, price_list, orders"),
        ("customer", "id, partner_id, name"),
        ("sales_order", "id, state"),
        ("instance", "id, removed_at"),
        ("licence_pool", "id, email"),
        ("device", "number, pool_version"),
        ("plan_term", "id, ended_at"),
    ];
    let rows = |(table, columns)| sql.rows(&format!("SELECT {columns} FROM {table} ORDER BY 1"));
    columns.into_iter().flat_map(rows).collect()
}

/// Checks the audit trail of an environment.
fn verify_trail(
    node: &TestNode,
    environment: Environment,
    known: Option<&AuditHead>,
) -> AuditReport {
    let of = |settings: &&wayleave::node::EnvironmentSettings| settings.environment == environment;
    let settings = node.settings().environments.iter().find(of);
    let key = std::fs::read_to_string(&settings.expect("both are there").master_key);
    let vault = Vault::from_file(&key.expect("a key file")).expect("a vault");
    let database = database(node, environment);
    let verified = wait_for(async {
        let mut snapshot = Snapshot::open(&database).await.expect("a database");
        verify_audit(snapshot.reader(), &vault, known).await
    });
    verified.expect("a report")
}

/// Every way to show id and secret at the addresses that take them; what each is called.
fn client_calls(address: Address, id: &str, secret: &str) -> Vec<(&'static str, Call)> {
    let grant = ("grant_type", "client_credentials");
    let (id_field, secret_field) = (("client_id", id), ("client_secret", secret));
    let pair = json!({ "api_key": id, "api_secret": secret });
    let named = json!({ "grant_type": grant.1, "client_id": id, "client_secret": secret });
    let platform = "/authorize/access_token";
    let with_token = [("token", "eyJraW.x.y"), id_field, secret_field];
    let form = [grant, id_field, secret_field];
    vec![
        ("/oauth/token", address.post("/oauth/token").form(&form)),
        (
            "/oauth/token",
            address
                .post("/oauth/token")
                .basic(id, secret)
                .form(&[grant]),
        ),
        (platform, address.post(platform).form(&form)),
        (platform, address.post(platform).json(&named)),
        (
            platform,
            address.post(platform).basic(id, secret).form(&[grant]),
        ),
        ("/token", address.get("/token").basic(id, secret)),
        ("/token", address.post("/token").basic(id, secret)),
        ("/token", address.post("/token").json(&pair)),
        (
            "/oauth/introspect",
            address.post("/oauth/introspect").form(&with_token),
        ),
        (
            "/oauth/introspect",
            address
                .post("/oauth/introspect")
                .basic(id, secret)
                .form(&with_token[..1]),
        ),
        (
            "/oauth/revoke",
            address.post("/oauth/revoke").form(&with_token),
        ),
        (
            "/oauth/revoke",
            address
                .post("/oauth/revoke")
                .basic(id, secret)
                .form(&with_token[..1]),
        ),
    ]
}

/// The 515 strings of the Big List of Naughty Strings.
fn naughty_strings() -> Vec<String> {
    let text = std::fs::read_to_string(root().join("tests/vectors/blns/blns.json"));
    let strings: Vec<String> = serde_json::from_str(&text.expect("the list")).expect("strings");
    assert_eq!(strings.len(), 515);
    strings
}

/// Whether a text can be in a request's head at all.
fn fits_a_header(text: &str) -> bool {
    !text.chars().any(char::is_control)
}

/// Objects of one environment, to be named at the admin address.
struct Objects {
    partner: String,
    integration: String,
    property: String,
    reader: String,
    credential: String,
    secret: String,
    kid: String,
    token: String,
    order: String,
    instance: String,
    pool: String,
    plan: String,
    job: String,
}

impl Objects {
    fn make(node: &TestNode, environment: Environment) -> Self {
        let keys = node.keys(environment, Audience::Routes);
        let sold = sold::sell_everything(node, environment, &keys.partner);
        let get = |path: &str| {
            let target = format!("/{environment}/v1/{path}");
            node.operate("GET", &target, None).expect(200).json()
        };
        let credential = get(&format!("credentials/{}", keys.credential));
        let signing = get("keys");
        let body = serde_json::json!({ "partner": keys.partner, "name": "Harbour Daily" });
        let target = format!("/{environment}/v1/properties");
        let property = node.operate("POST", &target, Some(body)).expect(201).json();
        let target = format!(
            "{target}/{}/readers",
            property["id"].as_str().expect("an id")
        );
        let body = serde_json::json!({ "user_name": "ann" });
        let reader = node.operate("POST", &target, Some(body)).expect(201).json();
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        Objects {
            partner: keys.partner.clone(),
            integration: text(&credential["integration"]),
            property: text(&property["id"]),
            reader: text(&reader["id"]),
            credential: keys.credential.clone(),
            secret: text(&credential["secrets"][0]["id"]),
            kid: text(&signing["data"][0]["kid"]),
            token: node.token(environment, &keys),
            job: format!("expire-quote {}", sold.order),
            order: sold.order,
            instance: sold.instance,
            pool: sold.pool,
            plan: sold.plan,
        }
    }

    /// Whether a path or body has a place for an id.
    fn is_named(text: &str) -> bool {
        const PLACES: [&str; 13] = [
            "partner",
            "integration",
            "property",
            "reader",
            "credential",
            "secret",
            "kid",
            "token",
            "order",
            "instance",
            "pool",
            "plan",
            "job",
        ];
        PLACES
            .iter()
            .any(|place| text.contains(&format!("{{{place}}}")))
    }

    /// Puts the ids in the places of a path or body of [`ADMIN_CALLS`].
    fn fill(&self, text: &str) -> String {
        [
            ("{partner}", &self.partner),
            ("{integration}", &self.integration),
            ("{property}", &self.property),
            ("{reader}", &self.reader),
            ("{credential}", &self.credential),
            ("{secret}", &self.secret),
            ("{kid}", &self.kid),
            ("{token}", &self.token),
            ("{order}", &self.order),
            ("{instance}", &self.instance),
            ("{pool}", &self.pool),
            ("{plan}", &self.plan),
            ("{job}", &self.job),
        ]
        .iter()
        .fold(text.to_owned(), |text, (place, id)| text.replace(place, id))
    }
}

/// Every call of the admin address: method, path below `/{environment}/v1/`, body.
const ADMIN_CALLS: [(&str, &str, &str); 99] = [
    ("GET", "partners", ""),
    ("GET", "partners/{partner}", ""),
    ("GET", "integrations", ""),
    ("GET", "integrations?partner={partner}", ""),
    ("GET", "integrations/{integration}", ""),
    ("GET", "properties", ""),
    ("GET", "properties?partner={partner}", ""),
    ("GET", "properties/{property}", ""),
    ("GET", "properties/{property}/settings", ""),
    ("GET", "properties/{property}/readers", ""),
    ("GET", "properties/{property}/readers/{reader}", ""),
    ("GET", "properties/{property}/readers/{reader}/data", ""),
    ("GET", "properties/{property}/subscribers", ""),
    ("GET", "properties/{property}/queued", ""),
    ("GET", "credentials?property={property}", ""),
    ("GET", "credentials", ""),
    ("GET", "credentials?partner={partner}", ""),
    ("GET", "credentials?integration={integration}", ""),
    ("GET", "credentials/{credential}", ""),
    ("GET", "keys", ""),
    ("GET", "routes", ""),
    ("GET", "audit", ""),
    ("GET", "audit?object={credential}", ""),
    ("GET", "usage", ""),
    ("GET", "usage?partner={partner}", ""),
    ("GET", "usage?credential={credential}", ""),
    ("GET", "catalogue", ""),
    ("GET", "catalogue/versions/1", ""),
    ("GET", "partners/{partner}/account", ""),
    ("GET", "customers", ""),
    ("GET", "customers?partner={partner}", ""),
    ("GET", "orders", ""),
    ("GET", "orders?partner={partner}", ""),
    ("GET", "orders/{order}", ""),
    ("GET", "instances", ""),
    ("GET", "instances?partner={partner}", ""),
    ("GET", "instances/{instance}", ""),
    ("GET", "pools", ""),
    ("GET", "pools?partner={partner}", ""),
    ("GET", "pools/{pool}", ""),
    ("GET", "plans", ""),
    ("GET", "plans?partner={partner}", ""),
    ("GET", "jobs", ""),
    ("GET", "jobs?partner={partner}", ""),
    ("GET", "mail", ""),
    ("GET", "mail?partner={partner}", ""),
    ("GET", "pretend", ""),
    ("POST", "catalogue", "{}"),
    (
        "POST",
        "partners/{partner}/account/change",
        r#"{"card":"none"}"#,
    ),
    ("POST", "orders/{order}/settle", ""),
    ("POST", "orders/{order}/cancel", ""),
    ("POST", "orders/{order}/refund", r#"{"why":"x"}"#),
    (
        "POST",
        "pools/{pool}/devices",
        r#"{"hardware":"x","name":"x","model":"x","manufacturer":"x"}"#,
    ),
    ("POST", "plans/{plan}/end", ""),
    ("POST", "jobs/retry", r#"{"name":"{job}"}"#),
    ("POST", "pretend", r#"{"provisioner":"well"}"#),
    ("POST", "partners", r#"{"name":"x"}"#),
    ("POST", "partners/{partner}/rename", r#"{"name":"x"}"#),
    ("POST", "partners/{partner}/set-plan", r#"{"plan":null}"#),
    ("POST", "partners/{partner}/lapse", ""),
    ("POST", "partners/{partner}/admit", ""),
    (
        "POST",
        "integrations",
        r#"{"partner":"{partner}","name":"x"}"#,
    ),
    (
        "POST",
        "integrations/{integration}/rename",
        r#"{"name":"x"}"#,
    ),
    (
        "POST",
        "properties",
        r#"{"partner":"{partner}","name":"x"}"#,
    ),
    ("POST", "properties/{property}/change", r#"{"name":"x"}"#),
    ("POST", "properties/{property}/settings", r#"{}"#),
    ("POST", "properties/{property}/change-settings", r#"{}"#),
    (
        "POST",
        "properties/{property}/readers",
        r#"{"user_name":"bob"}"#,
    ),
    (
        "POST",
        "properties/{property}/readers/{reader}/change",
        r#"{"first_name":"x"}"#,
    ),
    (
        "POST",
        "properties/{property}/readers/{reader}/sign-in",
        r#"{"key":"x"}"#,
    ),
    (
        "POST",
        "properties/{property}/readers/{reader}/buy",
        r#"{"resource":"x"}"#,
    ),
    (
        "POST",
        "properties/{property}/readers/{reader}/subscribe",
        r#"{"group":"x"}"#,
    ),
    (
        "POST",
        "properties/{property}/readers/{reader}/give-subscription",
        r#"{"group":"x","expires_at":1}"#,
    ),
    ("POST", "properties/{property}/readers/{reader}/erase", ""),
    (
        "POST",
        "properties/{property}/subscribers/import",
        r#"{"subscribers":[]}"#,
    ),
    ("POST", "properties/{property}/subscribers/export", ""),
    (
        "POST",
        "properties/{property}/subscribers/link",
        r#"{"reader":"{reader}","values":{}}"#,
    ),
    (
        "POST",
        "properties/{property}/subscribers/unlink",
        r#"{"reader":"{reader}","subscriber":"x"}"#,
    ),
    (
        "POST",
        "properties/{property}/subscribers/details",
        r#"{"reader":"{reader}","details":{}}"#,
    ),
    (
        "POST",
        "credentials/{credential}/callback",
        r#"{"url":"https://x.example/"}"#,
    ),
    (
        "POST",
        "credentials",
        r#"{"integration":"{integration}","audience":"routes"}"#,
    ),
    (
        "POST",
        "credentials/import",
        r#"{"credentials":[{"integration":"{integration}","audience":"routes","public_id":"x","secret":"y"}]}"#,
    ),
    ("POST", "credentials/{credential}/disable", ""),
    ("POST", "credentials/{credential}/enable", ""),
    (
        "POST",
        "credentials/{credential}/expire",
        r#"{"never":true}"#,
    ),
    ("POST", "credentials/{credential}/roll", ""),
    ("POST", "credentials/{credential}/roll", r#"{"secret":"z"}"#),
    ("POST", "credentials/{credential}/secrets/{secret}/end", ""),
    ("POST", "credentials/{credential}/refresh", ""),
    ("POST", "credentials/{credential}/revoke", ""),
    ("POST", "tokens/introspect", r#"{"token":"{token}"}"#),
    ("POST", "tokens/revoke", r#"{"token":"{token}"}"#),
    ("POST", "keys/{kid}/remove", ""),
    ("POST", "keys/rotate", r#"{"force":true}"#),
    ("DELETE", "credentials/{credential}", ""),
    ("PUT", "partners/{partner}", "{}"),
    ("PATCH", "integrations/{integration}", "{}"),
    ("HEAD", "credentials/{credential}", ""),
    ("OPTIONS", "credentials", ""),
];

/// An admin call with ids in its places, without a token.
fn admin_call(
    node: &TestNode,
    environment: Environment,
    call: (&str, &str, &str),
    objects: &Objects,
) -> Call {
    let (method, path, body) = call;
    let target = format!("/{environment}/v1/{}", objects.fill(path));
    let made = node.admin.call(method, &target);
    if body.is_empty() {
        made
    } else {
        made.body("application/json", objects.fill(body))
    }
}

#[test]
fn every_word_of_the_admin_addresses_is_in_the_list_of_calls() {
    let source = root().join("crates/wayleave-web/src/admin.rs");
    let source = std::fs::read_to_string(source).expect("the source");
    let start = source.find("async fn look_up").expect("the look-ups");
    let end = source.find("fn is_looked_up").expect("their end");
    let words = source[start..end].split('"').skip(1).step_by(2);
    let words: std::collections::BTreeSet<&str> = words
        .filter(|word| word.chars().all(|letter| letter.is_ascii_lowercase()))
        .collect();
    assert!(words.len() > 15, "{words:?}");
    for word in words {
        let named = |call: &(&str, &str, &str)| call.1.split(['/', '?']).any(|part| part == word);
        assert!(ADMIN_CALLS.iter().any(named), "{word} is called nowhere");
    }
}
