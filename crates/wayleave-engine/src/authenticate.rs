//! The one verifier: evidence in, a proven [`Caller`] out.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use wayleave_core::{Scheme, ScopeSet};
use wayleave_protocol::jwt::{self, VerifiedToken};
use wayleave_protocol::signed::{self, SignedRequest};
use wayleave_protocol::{Message, http_date};

use crate::directory::{LookupId, Record};
use crate::engine::Engine;
use crate::proven::Proven;
use crate::replay::Nonce;
use crate::revoked::TokenId;
use crate::seen::{SeenToken, SeenTokens};
use crate::{Caller, Evidence, MalformedEvidence, Unproven};

/// How far the clocks of token and server may differ, in seconds.
pub(crate) const LEEWAY_S: i64 = 5;

/// Stands in for the secret of a key that is not there, so that the answer takes as long.
pub(crate) const NOBODYS_SECRET: &[u8] = b"wl_sgn_none_000000000000000000000000000000000000";

impl Engine {
    /// Proves who made a request, by a token or by a signature.
    ///
    /// Reads memory only and never waits. Errors: see [`Unproven`].
    pub fn authenticate(&self, evidence: &Evidence<'_>) -> Result<Proven, Unproven> {
        if let Some(message) = &evidence.message {
            return self.authenticate_over_headers(evidence, message);
        }
        match (evidence.authorization, evidence.authentication) {
            (_, Some(authentication)) => self.authenticate_signature(evidence, authentication),
            (Some(authorization), None) => {
                let caller = self.authenticate_token(authorization);
                caller.map(Proven::without_body)
            }
            (None, None) => Err(Unproven::NoProof),
        }
    }

    /// Which of the schemes that sign headers a request shows was found when it was collected.
    fn authenticate_over_headers(
        &self,
        evidence: &Evidence<'_>,
        message: &Message<'_>,
    ) -> Result<Proven, Unproven> {
        match (evidence.described, evidence.authorization) {
            (Some(scheme), _) => self.authenticate_described(evidence, message, scheme),
            (None, Some(authorization)) => {
                self.authenticate_sigv4(evidence, message, authorization)
            }
            (None, None) => self.authenticate_message(message, evidence.has_body),
        }
    }

    fn authenticate_token(&self, authorization: &[u8]) -> Result<Caller, Unproven> {
        let (scheme, token) = read_authorization(authorization)?;
        let now_s = self.now().unix_s();
        let digest = SeenTokens::digest(token);
        let seen = match self.seen.get(&digest) {
            Some(seen) if seen.epoch == self.key_epoch.load(Ordering::Acquire) => seen,
            _ => {
                let seen = self.verify_token(token, now_s)?;
                self.seen.put(digest, seen.clone(), now_s);
                seen
            }
        };
        self.check_seen(&seen, now_s)?;
        let found = self.directory.with(seen.lookup, |record| {
            if !record.is_active(now_s) || !record.takes_token_of(seen.issued_s) {
                return Err(Unproven::TokenRevoked);
            }
            Ok(self.caller(seen.lookup, record, scheme, seen.narrowed.clone()))
        });
        found.unwrap_or(Err(Unproven::UnknownKey))
    }

    /// What may have changed since a token was verified, but for its credential.
    fn check_seen(&self, seen: &SeenToken, now_s: i64) -> Result<(), Unproven> {
        if now_s >= seen.expires_s + LEEWAY_S {
            Err(Unproven::Token(jwt::TokenError::Expired))
        } else if seen.issued_s < self.restored_s || self.revoked_tokens.contains(seen.token) {
            Err(Unproven::TokenRevoked)
        } else {
            Ok(())
        }
    }

    /// The claims of a token of this environment that counts now: signed by us, not expired, not
    /// revoked, of a credential that counts. `read`: what is wanted of its credential.
    pub(crate) fn good_token<T>(
        &self,
        token: &str,
        read: impl FnOnce(&Record) -> T,
    ) -> Option<(VerifiedToken, T)> {
        let now_s = self.now().unix_s();
        let ring = self.signing_keys.load();
        let find = |kid: &str| ring.find(kid);
        let verified = jwt::verify(token, self.issuer(), now_s, LEEWAY_S, find).ok()?;
        if verified.iat < self.restored_s
            || self.revoked_tokens.contains(TokenId::of(&verified.jti))
        {
            return None;
        }
        let lookup = LookupId::of(&verified.client_id);
        let found = self.directory.with(lookup, |record| {
            let counts = record.is_active(now_s)
                && record.takes_token_of(verified.iat)
                && record.grant.audience.as_str() == verified.aud;
            counts.then(|| read(record))
        });
        found.flatten().map(|found| (verified, found))
    }

