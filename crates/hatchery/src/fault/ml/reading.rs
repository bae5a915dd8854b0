//! Reads messages word by word, as `hatchery/facts.py` does on its side.

use super::{DeviceMismatch, OutOfMemory, ShapeMismatch};
use crate::fault::Device;
use crate::fault::gpu::card_number;

const SHAPE_WORDS: [&str; 8] =
    ["mismatch", "expected", "got", "broadcast", "aligned", "multiplied", "incompatible", "invalid for"];

pub(super) fn shape_mismatch(message: &str) -> Option<ShapeMismatch> {
    let text = message.to_ascii_lowercase();
    if let Some(sizes) = tensor_sizes(&text) {
        return Some(sizes);
    }
    if !text.contains("shape") || !SHAPE_WORDS.iter().any(|word| text.contains(word)) {
        return None;
    }
    let operation = operation(message);
    let named = shape_after(&text, "expected").zip(shape_after(&text, "got"));
    let mismatch = match named.or_else(|| first_two_shapes(&text)) {
        Some((expected, got)) => ShapeMismatch::between(expected, got),
        None => ShapeMismatch {
            expected: shape_after(&text, "expected"),
            got: shape_after(&text, "got"),
            ..Default::default()
        },
    };
    Some(ShapeMismatch { operation, ..mismatch })
}

/// "The size of tensor a (3) must match the size of tensor b (4) at non-singleton dimension 1"
fn tensor_sizes(text: &str) -> Option<ShapeMismatch> {
    let (expected, got) = (number_after(text, "size of tensor a ("), number_after(text, "size of tensor b ("));
    let dimension = number_after(text, "non-singleton dimension ")?;
    Some(ShapeMismatch {
        expected_dim: Some(expected?),
        got_dim: Some(got?),
        dimension: Some(dimension),
        ..Default::default()
    })
}

pub(super) fn out_of_memory(message: &str) -> Option<OutOfMemory> {
    let text = message.to_ascii_lowercase();
    let is_cuda = text.contains("cuda");
    let says_so = text.contains("out of memory") || text.contains("unable to allocate");
    if !(says_so || words(&text).any(|word| word == "oom") || (is_cuda && text.contains("allocate"))) {
        return None;
    }
    let named = || Device::named_in(&text);
    let device = named()
        .find(|device| device.number().is_some())
        .or_else(|| card_number(&text).map(|number| Device::Cuda(Some(number))))
        .or_else(|| named().next())
        .unwrap_or(if is_cuda { Device::Cuda(None) } else { Device::Cpu });
    Some(OutOfMemory {
        device,
        requested_bytes: text.split_once("allocate").and_then(|(_, rest)| amount(rest)),
        available_bytes: available(&text),
        operation: operation(message),
    })
}

pub(super) fn device_mismatch(message: &str) -> Option<DeviceMismatch> {
    let text = message.to_ascii_lowercase();
    let says_so = ["mismatch", "expected", "same device"].iter().any(|word| text.contains(word));
    if !text.contains("device") || !says_so {
        return None;
    }
    let expected = Device::named_in(&text).next();
    let got = Device::named_in(&text).find(|device| Some(*device) != expected);
    Some(DeviceMismatch { expected, got, operation: operation(message) })
}

/// `ValueError: message`, without a line of a traceback before it.
pub(super) fn typed(message: &str) -> Option<(&str, &str)> {
    let (name, message) = message.split_once(": ")?;
    let is_name = name.chars().all(|character| character.is_alphanumeric() || matches!(character, '_' | '.'));
    (is_name && name.ends_with("Error")).then_some((name, message))
}

/// The lists of numbers in brackets, with where they begin.
pub(super) fn bracketed(text: &str) -> impl Iterator<Item = (usize, Vec<u64>)> {
    text.match_indices(['[', '(']).filter_map(|(at, _)| {
        let inside = &text[at + 1..];
        let inside = &inside[..inside.find([']', ')'])?];
        let is_list = inside.chars().all(|character| character.is_ascii_digit() || matches!(character, ',' | ' '));
        let sizes = inside.split([',', ' ']).filter(|size| !size.is_empty()).map(str::parse);
        let sizes: Vec<u64> = sizes.collect::<Result<_, _>>().ok().filter(|_| is_list)?;
        (!sizes.is_empty()).then_some((at, sizes))
    })
}

/// `2x3x4`, with where they begin.
fn crossed(text: &str) -> impl Iterator<Item = (usize, Vec<u64>)> {
    let start = text.as_ptr() as usize;
    words(text).filter_map(move |word| {
        let sizes: Vec<u64> = word.split('x').map(str::parse).collect::<Result<_, _>>().ok()?;
        (sizes.len() > 1).then(|| (word.as_ptr() as usize - start, sizes))
    })
}

