//! What one source says, or several laid over each other: settings by the path of their key, like `heartbeat.interval`. That
//! tables merge key by key is so by itself then.

use std::collections::BTreeMap;
use std::time::Duration;

use super::origin::Origin;
use super::value::Value;
use super::words::Word;

/// A setting, and who says so.
#[derive(Clone, Debug)]
pub(super) struct Setting {
    /// None: what stands there was refused.
    pub(super) value: Option<Value>,
    pub(super) origin: Origin,
    /// Said of all pools, not of this one.
    pub(super) inherited: bool,
}

impl Setting {
    pub(super) fn new(value: Value, origin: Origin) -> Setting {
        Setting { value: Some(value), origin, inherited: false }
    }
}

/// Settings by the path of their key.
#[derive(Clone, Debug, Default)]
pub(super) struct Layer(BTreeMap<String, Setting>);

impl Layer {
    pub(super) fn set(&mut self, path: impl Into<String>, setting: Setting) {
        self.0.insert(path.into(), setting);
    }

    pub(super) fn remove(&mut self, path: &str) {
        self.0.remove(path);
    }

    pub(super) fn get(&self, path: &str) -> Option<&Setting> {
        self.0.get(path)
    }

    /// The settings below a key, each with the rest of its path.
    pub(super) fn below<'a>(&'a self, table: &str) -> impl Iterator<Item = (&'a str, &'a Setting)> {
        let prefix = format!("{table}.");
        self.0.iter().filter_map(move |(path, setting)| Some((path.strip_prefix(&prefix)?, setting)))
    }

    /// These, and where they say nothing, what `defaults` says.
    pub(super) fn over(mut self, defaults: &Layer) -> Layer {
        for (path, setting) in &defaults.0 {
            self.0.entry(path.clone()).or_insert_with(|| Setting { inherited: true, ..setting.clone() });
        }
        self
    }

    /// Those of which somebody has said something: the rooms know the rest.
    pub(super) fn said(&self) -> Layer {
        let is_said = |(_, setting): &(&String, &Setting)| setting.origin.is_said();
        Layer(self.0.iter().filter(is_said).map(|(path, setting)| (path.clone(), setting.clone())).collect())
    }

    /// Who says it, if it was said in so many words.
    pub(super) fn explicit(&self, path: &str) -> Option<&Setting> {
        self.get(path).filter(|setting| setting.origin.is_explicit())
    }

    pub(super) fn value(&self, path: &str) -> Option<&Value> {
        self.get(path)?.value.as_ref()
    }

    pub(super) fn text(&self, path: &str) -> Option<&str> {
        match self.value(path)? {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(super) fn word<T: Word>(&self, path: &str) -> Option<T> {
        T::read(self.text(path)?)
    }

    pub(super) fn flag(&self, path: &str) -> Option<bool> {
        match self.value(path)? {
            Value::Flag(flag) => Some(*flag),
            _ => None,
        }
    }

    /// A number that ends; what does not is `None`.
    pub(super) fn whole<T: TryFrom<u64>>(&self, path: &str) -> Option<T> {
        match self.value(path)? {
            Value::Whole(number) | Value::Size(number) => T::try_from(*number).ok(),
            _ => None,
        }
    }

    /// A number, or infinity: that is `Some(None)`.
    pub(super) fn count<T: TryFrom<u64>>(&self, path: &str) -> Option<Option<T>> {
        self.value(path).map(|_| self.whole(path))
    }

    pub(super) fn number(&self, path: &str) -> Option<f64> {
        match self.value(path)? {
            Value::Number(number) => Some(*number),
            _ => None,
        }
    }

    /// [`Duration::MAX`] is infinity.
    pub(super) fn duration(&self, path: &str) -> Option<Duration> {
        duration_of(self.value(path)?)
    }

    pub(super) fn list<T>(&self, path: &str, read: impl Fn(&Value) -> Option<T>) -> Option<Vec<T>> {
        match self.value(path)? {
            Value::List(values) => values.iter().map(read).collect(),
            _ => None,
        }
    }
}

pub(super) fn duration_of(value: &Value) -> Option<Duration> {
    match value {
        Value::Duration(duration) => Some(*duration),
        Value::Infinity => Some(Duration::MAX),
        _ => None,
    }
}