    fn verify_token(&self, token: &str, now_s: i64) -> Result<SeenToken, Unproven> {
        let ring = self.signing_keys.load();
        let verified = jwt::verify(token, self.issuer(), now_s, LEEWAY_S, |kid| ring.find(kid))
            .map_err(Unproven::Token)?;
        let lookup = LookupId::of(&verified.client_id);
        let scopes: ScopeSet = verified
            .scope
            .as_deref()
            .unwrap_or_default()
            .parse()
            .map_err(|_| Unproven::Token(jwt::TokenError::Claims))?;
        let narrowed = self.directory.with(lookup, |record| {
            if record.grant.audience.as_str() != verified.aud {
                return Err(Unproven::Token(jwt::TokenError::Claims));
            }
            Ok((record.grant.scopes != scopes).then(|| Arc::new(scopes)))
        });
        Ok(SeenToken {
            lookup,
            token: TokenId::of(&verified.jti),
            epoch: ring.epoch,
            issued_s: verified.iat,
            expires_s: verified.exp,
            narrowed: narrowed.unwrap_or(Err(Unproven::UnknownKey))?,
        })
    }

    /// The order of the checks is the order of the answers: form, clock, parameters, key,
    /// signature.
    fn authenticate_signature(
        &self,
        evidence: &Evidence<'_>,
        authentication: &[u8],
    ) -> Result<Proven, Unproven> {
        let presented =
            signed::parse_authentication(authentication).ok_or(Unproven::Malformed {
                header: "Authentication",
            })?;
        let timestamp = read_timestamp(evidence)?;
        let now_s = self.now().unix_s();
        signed::check_timestamp(timestamp, now_s).map_err(Unproven::Timestamp)?;
        let request = signed_request(evidence, timestamp);
        let lookup = LookupId::of(presented.key_id);
        // Keys that prove nothing cost as much work and get the same answers as those that do.
        let disproved = |refusal| {
            let verdict = signed::verify(&request, &presented.signature, NOBODYS_SECRET);
            Err(verdict.map_or_else(Unproven::Parameters, |_| refusal))
        };
        let found = self.directory.with(lookup, |record| {
            if !record.is_active(now_s) {
                return disproved(Unproven::Revoked);
            }
            for secret in record.live_secrets(now_s) {
                let Some(text) = secret.signing_text() else {
                    continue;
                };
                let verdict = signed::verify(&request, &presented.signature, text);
                if verdict.map_err(Unproven::Parameters)? {
                    self.directory.note_use(lookup, &secret, now_s);
                    return Ok(self.caller(lookup, record, Scheme::Signed, None));
                }
            }
            Err(Unproven::Mismatch)
        });
        let caller = found.unwrap_or_else(|| disproved(Unproven::UnknownKey))?;
        let nonce = || {
            let at_s = http_date::parse(timestamp).unwrap_or_default();
            let signature = STANDARD.encode(presented.signature);
            Nonce::of_signature(&caller, &signature, at_s, signed::WINDOW_S)
        };
        let nonce = evidence.refuses_replays.then(nonce);
        Ok(Proven {
            nonce,
            ..Proven::without_body(caller)
        })
    }

    /// The caller whose secret fits. Keys that prove nothing cost as much work as those that do.
    pub(crate) fn find_signing_caller(
        &self,
        key_id: &str,
        scheme: Scheme,
        now_s: i64,
        fits: impl Fn(&[u8]) -> bool,
    ) -> Result<Caller, Unproven> {
        let lookup = LookupId::of(key_id);
        let disproved = |refusal| {
            fits(NOBODYS_SECRET);
            Err(refusal)
        };
        let found = self.directory.with(lookup, |record| {
            if !record.is_active(now_s) {
                return disproved(Unproven::Revoked);
            }
            for secret in record.live_secrets(now_s) {
                if secret.signing_text().is_some_and(&fits) {
                    self.directory.note_use(lookup, &secret, now_s);
                    return Ok(self.caller(lookup, record, scheme, None));
                }
            }
            Err(Unproven::Mismatch)
        });
        found.unwrap_or_else(|| disproved(Unproven::UnknownKey))
    }

