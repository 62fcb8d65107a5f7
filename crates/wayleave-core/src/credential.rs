use std::fmt;
use std::str::FromStr;

/// A word that is not in one of our closed lists.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct UnknownWord {
    /// What was looked for, such as `audience`.
    pub noun: &'static str,
    /// The words that there are.
    pub known: &'static str,
}

impl fmt::Display for UnknownWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unknown {}; known are: {}", self.noun, self.known)
    }
}

impl std::error::Error for UnknownWord {}

/// What a credential opens.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum Audience {
    /// Client id and secret: the platform and v1 surfaces.
    Platform = 1,
    /// Api key and secret: the routes to the API behind.
    Routes = 2,
    /// A Management key set: the content management API of its property.
    Management = 4,
    /// An Access key set: the content access API of its property.
    Access = 8,
}

impl Audience {
    /// Every audience.
    pub const ALL: [Audience; 4] = [
        Audience::Platform,
        Audience::Routes,
        Audience::Management,
        Audience::Access,
    ];

    /// The word in tokens, settings and the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Audience::Platform => "platform",
            Audience::Routes => "routes",
            Audience::Management => "management",
            Audience::Access => "access",
        }
    }

    /// How credentials of this audience prove a request unless they were told otherwise.
    pub fn default_schemes(self) -> SchemeSet {
        match self {
            Audience::Platform | Audience::Routes => {
                SchemeSet::of(&[Scheme::Bearer, Scheme::Token])
            }
            Audience::Management | Audience::Access => SchemeSet::of(&[Scheme::Signed]),
        }
    }

    /// Whether credentials of this audience may be the key sets of a property.
    pub fn is_of_property(self) -> bool {
        matches!(self, Audience::Management | Audience::Access)
    }

    /// Whether the public id is a GUID, as the signed scheme wants it.
    pub fn has_guid(self) -> bool {
        matches!(self, Audience::Management | Audience::Access)
    }
}

impl FromStr for Audience {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        Audience::ALL
            .into_iter()
            .find(|audience| audience.as_str() == text)
            .ok_or(UnknownWord {
                noun: "audience",
                known: "platform, routes, management, access",
            })
    }
}

/// A set of audiences.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct AudienceSet(u8);

impl AudienceSet {
    /// The set of these.
    pub const fn of(audiences: &[Audience]) -> Self {
        let mut bits = 0;
        let mut place = 0;
        while place < audiences.len() {
            bits |= audiences[place] as u8;
            place += 1;
        }
        AudienceSet(bits)
    }

    /// Whether it is in the set.
    pub const fn contains(self, audience: Audience) -> bool {
        self.0 & audience as u8 != 0
    }

    /// Nothing in it.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// A way to prove a request.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum Scheme {
    /// `Authorization: Bearer <token>` (RFC 6750).
    Bearer = 1,
    /// The bare token as the whole `Authorization` header.
    Token = 2,
    /// The compatible signed scheme: `Authentication` and `Timestamp` (`docs/signed-requests.md`).
    Signed = 4,
    /// HTTP message signatures (RFC 9421): `Signature-Input` and `Signature`
    /// (`docs/http-signatures.md`).
    HttpSignature = 8,
    /// AWS Signature Version 4 in the `Authorization` header (`docs/aws-sigv4.md`).
    Sigv4 = 16,
    /// The scheme that the operator describes for the route (`docs/described-schemes.md`).
    Described = 32,
}

impl Scheme {
    /// Every scheme.
    pub const ALL: [Scheme; 6] = [
        Scheme::Bearer,
        Scheme::Token,
        Scheme::Signed,
        Scheme::HttpSignature,
        Scheme::Sigv4,
        Scheme::Described,
    ];

    /// The word in settings, the database and the `Wayleave-Scheme` header.
    pub fn as_str(self) -> &'static str {
        match self {
            Scheme::Bearer => "bearer",
            Scheme::Token => "token",
            Scheme::Signed => "signed",
            Scheme::HttpSignature => "http-signature",
            Scheme::Sigv4 => "aws-sigv4",
            Scheme::Described => "described",
        }
    }
}

impl FromStr for Scheme {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        Scheme::ALL
            .into_iter()
            .find(|scheme| scheme.as_str() == text)
            .ok_or(UnknownWord {
                noun: "scheme",
                known: "bearer, token, signed, http-signature, aws-sigv4, described",
            })
    }
}

/// A set of schemes. Its text form separates them by one blank.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub struct SchemeSet(u8);

impl SchemeSet {
    /// The set of these.
    pub const fn of(schemes: &[Scheme]) -> Self {
        let mut bits = 0;
        let mut place = 0;
        while place < schemes.len() {
            bits |= schemes[place] as u8;
            place += 1;
        }
        SchemeSet(bits)
    }

    /// Whether it is in the set.
    pub const fn contains(self, scheme: Scheme) -> bool {
        self.0 & scheme as u8 != 0
    }

    /// Nothing in it.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl FromIterator<Scheme> for SchemeSet {
    fn from_iter<I: IntoIterator<Item = Scheme>>(schemes: I) -> Self {
        SchemeSet(
            schemes
                .into_iter()
                .fold(0, |bits, scheme| bits | scheme as u8),
        )
    }
}

