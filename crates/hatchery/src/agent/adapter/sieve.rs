//! Reads of an object only what rules look at: a tool's answer of many megabytes is skipped, not built.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use super::table::{Pointer, Rule};

/// Which parts of a value are kept.
#[derive(Clone, Debug, Default)]
pub(super) struct Sieve {
    whole: bool,
    members: BTreeMap<String, Sieve>,
    elements: Option<Box<Sieve>>,
}

impl Sieve {
    /// What these rules look at.
    pub(super) fn of(rules: &[Rule]) -> Sieve {
        let mut sieve = Sieve::default();
        sieve.want(rules);
        sieve
    }

    /// The object on a line, without what nobody looks at. `None` for what is no JSON, or is deeper than any that is meant seriously.
    pub(super) fn read(&self, line: &[u8]) -> Option<Value> {
        // Most lines of agents that say something else in between do not come to the parser.
        if !line.trim_ascii_start().starts_with(b"{") {
            return None;
        }
        let mut json = serde_json::Deserializer::from_slice(line);
        let value = self.deserialize(&mut json).ok()?;
        json.end().ok()?;
        Some(value)
    }

    fn want(&mut self, rules: &[Rule]) {
        for rule in rules {
            rule.pointers().for_each(|pointer| self.at(&pointer).whole = true);
            if let Some((list, inside)) = rule.inside() {
                self.at(list).elements.get_or_insert_default().want(inside);
            }
        }
    }

    fn at(&mut self, pointer: &Pointer) -> &mut Sieve {
        pointer.steps().fold(self, |sieve, step| {
            // It may be the place of an element: a list has to be there as a whole, or the places shift.
            sieve.whole |= step.bytes().all(|byte| byte.is_ascii_digit());
            sieve.members.entry(step).or_default()
        })
    }
}

impl<'de> DeserializeSeed<'de> for &Sieve {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        if self.whole { Value::deserialize(deserializer) } else { deserializer.deserialize_any(self) }
    }
}

/// Only lists and objects have parts: anything else is null to whoever looks for one.
impl<'de> Visitor<'de> for &Sieve {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("any value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut kept = serde_json::Map::new();
        while let Some(key) = map.next_key::<std::borrow::Cow<'de, str>>()? {
            match self.members.get(key.as_ref()) {
                Some(member) => drop(kept.insert(key.into_owned(), map.next_value_seed(member)?)),
                None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(Value::Object(kept))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut kept = Vec::new();
        match &self.elements {
            Some(elements) => {
                while let Some(element) = list.next_element_seed(&**elements)? {
                    kept.push(element);
                }
            }
            None => while list.next_element::<IgnoredAny>()?.is_some() {},
        }
        Ok(Value::Array(kept))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_str<E>(self, _: &str) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
}
