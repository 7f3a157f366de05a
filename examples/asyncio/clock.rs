//! The time of a lesson: a second takes 100 ms when the program runs, and no time at all in a
//! test, which moves the clock itself and so counts the seconds.

// A lesson uses what its time needs.
#![allow(dead_code)]

use std::time::{Duration, Instant};

pub(crate) const SECOND: Duration = Duration::from_secs(1);

/// How much faster than ours the time of a lesson is.
const SPEED: u32 = 10;

#[derive(Clone, Debug)]
pub(crate) enum Clock {
    Real {
        start: Instant,
    },
    #[cfg(test)]
    Stepped(std::sync::Arc<stepped::Steps>),
}

impl Clock {
    pub(crate) fn real() -> Self {
        Self::Real { start: Instant::now() }
    }

    pub(crate) async fn sleep(&self, duration: Duration) {
        match self {
            Self::Real { .. } => tenter::time::sleep(duration / SPEED).await,
            #[cfg(test)]
            Self::Stepped(steps) => steps.sleep(duration).await,
        }
    }

    /// The whole seconds that have gone by.
    pub(crate) fn seconds(&self) -> u64 {
        match self {
            Self::Real { start } => (start.elapsed() * SPEED).as_secs(),
            #[cfg(test)]
            Self::Stepped(steps) => steps.now().as_secs(),
        }
    }
}

#[cfg(test)]
mod stepped {
    use std::collections::BTreeSet;
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use futures_lite::future;
    use tenter::sync::Event;

    use super::Clock;

    #[derive(Debug, Default)]
    pub(crate) struct Steps {
        state: Mutex<State>,
        /// Somebody fell asleep, or the time has come for somebody.
        changed: Event,
    }

    #[derive(Debug, Default)]
    struct State {
        now: Duration,
        /// Until when each sleeper sleeps, with a number that tells them apart.
        asleep: BTreeSet<(Duration, u64)>,
        sleeps: u64,
        most_asleep: usize,
    }

    /// A sleeper, on the list until its time has come or it is cancelled.
    struct Sleeper<'a> {
        steps: &'a Steps,
        key: (Duration, u64),
    }

    impl Drop for Sleeper<'_> {
        fn drop(&mut self) {
            self.steps.state.lock().unwrap().asleep.remove(&self.key);
        }
    }

    impl Clock {
        pub(crate) fn stepped() -> Self {
            Self::Stepped(Arc::default())
        }

        /// How many were asleep at once.
        pub(crate) fn most_asleep(&self) -> usize {
            let Self::Stepped(steps) = self else { panic!("this clock goes by itself") };
            steps.state.lock().unwrap().most_asleep
        }

        /// Runs `lesson`. Each of `asleep` is a step: it waits until exactly that many are asleep
        /// at once, and moves the clock to when the first of them wakes.
        pub(crate) async fn steps<F: Future>(&self, asleep: &[usize], lesson: F) -> F::Output {
            let steps = async {
                for &count in asleep {
                    self.step_when_asleep(count).await;
                }
            };
            future::zip(lesson, steps).await.0
        }

        /// Waits until exactly `count` are asleep at once, and moves the clock to when the first of
        /// them wakes.
        pub(crate) async fn step_when_asleep(&self, count: usize) {
            let Self::Stepped(steps) = self else { panic!("this clock goes by itself") };
            steps.changed_to(|state| state.asleep.len() == count).await;
            let mut state = steps.state.lock().unwrap();
            let (first, _) = *state.asleep.first().expect("somebody is asleep");
            state.now = first;
            state.asleep.retain(|(until, _)| *until > first);
            drop(state);
            steps.changed.notify(usize::MAX);
        }
    }

    impl Steps {
        pub(crate) fn now(&self) -> Duration {
            self.state.lock().unwrap().now
        }

        pub(crate) async fn sleep(&self, duration: Duration) {
            let sleeper = self.lie_down(duration);
            self.changed.notify(usize::MAX);
            self.changed_to(|state| state.now >= sleeper.key.0).await;
        }

        fn lie_down(&self, duration: Duration) -> Sleeper<'_> {
            let mut state = self.state.lock().unwrap();
            state.sleeps += 1;
            let key = (state.now + duration, state.sleeps);
            state.asleep.insert(key);
            state.most_asleep = state.most_asleep.max(state.asleep.len());
            Sleeper { steps: self, key }
        }

        async fn changed_to(&self, is_so: impl Fn(&State) -> bool) {
            loop {
                // Listen first: what changes after the look wakes the listener.
                let changed = self.changed.listen();
                if is_so(&self.state.lock().unwrap()) {
                    return;
                }
                changed.await;
            }
        }
    }
}
