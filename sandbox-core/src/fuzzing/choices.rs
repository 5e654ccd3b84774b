//! Owns: bytes as a row of choices, so that a mutated input is another choice and not noise.
//! Must not: know what is chosen.

/// What is left of the input. At its end every choice is the first.
pub(super) struct Choices<'a>(&'a [u8]);

impl<'a> Choices<'a> {
    pub fn new(data: &'a [u8]) -> Self {
        Self(data)
    }

    pub fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    pub fn flip(&mut self) -> bool {
        self.byte() & 1 == 1
    }

    /// 0 to `bound` - 1; `bound` is at most 65,536.
    pub fn below(&mut self, bound: usize) -> usize {
        let wide = if bound > 256 { usize::from(self.byte()) << 8 } else { 0 };
        (wide | usize::from(self.byte())) % bound.max(1)
    }

    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    /// Small numbers, numbers at borders, and any.
    pub fn number(&mut self) -> u64 {
        match self.byte() % 4 {
            0 => u64::from(self.byte()),
            1 => {
                self.pick(&[0, 1, 0x7fff_ffff, 0x8000_0000, 0xffff_fffe, 0xffff_ffff, 1 << 32, u64::MAX >> 1, u64::MAX])
            }
            2 => 1_u64.checked_shl(u32::from(self.byte() & 63)).unwrap_or(0),
            _ => (0..8).fold(0, |number, _| number << 8 | u64::from(self.byte())),
        }
    }

    pub fn id(&mut self) -> u32 {
        (self.number() & 0xffff_ffff) as u32
    }

    /// The rest, as it is.
    pub fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