    pub(crate) fn caller(
        &self,
        lookup: LookupId,
        record: &Record,
        scheme: Scheme,
        narrowed: Option<Arc<ScopeSet>>,
    ) -> Caller {
        Caller {
            environment: self.environment(),
            lookup,
            credential_id: record.credential_id,
            integration: record.integration.clone(),
            grant: record.grant.clone(),
            scheme,
            described: None,
            narrowed,
        }
    }
}

pub(crate) fn read_timestamp<'a>(evidence: &Evidence<'a>) -> Result<&'a str, Unproven> {
    let raw = evidence.timestamp.ok_or(Unproven::NoTimestamp)?;
    let text = std::str::from_utf8(raw).map_err(|_| Unproven::Malformed {
        header: "Timestamp",
    })?;
    Ok(text.trim_matches([' ', '\t']))
}

pub(crate) fn signed_request<'a>(evidence: &Evidence<'a>, timestamp: &'a str) -> SignedRequest<'a> {
    SignedRequest {
        method: evidence.method,
        paths: evidence.paths,
        query: evidence.query,
        timestamp,
        form_body: evidence.form_body,
    }
}

/// `Bearer <token>` in any case, or the token alone.
fn read_authorization(value: &[u8]) -> Result<(Scheme, &str), Unproven> {
    let malformed = Unproven::Malformed {
        header: "Authorization",
    };
    let text = std::str::from_utf8(value)
        .map_err(|_| malformed.clone())?
        .trim_matches([' ', '\t']);
    match text.split_once([' ', '\t']) {
        None if text.is_empty() => Err(Unproven::NoProof),
        None => Ok((Scheme::Token, text)),
        Some((word, rest)) if word.eq_ignore_ascii_case("bearer") => {
            let token = rest.trim_start_matches([' ', '\t']);
            if token.contains([' ', '\t']) {
                Err(malformed)
            } else {
                Ok((Scheme::Bearer, token))
            }
        }
        Some(_) => Err(Unproven::OtherScheme),
    }
}

impl MalformedEvidence {
    /// Checks how often the proof headers came: `Authorization`, `Authentication` (with its alias),
    /// `Timestamp`, and whether there is `Signature-Input`, which may have several lines, or a
    /// signature of the scheme that is described for the route. Twice, or two kinds at once, is
    /// refused before anything is looked up.
    pub fn check(
        authorization: usize,
        authentication: usize,
        timestamp: usize,
        has_signature_input: bool,
        has_described: bool,
    ) -> Result<(), MalformedEvidence> {
        let kinds = [
            authorization > 0,
            authentication > 0,
            has_signature_input,
            has_described,
        ];
        if authorization > 1 || authentication > 1 || timestamp > 1 {
            Err(MalformedEvidence::RepeatedHeader)
        } else if kinds.into_iter().filter(|shown| *shown).count() > 1 {
            Err(MalformedEvidence::TwoProofs)
        } else {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bearer_is_read_in_any_case_and_a_bare_token_as_it_is() {
        assert_eq!(
            read_authorization(b"Bearer abc"),
            Ok((Scheme::Bearer, "abc"))
        );
        assert_eq!(
            read_authorization(b"bearer   abc "),
            Ok((Scheme::Bearer, "abc"))
        );
        assert_eq!(read_authorization(b"abc"), Ok((Scheme::Token, "abc")));
    }

    #[test]
    fn other_schemes_and_broken_values_prove_nothing() {
        assert_eq!(
            read_authorization(b"Basic YTpi"),
            Err(Unproven::OtherScheme)
        );
        assert_eq!(read_authorization(b"  "), Err(Unproven::NoProof));
        assert!(read_authorization(b"Bearer a b").is_err());
        assert!(read_authorization(b"\xff").is_err());
    }

    #[test]
    fn two_proofs_or_one_twice_are_refused() {
        assert_eq!(MalformedEvidence::check(1, 0, 1, false, false), Ok(()));
        assert_eq!(
            MalformedEvidence::check(2, 0, 0, false, false),
            Err(MalformedEvidence::RepeatedHeader)
        );
        assert_eq!(
            MalformedEvidence::check(0, 1, 2, false, false),
            Err(MalformedEvidence::RepeatedHeader)
        );
        assert_eq!(
            MalformedEvidence::check(1, 1, 1, false, false),
            Err(MalformedEvidence::TwoProofs)
        );
        assert_eq!(
            MalformedEvidence::check(1, 0, 0, true, false),
            Err(MalformedEvidence::TwoProofs)
        );
        assert_eq!(
            MalformedEvidence::check(1, 0, 0, false, true),
            Err(MalformedEvidence::TwoProofs)
        );
    }
}
