//! A strict reader for small JSON request bodies (RFC 8259): duplicate member names are
//! refused at every depth, because two readers may differ in which of them they believe
//! (RFC 8725 2.4 names the danger for tokens), and so are deep nesting and a byte order mark.

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use std::cell::RefCell;
use std::fmt;

/// The deepest nesting [`parse_object`] reads; the object itself is depth 1.
pub const MAX_DEPTH: usize = 64;
/// The most values that [`parse_object_giving`] holds at once.
pub const MAX_HELD_VALUES: usize = 65_536;

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
    /// More than [`MAX_HELD_VALUES`] beside the items of the lists that are given away, or in one of them.
    #[error("the body has more than {MAX_HELD_VALUES} values in one item, or beside its items")]
    TooMany,
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
    read(input, max_depth, None)
}

/// [`parse_object`] for bodies that are one long list and little else: the items of some lists are given
/// away one by one, and the lists stay empty. `is_given`: whether this is such a list, by the names of the
/// members that lead to it, the outermost first.
///
/// ```
/// use wayleave_protocol::json::parse_object_giving;
/// let mut items = Vec::new();
/// let body = br#"{"Data":{"List":[1,{"List":[2]}]}}"#;
/// let rest = parse_object_giving(body, &|names| names == ["Data", "List"], &mut |item| items.push(item));
/// assert_eq!(serde_json::json!(rest.unwrap()), serde_json::json!({"Data": {"List": []}}));
/// assert_eq!(serde_json::json!(items), serde_json::json!([1, {"List": [2]}]));
/// ```
pub fn parse_object_giving(
    input: &[u8],
    is_given: &dyn Fn(&[String]) -> bool,
    give: &mut dyn FnMut(Value),
) -> Result<Map<String, Value>, JsonError> {
    let giving = RefCell::new(Giving {
        is_given,
        give,
        names: Vec::new(),
        is_within_item: false,
        held: 0,
    });
    read(input, MAX_DEPTH, Some(&giving))
}

/// What becomes of the items of lists that are given away.
struct Giving<'a> {
    is_given: &'a dyn Fn(&[String]) -> bool,
    give: &'a mut dyn FnMut(Value),
    /// The members that lead to where the reader is.
    names: Vec<String>,
    is_within_item: bool,
    /// How many values are held.
    held: usize,
}

fn read(
    input: &[u8],
    max_depth: usize,
    giving: Option<&RefCell<Giving<'_>>>,
) -> Result<Map<String, Value>, JsonError> {
    let text = std::str::from_utf8(input).map_err(|_| JsonError::NotUtf8)?;
    if text.starts_with('\u{feff}') {
        return Err(JsonError::ByteOrderMark);
    }
    let refusal = RefCell::new(None);
    let strict = Strict {
        depth_left: max_depth,
        refusal: &refusal,
        giving,
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
struct Strict<'a, 'g> {
    depth_left: usize,
    refusal: &'a RefCell<Option<JsonError>>,
    giving: Option<&'a RefCell<Giving<'g>>>,
}

impl Strict<'_, '_> {
    /// Counts a value that is held from now on.
    fn hold<E: serde::de::Error>(self) -> Result<(), E> {
        let Some(giving) = self.giving else {
            return Ok(());
        };
        let mut giving = giving.borrow_mut();
        giving.held += 1;
        match giving.held > MAX_HELD_VALUES {
            true => Err(self.refuse(JsonError::TooMany)),
            false => Ok(()),
        }
    }

    /// Whether the list that begins here is given away.
    fn gives(self) -> bool {
        self.giving.is_some_and(|giving| {
            let giving = giving.borrow();
            !giving.is_within_item && (giving.is_given)(&giving.names)
        })
    }

    /// Reads the items of such a list.
    fn give_items<'de, A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let Some(giving) = self.giving else {
            return Ok(Value::Array(Vec::new()));
        };
        let held = giving.borrow().held;
        giving.borrow_mut().is_within_item = true;
        while let Some(item) = items.next_element_seed(self)? {
            let mut giving = giving.borrow_mut();
            giving.held = held;
            (giving.give)(item);
        }
        giving.borrow_mut().is_within_item = false;
        Ok(Value::Array(Vec::new()))
    }

    /// Notes which member is read, until [`Strict::leave`].
    fn enter(self, name: &str) {
        if let Some(giving) = self.giving {
            giving.borrow_mut().names.push(name.to_owned());
        }
    }

    fn leave(self) {
        if let Some(giving) = self.giving {
            giving.borrow_mut().names.pop();
        }
    }

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

impl<'de> DeserializeSeed<'de> for Strict<'_, '_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        self.hold()?;
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_, '_> {
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
        if self.gives() {
            return inner.give_items(items);
        }
        let mut array = Vec::new();
        // What is in an item is led to by more than names.
        self.enter("");
        while let Some(item) = items.next_element_seed(inner)? {
            array.push(item);
        }
        self.leave();
        Ok(Value::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut object = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            if object.contains_key(&name) {
                return Err(self.refuse(JsonError::DuplicateName(name)));
            }
            self.enter(&name);
            let value = members.next_value_seed(inner)?;
            self.leave();
            object.insert(name, value);
        }
        Ok(Value::Object(object))
    }
}
