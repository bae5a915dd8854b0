//! Makes requests of operations.

use bytes::Bytes;
use hyper::Request;
use serde_json::{Map, Value, json};

/// Numbers from a seed (splitmix64): the same ones whenever it is the same seed.
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) fn new(seed: u64) -> Chance {
        Chance(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    /// One time in so many.
    fn one_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    fn of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
    }
}

/// An operation of the description.
pub(crate) struct Operation {
    pub(crate) name: String,
    method: String,
    path: String,
    parameters: Vec<Value>,
    /// What its JSON body is to be, if it has one.
    body: Option<Value>,
    /// What its answer is, if that is JSON.
    pub(crate) answer: Option<Value>,
    schemas: Value,
}

/// What was sent, to be shown.
#[derive(Debug)]
pub(crate) struct Sent {
    method: String,
    uri: String,
    headers: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
    pub(crate) is_hostile_head: bool,
}

impl Sent {
    pub(crate) fn request(&self) -> Request<Bytes> {
        let begun = Request::builder().method(self.method.as_str()).uri(&self.uri);
        let built = self.headers.iter().fold(begun, |it, (name, value)| it.header(name, &value[..]));
        built.body(Bytes::from(self.body.clone())).unwrap()
    }
}

pub(crate) fn operations(description: &Value) -> Vec<Operation> {
    let paths = description["paths"].as_object().unwrap();
    let all = paths.iter().flat_map(|(path, methods)| {
        methods
            .as_object()
            .unwrap()
            .iter()
            .map(move |(method, operation)| Operation::read(description, path, method, operation))
    });
    all.collect()
}

const JSON: &str = "/content/application~1json/schema";

/// Names that are there, names that are not, and names that somebody might stumble over.
const NAMES: &[&str] = &[
    "default",
    "default-1",
    "reverse",
    "long_text",
    "nothing",
    "counted",
    "s",
    "%00",
    "%ff",
    "%2e%2e%2f",
    "..%2f..%2fetc%2fpasswd",
    "%F0%9F%A6%86",
    "%zz",
    "%",
    "a%20b",
    "'%22%3Cscript%3E",
    "-1",
    "default-0",
    "default-99999999999999999999",
    "%0d%0aX:%201",
];

/// Anything but what is expected.
const WRONG: &[&str] = &[
    "",
    "{",
    "]",
    "nul",
    "\"\\ud800\"",
    "1e999",
    "[[[[[[[[",
    "{\"a\":1,\"a\":2}",
    "\u{feff}{}",
    "-0",
    "{} {}",
    "\"\u{0}\"",
    "{\"workers\":1e3}",
];

const MEDIA_TYPES: &[&str] = &[
    "application/json",
    "text/plain",
    "application/octet-stream",
    "application/x-npy",
    "multipart/form-data",
    "multipart/form-data; boundary=x",
    "application/json; charset=utf-16",
    ";;;",
    "multipart/form-data; boundary=",
];

