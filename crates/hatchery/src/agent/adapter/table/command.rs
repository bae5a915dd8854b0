//! How the command line of an agent is made.

use std::ffi::{OsStr, OsString};

use super::super::place::{Keys, Place};
use super::super::words::Words;
use super::session::Session;
use crate::agent::{AgentSpec, CommandPlan, Id, Input, SessionRef, Start};
use crate::error::{Error, ErrorKind, Result};

const EXPECTED_FLAGS: &str = "a list of flags; one with a value is a list, too: [\"-p\", [\"--model\", \"{model}\"]]";

/// What is added to the arguments that a spec has.
#[derive(Clone, Debug, Default)]
pub(in super::super) struct Command {
    always: Flags,
    null: Option<Flags>,
    text: Option<Flags>,
    conversation: Option<Flags>,
    /// In a conversation it says nothing before its first turn.
    silent_until_turn: bool,
    model: Option<Flags>,
    named: Option<Flags>,
    resume: Option<Flags>,
    fork: Option<Flags>,
    /// What a spec says otherwise, so that nobody's conversation is taken up unnoticed.
    reserved: Vec<String>,
    /// Of surrounding agents.
    scrub: Vec<String>,
}

/// Flags, each with its values.
type Flags = Vec<Vec<Words>>;

impl Command {
    pub(super) const KEYS: [&str; 11] = [
        "always",
        "null",
        "text",
        "conversation",
        "silent_until_turn",
        "model",
        "named",
        "resume",
        "fork",
        "reserved",
        "scrub",
    ];

    pub(super) fn read(place: &Place<'_>) -> Result<Command> {
        let keys = place.keys(&Command::KEYS)?;
        let of = |key, gap| flags(&keys, key, gap);
        Ok(Command {
            always: of("always", "")?.unwrap_or_default(),
            null: of("null", "")?,
            text: of("text", "")?,
            conversation: of("conversation", "")?,
            silent_until_turn: keys.read("silent_until_turn", Place::flag)?.unwrap_or(false),
            model: of("model", "model")?,
            named: of("named", "session")?,
            resume: of("resume", "session")?,
            fork: of("fork", "session")?,
            reserved: texts(&keys, "reserved")?,
            scrub: texts(&keys, "scrub")?,
        })
    }

    pub(in super::super) fn can_be_named(&self) -> bool {
        self.named.is_some()
    }

    /// What is started for this spec.
    pub(in super::super) fn plan(&self, spec: &AgentSpec, session: &Session) -> Result<CommandPlan> {
        let (program, arguments) =
            spec.argv.split_first().ok_or_else(|| invalid("argv is empty: it has no program"))?;
        let end = arguments.iter().position(|argument| argument == "--").unwrap_or(arguments.len());
        let (options, rest) = arguments.split_at(end);
        self.refuse_reserved(options)?;
        let mut argv = vec![program.clone()];
        argv.extend_from_slice(options);
        for flag in self.flags(spec, session)? {
            if !is_given(options, &flag)? {
                argv.extend(flag.into_iter().map(OsString::from));
            }
        }
        argv.extend_from_slice(rest);
        Ok(CommandPlan {
            argv,
            session: known(&spec.session),
            cwd: spec.cwd.clone().filter(|_| session.is_bound_to_cwd() && carries_on(&spec.session)),
            start: self.start(&spec.input),
            scrub: self.scrub.clone(),
        })
    }

    /// All that are wanted for this spec, filled.
    fn flags(&self, spec: &AgentSpec, session: &Session) -> Result<Vec<Vec<String>>> {
        let mut flags = filled(&self.always, "");
        flags.extend(filled(self.input(&spec.input)?, ""));
        if let (Some(model), Some(words)) = (&spec.model, &self.model) {
            refuse_option("model", model)?;
            flags.extend(filled(words, model));
        }
        let (words, id, what) = match &spec.session {
            SessionRef::New => return Ok(flags),
            SessionRef::Named(id) => (&self.named, id, "be told what to call a new conversation"),
            SessionRef::Resume(id) => (&self.resume, id, "resume a conversation"),
            SessionRef::Fork(id) => (&self.fork, id, "begin a conversation as another one"),
        };
        let words = words.as_ref().ok_or_else(|| invalid(format!("it cannot {what}")))?;
        refuse_option("session", id.as_str())?;
        session.check(id)?;
        flags.extend(filled(words, id.as_str()));
        Ok(flags)
    }

