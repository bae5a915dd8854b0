//! Command lines for people, without what they must not see.

use std::borrow::Cow;
use std::fs::File;
use std::io::Read;

use super::Pid;

/// More than this of a command line tells nobody anything.
const LONGEST: usize = 1024;

const HIDDEN: &str = "***";

/// A word of a name that ends in one of these names a secret: `PGPASSWORD`, `auth-token`.
const SECRET_ENDS: [&str; 8] = ["token", "password", "passwd", "passphrase", "secret", "secrets", "apikey", "cookie"];
/// Words that name a secret by themselves.
const SECRET_WORDS: [&str; 6] = ["auth", "authorization", "bearer", "credential", "credentials", "pwd"];
/// Words that do if `key` comes next.
const SECRET_KEYS: [&str; 6] = ["api", "access", "private", "secret", "signing", "encryption"];

/// The command line of a process, now; its name in brackets if it has none. Empty if it is gone.
pub(crate) fn command_of(pid: Pid) -> String {
    let line = read_some(&format!("/proc/{pid}/cmdline"));
    let words: Vec<Cow<'_, str>> = line.split(|byte| *byte == 0).map(String::from_utf8_lossy).collect();
    let redacted = redacted(words.iter().map(AsRef::as_ref));
    if !redacted.is_empty() {
        return redacted;
    }
    let name = read_some(&format!("/proc/{pid}/comm"));
    let name = String::from_utf8_lossy(&name).trim_end().escape_debug().to_string();
    if name.is_empty() { name } else { format!("[{name}]") }
}

/// The words with one blank between them, cut where it gets long. What follows the name of a secret is hidden, be it
/// after `=`, after `:` or the next word; so is the password in an URL.
pub(crate) fn redacted<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    let mut text = String::new();
    let mut next_is_secret = false;
    for word in words.into_iter().filter(|word| !word.is_empty()) {
        if text.len() > LONGEST {
            text.push_str(" …");
            break;
        }
        if !text.is_empty() {
            text.push(' ');
        }
        match next_is_secret {
            true => text.push_str(HIDDEN),
            false => text.push_str(&shortened(&redacted_word(word))),
        }
        next_is_secret = !next_is_secret && is_secret_flag(word);
    }
    text
}

/// The words one by one, as [`redacted`] shows them, but whole.
pub(crate) fn redacted_each<'a>(words: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let mut next_is_secret = false;
    let shown = words.into_iter().map(|word| {
        let hide = std::mem::replace(&mut next_is_secret, false);
        next_is_secret = !hide && is_secret_flag(word);
        if hide { HIDDEN.to_owned() } else { redacted_value(word) }
    });
    shown.collect()
}

/// A text without the secrets that it names, and without the password of an URL.
pub(crate) fn redacted_value(text: &str) -> String {
    redacted_word(text).into_owned()
}

fn read_some(path: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    // A process that is gone has nothing to say.
    let _gone = File::open(path).and_then(|file| file.take(16 << 10).read_to_end(&mut bytes));
    bytes
}

/// On one line, and without the control characters that a terminal would obey.
fn shortened(word: &str) -> String {
    let mut shown = String::new();
    for c in word.chars().take(LONGEST / 2) {
        if c.is_control() { shown.extend(c.escape_default()) } else { shown.push(c) }
    }
    if word.chars().nth(LONGEST / 2).is_some() {
        shown.push('…');
    }
    shown
}

/// `--token`: its value is the next word.
fn is_secret_flag(word: &str) -> bool {
    word.starts_with('-') && !word.contains(['=', ' ']) && is_secret_name(word)
}

/// A word may be a whole script (`sh -c …`): from the first secret on, all of it is hidden.
fn redacted_word(word: &str) -> Cow<'_, str> {
    match secret_start(word) {
        Some(start) => format!("{}{HIDDEN}", &word[..start]).into(),
        None => without_password(word),
    }
}

/// Where the first value begins whose name says that it is a secret.
fn secret_start(word: &str) -> Option<usize> {
    let after_separator = word.char_indices().filter(|(_, c)| matches!(c, '=' | ':' | ' ')).find(|&(at, separator)| {
        let name = last_name(&word[..at]);
        // A blank separates only after a flag.
        is_secret_name(name) && (separator != ' ' || word[..at].ends_with(&format!("-{name}")))
    });
    after_separator.map(|(at, _)| at + 1)
}

