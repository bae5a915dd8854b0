//! Pools that are not spoken to by the native wire.

use super::*;
use crate::pool::Concurrency;

const POOL: &str = "transport = \"grpc\"\nscript = \"py/grpc_server.py\"\nadapter = \"shop.tools.Adapter\"\n";

fn script_of(text: &str) -> BridgeScript {
    let config = parse(&format!("[[pools]]\nname = \"a\"\n{text}")).unwrap();
    let AppConfig::Bridged(BridgeConfig::Script(script)) = &config.pools[0].app else { panic!("{config:?}") };
    script.clone()
}

#[test]
fn a_script_and_its_adapter_reach_who_starts_them() {
    let script = script_of(&format!(
        "{POOL}adapter_args = [\"--heartbeat-independent\"]\npython = \"./py/bin/python\"\nenv = {{ A = \"b\" }}"
    ));
    let expected = BridgeScript {
        script: "/srv/py/grpc_server.py".into(),
        adapter: "shop.tools.Adapter".to_owned(),
        adapter_args: vec!["--heartbeat-independent".to_owned()],
        python: Some("/srv/./py/bin/python".into()),
        env: vec![("A".to_owned(), "b".to_owned())],
        shim: None,
        unsafe_bind: false,
    };
    assert_eq!(script, expected);
    let modes = script_of(&format!("{POOL}shim = [\"lossless\", \"loopback\"]")).shim;
    assert_eq!(modes, Some(vec![ShimMode::Lossless, ShimMode::Loopback]));
    let none = script_of(&format!("{POOL}shim = false\nunsafe_bind = true"));
    assert_eq!((none.shim, none.unsafe_bind), (Some(Vec::new()), true));
}

#[test]
fn the_interpreter_of_all_pools_is_that_of_a_script_too() {
    let config = parse(&format!("python = \"python3.12\"\n[[pools]]\nname = \"a\"\n{POOL}")).unwrap();
    let AppConfig::Bridged(BridgeConfig::Script(script)) = &config.pools[0].app else { panic!("{config:?}") };
    assert_eq!(script.python.as_deref(), Some(Path::new("python3.12")));
}

#[test]
fn a_program_may_speak_it_by_itself() {
    let config =
        parse("[[pools]]\nname = \"a\"\ntransport = \"grpc\"\ncommand = [\"./bridge\", \"x\"]\nenv = { A = \"b\" }")
            .unwrap();
    let AppConfig::Bridged(BridgeConfig::Command(command)) = &config.pools[0].app else { panic!("{config:?}") };
    let expected = CommandApp::new("/srv/./bridge").arg("x").env("A", "b");
    assert_eq!(format!("{command:?}"), format!("{expected:?}"));
}

#[test]
fn a_variable_says_it_as_well() {
    let variables = [
        ("HATCHERY__POOLS__A__TRANSPORT", "grpc"),
        ("HATCHERY__POOLS__A__ADAPTER_ARGS", "[\"--x\"]"),
        ("HATCHERY__POOLS__A__SHIM", "false"),
        ("HATCHERY__POOLS__A__UNSAFE_BIND", "true"),
    ];
    let text = "[[pools]]\nname = \"a\"\nscript = \"s.py\"\nadapter = \"m.C\"";
    let config = with(text, &variables).unwrap();
    let AppConfig::Bridged(BridgeConfig::Script(script)) = &config.pools[0].app else { panic!("{config:?}") };
    assert_eq!((script.adapter_args.as_slice(), &script.shim), (["--x".to_owned()].as_slice(), &Some(Vec::new())));
}

#[test]
fn what_is_said_of_all_pools_is_left_out_where_it_is_out_of_place() {
    let text = format!(
        "[pool_defaults]\n{POOL}shim = [\"lossless\"]\nunsafe_bind = true\npreload = [\"numpy\"]\narena.enabled = true\n\
         profile = \"thread\"\n[[pools]]\nname = \"old\"\n[[pools]]\nname = \"new\"\ntransport = \"native\"\napp = \"app.py\"\n\
         [[pools]]\nname = \"own\"\ncommand = [\"x\"]"
    );
    let config = parse(&text).unwrap();
    let [old, new, own] = config.pools.as_slice() else { panic!("{config:?}") };
    assert!(matches!(&old.app, AppConfig::Bridged(BridgeConfig::Script(script)) if script.unsafe_bind), "{old:?}");
    assert!(old.preload.is_empty() && old.arena.enabled.is_none(), "{old:?}");
    assert_eq!(old.concurrency, Some(Concurrency::Thread { threads_per_worker: 10 }));
    assert!(matches!(&new.app, AppConfig::Python(_)), "{new:?}");
    assert_eq!((new.preload.as_slice(), new.arena.enabled), (["numpy".to_owned()].as_slice(), Some(true)));
    assert!(matches!(&own.app, AppConfig::Bridged(BridgeConfig::Command(_))), "{own:?}");
}

