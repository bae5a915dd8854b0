//! What lies in a folder.

use core::ffi::CStr;

use crate::sys::files;
use crate::sys::{Fd, Result};
use crate::text::leading_number;

/// Calls with each entry whose name is a number.
pub(crate) fn numbers_in(folder: &Fd, mut found: impl FnMut(u32)) -> Result<()> {
    entries_in(folder, |_, name| {
        if let Some((number, [])) = leading_number(name.to_bytes()) {
            found(number as u32);
        }
    })
}

/// Calls with the name of each folder in it.
pub(crate) fn folders_in(folder: &Fd, mut found: impl FnMut(&CStr)) -> Result<()> {
    const FOLDER: u8 = 4;
    entries_in(folder, |kind, name| {
        if kind == FOLDER && name != c"." && name != c".." {
            found(name);
        }
    })
}

/// A small buffer: this runs at several depths of one stack.
fn entries_in(folder: &Fd, mut found: impl FnMut(u8, &CStr)) -> Result<()> {
    const LENGTH_AT: usize = 16;
    const KIND_AT: usize = 18;
    const NAME_AT: usize = 19;
    let mut buffer = [0; 2048];
    loop {
        let mut entries = files::read_folder(folder, &mut buffer)?;
        if entries.is_empty() {
            return Ok(());
        }
        while entries.len() > NAME_AT {
            let length = usize::from(u16::from_ne_bytes([entries[LENGTH_AT], entries[LENGTH_AT + 1]]));
            let (entry, rest) = entries.split_at(length.clamp(NAME_AT, entries.len()));
            if let Ok(name) = CStr::from_bytes_until_nul(&entry[NAME_AT..]) {
                found(entry[KIND_AT], name);
            }
            entries = rest;
        }
    }
}
