//! Owns: the words of classic BPF that a seccomp filter uses. Must not: decide anything.

use seccompiler::sock_filter;

/// `A = data[k]`, 32 bits.
pub(super) const LOAD: u16 = 0x20;
/// `A &= k`.
pub(super) const AND: u16 = 0x54;
/// Jump by `k`.
pub(super) const JUMP: u16 = 0x05;
/// `A == k`.
pub(super) const IF_EQ: u16 = 0x15;
/// `A > k`.
pub(super) const IF_GT: u16 = 0x25;
/// `A >= k`.
pub(super) const IF_GE: u16 = 0x35;
/// Return `k`.
pub(super) const RETURN: u16 = 0x06;

/// Offset of `seccomp_data.nr`.
pub(super) const NR: u32 = 0;
/// Offset of `seccomp_data.arch`.
pub(super) const ARCH: u32 = 4;

/// Offset of the low half of argument `arg`: both architectures are little-endian.
pub(super) const fn low_half(arg: u8) -> u32 {
    16 + 8 * arg as u32
}

/// Offset of the high half of argument `arg`.
pub(super) const fn high_half(arg: u8) -> u32 {
    low_half(arg) + 4
}

/// An instruction without a condition.
pub(super) const fn plain(code: u16, k: u32) -> sock_filter {
    sock_filter { code, jt: 0, jf: 0, k }
}
