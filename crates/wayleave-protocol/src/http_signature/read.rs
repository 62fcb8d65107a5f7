//! Reads `Signature-Input` and `Signature` (RFC 9421 section 4). The order of everything is kept.

use std::borrow::Cow;
use std::convert::Infallible;
use std::fmt::Write as _;

use sfv::visitor::{
    DictionaryVisitor, EntryVisitor, Ignored, InnerListVisitor, ItemVisitor, ParameterVisitor,
};
use sfv::{BareItemFromInput, Dictionary, KeyRef, ListEntry, Parser, StringRef};

use super::component::{Component, Detail, Signed, write_string};
use super::{MOST_COMPONENTS, MOST_SIGNATURES, SignatureFault};
use crate::body_digest::Members;

/// The lines of a header as one value, joined by a comma and a blank; `None`: there is no line.
pub fn join_values<'a>(mut lines: impl Iterator<Item = &'a [u8]>) -> Option<Cow<'a, [u8]>> {
    let mut joined = Cow::Borrowed(lines.next()?);
    for line in lines {
        let all = joined.to_mut();
        all.extend_from_slice(b", ");
        all.extend_from_slice(line);
    }
    Some(joined)
}

/// A parameter of a signature (RFC 9421 section 2.3).
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Parameter<'a> {
    /// When it was made, in Unix seconds.
    Created(i64),
    /// When it ends, in Unix seconds.
    Expires(i64),
    /// Unique for each signature of a key.
    Nonce(Cow<'a, str>),
    /// The registered name of the algorithm.
    Alg(Cow<'a, str>),
    /// Names the key.
    KeyId(Cow<'a, str>),
    /// What the signature is for.
    Tag(Cow<'a, str>),
}

impl Parameter<'_> {
    /// Its name.
    pub fn name(&self) -> &'static str {
        match self {
            Parameter::Created(_) => "created",
            Parameter::Expires(_) => "expires",
            Parameter::Nonce(_) => "nonce",
            Parameter::Alg(_) => "alg",
            Parameter::KeyId(_) => "keyid",
            Parameter::Tag(_) => "tag",
        }
    }

    fn write(&self, out: &mut String) {
        out.push(';');
        out.push_str(self.name());
        out.push('=');
        match self {
            Parameter::Created(seconds) | Parameter::Expires(seconds) => {
                let _ = write!(out, "{seconds}");
            }
            Parameter::Nonce(text)
            | Parameter::Alg(text)
            | Parameter::KeyId(text)
            | Parameter::Tag(text) => write_string(text, out),
        }
    }
}

/// What a signature covers and says of itself, everything in the order in which it was received.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SignatureInput<'a> {
    components: Vec<Component<'a>>,
    parameters: Vec<Parameter<'a>>,
}

impl<'a> SignatureInput<'a> {
    /// For a signature of our own.
    pub fn new(components: Vec<Component<'a>>, parameters: Vec<Parameter<'a>>) -> Self {
        SignatureInput {
            components,
            parameters,
        }
    }

    /// Whether the part of this name itself, and not only a detail of it, is covered.
    pub fn covers(&self, name: &str) -> bool {
        self.components.iter().any(|component| component.is(name))
    }

    /// When it was made, in Unix seconds.
    pub fn created(&self) -> Option<i64> {
        self.find(|parameter| match parameter {
            Parameter::Created(seconds) => Some(*seconds),
            _ => None,
        })
    }

    /// When it ends, in Unix seconds.
    pub fn expires(&self) -> Option<i64> {
        self.find(|parameter| match parameter {
            Parameter::Expires(seconds) => Some(*seconds),
            _ => None,
        })
    }

    /// Which key made it.
    pub fn key_id(&self) -> Option<&str> {
        self.find(|parameter| match parameter {
            Parameter::KeyId(text) => Some(&**text),
            _ => None,
        })
    }

    /// What makes it unique.
    pub fn nonce(&self) -> Option<&str> {
        self.find(|parameter| match parameter {
            Parameter::Nonce(text) => Some(&**text),
            _ => None,
        })
    }

