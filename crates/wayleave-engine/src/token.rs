use std::net::IpAddr;
use std::sync::atomic::Ordering;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;
use wayleave_core::{
    Audience, CredentialId, IntegrationId, Membership, PartnerId, ScopeSet, Timestamp,
};
use wayleave_protocol::jwt::{self, Claims, VerifiedToken};
use wayleave_protocol::secret::SecretText;
use wayleave_store::{RevokedToken, StoreError};

use crate::Refusal;
use crate::audit::{Act, Actor};
use crate::directory::LookupId;
use crate::engine::Engine;
use crate::ports::random;

/// How long an access token lives, in seconds.
pub const TOKEN_LIFE_S: i64 = 3600;

/// An access token, just made.
pub struct IssuedToken {
    /// The token: a JWT by RFC 9068.
    pub text: String,
    /// What it lets its holder do; empty: all that the audience allows without scopes.
    pub scopes: ScopeSet,
}

/// Why no token was issued.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TokenRefusal {
    /// Unknown id, wrong secret, revoked, or of another audience: the same answer for all (401).
    #[error("unknown client or wrong secret")]
    WrongCredentials,
    /// The partner's membership has lapsed (403).
    #[error("the partner's membership has lapsed")]
    Lapsed,
    /// Scopes were asked for that the credential does not have (400).
    #[error("a scope was asked for that these keys do not have")]
    Scope,
    /// Too many wrong secrets from this source (429).
    #[error("too many wrong secrets")]
    TooManyFailures {
        /// Seconds to wait.
        retry_after_s: u64,
    },
    /// No signing key at hand (500).
    #[error("no token could be signed: {0}")]
    Signing(String),
}

/// What the directory says of a right secret.
struct Known {
    credential_id: CredentialId,
    membership: Membership,
    scopes: ScopeSet,
}

impl Engine {
    /// Turns a public id and its secret into an access token.
    ///
    /// `readings`: the pair as sent, and any other reading of what was sent (escaped or not); the
    /// first that is right counts, and all wrong count as one. `wanted`: `None` for all the
    /// credential's scopes. `source`: where the request came from. Issuing again revokes nothing;
    /// nothing is stored (law 6).
    pub async fn issue_token(
        &self,
        audience: Audience,
        readings: &[(String, SecretText)],
        wanted: Option<&ScopeSet>,
        source: IpAddr,
    ) -> Result<IssuedToken, TokenRefusal> {
        let now = self.now();
        let find = || self.find_right(audience, readings);
        let (public_id, known) = self.find_once_more(readings, source, find).await?;
        if known.membership == Membership::Lapsed {
            return Err(TokenRefusal::Lapsed);
        }
        let scopes = match wanted {
            None => known.scopes,
            Some(wanted) if known.scopes.contains_all(wanted) => wanted.clone(),
            Some(_) => return Err(TokenRefusal::Scope),
        };
        let issued = self.sign_token(audience, public_id, scopes, now.unix_s())?;
        self.issued.fetch_add(1, Ordering::Relaxed);
        Ok(issued)
    }

    /// Looks for whoever presented these readings, once more where another node may have made the
    /// key a moment ago. Wrong secrets are counted, and whoever presented too many has to wait.
    async fn find_once_more<T>(
        &self,
        readings: &[(String, SecretText)],
        source: IpAddr,
        find: impl Fn() -> Option<T>,
    ) -> Result<T, TokenRefusal> {
        let now = self.now();
        let Some((first, _)) = readings.first() else {
            return Err(TokenRefusal::WrongCredentials);
        };
        let first = LookupId::of(first);
        if let Some(retry_after_s) = self.failures.must_wait_s(first, source, now) {
            return Err(TokenRefusal::TooManyFailures { retry_after_s });
        }
        let mut right = find();
        if right.is_none() && self.may_be_elsewhere(readings) {
            self.catch_up_after_miss().await;
            right = find();
        }
        right.ok_or_else(|| {
            self.failures.count(first, source, now);
            TokenRefusal::WrongCredentials
        })
    }

    /// The first reading whose secret is right.
    fn find_right<'r>(
        &self,
        audience: Audience,
        readings: &'r [(String, SecretText)],
    ) -> Option<(&'r str, Known)> {
        readings.iter().find_map(|(public_id, secret)| {
            let known = self.check_secret(audience, LookupId::of(public_id), secret.expose())?;
            Some((public_id.as_str(), known))
        })
    }

    fn check_secret(&self, audience: Audience, lookup: LookupId, secret: &str) -> Option<Known> {
        let now_s = self.now().unix_s();
        // As much work for a key that has no such secret as for one that has.
        let nobodys = || {
            self.vault.check_secret(secret, 0, &[0; 32]);
            None
        };
        let checked = self.directory.with(lookup, |record| {
            if record.live_secrets(now_s).next().is_none() {
                return nobodys();
            }
            let right = record.find_secret(secret, &self.vault, now_s)?;
            if !record.is_active(now_s) || record.grant.audience != audience {
                return None;
            }
            self.directory.note_use(lookup, &right, now_s);
            if right.is_older_hash() {
                self.rehash.queue(record.credential_id, secret);
            }
            Some(Known {
                credential_id: record.credential_id,
                membership: record.integration.partner.membership(),
                scopes: record.grant.scopes.clone(),
            })
        });
        checked.unwrap_or_else(nobodys)
    }

    fn sign_token(
        &self,
        audience: Audience,
        public_id: &str,
        scopes: ScopeSet,
        now_s: i64,
    ) -> Result<IssuedToken, TokenRefusal> {
        let ring = self.signing_keys.load();
        let key = ring
            .current(now_s)
            .ok_or_else(|| TokenRefusal::Signing("there is no signing key".to_owned()))?;
        let scope = scopes.to_string();
        let text = jwt::issue(
            key,
            &Claims {
                iss: self.issuer(),
                sub: public_id,
                aud: audience.as_str(),
                client_id: public_id,
                iat: now_s.max(self.restored_s),
                exp: now_s + TOKEN_LIFE_S,
                jti: &URL_SAFE_NO_PAD.encode(random::<16>(&*self.randomness)),
                scope: (!scopes.is_empty()).then_some(scope.as_str()),
            },
        )
        .map_err(|error| TokenRefusal::Signing(error.to_string()))?;
        Ok(IssuedToken { text, scopes })
    }
}

