//! Seeded bugs, turned on by name, so that the targets can be seen to fail.
//!
//! One process runs with one bug, which the environment names, as for the models.

use std::sync::OnceLock;

/// Whether the seeded bug `name` is in force.
pub(crate) fn is(name: &str) -> bool {
    static ACTIVE: OnceLock<Option<String>> = OnceLock::new();
    let active = ACTIVE.get_or_init(|| std::env::var("TENTER_SEEDED_BUG").ok());
    active.as_deref().is_some_and(|active| active == name)
}
