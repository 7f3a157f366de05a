//! Children whose owner has gone, and who reaps them. No system call is made here.

use crate::primitive::lock::Mutex;
use crate::primitive::seeded;

use super::life::Reap;

/// What the reaper sleeps by.
pub(crate) trait Bell: Clone {
    /// Ends the reaper's sleep, or else the next.
    fn ring(&self);

    /// Takes back all rings so far.
    fn silence(&self);
}

/// The orphans of this process.
#[derive(Debug)]
pub(crate) struct Orphans<K, B> {
    state: Mutex<State<K, B>>,
}

#[derive(Debug)]
struct State<K, B> {
    /// Those that the reaper has not taken yet.
    list: Vec<K>,
    reaper: Reaper<B>,
}

#[derive(Debug)]
enum Reaper<B> {
    None,
    /// It will look at the list; no need to tell it.
    Starting,
    /// It may sleep.
    Serving(B),
}

/// Who looks after an orphan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Care {
    /// A reaper does, or there is no orphan.
    Taken,
    /// The caller starts a reaper, or says that it could not.
    Wanted,
}

impl<K: Reap, B: Bell> Orphans<K, B> {
    /// No orphans, no reaper.
    pub(crate) fn new() -> Self {
        Self { state: Mutex::new(State { list: Vec::new(), reaper: Reaper::None }) }
    }

    /// Takes a child that has lost its owner.
    pub(crate) fn adopt(&self, orphan: K) -> Care {
        let mut state = self.state.lock();
        state.list.push(orphan);
        let bell = match &state.reaper {
            Reaper::None => return state.want_reaper(),
            Reaper::Starting => None,
            Reaper::Serving(bell) => Some(bell.clone()),
        };
        drop(state);
        if let Some(bell) = bell {
            // Z3: it is in the list.
            bell.ring();
        }
        Care::Taken
    }

    /// Looks after orphans for whom no reaper could be started.
    pub(crate) fn retry(&self) -> Care {
        let mut state = self.state.lock();
        if !matches!(state.reaper, Reaper::None) {
            return Care::Taken;
        }
        reap_ended(&mut state.list);
        if state.list.is_empty() || seeded::is("process: start a reaper for those who wait") {
            Care::Taken
        } else {
            state.want_reaper()
        }
    }

    /// Says that the reaper that was wanted could not be started.
    pub(crate) fn start_failed(&self) {
        self.state.lock().reaper = Reaper::None;
    }

    /// Reaps orphans until there are none: the reaper's life.
    ///
    /// `sleep` returns when one of these children has ended, or the bell was rung; or earlier.
    pub(crate) fn serve(&self, bell: B, mut sleep: impl FnMut(&[K], &B)) {
        self.state.lock().reaper = Reaper::Serving(bell.clone());
        let mut own = Vec::new();
        // Ends: when the last orphan has.
        loop {
            if !seeded::is("process: silence the bell before looking at the list") {
                bell.silence();
            }
            let mut state = self.state.lock();
            own.append(&mut state.list);
            if own.is_empty() {
                if seeded::is("process: leave under the lock") {
                    drop(state);
                    state = self.state.lock();
                }
                // Z2: with the list empty; who comes next finds no reaper.
                state.reaper = Reaper::None;
                return;
            }
            drop(state);
            if seeded::is("process: silence the bell before looking at the list") {
                bell.silence();
            }
            reap_ended(&mut own);
            if !own.is_empty() {
                sleep(&own, &bell);
            }
        }
    }
}

impl<K, B> State<K, B> {
    fn want_reaper(&mut self) -> Care {
        self.reaper = Reaper::Starting;
        Care::Wanted
    }
}

/// Reaps those that have ended; one that somebody else has reaped is none any more.
fn reap_ended<K: Reap>(list: &mut Vec<K>) {
    list.retain_mut(|orphan| matches!(orphan.try_reap(), Ok(None)));
}
