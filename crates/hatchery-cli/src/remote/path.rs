//! What a daemon is asked for, as it stands in a URL.

/// `/v1/`, and these names below it, each as one segment whatever is in it.
pub(super) fn path(segments: &[&str]) -> String {
    segments.iter().fold(String::from("/v1"), |path, segment| path + "/" + &escaped(segment))
}

/// What stands behind the path; nothing if there is nothing to say.
pub(super) fn query(said: &[(&str, &str)]) -> String {
    let pairs: Vec<String> = said.iter().map(|(key, value)| format!("{key}={}", escaped(value))).collect();
    if pairs.is_empty() { String::new() } else { format!("?{}", pairs.join("&")) }
}

fn escaped(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_segment_whatever_is_in_it() {
        assert_eq!(path(&["pools", "a/b?\u{e9}", "call", "word_count"]), "/v1/pools/a%2Fb%3F%C3%A9/call/word_count");
    }

    #[test]
    fn only_what_is_said_stands_in_a_query() {
        assert_eq!(query(&[]), "");
        assert_eq!(query(&[("kind", "worker.*,pool.x"), ("pool", "a&b")]), "?kind=worker.%2A%2Cpool.x&pool=a%26b");
    }
}
