//! Atomic integers, pointers and fences: loom's, whose drop is an access too, and whose calls can
//! be weakened.
//!
//! The memory of an atomic is freed by somebody, and everybody else's accesses must have happened
//! before. loom does not know of the free; the wrappers tell it, so that a use after free is seen.
//!
//! Every call says where it was made, so that [`weaken`](super::weaken) can take away a part of it.

use std::cell::Cell;

pub(crate) use loom::sync::atomic::Ordering;

use super::weaken::{self, Part};

std::thread_local! {
    /// All threads of a model are on one real thread.
    static TRUSTED: Cell<bool> = const { Cell::new(false) };
}

/// For models: drops are not checked in this run.
///
/// For atomics in an `Arc` of std, whose count orders accesses and drop without loom's seeing it.
pub(crate) fn trust_drops() {
    TRUSTED.set(true);
}

/// For the harness: drops are checked.
pub(crate) fn check_drops() {
    TRUSTED.set(false);
}

#[track_caller]
pub(crate) fn fence(order: Ordering) {
    if let Some(order) = weaken::fence(order) {
        loom::sync::atomic::fence(order);
    }
}

macro_rules! atomics {
    ($($name:ident $(<$t:ident>)? ($value:ty) = $inner:ty, |$gone:ident| $free:expr, {
        $($update:ident = |$now:ident, $by:ident| $new:expr;)*
    })+) => {
        $(
            #[derive(Debug)]
            pub(crate) struct $name $(<$t>)? ($inner);

            impl $(<$t>)? $name $(<$t>)? {
                #[track_caller]
                pub(crate) fn new(value: $value) -> Self {
                    Self(<$inner>::new(value))
                }

                #[track_caller]
                pub(crate) fn load(&self, order: Ordering) -> $value {
                    self.0.load(weaken::load(order))
                }

                #[track_caller]
                pub(crate) fn store(&self, value: $value, order: Ordering) {
                    self.0.store(value, weaken::store(order));
                }

                #[track_caller]
                pub(crate) fn swap(&self, value: $value, order: Ordering) -> $value {
                    let order = weaken::update(order);
                    if weaken::loses(Part::Atomic) {
                        return self.in_two_steps(order, |_| Some(value)).unwrap_or_else(|now| now);
                    }
                    self.0.swap(value, order)
                }

                #[track_caller]
                pub(crate) fn compare_exchange(
                    &self,
                    current: $value,
                    new: $value,
                    success: Ordering,
                    failure: Ordering,
                ) -> Result<$value, $value> {
                    let (success, failure) = (weaken::update(success), weaken::failure(failure));
                    if weaken::loses(Part::Atomic) {
                        return self.in_two_steps(success, |now| (now == current).then_some(new));
                    }
                    self.0.compare_exchange(current, new, success, failure)
                }

                /// loom's never fails for no reason.
                #[track_caller]
                pub(crate) fn compare_exchange_weak(
                    &self,
                    current: $value,
                    new: $value,
                    success: Ordering,
                    failure: Ordering,
                ) -> Result<$value, $value> {
                    self.compare_exchange(current, new, success, failure)
                }

                #[track_caller]
                pub(crate) fn fetch_update(
                    &self,
                    set: Ordering,
                    fetch: Ordering,
                    change: impl FnMut($value) -> Option<$value>,
                ) -> Result<$value, $value> {
                    let (set, fetch) = (weaken::update(set), weaken::failure(fetch));
                    if weaken::loses(Part::Atomic) {
                        return self.in_two_steps(set, change);
                    }
                    self.0.fetch_update(set, fetch, change)
                }

                $(
                    #[track_caller]
                    pub(crate) fn $update(&self, $by: $value, order: Ordering) -> $value {
                        let order = weaken::update(order);
                        if weaken::loses(Part::Atomic) {
                            let change = |$now: $value| Some($new);
                            return self.in_two_steps(order, change).unwrap_or_else(|now| now);
                        }
                        self.0.$update($by, order)
                    }
                )*

                /// What a read-modify-write is not.
                #[track_caller]
                fn in_two_steps(
                    &self,
                    order: Ordering,
                    mut change: impl FnMut($value) -> Option<$value>,
                ) -> Result<$value, $value> {
                    let (load, store) = weaken::halves(order);
                    let now = self.0.load(load);
                    let new = change(now).ok_or(now)?;
                    self.0.store(new, store);
                    Ok(now)
                }
            }

            impl $(<$t>)? Drop for $name $(<$t>)? {
                fn drop(&mut self) {
                    if !std::thread::panicking() && !TRUSTED.get() {
                        let $gone = &mut self.0;
                        let () = $free;
                    }
                }
            }
        )+
    };
}

atomics! {
    // Unchecked: a guest's is in an `Arc` of std, as a waker must be.
    AtomicBool (bool) = loom::sync::atomic::AtomicBool, |_gone| (), {}
    AtomicU32 (u32) = loom::sync::atomic::AtomicU32, |gone| gone.with_mut(|_| ()), {
        fetch_add = |now, by| now.wrapping_add(by);
        fetch_sub = |now, by| now.wrapping_sub(by);
    }
    AtomicU64 (u64) = loom::sync::atomic::AtomicU64, |gone| gone.with_mut(|_| ()), {
        fetch_add = |now, by| now.wrapping_add(by);
        fetch_sub = |now, by| now.wrapping_sub(by);
    }
    AtomicUsize (usize) = loom::sync::atomic::AtomicUsize, |gone| gone.with_mut(|_| ()), {
        fetch_add = |now, by| now.wrapping_add(by);
        fetch_sub = |now, by| now.wrapping_sub(by);
    }
    AtomicPtr<T> (*mut T) = loom::sync::atomic::AtomicPtr<T>, |gone| gone.with_mut(|_| ()), {}
}