    /// The algorithm that it names, where it names one.
    pub fn alg(&self) -> Option<&str> {
        self.find(|parameter| match parameter {
            Parameter::Alg(text) => Some(&**text),
            _ => None,
        })
    }

    /// What is picked from the first parameter that has it.
    fn find<'s, T>(&'s self, pick: impl Fn(&'s Parameter) -> Option<T>) -> Option<T> {
        self.parameters.iter().find_map(pick)
    }

    /// The text of the list with its parameters, as in `Signature-Input` after the label.
    pub fn text(&self) -> String {
        let mut text = String::with_capacity(256);
        self.write(&mut text);
        text
    }

    fn write(&self, out: &mut String) {
        out.push('(');
        for (place, component) in self.components.iter().enumerate() {
            if place > 0 {
                out.push(' ');
            }
            component.write_identifier(out);
        }
        out.push(')');
        self.parameters
            .iter()
            .for_each(|parameter| parameter.write(out));
    }

    /// The signature base: what is signed (RFC 9421 section 2.5).
    ///
    /// # Errors
    /// [`SignatureFault::Component`], [`SignatureFault::Missing`].
    pub fn base(&self, signed: &Signed<'_>) -> Result<String, SignatureFault> {
        let mut base = String::with_capacity(512);
        for component in &self.components {
            component.write_identifier(&mut base);
            base.push_str(": ");
            component.write_value(signed, &mut base)?;
            base.push('\n');
        }
        base.push_str("\"@signature-params\": ");
        self.write(&mut base);
        Ok(base)
    }
}

/// A signature as it was presented.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Presented<'a> {
    /// Its label, which says nothing about it.
    pub label: &'a str,
    input: SignatureInput<'a>,
    signature: Option<Vec<u8>>,
    fault: Option<SignatureFault>,
}

impl<'a> Presented<'a> {
    /// What it covers and the signature itself.
    ///
    /// # Errors
    /// What is wrong with the form of this one.
    pub fn checked(&self) -> Result<(&SignatureInput<'a>, &[u8]), SignatureFault> {
        if let Some(fault) = &self.fault {
            return Err(fault.clone());
        }
        let signature = self.signature.as_deref();
        Ok((&self.input, signature.ok_or(SignatureFault::NoSignature)?))
    }

    /// The key that it says made it; nothing is proven by that.
    pub fn claimed_key_id(&self) -> Option<&str> {
        self.input.key_id()
    }

    fn blame(&mut self, fault: SignatureFault) {
        self.fault.get_or_insert(fault);
    }
}

/// Reads the values of `Signature-Input` and `Signature`, each joined by [`join_values`].
///
/// # Errors
/// What is wrong with the headers as such; the faults of one signature are its own.
pub fn read<'a>(
    signature_input: &'a [u8],
    signature: &'a [u8],
) -> Result<Vec<Presented<'a>>, SignatureFault> {
    let form = |header| SignatureFault::Form { header };
    let mut presented = Parser::new(signature_input)
        .parse_dictionary_with_visitor(Inputs(Vec::new()))
        .map_err(|_| form("Signature-Input"))?;
    let mut signatures = Parser::new(signature)
        .parse_dictionary_with_visitor(Members::default())
        .map_err(|_| form("Signature"))?;
    if presented.len() > MOST_SIGNATURES || signatures.len() > MOST_SIGNATURES {
        return Err(SignatureFault::TooMany);
    }
    if presented.is_empty() || repeats(presented.iter().map(|one| one.label)) {
        return Err(form("Signature-Input"));
    }
    if repeats(signatures.iter().map(|(label, _)| *label)) {
        return Err(form("Signature"));
    }
    for one in &mut presented {
        let found = signatures.iter_mut().find(|(label, _)| *label == one.label);
        match found {
            None => one.blame(SignatureFault::NoSignature),
            Some((_, None)) => one.blame(SignatureFault::NotBytes),
            Some((_, bytes)) => one.signature = bytes.take(),
        }
    }
    Ok(presented)
}

