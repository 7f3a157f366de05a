//! What the tests of groups share: the same body on one worker and on two, and what it left.

// Every test binary compiles this for itself and uses a part of it.
#![allow(dead_code)]

use std::future::pending;
use std::sync::{Arc, Mutex};

use tenter::runtime::Unobserved;
use tenter::{Builder, Runtime};

use crate::support::{Drops, Gate, LIMIT, watch, within};

/// A failure that `on_unobserved` was told of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) name: Option<String>,
    pub(crate) line: u32,
    pub(crate) message: String,
    pub(crate) is_panic: bool,
}

/// What one run of a test's body has.
#[derive(Clone, Debug, Default)]
pub(crate) struct Run {
    pub(crate) drops: Drops,
    told: Arc<Mutex<Vec<Told>>>,
}

impl Run {
    /// A future that opens the gate, and then stays for ever, with a value that tells of its drop.
    pub(crate) fn stays<T>(&self, here: &Gate) -> impl Future<Output = T> + Send + use<T> {
        let (tracked, here) = (self.drops.tracked(), here.clone());
        async move {
            tracked.touch();
            here.open();
            let () = pending().await;
            unreachable!("it was left for ever")
        }
    }

    /// What `on_unobserved` was told so far, in an order of its own.
    pub(crate) fn told(&self) -> Vec<Told> {
        let mut told = self.told.lock().unwrap().clone();
        told.sort_by(|one, other| one.message.cmp(&other.message));
        told
    }

    /// The messages of [`Run::told`].
    pub(crate) fn messages(&self) -> Vec<String> {
        self.told().into_iter().map(|told| told.message).collect()
    }

    pub(crate) fn runtime(&self, workers: usize) -> Runtime {
        let told = self.told.clone();
        let mut builder = Builder::new();
        builder.worker_threads(workers).blocked_after(None);
        builder.on_unobserved(move |failure: &Unobserved<'_>| {
            told.lock().unwrap().push(Told {
                name: failure.name().map(str::to_owned),
                line: failure.location().line(),
                message: failure.message().to_owned(),
                is_panic: failure.is_panic(),
            });
        });
        let runtime = builder.build().expect("a runtime starts");
        watch(runtime.handle());
        runtime
    }
}

/// Runs a test's body on one worker and on two; as a task, and as the main future of `block_on`.
pub(crate) fn in_one_and_in_two<F>(body: impl Fn(Run) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    within(LIMIT, || {
        for workers in [1, 2] {
            println!("with {workers} workers, as a task");
            let run = Run::default();
            let runtime = run.runtime(workers);
            let task = runtime.spawn(body(run));
            if let Err(error) = runtime.block_on(task) {
                std::panic::resume_unwind(error.into_panic());
            }
            println!("with {workers} workers, in block_on");
            let run = Run::default();
            let runtime = run.runtime(workers);
            runtime.block_on(body(run));
        }
    });
}

/// Runs a test's body, which has no runtime yet, for one worker and for two.
pub(crate) fn for_one_and_for_two(body: impl Fn(Run, Runtime)) {
    within(LIMIT, || {
        for workers in [1, 2] {
            println!("with {workers} workers");
            let run = Run::default();
            let runtime = run.runtime(workers);
            body(run, runtime);
        }
    });
}
