//! What everybody in a group shares.

use std::fmt::Debug;
use std::mem;
use std::panic::Location;

use crate::lifecycle::{Unobserved, UnobservedHook};
use crate::primitive::lock::Mutex;
use crate::primitive::{Arc, contain, contain_drop, seeded};

use super::error::Failure;
use super::ledger::Ledger;
use super::outside;

/// A group: its members, and what became of those that failed.
pub(crate) struct Inner<E> {
    pub(crate) ledger: Arc<Ledger>,
    failures: Mutex<Failures<E>>,
    /// Where the group was made.
    pub(crate) location: &'static Location<'static>,
}

struct Failures<E> {
    /// In the order in which they happened.
    list: Vec<Failure<E>>,
    /// Nobody will take them any more.
    is_closed: bool,
    /// Of the runtime of the first failure, for those that nobody takes.
    hook: Option<UnobservedHook>,
}

impl<E> Inner<E> {
    pub(crate) fn new(
        outer: Option<&Arc<Ledger>>,
        location: &'static Location<'static>,
    ) -> Arc<Self> {
        let failures = Failures { list: Vec::new(), is_closed: false, hook: None };
        let (ledger, failures) = (Ledger::new(outer), Mutex::new(failures));
        Arc::new(Self { ledger, failures, location })
    }

    /// The failures, for who looks at them; later ones go to the hook (G5).
    pub(crate) fn take_failures(&self) -> Vec<Failure<E>> {
        let mut failures = self.failures.lock();
        failures.is_closed = !seeded::is("group: failures are kept for nobody");
        mem::take(&mut failures.list)
    }
}

impl<E: Debug> Inner<E> {
    /// Keeps a failure, and cancels the group.
    #[cold]
    pub(crate) fn fail(&self, failure: Failure<E>) {
        self.note(failure);
        if !seeded::is("group: a failure cancels nobody") {
            self.ledger.fail();
        }
    }

    fn note(&self, failure: Failure<E>) {
        let hook = outside::hook();
        let mut failures = self.failures.lock();
        if !failures.is_closed {
            failures.hook = failures.hook.take().or(hook);
            if failures.list.is_empty() || !seeded::is("group: it keeps the first failure only") {
                failures.list.push(failure);
            }
            return;
        }
        drop(failures);
        tell(hook.as_ref(), failure);
    }

    /// Nobody takes the failures: each of them goes to the hook (G5).
    pub(crate) fn tell_failures(&self) {
        let failures = self.take_failures();
        if failures.is_empty() {
            return;
        }
        let hook = self.failures.lock().hook.clone();
        failures.into_iter().for_each(|failure| tell(hook.as_ref(), failure));
    }
}

/// Tells the hook of a failure that nobody takes.
#[cold]
fn tell<E: Debug>(hook: Option<&UnobservedHook>, failure: Failure<E>) {
    let message = contain(|| failure.message());
    let message = message.as_deref().unwrap_or("an error whose `Debug` panics");
    contain_drop(|| match (hook, failure.task) {
        (Some(hook), Some(id)) => hook(&Unobserved {
            id,
            name: failure.name(),
            location: failure.location(),
            message,
            is_panic: failure.is_panic(),
        }),
        // Of a body that no task ran, or outside a runtime.
        _ => outside::report(format_args!(
            "a task group made at {} failed and nobody looked: {message}",
            failure.location()
        )),
    });
    contain_drop(|| drop(failure));
}
