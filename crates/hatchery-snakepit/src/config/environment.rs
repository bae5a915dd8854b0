//! What the statements of a file say of Snakepit, taken together as Elixir would.

use super::note::Note;
use super::statement::Statement;
use super::term::{Place, Term, Value};

const SNAKEPIT: &str = "snakepit";

/// The settings, and what was passed over.
#[derive(Debug, Default)]
pub(super) struct Environment {
    pub(super) settings: Vec<(String, Term)>,
    pub(super) notes: Vec<Note>,
    /// Whether anything is about Snakepit at all.
    pub(super) is_spoken_of: bool,
}

impl Environment {
    pub(super) fn of(statements: Vec<Statement>) -> Environment {
        let mut environment = Environment::default();
        for statement in statements {
            environment.take(statement);
        }
        environment
    }

    fn take(&mut self, statement: Statement) {
        match statement {
            Statement::Settings { application, values } if application == SNAKEPIT => self.take_all(values),
            Statement::Setting { application, key, value } if application == SNAKEPIT => {
                self.is_spoken_of = true;
                match key.word() {
                    Some(name) => self.set(name.to_owned(), value),
                    None => self.pass_over(key.at, &key.shown()),
                }
            }
            Statement::Literal(term) => self.take_literal(term),
            Statement::Other { at, text } => self.take_other(at, &text),
            Statement::Settings { .. } | Statement::Setting { .. } => {}
        }
    }

    fn take_all(&mut self, values: Term) {
        self.is_spoken_of = true;
        match values.pairs() {
            Some(pairs) => {
                for (key, value) in pairs {
                    match key.word() {
                        Some(name) => self.set(name.to_owned(), value.clone()),
                        None => self.pass_over(key.at, &key.shown()),
                    }
                }
            }
            None => self.pass_over(values.at, &values.shown()),
        }
    }

    /// All settings, or `pools`, or one of them.
    fn take_literal(&mut self, term: Term) {
        let names =
            |name: &str| term.pairs().is_some_and(|pairs| pairs.iter().any(|(key, _)| key.word() == Some(name)));
        let is_list_of_pools = term.pairs().is_none();
        if is_list_of_pools {
            self.is_spoken_of = true;
            self.set("pools".to_owned(), term);
        } else if names("name") && !names("pools") {
            self.is_spoken_of = true;
            let at = term.at;
            self.set("pools".to_owned(), Term { at, value: Value::List(vec![term]) });
        } else {
            self.take_all(term);
        }
    }

    fn take_other(&mut self, at: Place, text: &str) {
        if let Some(file) = text.strip_prefix("import_config") {
            let why = "another file that is not read here";
            let instead =
                "hand both over, one after the other: `cat config.exs prod.exs | hatchery import snakepit-config -`";
            self.notes.push(Note::new(format!("import_config{}", first_line(file)), at, why, instead));
        } else if text.contains(":snakepit") || text.contains("Snakepit") {
            self.is_spoken_of = true;
            self.pass_over(at, &format!("`{}`", first_line(text)));
        }
    }

    fn pass_over(&mut self, at: Place, what: &str) {
        let why = "no literal: what it says of Snakepit is known only when Elixir runs it";
        self.notes.push(Note::new(what, at, why, "write what holds for you into the result"));
    }

    /// Later settings go before earlier ones; keyword lists are merged.
    fn set(&mut self, name: String, value: Term) {
        match self.settings.iter_mut().find(|(known, _)| *known == name) {
            Some((_, known)) => merge(known, value),
            None => self.settings.push((name, value)),
        }
    }
}

fn merge(known: &mut Term, new: Term) {
    if !(known.is_keywords() && new.is_keywords()) {
        *known = new;
        return;
    }
    let (Value::List(known), Value::List(new)) = (&mut known.value, new.value) else { return };
    for element in new {
        match known.iter_mut().find(|one| key(one) == key(&element)) {
            Some(one) => merge_pair(one, element),
            None => known.push(element),
        }
    }
}

fn merge_pair(known: &mut Term, new: Term) {
    let (Value::Tuple(known), Value::Tuple(new)) = (&mut known.value, new.value) else { return };
    if let (Some(known), Some(new)) = (known.last_mut(), new.into_iter().last()) {
        merge(known, new);
    }
}

fn key(pair: &Term) -> Option<&str> {
    if let Value::Tuple(two) = &pair.value { two.first().and_then(Term::word) } else { None }
}

fn first_line(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    let more = if line.len() < text.len() { " …" } else { "" };
    format!("{}{more}", line.trim_end())
}
