//! Binary values in JSON text: from references to attachments to the forms that people and programs can read, and back.
//! Text is replaced in text, so that everything else in it stays as it was: big integers, the order of keys, spaces.

use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::error::{Error, ErrorKind, Result};
use crate::value::attachment::{Attachment, Attachments, own_mark};
use crate::value::serde_forms::{ARRAY, ArrayForm, BYTES, JsonForm, from_base64, referred};

/// Puts the JSON form in the place of each reference.
pub(super) fn expand(text: &str, attachments: &Attachments) -> Result<String> {
    replace(
        text,
        |key| key == attachments.mark(),
        |entry, out| {
            let item = serde_json::from_str(entry.value.get()).and_then(|index| referred(attachments, index));
            let form = item.and_then(|item| serde_json::to_string(&JsonForm(&item)));
            out.push_str(&form.map_err(|error| wrong(ErrorKind::Protocol, "put a binary value into JSON", &error))?);
            Ok(())
        },
    )
}

/// Makes an attachment of each JSON form, and puts a reference in its place.
pub(super) fn lift(text: String, items: &mut Vec<Attachment>) -> Result<String> {
    // Nearly all texts have none, and this is the fastest way to know.
    if !has_forms(&text) {
        return Ok(text);
    }
    replace(&text, |key| key == BYTES || key == ARRAY, |entry, out| lift_one(&entry, items, out))
}

/// Whether [`lift`] may find something.
pub(super) fn has_forms(text: &str) -> bool {
    text.contains("\"$bytes\"") || text.contains("\"$array\"")
}

/// Like [`lift`], for a text that refers to `items` by a mark of its sender: each such reference becomes one of ours.
pub(super) fn adopt(text: &str, mark: &str, items: &mut Vec<Attachment>) -> Result<String> {
    let mut is_referred = vec![false; items.len()];
    let text = replace(
        text,
        |key| key == mark || key == BYTES || key == ARRAY,
        |entry, out| {
            if entry.key != mark {
                return lift_one(&entry, items, out);
            }
            let index: Option<usize> = entry.value.get().parse().ok().filter(|index| *index < is_referred.len());
            let index = index.ok_or_else(|| no_such(entry.value.get(), is_referred.len()))?;
            is_referred[index] = true;
            out.push_str(&reference(index));
            Ok(())
        },
    )?;
    match is_referred.iter().position(|is_referred| !is_referred) {
        Some(index) => Err(not_referred(index, mark)),
        None => Ok(text),
    }
}

fn lift_one(entry: &Entry<'_>, items: &mut Vec<Attachment>, out: &mut String) -> Result<()> {
    let problem = |problem: String| wrong(ErrorKind::Validation, &format!("read {{\"{}\": …}}", entry.key), &problem);
    items.push(attachment(entry).map_err(problem)?);
    out.push_str(&reference(items.len() - 1));
    Ok(())
}

fn reference(index: usize) -> String {
    format!("{{\"{}\":{index}}}", own_mark())
}

fn no_such(found: &str, count: usize) -> Error {
    let found = found.chars().take(32).collect::<String>();
    let problem = format!("expected the number of one of the {count} attachments, from 0, found {found}");
    wrong(ErrorKind::Validation, "read a reference to an attachment", &problem)
}

fn not_referred(index: usize, mark: &str) -> Error {
    let problem = format!("no object {{{mark:?}: {index}}} in the JSON refers to it");
    wrong(ErrorKind::Validation, &format!("attachment {index}"), &problem)
}

fn wrong(kind: ErrorKind, attempted: &str, problem: &impl std::fmt::Display) -> Error {
    Error::new(kind, format!("{attempted}: {problem}")).with_retryable(false)
}

fn attachment(entry: &Entry<'_>) -> Result<Attachment, String> {
    let text = entry.value.get();
    if entry.key == BYTES {
        let base64: String = serde_json::from_str(text).map_err(|error| error.to_string())?;
        return from_base64(&base64).map(Attachment::Bytes);
    }
    let form: ArrayForm<'_> = serde_json::from_str(text).map_err(|error| error.to_string())?;
    form.array().map(Attachment::Array)
}

/// An object that has exactly one key.
struct Entry<'t> {
    key: Cow<'t, str>,
    value: &'t RawValue,
    /// How long the object is in the text.
    length: usize,
}

/// Copies JSON text, and lets `write` put something in the place of each object that has exactly one key, a `wanted` one.
fn replace<'t>(
    text: &'t str,
    wanted: impl Fn(&str) -> bool,
    mut write: impl FnMut(Entry<'t>, &mut String) -> Result<()>,
) -> Result<String> {
    let mut out = String::with_capacity(text.len());
    let (mut at, mut copied) = (0, 0);
    while let Some(byte) = text.as_bytes().get(at) {
        match byte {
            b'"' => at += string_length(&text[at..]),
            b'{' => match only_entry(&text[at..], &wanted) {
                Some(entry) => {
                    out.push_str(&text[copied..at]);
                    at += entry.length;
                    copied = at;
                    write(entry, &mut out)?;
                }
                None => at += 1,
            },
            _ => at += 1,
        }
    }
    out.push_str(&text[copied..]);
    Ok(out)
}

/// Reads the object at the front of `text`, if it has exactly one key and that is wanted.
fn only_entry<'t>(text: &'t str, wanted: impl Fn(&str) -> bool) -> Option<Entry<'t>> {
    let rest = skip_spaces(text.strip_prefix('{')?);
    if !rest.starts_with('"') {
        return None;
    }
    let (key, rest) = rest.split_at(string_length(rest));
    let key = unquoted(key).filter(|key| wanted(key))?;
    let rest = skip_spaces(skip_spaces(rest).strip_prefix(':')?);
    let (value, rest) = rest.split_at(flat_length(rest)?);
    let value = serde_json::from_str(value).ok()?;
    let rest = skip_spaces(rest).strip_prefix('}')?;
    Some(Entry { key, value, length: text.len() - rest.len() })
}

/// The length of the value at the front of `text`, if no object is below it: none of the forms has one. To look further would be
/// to look at the same text once for each object around it.
fn flat_length(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let (mut at, mut depth) = (0, 0_usize);
    loop {
        match bytes.get(at)? {
            b'"' => at += string_length(&text[at..]),
            b'{' if at > 0 => return None,
            b'{' | b'[' => (at, depth) = (at + 1, depth + 1),
            // The end of what is around it.
            b'}' | b']' | b',' if depth == 0 => return Some(at),
            b'}' | b']' => (at, depth) = (at + 1, depth - 1),
            _ => at += 1,
        }
        if depth == 0 && matches!(bytes[at - 1], b'"' | b'}' | b']') {
            return Some(at);
        }
    }
}

fn skip_spaces(text: &str) -> &str {
    text.trim_start_matches([' ', '\t', '\n', '\r'])
}

/// The length of the string at the front of `text`, with its quotes; all of `text`, if it has no end.
fn string_length(text: &str) -> usize {
    let bytes = text.as_bytes();
    let mut at = 1;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    text.len()
}

fn unquoted(string: &str) -> Option<Cow<'_, str>> {
    if string.contains('\\') {
        return serde_json::from_str::<String>(string).ok().map(Cow::Owned);
    }
    string.strip_prefix('"')?.strip_suffix('"').map(Cow::Borrowed)
}