const OPTIONS: &[(&str, &[&str])] = &[
    ("x-hatchery-timeout", &["1s", "0s", "-1s", "infinity", "9999999999999h", "soon"]),
    ("x-hatchery-session", &["s", "", "\u{e9}"]),
    ("x-hatchery-affinity", &["hint", "strict-queue", "loose"]),
    ("x-hatchery-worker", &["default-1", "default-2", "x"]),
    ("x-hatchery-priority", &["high", "highest"]),
    ("x-hatchery-idempotent", &["true", "maybe"]),
    ("x-hatchery-region", &["eu"]),
    ("accept", &["*/*", "application/octet-stream", ";;,,", "application/x-npy;q=0"]),
    ("accept-encoding", &["gzip", "br, *;q=0", "\u{ff}"]),
    ("traceparent", &["00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "00-x"]),
    ("content-encoding", &["gzip"]),
    ("expect", &["100-continue"]),
    ("x-forwarded-for", &["1.2.3.4"]),
    ("host", &["evil.example"]),
    ("origin", &["http://evil.example", "null"]),
    ("range", &["bytes=0-1"]),
];

impl Operation {
    fn read(description: &Value, path: &str, method: &str, operation: &Value) -> Operation {
        Operation {
            name: operation["operationId"].as_str().unwrap().to_owned(),
            method: method.to_uppercase(),
            path: path.to_owned(),
            parameters: operation["parameters"].as_array().unwrap().clone(),
            body: operation["requestBody"].pointer(JSON).cloned(),
            answer: operation["responses"]["200"].pointer(JSON).cloned(),
            schemas: description.clone(),
        }
    }

    /// Right in one case of three, else with something wrong about it.
    pub(crate) fn request(&self, chance: &mut Chance) -> Sent {
        let is_right = chance.one_in(3);
        let mut headers = if is_right { Vec::new() } else { headers(chance) };
        let body = self.body(chance, is_right);
        if !is_right && chance.one_in(2) {
            headers.push(("content-type".to_owned(), chance.of(MEDIA_TYPES).as_bytes().to_vec()));
        }
        let uri = self.uri(chance, is_right);
        let is_hostile_head = !is_right;
        Sent { method: self.method.clone(), uri, headers, body, is_hostile_head }
    }

    fn uri(&self, chance: &mut Chance, is_right: bool) -> String {
        let part = |part: &str, chance: &mut Chance| match part {
            "{pool}" if is_right => "default".to_owned(),
            "{worker}" if is_right => "default-1".to_owned(),
            "{tool}" if is_right => (*chance.of(&["reverse", "long_text", "nothing"])).to_owned(),
            "{session}" | "{name}" | "{id}" if is_right => "s".to_owned(),
            name if name.starts_with('{') && chance.one_in(8) => "x".repeat(2000),
            name if name.starts_with('{') => (*chance.of(NAMES)).to_owned(),
            other => other.to_owned(),
        };
        let path: Vec<String> = self.path.split('/').map(|it| part(it, chance)).collect();
        let query: Vec<String> = self
            .parameters
            .iter()
            .filter(|it| it["in"] == "query" && chance.one_in(2))
            .collect::<Vec<_>>()
            .into_iter()
            .map(|it| format!("{}={}", it["name"].as_str().unwrap(), self.text(it, chance, is_right)))
            .collect();
        let stray = if is_right || !chance.one_in(4) {
            ""
        } else {
            chance.of(&["&", "&x=1", "&%ff=%ff", "&=&=", "&limit=1&limit=2"])
        };
        let path = path.join("/");
        // What no client library would send, this one would not, either.
        let uri = format!("{path}?{}{stray}", query.join("&"));
        if uri.parse::<hyper::Uri>().is_ok() {
            uri
        } else {
            path.replace(|letter: char| !letter.is_ascii_graphic(), "_")
        }
    }

    fn text(&self, parameter: &Value, chance: &mut Chance, is_right: bool) -> String {
        match (is_right, parameter["schema"]["type"].as_str()) {
            (true, Some("integer")) => (1 + chance.below(1000)).to_string(),
            (true, _) if parameter["name"] == "kind" => "worker.*".to_owned(),
            (true, _) => "s".to_owned(),
            _ => (*chance.of(&[
                "",
                "0",
                "-1",
                "1e3",
                "99999999999999999999",
                "%ff",
                "%00",
                "*",
                "worker.%2a",
                ",,,",
                "!*",
                "%",
                "null",
            ]))
            .to_owned(),
        }
    }

    fn body(&self, chance: &mut Chance, is_right: bool) -> Vec<u8> {
        let Some(schema) = &self.body else { return Vec::new() };
        if is_right {
            return self.value(schema, chance, 0).to_string().into_bytes();
        }
        match chance.below(6) {
            0 => (*chance.of(WRONG)).as_bytes().to_vec(),
            1 => (0..chance.below(200)).map(|_| chance.next() as u8).collect(),
            2 => format!("{{\"{}\":1}}", "k".repeat(100_000)).into_bytes(),
            3 => "[".repeat(100_000).into_bytes(),
            4 => anything(chance, 0).to_string().into_bytes(),
            _ => self.nearly(schema, chance).to_string().into_bytes(),
        }
    }

    /// Right but for one entry.
    fn nearly(&self, schema: &Value, chance: &mut Chance) -> Value {
        let mut value = self.value(schema, chance, 0);
        let Some(object) = value.as_object_mut() else { return anything(chance, 0) };
        let keys: Vec<String> = object.keys().cloned().chain(["stranger".to_owned()]).collect();
        object.insert(chance.of(&keys).clone(), anything(chance, 1));
        value
    }

    /// What fits the schema.
    fn value(&self, schema: &Value, chance: &mut Chance, depth: usize) -> Value {
        if let Some(target) = schema["$ref"].as_str() {
            if target.ends_with("/Arguments") {
                return chance.of(&[json!({"size": 3}), json!({"data": {"$bytes": "AA=="}}), json!({})]).clone();
            }
            let target = self.schemas.pointer(target.strip_prefix('#').unwrap()).unwrap();
            return self.value(target, chance, depth);
        }
        let name = schema["type"].as_str().or_else(|| schema["type"][0].as_str());
        match name {
            Some("object") => self.object(schema, chance, depth),
            // A pool of a thousand workers is not what is tested.
            Some("integer") => json!(1 + chance.below(2)),
            Some("string") if schema["examples"].is_array() => json!("1s"),
            Some("string") => json!("s"),
            _ => anything(chance, depth),
        }
    }

    fn object(&self, schema: &Value, chance: &mut Chance, depth: usize) -> Value {
        let none = Map::new();
        let required = schema["required"].as_array().cloned().unwrap_or_default();
        let properties = schema["properties"].as_object().unwrap_or(&none);
        let wanted = properties.iter().filter(|(key, _)| required.contains(&json!(key)) || chance.one_in(2));
        let wanted: Vec<(&String, &Value)> = wanted.collect();
        wanted
            .into_iter()
            .map(|(key, of)| (key.clone(), self.value(of, chance, depth + 1)))
            .collect::<Map<_, _>>()
            .into()
    }
}

fn headers(chance: &mut Chance) -> Vec<(String, Vec<u8>)> {
    let mut headers = Vec::new();
    for _ in 0..chance.below(4) {
        let (name, values) = chance.of(OPTIONS);
        let value = chance.of(values).as_bytes().to_vec();
        // Twice, now and then.
        headers.extend(std::iter::repeat_n(((*name).to_owned(), value), 1 + usize::from(chance.one_in(4))));
    }
    if chance.one_in(10) {
        headers.push(("x-long".to_owned(), vec![b'x'; 20_000]));
    }
    headers
}

fn anything(chance: &mut Chance, depth: usize) -> Value {
    match chance.below(if depth > 3 { 7 } else { 9 }) {
        0 => Value::Null,
        1 => json!(true),
        2 => json!(-1),
        3 => json!(u64::MAX),
        4 => json!(1.5e300),
        5 => json!("\u{0}<script>'\"\\\u{202e}🦆"),
        6 => json!("x".repeat(chance.below(5000))),
        7 => (0..chance.below(4)).map(|_| anything(chance, depth + 1)).collect::<Vec<_>>().into(),
        _ => (0..chance.below(4)).map(|n| (format!("k{n}"), anything(chance, depth + 1))).collect::<Map<_, _>>().into(),
    }
}
