//! Calls that begin with a path.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::io::{Exit, Hop};

/// Does `f` on the blocking pool.
#[track_caller]
pub(super) fn hop<R: Send + 'static>(f: impl FnOnce() -> io::Result<R> + Send + 'static) -> Hop<R> {
    Hop::new(Exit::Waits, f)
}

/// Does `f`, which opens the file at `path`, on the blocking pool.
///
/// It takes a second hop where that may wait for ever, which the end of the runtime then does not
/// wait for. What is looked at may be gone when it is opened: a file that becomes a pipe in between
/// holds up the end.
pub(super) async fn hop_to<R, F>(path: PathBuf, f: F) -> io::Result<R>
where
    R: Send + 'static,
    F: FnOnce(PathBuf, Exit) -> io::Result<R> + Send + 'static,
{
    /// What the first hop came to.
    enum Looked<R, F> {
        Done(R),
        /// It is no place to wait at.
        MayWait(PathBuf, F),
    }

    let looked = hop(move || match exit_of_path(&path) {
        Exit::Waits => f(path, Exit::Waits).map(Looked::Done),
        Exit::Abandons => Ok(Looked::MayWait(path, f)),
    });
    match looked.await? {
        Looked::Done(result) => Ok(result),
        Looked::MayWait(path, f) => Hop::new(Exit::Abandons, || f(path, Exit::Abandons)).await,
    }
}

/// What the end of the runtime does about calls on such a file.
pub(super) fn exit_of(metadata: &fs::Metadata) -> Exit {
    let kind = metadata.file_type();
    if kind.is_file() || kind.is_dir() { Exit::Waits } else { Exit::Abandons }
}

/// [`exit_of`] what is at `path`; what is not there yet will be a file.
fn exit_of_path(path: &PathBuf) -> Exit {
    fs::metadata(path).map_or(Exit::Waits, |metadata| exit_of(&metadata))
}

/// Tells a call that goes on for long that nobody waits for it any more.
#[derive(Debug, Default)]
pub(super) struct Interest(Arc<AtomicBool>);

/// The other side of an [`Interest`].
#[derive(Debug)]
pub(super) struct Lost(Arc<AtomicBool>);

impl Interest {
    pub(super) fn new() -> Interest {
        Interest::default()
    }

    pub(super) fn lost(&self) -> Lost {
        Lost(Arc::clone(&self.0))
    }
}

impl Drop for Interest {
    fn drop(&mut self) {
        // ORDERING: Relaxed; it orders nothing, and the call looks again before its next piece.
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Lost {
    /// Fails once nobody waits.
    pub(super) fn check(&self) -> io::Result<()> {
        // ORDERING: Relaxed, as in `Interest::drop`.
        if self.0.load(Ordering::Relaxed) {
            return Err(io::Error::other("nobody waits for it any more"));
        }
        Ok(())
    }
}
