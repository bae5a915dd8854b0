//! Literals: what a value is can be said without running anything.

use super::cursor::{Cursor, Malformed, Mark, is_name_character, is_name_start};
use super::expression::Within;
use super::term::{Term, Value};

impl Cursor<'_> {
    /// The value that comes next. What is no literal is taken as it is written.
    pub(super) fn term(&mut self, within: Within) -> Result<Term, Malformed> {
        let start = self.mark();
        let at = start.place;
        let literal = self.literal()?;
        match literal {
            Some(value) if self.is_over(within) => return Ok(Term { at, value }),
            Some(_) => {}
            None => self.return_to(start),
        }
        self.expression(within)?;
        match self.since(start).trim_end() {
            "" => Err(self.expected("a value")),
            text => Ok(Term { at, value: Value::Opaque(text.to_owned()) }),
        }
    }

    /// `name: value` or `"some name": value`, as a pair, or a value.
    pub(super) fn element(&mut self, within: Within) -> Result<(Term, bool), Malformed> {
        let start = self.mark();
        let Some(key) = self.key()? else { return Ok((self.term(within)?, false)) };
        self.blank_lines();
        let value = self.term(within)?;
        Ok((Term { at: start.place, value: Value::Tuple(vec![key, value]) }, true))
    }

    /// The name in front of a colon.
    fn key(&mut self) -> Result<Option<Term>, Malformed> {
        let start = self.mark();
        let name = match self.peek() {
            Some(quote @ ('"' | '\'')) => self.quoted(quote)?,
            _ => self.identifier().map(str::to_owned),
        };
        let is_key = self.rest().starts_with(':') && !self.rest().starts_with("::");
        match name {
            Some(name) if is_key => {
                self.bump();
                Ok(Some(Term { at: start.place, value: Value::Atom(name) }))
            }
            _ => {
                self.return_to(start);
                Ok(None)
            }
        }
    }

    fn literal(&mut self) -> Result<Option<Value>, Malformed> {
        let Some(first) = self.peek() else { return Ok(None) };
        let second = self.rest()[first.len_utf8()..].chars().next();
        Ok(match first {
            '"' | '\'' => self.quoted(first)?.map(Value::Text),
            ':' => self.atom()?,
            '~' if second.is_some_and(char::is_alphabetic) => self.sigil()?,
            '[' => Some(self.list()?),
            '{' => Some(self.tuple()?),
            '%' if second == Some('{') => self.map()?,
            '?' => self.code_of_character()?,
            '0'..='9' => self.number(),
            '-' | '+' if second.is_some_and(|c| c.is_ascii_digit()) => self.number(),
            letter if is_name_start(letter) => self.name_of_value(),
            _ => None,
        })
    }

    fn atom(&mut self) -> Result<Option<Value>, Malformed> {
        self.bump();
        match self.peek() {
            Some(quote @ ('"' | '\'')) => Ok(self.quoted(quote)?.map(|name| Value::Atom(module(&name)))),
            _ => Ok(self.identifier().map(|name| Value::Atom(name.to_owned()))),
        }
    }

    /// `nil`, `true`, `false` and the names of modules are values; other names stand for something.
    fn name_of_value(&mut self) -> Option<Value> {
        let start = self.mark();
        let name = self.identifier()?;
        match name {
            "nil" => Some(Value::Nil),
            "true" => Some(Value::Flag(true)),
            "false" => Some(Value::Flag(false)),
            _ if name.starts_with(char::is_uppercase) => Some(self.module_name(start)),
            _ => None,
        }
    }

    fn module_name(&mut self, start: Mark) -> Value {
        loop {
            let dot = self.mark();
            if !(self.eat(".") && self.peek().is_some_and(char::is_uppercase)) {
                self.return_to(dot);
                return Value::Atom(module(self.since(start)));
            }
            self.bump_while(is_name_character);
        }
    }

    fn code_of_character(&mut self) -> Result<Option<Value>, Malformed> {
        self.bump();
        let mut text = String::new();
        if self.eat("\\") {
            self.escape(&mut text)?;
        } else {
            text.extend(self.bump());
        }
        Ok(text.chars().next().map(|character| Value::Integer(i64::from(u32::from(character)))))
    }

    fn number(&mut self) -> Option<Value> {
        let sign = if self.eat("-") { "-" } else { "" };
        self.eat("+");
        let radix = [("0x", 16), ("0o", 8), ("0b", 2)].into_iter().find(|(prefix, _)| self.eat(prefix));
        if let Some((_, radix)) = radix {
            let digits = self.digits(|c| c.is_digit(radix));
            return i64::from_str_radix(&format!("{sign}{digits}"), radix).ok().map(Value::Integer);
        }
        let whole = self.digits(|c| c.is_ascii_digit());
        let is_fraction =
            self.rest().strip_prefix('.').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
        if !is_fraction {
            return format!("{sign}{whole}").parse().ok().map(Value::Integer);
        }
        self.bump();
        let fraction = self.digits(|c| c.is_ascii_digit());
        let exponent = self.exponent();
        let number: f64 = format!("{sign}{whole}.{fraction}{exponent}").parse().ok()?;
        number.is_finite().then_some(Value::Float(number))
    }

    fn digits(&mut self, is_digit: impl Fn(char) -> bool) -> String {
        self.bump_while(|c| is_digit(c) || c == '_').replace('_', "")
    }

    fn exponent(&mut self) -> String {
        let start = self.mark();
        if self.eat("e") || self.eat("E") {
            let _may_have_one = self.eat("-") || self.eat("+");
            if !self.digits(|c| c.is_ascii_digit()).is_empty() {
                return self.since(start).replace('_', "");
            }
            self.return_to(start);
        }
        String::new()
    }

    fn list(&mut self) -> Result<Value, Malformed> {
        Ok(Value::List(self.elements("]")?))
    }

    fn tuple(&mut self) -> Result<Value, Malformed> {
        Ok(Value::Tuple(self.elements("}")?))
    }

    /// What stands between two brackets; the cursor is on the first.
    fn elements(&mut self, close: &str) -> Result<Vec<Term>, Malformed> {
        let begun = self.mark();
        self.enter()?;
        self.bump();
        let mut elements = Vec::new();
        loop {
            self.blank_lines();
            if self.eat(close) {
                self.leave();
                return Ok(elements);
            }
            self.not_the_end(close, begun)?;
            elements.push(self.element(Within::Brackets)?.0);
            self.next_or(close, begun)?;
        }
    }

    /// Goes behind a comma, or stays in front of what closes.
    fn next_or(&mut self, close: &str, begun: Mark) -> Result<(), Malformed> {
        self.blank_lines();
        if self.eat(",") || self.rest().starts_with(close) {
            return Ok(());
        }
        Err(self.expected(&format!("`,` or `{close}` for what begins at {}", begun.place)))
    }

    fn not_the_end(&self, close: &str, begun: Mark) -> Result<(), Malformed> {
        if self.is_at_end() {
            return Err(self.expected(&format!("a value or `{close}` for what begins at {}", begun.place)));
        }
        Ok(())
    }

    /// Nothing if it is another map with changes, `%{other | a: 1}`.
    fn map(&mut self) -> Result<Option<Value>, Malformed> {
        let begun = self.mark();
        self.enter()?;
        self.eat("%{");
        let mut pairs = Vec::new();
        loop {
            self.blank_lines();
            if self.eat("}") {
                self.leave();
                return Ok(Some(Value::Map(pairs)));
            }
            self.not_the_end("}", begun)?;
            match self.map_pair()? {
                Some(pair) => pairs.push(pair),
                None => return Ok(None),
            }
            self.next_or("}", begun)?;
        }
    }

    fn map_pair(&mut self) -> Result<Option<(Term, Term)>, Malformed> {
        let key = match self.key()? {
            Some(key) => key,
            None => {
                let key = self.term(Within::Brackets)?;
                self.blank_lines();
                match self.eat("=>") {
                    true => key,
                    false if is_change(&key) => return Ok(None),
                    false => return Err(self.expected("`=>` and a value")),
                }
            }
        };
        self.blank_lines();
        Ok(Some((key, self.term(Within::Brackets)?)))
    }
}

/// Whether what stands in the place of a key is `other | a: 1`.
fn is_change(term: &Term) -> bool {
    matches!(&term.value, Value::Opaque(text) if text.contains('|'))
}

/// The name of a module as people write it.
fn module(name: &str) -> String {
    name.strip_prefix("Elixir.").unwrap_or(name).to_owned()
}
