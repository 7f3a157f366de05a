//! The one allocation of a task.
//!
//! Layout: the header at the front, the stage behind it, at natural alignment. glibc serves
//! requests of more than 16 bytes' alignment without its per-thread cache, which costs more than
//! false sharing between two tasks ever did; a header of 72 bytes leaves a 16-byte future in the
//! 96-byte class.

use std::any::Any;
use std::fmt;
use std::mem::ManuallyDrop;
use std::panic::Location;
use std::ptr::NonNull;
use std::sync::Arc;
use std::task::Waker;

use crate::primitive::cell::UnsafeCell;

use super::id::Id;
use super::raw::Vtable;
use super::state::State;

/// The part of a task that does not depend on its future.
#[repr(C)]
pub(crate) struct Header {
    pub(super) state: State,
    pub(super) vtable: &'static Vtable,
    /// The scheduler, behind the type that `vtable` knows (T5).
    pub(super) scheduler: *const (),
    /// The neighbours in the owned list (T8).
    pub(super) links: UnsafeCell<Links>,
    /// The id in the upper 48 bits, the shard of the owned list in the lower 16.
    id_and_shard: u64,
    place: Place,
    /// Who waits for the output (T6).
    pub(super) join_waker: UnsafeCell<Option<Waker>>,
}

#[cfg(target_pointer_width = "64")]
const _: () = assert!(size_of::<Links>() == 16 && size_of::<Place>() == 8);

/// Neighbours in a shard of the owned list.
#[derive(Default)]
pub(super) struct Links {
    pub(super) previous: Option<NonNull<Header>>,
    pub(super) next: Option<NonNull<Header>>,
}

impl Header {
    pub(super) fn new(
        vtable: &'static Vtable,
        scheduler: *const (),
        id: Id,
        shard: usize,
        place: Place,
    ) -> Self {
        assert!(shard <= usize::from(u16::MAX), "shard {shard} needs more than 16 bits");
        Self {
            state: State::new(),
            vtable,
            scheduler,
            links: UnsafeCell::new(Links::default()),
            id_and_shard: id.as_u64() << 16 | shard as u64,
            place,
            join_waker: UnsafeCell::new(None),
        }
    }

    pub(crate) fn id(&self) -> Id {
        Id::from_u64(self.id_and_shard >> 16)
    }

    pub(super) fn shard(&self) -> usize {
        (self.id_and_shard & u64::from(u16::MAX)) as usize
    }

    pub(crate) fn place(&self) -> &Place {
        &self.place
    }
}

impl fmt::Debug for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Task")
            .field("id", &self.id())
            .field("place", &self.place)
            .field("state", &self.state.load())
            .finish()
    }
}

/// Where a task was spawned, and its name if it has one.
///
/// One word: a pointer to the place itself, or, tagged, one to the place and the name together.
/// Unnamed tasks pay for no name.
pub(crate) struct Place(NonNull<()>);

/// What a tagged [`Place`] points to.
struct Named {
    location: &'static Location<'static>,
    name: Box<str>,
}

