//! Apps and interpreters that cannot work: always exit status 2, always the reason.

use crate::sandbox::{Finished, Running, Sandbox};

fn call_in(sandbox: &Sandbox) -> Finished {
    sandbox.run(&["call", "--app", "app.py", "anything"]).exits(2).prints("")
}

#[test]
fn there_is_no_such_file() {
    call_in(&Sandbox::new()).says("error: start worker default-1: no such file: app.py (in ").hides("another worker");
    let sandbox = Sandbox::new();
    std::fs::create_dir(sandbox.path("app.py")).unwrap();
    call_in(&sandbox).says("not a file: app.py");
    sandbox.run(&["test", "--app", "absent.py"]).exits(2).says("no such file: absent.py");
}

#[test]
fn there_is_no_such_module_or_attribute() {
    let sandbox = Sandbox::with_app();
    let words = ["tools", "--app", "no.such.module"];
    sandbox.run(&words).exits(2).says("No module named 'no'").hides("Traceback").hides("importlib");
    sandbox.run(&["tools", "--app", "app.py:NoSuchThing"]).exits(2).says("NoSuchThing");
}

#[test]
fn a_syntax_error_is_shown() {
    call_in(&Sandbox::with("def broken(:\n")).says("SyntaxError").says("app.py");
}

#[test]
fn an_exception_at_import_is_shown_with_its_traceback() {
    call_in(&Sandbox::with("import no_such_package_anywhere\n"))
        .says("ModuleNotFoundError")
        .says("no_such_package_anywhere");
    let app = "print('so far')\nx = {}['key']\n";
    let finished = call_in(&Sandbox::with(app)).says("KeyError").says("Traceback").says("default-1 | so far\n");
    let finished = finished.hides("last output").hides("another worker").hides("boot.py");
    assert_eq!(finished.stderr.matches("error: ").count(), 1, "{finished:#?}");
    let quiet = Sandbox::with(app).run(&["tools", "--app", "app.py", "-q"]).exits(2);
    quiet.says("last output of the worker:\n  so far\n");
}

#[test]
fn a_module_that_does_not_load_is_shown_without_the_frames_of_its_import() {
    let sandbox = Sandbox::new();
    sandbox.write("broken.py", "def broken(:\n");
    sandbox.run(&["tools", "--app", "broken"]).exits(2).says("SyntaxError").says("broken.py").hides("importlib");
}

#[test]
fn an_app_without_tools_is_told_how_to_have_some() {
    call_in(&Sandbox::with("x = 1\n")).says("it has no tools: put @tool above a function or method");
}

#[test]
fn two_tools_of_one_name_are_both_named() {
    let class = |name| format!("class {name}:\n    @tool\n    def t(self): ...\n");
    let app = format!("from hatchery import tool\n{}{}", class("A"), class("B"));
    call_in(&Sandbox::with(&app)).says("two tools are called `t`").says("A.t").says("B.t");
}

#[test]
fn a_class_of_a_module_is_an_app() {
    let sandbox = Sandbox::new();
    std::fs::create_dir(sandbox.path("pkg")).unwrap();
    sandbox.write("pkg/mod.py", "from hatchery import tool\nclass K:\n    @tool\n    def t(self): return 'K'\n");
    sandbox.run(&["call", "--app", "pkg.mod:K", "t"]).exits(0).prints("\"K\"");
    sandbox.run(&["call", "--app", "pkg/mod.py:K", "t"]).exits(0).prints("\"K\"");
    sandbox.run(&["call", "--app", "pkg.mod:L", "t"]).exits(2).says("there is no `L` in it");
}

#[test]
fn a_start_that_takes_too_long_is_told_where_to_get_more_time() {
    let sandbox = Sandbox::with("import time\ntime.sleep(3600)\n");
    let pool = "[[pools]]\nname = \"p\"\napp = \"app.py\"\ntimeouts = { start = \"100ms\" }\n";
    sandbox.write("hatchery.toml", pool);
    let finished = sandbox.run(&["call", "--app", "app.py", "anything"]).exits(3).prints("");
    finished.says("while the worker was starting\nhint: `timeouts = { start = ").hides("--timeout");
}

