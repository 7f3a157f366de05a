//! Where to start stealing: a xorshift generator, one for each worker.

use std::cell::Cell;

/// Marsaglia's xorshift64; quality is of no concern, only that workers do not start alike.
pub(super) struct Rng(Cell<u64>);

impl Rng {
    /// A generator whose sequence depends on `seed`.
    pub(super) fn new(seed: u64) -> Self {
        Self(Cell::new((seed + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15)))
    }

    /// A number below `bound`, which is not 0.
    pub(super) fn below(&self, bound: usize) -> usize {
        let mut x = self.0.get();
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        self.0.set(x);
        ((x >> 32) as usize * bound) >> 32
    }
}