/// The identifier at the end of the text, quotes aside.
fn last_name(text: &str) -> &str {
    let text = text.trim_end_matches(['"', '\'', ' ']);
    let start = text
        .rfind(|c: char| !(c.is_alphanumeric() || c == '_' || c == '-'))
        .map_or(0, |at| at + text[at..].chars().next().map_or(1, char::len_utf8));
    text[start..].trim_start_matches('-')
}

/// `HF_TOKEN`, `apiKey`, `auth`.
pub(crate) fn is_secret_name(name: &str) -> bool {
    let words = words_of(name);
    let names_key = |pair: &[String]| SECRET_KEYS.contains(&pair[0].as_str()) && pair[1] == "key";
    words.iter().any(|word| SECRET_WORDS.contains(&word.as_str()) || SECRET_ENDS.iter().any(|end| word.ends_with(end)))
        || words.windows(2).any(names_key)
}

/// `apiKey`, `api-key` and `API_KEY` are `api` and `key`.
fn words_of(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut after_lower = false;
    for c in name.chars() {
        if !c.is_alphanumeric() || (after_lower && c.is_uppercase()) {
            words.push(String::new());
        }
        if let (true, Some(word)) = (c.is_alphanumeric(), words.last_mut()) {
            word.extend(c.to_lowercase());
        }
        after_lower = c.is_lowercase();
    }
    words
}

/// `scheme://user:password@host` without the password.
fn without_password(word: &str) -> Cow<'_, str> {
    let Some(start) = word.find("://").map(|at| at + 3) else { return word.into() };
    let authority = word[start..].find('/').map_or(word.len(), |end| start + end);
    let Some(at) = word[start..authority].rfind('@').map(|at| start + at) else { return word.into() };
    let password = word[start..at].find(':').map_or(start, |colon| start + colon + 1);
    format!("{}{HIDDEN}{}", &word[..password], &word[at..]).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_hidden_and_the_rest_is_told() {
        for (line, expected) in [
            ("python|app.py|--port|80", "python app.py --port 80"),
            ("x|--token|abc|--port|80", "x --token *** --port 80"),
            ("x|--api-key=abc|y", "x --api-key=*** y"),
            ("x|--apiKey|abc", "x --apiKey ***"),
            ("env|HF_TOKEN=abc|PGPASSWORD=x|N=1", "env HF_TOKEN=*** PGPASSWORD=*** N=1"),
            ("x|--max-tokens|100|--tokenizer=bert", "x --max-tokens 100 --tokenizer=bert"),
            ("curl|-H|Authorization: Bearer abc", "curl -H Authorization:***"),
            ("x|{\"user\":\"a\",\"api_key\":\"b\"}", "x {\"user\":\"a\",\"api_key\":***"),
            ("sh|-c|A=1 run --password 'a b' --port 1", "sh -c A=1 run --password ***"),
            ("psql|postgres://me:pw@host/db", "psql postgres://me:***@host/db"),
            ("git|clone|https://ghp_abc@github.com/a/b", "git clone https://***@github.com/a/b"),
            ("curl|https://host/?access_token=abc&x=1", "curl https://host/?access_token=***"),
            ("x|--token|", "x --token"),
            ("||", ""),
        ] {
            assert_eq!(redacted(line.split('|')), expected, "{line}");
        }
    }

    #[test]
    fn nothing_reaches_a_terminal_but_letters() {
        assert_eq!(redacted(["a\x1b[31m", "b\nc"]), "a\\u{1b}[31m b\\nc");
    }

    #[test]
    fn a_long_line_is_cut() {
        let long = "x".repeat(10_000);
        assert!(redacted([long.as_str(), &long, &long, "end"]).len() < 3 * LONGEST);
    }

    proptest::proptest! {
        #[test]
        fn no_text_is_too_strange(words in proptest::collection::vec(".{0,40}", 0..5)) {
            let _text = redacted(words.iter().map(String::as_str));
        }
    }
}
