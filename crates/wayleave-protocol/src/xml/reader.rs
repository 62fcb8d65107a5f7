use std::borrow::Cow;

use super::{
    Element, MAX_ATTRIBUTES, MAX_BYTES, MAX_DEPTH, MAX_NAMESPACES, XmlError, is_char,
    is_name_letter, is_name_start,
};

const BYTE_ORDER_MARK: char = '\u{FEFF}';
/// The namespaces that two prefixes always have (Namespaces in XML 1.0, section 3).
const XML: &str = "http://www.w3.org/XML/1998/namespace";
const XMLNS: &str = "http://www.w3.org/2000/xmlns/";
/// Of `nil` (XML Schema part 1, section 2.6.2).
const SCHEMA_INSTANCE: &str = "http://www.w3.org/2001/XMLSchema-instance";

/// Reads a document. A byte order mark before it is allowed.
///
/// # Errors
/// See [`XmlError`].
///
/// ```
/// use wayleave_protocol::xml::{XmlError, parse};
/// let tier = parse(b"<Tier Views='7'><Price>0.20</Price></Tier>").unwrap();
/// assert_eq!(tier.attributes, [("Views".to_owned(), "7".to_owned())]);
/// assert_eq!(tier.children[0].text, "0.20");
/// assert_eq!(parse(b"<!DOCTYPE Tier><Tier/>"), Err(XmlError::DocumentType));
/// ```
pub fn parse(document: &[u8]) -> Result<Element, XmlError> {
    if document.len() > MAX_BYTES {
        return Err(XmlError::TooLarge);
    }
    read(document, None)
}

/// [`parse`] for documents that are one long list and little else, which may be larger: some elements are
/// given away one by one, each of at most [`MAX_BYTES`] together with all that is not given away. The
/// caller bounds the size. `is_given`: whether an element is such a one, by the names that lead to it, from
/// the root to its own.
///
/// # Errors
/// See [`XmlError`].
///
/// ```
/// use wayleave_protocol::xml::parse_giving;
/// let mut tiers = Vec::new();
/// let document = b"<Tiers><Tier>7</Tier><Else/><Tier>8</Tier></Tiers>";
/// let is_given = |names: &[&str]| names == ["Tiers", "Tier"];
/// let rest = parse_giving(document, &is_given, &mut |tier| tiers.push(tier.text)).unwrap();
/// assert_eq!((rest.children.len(), tiers), (1, vec!["7".to_owned(), "8".to_owned()]));
/// ```
pub fn parse_giving(
    document: &[u8],
    is_given: &dyn Fn(&[&str]) -> bool,
    give: &mut dyn FnMut(Element),
) -> Result<Element, XmlError> {
    let giving = Giving {
        is_given,
        give,
        given_bytes: 0,
    };
    read(document, Some(giving))
}

/// What becomes of elements that are given away.
struct Giving<'g> {
    is_given: &'g dyn Fn(&[&str]) -> bool,
    give: &'g mut dyn FnMut(Element),
    /// How much of the document they were.
    given_bytes: usize,
}

impl Giving<'_> {
    fn wants(&self, open: &[Open<'_>], element: &Element) -> bool {
        let outside = open.iter().map(|open| open.element.name.as_str());
        let names: Vec<&str> = outside.chain([element.name.as_str()]).collect();
        (self.is_given)(&names)
    }
}

fn read(document: &[u8], giving: Option<Giving<'_>>) -> Result<Element, XmlError> {
    let text = std::str::from_utf8(document).map_err(|_| XmlError::NotUtf8)?;
    let text = with_line_feeds(text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text));
    let mut reader = Reader {
        whole: &text,
        rest: &text,
        namespaces: Vec::new(),
    };
    reader.document(giving)
}

/// Every end of a line as one line feed (section 2.11).
fn with_line_feeds(text: &str) -> Cow<'_, str> {
    match text.contains('\r') {
        true => Cow::Owned(text.replace("\r\n", "\n").replace('\r', "\n")),
        false => Cow::Borrowed(text),
    }
}

