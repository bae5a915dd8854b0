//! What conversations are called, and where they lie.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use regex::Regex;

use super::super::place::Place;
use super::super::words::Words;
use crate::agent::AgentSessionId;
use crate::error::{Error, ErrorKind, Result};

const EXPECTED_ID: &str = "\"uuid\", or a regular expression for the whole of it: { matches = \"T-[0-9a-f]+\" }";
const EXPECTED_PATH: &str = "a path, in which {session}, {cwd-dashed} and variables like {HOME} may stand";
/// Beyond so many characters agents shorten the names of their folders, each in its own way.
const LONGEST_FOLDER: usize = 200;

/// What conversations are called, and where they lie.
#[derive(Clone, Debug, Default)]
pub(in super::super) struct Session {
    syntax: Syntax,
    is_bound_to_cwd: bool,
    transcript: Vec<Words>,
    /// Arguments by which an agent is told to forget its conversation.
    unkept: Vec<String>,
}

#[derive(Clone, Debug, Default)]
enum Syntax {
    #[default]
    Any,
    /// In lower case: agents compare letter by letter.
    Uuid,
    Pattern(Regex),
}

impl Session {
    pub(super) fn read(place: &Place<'_>) -> Result<Session> {
        let keys = place.keys(&["id", "bound_to_cwd", "transcript", "unkept"])?;
        let text = |place: &Place<'_>| place.text("a text").map(str::to_owned);
        let path = |place: &Place<'_>| Words::read(place, EXPECTED_PATH, is_part_of_path);
        Ok(Session {
            syntax: keys.read("id", Syntax::read)?.unwrap_or_default(),
            is_bound_to_cwd: keys.read("bound_to_cwd", Place::flag)?.unwrap_or(false),
            transcript: keys.read("transcript", |place| place.each("a list of paths", path))?.unwrap_or_default(),
            unkept: keys.read("unkept", |place| place.each("a list of arguments", text))?.unwrap_or_default(),
        })
    }

    /// Refuses what this agent would never call a conversation.
    pub(super) fn check(&self, id: &AgentSessionId) -> Result<()> {
        let (fits, expected) = match &self.syntax {
            Syntax::Any => (true, String::new()),
            Syntax::Uuid => (is_uuid(id.as_str()), "a UUID in lower case".to_owned()),
            Syntax::Pattern(pattern) => (pattern.is_match(id.as_str()), format!("a text like {}", pattern.as_str())),
        };
        let message = || format!("no conversation is called {:?}: expected {expected}", id.as_str());
        if fits { Ok(()) } else { Err(Error::new(ErrorKind::Validation, message())) }
    }

    pub(super) fn is_bound_to_cwd(&self) -> bool {
        self.is_bound_to_cwd
    }

    /// Whether an agent that was started so lets its conversation be resumed.
    pub(in super::super) fn is_kept(&self, argv: &[OsString]) -> bool {
        let mut options = argv.iter().take_while(|argument| *argument != "--");
        !options.any(|argument| self.unkept.iter().any(|flag| argument == flag.as_str()))
    }

    /// A new name, made of these random bits.
    pub(in super::super) fn fresh(&self, random: u128) -> Option<AgentSessionId> {
        match self.syntax {
            Syntax::Uuid => Some(AgentSessionId::new(uuid(random))),
            Syntax::Any | Syntax::Pattern(_) => None,
        }
    }

    /// Where a conversation lies, at the first place whose variables are all set.
    pub(in super::super) fn transcript(
        &self,
        id: &AgentSessionId,
        cwd: &Path,
        variable: &dyn Fn(&str) -> Option<OsString>,
    ) -> Option<PathBuf> {
        let id = id.as_str();
        let is_name = !id.contains(['/', '\0']) && id != ".." && self.check(&AgentSessionId::new(id)).is_ok();
        let part = |gap: &str| match gap {
            "session" => is_name.then(|| id.to_owned()),
            "cwd-dashed" => dashed(cwd),
            name => variable(name)?.into_string().ok().filter(|value| !value.is_empty()),
        };
        self.transcript.iter().find_map(|words| words.fill(part)).map(PathBuf::from)
    }
}

impl Syntax {
    fn read(place: &Place<'_>) -> Result<Syntax> {
        match place.value() {
            toml::Value::String(name) if name == "uuid" => Ok(Syntax::Uuid),
            toml::Value::Table(_) => {
                let pattern = |place: &Place<'_>| {
                    let whole = format!(r"\A(?:{})\z", place.text("a regular expression")?);
                    Regex::new(&whole).map_err(|error| place.refuse(error.to_string()))
                };
                place.keys(&["matches"])?.need("matches", "a regular expression", pattern).map(Syntax::Pattern)
            }
            _ => Err(place.expected(EXPECTED_ID)),
        }
    }
}

fn is_part_of_path(gap: &str) -> bool {
    let is_variable = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
    ["session", "cwd-dashed"].contains(&gap) || (!gap.is_empty() && gap.bytes().all(is_variable))
}

/// As agents of the JavaScript kind call a folder for each project: every UTF-16 unit that is no ASCII letter or digit is a dash.
fn dashed(cwd: &Path) -> Option<String> {
    let unit = |unit: u16| char::from_u32(unit.into()).filter(char::is_ascii_alphanumeric).unwrap_or('-');
    let folder: String = cwd.to_str()?.encode_utf16().map(unit).collect();
    (folder.len() <= LONGEST_FOLDER).then_some(folder)
}

/// Version 4 of RFC 9562.
fn uuid(random: u128) -> String {
    let bits = (random & !(0xf << 76) & !(0b11 << 62)) | (0x4 << 76) | (0b10 << 62);
    let hex = format!("{bits:032x}");
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

fn is_uuid(text: &str) -> bool {
    let fits = |(at, byte): (usize, u8)| match at {
        8 | 13 | 18 | 23 => byte == b'-',
        _ => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
    };
    text.len() == 36 && text.bytes().enumerate().all(fits)
}
