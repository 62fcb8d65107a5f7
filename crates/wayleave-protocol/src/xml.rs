//! Small XML documents (XML 1.0, fifth edition, with Namespaces in XML 1.0, third edition) as trees of
//! elements, without anything that could name something outside the document: a document type is
//! refused, and with it every entity but the five that need none.
//!
//! A tree has what data is made of: names without their prefixes, attributes, text. Comments,
//! processing instructions and the order between an element's text and its children are not kept.

mod reader;
mod writer;

pub use reader::{parse, parse_giving};
pub use writer::{Name, Writer};

/// The largest document that is read, in bytes.
pub const MAX_BYTES: usize = 1024 * 1024;
/// The deepest nesting that is read; the root element is depth 1.
pub const MAX_DEPTH: usize = 32;
/// The most attributes of one element, declarations of namespaces among them.
pub const MAX_ATTRIBUTES: usize = 64;
/// The most declarations of namespaces that are in force at one place.
pub const MAX_NAMESPACES: usize = 32;

/// An element with all that is in it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Element {
    /// Its name, without the prefix.
    pub name: String,
    /// The attributes that are in no namespace, in their order; each name comes once.
    pub attributes: Vec<(String, String)>,
    /// Whether `nil` of the namespace of XML Schema instances says that there is no value.
    pub is_nil: bool,
    /// The elements in it, in their order.
    pub children: Vec<Element>,
    /// All text that is directly in it, as one.
    pub text: String,
}

/// Why a document was refused.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, thiserror::Error)]
pub enum XmlError {
    /// More than [`MAX_BYTES`].
    #[error("the document is larger than {MAX_BYTES} bytes")]
    TooLarge,
    /// The bytes are not UTF-8.
    #[error("the document is not UTF-8 text")]
    NotUtf8,
    /// The declaration names another version than 1.0.
    #[error("the document is not XML 1.0")]
    Version,
    /// The declaration names another encoding than UTF-8.
    #[error("the document says that its encoding is another than UTF-8")]
    Encoding,
    /// It has a `<!DOCTYPE`.
    #[error("a document type (<!DOCTYPE) is not taken: send the elements alone")]
    DocumentType,
    /// It uses an entity other than `lt`, `gt`, `amp`, `apos` and `quot`.
    #[error("line {line}: only the entities lt, gt, amp, apos and quot are known")]
    Entity {
        /// The line in which the text with it begins, from 1.
        line: usize,
    },
    /// Elements are nested deeper than [`MAX_DEPTH`].
    #[error("the elements are nested deeper than {MAX_DEPTH}")]
    TooDeep,
    /// An element has more than [`MAX_ATTRIBUTES`].
    #[error("an element has more than {MAX_ATTRIBUTES} attributes")]
    TooManyAttributes,
    /// More than [`MAX_NAMESPACES`] are declared at one place.
    #[error("more than {MAX_NAMESPACES} namespaces are declared")]
    TooManyNamespaces,
    /// The document is not well-formed.
    #[error("line {line}: {why}")]
    NotWellFormed {
        /// The line of the error, or in which the text with it begins, from 1.
        line: usize,
        /// What is wrong.
        why: &'static str,
    },
}

/// Whether XML 1.0 can carry a character at all (production 2): not U+FFFE, U+FFFF and the control
/// characters below the blank other than tab, line feed and carriage return.
pub fn is_char(letter: char) -> bool {
    match letter {
        '\t' | '\n' | '\r' => true,
        '\u{FFFE}' | '\u{FFFF}' => false,
        letter => letter >= ' ',
    }
}

/// Productions 4 and 4a, without the colon, which is between a prefix and a name.
fn is_name_start(letter: char) -> bool {
    matches!(letter,
        'A'..='Z' | '_' | 'a'..='z'
        | '\u{C0}'..='\u{D6}' | '\u{D8}'..='\u{F6}' | '\u{F8}'..='\u{2FF}'
        | '\u{370}'..='\u{37D}' | '\u{37F}'..='\u{1FFF}' | '\u{200C}'..='\u{200D}'
        | '\u{2070}'..='\u{218F}' | '\u{2C00}'..='\u{2FEF}' | '\u{3001}'..='\u{D7FF}'
        | '\u{F900}'..='\u{FDCF}' | '\u{FDF0}'..='\u{FFFD}' | '\u{10000}'..='\u{EFFFF}')
}

fn is_name_letter(letter: char) -> bool {
    is_name_start(letter)
        || matches!(letter,
            '-' | '.' | '0'..='9' | '\u{B7}' | '\u{300}'..='\u{36F}' | '\u{203F}'..='\u{2040}')
}
