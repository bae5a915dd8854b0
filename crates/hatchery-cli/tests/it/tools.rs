use serde_json::json;

use crate::sandbox::Sandbox;

const APP: &str = "\
from hatchery import tool

@tool
def add(a: int, b: int = 2) -> int:
    \"\"\"Add two numbers.

    The second may be left out.
    \"\"\"
    return a + b

@tool
def tick(n: int):
    yield n
";

#[test]
fn people_read_signatures() {
    let sandbox = Sandbox::with(APP);
    let finished = sandbox.run(&["tools", "--app", "app.py"]).exits(0);
    assert!(finished.stdout.contains("add(a: int, b: int = 2)  Add two numbers.\n"), "{finished:?}");
    assert!(finished.stdout.contains("tick(n: int) -> stream"), "{finished:?}");
}

#[test]
fn scripts_read_specifications() {
    let sandbox = Sandbox::with(APP);
    let tools = sandbox.run(&["tools", "--app", "app.py", "--json"]).exits(0).json();
    let add = tools.as_array().unwrap().iter().find(|tool| tool["name"] == "add").unwrap();
    assert_eq!(add["streaming"], json!(false));
    assert_eq!(add["parameters"][0]["name"], "a");
    assert_eq!(add["parameters"][0]["type"], "int");
    assert_eq!(add["parameters"][0]["required"], json!(true));
    assert_eq!(add["parameters"][1]["default"], json!(2));
    assert!(add["doc"].as_str().unwrap().starts_with("Add two numbers."), "{add}");
}
