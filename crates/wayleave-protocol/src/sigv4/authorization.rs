use super::{ALGORITHM, TERMINATOR};
use crate::hex;

/// What an `Authorization: AWS4-HMAC-SHA256` header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Presented<'a> {
    /// The id of the key, as written.
    pub key_id: &'a str,
    /// The day of the scope, such as `20270316`.
    pub day: &'a str,
    /// The region of the scope. It means nothing here but is part of the key.
    pub region: &'a str,
    /// The service of the scope. `s3` signs the path as sent, others escape it once more.
    pub service: &'a str,
    /// The names of the signed headers, in small letters and sorted, joined by semicolons.
    pub signed_headers: &'a str,
    /// The signature: 64 small hexadecimal digits.
    pub signature: &'a str,
}

impl<'a> Presented<'a> {
    /// The names of the signed headers.
    pub fn signed_headers(&self) -> impl Iterator<Item = &'a str> {
        self.signed_headers.split(';')
    }

    /// Whether a header is signed. `name`: in small letters.
    pub fn signs(&self, name: &str) -> bool {
        self.signed_headers().any(|signed| signed == name)
    }
}

/// Whether an `Authorization` header is of this scheme, right or wrong.
pub fn is_presented(authorization: &[u8]) -> bool {
    authorization
        .strip_prefix(ALGORITHM.as_bytes())
        .is_some_and(|rest| matches!(rest, [] | [b' ', ..]))
}

/// Reads an `Authorization` header: the algorithm, then `Credential`, `SignedHeaders` and
/// `Signature`, each once, in any order, separated by commas. `None` for whatever cannot be a proof:
/// the caller answers 401.
///
/// ```
/// use wayleave_protocol::sigv4::parse_authorization;
/// let digits = "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31";
/// let value = format!(
///     "AWS4-HMAC-SHA256 Credential=K-1/20270316/eu/orders/aws4_request, \
///      SignedHeaders=host;x-amz-date, Signature={digits}"
/// );
/// let presented = parse_authorization(value.as_bytes()).unwrap();
/// assert_eq!((presented.key_id, presented.service), ("K-1", "orders"));
/// assert!(parse_authorization(b"AWS4-ECDSA-P256-SHA256 Credential=K-1").is_none());
/// ```
pub fn parse_authorization(value: &[u8]) -> Option<Presented<'_>> {
    let text = std::str::from_utf8(value).ok()?;
    let parameters = text.strip_prefix(ALGORITHM)?.strip_prefix(' ')?;
    let (mut credential, mut signed_headers, mut signature) = (None, None, None);
    for parameter in parameters.split(',') {
        let (name, value) = parameter.trim_matches([' ', '\t']).split_once('=')?;
        let place = match name {
            "Credential" => &mut credential,
            "SignedHeaders" => &mut signed_headers,
            "Signature" => &mut signature,
            _ => return None,
        };
        if place.replace(value).is_some() {
            return None;
        }
    }
    let [day, region, service, key_id] = scope(credential?)?;
    Some(Presented {
        key_id,
        day,
        region,
        service,
        signed_headers: signed_headers.filter(|names| are_names(names))?,
        signature: signature.filter(|digits| is_signature(digits))?,
    })
}

/// Splits `<key id>/<day>/<region>/<service>/aws4_request`; the key id may have slashes of its own.
fn scope(credential: &str) -> Option<[&str; 4]> {
    let mut parts = credential.rsplitn(5, '/');
    let terminator = parts.next()?;
    let (service, region, day, key_id) =
        (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let is_day = day.len() == 8 && day.bytes().all(|byte| byte.is_ascii_digit());
    let is_whole = !key_id.is_empty() && !key_id.contains(char::is_control);
    (terminator == TERMINATOR && is_day && is_whole).then_some([day, region, service, key_id])
}

/// Names of headers in small letters, strictly ascending.
fn are_names(names: &str) -> bool {
    let is_name = |name: &str| {
        let is_token = |byte: u8| byte.is_ascii_graphic() && !byte.is_ascii_uppercase();
        !name.is_empty() && name.bytes().all(is_token)
    };
    names.split(';').all(is_name) && names.split(';').is_sorted_by(|a, b| a < b)
}

fn is_signature(digits: &str) -> bool {
    hash(digits).is_some() && !digits.bytes().any(|byte| byte.is_ascii_uppercase())
}

/// 32 bytes from 64 hexadecimal digits.
pub(super) fn hash(digits: &str) -> Option<[u8; 32]> {
    let digits: &[u8; 64] = digits.as_bytes().try_into().ok()?;
    let mut hash = [0; 32];
    for (byte, pair) in hash.iter_mut().zip(digits.as_chunks::<2>().0) {
        *byte = hex::digit(pair[0])? << 4 | hex::digit(pair[1])?;
    }
    Some(hash)
}
