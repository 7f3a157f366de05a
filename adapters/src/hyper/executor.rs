//! hyper's tasks as tasks of `tenter`.

use hyper::rt::Executor;
use tenter::Handle;

/// Spawns hyper's own tasks on `tenter`.
///
/// hyper has such tasks in HTTP/2 only. They are detached: they end with their connection, and one
/// that panics is reported as the runtime reports any task that nobody awaits.
///
/// # Examples
///
/// ```
/// use hyper::rt::Executor;
/// use tenter_adapters::hyper::TenterExecutor;
///
/// let runtime = tenter::Runtime::new()?;
/// let executor = TenterExecutor::on(runtime.handle().clone());
/// let (sender, receiver) = std::sync::mpsc::channel();
/// executor.execute(async move { sender.send("done").unwrap() });
/// assert_eq!(receiver.recv(), Ok("done"));
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct TenterExecutor {
    /// Where the tasks go; the current runtime of whoever calls, if `None`.
    handle: Option<Handle>,
}

impl TenterExecutor {
    /// Makes an executor that spawns on the runtime in which it is called.
    ///
    /// Calling it outside a runtime panics; one made with [`TenterExecutor::on`] does not care.
    pub fn new() -> TenterExecutor {
        TenterExecutor::default()
    }

    /// Makes an executor that spawns on the runtime of `handle`, wherever it is called.
    pub fn on(handle: Handle) -> TenterExecutor {
        TenterExecutor { handle: Some(handle) }
    }
}

impl<F> Executor<F> for TenterExecutor
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, future: F) {
        match &self.handle {
            Some(handle) => drop(handle.spawn(future)),
            None => drop(tenter::spawn(future)),
        }
    }
}
