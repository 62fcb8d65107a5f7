use http::StatusCode;
use serde_json::{Value, json};
use wayleave_engine::{KeyPhase, SigningKey};

use super::reading::Members;
use super::{Desk, fault, time};
use crate::answer::{self, Answer};
use crate::fault::Fault;

impl Desk<'_> {
    pub(super) async fn keys(&self) -> Result<Answer, Fault> {
        let listed = self.engine.signing_key_list().await.map_err(fault)?;
        let data: Vec<Value> = listed.iter().map(body).collect();
        Ok(answer::json(
            StatusCode::OK,
            &json!({ "data": data, "has_more": false }),
        ))
    }

    pub(super) async fn rotate_keys(&self, mut members: Members) -> Result<Answer, Fault> {
        let force = members.flag("force")?;
        members.finish()?;
        let rotated = self.engine.rotate_signing_keys(&self.actor, force).await;
        rotated.map_err(fault)?;
        self.keys().await
    }

    pub(super) async fn remove_key(&self, kid: &str, members: Members) -> Result<Answer, Fault> {
        members.finish()?;
        let removed = self.engine.remove_leaked_key(&self.actor, kid).await;
        removed.map_err(fault)?;
        self.keys().await
    }
}

fn body((key, phase): &(SigningKey, KeyPhase)) -> Value {
    json!({
        "kid": key.kid,
        "algorithm": key.algorithm,
        "generation": key.generation,
        "created_at": time(key.created_at),
        "signs_from_at": time(key.signs_from_at),
        "state": phase.as_str(),
    })
}
