//! Too few descriptors: a start that fails says so, at whatever step it fails, and leaves nothing.

use super::Machine;

/// `ulimit`'s words, and whether anything starts.
const LIMITS: [(&str, Option<bool>); 13] = [
    ("-n 14", Some(false)),
    ("-n 64", Some(false)),
    ("-n 180", Some(false)),
    ("-n 259", Some(false)),
    ("-n 262", None),
    ("-Sn 14", Some(false)),
    // Where exactly it fails depends on what the program itself has open.
    ("-Sn 24", None),
    ("-Sn 64", None),
    ("-Sn 70", None),
    ("-Sn 74", None),
    ("-Sn 78", None),
    ("-Sn 256", Some(true)),
    ("-n 300", Some(true)),
];

#[test]
fn too_few_are_said_to_be_too_few() {
    for (limit, expected) in LIMITS {
        let Some(seen) = Machine::that(&format!(r#"ulimit {limit}; "$@""#)).seen() else { return };
        if let Some(error) = &seen.error {
            assert!(error.contains("Too many open files") && !seen.works, "{limit}: {seen:#?}");
        }
        assert!(expected.is_none_or(|works| works == seen.works), "{limit}: {seen:#?}");
        let check = seen.checks.iter().find(|check| check.name == "open files").unwrap();
        assert!(check.status == "warning" && check.message.starts_with("at most "), "{check:?}");
    }
}