impl FromIterator<Audience> for AudienceSet {
    fn from_iter<I: IntoIterator<Item = Audience>>(audiences: I) -> Self {
        AudienceSet(
            audiences
                .into_iter()
                .fold(0, |bits, audience| bits | audience as u8),
        )
    }
}

impl FromStr for SchemeSet {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        text.split(' ')
            .filter(|word| !word.is_empty())
            .map(Scheme::from_str)
            .collect()
    }
}

impl fmt::Display for SchemeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<&str> = Scheme::ALL
            .into_iter()
            .filter(|scheme| self.contains(*scheme))
            .map(Scheme::as_str)
            .collect();
        f.write_str(&words.join(" "))
    }
}

/// Whether a credential still counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CredentialState {
    /// It proves requests and gets tokens.
    Active,
    /// It proves nothing until it is enabled again, and neither do its tokens.
    Disabled,
    /// Dead at once and for ever, with its tokens.
    Revoked,
}

impl CredentialState {
    /// The stored and shown word.
    pub fn as_str(self) -> &'static str {
        match self {
            CredentialState::Active => "active",
            CredentialState::Disabled => "disabled",
            CredentialState::Revoked => "revoked",
        }
    }
}

impl FromStr for CredentialState {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        match text {
            "active" => Ok(CredentialState::Active),
            "disabled" => Ok(CredentialState::Disabled),
            "revoked" => Ok(CredentialState::Revoked),
            _ => Err(UnknownWord {
                noun: "credential state",
                known: "active, disabled, revoked",
            }),
        }
    }
}

/// The public half of a credential: client id, api key or access key.
///
/// Either one of ours (`docs/keys.md`) or imported from the system that partners used before.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct PublicId(Box<str>);

/// A text that cannot be a public id.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PublicIdError {
    /// Empty or over 128 bytes.
    Length,
    /// A colon ends the id in Basic and in signed headers, so it cannot be part of one.
    Colon,
    /// A control character.
    ControlCharacter,
    /// Key sets of a property need a GUID.
    NotAGuid,
}

impl fmt::Display for PublicIdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            PublicIdError::Length => "a public id has 1 to 128 bytes",
            PublicIdError::Colon => "a public id must not contain a colon",
            PublicIdError::ControlCharacter => "a public id must not contain control characters",
            PublicIdError::NotAGuid => {
                "the access key of a Management or Access key set is a GUID such as 7D21B0AA-55C3-4E19-BB02-6F3E9C8D1A47"
            }
        })
    }
}

impl std::error::Error for PublicIdError {}

impl PublicId {
    /// Checks the text for credentials of an audience. GUIDs, of whatever audience, are folded to
    /// capitals, since the signed scheme ignores their case; every other id counts letter by letter.
    pub fn parse(text: &str, audience: Audience) -> Result<Self, PublicIdError> {
        if text.is_empty() || text.len() > 128 {
            Err(PublicIdError::Length)
        } else if text.contains(':') {
            Err(PublicIdError::Colon)
        } else if text.chars().any(char::is_control) {
            Err(PublicIdError::ControlCharacter)
        } else if is_guid(text) {
            Ok(PublicId(text.to_ascii_uppercase().into()))
        } else if audience.has_guid() {
            Err(PublicIdError::NotAGuid)
        } else {
            Ok(PublicId(text.into()))
        }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PublicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn is_guid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(place, byte)| match place {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_reads_back_as_itself() {
        for audience in Audience::ALL {
            assert_eq!(audience.as_str().parse(), Ok(audience));
        }
        for scheme in Scheme::ALL {
            assert_eq!(scheme.as_str().parse(), Ok(scheme));
        }
        let set = SchemeSet::of(&[Scheme::Signed, Scheme::Bearer]);
        assert_eq!(set.to_string(), "bearer signed");
        assert_eq!(set.to_string().parse(), Ok(set));
    }

    #[test]
    fn a_key_set_needs_a_guid_and_any_case_is_the_same_one() {
        let lower = PublicId::parse("7d21b0aa-55c3-4e19-bb02-6f3e9c8d1a47", Audience::Access);
        let upper = PublicId::parse("7D21B0AA-55C3-4E19-BB02-6F3E9C8D1A47", Audience::Access);
        assert_eq!(lower, upper);
        let api_key = PublicId::parse("7d21b0aa-55c3-4e19-bb02-6f3e9c8d1a47", Audience::Routes);
        assert_eq!(api_key, upper, "one GUID is one id, whatever it opens");
        assert_eq!(
            PublicId::parse("api key", Audience::Access),
            Err(PublicIdError::NotAGuid)
        );
    }

    #[test]
    fn an_imported_api_key_may_have_blanks_but_no_colon() {
        assert!(PublicId::parse("api key supplied by XOi", Audience::Routes).is_ok());
        assert_eq!(
            PublicId::parse("a:b", Audience::Routes),
            Err(PublicIdError::Colon)
        );
    }
}