    fn input(&self, input: &Input) -> Result<&Flags> {
        let (flags, what) = match input {
            Input::Null => (&self.null, "do without input"),
            Input::Text(_) => (&self.text, "read a text to its end"),
            Input::Conversation(_) => (&self.conversation, "take turns on its input"),
        };
        flags.as_ref().ok_or_else(|| invalid(format!("it cannot {what}")))
    }

    fn start(&self, input: &Input) -> Start {
        match input {
            Input::Conversation(_) if self.silent_until_turn => Start::AtFirstTurn,
            _ => Start::ByItself,
        }
    }

    fn refuse_reserved(&self, options: &[OsString]) -> Result<()> {
        let is_reserved = |option: &&OsString| self.reserved.iter().any(|flag| value_of(option, flag).is_some());
        match options.iter().find(is_reserved) {
            None => Ok(()),
            Some(option) => {
                let option = option.to_string_lossy();
                Err(invalid(format!("argv has {option}; say in the spec's session which conversation is meant")))
            }
        }
    }
}

/// Whether the spec has a flag already. One that it sets otherwise would leave us with an agent that we do not understand.
fn is_given(options: &[OsString], flag: &[String]) -> Result<bool> {
    let Some((name, values)) = flag.split_first() else { return Ok(true) };
    let Some((at, inline)) = options.iter().enumerate().find_map(|(at, option)| Some((at, value_of(option, name)?)))
    else {
        return Ok(false);
    };
    let given: Vec<&str> = match inline {
        Some(value) => vec![value],
        None => options[at + 1..].iter().take(values.len()).filter_map(|value| value.to_str()).collect(),
    };
    if given == values {
        return Ok(true);
    }
    Err(invalid(format!("argv has `{name} {}`, where `{}` is needed", given.join(" "), flag.join(" "))))
}

/// What follows the `=` in `--flag=value`, if this argument is the flag.
fn value_of<'a>(argument: &'a OsStr, flag: &str) -> Option<Option<&'a str>> {
    let rest = argument.to_str()?.strip_prefix(flag)?;
    match rest.strip_prefix('=') {
        Some(value) if flag.starts_with('-') => Some(Some(value)),
        _ => rest.is_empty().then_some(None),
    }
}

fn known(session: &SessionRef) -> Id {
    match session {
        SessionRef::Named(id) | SessionRef::Resume(id) => Id::Known(id.clone()),
        SessionRef::New | SessionRef::Fork(_) => Id::Unknown,
    }
}

fn carries_on(session: &SessionRef) -> bool {
    matches!(session, SessionRef::Resume(_) | SessionRef::Fork(_))
}

fn filled(flags: &Flags, value: &str) -> Vec<Vec<String>> {
    flags.iter().map(|flag| flag.iter().filter_map(|words| words.fill(|_| Some(value))).collect()).collect()
}

/// What an agent would take for one of its options, or the system for no argument.
fn refuse_option(what: &str, value: &str) -> Result<()> {
    if value.is_empty() || value.starts_with('-') || value.contains('\0') {
        return Err(invalid(format!(
            "the {what} is {value:?}, which is no argument: it is empty, has a zero, or begins with a dash"
        )));
    }
    Ok(())
}

fn flags(keys: &Keys<'_>, key: &str, gap: &str) -> Result<Option<Flags>> {
    let expected = if gap.is_empty() { "a text".to_owned() } else { format!("a text, in which {{{gap}}} may stand") };
    let word = |place: &Place<'_>| Words::read(place, &expected, |found| !gap.is_empty() && found == gap);
    let flag = |place: &Place<'_>| {
        if place.value().is_array() { place.each(&expected, word) } else { Ok(vec![word(place)?]) }
    };
    keys.read(key, |place| place.each(EXPECTED_FLAGS, flag))
}

fn texts(keys: &Keys<'_>, key: &str) -> Result<Vec<String>> {
    let text = |place: &Place<'_>| place.text("a text").map(str::to_owned);
    keys.read(key, |place| place.each("a list of texts", text)).map(Option::unwrap_or_default)
}

fn invalid(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Validation, message)
}
