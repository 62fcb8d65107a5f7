//! The working group's tests of structured fields (RFC 9651), through the parser and the serializer
//! that signatures over messages stand on. None is excepted.

use crate::vector_path;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use sfv::{BareItem, Dictionary, FieldType, InnerList, Item, List, ListEntry, Parameters, Parser};

/// The alphabet of RFC 4648 section 6, in which the tests write bytes.
fn base32(text: &str) -> Vec<u8> {
    let (mut bits, mut held, mut bytes) = (0_u32, 0, Vec::new());
    for letter in text.trim_end_matches('=').bytes() {
        let value = match letter {
            b'A'..=b'Z' => letter - b'A',
            _ => letter - b'2' + 26,
        };
        bits = bits << 5 | u32::from(value);
        held += 5;
        if held >= 8 {
            held -= 8;
            bytes.push((bits >> held) as u8);
        }
    }
    bytes
}

/// A value as the tests write it, in a form in which two are compared.
fn bare(item: &BareItem) -> Value {
    match item {
        BareItem::Boolean(value) => json!(value),
        BareItem::Integer(value) => json!(i64::from(*value)),
        BareItem::Decimal(value) => json!(f64::from(*value)),
        BareItem::String(value) => json!(value.as_str()),
        BareItem::Token(value) => json!({ "__type": "token", "value": value.as_str() }),
        BareItem::ByteSequence(value) => {
            json!({ "__type": "binary", "value": STANDARD.encode(value) })
        }
        BareItem::Date(value) => {
            json!({ "__type": "date", "value": i64::from(value.unix_seconds()) })
        }
        BareItem::DisplayString(value) => json!({ "__type": "displaystring", "value": value }),
    }
}

fn parameters(given: &Parameters) -> Value {
    given
        .iter()
        .map(|(key, value)| json!([key.as_str(), bare(value)]))
        .collect()
}

fn item(given: &Item) -> Value {
    json!([bare(&given.bare_item), parameters(&given.params)])
}

fn entry(given: &ListEntry) -> Value {
    match given {
        ListEntry::Item(given) => item(given),
        ListEntry::InnerList(InnerList { items, params }) => {
            json!([
                items.iter().map(item).collect::<Vec<_>>(),
                parameters(params)
            ])
        }
    }
}

/// The expected value with its bytes in base64, as [`bare`] writes them.
fn expected(value: &Value) -> Value {
    match value {
        Value::Array(values) => values.iter().map(expected).collect(),
        Value::Object(object) if object["__type"] == "binary" => {
            let bytes = base32(object["value"].as_str().unwrap());
            json!({ "__type": "binary", "value": STANDARD.encode(bytes) })
        }
        other => other.clone(),
    }
}

/// What a field is read as, and how it is written anew.
fn read(kind: &str, raw: &str) -> Option<(Value, Option<String>)> {
    let parser = Parser::new(raw);
    match kind {
        "item" => {
            let read: Item = parser.parse().ok()?;
            Some((item(&read), Some(read.serialize())))
        }
        "list" => {
            let read: List = parser.parse().ok()?;
            Some((read.iter().map(entry).collect(), read.serialize()))
        }
        _ => {
            let read: Dictionary = parser.parse().ok()?;
            let members = read.iter();
            let members = members.map(|(key, value)| json!([key.as_str(), entry(value)]));
            Some((members.collect(), read.serialize()))
        }
    }
}

fn lines(value: &Value) -> Vec<&str> {
    let lines = value.as_array().map(Vec::as_slice).unwrap_or_default();
    lines.iter().map(|line| line.as_str().unwrap()).collect()
}

