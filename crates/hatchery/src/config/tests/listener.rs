//! `[bridge]`: the listener for clients that are no workers.

use std::net::{IpAddr, Ipv4Addr};

use super::*;

fn listener(text: &str) -> Option<BridgeListener> {
    parse(&format!("[bridge]\n{text}")).unwrap().server.bridge
}

/// Everything that is wrong, without the file and the line.
fn problems(text: &str) -> Vec<String> {
    let settings = Settings::parse(text, Path::new("f"));
    let said = settings.problems().iter().map(ToString::to_string);
    said.map(|problem| problem.splitn(3, ':').nth(2).unwrap().trim().to_owned()).collect()
}

#[test]
fn there_is_none_unless_somebody_says_so() {
    assert_eq!(parse("").unwrap().server.bridge, None);
    assert_eq!(listener("mode = \"internal\""), None);
    assert_eq!(listener("unsafe_bind = true"), None);
}

#[test]
fn a_port_or_the_first_free_one_of_several() {
    let at = |host: &str, bind: [u8; 4], ports| {
        Some(BridgeListener { host: host.to_owned(), bind: IpAddr::from(bind), ports })
    };
    let external = "mode = \"external\"\nport = 50051\n";
    let here = [127, 0, 0, 1];
    assert_eq!(listener(&format!("{external}host = \"localhost\"")), at("localhost", here, 50051..=50051));
    let named = format!("{external}host = \"bridge.example\"\nbind_host = \"127.0.0.2\"");
    assert_eq!(listener(&named), at("bridge.example", [127, 0, 0, 2], 50051..=50051));
    let pool = "mode = \"external_pool\"\nhost = \"127.0.0.1\"\nbase_port = 65504";
    assert_eq!(listener(pool), at("127.0.0.1", here, 65504..=65535), "32, if nobody says how many");
    assert_eq!(listener(&format!("{pool}\npool_size = 1")), at("127.0.0.1", here, 65504..=65504));
    let six = listener(&format!("{external}host = \"[::1]\"")).unwrap();
    assert_eq!((six.host.as_str(), six.bind), ("[::1]", "::1".parse::<IpAddr>().unwrap()));
}

#[test]
fn a_variable_says_it_as_well() {
    let variables = [
        ("HATCHERY__BRIDGE__MODE", "external"),
        ("HATCHERY__BRIDGE__HOST", "localhost"),
        ("HATCHERY__BRIDGE__PORT", "7"),
    ];
    let found = with("", &variables).unwrap().server.bridge.unwrap();
    assert_eq!((found.bind, found.ports), (IpAddr::from(Ipv4Addr::LOCALHOST), 7..=7));
}

#[test]
fn what_is_missing_and_what_is_out_of_place_is_named() {
    let cases = [
        ("mode = \"external\"\nport = 1", "bridge.mode: expected `host` beside mode = \"external\", found none"),
        ("mode = \"external\"\nhost = \"::1\"", "bridge.mode: expected `port` beside mode = \"external\", found none"),
        (
            "mode = \"external_pool\"\nhost = \"::1\"",
            "bridge.mode: expected `base_port` beside mode = \"external_pool\", found none",
        ),
        (
            "host = \"::1\"",
            "bridge.host: expected only with mode = \"external\" or \"external_pool\", found mode = \"internal\"",
        ),
        (
            "mode = \"external\"\nhost = \"::1\"\nport = 1\npool_size = 2",
            "bridge.pool_size: expected only with mode = \"external_pool\", found mode = \"external\"",
        ),
        (
            "mode = \"external_pool\"\nhost = \"::1\"\nbase_port = 1\nport = 1",
            "bridge.port: expected only with mode = \"external\", found mode = \"external_pool\"",
        ),
        (
            "mode = \"open\"\nport = 1",
            "bridge.mode: expected \"internal\", \"external\" or \"external_pool\", found \"open\"",
        ),
        (
            "mode = \"external_pool\"\nhost = \"::1\"\nbase_port = 1\npool_size = 0",
            "bridge.pool_size: expected a whole number from 1 to 65535, found 0",
        ),
        (
            "mode = \"external_pool\"\nhost = \"::1\"\nbase_port = 65505",
            "bridge.base_port: expected so many ports from `base_port` on, but 65535 is the last",
        ),
        (
            "mode = \"external_pool\"\nhost = \"::1\"\nbase_port = 2\npool_size = 65535",
            "bridge.pool_size: expected so many ports from `base_port` on, but 65535 is the last",
        ),
        (
            "mode = \"external\"\nhost = \"bridge.example\"\nport = 1",
            "bridge.host: expected an address to listen on, like \"127.0.0.1\", or localhost, found \"bridge.example\"; or `bind_host` \
             beside it, which is one",
        ),
        (
            "mode = \"external\"\nhost = \"::1\"\nbind_host = \"\"\nport = 1",
            "bridge.bind_host: expected an address to listen on, like \"127.0.0.1\", or localhost, found \"\"",
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(problems(&format!("[bridge]\n{text}")), [expected], "{text}");
    }
}

#[test]
fn what_others_reach_is_meant_encrypted_and_asks_for_a_credential() {
    let bridge = "[bridge]\nmode = \"external\"\nport = 1\nhost = \"gpu.example\"\nbind_host = \"0.0.0.0\"\n";
    let meant = format!("{bridge}unsafe_bind = true\n");
    let tls = "[server]\ntls = { cert = \"c\", key = \"k\" }\n";
    for fine in [format!("{meant}{tls}"), format!("{meant}[server]\ninsecure_plaintext = true")] {
        assert_eq!(problems(&fine), [""; 0], "{fine}");
    }
    let begins = |text: &str, expected: &[&str]| {
        let found = problems(text);
        assert!(found.len() == expected.len(), "{found:?}");
        for (found, expected) in found.iter().zip(expected) {
            assert!(found.starts_with(&format!("bridge.bind_host: {expected}")), "{found}");
        }
    };
    begins(&format!("{bridge}{tls}"), &["\"0.0.0.0\" is reached from other machines; expected unsafe_bind = true"]);
    begins(&meant, &["expected an address on loopback, or `server.tls`"]);
    begins(
        &format!("{meant}{tls}auth = \"none\""),
        &["expected an address on loopback, or server.auth = \"token\", found \"0.0.0.0\" and \"none\""],
    );
}

#[test]
fn what_is_shown_of_it_is_a_file_that_says_the_same() {
    for text in ["", "[bridge]\nmode = \"external\"\nhost = \"localhost\"\nport = 7\n"] {
        let settings = |text: &str| Settings::read(text, Path::new("/srv/f.toml"), &Variables::default());
        let again = settings(&settings(text).to_toml(true));
        assert_eq!(again.problems(), []);
        assert_eq!(again.config().unwrap().server.bridge, settings(text).config().unwrap().server.bridge);
    }
}
