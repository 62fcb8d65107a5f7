use http::StatusCode;
use serde_json::json;
use wayleave_protocol::secret::SecretText;

use super::reading::Members;
use super::{Desk, fault};
use crate::answer::{self, Answer};
use crate::dialect::introspection;
use crate::fault::Fault;

impl Desk<'_> {
    /// What RFC 7662 says of a token, and whose it is.
    pub(super) fn introspect_token(&self, members: Members) -> Result<Answer, Fault> {
        let token = token(members)?;
        let described = self.engine.describe_token(token.expose());
        let mut body = introspection::body(self.engine.issuer(), described.as_ref());
        if let Some(described) = &described {
            body["credential"] = json!(described.credential_id.to_string());
            body["integration"] = json!(described.integration_id.to_string());
            body["partner"] = json!(described.partner_id.to_string());
        }
        Ok(answer::json(StatusCode::OK, &body))
    }

    pub(super) async fn revoke_token(&self, members: Members) -> Result<Answer, Fault> {
        let token = token(members)?;
        let revoked = self.engine.revoke_token(&self.actor, token.expose()).await;
        let body = json!({ "revoked": revoked.map_err(fault)? });
        Ok(answer::json(StatusCode::OK, &body))
    }
}

fn token(mut members: Members) -> Result<SecretText, Fault> {
    let token = members.required("token").map(SecretText::new)?;
    members.finish()?;
    Ok(token)
}
