//! Short texts, made and read without an allocator.

use core::ffi::CStr;

/// A path or a number, of fewer than 64 bytes and ended by NUL.
pub(crate) struct Text {
    bytes: [u8; 64],
    length: usize,
}

impl Text {
    pub(crate) fn new() -> Text {
        Text { bytes: [0; 64], length: 0 }
    }

    pub(crate) fn text(mut self, text: &str) -> Text {
        for &byte in text.as_bytes() {
            self.bytes[self.length] = byte;
            self.length += 1;
        }
        self
    }

    pub(crate) fn number(mut self, number: u32) -> Text {
        let digits = number.checked_ilog10().unwrap_or(0) + 1;
        for place in (0..digits).rev() {
            self.bytes[self.length] = b'0' + (number / 10_u32.pow(place) % 10) as u8;
            self.length += 1;
        }
        self
    }

    pub(crate) fn c_str(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.bytes).unwrap_or_default()
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

/// The number that the bytes begin with, and what follows it.
pub(crate) fn leading_number(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let end = bytes.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(bytes.len());
    let (digits, rest) = bytes.split_at(end);
    let append = |number: u64, digit: &u8| number.checked_mul(10)?.checked_add(u64::from(digit - b'0'));
    let number = digits.iter().try_fold(0, append)?;
    (!digits.is_empty()).then_some((number, rest))
}

/// The next words of a line, without the blanks between them.
pub(crate) fn skip_blanks(bytes: &[u8]) -> &[u8] {
    let start = bytes.iter().position(|byte| *byte != b' ').unwrap_or(bytes.len());
    &bytes[start..]
}
