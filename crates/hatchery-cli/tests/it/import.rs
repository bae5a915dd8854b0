use crate::sandbox::Sandbox;

const FILE: &str = r#"
import Config
config :logger, level: :info
config :my_app, MyApp.Repo, url: System.get_env("DATABASE_URL") || raise("no url")

config :snakepit,
  log_level: :info,
  pools: [%{name: :ml, pool_size: 2, adapter_args: ["--adapter", "ml.Adapter"], worker_ttl: {1, :hours}}]

config :phoenix, :json_library, Jason
"#;

const IMPORT: [&str; 2] = ["import", "snakepit-config"];

fn words<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&IMPORT, more].concat()
}

#[test]
fn a_file_becomes_a_file() {
    let sandbox = Sandbox::new();
    sandbox.write("config.exs", FILE);
    let told = "config.exs:7:14: log_level: what is logged is said on the command line";
    let shown = sandbox.run(&words(&["config.exs"])).exits(0).says(told).stdout;
    assert!(shown.contains("adapter = \"ml.Adapter\" # config.exs:8: pools[0].adapter_args"), "{shown}");
    assert!(!shown.contains("Repo") && !shown.contains("DATABASE_URL"), "{shown}");
    let written = sandbox.run(&words(&["config.exs", "-o", "hatchery.toml", "--quiet"])).exits(0).prints("");
    assert_eq!(written.stderr, "");
    assert_eq!(std::fs::read_to_string(sandbox.path("hatchery.toml")).unwrap(), shown);
}

#[test]
fn stdin_is_read_too() {
    let sandbox = Sandbox::new();
    for more in [&["-"][..], &[]] {
        let finished = sandbox.run_with_input(&words(more), "[%{name: :a, pool_size: 1}]").exits(0);
        assert!(finished.stdout.contains("workers = 1 # stdin:1: pools[0].pool_size"), "{finished:?}");
    }
}

#[test]
fn for_machines_it_is_one_document() {
    let sandbox = Sandbox::new();
    sandbox.write("config.exs", FILE);
    let document = sandbox.run(&words(&["config.exs", "-o", "x.toml", "--json"])).exits(0).json();
    assert_eq!((&document["pools"], &document["file"]), (&1.into(), &"x.toml".into()));
    let note = &document["notes"][0];
    assert_eq!((&note["key"], &note["line"], &note["column"]), (&"log_level".into(), &7.into(), &14.into()));
    assert_eq!(document["toml"], std::fs::read_to_string(sandbox.path("x.toml")).unwrap());
    let error = sandbox.run(&words(&["no.exs", "--json"])).exits(2).json();
    assert_eq!(error["error"]["kind"], "validation");
}

#[test]
fn nothing_is_overwritten_unasked() {
    let sandbox = Sandbox::new();
    sandbox.write("config.exs", FILE);
    sandbox.write("hatchery.toml", "mine");
    let to_it = ["config.exs", "-o", "hatchery.toml"];
    sandbox.run(&words(&to_it)).exits(2).prints("").says("overwrite it with --force");
    assert_eq!(std::fs::read_to_string(sandbox.path("hatchery.toml")).unwrap(), "mine");
    sandbox.run(&words(&[&to_it[..], &["--force"]].concat())).exits(0);
    assert!(std::fs::read_to_string(sandbox.path("hatchery.toml")).unwrap().contains("[[pools]]"));
    sandbox
        .run(&words(&["config.exs", "-o", "no/such/folder.toml"]))
        .exits(2)
        .says("write no/such/folder.toml: No such file");
    sandbox.run(&words(&["config.exs", "--force"])).exits(2).says("--output");
}

#[test]
fn what_cannot_be_read_is_told_with_its_place() {
    let sandbox = Sandbox::new();
    std::fs::create_dir(sandbox.path("folder")).unwrap();
    std::fs::write(sandbox.path("latin.exs"), b"config :snakepit,\n  instance_name: \"caf\xe9\"\n").unwrap();
    sandbox.write("unbalanced.exs", "config :snakepit, pools: [\n  %{name: :a},\n");
    sandbox.write("empty.exs", "");
    sandbox.write("others.exs", "import Config\nconfig :logger, level: :info\n");
    let cases = [
        ("no.exs", "read no.exs: No such file"),
        ("folder", "read folder: Is a directory"),
        ("latin.exs", "read latin.exs:2: not UTF-8"),
        (
            "unbalanced.exs",
            "read unbalanced.exs:3:1: expected a value or `]` for what begins at line 1, column 26, found the end of the text",
        ),
        ("empty.exs", "found nothing of Snakepit"),
        ("others.exs", "read others.exs:1:1: expected `config :snakepit, ...`"),
    ];
    for (file, expected) in cases {
        sandbox.run(&words(&[file, "-o", "hatchery.toml"])).exits(2).prints("").says(expected);
        assert!(!sandbox.path("hatchery.toml").exists(), "{file}");
    }
}
