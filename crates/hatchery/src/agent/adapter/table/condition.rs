//! When a rule speaks: which members of an object must have which values.

use serde_json::Value;

use super::super::place::Place;
use crate::error::Result;

const EXPECTED: &str = "a table of JSON pointers, like { \"/type\" = \"result\" }";
const EXPECTED_TEST: &str =
    "a text, a number, true or false, a list of these, or one of { not = … }, { exists = … } and { contains = … }";

/// All of these hold, or it does not. None at all hold always.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in super::super) struct Conditions(Vec<(Pointer, Test)>);

/// The way to a member, as RFC 6901 has it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in super::super) struct Pointer(String);

#[derive(Clone, Debug, PartialEq)]
enum Test {
    /// It is one of these.
    Is(Vec<Value>),
    /// It is none of these, or not there.
    IsNot(Vec<Value>),
    /// It is there, and not null; or the contrary.
    Exists(bool),
    /// It is a text that has this in it, or a list with such a text.
    Contains(String),
}

impl Conditions {
    pub(in super::super) fn read(place: &Place<'_>) -> Result<Conditions> {
        let keys = place.any_keys(EXPECTED)?;
        let read = |(key, place): (&str, Place<'_>)| Ok((Pointer::of(key, &place)?, Test::read(&place)?));
        keys.all().map(read).collect::<Result<_>>().map(Conditions)
    }

    pub(in super::super) fn hold(&self, object: &Value) -> bool {
        self.0.iter().all(|(pointer, test)| test.holds(pointer.find(object)))
    }

    /// What it looks at.
    pub(in super::super) fn pointers(&self) -> impl Iterator<Item = &Pointer> {
        self.0.iter().map(|(pointer, _)| pointer)
    }
}

impl Pointer {
    pub(in super::super) fn read(place: &Place<'_>) -> Result<Pointer> {
        Pointer::of(place.text("a JSON pointer, like \"/message/id\"")?, place)
    }

    fn of(text: &str, place: &Place<'_>) -> Result<Pointer> {
        if text.is_empty() || text.starts_with('/') {
            return Ok(Pointer(text.to_owned()));
        }
        Err(place.refuse(format!("expected a JSON pointer, which begins with a slash (\"/{text}\"), found {text:?}")))
    }

    /// From a text that begins with a slash.
    pub(in super::super) fn to(text: &str) -> Pointer {
        Pointer(text.to_owned())
    }

    /// What it leads to, if that is not null.
    pub(in super::super) fn find<'v>(&self, value: &'v Value) -> Option<&'v Value> {
        value.pointer(&self.0).filter(|found| !found.is_null())
    }

    /// The names of the members on its way.
    pub(in super::super) fn steps(&self) -> impl Iterator<Item = String> {
        self.0.split('/').skip(1).map(|step| step.replace("~1", "/").replace("~0", "~"))
    }
}

impl Test {
    fn read(place: &Place<'_>) -> Result<Test> {
        if !place.value().is_table() {
            return Ok(Test::Is(scalars(place)?));
        }
        let keys = place.keys(&["not", "exists", "contains"])?;
        let mut tests = [
            keys.read("not", scalars)?.map(Test::IsNot),
            keys.read("exists", Place::flag)?.map(Test::Exists),
            keys.read("contains", |place| place.text("a text"))?.map(|text| Test::Contains(text.to_owned())),
        ]
        .into_iter()
        .flatten();
        match (tests.next(), tests.next()) {
            (Some(test), None) => Ok(test),
            _ => Err(place.refuse("expected exactly one of not, exists and contains")),
        }
    }

    fn holds(&self, found: Option<&Value>) -> bool {
        match self {
            Test::Is(values) => found.is_some_and(|found| values.contains(found)),
            Test::IsNot(values) => !found.is_some_and(|found| values.contains(found)),
            Test::Exists(there) => found.is_some() == *there,
            Test::Contains(part) => found.is_some_and(|found| has(found, part)),
        }
    }
}

fn has(found: &Value, part: &str) -> bool {
    match found {
        Value::String(text) => text.contains(part),
        Value::Array(texts) => texts.iter().filter_map(Value::as_str).any(|text| text.contains(part)),
        _ => false,
    }
}

fn scalars(place: &Place<'_>) -> Result<Vec<Value>> {
    if place.value().is_array() { place.each(EXPECTED_TEST, scalar) } else { Ok(vec![scalar(place)?]) }
}

fn scalar(place: &Place<'_>) -> Result<Value> {
    match place.value() {
        toml::Value::String(text) => Ok(text.as_str().into()),
        toml::Value::Integer(number) => Ok((*number).into()),
        toml::Value::Float(number) => Ok((*number).into()),
        toml::Value::Boolean(flag) => Ok((*flag).into()),
        _ => Err(place.expected(EXPECTED_TEST)),
    }
}