/// A prefix, empty for the default, and what it means.
struct Namespace<'t> {
    prefix: &'t str,
    name: String,
}

/// An element whose end has not come.
struct Open<'t> {
    tag: &'t str,
    element: Element,
    /// Where in the document it begins.
    begins: usize,
    /// How many namespaces are in force outside of it.
    namespaces_outside: usize,
}

/// An element whose end has come.
struct Finished {
    element: Element,
    begins: usize,
}

/// An attribute as it stands.
struct Attribute<'t> {
    name: &'t str,
    value: String,
}

struct Reader<'t> {
    whole: &'t str,
    rest: &'t str,
    /// Those in force, the innermost last.
    namespaces: Vec<Namespace<'t>>,
}

impl<'t> Reader<'t> {
    fn document(&mut self, giving: Option<Giving<'_>>) -> Result<Element, XmlError> {
        if let Some(at) = self.whole.find(|letter| !is_char(letter)) {
            self.rest = &self.whole[at..];
            return Err(self.not_well_formed("a character that XML does not have"));
        }
        self.declaration()?;
        self.between_elements()?;
        if self.rest.starts_with("<!DOCTYPE") {
            return Err(XmlError::DocumentType);
        }
        let root = self.tree(giving)?;
        self.between_elements()?;
        match self.rest.is_empty() {
            true => Ok(root),
            false => Err(self.not_well_formed("something follows the root element")),
        }
    }

    fn line(&self) -> usize {
        let read = &self.whole[..self.read_bytes()];
        1 + read.matches('\n').count()
    }

    fn not_well_formed(&self, why: &'static str) -> XmlError {
        let line = self.line();
        XmlError::NotWellFormed { line, why }
    }

    fn take(&mut self, literal: &str) -> bool {
        match self.rest.strip_prefix(literal) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// Passes over white space; whether there was any.
    fn space(&mut self) -> bool {
        let rest = self.rest.trim_start_matches([' ', '\t', '\n']);
        let was_there = rest.len() < self.rest.len();
        self.rest = rest;
        was_there
    }

    /// What stands before an end, which is passed over too.
    fn until(&mut self, end: &str, why: &'static str) -> Result<&'t str, XmlError> {
        let Some((inside, rest)) = self.rest.split_once(end) else {
            return Err(self.not_well_formed(why));
        };
        self.rest = rest;
        Ok(inside)
    }

    /// A name with at most one colon, which has a name on each side.
    fn name(&mut self) -> Result<&'t str, XmlError> {
        let is_end = |letter: char| letter != ':' && !is_name_letter(letter);
        let end = self.rest.find(is_end).unwrap_or(self.rest.len());
        let (name, rest) = self.rest.split_at(end);
        let mut parts = name.split(':');
        let is_part = |part: Option<&str>| part.is_some_and(|part| part.starts_with(is_name_start));
        let is_name = is_part(parts.next())
            && (!name.contains(':') || is_part(parts.next()))
            && parts.next().is_none();
        if !is_name {
            return Err(self.not_well_formed("a name is missing, or is none"));
        }
        self.rest = rest;
        Ok(name)
    }

    fn quoted(&mut self) -> Result<&'t str, XmlError> {
        let quote = match self.rest.as_bytes().first() {
            Some(b'"') => "\"",
            Some(b'\'') => "'",
            _ => return Err(self.not_well_formed("a value has to stand in quotation marks")),
        };
        self.rest = &self.rest[1..];
        self.until(quote, "a quotation mark is not closed")
    }

    fn equals(&mut self) -> Result<(), XmlError> {
        self.space();
        if !self.take("=") {
            return Err(self.not_well_formed("an equals sign is missing"));
        }
        self.space();
        Ok(())
    }