/// What a client asks of the signature of an answer (RFC 9421 section 5.1). Which parts it covers is
/// the signer's choice.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WantedSignature {
    /// The label that the signature is to have.
    pub label: String,
    /// The nonce that it is to have.
    pub nonce: Option<String>,
    /// The tag that it is to have.
    pub tag: Option<String>,
}

/// Reads the value of `Accept-Signature`: its first member. `None`: it asks for none that can be
/// made.
///
/// ```
/// let wanted = br#"mine=("@status");created;nonce="n1";tag="t""#;
/// let wanted = wayleave_protocol::http_signature::read_wanted(wanted).unwrap();
/// assert_eq!((wanted.label.as_str(), wanted.nonce.as_deref()), ("mine", Some("n1")));
/// ```
pub fn read_wanted(value: &[u8]) -> Option<WantedSignature> {
    let wanted: Dictionary = Parser::new(value).parse().ok()?;
    let (label, ListEntry::InnerList(list)) = wanted.first()? else {
        return None;
    };
    let text = |name: &str| Some(list.params.get(name)?.as_string()?.as_str().to_owned());
    Some(WantedSignature {
        label: label.as_str().to_owned(),
        nonce: text("nonce"),
        tag: text("tag"),
    })
}

/// Whether a label comes twice: which of the two was meant cannot be known. There are few.
fn repeats<'l>(labels: impl Iterator<Item = &'l str> + Clone) -> bool {
    let mut rest = labels;
    while let Some(label) = rest.next() {
        if rest.clone().any(|other| other == label) {
            return true;
        }
    }
    false
}

fn text(value: Cow<'_, StringRef>) -> Cow<'_, str> {
    match value {
        Cow::Borrowed(text) => Cow::Borrowed(text.as_str()),
        Cow::Owned(text) => Cow::Owned(text.into()),
    }
}

struct Inputs<'a>(Vec<Presented<'a>>);

impl<'a> DictionaryVisitor<'a> for Inputs<'a> {
    type Out = Vec<Presented<'a>>;
    type Error = Infallible;

    fn entry(&mut self, label: &'a KeyRef) -> Result<impl EntryVisitor<'a>, Infallible> {
        // One more than is allowed is enough to refuse them all.
        if self.0.len() > MOST_SIGNATURES {
            return Ok(Input(None));
        }
        self.0.push(Presented {
            label: label.as_str(),
            input: SignatureInput::new(Vec::new(), Vec::new()),
            signature: None,
            fault: None,
        });
        Ok(Input(self.0.last_mut()))
    }

    fn finish(self) -> Result<Self::Out, Infallible> {
        Ok(self.0)
    }
}

/// The signature whose input is being read.
struct Input<'p, 'a>(Option<&'p mut Presented<'a>>);

impl<'a> EntryVisitor<'a> for Input<'_, 'a> {
    type Error = Infallible;

    fn item(self) -> Result<impl ItemVisitor<'a>, Infallible> {
        if let Some(presented) = self.0 {
            presented.blame(SignatureFault::NotComponents);
        }
        Ok(Ignored)
    }

    fn inner_list(self) -> Result<impl InnerListVisitor<'a>, Infallible> {
        Ok(self)
    }
}

impl<'a> InnerListVisitor<'a> for Input<'_, 'a> {
    type Error = Infallible;

    fn item(&mut self) -> Result<impl ItemVisitor<'a>, Infallible> {
        Ok(Covered {
            presented: self.0.as_deref_mut(),
            component: None,
        })
    }

    fn finish(self) -> Result<impl ParameterVisitor<'a>, Infallible> {
        Ok(self)
    }
}

impl<'a> ParameterVisitor<'a> for Input<'_, 'a> {
    type Out = ();
    type Error = Infallible;