fn first_two_shapes(text: &str) -> Option<(Vec<u64>, Vec<u64>)> {
    let mut shapes: Vec<_> = bracketed(text).chain(crossed(text)).collect();
    shapes.sort();
    let mut shapes = shapes.into_iter().map(|(_, shape)| shape);
    shapes.next().zip(shapes.next())
}

/// `expected input of shape [3, 4]`: the brackets that follow the word next.
fn shape_after(text: &str, word: &str) -> Option<Vec<u64>> {
    text.match_indices(word).find_map(|(at, _)| {
        let rest = &text[at..];
        let bracket = rest.find(['[', '('])?;
        bracketed(rest).next().filter(|(found, _)| *found <= bracket + 1).map(|(_, shape)| shape)
    })
}

fn number_after(text: &str, phrase: &str) -> Option<u64> {
    let (_, rest) = text.split_once(phrase)?;
    rest.split(|character: char| !character.is_ascii_digit()).next()?.parse().ok()
}

/// `free: 3 GiB`, `3 GiB free`, `3 GiB is free`.
fn available(text: &str) -> Option<u64> {
    ["available", "free"].iter().find_map(|word| {
        text.match_indices(word).find_map(|(at, _)| {
            let (before, after) = (&text[..at], &text[at + word.len()..]);
            amount(after.trim_start_matches(':')).or_else(|| amount_before(before))
        })
    })
}

/// Of the two words that end the text, after an `is`.
fn amount_before(text: &str) -> Option<u64> {
    let text = text.trim_end();
    let text = text.strip_suffix(" is").unwrap_or(text);
    let (rest, unit) = text.rsplit_once(' ')?;
    let number = rest.rsplit([' ', '(', ';']).next()?;
    amount(&format!("{number} {unit}"))
}

/// `2.00 gib`, `512mb`, at the beginning; in lower case.
fn amount(text: &str) -> Option<u64> {
    let text = text.trim_start();
    let end = text.find(|character: char| !(character.is_ascii_digit() || character == '.'))?;
    let number: f64 = text[..end].parse().ok()?;
    let unit = words(text[end..].trim_start()).next()?;
    let factor = match unit {
        "b" | "bytes" => 1u64,
        "kb" | "kib" => 1 << 10,
        "mb" | "mib" => 1 << 20,
        "gb" | "gib" => 1 << 30,
        "tb" | "tib" => 1 << 40,
        _ => return None,
    };
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "bytes of a memory"
    )]
    Some((number * factor as f64) as u64)
}

/// The word after `in`, `during` or `for`, unless that begins a phrase of its own.
fn operation(message: &str) -> Option<String> {
    let skipped = ["method", "operation", "a", "an", "the"];
    let mut after = words(message).skip_while(|word| !matches!(*word, "in" | "during" | "for")).skip(1);
    after.find(|word| !skipped.contains(word)).map(str::to_owned)
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    let is_word = |character: char| character.is_alphanumeric() || character == '_';
    text.split(move |character| !is_word(character)).filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn amounts_are_read_in_all_their_forms() {
        assert_eq!(amount("2.00 gib (gpu 0)"), Some(2 << 30));
        assert_eq!(amount("512mb"), Some(512 << 20));
        assert_eq!(amount("17 bytes."), Some(17));
        assert_eq!([amount("many"), amount("12"), amount("3 apples"), amount("1.2.3 gb")], [None; 4]);
        let free = ["free: 1 kb", "1 kb free", "has (1 kb is free)", "available 1 kb", "7 mb total; 1 kb free"];
        assert_eq!(free.map(available), [Some(1024); 5]);
        assert_eq!(available("feel free to ask"), None);
    }

    #[test]
    fn an_operation_is_a_word_with_a_meaning() {
        let read = |text: &str| operation(text).unwrap_or_default();
        assert_eq!(read("fails in conv2d: no"), "conv2d");
        assert_eq!(read("expected for method wrapper_addmm"), "wrapper_addmm");
        assert_eq!(read("during the forward pass"), "forward");
        assert_eq!(read("inside of it"), "");
        assert_eq!(read("what is it for"), "");
    }

    proptest! {
        /// A worker may send anything.
        #[test]
        fn no_text_breaks_it(text in "\\PC*", shape in "(shape|oom|device) (expected|got|allocate|free|cuda:?|in)[\\[(]?[0-9x., ]*[\\])é]?.*") {
            for text in [text, shape] {
                let _ = (shape_mismatch(&text), out_of_memory(&text), device_mismatch(&text), typed(&text));
            }
        }

        #[test]
        fn a_shape_is_read_as_it_was_written(shape in prop::collection::vec(0u64..100_000, 1..6)) {
            prop_assert_eq!(bracketed(&format!("of {shape:?}!")).next(), Some((3, shape)));
        }
    }
}
