//! JSONTestSuite against the strict reader: what is not JSON is never taken, what is JSON is
//! taken when it is an object without repeated names.

use crate::vector_path;
use wayleave_protocol::json::{JsonError, parse_object};

/// What the suite calls valid JSON and we refuse on purpose.
const REPEATED_NAMES: [&str; 2] = [
    "y_object_duplicated_key.json",
    "y_object_duplicated_key_and_value.json",
];

#[test]
fn the_json_test_suite_is_read_strictly() {
    let mut counts = [0; 3];
    for entry in std::fs::read_dir(vector_path("JSONTestSuite/test_parsing")).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let input = std::fs::read(entry.path()).unwrap();
        let wrapped = [b"{\"v\":", input.as_slice(), b"}"].concat();
        match &name[..2] {
            "y_" => {
                counts[0] += 1;
                check_valid(&name, &input, &wrapped);
            }
            "n_" => {
                counts[1] += 1;
                assert!(parse_object(&input).is_err(), "{name}");
                assert!(parse_object(&wrapped).is_err(), "{name}, as a member");
            }
            _ => {
                counts[2] += 1;
                let _ = parse_object(&input); // either answer is good, a panic is not
                let _ = parse_object(&wrapped);
            }
        }
    }
    assert_eq!(counts, [95, 188, 35]);
}

fn check_valid(name: &str, input: &[u8], wrapped: &[u8]) {
    if REPEATED_NAMES.contains(&name) {
        assert!(
            matches!(parse_object(input), Err(JsonError::DuplicateName(_))),
            "{name}"
        );
        return;
    }
    let expected: serde_json::Value = serde_json::from_slice(input).unwrap();
    match parse_object(input) {
        Ok(object) => assert_eq!(serde_json::Value::Object(object), expected, "{name}"),
        Err(error) => {
            assert_eq!(error, JsonError::NotAnObject, "{name}");
            assert!(!expected.is_object(), "{name}");
        }
    }
    assert_eq!(
        parse_object(wrapped).unwrap()["v"],
        expected,
        "{name}, as a member"
    );
}

#[test]
fn encodings_other_than_plain_utf8_are_refused() {
    assert_eq!(
        parse_object(b"\xef\xbb\xbf{}"),
        Err(JsonError::ByteOrderMark)
    );
    assert_eq!(parse_object(b"{\"a\":\"\xff\"}"), Err(JsonError::NotUtf8));
    assert!(parse_object(b"{\0\"\0a\0\"\0:\x001\0}\0").is_err());
    assert!(parse_object(b"").is_err());
    assert!(parse_object(b"{} {}").is_err());
}

#[test]
fn repeated_names_are_refused_at_any_depth_and_letter_case_counts() {
    let repeated = JsonError::DuplicateName("a".to_owned());
    assert_eq!(
        parse_object(br#"{"x":[{"y":{"a":1,"b":2,"a":1}}]}"#),
        Err(repeated.clone())
    );
    assert_eq!(parse_object(br#"{"a":1,"\u0061":1}"#), Err(repeated));
    assert_eq!(
        parse_object(br#"{"a":1,"A":1,"x":{"a":1}}"#).unwrap().len(),
        3
    );
}

#[test]
fn nesting_is_allowed_to_64_levels() {
    let nested = |levels: usize| {
        format!(
            "{{\"a\":{}1{}}}",
            "[".repeat(levels - 1),
            "]".repeat(levels - 1)
        )
        .into_bytes()
    };
    assert!(parse_object(&nested(64)).is_ok());
    assert_eq!(parse_object(&nested(65)), Err(JsonError::TooDeep));
    assert_eq!(parse_object(&nested(100_000)), Err(JsonError::TooDeep));
    let objects = "{\"a\":".repeat(65) + "1" + &"}".repeat(65);
    assert_eq!(parse_object(objects.as_bytes()), Err(JsonError::TooDeep));
}

#[test]
fn a_syntax_error_says_where() {
    let error = parse_object(b"{\n  \"a\": x}").unwrap_err();
    assert_eq!(error, JsonError::Syntax { line: 2, column: 8 });
}