    fn parameter(
        &mut self,
        key: &'a KeyRef,
        value: BareItemFromInput<'a>,
    ) -> Result<(), Infallible> {
        let Some(presented) = self.0.as_deref_mut() else {
            return Ok(());
        };
        let read = match (key.as_str(), value) {
            ("created", BareItemFromInput::Integer(value)) => Parameter::Created(value.into()),
            ("expires", BareItemFromInput::Integer(value)) => Parameter::Expires(value.into()),
            ("nonce", BareItemFromInput::String(value)) => Parameter::Nonce(text(value)),
            ("alg", BareItemFromInput::String(value)) => Parameter::Alg(text(value)),
            ("keyid", BareItemFromInput::String(value)) => Parameter::KeyId(text(value)),
            ("tag", BareItemFromInput::String(value)) => Parameter::Tag(text(value)),
            (other, _) => {
                presented.blame(SignatureFault::Parameter(other.to_owned()));
                return Ok(());
            }
        };
        let parameters = &mut presented.input.parameters;
        if parameters.iter().any(|known| known.name() == read.name()) {
            presented.blame(SignatureFault::RepeatedParameter(read.name().to_owned()));
        } else {
            parameters.push(read);
        }
        Ok(())
    }

    fn finish(self) -> Result<(), Infallible> {
        Ok(())
    }
}

/// A component that is being read.
struct Covered<'p, 'a> {
    presented: Option<&'p mut Presented<'a>>,
    component: Option<Component<'a>>,
}

impl<'a> ItemVisitor<'a> for Covered<'_, 'a> {
    type Out = ();
    type Error = Infallible;

    fn bare_item(
        mut self,
        item: BareItemFromInput<'a>,
    ) -> Result<impl ParameterVisitor<'a, Out = ()>, Infallible> {
        match item {
            BareItemFromInput::String(name) => self.component = named(text(name)),
            _ => self.blame(SignatureFault::NotComponents),
        }
        if self.component.is_none() {
            self.blame(SignatureFault::NotComponents);
        }
        Ok(self)
    }
}

/// The component of a name that can be one: a header's in small letters, or a derived one's.
fn named(name: Cow<'_, str>) -> Option<Component<'_>> {
    let bare = name.strip_prefix('@').unwrap_or(&name);
    let is_token = |byte: u8| {
        byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"!#$%&'*+-.^_`|~".contains(&byte)
    };
    (!bare.is_empty() && bare.bytes().all(is_token)).then(|| Component::plain(name))
}

impl Covered<'_, '_> {
    fn blame(&mut self, fault: SignatureFault) {
        if let Some(presented) = self.presented.as_deref_mut() {
            presented.blame(fault);
        }
    }
}

impl<'a> ParameterVisitor<'a> for Covered<'_, 'a> {
    type Out = ();
    type Error = Infallible;

    fn parameter(
        &mut self,
        key: &'a KeyRef,
        value: BareItemFromInput<'a>,
    ) -> Result<(), Infallible> {
        let Some(component) = self.component.as_mut() else {
            return Ok(());
        };
        // Trailers (tr) come after the body, so they cannot be checked before it is passed on.
        let detail = match (key.as_str(), value) {
            ("sf", BareItemFromInput::Boolean(true)) => Detail::Structured,
            ("bs", BareItemFromInput::Boolean(true)) => Detail::Bytes,
            ("req", BareItemFromInput::Boolean(true)) => Detail::OfRequest,
            ("key", BareItemFromInput::String(value)) => Detail::Key(text(value)),
            ("name", BareItemFromInput::String(value)) => Detail::Name(text(value)),
            (other, _) => {
                let fault = format!("{};{other}", component.identifier());
                self.blame(SignatureFault::Component(fault));
                return Ok(());
            }
        };
        if let Err(fault) = component.add(detail) {
            self.blame(fault);
        }
        Ok(())
    }

    fn finish(self) -> Result<(), Infallible> {
        let (Some(presented), Some(component)) = (self.presented, self.component) else {
            return Ok(());
        };
        let components = &mut presented.input.components;
        if components.len() >= MOST_COMPONENTS {
            presented.blame(SignatureFault::TooManyComponents);
        } else if components.iter().any(|known| known.same_as(&component)) {
            presented.blame(SignatureFault::RepeatedComponent(component.identifier()));
        } else {
            components.push(component);
        }
        Ok(())
    }
}
