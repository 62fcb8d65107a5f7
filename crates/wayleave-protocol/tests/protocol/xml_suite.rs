//! The XML conformance suite of the W3C against the reader: no document type survives, what is not
//! well-formed is refused, the well-formed rest is read.

use crate::vector_path;
use proptest::prelude::*;
use wayleave_protocol::xml::{self, Element, Name, Writer, XmlError, parse};

/// Documents with the word in a comment, an instruction or a CDATA section, where it is text.
const MENTIONS: [&str; 3] = ["o-p15pass1", "o-p16pass1", "o-p18pass1"];

/// A document of the suite, and what it is by the suite's own word.
struct Document {
    id: String,
    /// `not-wf`, `valid`, `invalid` or `error`.
    kind: String,
    /// Such as `XML1.1`; `-` where none is named.
    recommendation: String,
    /// Editions of XML 1.0 by which it is of this kind; `-`: all.
    editions: String,
    /// Whether it is so also where colons in names mean namespaces.
    with_namespaces: bool,
    bytes: Vec<u8>,
}

/// Reads the packed documents: a line with six words, the last of them how many bytes follow it.
fn documents() -> Vec<Document> {
    let packed = std::fs::read(vector_path("xmlconf/documents")).unwrap();
    let mut rest = packed.as_slice();
    let mut documents = Vec::new();
    while !rest.is_empty() {
        let end = rest.iter().position(|byte| *byte == b'\n').unwrap();
        let line = std::str::from_utf8(&rest[..end]).unwrap();
        let words: Vec<&str> = line.split(' ').collect();
        let length: usize = words[5].parse().unwrap();
        let bytes = rest[end + 1..][..length].to_vec();
        rest = &rest[end + 1 + length + 1..];
        documents.push(Document {
            id: words[0].to_owned(),
            kind: words[1].to_owned(),
            recommendation: words[2].to_owned(),
            editions: words[3].to_owned(),
            with_namespaces: words[4] == "yes",
            bytes,
        });
    }
    documents
}

impl Document {
    fn has(&self, text: &str) -> bool {
        let wide = |to_bytes: fn(u16) -> [u8; 2]| -> Vec<u8> {
            text.encode_utf16().flat_map(to_bytes).collect()
        };
        let spellings = [
            text.as_bytes().to_vec(),
            wide(u16::to_le_bytes),
            wide(u16::to_be_bytes),
        ];
        let is_there = |spelling: &Vec<u8>| {
            let mut windows = self.bytes.windows(spelling.len());
            windows.any(|window| window == spelling.as_slice())
        };
        spellings.iter().any(is_there)
    }

    /// Whether a reader of XML 1.0, fifth edition, with namespaces and in UTF-8 alone, reads it.
    fn is_readable(&self) -> bool {
        let is_so_in_the_fifth = self.editions == "-" || self.editions.contains('5');
        let is_well_formed = (self.kind == "not-wf") != is_so_in_the_fifth;
        let is_of_1_0 = !self.has("version=\"1.1\"");
        let is_utf_8 = std::str::from_utf8(&self.bytes).is_ok() && !self.has("iso-8859-1");
        is_well_formed && is_of_1_0 && is_utf_8 && self.with_namespaces
    }
}

#[test]
fn no_document_type_survives_and_only_the_well_formed_is_read() {
    let mut counts = [0; 3];
    for document in documents() {
        let read = parse(&document.bytes);
        if document.has("<!DOCTYPE") && !MENTIONS.contains(&document.id.as_str()) {
            counts[0] += 1;
            assert!(read.is_err(), "{}", document.id);
        } else if document.is_readable() {
            counts[1] += 1;
            assert!(read.is_ok(), "{}: {read:?}", document.id);
        } else {
            counts[2] += 1;
            let about = (&document.id, &document.recommendation);
            assert!(read.is_err(), "{about:?} was read");
        }
    }
    assert_eq!(counts, [2181, 74, 325]);
}

#[test]
fn documents_that_grow_when_they_are_read_are_refused() {
    let laughs = concat!(
        "<!DOCTYPE l [<!ENTITY a \"ha\"><!ENTITY b \"&a;&a;&a;&a;\">",
        "<!ENTITY c \"&b;&b;&b;&b;\">]><l>&c;</l>"
    );
    assert_eq!(parse(laughs.as_bytes()), Err(XmlError::DocumentType));
    let outside = "<?xml version='1.0'?><!-- --><!DOCTYPE l SYSTEM 'http://127.0.0.1/x'><l/>";
    assert_eq!(parse(outside.as_bytes()), Err(XmlError::DocumentType));
    assert_eq!(
        parse(b"<l>\n<m>&a;</m></l>"),
        Err(XmlError::Entity { line: 2 })
    );
    assert_eq!(parse(b"<l a='&a;'/>"), Err(XmlError::Entity { line: 1 }));
}