/// What is wrong with how a test came out.
fn judge(test: &Value) -> Result<(), String> {
    let raw = lines(&test["raw"]).join(", ");
    let kind = test["header_type"].as_str().unwrap();
    match read(kind, &raw) {
        None if test["must_fail"] == true || test["can_fail"] == true => Ok(()),
        None => Err("was refused".to_owned()),
        Some(_) if test["must_fail"] == true => Err("was read".to_owned()),
        Some((value, written)) => {
            if value != expected(&test["expected"]) {
                return Err(format!("was read as {value}"));
            }
            let canonical = if test["canonical"].is_array() {
                lines(&test["canonical"])
            } else {
                vec![raw.as_str()]
            };
            let written: Vec<&str> = written.iter().map(String::as_str).collect();
            if written == canonical {
                Ok(())
            } else {
                Err(format!("was written as {written:?}"))
            }
        }
    }
}

fn tests_of(name: &str) -> Vec<Value> {
    let path = vector_path("structured-field-tests").join(name);
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

#[test]
fn every_field_of_the_working_group_is_read_and_written_as_it_says() {
    let folder = std::fs::read_dir(vector_path("structured-field-tests")).unwrap();
    let names = folder.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let (mut count, mut failed) = (0, Vec::new());
    for name in names.filter(|name| name.ends_with(".json")) {
        for test in tests_of(&name) {
            count += 1;
            let title = test["name"].as_str().unwrap();
            if let Err(why) = judge(&test) {
                failed.push(format!("{name}: {title}: {why}"));
            }
        }
    }
    assert_eq!(failed, Vec::<String>::new());
    assert_eq!(count, 1_591);
}

/// A bare item of the tests, where there can be one.
fn make_bare(value: &Value) -> Option<BareItem> {
    Some(match value {
        Value::Bool(value) => BareItem::Boolean(*value),
        Value::String(text) => BareItem::String(sfv::String::from_string(text.clone()).ok()?),
        Value::Number(number) => match number.as_i64() {
            Some(number) => BareItem::Integer(sfv::Integer::try_from(number).ok()?),
            None => BareItem::Decimal(sfv::Decimal::try_from(number.as_f64()?).ok()?),
        },
        Value::Object(object) => {
            let text = object["value"].as_str()?;
            match object["__type"].as_str()? {
                "token" => BareItem::Token(sfv::Token::from_string(text.to_owned()).ok()?),
                "binary" => BareItem::ByteSequence(base32(text)),
                _ => return None,
            }
        }
        _ => return None,
    })
}

fn make_parameters(value: &Value) -> Option<Parameters> {
    let pairs = value.as_array()?.iter();
    pairs
        .map(|pair| {
            let key = sfv::Key::from_string(pair[0].as_str()?.to_owned()).ok()?;
            Some((key, make_bare(&pair[1])?))
        })
        .collect()
}

fn make_item(value: &Value) -> Option<Item> {
    Some(Item::with_params(
        make_bare(&value[0])?,
        make_parameters(&value[1])?,
    ))
}

/// The field that the test wants written; `None`: no such value can be made.
fn write(kind: &str, value: &Value) -> Option<String> {
    match kind {
        "item" => Some(make_item(value)?.serialize()),
        "list" => {
            let items = value.as_array()?.iter();
            let list: Option<List> = items.map(|item| Some(make_item(item)?.into())).collect();
            list?.serialize()
        }
        _ => {
            let members = value.as_array()?.iter();
            let dictionary: Option<Dictionary> = members
                .map(|member| {
                    let key = sfv::Key::from_string(member[0].as_str()?.to_owned()).ok()?;
                    Some((key, make_item(&member[1])?.into()))
                })
                .collect();
            dictionary?.serialize()
        }
    }
}

#[test]
fn every_value_of_the_working_group_is_written_or_cannot_be_made() {
    let mut count = 0;
    for name in [
        "key-generated",
        "number",
        "string-generated",
        "token-generated",
    ] {
        for test in tests_of(&format!("serialisation-tests/{name}.json")) {
            count += 1;
            let title = test["name"].as_str().unwrap();
            let written = write(test["header_type"].as_str().unwrap(), &test["expected"]);
            if test["must_fail"] == true {
                assert_eq!(written, None, "{title}");
            } else {
                assert_eq!(
                    written.as_deref(),
                    Some(lines(&test["canonical"])[0]),
                    "{title}"
                );
            }
        }
    }
    assert_eq!(count, 544);
}
