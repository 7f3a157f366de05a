//! A task with a name.

use std::panic::Location;

use super::cell::Place;

/// Settings of one task.
///
/// # Examples
///
/// ```
/// tenter::run(async {
///     let task = tenter::task::Builder::new().name("greeter").spawn(async { tenter::task::name() });
///     assert_eq!(task.await.unwrap().as_deref(), Some("greeter"));
/// })?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug, Default)]
#[must_use = "a builder spawns nothing by itself"]
pub struct Builder {
    name: Option<String>,
}

impl Builder {
    /// A task without a name.
    pub fn new() -> Self {
        Self::default()
    }

    /// Names the task, for dumps, reports and [`task::name`](crate::lifecycle::name).
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    pub(crate) fn into_place(self, location: &'static Location<'static>) -> Place {
        match self.name {
            Some(name) => Place::named(location, name),
            None => Place::new(location),
        }
    }
}