/// What an access token is, for whoever may ask (RFC 7662 section 2.2).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TokenDescription {
    /// Its claims.
    pub claims: VerifiedToken,
    /// The credential that it was issued to.
    pub credential_id: CredentialId,
    /// That credential's integration.
    pub integration_id: IntegrationId,
    /// That integration's partner.
    pub partner_id: PartnerId,
}

/// Who asks about a token, proven by its id and secret.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TokenClient {
    credential_id: CredentialId,
}

impl Engine {
    /// Proves a client at the introspection and revocation addresses. Readings, source and errors:
    /// as [`Engine::issue_token`]; any audience whose secrets are checked may ask.
    pub async fn authenticate_client(
        &self,
        readings: &[(String, SecretText)],
        source: IpAddr,
    ) -> Result<TokenClient, TokenRefusal> {
        let find = || self.find_client(readings);
        self.find_once_more(readings, source, find).await
    }

    fn find_client(&self, readings: &[(String, SecretText)]) -> Option<TokenClient> {
        let audiences = [Audience::Platform, Audience::Routes].into_iter();
        let mut right = audiences.filter_map(|audience| self.find_right(audience, readings));
        right.next().map(|(_, known)| TokenClient {
            credential_id: known.credential_id,
        })
    }

    /// Whether another node may have made one of these ids a moment ago.
    fn may_be_elsewhere(&self, readings: &[(String, SecretText)]) -> bool {
        self.store.is_shared() && !readings.iter().any(|(public_id, _)| self.knows(public_id))
    }

    /// Describes a token that counts now; `None` for every other text, also for a token of a partner
    /// that has lapsed.
    pub fn describe_token(&self, token: &str) -> Option<TokenDescription> {
        self.describe(token)
            .filter(|(_, membership)| *membership == Membership::Admitted)
            .map(|(described, _)| described)
    }

    /// Describes a client's own token; `None` for one that does not count or is another's (B10).
    pub fn introspect_token(&self, client: &TokenClient, token: &str) -> Option<TokenDescription> {
        self.describe_token(token)
            .filter(|described| described.credential_id == client.credential_id)
    }

    /// Describes a token that may count again once its partner is admitted again, too.
    fn describe(&self, token: &str) -> Option<(TokenDescription, Membership)> {
        let (claims, (credential_id, integration_id, partner_id, membership)) =
            self.good_token(token, |record| {
                (
                    record.credential_id,
                    record.integration.id,
                    record.integration.partner.id,
                    record.integration.partner.membership(),
                )
            })?;
        let described = TokenDescription {
            claims,
            credential_id,
            integration_id,
            partner_id,
        };
        Some((described, membership))
    }

    /// Ends a client's own token for all nodes (RFC 7009). Another's, or a text that is no token
    /// that counts, changes nothing, and the client is not told which (B11).
    pub async fn revoke_own_token(&self, client: &TokenClient, token: &str) -> Result<(), Refusal> {
        match self.describe(token) {
            Some((own, _)) if own.credential_id == client.credential_id => {
                self.write_revocation(&own).await.map_err(Refusal::from)
            }
            _ => Ok(()),
        }
    }

    /// Ends any token of this environment; `false` where there was nothing to end.
    pub async fn revoke_token(&self, by: &Actor, token: &str) -> Result<bool, Refusal> {
        let Some((described, _)) = self.describe(token) else {
            return Ok(false);
        };
        let act = Act::new("token.revoke", described.credential_id)
            .with(json!({ "jti": described.claims.jti }));
        let row = self.revocation(&described);
        let revoked = row.clone();
        self.audited(by, act, move |transaction| {
            Box::pin(async move { transaction.revoke_token(&row).await })
        })
        .await?;
        self.revoked_tokens.put_all(&[revoked]);
        Ok(true)
    }

    async fn write_revocation(&self, described: &TokenDescription) -> Result<(), StoreError> {
        let row = self.revocation(described);
        let revoked = row.clone();
        self.store
            .write(self.now(), move |transaction| {
                Box::pin(async move { transaction.revoke_token(&row).await })
            })
            .await?;
        self.revoked_tokens.put_all(&[revoked]);
        Ok(())
    }

    fn revocation(&self, described: &TokenDescription) -> RevokedToken {
        RevokedToken {
            jti: described.claims.jti.clone(),
            credential_id: described.credential_id,
            expires_at: Timestamp::from_unix_s(described.claims.exp),
            revoked_at: self.now(),
        }
    }
}
