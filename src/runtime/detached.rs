//! Tasks that nobody waits for, and whose errors are reported all the same.

use std::fmt::Debug;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;

use crate::lifecycle::{AbortHandle, Builder as TaskBuilder, Id, JoinHandle, Place, context};
use crate::primitive::contain_drop;

use super::{Handle, Unobserved, reports, spawn};

/// Spawns `future`, whose output nobody waits for; an `Err` is reported once.
///
/// The failure goes to [`Builder::on_unobserved`](crate::Builder::on_unobserved), by default a
/// line on standard error, with the task's name, the place of this call, and the error's `Debug`
/// text; and so does a panic. [`tenter::spawn`](crate::spawn) with a dropped handle reports
/// panics only: it does not know that its output is a `Result`. A task that is cancelled, by
/// the handle or by a shutdown, reports nothing.
///
/// # Panics
///
/// Panics outside a runtime; [`Handle::try_current`] tells without panicking.
///
/// # Examples
///
/// ```
/// use std::io;
///
/// async fn save(text: &str) -> io::Result<()> {
///     # let _ = text;
///     Err(io::Error::other("the disk is full"))
/// }
///
/// let mut builder = tenter::Builder::new();
/// # let (failures, seen) = std::sync::mpsc::channel();
/// builder.on_unobserved(move |failure| {
///     assert!(failure.message().contains("the disk is full"));
///     # failures.send(()).unwrap();
/// });
/// builder.build()?.block_on(async {
///     tenter::task::spawn_detached(save("a line"));
///     # seen.recv().unwrap();
/// });
/// # Ok::<(), io::Error>(())
/// ```
#[track_caller]
pub fn spawn_detached<F, T, E>(future: F) -> AbortHandle
where
    F: Future<Output = Result<T, E>> + Send + 'static,
    T: Send + 'static,
    E: Debug + Send + 'static,
{
    detach(spawn::spawn_at(Detached { future }, Place::new(Location::caller())))
}

impl Handle {
    /// Spawns `future`, whose output nobody waits for; see
    /// [`task::spawn_detached`](crate::task::spawn_detached).
    #[track_caller]
    pub fn spawn_detached<F, T, E>(&self, future: F) -> AbortHandle
    where
        F: Future<Output = Result<T, E>> + Send + 'static,
        T: Send + 'static,
        E: Debug + Send + 'static,
    {
        detach(self.spawn_at(Detached { future }, Place::new(Location::caller())))
    }
}

impl TaskBuilder {
    /// Spawns `future`, whose output nobody waits for, onto the current runtime; see
    /// [`task::spawn_detached`](crate::task::spawn_detached).
    ///
    /// # Panics
    ///
    /// Panics outside a runtime.
    #[track_caller]
    pub fn spawn_detached<F, T, E>(self, future: F) -> AbortHandle
    where
        F: Future<Output = Result<T, E>> + Send + 'static,
        T: Send + 'static,
        E: Debug + Send + 'static,
    {
        detach(spawn::spawn_at(Detached { future }, self.into_place(Location::caller())))
    }
}

fn detach(handle: JoinHandle<()>) -> AbortHandle {
    handle.abort_handle()
}

pin_project! {
    /// A task that reports its own error.
    struct Detached<F> {
        #[pin]
        future: F,
    }
}

impl<F, T, E> Future for Detached<F>
where
    F: Future<Output = Result<T, E>>,
    E: Debug,
{
    type Output = ();

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if let Err(error) = ready!(self.project().future.poll(cx)) {
            context::with_current(|task| {
                let (id, place) = (task.id(), task.place());
                report_error(id, place.name(), place.location(), &error);
            });
        }
        Poll::Ready(())
    }
}

impl<T, E> JoinHandle<Result<T, E>>
where
    T: Send + 'static,
    E: Debug + Send + 'static,
{
    /// Lets the task go on by itself, and has its error reported if it returns one.
    ///
    /// The error goes to [`Builder::on_unobserved`](crate::Builder::on_unobserved) when the task
    /// ends, at once if it has ended: then to the hook of the runtime that the caller is in, and
    /// outside of any to standard error. A task that nobody ever waits for is best
    /// spawned with [`task::spawn_detached`](crate::task::spawn_detached).
    ///
    /// # Examples
    ///
    /// ```
    /// # tenter::run(async {
    /// let handle = tenter::spawn(async { "12 monkeys".parse::<u32>() });
    /// handle.detach_reporting();
    /// # }).unwrap();
    /// ```
    pub fn detach_reporting(self) {
        self.on_end(|handle, output| {
            if let Some(Err(error)) = &output {
                report_error(handle.id(), handle.name(), handle.location(), error);
            }
            contain_drop(|| drop(output));
        });
    }
}

/// Tells the current runtime's hook of an error that nobody took.
#[cold]
fn report_error(
    id: Id,
    name: Option<&str>,
    location: &'static Location<'static>,
    error: &dyn Debug,
) {
    let mut message = None;
    contain_drop(|| message = Some(format!("{error:?}")));
    let message = message.as_deref().unwrap_or("an error whose `Debug` panics");
    let failure = Unobserved { id, name, location, message, is_panic: false };
    contain_drop(|| match Handle::try_current() {
        Some(handle) => (handle.unobserved_hook())(&failure),
        None => reports::unobserved(&failure),
    });
}