/// The bit of a [`Place`] that says that it owns a [`Named`].
const NAMED: usize = 1;
const _: () = assert!(align_of::<Location<'_>>() > NAMED && align_of::<Named>() > NAMED);

impl Place {
    /// The place of a task without a name.
    pub(crate) fn new(location: &'static Location<'static>) -> Self {
        Self(NonNull::from(location).cast())
    }

    /// The place of a task that is called `name`.
    pub(crate) fn named(location: &'static Location<'static>, name: String) -> Self {
        let named = Box::new(Named { location, name: name.into_boxed_str() });
        let pointer = NonNull::from(Box::leak(named)).cast::<()>();
        // SAFETY: an address with a bit more than an aligned, non-null one is not null.
        Self(unsafe { NonNull::new_unchecked(pointer.as_ptr().map_addr(|a| a | NAMED)) })
    }

    fn as_named(&self) -> Option<NonNull<Named>> {
        let is_named = self.0.as_ptr().addr() & NAMED != 0;
        is_named.then(|| NonNull::new(self.0.as_ptr().map_addr(|a| a & !NAMED).cast())).flatten()
    }

    /// Where the task was spawned.
    pub(crate) fn location(&self) -> &'static Location<'static> {
        match self.as_named() {
            // SAFETY: the box that `Place::named` leaked lives until `self` is dropped.
            Some(named) => unsafe { named.as_ref() }.location,
            // SAFETY: without the tag the pointer is the reference that `Place::new` was given.
            None => unsafe { self.0.cast::<Location<'static>>().as_ref() },
        }
    }

    /// The task's name.
    pub(crate) fn name(&self) -> Option<&str> {
        // SAFETY: as in `Place::location`; the borrow ends with `self`'s.
        self.as_named().map(|named| &*unsafe { named.as_ref() }.name)
    }
}

// SAFETY: a `Place` is a `&'static Location` or owns a `Named`; both are `Send` and `Sync`, the
// pointer alone stops the auto traits. Nothing in it changes after it is made.
unsafe impl Send for Place {}
// SAFETY: as above.
unsafe impl Sync for Place {}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(named) = self.as_named() {
            // SAFETY: `Place::named` leaked the box to this value, which is not used again.
            drop(unsafe { Box::from_raw(named.as_ptr()) });
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => write!(f, "'{name}' spawned at {}", self.location()),
            None => write!(f, "spawned at {}", self.location()),
        }
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A task: header, then the future or what became of it.
#[repr(C)]
pub(super) struct Cell<F: Future> {
    pub(super) header: Header,
    pub(super) stage: UnsafeCell<Stage<F>>,
}

/// The future, then its output or its panic; the state word says which (T2, T3).
pub(super) union Stage<F: Future> {
    pub(super) future: ManuallyDrop<F>,
    pub(super) output: ManuallyDrop<F::Output>,
    pub(super) panic: ManuallyDrop<Box<Panic>>,
}

/// Called with a failure that nobody looked at.
pub(crate) type UnobservedHook = Arc<dyn Fn(&Unobserved<'_>) + Send + Sync>;

/// A panic in place of an output.
pub(crate) struct Panic {
    pub(super) payload: Box<dyn Any + Send>,
    /// Whom to tell if nobody takes it: kept here because the runtime may be gone by then.
    pub(super) hook: UnobservedHook,
}

/// A failure that nobody looked at: the panic of a task whose handle was dropped, or an error
/// that nobody took.
///
/// Given to the hook of [`Builder::on_unobserved`](crate::runtime::Builder::on_unobserved).
/// What asyncio prints as "Task exception was never retrieved".
///
/// # Examples
///
/// ```
/// use std::sync::mpsc;
///
/// async fn fail() {
///     panic!("nobody awaits this");
/// }
///
/// let (sender, failures) = mpsc::channel();
/// let runtime = tenter::Runtime::builder()
///     .on_unobserved(move |failure| {
///         let _ = sender.send((failure.is_panic(), failure.message().to_owned()));
///     })
///     .build()?;
/// runtime.spawn(fail()).detach();
/// assert_eq!(failures.recv().unwrap(), (true, "nobody awaits this".to_owned()));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct Unobserved<'a> {
    pub(crate) id: Id,
    pub(crate) name: Option<&'a str>,
    pub(crate) location: &'static Location<'static>,
    pub(crate) message: &'a str,
    /// Whether the task panicked, rather than returned an error.
    pub(crate) is_panic: bool,
}

impl Unobserved<'_> {
    /// The task that failed.
    #[must_use]
    pub fn id(&self) -> Id {
        self.id
    }

    /// The task's name, if it was given one.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.name
    }

    /// Where the task was spawned.
    #[must_use]
    pub fn location(&self) -> &'static Location<'static> {
        self.location
    }

    /// The panic's message, or a text that says that it had none; the `Debug` text of an error.
    #[must_use]
    pub fn message(&self) -> &str {
        self.message
    }

    /// Whether the task panicked; otherwise it returned an error.
    #[must_use]
    pub fn is_panic(&self) -> bool {
        self.is_panic
    }

    /// What became of the task, as a verb.
    pub(crate) fn how(&self) -> &'static str {
        if self.is_panic { "panicked" } else { "failed" }
    }
}

impl fmt::Display for Unobserved<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "task {} ", self.id)?;
        if let Some(name) = self.name {
            write!(f, "'{name}' ")?;
        }
        let how = self.how();
        write!(f, "spawned at {} {how} and nobody looked: {}", self.location, self.message)
    }
}
