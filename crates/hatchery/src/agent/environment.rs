//! What a run finds in its environment: of the supervisor's what is allowed, and nothing that says "you run inside of another agent".

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};

use super::{AgentRunId, Environment};
use crate::id::RunId;

/// The variable by which a run, and whatever it starts, knows which one it is.
pub(super) const AGENT_RUN: &str = "HATCHERY_AGENT_RUN";
/// The name of the instance that it belongs to.
pub(super) const INSTANCE: &str = "HATCHERY_INSTANCE";
/// The life of the supervisor, as for workers.
pub(super) const RUN: &str = "HATCHERY_RUN";

/// What every program may need to find its way, and no secret of anybody. A `*` at the end stands for any.
const USUAL: [&str; 28] = [
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "LANG",
    "LANGUAGE",
    "LC_*",
    "TZ",
    "TERM",
    "COLORTERM",
    "NO_COLOR",
    "TMPDIR",
    "TMP",
    "TEMP",
    "XDG_*",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "ALL_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "all_proxy",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "REQUESTS_CA_BUNDLE",
    "NODE_EXTRA_CA_CERTS",
];

/// By which an agent knows that it runs inside of another one, and then refuses to start, or behaves otherwise.
const NESTING: [&str; 2] = ["CLAUDECODE", "CLAUDE_CODE_*"];

/// What was said to the supervisor alone: by a hatchery whose worker or agent it is, and by its service manager.
const OF_THE_SUPERVISOR: [&str; 13] = [
    AGENT_RUN,
    INSTANCE,
    RUN,
    "HATCHERY_WORKER",
    "HATCHERY_WIRE",
    "HATCHERY_LEDGER",
    "HATCHERY_TEMPLATE",
    "NOTIFY_SOCKET",
    "WATCHDOG_USEC",
    "WATCHDOG_PID",
    "LISTEN_FDS",
    "LISTEN_PID",
    "LISTEN_FDNAMES",
];

/// What a run is told of itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct Itself<'a> {
    pub(super) agent_run: AgentRunId,
    pub(super) run: RunId,
    pub(super) instance: &'a str,
}

/// What an adapter's table says of its agent's variables. A `*` at the end stands for any.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct OfAgent<'a> {
    /// That it may need.
    pub(super) pass: &'a [String],
    /// That say to it that it runs inside of another one.
    pub(super) markers: &'a [String],
}

/// The complete environment of a run. A marker of a surrounding agent passes only if [`Environment::pass`] spells its name out, for
/// settings are called like that, too; what was said to the supervisor alone never does. What is set, is set; but which run it is,
/// nobody else can say.
pub(super) fn environment(
    supervisor: impl IntoIterator<Item = (OsString, OsString)>,
    wanted: &Environment,
    agent: OfAgent<'_>,
    itself: Itself<'_>,
) -> Vec<(OsString, OsString)> {
    let passes = |name: &OsStr| match name.to_str() {
        Some(name) => passes(name, wanted, agent),
        // No list names it.
        None => wanted.inherit_all,
    };
    let mut env: BTreeMap<OsString, OsString> = supervisor.into_iter().filter(|(name, _)| passes(name)).collect();
    env.extend(wanted.set.iter().map(|(name, value)| (name.into(), value.clone())));
    env.insert(AGENT_RUN.into(), itself.agent_run.to_string().into());
    env.insert(RUN.into(), itself.run.to_string().into());
    env.insert(INSTANCE.into(), itself.instance.into());
    env.into_iter().collect()
}

fn passes(name: &str, wanted: &Environment, agent: OfAgent<'_>) -> bool {
    let is_spelled_out = wanted.pass.iter().any(|pass| pass == name);
    let is_marker = NESTING.iter().any(|marker| fits(marker, name)) || any_fits(agent.markers, name);
    let is_allowed = wanted.inherit_all
        || USUAL.iter().any(|usual| fits(usual, name))
        || any_fits(&wanted.pass, name)
        || any_fits(agent.pass, name);
    !OF_THE_SUPERVISOR.contains(&name) && (is_spelled_out || is_allowed && !is_marker)
}

fn any_fits(patterns: &[String], name: &str) -> bool {
    patterns.iter().any(|pattern| fits(pattern, name))
}

