use std::borrow::Cow;
use std::sync::Arc;

use wayleave_core::{
    Admission, Audience, CredentialId, CustomerId, Environment, IntegrationId, Membership,
    NotAdmitted, PartnerId, PropertyId, Scheme, ScopeSet,
};

use wayleave_protocol::described::DescribedScheme;

use crate::directory::{Grant, IntegrationEntry, LookupId};
use crate::plan::Bought;

/// The headers that every identity has.
pub const IDENTITY: [&str; 6] = [
    "wayleave-environment",
    "wayleave-partner",
    "wayleave-integration",
    "wayleave-credential",
    "wayleave-audience",
    "wayleave-scheme",
];

/// Who made a request, proven.
///
/// Only [`crate::Engine::authenticate`] makes one, from evidence that held, and only
/// [`crate::Engine::accept`] gives it away, with what the body must be (law 2).
#[derive(Clone, Debug)]
pub struct Caller {
    pub(crate) environment: Environment,
    pub(crate) lookup: LookupId,
    pub(crate) credential_id: CredentialId,
    pub(crate) integration: Arc<IntegrationEntry>,
    pub(crate) grant: Arc<Grant>,
    pub(crate) scheme: Scheme,
    /// The scheme as it is described, where that proved it.
    pub(crate) described: Option<Arc<DescribedScheme>>,
    /// The scopes of the token where they are fewer than the credential's.
    pub(crate) narrowed: Option<Arc<ScopeSet>>,
}

impl Caller {
    /// The environment in which the request was made and proven.
    pub fn environment(&self) -> Environment {
        self.environment
    }

    /// The partner on whose behalf it was made.
    pub fn partner_id(&self) -> PartnerId {
        self.integration.partner.id
    }

    /// The number of the partner's plan, where it has one.
    pub(crate) fn plan(&self) -> Option<u32> {
        self.integration.partner.plan()
    }

    /// The client program.
    pub fn integration_id(&self) -> IntegrationId {
        self.integration.id
    }

    /// The credential that proved it.
    pub fn credential_id(&self) -> CredentialId {
        self.credential_id
    }

    /// The property whose key set proved it.
    pub fn property_id(&self) -> Option<PropertyId> {
        self.grant.property
    }

    /// The customer to whom the credential is limited, where it is: everything else of the partner is
    /// not there for it.
    pub fn customer_id(&self) -> Option<CustomerId> {
        self.grant.customer
    }

    /// What the credential opens.
    pub fn audience(&self) -> Audience {
        self.grant.audience
    }

    /// How the request was proven.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The scheme as the operator describes it, where it is [`Scheme::Described`].
    pub fn described(&self) -> Option<&DescribedScheme> {
        self.described.as_deref()
    }

    /// What the caller may do within the audience.
    pub fn scopes(&self) -> &ScopeSet {
        self.narrowed.as_deref().unwrap_or(&self.grant.scopes)
    }

    /// What the partner's plans add to that; nothing to a token that was asked for with fewer scopes.
    fn bought(&self) -> Option<Arc<Bought>> {
        match self.narrowed {
            Some(_) => None,
            None => self.integration.partner.bought(),
        }
    }

    /// Whether a public id, such as the access key in a path, names the credential that proved
    /// the request. GUIDs are compared without regard to case.
    pub fn is_named_by(&self, public_id: &str) -> bool {
        LookupId::of(public_id) == self.lookup
    }

    /// Who the caller is, as headers for the API behind: names and values
    /// (`docs/identity-headers.md`). Those of [`IDENTITY`] come first, in their order;
    /// `Wayleave-Scopes` and `Wayleave-Property` come only where there are any.
    pub fn identity(&self) -> impl Iterator<Item = (&'static str, Cow<'_, str>)> {
        let scopes = match self.bought() {
            Some(bought) => Some(self.scopes().union(&bought.scopes).to_string()),
            None => (!self.scopes().is_empty()).then(|| self.scopes().to_string()),
        };
        let scopes = scopes.filter(|scopes| !scopes.is_empty());
        let property = self.property_id().map(|id| id.to_string());
        let always = [
            Cow::Borrowed(self.environment.as_str()),
            Cow::Borrowed(self.integration.partner_text.as_str()),
            Cow::Borrowed(self.integration.text.as_str()),
            Cow::Owned(self.credential_id.to_string()),
            Cow::Borrowed(self.audience().as_str()),
            Cow::Borrowed(self.scheme.as_str()),
        ];
        IDENTITY
            .into_iter()
            .zip(always)
            .chain(scopes.map(|scopes| ("wayleave-scopes", Cow::Owned(scopes))))
            .chain(property.map(|property| ("wayleave-property", Cow::Owned(property))))
    }

    /// Lets the caller pass or says why not.
    pub fn admit(self, admission: &Admission) -> Result<Admitted, NotAdmitted> {
        let membership = self.integration.partner.membership();
        if membership == Membership::Admitted && !self.grant.schemes.contains(self.scheme) {
            return Err(NotAdmitted::Scheme);
        }
        let bought = self.bought();
        let further = bought.as_ref().map(|bought| &bought.scopes);
        let scopes = (self.scopes(), further);
        admission.check(membership, self.audience(), self.scheme, scopes)?;
        Ok(Admitted(self))
    }
}

/// A proven caller that may pass a surface or a route. Nothing is forwarded or answered on behalf
/// of anyone else.
#[derive(Clone, Debug)]
pub struct Admitted(Caller);

impl Admitted {
    /// Who it is.
    pub fn caller(&self) -> &Caller {
        &self.0
    }

    /// Asks further that the key in the path is the key that proved the request.
    pub fn with_path_key(self, key: &str) -> Result<Self, NotAdmitted> {
        if self.0.is_named_by(key) {
            Ok(self)
        } else {
            Err(NotAdmitted::PathKey)
        }
    }
}
