//! The oracle must be able to fail: a recorder's log, a state that fits it, and what it says when
//! one thing in that state is not as it was acknowledged.

use serde_json::{Value, json};

use super::super::ledger::Outcome;
use super::super::trail::Row;
use super::*;

const CREDENTIAL: &str = "crd_1";

fn acknowledged(request_id: &str, body: Value) -> Outcome {
    Outcome::Acknowledged {
        request_id: request_id.to_owned(),
        body,
    }
}

fn asked(noun: Noun, name: &str, parent: Option<&str>) -> Unborn {
    Unborn {
        noun,
        name: name.to_owned(),
        parent: parent.map(str::to_owned),
        audience: "platform".to_owned(),
    }
}

fn pair(public_id: &str, secret: &str) -> Value {
    json!({ "id": CREDENTIAL, "public_id": public_id, "secret": secret })
}

/// What a log, a server and its trail say.
struct Scene {
    ledger: Ledger,
    state: State,
    rows: Vec<Row>,
}

impl Scene {
    /// A partner, an integration and a credential with one token; all acknowledged and there.
    fn new() -> Scene {
        let mut scene = Scene {
            ledger: Ledger::default(),
            state: State::default(),
            rows: Vec::new(),
        };
        let ledger = &mut scene.ledger;
        ledger.created(
            asked(Noun::Partner, "p", None),
            acknowledged("r1", json!({ "id": "ptr_1" })),
        );
        ledger.created(
            asked(Noun::Integration, "i", Some("ptr_1")),
            acknowledged("r2", json!({ "id": "int_1" })),
        );
        ledger.created(
            asked(Noun::Credential, "c", Some("int_1")),
            acknowledged("r3", pair("id-1", "secret-1")),
        );
        ledger.credentials[0].world.issued("token-1");
        for named in &ledger.partners {
            let partners = &mut scene.state.partners;
            partners.insert(named.id.clone(), named.clone());
        }
        for named in &ledger.integrations {
            let integrations = &mut scene.state.integrations;
            integrations.insert(named.id.clone(), named.clone());
        }
        scene.recorded("r1", "partner.create", "ptr_1");
        scene.recorded("r2", "integration.create", "int_1");
        scene.recorded("r3", "credential.create", CREDENTIAL);
        scene.holds("active", "id-1", 1, &[true], &[true]);
        scene
    }

    /// What the server has of the credential.
    fn holds(&mut self, standing: &str, id: &str, live: usize, pairs: &[bool], tokens: &[bool]) {
        let listed = Listed {
            name: "c".to_owned(),
            integration: "int_1".to_owned(),
            public_id: id.to_owned(),
            standing: standing.to_owned(),
            live,
            secrets: pairs.len().max(1),
        };
        let proof = Proof {
            pairs: pairs.to_vec(),
            tokens: tokens.to_vec(),
        };
        let (credentials, proofs) = (&mut self.state.credentials, &mut self.state.proofs);
        credentials.insert(CREDENTIAL.to_owned(), listed);
        proofs.insert(CREDENTIAL.to_owned(), proof);
    }

    /// A row before and a row after an act.
    fn recorded(&mut self, request_id: &str, act: &str, object: &str) {
        let begun = self.rows.len() as i64 + 1;
        for (number, stage) in [(begun, "begun"), (begun + 1, "done")] {
            self.rows.push(Row {
                number,
                actor: "demo".to_owned(),
                act: act.to_owned(),
                object: object.to_owned(),
                stage: stage.to_owned(),
                begun,
                request_id: request_id.to_owned(),
            });
        }
    }

    fn act(&mut self, act: Act, outcome: Outcome) {
        self.ledger.acted(0, act, outcome);
    }

    /// A roll without overlap that was acknowledged, and its rows.
    fn rolled(&mut self) {
        let answer = acknowledged("r4", pair("id-1", "secret-2"));
        self.act(Act::Roll { overlap_s: 0 }, answer);
        self.recorded("r4", "credential.roll", CREDENTIAL);
    }

    /// The kinds of what the oracle finds.
    fn found(&mut self) -> Vec<Loss> {
        let mut trail = Trail::default();
        trail.take(self.rows.clone());
        let found = settle(&mut [&mut self.ledger], &self.state, &mut trail);
        found.iter().map(|violation| violation.loss).collect()
    }
}

#[test]
fn what_is_as_it_was_acknowledged_is_fine() {
    let mut scene = Scene::new();
    assert_eq!(scene.found(), []);
    scene.ledger.compared = 0;
    scene.rolled();
    scene.holds("active", "id-1", 1, &[false, true], &[true]);
    assert_eq!(scene.found(), []);
}

#[test]
fn a_lost_credential_is_found() {
    let mut scene = Scene::new();
    scene.state.credentials.clear();
    assert_eq!(scene.found(), [Loss::Object]);
}

#[test]
fn a_lost_partner_is_found() {
    let mut scene = Scene::new();
    scene.state.partners.clear();
    // The partner itself, and the integration that has none.
    assert_eq!(scene.found(), [Loss::Object, Loss::HalfApplied]);
}

#[test]
fn a_secret_that_does_not_work_is_found() {
    let mut scene = Scene::new();
    scene.holds("active", "id-1", 1, &[false], &[true]);
    assert_eq!(scene.found(), [Loss::Object]);
}

