//! Which runtime the current thread belongs to, or has entered.
//!
//! Threads of a runtime, and those in `block_on`, have a pointer: it is valid for as long as the
//! guard on their stack. A user's guard can be leaked or dropped out of order, so what it entered
//! is owned by the thread-local itself.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::marker::PhantomData;
use std::ptr;

use crate::primitive::Arc;

use super::handle::{Handle, Inner};

thread_local! {
    /// The innermost entry.
    static CURRENT: Cell<Current> = const { Cell::new(Current::Nothing) };
    /// All entries, the innermost last.
    static ENTRIES: RefCell<Entries> = const {
        RefCell::new(Entries { list: Vec::new(), next_id: 0 })
    };
}

#[derive(Clone, Copy)]
enum Current {
    Nothing,
    /// Valid until the guard of [`enter_own`], which is on this thread's stack, is dropped.
    Own(*const Inner),
    /// A user's: the last of [`ENTRIES`] owns it.
    Entered,
}

struct Entries {
    list: Vec<(u64, Entry)>,
    next_id: u64,
}

enum Entry {
    Own(*const Inner),
    Entered(Handle),
}

impl Drop for Entries {
    fn drop(&mut self) {
        // The thread ends; what runs in destructors after this one is outside a runtime.
        CURRENT.with(|current| current.set(Current::Nothing));
    }
}

/// Puts an entry on top. `None`: the thread is ending, and its list is gone already.
fn push(entry: Entry) -> Option<u64> {
    let current = match &entry {
        Entry::Own(inner) => Current::Own(*inner),
        Entry::Entered(_) => Current::Entered,
    };
    let push = |entries: &RefCell<Entries>| {
        let entries = &mut *entries.borrow_mut();
        let id = entries.next_id;
        entries.next_id += 1;
        entries.list.push((id, entry));
        id
    };
    let id = ENTRIES.try_with(push).ok()?;
    CURRENT.with(|cell| cell.set(current));
    Some(id)
}

fn remove(id: u64) {
    let removed = ENTRIES.try_with(|entries| {
        let entries = &mut *entries.borrow_mut();
        let at = entries.list.iter().rposition(|&(other, _)| other == id)?;
        let removed = entries.list.remove(at);
        CURRENT.with(|cell| {
            cell.set(match entries.list.last() {
                None => Current::Nothing,
                Some((_, Entry::Own(inner))) => Current::Own(*inner),
                Some((_, Entry::Entered(_))) => Current::Entered,
            });
        });
        Some(removed)
    });
    // Dropped with no borrow left: it may be the runtime's last handle.
    drop(removed);
}

/// Calls `f` with the current runtime, if there is one.
#[inline]
pub(super) fn with_current<R>(f: impl FnOnce(&Inner) -> R) -> Option<R> {
    match CURRENT.with(Cell::get) {
        Current::Nothing => None,
        // SAFETY: the guard of `enter_own` is further up on this thread's stack, and borrows
        // the `Arc` that the pointer is from.
        Current::Own(inner) => Some(f(unsafe { &*inner })),
        Current::Entered => current().map(|handle| f(handle.inner())),
    }
}

/// The current runtime, if there is one.
pub(super) fn current() -> Option<Handle> {
    match CURRENT.with(Cell::get) {
        Current::Nothing => None,
        Current::Own(inner) => {
            // SAFETY: as in `with_current`; and the pointer is `Arc::as_ptr` of a live `Arc`.
            unsafe { Arc::increment_strong_count(inner) };
            // SAFETY: the count that was added just now.
            Some(Handle::from_inner(unsafe { Arc::from_raw(inner) }))
        }
        Current::Entered => {
            let last = |entries: &RefCell<Entries>| match entries.borrow().list.last() {
                Some((_, Entry::Entered(handle))) => Some(handle.clone()),
                _ => None,
            };
            ENTRIES.try_with(last).ok().flatten()
        }
    }
}

/// The panic of whatever needs a runtime and finds none.
#[cold]
#[track_caller]
pub(super) fn panic_outside() -> ! {
    panic!(
        "there is no runtime on this thread: call this inside `tenter::run` or \
         `Runtime::block_on`, in a task, or after `Runtime::enter`"
    );
}

/// Makes `inner` the current runtime of one of its threads, until the guard is dropped.
pub(super) fn enter_own(inner: &Arc<Inner>) -> OwnGuard<'_> {
    let pointer = Arc::as_ptr(inner);
    let before = CURRENT.with(Cell::get);
    let id = push(Entry::Own(pointer));
    if id.is_none() {
        // A runtime that is dropped by a thread's destructors still cancels its closures there.
        CURRENT.with(|current| current.set(Current::Own(pointer)));
    }
    OwnGuard { id, before, _inner: inner, _not_send: PhantomData }
}

/// [`enter_own`], unless `inner` is the current runtime as it is.
pub(super) fn enter_own_again(inner: &Arc<Inner>) -> Option<OwnGuard<'_>> {
    match CURRENT.with(Cell::get) {
        Current::Own(pointer) if ptr::eq(pointer, Arc::as_ptr(inner)) => None,
        _ => Some(enter_own(inner)),
    }
}

/// On the stack of a thread of the runtime: never leaked, so the entry can be a pointer.
pub(super) struct OwnGuard<'a> {
    id: Option<u64>,
    /// What to go back to if there is no list to tell.
    before: Current,
    _inner: &'a Arc<Inner>,
    _not_send: PhantomData<*const ()>,
}

impl Drop for OwnGuard<'_> {
    fn drop(&mut self) {
        match self.id {
            Some(id) => remove(id),
            None => CURRENT.with(|current| current.set(self.before)),
        }
    }
}

/// Makes `handle`'s runtime the current one, until the guard is dropped.
pub(super) fn enter(handle: &Handle) -> EnterGuard<'_> {
    EnterGuard { id: push(Entry::Entered(handle.clone())), _entered: PhantomData }
}

/// Restores, on drop, the runtime that the thread had before.
///
/// Guards may be dropped in any order: the latest that is left decides.
///
/// # Examples
///
/// ```
/// use tenter::Handle;
///
/// let runtime = tenter::Runtime::new()?;
/// let guard = runtime.enter();
/// let task = tenter::spawn(async { 6 * 7 });
/// drop(guard);
/// assert!(Handle::try_current().is_none());
/// assert_eq!(runtime.block_on(task).unwrap(), 42);
/// # Ok::<(), std::io::Error>(())
/// ```
#[must_use = "the runtime is left again when the guard is dropped"]
pub struct EnterGuard<'a> {
    /// `None`: entered by a destructor of a thread that is ending, which is outside a runtime.
    id: Option<u64>,
    _entered: PhantomData<(&'a Handle, *const ())>,
}

impl Drop for EnterGuard<'_> {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            remove(id);
        }
    }
}

impl fmt::Debug for EnterGuard<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EnterGuard").finish_non_exhaustive()
    }
}

/// Whether the current runtime of this thread is `inner`, by its own doing: a worker, a guest or
/// a blocking thread of it.
pub(super) fn is_own_thread(inner: &Arc<Inner>) -> bool {
    let is_own = |entries: &RefCell<Entries>| {
        entries.borrow().list.iter().any(|(_, entry)| match entry {
            Entry::Own(pointer) => ptr::eq(*pointer, Arc::as_ptr(inner)),
            Entry::Entered(_) => false,
        })
    };
    ENTRIES.try_with(is_own).unwrap_or(false)
}
