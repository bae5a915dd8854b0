//! Apps and interpreters that cannot work: always exit status 2, always the reason.

use crate::sandbox::{Finished, Sandbox};

fn call_in(sandbox: &Sandbox) -> Finished {
    sandbox.run(&["call", "--app", "app.py", "anything"]).exits(2).prints("")
}

#[test]
fn there_is_no_such_file() {
    call_in(&Sandbox::new()).says("app.py");
}

#[test]
fn there_is_no_such_module_or_attribute() {
    let sandbox = Sandbox::with_app();
    sandbox.run(&["tools", "--app", "no.such.module"]).exits(2).says("no");
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
    call_in(&Sandbox::with("x = {}['key']\n")).says("KeyError").says("Traceback");
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
    crate::sandbox::Running::new(command.spawn().unwrap()).finish().exits(2).says("3.8").says("3.9");
}

#[test]
fn a_configuration_that_is_wrong_is_named() {
    let sandbox = Sandbox::with_app();
    let call = ["call", "--app", "app.py", "word_count", "text=a"];
    sandbox.write("hatchery.toml", "pyhton = \"python3\"\n");
    sandbox.run(&call).exits(2).says("hatchery.toml").says("pyhton");
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