#[test]
fn a_revived_secret_is_found() {
    let mut scene = Scene::new();
    scene.rolled();
    scene.holds("active", "id-1", 1, &[true, true], &[true]);
    assert_eq!(scene.found(), [Loss::Roll]);
}

#[test]
fn a_lost_roll_is_found() {
    let mut scene = Scene::new();
    scene.rolled();
    scene.holds("active", "id-1", 1, &[true, false], &[true]);
    assert_eq!(scene.found(), [Loss::Roll, Loss::Roll]);
}

#[test]
fn a_lost_revocation_is_found() {
    let mut scene = Scene::new();
    scene.act(Act::Revoke, acknowledged("r4", json!({})));
    scene.recorded("r4", "credential.revoke", CREDENTIAL);
    // The list still says active, and the secret and the token still work.
    assert_eq!(scene.found(), [Loss::Revocation; 3]);
    scene.ledger.compared = 0;
    scene.holds("revoked", "id-1", 1, &[false], &[false]);
    assert_eq!(scene.found(), []);
}

#[test]
fn a_lost_refresh_is_found() {
    let mut scene = Scene::new();
    scene.act(Act::Refresh, acknowledged("r4", pair("id-2", "secret-2")));
    scene.recorded("r4", "credential.refresh", CREDENTIAL);
    scene.holds("active", "id-1", 1, &[true, false], &[true]);
    // The public id, the old pair, the new pair and the token.
    assert_eq!(scene.found(), [Loss::Refresh; 4]);
}

#[test]
fn a_lost_token_revocation_is_found() {
    let mut scene = Scene::new();
    let token = "token-1".to_owned();
    let act = Act::RevokeToken {
        token,
        by_operator: false,
    };
    scene.act(act, acknowledged("r4", json!({})));
    assert_eq!(scene.found(), [Loss::TokenRevocation]);
}

#[test]
fn an_act_that_was_never_answered_may_be_there_or_not() {
    for took_effect in [false, true] {
        let mut scene = Scene::new();
        scene.act(Act::Refresh, Outcome::Unknown);
        if took_effect {
            scene.recorded("r4", "credential.refresh", CREDENTIAL);
            scene.holds("active", "id-2", 1, &[false], &[false]);
        }
        assert_eq!(scene.found(), []);
        // From now on it is known.
        let public_id = if took_effect { "id-2" } else { "id-1" };
        let world = &scene.ledger.credentials[0].world;
        assert_eq!(world.public_id.as_deref(), Some(public_id));
        assert_eq!(world.pairs[0].good, !took_effect);
    }
}

#[test]
fn a_half_applied_operation_is_found() {
    let mut scene = Scene::new();
    scene.act(Act::Refresh, Outcome::Unknown);
    // A new public id, and the old pair still works.
    scene.holds("active", "id-2", 1, &[true], &[false]);
    assert_eq!(scene.found(), [Loss::HalfApplied]);
}

#[test]
fn an_effect_without_its_audit_row_is_half_applied() {
    let mut scene = Scene::new();
    scene.act(Act::Revoke, Outcome::Unknown);
    scene.holds("revoked", "id-1", 1, &[false], &[false]);
    assert_eq!(scene.found(), [Loss::HalfApplied]);
}

#[test]
fn an_audit_row_without_its_effect_is_half_applied() {
    let mut scene = Scene::new();
    scene.act(Act::Revoke, Outcome::Unknown);
    scene.recorded("r4", "credential.revoke", CREDENTIAL);
    assert_eq!(scene.found(), [Loss::HalfApplied]);
}

#[test]
fn an_act_that_was_refused_and_is_done_is_found() {
    let mut scene = Scene::new();
    scene.act(Act::Revoke, Outcome::Refused { status: 503 });
    scene.recorded("r4", "credential.revoke", CREDENTIAL);
    scene.holds("revoked", "id-1", 1, &[false], &[false]);
    // The list, the secret and the token; and the row that nobody was told of.
    assert!(scene.found().contains(&Loss::HalfApplied));
}

#[test]
fn a_credential_without_a_secret_is_half_applied() {
    let mut scene = Scene::new();
    let name = asked(Noun::Credential, "d", Some("int_1"));
    scene.ledger.created(name, Outcome::Unknown);
    scene.recorded("r4", "credential.create", "crd_2");
    let listed = Listed {
        name: "d".to_owned(),
        integration: "int_1".to_owned(),
        public_id: "id-9".to_owned(),
        standing: "active".to_owned(),
        live: 0,
        secrets: 0,
    };
    scene.state.credentials.insert("crd_2".to_owned(), listed);
    assert_eq!(scene.found(), [Loss::HalfApplied]);
}

#[test]
fn what_nobody_asked_for_is_found() {
    let mut scene = Scene::new();
    let stranger = Named {
        id: "ptr_2".to_owned(),
        name: "q".to_owned(),
        parent: None,
    };
    scene.state.partners.insert("ptr_2".to_owned(), stranger);
    assert_eq!(scene.found(), [Loss::HalfApplied]);
}

#[test]
fn a_missing_audit_row_is_found() {
    let mut scene = Scene::new();
    // The last act's completion: the trail has no gap, and the act no end.
    scene.rows.pop();
    assert_eq!(scene.found(), [Loss::Audit]);
}

#[test]
fn a_gap_in_the_audit_trail_is_found() {
    let mut scene = Scene::new();
    scene.rows.remove(0);
    // The gap, and an end without its beginning.
    assert_eq!(scene.found(), [Loss::Audit, Loss::Audit]);
}
