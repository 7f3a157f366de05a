//! The auto traits and `Debug` of the public types, checked by the compiler.

use std::cell::Cell;
use std::fmt::Debug;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::rc::Rc;

use tenter::runtime::{
    ChildInfo, EnterGuard, RuntimeMetrics, ShutdownReport, TaskInfo, Unobserved,
};
use tenter::task::{self, AccessError, Id, LocalKey, TaskLocalFuture, TaskState};
use tenter::{AbortHandle, Builder, Handle, JoinError, JoinHandle, Runtime};

const fn is_send<T: Send>() {}
const fn is_sync<T: Sync>() {}
const fn is_unpin<T: Unpin>() {}
const fn is_unwind_safe<T: UnwindSafe + RefUnwindSafe>() {}
const fn is_debug<T: Debug>() {}
const fn is_static<T: 'static>() {}
const fn is_error<T: std::error::Error + Send + Sync + 'static>() {}

macro_rules! assert_all {
    ($($type:ty),* $(,)?) => {
        $(
            is_send::<$type>();
            is_sync::<$type>();
            is_unpin::<$type>();
            is_unwind_safe::<$type>();
            is_debug::<$type>();
        )*
    };
}

/// Does not compile if the type has the trait: two impls would fit.
macro_rules! assert_not {
    ($type:ty: $trait:path) => {{
        trait Ambiguous<A> {
            fn some_item() {}
        }
        impl<T: ?Sized> Ambiguous<()> for T {}
        struct Invalid;
        impl<T: ?Sized + $trait> Ambiguous<Invalid> for T {}
        <$type as Ambiguous<_>>::some_item()
    }};
}

/// Can be sent, and not shared.
type OnlySend = Cell<u32>;

#[test]
fn public_types_can_be_sent_shared_moved_and_shown() {
    assert_all!(
        Runtime,
        Handle,
        RuntimeMetrics,
        ShutdownReport,
        ChildInfo,
        TaskInfo,
        Unobserved<'static>,
        JoinHandle<OnlySend>,
        JoinHandle<()>,
        AbortHandle,
        JoinError,
        TaskState,
        Id,
        AccessError,
        task::Builder,
        LocalKey<OnlySend>,
    );
    is_static::<JoinHandle<OnlySend>>();
    is_error::<JoinError>();
    is_error::<AccessError>();
}

#[test]
fn a_builder_can_be_sent_shared_and_shown() {
    is_send::<Builder>();
    is_sync::<Builder>();
    is_unpin::<Builder>();
    is_debug::<Builder>();
}

#[test]
fn a_handle_of_a_task_that_cannot_be_sent_does_not_exist_on_other_threads() {
    assert_not!(JoinHandle<Rc<()>>: Send);
    assert_not!(JoinHandle<Rc<()>>: Sync);
}

#[test]
fn a_guard_stays_on_its_thread() {
    assert_not!(EnterGuard<'static>: Send);
    is_debug::<EnterGuard<'static>>();
}

#[test]
fn a_scope_is_as_sendable_as_what_it_holds() {
    type Scope<F> = TaskLocalFuture<u32, F>;
    is_send::<Scope<std::future::Ready<()>>>();
    is_sync::<Scope<std::future::Ready<()>>>();
    is_debug::<Scope<std::future::Ready<()>>>();
    assert_not!(Scope<std::future::Ready<Rc<()>>>: Send);
}

#[test]
fn the_futures_of_the_crate_can_be_spawned() {
    fn spawnable<F: Future + Send + 'static>(_: impl Fn() -> F) {}
    spawnable(tenter::yield_now);
    spawnable(task::consume_budget);
    spawnable(std::future::pending::<JoinHandle<OnlySend>>);
    fn cancel(handle: JoinHandle<OnlySend>) -> impl Future + Send + 'static {
        handle.cancel()
    }
    let _never_called = cancel;
}