    /// `<?xml …?>`, where there is one (production 23).
    fn declaration(&mut self) -> Result<(), XmlError> {
        let starts = self.rest.strip_prefix("<?xml");
        if !starts.is_some_and(|rest| rest.starts_with([' ', '\t', '\n'])) {
            return Ok(());
        }
        self.take("<?xml");
        match self.declared("version")? {
            Some("1.0") => {}
            Some(_) => return Err(XmlError::Version),
            None => return Err(self.not_well_formed("the declaration has no version")),
        }
        if let Some(encoding) = self.declared("encoding")?
            && !encoding.eq_ignore_ascii_case("utf-8")
        {
            return Err(XmlError::Encoding);
        }
        if !matches!(self.declared("standalone")?, None | Some("yes" | "no")) {
            return Err(self.not_well_formed("standalone is yes or no"));
        }
        self.space();
        match self.take("?>") {
            true => Ok(()),
            false => Err(self.not_well_formed("the declaration does not end as it should")),
        }
    }

    /// A part of the declaration, where it is the next.
    fn declared(&mut self, name: &str) -> Result<Option<&'t str>, XmlError> {
        let before = self.rest;
        if self.space() && self.take(name) {
            self.equals()?;
            return self.quoted().map(Some);
        }
        self.rest = before;
        Ok(None)
    }

    /// Comments, processing instructions and white space before and after the root.
    fn between_elements(&mut self) -> Result<(), XmlError> {
        loop {
            self.space();
            if self.take("<!--") {
                self.comment()?;
            } else if self.take("<?") {
                self.instruction()?;
            } else {
                return Ok(());
            }
        }
    }

    /// What follows `<!--`.
    fn comment(&mut self) -> Result<(), XmlError> {
        self.until("--", "a comment is not closed")?;
        match self.take(">") {
            true => Ok(()),
            false => Err(self.not_well_formed("a comment holds --")),
        }
    }

    /// What follows `<?`.
    fn instruction(&mut self) -> Result<(), XmlError> {
        let target = self.name()?;
        if target.eq_ignore_ascii_case("xml") || target.contains(':') {
            return Err(self.not_well_formed("a processing instruction cannot have this name"));
        }
        if self.take("?>") {
            return Ok(());
        }
        if !self.space() {
            return Err(self.not_well_formed("a processing instruction has no blank"));
        }
        let end = self.until("?>", "a processing instruction is not closed");
        end.map(drop)
    }

    /// The root element; the nesting is on the heap, not on the stack.
    fn tree(&mut self, mut giving: Option<Giving<'_>>) -> Result<Element, XmlError> {
        let mut open: Vec<Open<'t>> = Vec::new();
        loop {
            let finished = self.next_piece(&mut open)?;
            if let Some(giving) = &giving
                && self.read_bytes() - giving.given_bytes > MAX_BYTES
            {
                return Err(XmlError::TooLarge);
            }
            let Some(Finished { element, begins }) = finished else {
                continue;
            };
            match &mut giving {
                Some(giving) if !open.is_empty() && giving.wants(&open, &element) => {
                    giving.given_bytes += self.read_bytes() - begins;
                    (giving.give)(element);
                    continue;
                }
                _ => {}
            }
            match open.last_mut() {
                Some(parent) => parent.element.children.push(element),
                None => return Ok(element),
            }
        }
    }

    /// How much of the document was read.
    fn read_bytes(&self) -> usize {
        self.whole.len() - self.rest.len()
    }

    /// Reads one piece of what is in an element, and gives the element that it ends.
    fn next_piece(&mut self, open: &mut Vec<Open<'t>>) -> Result<Option<Finished>, XmlError> {
        if self.take("</") {
            return self.end_tag(open).map(Some);
        }
        if open.is_empty() && !self.rest.starts_with('<') {
            return Err(self.not_well_formed("there is no root element"));
        }
        if self.take("<!--") {
            self.comment()?;
        } else if self.take("<?") {
            self.instruction()?;
        } else if self.take("<![CDATA[") {
            let text = self.until("]]>", "a CDATA section is not closed")?;
            self.text_of(open)?.push_str(text);
        } else if self.take("<") {
            return self.start_tag(open);
        } else {
            self.character_data(open)?;
        }
        Ok(None)
    }

    /// Where the text of the innermost element is collected.
    fn text_of<'o>(&self, open: &'o mut [Open<'t>]) -> Result<&'o mut String, XmlError> {
        match open.last_mut() {
            Some(innermost) => Ok(&mut innermost.element.text),
            None => Err(self.not_well_formed("there is text outside of the root element")),
        }
    }

    fn character_data(&mut self, open: &mut [Open<'t>]) -> Result<(), XmlError> {
        let end = self.rest.find('<').unwrap_or(self.rest.len());
        let (data, rest) = self.rest.split_at(end);
        if rest.is_empty() {
            return Err(self.not_well_formed("an element is not closed"));
        }
        if data.contains("]]>") {
            return Err(self.not_well_formed("]]> stands in text"));
        }
        let text = self.text_of(open)?;
        self.resolve(data, text)?;
        self.rest = rest;
        Ok(())
    }

    /// Writes text with its references resolved.
    fn resolve(&self, raw: &str, into: &mut String) -> Result<(), XmlError> {
        let mut rest = raw;
        while let Some((before, after)) = rest.split_once('&') {
            into.push_str(before);
            let Some((reference, following)) = after.split_once(';') else {
                return Err(self.not_well_formed("an & is not written as &amp;"));
            };
            into.push(self.referred_to(reference)?);
            rest = following;
        }
        into.push_str(rest);
        Ok(())
    }

    fn referred_to(&self, reference: &str) -> Result<char, XmlError> {
        let number = match reference.strip_prefix('#') {
            Some(number) => number,
            None => return self.entity(reference),
        };
        let (digits, radix) = match number.strip_prefix('x') {
            Some(digits) => (digits, 16),
            None => (number, 10),
        };
        let are_digits = digits
            .bytes()
            .all(|digit| char::from(digit).is_digit(radix));
        let code = u32::from_str_radix(digits, radix).ok();
        let letter = code.filter(|_| are_digits).and_then(char::from_u32);
        letter
            .filter(|letter| is_char(*letter))
            .ok_or_else(|| self.not_well_formed("a reference to no character"))
    }

    fn entity(&self, name: &str) -> Result<char, XmlError> {
        match name {
            "lt" => Ok('<'),
            "gt" => Ok('>'),
            "amp" => Ok('&'),
            "apos" => Ok('\''),
            "quot" => Ok('"'),
            _ if name.starts_with(is_name_start) => Err(XmlError::Entity { line: self.line() }),
            _ => Err(self.not_well_formed("an & is not written as &amp;")),
        }
    }

    /// What follows `<`; the element, where it is empty.
    fn start_tag(&mut self, open: &mut Vec<Open<'t>>) -> Result<Option<Finished>, XmlError> {
        if open.len() == MAX_DEPTH {
            return Err(XmlError::TooDeep);
        }
        let begins = self.read_bytes() - 1;
        let tag = self.name()?;
        let namespaces_outside = self.namespaces.len();
        let attributes = self.attributes()?;
        self.declare(&attributes)?;
        let opened = Open {
            tag,
            element: self.element(tag, attributes)?,
            begins,
            namespaces_outside,
        };
        if self.take("/>") {
            self.namespaces.truncate(namespaces_outside);
            let element = opened.element;
            return Ok(Some(Finished { element, begins }));
        }
        if !self.take(">") {
            return Err(self.not_well_formed("a tag is not closed"));
        }
        open.push(opened);
        Ok(None)
    }

    /// What follows `</`.
    fn end_tag(&mut self, open: &mut Vec<Open<'t>>) -> Result<Finished, XmlError> {
        let tag = self.name()?;
        self.space();
        if !self.take(">") {
            return Err(self.not_well_formed("a tag is not closed"));
        }
        match open.pop() {
            Some(ended) if ended.tag == tag => {
                self.namespaces.truncate(ended.namespaces_outside);
                Ok(Finished {
                    element: ended.element,
                    begins: ended.begins,
                })
            }
            _ => Err(self.not_well_formed("an element ends that was not the last to begin")),
        }
    }

    fn attributes(&mut self) -> Result<Vec<Attribute<'t>>, XmlError> {
        let mut attributes: Vec<Attribute<'t>> = Vec::new();
        loop {
            let was_space = self.space();
            if self.rest.starts_with(['>', '/']) || self.rest.is_empty() {
                return Ok(attributes);
            }
            if !was_space {
                return Err(self.not_well_formed("there is no blank before an attribute"));
            }
            if attributes.len() == MAX_ATTRIBUTES {
                return Err(XmlError::TooManyAttributes);
            }
            let name = self.name()?;
            if attributes.iter().any(|other| other.name == name) {
                return Err(self.not_well_formed("an attribute comes more than once"));
            }
            self.equals()?;
            let value = self.attribute_value()?;
            attributes.push(Attribute { name, value });
        }
    }

    /// A value in which white space that is written as such is blanks (section 3.3.3).
    fn attribute_value(&mut self) -> Result<String, XmlError> {
        let raw = self.quoted()?;
        if raw.contains('<') {
            return Err(self.not_well_formed("an attribute holds <"));
        }
        let mut value = String::new();
        self.resolve(&raw.replace(['\t', '\n'], " "), &mut value)?;
        Ok(value)
    }

    /// Puts the namespaces in force that attributes declare.
    fn declare(&mut self, attributes: &[Attribute<'t>]) -> Result<(), XmlError> {
        for attribute in attributes {
            let Some(prefix) = declared_prefix(attribute.name) else {
                continue;
            };
            let name = attribute.value.as_str();
            let is_allowed = match prefix {
                "xmlns" => false,
                "xml" => name == XML,
                "" => name != XML && name != XMLNS,
                _ => !name.is_empty() && name != XML && name != XMLNS,
            };
            if !is_allowed {
                return Err(self.not_well_formed("a namespace cannot be declared like this"));
            }
            if self.namespaces.len() == MAX_NAMESPACES {
                return Err(XmlError::TooManyNamespaces);
            }
            let name = name.to_owned();
            self.namespaces.push(Namespace { prefix, name });
        }
        Ok(())
    }

    /// An element with those of its attributes that are in no namespace.
    fn element(&self, tag: &str, attributes: Vec<Attribute<'t>>) -> Result<Element, XmlError> {
        let (prefix, local) = tag.split_once(':').unwrap_or(("", tag));
        self.meaning(prefix)?;
        let mut element = Element {
            name: local.to_owned(),
            ..Element::default()
        };
        let mut qualified: Vec<(&str, &str)> = Vec::new();
        for attribute in attributes {
            if declared_prefix(attribute.name).is_some() {
                continue;
            }
            let Some((prefix, local)) = attribute.name.split_once(':') else {
                let name = attribute.name.to_owned();
                element.attributes.push((name, attribute.value));
                continue;
            };
            let name = (self.meaning(prefix)?, local);
            if qualified.contains(&name) {
                return Err(self.not_well_formed("an attribute comes more than once"));
            }
            qualified.push(name);
            if name == (SCHEMA_INSTANCE, "nil") {
                element.is_nil = matches!(attribute.value.trim(), "true" | "1");
            }
        }
        Ok(element)
    }

    /// What a prefix means here; empty where there is no default.
    fn meaning(&self, prefix: &str) -> Result<&str, XmlError> {
        let innermost = self.namespaces.iter().rev();
        let mut declared = innermost.filter(|namespace| namespace.prefix == prefix);
        match (declared.next(), prefix) {
            (Some(namespace), _) => Ok(&namespace.name),
            (None, "xml") => Ok(XML),
            (None, "") => Ok(""),
            (None, _) => Err(self.not_well_formed("a prefix has no namespace")),
        }
    }
}

/// The prefix that an attribute of this name declares; empty for the default.
fn declared_prefix(name: &str) -> Option<&str> {
    match name.strip_prefix("xmlns")? {
        "" => Some(""),
        rest => rest.strip_prefix(':'),
    }
}
