//! What a C library would have brought: the functions that the compiler calls to move memory, and big things that
//! live as long as the program.

use core::cell::{Cell, UnsafeCell};

/// A value at a fixed place, to be taken once. Zeros cost no memory until they are touched.
pub(crate) struct Room<T> {
    taken: Cell<bool>,
    value: UnsafeCell<T>,
}

// SAFETY: the program has one thread.
unsafe impl<T> Sync for Room<T> {}

impl<T> Room<T> {
    pub(crate) const fn new(value: T) -> Room<T> {
        Room { taken: Cell::new(false), value: UnsafeCell::new(value) }
    }

    /// A second time is a mistake in this program, which it does not survive.
    #[allow(clippy::mut_from_ref, reason = "it is given out once")]
    pub(crate) fn take(&'static self) -> &'static mut T {
        assert!(!self.taken.replace(true));
        // SAFETY: taken once, so there is no other reference.
        unsafe { &mut *self.value.get() }
    }
}

/// The crate is built without the compiler's knowledge of these functions, lest the loops become calls of themselves.
///
/// # Safety
///
/// As in C, like all below.
#[unsafe(no_mangle)]
unsafe extern "C" fn memcpy(target: *mut u8, source: *const u8, count: usize) -> *mut u8 {
    for at in 0..count {
        // SAFETY: both are that long.
        unsafe { *target.add(at) = *source.add(at) };
    }
    target
}

#[unsafe(no_mangle)]
unsafe extern "C" fn memmove(target: *mut u8, source: *const u8, count: usize) -> *mut u8 {
    if target.addr() <= source.addr() {
        // SAFETY: forwards, a byte is read before it can be overwritten.
        return unsafe { memcpy(target, source, count) };
    }
    for at in (0..count).rev() {
        // SAFETY: both are that long; backwards for the same reason.
        unsafe { *target.add(at) = *source.add(at) };
    }
    target
}

#[unsafe(no_mangle)]
unsafe extern "C" fn memset(target: *mut u8, byte: i32, count: usize) -> *mut u8 {
    for at in 0..count {
        // SAFETY: it is that long.
        unsafe { *target.add(at) = byte as u8 };
    }
    target
}

#[unsafe(no_mangle)]
unsafe extern "C" fn memcmp(left: *const u8, right: *const u8, count: usize) -> i32 {
    for at in 0..count {
        // SAFETY: both are that long.
        let (left, right) = unsafe { (*left.add(at), *right.add(at)) };
        if left != right {
            return i32::from(left) - i32::from(right);
        }
    }
    0
}

#[unsafe(no_mangle)]
unsafe extern "C" fn bcmp(left: *const u8, right: *const u8, count: usize) -> i32 {
    // SAFETY: the caller's promise is the same.
    unsafe { memcmp(left, right, count) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn strlen(text: *const u8) -> usize {
    let mut length = 0;
    // SAFETY: there is a NUL, and it is not passed.
    while unsafe { *text.add(length) } != 0 {
        length += 1;
    }
    length
}

/// The compiled `core` names it in tables for unwinding, which this program never does.
#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() {}
