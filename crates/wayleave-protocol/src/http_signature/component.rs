//! The parts of a message that a signature can cover, and their values (RFC 9421 section 2).

use std::borrow::Cow;
use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sfv::{Dictionary, FieldType, Item, List, Parser};

use super::SignatureFault;
use crate::Message;
use crate::form::decode_word;

/// The fields that `sf` may be asked for: those whose type is registered and that are met in
/// requests and answers here. `sf` of any other is refused: to serialize a field, its type must be
/// known.
const STRUCTURED: [(&str, StructuredType); 13] = [
    ("accept-signature", StructuredType::Dictionary),
    ("cache-status", StructuredType::List),
    ("client-cert", StructuredType::Item),
    ("client-cert-chain", StructuredType::List),
    ("content-digest", StructuredType::Dictionary),
    ("priority", StructuredType::Dictionary),
    ("proxy-status", StructuredType::List),
    ("repr-digest", StructuredType::Dictionary),
    ("signature", StructuredType::Dictionary),
    ("signature-input", StructuredType::Dictionary),
    ("want-content-digest", StructuredType::Dictionary),
    ("want-repr-digest", StructuredType::Dictionary),
    ("deprecation", StructuredType::Item),
];

#[derive(Clone, Copy)]
enum StructuredType {
    Item,
    List,
    Dictionary,
}

/// An answer as a signature over it sees it.
#[derive(Clone, Copy, Debug)]
pub struct ResponseMessage<'a> {
    /// Its status.
    pub status: u16,
    /// Its headers in their order: names in small letters.
    pub fields: &'a [(&'a str, &'a [u8])],
    /// The request that it answers, for components with `req`.
    pub request: Message<'a>,
}