#[test]
fn depth_attributes_namespaces_and_size_are_bounded() {
    let nested = |depth: usize| "<x>".repeat(depth) + &"</x>".repeat(depth);
    assert!(parse(nested(32).as_bytes()).is_ok());
    for depth in [33, 10_000] {
        assert_eq!(parse(nested(depth).as_bytes()), Err(XmlError::TooDeep));
    }
    let with = |count: usize, form: fn(usize) -> String| {
        let attributes: String = (0..count).map(form).collect();
        format!("<x{attributes}/>").into_bytes()
    };
    let plain = |number| format!(" a{number}=''");
    assert_eq!(parse(&with(64, plain)).unwrap().attributes.len(), 64);
    for count in [65, 50_000] {
        assert_eq!(parse(&with(count, plain)), Err(XmlError::TooManyAttributes));
    }
    let declaring = |number| format!(" xmlns:a{number}='urn:x'");
    assert!(parse(&with(32, declaring)).is_ok());
    assert_eq!(
        parse(&with(33, declaring)),
        Err(XmlError::TooManyNamespaces)
    );
    assert_eq!(
        parse(&with(50_000, declaring)),
        Err(XmlError::TooManyAttributes)
    );
    let text = "x".repeat(xml::MAX_BYTES);
    assert_eq!(
        parse(format!("<x>{text}</x>").as_bytes()),
        Err(XmlError::TooLarge)
    );
}

#[test]
fn namespaces_end_where_they_were_declared() {
    let many = "<a xmlns:p='urn:p'/>".repeat(100);
    assert!(parse(format!("<x>{many}</x>").as_bytes()).is_ok());
    assert!(parse(b"<x><a xmlns:p='urn:p'/><p:b/></x>").is_err());
}

#[test]
fn what_is_data_is_kept_and_nothing_else() {
    let read = parse(
        "\u{feff}<?xml version='1.0' encoding='UTF-8'?>\r\n<!-- a --><p:Resource xmlns:p='urn:p' \
         xmlns:i='http://www.w3.org/2001/XMLSchema-instance' Key=' a\r\nb&#10;c' p:x='1'>\
         <Title>&lt;b&gt; <![CDATA[&amp;]]> &#x41;<?go on?></Title>\r\n<Byline i:nil='true'/>\
         </p:Resource><!-- b -->"
            .as_bytes(),
    )
    .unwrap();
    let child = |name: &str, text: &str, is_nil| Element {
        name: name.to_owned(),
        text: text.to_owned(),
        is_nil,
        ..Element::default()
    };
    let expected = Element {
        name: "Resource".to_owned(),
        attributes: vec![("Key".to_owned(), " a b\nc".to_owned())],
        is_nil: false,
        children: vec![
            child("Title", "<b> &amp; A", false),
            child("Byline", "", true),
        ],
        text: "\n".to_owned(),
    };
    assert_eq!(read, expected);
}

#[test]
fn an_error_says_in_which_line() {
    let refused = parse(b"<a>\n<b>\n</a>").unwrap_err();
    let XmlError::NotWellFormed { line, .. } = refused else {
        panic!("{refused:?}");
    };
    assert_eq!(line, 3);
}

const ROOT: Name = Name::new("Root");
const PART: Name = Name::new("Part");
const KEY: Name = Name::new("Key");

#[test]
fn what_xml_cannot_carry_is_replaced() {
    let written = Writer::document(|writer| {
        writer.text_element(ROOT, &[(KEY, "\u{0}\u{1b}")], "a\u{1}b\u{ffff}]]>");
    });
    let read = parse(written.as_bytes()).unwrap();
    assert_eq!(read.text, "a\u{fffd}b\u{fffd}]]>");
    assert_eq!(read.attributes[0].1, "\u{fffd}\u{fffd}");
}

#[test]
fn an_element_without_anything_in_it_is_one_tag() {
    let written = Writer::fragment(|writer| {
        writer.element(ROOT, &[(KEY, "")], |inside| {
            inside.text_element(PART, &[], "");
        });
        writer.element(PART, &[], |_| {});
    });
    assert_eq!(written, "<Root Key=\"\"><Part /></Root><Part />");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn text_that_is_written_is_read_back(text: String, key: String) {
        let carried = |text: &str| -> String {
            let shown = |letter| if xml::is_char(letter) { letter } else { '\u{fffd}' };
            text.chars().map(shown).collect()
        };
        let written = Writer::document(|writer| {
            writer.element(ROOT, &[(KEY, &key)], |inside| inside.text_element(PART, &[], &text));
        });
        let read = parse(written.as_bytes()).unwrap();
        prop_assert_eq!(&read.attributes[0].1, &carried(&key));
        prop_assert_eq!(&read.children[0].text, &carried(&text));
    }

    #[test]
    fn no_bytes_make_the_reader_panic(bytes: Vec<u8>, pieces in prop::collection::vec(
        prop::sample::select(vec!["<a", ">", "</a>", " b='", "'", "&#1", "&lt;", "<!--", "-->",
            "<![CDATA[", "]]>", "<?x ", "?>", "xmlns:p=", "p:", "<!DOCTYPE", "\r\n", "\u{e4}"]), 0..30)
    ) {
        let _ = parse(&bytes);
        let _ = parse(pieces.concat().as_bytes());
    }
}