fn fits(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(beginning) => name.starts_with(beginning),
        None => pattern == name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The names that pass, of a supervisor that has these.
    fn passed(supervisor: &str, wanted: &Environment, agent: OfAgent<'_>) -> String {
        let supervisor = supervisor.split_whitespace().map(|name| (name.into(), "value".into()));
        let own = [AGENT_RUN, RUN, INSTANCE];
        let env = environment(supervisor, wanted, agent, itself());
        let names = env.iter().filter_map(|(name, _)| name.to_str()).filter(|name| !own.contains(name));
        names.collect::<Vec<_>>().join(" ")
    }

    fn itself() -> Itself<'static> {
        let agent_run = AgentRunId::parse("01ARZ3NDEKTSV4RRFFQ69G5FAV").unwrap();
        Itself { agent_run, run: RunId::from_bits(7), instance: "desk" }
    }

    fn value(env: &[(OsString, OsString)], name: &str) -> Option<String> {
        let found = env.iter().find(|(other, _)| other == name);
        found.map(|(_, value)| value.to_str().unwrap().to_owned())
    }

    fn strings(words: &str) -> Vec<String> {
        words.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn what_is_usual_passes_and_no_secret_of_anybody() {
        let supervisor = "PATH HOME LC_ALL LANG https_proxy XDG_CONFIG_HOME AWS_SECRET_ACCESS_KEY MY_API_KEY EDITOR";
        let passes = "HOME LANG LC_ALL PATH XDG_CONFIG_HOME https_proxy";
        assert_eq!(passed(supervisor, &Environment::default(), OfAgent::default()), passes);
        let wanted = Environment { pass: strings("MY_* EDITOR"), ..Environment::default() };
        assert_eq!(passed("EDITOR MY_API_KEY OTHER", &wanted, OfAgent::default()), "EDITOR MY_API_KEY");
        let all = Environment { inherit_all: true, ..Environment::default() };
        assert_eq!(passed("EDITOR MY_API_KEY", &all, OfAgent::default()), "EDITOR MY_API_KEY");
    }

    #[test]
    fn markers_of_a_surrounding_agent_do_not_pass_unless_they_are_spelled_out() {
        let all = Environment { inherit_all: true, ..Environment::default() };
        let supervisor = "CLAUDECODE CLAUDE_CODE_SESSION_ID CLAUDE_CODE_OAUTH_TOKEN CODEX_SANDBOX EDITOR";
        let (markers, pass) = (strings("CODEX_SANDBOX*"), strings("CODEX_* NEEDED"));
        let agent = OfAgent { markers: &markers, pass: &pass };
        assert_eq!(passed(supervisor, &all, agent), "EDITOR");
        let some = Environment { pass: strings("CLAUDE_CODE_OAUTH_TOKEN CLAUDE*"), ..Environment::default() };
        assert_eq!(passed(supervisor, &some, OfAgent::default()), "CLAUDE_CODE_OAUTH_TOKEN");
        assert_eq!(passed("NEEDED CODEX_HOME CODEX_SANDBOX", &Environment::default(), agent), "CODEX_HOME NEEDED");
    }

    #[test]
    fn what_was_said_to_the_supervisor_never_passes() {
        let wanted = Environment { inherit_all: true, pass: strings("HATCHERY_WIRE"), ..Environment::default() };
        let supervisor = "HATCHERY_WIRE HATCHERY_WORKER HATCHERY_LEDGER NOTIFY_SOCKET LISTEN_FDS HATCHERY_ADDR";
        assert_eq!(passed(supervisor, &wanted, OfAgent::default()), "HATCHERY_ADDR");
    }

    #[test]
    fn it_knows_which_run_it_is_and_nobody_can_say_otherwise() {
        let set = [(AGENT_RUN.to_owned(), "another".into()), ("PATH".to_owned(), "/opt".into())].into();
        let wanted = Environment { set, ..Environment::default() };
        let supervisor = [(AGENT_RUN.into(), "outer".into()), ("PATH".into(), "/bin".into())];
        let env = environment(supervisor, &wanted, OfAgent::default(), itself());
        assert_eq!(value(&env, AGENT_RUN).unwrap(), "01ARZ3NDEKTSV4RRFFQ69G5FAV");
        assert_eq!(value(&env, RUN).unwrap(), itself().run.to_string());
        assert_eq!((value(&env, INSTANCE).unwrap(), value(&env, "PATH").unwrap()), ("desk".into(), "/opt".into()));
    }
}