/// What is signed.
#[derive(Clone, Copy, Debug)]
pub enum Signed<'a> {
    /// A request.
    Request(Message<'a>),
    /// An answer.
    Response(ResponseMessage<'a>),
}

/// A parameter of a component.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Detail<'a> {
    /// `sf`: the value is serialized anew.
    Structured,
    /// `key`: one member of a dictionary.
    Key(Cow<'a, str>),
    /// `bs`: each line as bytes.
    Bytes,
    /// `req`: of the request that is answered.
    OfRequest,
    /// `name` of `@query-param`, encoded.
    Name(Cow<'a, str>),
}

/// A part that a signature covers: its name and parameters in their order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Component<'a> {
    name: Cow<'a, str>,
    details: Vec<Detail<'a>>,
}

impl<'a> Component<'a> {
    /// A part without parameters. `name`: in small letters, such as `@method` or `content-type`.
    pub fn plain(name: impl Into<Cow<'a, str>>) -> Self {
        Component {
            name: name.into(),
            details: Vec::new(),
        }
    }

    /// The same part of the request that is answered.
    #[must_use]
    pub fn of_request(mut self) -> Self {
        self.details.push(Detail::OfRequest);
        self
    }

    pub(super) fn add(&mut self, detail: Detail<'a>) -> Result<(), SignatureFault> {
        let same_kind =
            |known: &Detail<'_>| std::mem::discriminant(known) == std::mem::discriminant(&detail);
        if self.details.iter().any(same_kind) {
            return Err(SignatureFault::RepeatedParameter(self.identifier()));
        }
        self.details.push(detail);
        Ok(())
    }

    /// Whether it is the part of this name itself, and not one detail of it.
    pub(super) fn is(&self, name: &str) -> bool {
        self.name == name && self.details.is_empty()
    }

    /// Whether two name one part, in whatever order their parameters are.
    pub(super) fn same_as(&self, other: &Self) -> bool {
        self.name == other.name
            && self.details.len() == other.details.len()
            && self
                .details
                .iter()
                .all(|detail| other.details.contains(detail))
    }

    /// Its name as it stands in the signature base: quoted, with parameters.
    pub(super) fn write_identifier(&self, out: &mut String) {
        write_string(&self.name, out);
        for detail in &self.details {
            match detail {
                Detail::Structured => out.push_str(";sf"),
                Detail::Bytes => out.push_str(";bs"),
                Detail::OfRequest => out.push_str(";req"),
                Detail::Key(key) => {
                    out.push_str(";key=");
                    write_string(key, out);
                }
                Detail::Name(name) => {
                    out.push_str(";name=");
                    write_string(name, out);
                }
            }
        }
    }

    pub(super) fn identifier(&self) -> String {
        let mut text = String::new();
        self.write_identifier(&mut text);
        text
    }

    /// Writes its value in a message.
    ///
    /// # Errors
    /// [`SignatureFault::Component`] for what cannot be a part of such a message at all,
    /// [`SignatureFault::Missing`] for what this one lacks.
    pub(super) fn write_value(
        &self,
        signed: &Signed<'_>,
        out: &mut String,
    ) -> Result<(), SignatureFault> {
        let of_request = self.details.contains(&Detail::OfRequest);
        match (signed, of_request) {
            (Signed::Request(_), true) => Err(self.impossible()),
            (Signed::Request(message), false) => self.write_of_request(message, out),
            (Signed::Response(response), true) => self.write_of_request(&response.request, out),
            (Signed::Response(response), false) if self.name == "@status" => {
                self.must_be_bare()?;
                let _ = write!(out, "{}", response.status);
                Ok(())
            }
            (Signed::Response(response), false) if !self.is_derived() => {
                self.write_field(response.fields, out)
            }
            (Signed::Response(_), false) => Err(self.impossible()),
        }
    }

    fn write_of_request(
        &self,
        message: &Message<'_>,
        out: &mut String,
    ) -> Result<(), SignatureFault> {
        if !self.is_derived() {
            return self.write_field(message.fields, out);
        }
        if self.name == "@query-param" {
            return self.write_query_param(message.query, out);
        }
        self.must_be_bare()?;
        match &*self.name {
            "@method" => out.push_str(message.method),
            "@scheme" => out.push_str(&message.scheme.to_ascii_lowercase()),
            "@authority" => write_authority(message, out),
            "@path" => out.push_str(path(message)),
            "@query" => {
                out.push('?');
                out.push_str(message.query.unwrap_or_default());
            }
            "@request-target" => write_path_and_query(message, out),
            "@target-uri" => {
                out.push_str(&message.scheme.to_ascii_lowercase());
                out.push_str("://");
                write_authority(message, out);
                write_path_and_query(message, out);
            }
            _ => return Err(self.impossible()),
        }
        Ok(())
    }

    fn is_derived(&self) -> bool {
        self.name.starts_with('@')
    }

    /// A derived part has no parameter but `req`.
    fn must_be_bare(&self) -> Result<(), SignatureFault> {
        let is_req = |detail: &Detail<'_>| *detail == Detail::OfRequest;
        if self.details.iter().all(is_req) {
            Ok(())
        } else {
            Err(self.impossible())
        }
    }

    fn impossible(&self) -> SignatureFault {
        SignatureFault::Component(self.identifier())
    }

    fn missing(&self) -> SignatureFault {
        SignatureFault::Missing(self.identifier())
    }

    /// One parameter of the query, decoded and encoded anew (RFC 9421 section 2.2.8).
    fn write_query_param(
        &self,
        query: Option<&str>,
        out: &mut String,
    ) -> Result<(), SignatureFault> {
        let mut wanted = None;
        for detail in &self.details {
            match detail {
                Detail::Name(name) => wanted = Some(name),
                Detail::OfRequest => {}
                _ => return Err(self.impossible()),
            }
        }
        let wanted = wanted.ok_or_else(|| self.impossible())?;
        let mut found = None;
        for pair in query.unwrap_or_default().split('&') {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let decode = |word: &str| decode_word(word).map_err(|_| self.missing());
            if pair.is_empty() || encode(&decode(name)?) != **wanted {
                continue;
            }
            // A name that comes twice has no one value (RFC 9421 section 2.2.8).
            if found.replace(encode(&decode(value)?)).is_some() {
                return Err(self.missing());
            }
        }
        out.push_str(&found.ok_or_else(|| self.missing())?);
        Ok(())
    }

    fn write_field(
        &self,
        fields: &[(&str, &[u8])],
        out: &mut String,
    ) -> Result<(), SignatureFault> {
        let (mut structured, mut key, mut bytes) = (false, None, false);
        for detail in &self.details {
            match detail {
                Detail::Structured => structured = true,
                Detail::Key(name) => key = Some(name),
                Detail::Bytes => bytes = true,
                Detail::OfRequest => {}
                Detail::Name(_) => return Err(self.impossible()),
            }
        }
        let lines = || {
            fields
                .iter()
                .filter(|(name, _)| *name == self.name)
                .map(|(_, value)| *value)
        };
        if lines().next().is_none() {
            return Err(self.missing());
        }
        match (structured, key, bytes) {
            (false, None, true) => {
                write_bytes(lines(), out);
                Ok(())
            }
            (_, _, true) => Err(self.impossible()),
            (_, Some(key), false) => self.write_member(key, lines(), out),
            (true, None, false) => self.write_structured(lines(), out),
            (false, None, false) => self.write_lines(lines(), out),
        }
    }

    /// The lines without the blanks around them, joined by a comma and a blank.
    fn write_lines<'l>(
        &self,
        lines: impl Iterator<Item = &'l [u8]>,
        out: &mut String,
    ) -> Result<(), SignatureFault> {
        for (place, line) in lines.enumerate() {
            if place > 0 {
                out.push_str(", ");
            }
            let text = std::str::from_utf8(line.trim_ascii())
                .ok()
                .filter(|text| text.bytes().all(|byte| matches!(byte, b'\t' | b' '..=b'~')));
            out.push_str(text.ok_or_else(|| self.missing())?);
        }
        Ok(())
    }

    /// The value serialized anew as the type that the field is known to have.
    fn write_structured<'l>(
        &self,
        lines: impl Iterator<Item = &'l [u8]>,
        out: &mut String,
    ) -> Result<(), SignatureFault> {
        let known = STRUCTURED.iter().find(|(name, _)| *name == self.name);
        let (_, kind) = known.ok_or_else(|| self.impossible())?;
        let joined = super::join_values(lines).ok_or_else(|| self.missing())?;
        let parser = Parser::new(&*joined);
        let text = match kind {
            StructuredType::Item => parser.parse::<Item>().ok().map(|item| item.serialize()),
            StructuredType::List => parser
                .parse::<List>()
                .ok()
                .and_then(|list| list.serialize()),
            StructuredType::Dictionary => parser
                .parse::<Dictionary>()
                .ok()
                .and_then(|dictionary| dictionary.serialize()),
        };
        out.push_str(&text.ok_or_else(|| self.missing())?);
        Ok(())
    }

    /// One member of a dictionary, serialized anew.
    fn write_member<'l>(
        &self,
        key: &str,
        lines: impl Iterator<Item = &'l [u8]>,
        out: &mut String,
    ) -> Result<(), SignatureFault> {
        let joined = super::join_values(lines).ok_or_else(|| self.missing())?;
        let dictionary: Dictionary = Parser::new(&*joined).parse().map_err(|_| self.missing())?;
        let member = dictionary.get(key).cloned().ok_or_else(|| self.missing())?;
        // As a list of one member it is written just as it is.
        let member: List = vec![member];
        out.push_str(&member.serialize().ok_or_else(|| self.missing())?);
        Ok(())
    }
}