#[test]
fn what_cannot_be_is_refused() {
    let wanted = "expected `script` and `adapter`, or `command`, with transport = \"grpc\"; found";
    let only = "expected only with transport = \"grpc\", found transport = \"native\"";
    let class = "expected a class by its module, like \"package.module.Class\", found";
    for (text, expected) in [
        ("transport = \"http\"", "3: pools[0].transport: expected \"native\" or \"grpc\", found \"http\"".to_owned()),
        ("transport = \"grpc\"", format!("1: pools[0]: {wanted} neither")),
        ("transport = \"grpc\"\napp = \"a.py\"", format!("4: pools[0].app: {wanted} `app`")),
        ("transport = \"grpc\"\nscript = \"a.py\"", "4: pools[0].script: expected beside `adapter`, found alone".to_owned()),
        ("transport = \"grpc\"\nadapter = \"a.B\"", "4: pools[0].adapter: expected beside `script`, found alone".to_owned()),
        ("script = \"a.py\"\nadapter = \"a.B\"", format!("3: pools[0].script: {only}")),
        ("app = \"a.py\"\nadapter = \"a.B\"", format!("4: pools[0].adapter: {only}")),
        ("app = \"a.py\"\nshim = false", format!("4: pools[0].shim: {only}")),
        ("app = \"a.py\"\nadapter = \"Alone\"", format!("4: pools[0].adapter: {class} \"Alone\"")),
        ("app = \"a.py\"\nadapter = \"a..B\"", format!("4: pools[0].adapter: {class} \"a..B\"")),
        ("app = \"a.py\"\nadapter = \"a.B C\"", format!("4: pools[0].adapter: {class} \"a.B C\"")),
        (
            "transport = \"grpc\"\ncommand = [\"x\"]\nunsafe_bind = true",
            "5: pools[0].unsafe_bind: expected only beside `script`, found beside `command`".to_owned(),
        ),
        (
            "transport = \"grpc\"\ncommand = [\"x\"]\npython = \"p\"",
            "5: pools[0].python: expected only beside `script`, found beside `command`".to_owned(),
        ),
        (&format!("{POOL}command = [\"x\"]"), format!("6: pools[0].command: {wanted} both")),
        (
            &format!("{POOL}shim = true"),
            "6: pools[0].shim: expected a list, each \"loopback\", \"parallel\" or \"lossless\", or false, found true".to_owned(),
        ),
        (
            &format!("{POOL}shim = [\"loopbak\"]"),
            "6: pools[0].shim[0]: expected \"loopback\", \"parallel\" or \"lossless\", found \"loopbak\"; did you mean \"loopback\"?"
                .to_owned(),
        ),
    ] {
        check_pool(text, &expected);
    }
}

#[test]
fn what_only_the_native_wire_has_is_refused() {
    let fact = "expected only with transport = \"native\", found transport = \"grpc\"";
    for key in ["preload = [\"numpy\"]", "preload_app = true", "template = true", "arena.enabled = true"] {
        let name = key.split(' ').next().unwrap();
        check_pool(&format!("{POOL}{key}"), &format!("6: pools[0].{name}: {fact}"));
    }
    for key in ["preload_app = false", "template = false", "arena.enabled = false"] {
        assert!(parse(&format!("[[pools]]\nname = \"a\"\n{POOL}{key}")).is_ok(), "{key}: there is none anyway");
    }
    let user = "expected only with transport = \"native\": another user cannot write into the supervisor's folder, where such a worker says on which port it listens";
    check_pool(&format!("{POOL}user = 7\ngroup = 7"), &format!("6: pools[0].user: {user}"));
}

#[test]
fn a_worker_that_everybody_reaches_is_meant() {
    let fact = "without \"loopback\" its workers listen on all addresses, and ask nobody for a password; expected it in the list, or unsafe_bind = true besides";
    for shim in ["false", "[]", "[\"lossless\", \"parallel\"]"] {
        check_pool(&format!("{POOL}shim = {shim}"), &format!("6: pools[0].shim: {fact}"));
        check_pool(&format!("{POOL}shim = {shim}\nunsafe_bind = false"), &format!("6: pools[0].shim: {fact}"));
        assert!(script_of(&format!("{POOL}shim = {shim}\nunsafe_bind = true")).unsafe_bind);
    }
}

#[test]
fn what_is_shown_of_it_is_a_file_that_says_the_same() {
    let text = format!("[[pools]]\nname = \"a\"\n{POOL}adapter_args = [\"--api-key\", \"abc\"]");
    let settings = |text: &str| Settings::read(text, Path::new("/srv/f.toml"), &Variables::default());
    let page = settings(&text).to_toml(true);
    assert!(page.contains("shim = [\"loopback\"]") && page.contains("template = false"), "{page}");
    assert!(page.contains("# adapter_args = [\"--api-key\", \"***\"]") && !page.contains("abc"), "{page}");
    let again = settings(&page);
    assert_eq!(again.problems(), [], "{page}");
    assert!(again.to_toml(false).contains("unsafe_bind = false"), "{page}");
}

#[test]
fn a_key_that_differs_is_named() {
    let config = |text: &str| parse(&format!("[[pools]]\nname = \"a\"\n{text}")).unwrap().pools.remove(0).app;
    let before = config(POOL);
    assert_eq!(before.changes(&config(&POOL.replace("Adapter", "Other"))), ["adapter"]);
    assert_eq!(
        before.changes(&config(&format!("{POOL}env = {{ A = \"b\" }}\nshim = [\"loopback\"]"))),
        ["env", "shim"]
    );
    assert_eq!(before.changes(&config("transport = \"grpc\"\ncommand = [\"x\"]")), ["command"]);
    assert_eq!(config("app = \"a.py\"").changes(&before), ["script"]);
}