#[test]
fn a_class_that_cannot_be_made_is_shown() {
    let app = "from hatchery import tool\nclass C:\n    def __init__(self): raise OSError('no model')\n    @tool\n    def t(self): ...\n";
    call_in(&Sandbox::with(app)).says("no model");
}

#[test]
fn an_interpreter_that_is_not_there_is_named() {
    let sandbox = Sandbox::with_app();
    let words = ["call", "--app", "app.py", "word_count", "text=a", "--python", "/no/such/python"];
    sandbox.run(&words).exits(2).says("/no/such/python");
    let mut command = sandbox.command(&words[..5]);
    command.env("HATCHERY_PYTHON", "/no/such/python");
    Running::new(command.spawn().unwrap()).finish().exits(2).says("/no/such/python (from HATCHERY_PYTHON)");
}

#[test]
fn an_interpreter_that_is_no_program_is_told_from_one_that_may_not_run() {
    let sandbox = Sandbox::with_app();
    sandbox.write("python", "not a program\n");
    let words = ["call", "--app", "app.py", "word_count", "text=a", "--python", "./python"];
    sandbox.run(&words).exits(2).says("not executable");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(sandbox.path("python"), mode).unwrap();
    sandbox.run(&words).exits(2).says("neither a program for this machine nor a script");
}

#[test]
fn a_machine_without_python_is_told_what_to_do() {
    let sandbox = Sandbox::with_app();
    let mut command = sandbox.command(&["call", "--app", "app.py", "word_count", "text=a"]);
    command.env("PATH", "/nonexistent").env_remove("VIRTUAL_ENV");
    let finished = Running::new(command.spawn().unwrap()).finish().exits(2).prints("");
    finished.says("no Python interpreter found").says("install Python 3.9 or newer").says("--python");
}

#[test]
fn an_interpreter_that_is_too_old_is_told_its_version() {
    let sandbox = Sandbox::with_app();
    // A Python that believes that it is 3.8, whatever it is asked to run.
    sandbox.write(
        "sitecustomize.py",
        "import sys\nsys.version_info = (3, 8, 0, 'final', 0)\nsys.version = '3.8.0 (old)'\n",
    );
    let mut command = sandbox.command(&["call", "--app", "app.py", "word_count", "text=a"]);
    command.env("PYTHONPATH", sandbox.path(""));
    Running::new(command.spawn().unwrap()).finish().exits(2).says("3.8").says("3.9");
}

#[test]
fn a_configuration_that_is_wrong_is_named() {
    let sandbox = Sandbox::with_app();
    let call = ["call", "--app", "app.py", "word_count", "text=a"];
    sandbox.write("hatchery.toml", "pyhton = \"python3\"\n");
    sandbox.run(&call).exits(2).says("hatchery.toml:1: pyhton: unknown key; did you mean `python`?");
    sandbox.write("hatchery.toml", "[[pools]]\nname = \"p\"\napp = \"app.py\"\nworkers = \"x\"\n");
    sandbox.run(&call).exits(2).says("hatchery.toml:4: pools[0].workers: expected a whole number");
    sandbox.run(&[&call[..], &["--config", "absent.toml"]].concat()).exits(2).says("absent.toml");
}

#[test]
fn the_configuration_of_the_same_file_applies_and_flags_beat_it() {
    let sandbox =
        Sandbox::with("import os\nfrom hatchery import tool\n@tool\ndef get(name: str): return os.environ.get(name)\n");
    sandbox.write("hatchery.toml", "[[pools]]\nname = \"p\"\napp = \"app.py\"\nenv = { COLOUR = \"green\" }\n");
    sandbox.run(&["call", "--app", "app.py", "get", "name=COLOUR"]).exits(0).prints("\"green\"");
    sandbox.write("hatchery.toml", "python = \"/no/such/python\"\n");
    sandbox.run(&["call", "--app", "app.py", "get", "name=COLOUR"]).exits(2).says("/no/such/python");
    let words = ["call", "--app", "app.py", "get", "name=COLOUR", "--python", "python3"];
    sandbox.run(&words).exits(0).prints("null");
}
