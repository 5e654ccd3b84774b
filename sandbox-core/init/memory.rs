//! Owns: the four symbols that the compiler may call for copying and comparing memory.  Must not: be called by name.

use core::ptr::{read_volatile, write_volatile};

/// # Safety
/// As memcpy(3).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, count: usize) -> *mut u8 {
    let mut i = 0;
    while i < count {
        // SAFETY: the compiler, the only caller, hands in two ranges of `count` bytes. Volatile keeps this loop from
        // being recognised as a memcpy and turned into a call of itself.
        unsafe { write_volatile(to.add(i), read_volatile(from.add(i))) };
        i = i.wrapping_add(1);
    }
    to
}

/// # Safety
/// As memmove(3).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn memmove(to: *mut u8, from: *const u8, count: usize) -> *mut u8 {
    if (to as usize) <= (from as usize) {
        // SAFETY: a forward copy reads each byte before it is overwritten when `to` lies below `from`.
        return unsafe { memcpy(to, from, count) };
    }
    let mut i = count;
    while i > 0 {
        i = i.wrapping_sub(1);
        // SAFETY: as in memcpy, backwards because `to` lies above `from`.
        unsafe { write_volatile(to.add(i), read_volatile(from.add(i))) };
    }
    to
}

/// # Safety
/// As memset(3).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn memset(to: *mut u8, byte: i32, count: usize) -> *mut u8 {
    let mut i = 0;
    while i < count {
        // SAFETY: the compiler hands in a range of `count` bytes.
        unsafe { write_volatile(to.add(i), byte as u8) };
        i = i.wrapping_add(1);
    }
    to
}

/// # Safety
/// As memcmp(3).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn memcmp(a: *const u8, b: *const u8, count: usize) -> i32 {
    let mut i = 0;
    while i < count {
        // SAFETY: the compiler hands in two ranges of `count` bytes.
        let (x, y) = unsafe { (read_volatile(a.add(i)), read_volatile(b.add(i))) };
        if x != y {
            return i32::from(x) - i32::from(y);
        }
        i = i.wrapping_add(1);
    }
    0
}
