//! Rust text with everything blanked that is no code, so that words can be looked for in it.

/// The text with comments, strings and character literals blanked; lines stay where they were.
pub(crate) fn code_only(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let hidden = hidden_prefix(rest);
        let taken = hidden.unwrap_or(first.len_utf8());
        match hidden {
            Some(_) => code.extend(rest[..taken].chars().map(blank)),
            None => code.push(first),
        }
        rest = &rest[taken..];
    }
    code
}

/// Code without what is compiled for tests only.
pub(crate) fn without_tests(code: &str) -> String {
    let mut kept = String::with_capacity(code.len());
    let mut rest = code;
    while let Some(start) = rest.find("#[cfg(test)]").or_else(|| rest.find("#[cfg(all(test")) {
        let end = start + item_length(&rest[start..]);
        kept.push_str(&rest[..start]);
        kept.extend(rest[start..end].chars().map(blank));
        rest = &rest[end..];
    }
    kept + rest
}

/// Where a word stands in code, as byte offsets: whole words only.
pub(crate) fn words<'a>(code: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    code.match_indices(word).map(|(at, _)| at).filter(move |&at| {
        let before = code[..at].chars().next_back();
        let after = code[at + word.len()..].chars().next();
        !before.is_some_and(is_word) && !after.is_some_and(is_word)
    })
}

/// The line of a byte offset, counted from one.
pub(crate) fn line_of(text: &str, at: usize) -> usize {
    text[..at].matches('\n').count() + 1
}

pub(crate) fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

fn blank(character: char) -> char {
    if character == '\n' { '\n' } else { ' ' }
}

/// The length of the comment or literal that the text begins with.
fn hidden_prefix(rest: &str) -> Option<usize> {
    if rest.starts_with("//") {
        return Some(rest.find('\n').unwrap_or(rest.len()));
    }
    block_comment(rest).or_else(|| raw_string(rest)).or_else(|| string(rest)).or_else(|| character(rest))
}

fn block_comment(rest: &str) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, _) in rest.char_indices() {
        if rest[at..].starts_with("/*") {
            depth += 1;
        } else if depth == 0 {
            return None;
        } else if rest[at..].starts_with("*/") {
            depth -= 1;
            if depth == 0 {
                return Some(at + 2);
            }
        }
    }
    (depth > 0).then_some(rest.len())
}

fn raw_string(rest: &str) -> Option<usize> {
    let after = rest.strip_prefix('r')?;
    let hashes = after.len() - after.trim_start_matches('#').len();
    let inside = after[hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    let opening = rest.len() - inside.len();
    Some(inside.find(&end).map_or(rest.len(), |at| opening + at + end.len()))
}

fn string(rest: &str) -> Option<usize> {
    let inside = rest.strip_prefix('"')?;
    let mut escaped = false;
    for (at, character) in inside.char_indices() {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return Some(at + 2),
            _ => {}
        }
    }
    Some(rest.len())
}

/// A character literal, told from a lifetime by its closing quote.
fn character(rest: &str) -> Option<usize> {
    let inside = rest.strip_prefix('\'')?;
    if let Some(escape) = inside.strip_prefix('\\') {
        let code = escape.chars().next()?.len_utf8();
        return escape[code..].find('\'').map(|at| 1 + 1 + code + at + 1);
    }
    let first = inside.chars().next()?.len_utf8();
    inside[first..].starts_with('\'').then_some(1 + first + 1)
}

/// The length of an item with its attributes: to its `;`, or to the end of its braces.
fn item_length(item: &str) -> usize {
    let mut depth = 0_usize;
    for (at, character) in item.char_indices() {
        match character {
            ';' if depth == 0 => return at + 1,
            '{' => depth += 1,
            '}' if depth <= 1 => return at + 1,
            '}' => depth -= 1,
            _ => {}
        }
    }
    item.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_literals_are_blanked() {
        let cases = [
            ("a // b\nc", "a     \nc"),
            ("a /* b /* c */ d */ e", "a                   e"),
            (r#"f("x\"y", g)"#, "f(      , g)"),
            ("r#\"a \" b\"# c", "           c"),
            ("'x' 'a: '\\n' '\\u{41}' b", "    'a:               b"),
            ("'\\'' z", "     z"),
            ("r#fn d", "r#fn d"),
            ("a / b", "a / b"),
        ];
        for (text, expected) in cases {
            assert_eq!(code_only(text).trim_end(), expected.trim_end(), "{text}");
            assert_eq!(code_only(text).len(), text.len(), "{text}");
        }
    }

    #[test]
    fn test_modules_are_blanked() {
        let cases = [
            ("a\n#[cfg(test)]\nmod tests {\n{ b }\n}\nc", "a\n\n\n\n\nc"),
            ("#[cfg(test)]\nmod tests;\nc", "\n\nc"),
            ("#[cfg(feature)]\nmod d {}", "#[cfg(feature)]\nmod d {}"),
        ];
        for (code, expected) in cases {
            let kept: Vec<String> = without_tests(code).lines().map(|line| line.trim_end().to_owned()).collect();
            assert_eq!(kept.join("\n"), expected, "{code}");
        }
    }

    #[test]
    fn words_are_whole() {
        assert_eq!(words("unsafe_code unsafe { unsafe(x) }", "unsafe").collect::<Vec<_>>(), [12, 21]);
    }
}
