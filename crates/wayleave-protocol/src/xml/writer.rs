use super::is_char;

const DECLARATION: &str = "<?xml version=\"1.0\" encoding=\"utf-8\"?>";

/// The name of an element or attribute, checked when the program is built.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Name(&'static str);

impl Name {
    /// A name of ASCII letters and digits that begins with a letter.
    ///
    /// # Panics
    /// When the text is not such a name; in a constant that is an error of the build.
    pub const fn new(text: &'static str) -> Self {
        let bytes = text.as_bytes();
        assert!(!bytes.is_empty() && bytes[0].is_ascii_alphabetic());
        let mut at = 1;
        while at < bytes.len() {
            assert!(bytes[at].is_ascii_alphanumeric());
            at += 1;
        }
        Name(text)
    }

    /// The name as a text.
    pub const fn as_str(self) -> &'static str {
        self.0
    }
}

/// Writes elements in order. Whatever is called, what it has written is well-formed: elements end by
/// themselves, names are checked, and of text every letter that means something is escaped.
/// Characters that XML 1.0 does not have become U+FFFD.
///
/// ```
/// use wayleave_protocol::xml::{Name, Writer};
/// const TIER: Name = Name::new("Tier");
/// const PRICE: Name = Name::new("Price");
/// let written = Writer::document(|writer| {
///     writer.element(TIER, &[], |inside| inside.text_element(PRICE, &[], "<1 & a bit"));
/// });
/// assert!(written.ends_with("<Tier><Price>&lt;1 &amp; a bit</Price></Tier>"));
/// ```
#[derive(Debug, Default)]
pub struct Writer {
    text: String,
}

impl Writer {
    /// A document with its declaration. `write` has to write one element.
    pub fn document(write: impl FnOnce(&mut Writer)) -> String {
        let text = DECLARATION.to_owned();
        let mut writer = Writer { text };
        write(&mut writer);
        writer.text
    }

    /// A piece of a document that is sent in pieces.
    pub fn fragment(write: impl FnOnce(&mut Writer)) -> String {
        let mut writer = Writer::default();
        write(&mut writer);
        writer.text
    }

    /// The two pieces round the elements of a document that is sent in pieces.
    pub fn around(root: Name) -> (String, String) {
        let Name(name) = root;
        (format!("{DECLARATION}<{name}>"), format!("</{name}>"))
    }

    /// An element with other elements in it. Where `inside` writes nothing, it is empty.
    pub fn element(
        &mut self,
        name: Name,
        attributes: &[(Name, &str)],
        inside: impl FnOnce(&mut Writer),
    ) {
        self.start(name, attributes);
        let before = self.text.len();
        inside(self);
        self.end(name, before);
    }

    /// An element with text in it.
    pub fn text_element(&mut self, name: Name, attributes: &[(Name, &str)], text: &str) {
        self.start(name, attributes);
        let before = self.text.len();
        text.chars().for_each(|letter| self.letter(letter));
        self.end(name, before);
    }

    /// Everything of a start tag but its last sign.
    fn start(&mut self, Name(name): Name, attributes: &[(Name, &str)]) {
        self.text.push('<');
        self.text.push_str(name);
        for (Name(name), value) in attributes {
            self.text.push(' ');
            self.text.push_str(name);
            self.text.push_str("=\"");
            value
                .chars()
                .for_each(|letter| self.attribute_letter(letter));
            self.text.push('"');
        }
        self.text.push('>');
    }

    /// `before`: how long the text was when the start tag was written.
    fn end(&mut self, Name(name): Name, before: usize) {
        if self.text.len() == before {
            self.text.truncate(before - 1);
            self.text.push_str(" />");
            return;
        }
        self.text.push_str("</");
        self.text.push_str(name);
        self.text.push('>');
    }

    fn letter(&mut self, letter: char) {
        match letter {
            '<' => self.text.push_str("&lt;"),
            '>' => self.text.push_str("&gt;"),
            '&' => self.text.push_str("&amp;"),
            // As it stands it would be read as a line feed.
            '\r' => self.text.push_str("&#13;"),
            letter if is_char(letter) => self.text.push(letter),
            _ => self.text.push('\u{FFFD}'),
        }
    }

    fn attribute_letter(&mut self, letter: char) {
        match letter {
            '"' => self.text.push_str("&quot;"),
            // As they stand they would be read as blanks.
            '\t' => self.text.push_str("&#9;"),
            '\n' => self.text.push_str("&#10;"),
            letter => self.letter(letter),
        }
    }
}