/// Each line as a byte sequence, joined by a comma and a blank (RFC 9421 section 2.1.3).
fn write_bytes<'l>(lines: impl Iterator<Item = &'l [u8]>, out: &mut String) {
    for (place, line) in lines.enumerate() {
        out.push_str(if place > 0 { ", :" } else { ":" });
        STANDARD.encode_string(line.trim_ascii(), out);
        out.push(':');
    }
}

/// Host in small letters, without the port that the scheme has anyway (RFC 9110 section 4.2.3).
fn write_authority(message: &Message<'_>, out: &mut String) {
    out.push_str(&normal_authority(message.scheme, message.authority));
}

/// An authority in the form in which two are compared: in small letters, without the port that the
/// scheme has anyway (RFC 9110 section 4.2.3).
pub fn normal_authority(scheme: &str, authority: &str) -> String {
    let lower = authority.to_ascii_lowercase();
    let default = if scheme.eq_ignore_ascii_case("https") {
        ":443"
    } else {
        ":80"
    };
    match lower.strip_suffix(default).or(lower.strip_suffix(':')) {
        // The colons of a bare IPv6 address are not the mark of a port.
        Some(host) if !host.is_empty() && (host.ends_with(']') || !host.contains(':')) => {
            host.to_owned()
        }
        _ => lower,
    }
}

fn path<'m>(message: &Message<'m>) -> &'m str {
    if message.path.is_empty() {
        "/"
    } else {
        message.path
    }
}

fn write_path_and_query(message: &Message<'_>, out: &mut String) {
    out.push_str(path(message));
    if let Some(query) = message.query {
        out.push('?');
        out.push_str(query);
    }
}

/// A structured string (RFC 9651 section 4.1.6).
pub(super) fn write_string(text: &str, out: &mut String) {
    out.push('"');
    if text.contains(['"', '\\']) {
        for letter in text.chars() {
            if matches!(letter, '"' | '\\') {
                out.push('\\');
            }
            out.push(letter);
        }
    } else {
        out.push_str(text);
    }
    out.push('"');
}

/// Percent-encoding by the `application/x-www-form-urlencoded` percent-encode set of the WHATWG URL
/// Standard with a blank as `%20`, as RFC 9421 section 2.2.8 has it.
fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'*' | b'-' | b'.' | b'_') {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}
