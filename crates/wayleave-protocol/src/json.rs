//! A strict reader for small JSON request bodies (RFC 8259): duplicate member names are
//! refused at every depth, because two readers may differ in which of them they believe
//! (RFC 8725 2.4 names the danger for tokens), and so are deep nesting and a byte order mark.

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use std::cell::RefCell;
use std::fmt;

/// The deepest nesting [`parse_object`] reads; the object itself is depth 1.
pub const MAX_DEPTH: usize = 64;

/// Why a body was refused.
#[derive(Clone, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum JsonError {
    /// The bytes are not UTF-8.
    #[error("the body is not UTF-8 text")]
    NotUtf8,
    /// The text begins with a byte order mark.
    #[error("the body begins with a byte order mark, which JSON must not have")]
    ByteOrderMark,
    /// The text is not JSON. Line and column count from 1.
    #[error("the body is not JSON: see line {line}, column {column}")]
    Syntax {
        /// The line of the first error.
        line: usize,
        /// The column of the first error, in bytes.
        column: usize,
    },
    /// An object names the same member twice, letter case regarded.
    #[error("the member {} is given more than once", crate::secret::name_in_message(.0))]
    DuplicateName(String),
    /// The nesting is deeper than allowed.
    #[error("the body is nested too deeply")]
    TooDeep,
    /// The text is JSON, but not an object.
    #[error("the body is not a JSON object")]
    NotAnObject,
}

/// Reads one JSON object, with nothing but white space round it. The caller bounds the size.
///
/// # Errors
/// See [`JsonError`].
///
/// ```
/// use wayleave_protocol::json::{parse_object, JsonError};
/// let body = parse_object(br#"{"api_key": "k", "api_secret": "s"}"#).unwrap();
/// assert_eq!(body["api_key"], "k");
/// assert_eq!(parse_object(br#"{"a":1,"a":2}"#), Err(JsonError::DuplicateName("a".to_owned())));
/// assert_eq!(parse_object(b"[]"), Err(JsonError::NotAnObject));
/// ```
pub fn parse_object(input: &[u8]) -> Result<Map<String, Value>, JsonError> {
    parse_object_within(input, MAX_DEPTH)
}

/// [`parse_object`] with another limit to the depth.
pub(crate) fn parse_object_within(
    input: &[u8],
    max_depth: usize,
) -> Result<Map<String, Value>, JsonError> {
    let text = std::str::from_utf8(input).map_err(|_| JsonError::NotUtf8)?;
    if text.starts_with('\u{feff}') {
        return Err(JsonError::ByteOrderMark);
    }
    let refusal = RefCell::new(None);
    let strict = Strict {
        depth_left: max_depth,
        refusal: &refusal,
    };
    let mut reader = serde_json::Deserializer::from_str(text);
    let value = strict
        .deserialize(&mut reader)
        .and_then(|value| reader.end().map(|()| value));
    match value {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err(JsonError::NotAnObject),
        Err(error) => Err(refusal.take().unwrap_or_else(|| JsonError::Syntax {
            line: error.line(),
            column: error.column(),
        })),
    }
}

/// Builds a value, and leaves the reason in `refusal` when it is ours and not the syntax's.
#[derive(Clone, Copy)]
struct Strict<'a> {
    depth_left: usize,
    refusal: &'a RefCell<Option<JsonError>>,
}

impl Strict<'_> {
    fn deeper<E: serde::de::Error>(self) -> Result<Self, E> {
        match self.depth_left.checked_sub(1) {
            Some(depth_left) => Ok(Self { depth_left, ..self }),
            None => Err(self.refuse(JsonError::TooDeep)),
        }
    }

    fn refuse<E: serde::de::Error>(self, reason: JsonError) -> E {
        self.refusal.replace(Some(reason));
        E::custom("refused")
    }
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        let number = Number::from_f64(value).ok_or_else(|| E::custom("number out of range"))?;
        Ok(Value::Number(number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut array = Vec::new();
        while let Some(item) = items.next_element_seed(inner)? {
            array.push(item);
        }
        Ok(Value::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut object = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            if object.contains_key(&name) {
                return Err(self.refuse(JsonError::DuplicateName(name)));
            }
            let value = members.next_value_seed(inner)?;
            object.insert(name, value);
        }
        Ok(Value::Object(object))
    }
}
