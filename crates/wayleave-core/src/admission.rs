use std::fmt;

use crate::{Audience, AudienceSet, Membership, Scheme, SchemeSet, ScopeSet};

/// Who may pass: what a surface or a route asks of a proven caller.
#[derive(Clone, Debug)]
pub struct Admission {
    /// The audiences that may pass; an empty set lets nobody pass.
    pub audiences: AudienceSet,
    /// The schemes that may have been used.
    pub schemes: SchemeSet,
    /// The scopes that the credential must all have.
    pub scopes: ScopeSet,
}

/// Why a proven caller may not pass (403).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NotAdmitted {
    /// The credential is for something else.
    Audience,
    /// Proven in a way that is not accepted here, or not by this credential.
    Scheme,
    /// A scope is missing.
    Scope,
    /// The partner's membership has lapsed.
    Lapsed,
    /// The key in the path is not the key that proved the request.
    PathKey,
}

impl fmt::Display for NotAdmitted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            NotAdmitted::Audience => "these keys are for another API",
            NotAdmitted::Scheme => "this way to prove a request is not accepted here",
            NotAdmitted::Scope => "these keys lack a scope that is needed here",
            NotAdmitted::Lapsed => "the partner's membership has lapsed",
            NotAdmitted::PathKey => "the key in the path is not the key that signed",
        })
    }
}

impl std::error::Error for NotAdmitted {}

impl Admission {
    /// Decides for one caller, by its own scopes and those that were added to them. A lapsed partner
    /// is told so first, whatever else is wrong.
    pub fn check(
        &self,
        membership: Membership,
        audience: Audience,
        scheme: Scheme,
        (own, added): (&ScopeSet, Option<&ScopeSet>),
    ) -> Result<(), NotAdmitted> {
        if membership == Membership::Lapsed {
            Err(NotAdmitted::Lapsed)
        } else if !self.audiences.contains(audience) {
            Err(NotAdmitted::Audience)
        } else if !self.schemes.contains(scheme) {
            Err(NotAdmitted::Scheme)
        } else if !own.contain_all(added, &self.scopes) {
            Err(NotAdmitted::Scope)
        } else {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admission() -> Admission {
        Admission {
            audiences: AudienceSet::of(&[Audience::Routes]),
            schemes: SchemeSet::of(&[Scheme::Bearer]),
            scopes: "jobs:read".parse().expect("scopes"),
        }
    }

    #[test]
    fn a_caller_passes_only_with_audience_scheme_and_scope() {
        let scopes: ScopeSet = "jobs:read jobs:write".parse().expect("scopes");
        let check = |membership, audience, scheme, scopes: &ScopeSet| {
            admission().check(membership, audience, scheme, (scopes, None))
        };
        use Membership::{Admitted, Lapsed};
        assert_eq!(
            check(Admitted, Audience::Routes, Scheme::Bearer, &scopes),
            Ok(())
        );
        assert_eq!(
            check(Admitted, Audience::Access, Scheme::Bearer, &scopes),
            Err(NotAdmitted::Audience)
        );
        assert_eq!(
            check(Admitted, Audience::Routes, Scheme::Signed, &scopes),
            Err(NotAdmitted::Scheme)
        );
        assert_eq!(
            check(
                Admitted,
                Audience::Routes,
                Scheme::Bearer,
                &ScopeSet::default()
            ),
            Err(NotAdmitted::Scope)
        );
        assert_eq!(
            check(Lapsed, Audience::Access, Scheme::Bearer, &scopes),
            Err(NotAdmitted::Lapsed)
        );
    }

    #[test]
    fn a_scope_may_come_from_what_was_added() {
        let (none, jobs): (ScopeSet, ScopeSet) =
            (ScopeSet::default(), "jobs:read".parse().expect("scopes"));
        let check = |added| {
            let (audience, scheme) = (Audience::Routes, Scheme::Bearer);
            admission().check(Membership::Admitted, audience, scheme, (&none, added))
        };
        assert_eq!(check(None), Err(NotAdmitted::Scope));
        assert_eq!(check(Some(&jobs)), Ok(()));
    }
}
