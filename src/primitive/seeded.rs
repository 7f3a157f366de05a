//! Seeded bugs: named switches that are off, and constant, in this half of the seam.
//!
//! The models' half can turn one on; the model that guards the line must then fail. A switch
//! stands where a step of a protocol would otherwise be left out by hand to see whether anybody
//! notices.

/// Whether the seeded bug `name` is in force: never, here.
#[inline(always)]
pub(crate) const fn is(_name: &str) -> bool {
    false
}
