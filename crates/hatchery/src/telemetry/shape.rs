//! What a value looks like, for logs: never what it is. `{text: text of 11, ids: list of 3}` at most says which keys there are.

use std::fmt;

use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

/// More keys than this are counted.
const KEYS: usize = 5;

/// How serde_json hands over a number where a program has its feature `arbitrary_precision`: as an object with this key.
const PRECISE: &str = "$serde_json::private::Number";

/// A key is cut here.
const KEY: usize = 32;

/// Of one value, and of what is right below it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Shape {
    own: Kind,
    /// The first of an object.
    keys: Vec<(String, Kind)>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Null,
    Flag,
    Number,
    /// So many characters.
    Text(usize),
    List(usize),
    Object(usize),
}

impl Shape {
    pub(crate) fn of(value: &Value) -> Shape {
        serde::Deserialize::deserialize(value).unwrap_or(Shape { own: Kind::Null, keys: Vec::new() })
    }

    /// Of JSON text, which is read, and not kept. `None`: it is none.
    pub(crate) fn of_json(text: &[u8]) -> Option<Shape> {
        serde_json::from_slice(text).ok()
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Kind::Object(count) = self.own else { return self.own.fmt(f) };
        f.write_str("{")?;
        for (n, (key, kind)) in self.keys.iter().enumerate() {
            write!(f, "{}{key}: {kind}", if n == 0 { "" } else { ", " })?;
        }
        match count - self.keys.len() {
            0 => f.write_str("}"),
            more => write!(f, ", and {more} more}}"),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Kind::Null => f.write_str("null"),
            Kind::Flag => f.write_str("flag"),
            Kind::Number => f.write_str("number"),
            Kind::Text(length) => write!(f, "text of {length}"),
            Kind::List(length) => write!(f, "list of {length}"),
            Kind::Object(length) => write!(f, "object of {length}"),
        }
    }
}

/// The names of many things of which the values are secret: the first few, and how many there are.
pub(crate) fn names(all: &[impl AsRef<str>]) -> String {
    let first: Vec<String> = all.iter().take(KEYS).map(|name| shown(name.as_ref())).collect();
    let first = first.join(", ");
    match all.len().saturating_sub(KEYS) {
        0 => first,
        more => format!("{first}, and {more} more"),
    }
}

/// On one line, and without what a terminal would obey.
fn shown(key: &str) -> String {
    let mut shown: String = key.chars().take(KEY).flat_map(char::escape_debug).collect();
    if key.chars().nth(KEY).is_some() {
        shown.push('…');
    }
    shown
}

impl<'de> serde::Deserialize<'de> for Shape {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Shape, D::Error> {
        from.deserialize_any(Reading)
    }
}

struct Reading;

/// Whatever has nothing below it.
fn plain<E>(own: Kind) -> Result<Shape, E> {
    Ok(Shape { own, keys: Vec::new() })
}

impl<'de> Visitor<'de> for Reading {
    type Value = Shape;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Shape, E> {
        plain(Kind::Null)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Shape, E> {
        plain(Kind::Flag)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Shape, E> {
        plain(Kind::Number)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Shape, E> {
        plain(Kind::Number)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Shape, E> {
        plain(Kind::Number)
    }

    fn visit_str<E>(self, text: &str) -> Result<Shape, E> {
        plain(Kind::Text(text.chars().count()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Shape, A::Error> {
        let mut length = 0;
        while list.next_element::<IgnoredAny>()?.is_some() {
            length += 1;
        }
        plain(Kind::List(length))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Shape, A::Error> {
        let (mut keys, mut count) = (Vec::new(), 0);
        while let Some(key) = map.next_key::<String>()? {
            if key == PRECISE {
                map.next_value::<IgnoredAny>()?;
                return plain(Kind::Number);
            }
            count += 1;
            if keys.len() < KEYS {
                keys.push((shown(&key), map.next_value::<Shape>()?.own));
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(Shape { own: Kind::Object(count), keys })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn shape(value: &Value) -> String {
        let of_text = Shape::of_json(value.to_string().as_bytes()).unwrap();
        assert_eq!(of_text, Shape::of(value));
        of_text.to_string()
    }

    #[test]
    fn a_shape_has_lengths_and_keys_and_no_value() {
        let value = json!({"deep": {"secret": "hunter2"}, "ids": [1, 2, 3], "n": 4711, "on": true, "text": "häuser"});
        // In the order of the alphabet, which a map of serde_json may or may not have. Five are the most that are told.
        assert_eq!(shape(&value), "{deep: object of 1, ids: list of 3, n: number, on: flag, text: text of 6}");
        assert_eq!(shape(&json!("hunter2")), "text of 7");
        assert_eq!(shape(&json!([{"secret": 1}])), "list of 1");
        assert_eq!(shape(&json!(null)), "null");
        assert_eq!(shape(&json!({})), "{}");
        assert_eq!(shape(&json!(-1.5)), "number");
    }

    #[test]
    fn many_keys_are_counted_and_long_ones_cut() {
        let many: Value = (0..9).map(|n| (format!("key{n}"), json!(n))).collect::<serde_json::Map<_, _>>().into();
        assert_eq!(shape(&many), "{key0: number, key1: number, key2: number, key3: number, key4: number, and 4 more}");
        let long = json!({"k".repeat(33): 1});
        assert_eq!(shape(&long), format!("{{{}…: number}}", "k".repeat(32)));
        assert_eq!(shape(&json!({"a\nb\u{1b}[31m": 1})), "{a\\nb\\u{1b}[31m: number}");
    }

    #[test]
    fn names_are_few() {
        assert_eq!(names(&["A", "B\n"]), "A, B\\n");
        assert_eq!(names(&["A"; 7]), "A, A, A, A, A, and 2 more");
        assert_eq!(names(&[] as &[&str]), "");
    }

    #[test]
    fn what_is_no_json_has_no_shape() {
        assert_eq!(Shape::of_json(b"{"), None);
    }
}
