use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use wayleave_core::{Audience, Membership, ScopeSet};
use wayleave_protocol::jwt::{self, Claims};
use wayleave_protocol::secret::SecretText;

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
        let Some((first, _)) = readings.first() else {
            return Err(TokenRefusal::WrongCredentials);
        };
        let first = LookupId::of(first);
        if let Some(retry_after_s) = self.failures.must_wait_s(first, source, now) {
            return Err(TokenRefusal::TooManyFailures { retry_after_s });
        }
        let mut right = self.find_right(audience, readings);
        if right.is_none()
            && self.store.is_shared()
            && !readings.iter().any(|(public_id, _)| self.knows(public_id))
        {
            // Another node may have made it a moment ago.
            self.catch_up_after_miss().await;
            right = self.find_right(audience, readings);
        }
        let Some((public_id, known)) = right else {
            self.failures.count(first, source, now);
            return Err(TokenRefusal::WrongCredentials);
        };
        if known.membership == Membership::Lapsed {
            return Err(TokenRefusal::Lapsed);
        }
        let scopes = match wanted {
            None => known.scopes,
            Some(wanted) if known.scopes.contains_all(wanted) => wanted.clone(),
            Some(_) => return Err(TokenRefusal::Scope),
        };
        self.sign_token(audience, public_id, scopes, now.unix_s())
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
        let checked = self.directory.with(lookup, |record| {
            let right = record.knows_secret(secret, &self.vault);
            let counts = record.is_active() && record.grant.audience == audience;
            (right && counts).then(|| Known {
                membership: record.integration.partner.membership(),
                scopes: record.grant.scopes.clone(),
            })
        });
        checked.unwrap_or_else(|| {
            // As much work as for a key that is there.
            self.vault.check_secret(secret, 0, &[0; 32]);
            None
        })
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
                iat: now_s,
                exp: now_s + TOKEN_LIFE_S,
                jti: &URL_SAFE_NO_PAD.encode(random::<16>(&*self.randomness)),
                scope: (!scopes.is_empty()).then_some(scope.as_str()),
            },
        )
        .map_err(|error| TokenRefusal::Signing(error.to_string()))?;
        Ok(IssuedToken { text, scopes })
    }
}
