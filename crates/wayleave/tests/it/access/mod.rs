//! `/api/Resource/…` and `/api/TemporaryUserToken/…`: may this reader see this page?

mod at_once;
mod commands;
mod cut;
pub(crate) mod killed;
mod moving;
mod readers;
mod rows;
mod tokens;

use serde_json::{Value, json};
use wayleave_testkit::Answer;

use crate::harness::TestNode;
use crate::site::Site;

const GROUP: &str = "6a1f0c58-92d4-4b7e-a3f6-0c5d8e7b9a12";
const STANDARD: &str = "1c6d0f52-2b7e-4c11-9d0a-7f3e5b9a2d60";

/// What a property that sells sells: a quota of two pages a month, pages at 35 cents for 30 days, and
/// one subscription to everything.
fn settings() -> Value {
    json!({
        "title": "The Harbour Daily",
        "quota": { "enabled": true, "allowed": 2, "period": "Monthly" },
        "subscriptions": true,
        "single_purchases": true,
        "subscription_groups": [{
            "id": GROUP, "key": "all-access", "name": "all-access", "title": "All access",
            "price_minor": 750, "period": "Monthly",
        }],
        "pricing_groups": [{
            "id": STANDARD, "name": "Standard", "default": true,
            "pricing": {
                "model": "FixedPrice", "price_minor": 35,
                "expiration": { "unit": "Days", "value": 30 },
            },
        }],
    })
}

/// A property that sells, with four pages.
struct Paper {
    site: Site,
}

impl Paper {
    fn open(node: TestNode) -> Self {
        Paper::open_with(node, |_| ())
    }

    /// With other settings.
    fn open_with(node: TestNode, change: impl FnOnce(&mut Value)) -> Self {
        let site = Site::open(node);
        let mut settings = settings();
        change(&mut settings);
        site.put_settings(&settings);
        for page in ["Story-1", "Story-2", "Story-3", "Story-4"] {
            let url = format!("https://news.example/{page}");
            let body = json!({ "Name": page, "URL": url });
            site.put(page, body).expect(200);
        }
        Paper { site }
    }

    /// Puts other settings.
    fn change(&self, change: impl FnOnce(&mut Value)) {
        let mut settings = settings();
        change(&mut settings);
        self.site.put_settings(&settings);
    }

    /// What a site is answered that asks about a page. `query`: without question mark.
    fn call(&self, path: &str, query: &str) -> Answer {
        let site = &self.site;
        let (noun, rest) = path.split_once('/').expect("noun and place");
        let target = format!("/api/{noun}/{}/{rest}?{query}", site.access.public_id);
        let address = site.node.address(site.environment);
        let signer = site.access.signer();
        signer.call(address, "GET", &target, site.now_s()).send()
    }

    /// The object for a page and a visitor with a token.
    fn ask(&self, page: &str, token: &str) -> Value {
        let query = format!("IP=&ResourceURL=&UserToken={}", escaped(token));
        checked(self.call(&format!("Resource/{page}"), &query))
    }

    /// The object for a page and a visitor with a token that counts once.
    fn redeem(&self, page: &str, token: &str) -> Value {
        let query = format!("IP=&ResourceKey={page}&ResourceURL=&temporaryUserToken={token}");
        checked(self.call(&format!("TemporaryUserToken/{token}"), &query))
    }

    /// The address of readers at the operator's address.
    fn readers(&self, rest: &str) -> String {
        let site = &self.site;
        format!(
            "/{}/v1/properties/{}/readers{rest}",
            site.environment, site.property
        )
    }

    fn operate(&self, method: &str, rest: &str, body: Value) -> Answer {
        let body = (method == "POST").then_some(body);
        self.site.node.operate(method, &self.readers(rest), body)
    }

    /// A new reader with a card that pays.
    fn reader(&self, name: &str) -> String {
        let body = json!({ "user_name": name, "first_name": "Ana" });
        let made = self.operate("POST", "", body).expect(201).json();
        let id = made["id"].as_str().expect("an id").to_owned();
        let change = format!("/{id}/change");
        self.operate("POST", &change, json!({ "card": "pays" }))
            .expect(200);
        id
    }

    /// Signs a reader in, who comes with this token; gives the token that counts once.
    fn sign_in(&self, reader: &str, before: Option<&str>) -> String {
        let body = json!({ "key": self.site.access.public_id, "user_token": before });
        let made = self.operate("POST", &format!("/{reader}/sign-in"), body);
        let made = made.expect(201).json();
        word(&made, "temporary_user_token").to_owned()
    }

    /// The user token of a reader who has just signed in.
    fn token_of(&self, reader: &str) -> String {
        let answer = self.redeem("Story-1", &self.sign_in(reader, None));
        word(&answer, "UserToken").to_owned()
    }

    fn buy(&self, reader: &str, page: &str) -> Answer {
        let body = json!({ "resource": page });
        self.operate("POST", &format!("/{reader}/buy"), body)
    }
}

fn escaped(token: &str) -> String {
    token.replace('|', "%7C")
}

fn word<'v>(value: &'v Value, member: &str) -> &'v str {
    let word = value[member].as_str();
    word.unwrap_or_else(|| panic!("no {member} in {value}"))
}

/// The object of an answer, with the rules that clients count on checked.
fn checked(answer: Answer) -> Value {
    let object = answer.expect(200).json();
    for member in ["Quota", "Subscription", "Purchase"] {
        assert!(object[member].is_object(), "{member} of {object}");
    }
    let granted = object["AccessAction"] == "Grant";
    assert_eq!(granted, word(&object, "AccessActionURL").is_empty());
    assert_eq!(granted, object["AccessReason"] != "Deny");
    assert!(granted || word(&object, "AccessActionURL").contains('?'));
    assert!(word(&object, "UserToken").len() > 90, "{object}");
    object
}

/// Reason, hits, and whether the quota is met.
fn metered(object: &Value) -> (&str, i64, bool) {
    let quota = &object["Quota"];
    (
        word(object, "AccessReason"),
        quota["HitCount"].as_i64().expect("a number"),
        quota["IsMet"] == true,
    )
}
