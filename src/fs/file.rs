//! One open file.

use std::fmt;
use std::fs::{self, Metadata, Permissions};
use std::future::poll_fn;
use std::io::{self, Seek, SeekFrom, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::os::unix::fs::FileExt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use crate::io::{Exit, Hop, Writes, Written, close, is_append, uninterrupted};
use crate::primitive::lock::Mutex;

use super::OpenOptions;
use super::path::exit_of;
use super::reads::{Reads, reserve};

mod streams;

/// Bytes that one positional read or write moves at most.
const POSITIONAL_BYTES: usize = 2 * 1024 * 1024;

/// An open file, whose calls are done by the blocking pool.
///
/// It reads, writes and seeks by [`AsyncRead`](crate::io::AsyncRead),
/// [`AsyncWrite`](crate::io::AsyncWrite) and [`AsyncSeek`](crate::io::AsyncSeek);
/// [`AsyncBufRead`](crate::io::AsyncBufRead) shows what is in its buffer, so that `lines` needs no
/// other. [`read_at`](File::read_at) and [`write_at`](File::write_at) work by shared reference.
///
/// # Reading
///
/// A read is answered from a buffer, which the pool fills: of a file that is read on and on, ahead
/// of the reader. What others write to the file after that is seen when the buffer is used up. A
/// seek, other than by nothing, and any write through this value empty it. The end of the file is
/// not kept: what was appended since is read by the next read.
///
/// # Writing
///
/// A write is complete when its system call is: the error is its own, the data is in the file, and
/// a flush has nothing to do. Up to 2 MiB are written at once.
///
/// # The position
///
/// It is this value's own, in files that have one: others that share the open file, a
/// [`clone`](File::try_clone) or a child process, have theirs. [`into_std`](File::into_std) hands
/// it on.
///
/// # Pipes, terminals and devices
///
/// They are read and written as it comes, one call at a time in each direction. Calls on them may
/// wait for ever, and the end of the runtime does not wait for them.
/// [`io::Async`](crate::io::Async) needs no threads for those that can be watched.
///
/// # Cancel safety
///
/// A read or a seek whose future is dropped takes nothing. A write may still happen; the next
/// operation that reads, writes, flushes or seeks waits for it. If it fails, then the next write,
/// flush or close returns its error. A write of the same bytes is taken for the one that was
/// dropped, if at most a flush came in between: the bytes are not written twice.
///
/// A file that is dropped is closed as soon as the calls that run on it are over, and a write that
/// is pending happens if the runtime goes on.
///
/// # Examples
///
/// ```
/// use tenter::fs::File;
/// use tenter::io::{AsyncBufReadExt, AsyncSeekExt, AsyncWriteExt, SeekFrom};
///
/// # fn main() -> std::io::Result<()> {
/// # let path = std::env::temp_dir().join(format!("tenter-file-{}", std::process::id()));
/// tenter::run(async {
///     let mut file = File::options().read(true).write(true).create_new(true).open(&path).await?;
/// #   tenter::fs::remove_file(&path).await?;
///     file.write_all(b"first\nsecond\n").await?;
///     file.seek(SeekFrom::Start(0)).await?;
///     let mut line = String::new();
///     file.read_line(&mut line).await?;
///     assert_eq!(line, "first\n");
///     file.close().await
/// })?
/// # }
/// ```
pub struct File {
    /// Shared with the calls that run. Gone when it was closed.
    file: Option<Arc<fs::File>>,
    exit: Exit,
    place: Position,
    reads: Reads,
    writes: Writes,
    /// The end that was asked for, and the position it is at.
    seek: Option<(SeekFrom, Hop<u64>)>,
    closing: Option<Hop<()>>,
    /// What was read ahead is of no use: the file was changed by shared reference.
    is_stale: AtomicBool,
    /// Somebody may have seen what became of a write that was dropped.
    is_looked_at: AtomicBool,
    /// A buffer for positional calls.
    spare: Mutex<Vec<u8>>,
}

/// Where in the file the next byte is read or written.
#[derive(Clone, Copy, Debug)]
enum Position {
    /// Here; or, of a file that is appended to, written at its end.
    At { offset: u64, append: bool },
    /// The file has none, or none of its own.
    None,
}

impl Position {
    fn is_at(self) -> bool {
        matches!(self, Position::At { .. })
    }
}

impl File {
    /// Opens the file at `path` for reading.
    ///
    /// # Errors
    ///
    /// - What the system says. A directory can be opened, and not be read.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: it is closed again.
    pub async fn open(path: impl AsRef<Path>) -> io::Result<File> {
        File::options().read(true).open(path).await
    }

    /// Opens the file at `path` for writing, makes it if it is not there, and empty if it is.
    ///
    /// # Errors
    ///
    /// - What the system says.
    ///
    /// # Cancel safety
    ///
    /// As that of [`OpenOptions::open`].
    pub async fn create(path: impl AsRef<Path>) -> io::Result<File> {
        File::options().write(true).create(true).truncate(true).open(path).await
    }

    /// Makes a file at `path`, for reading and writing, where there is none.
    ///
    /// # Errors
    ///
    /// - What the system says; `AlreadyExists` if there is something.
    ///
    /// # Cancel safety
    ///
    /// As that of [`OpenOptions::open`].
    pub async fn create_new(path: impl AsRef<Path>) -> io::Result<File> {
        File::options().read(true).write(true).create_new(true).open(path).await
    }

    /// Options to open a file with.
    #[must_use]
    pub fn options() -> OpenOptions {
        OpenOptions::new()
    }

    /// Takes an open file, which goes on at its position.
    ///
    /// It asks the system what kind of file it is, which takes no time worth a thread.
    #[must_use]
    pub fn from_std(mut file: fs::File) -> File {
        let exit = file.metadata().map_or(Exit::Abandons, |metadata| exit_of(&metadata));
        let place = match file.stream_position() {
            Ok(offset) if has_positions(&file) => {
                Position::At { offset, append: is_append(file.as_fd()) }
            }
            _ => Position::None,
        };
        File::new(file, exit, place)
    }

    /// A file that was opened just now, by a call that the end of the runtime waits for or not.
    pub(super) fn of(file: fs::File, exit: Exit) -> io::Result<File> {
        if exit == Exit::Abandons {
            return Ok(File::from_std(file));
        }
        let append = is_append(file.as_fd());
        Ok(File::new(file, exit, Position::At { offset: 0, append }))
    }

    fn new(file: fs::File, exit: Exit, place: Position) -> File {
        File {
            file: Some(Arc::new(file)),
            exit,
            place,
            reads: Reads::new(),
            writes: Writes::default(),
            seek: None,
            closing: None,
            is_stale: AtomicBool::new(false),
            is_looked_at: AtomicBool::new(false),
            spare: Mutex::new(Vec::new()),
        }
    }

    /// Waits for calls that run, and returns the file, at this value's position.
    ///
    /// Of a file without positions it does not wait for a read, and what is in the buffer is lost.
    ///
    /// # Errors
    ///
    /// - That of a write whose future was dropped.
    /// - What the system says if the position cannot be set; or if a call still runs, and the
    ///   descriptor cannot be duplicated.
    ///
    /// # Cancel safety
    ///
    /// Dropped while pending, the file is closed.
    pub async fn into_std(mut self) -> io::Result<fs::File> {
        poll_fn(|cx| self.poll_quiet(cx)).await?;
        self.writes.check()?;
        let file = self.file.take().ok_or_else(closed)?;
        if let Position::At { offset, .. } = self.place {
            (&*file).seek(SeekFrom::Start(offset))?;
        }
        Arc::try_unwrap(file).or_else(|file| file.try_clone())
    }

    /// Returns the file, at this value's position, if no call runs on it.
    ///
    /// # Errors
    ///
    /// - The value itself if a call runs, or the system does not set the position.
    #[expect(clippy::result_large_err, reason = "it is the value that was taken")]
    pub fn try_into_std(mut self) -> Result<fs::File, File> {
        let Some(file) = self.file.take() else { return Err(self) };
        if let Position::At { offset, .. } = self.place {
            if (&*file).seek(SeekFrom::Start(offset)).is_err() {
                self.file = Some(file);
                return Err(self);
            }
        }
        Arc::try_unwrap(file).map_err(|file| {
            self.file = Some(file);
            self
        })
    }

    /// Another value for the same open file, with a descriptor of its own.
    ///
    /// It begins at this value's position, and then has its own, which is unlike
    /// [`std::fs::File::try_clone`]. Of a file without positions, what is in the buffer stays here.
    ///
    /// # Errors
    ///
    /// - What the system says: there may be no descriptors left.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: it does not wait.
    pub async fn try_clone(&self) -> io::Result<File> {
        Ok(File::new(self.shared()?.try_clone()?, self.exit, self.place))
    }

    /// What the system knows of the file.
    ///
    /// # Errors
    ///
    /// - What the system says.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: it changes nothing.
    pub async fn metadata(&self) -> io::Result<Metadata> {
        self.call(|file| file.metadata()).await
    }

    /// Waits until the file's data and metadata are on its disk.
    ///
    /// It speaks for writes that have completed.
    ///
    /// # Errors
    ///
    /// - What the system says, of any write to the file since it was last asked.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe, but an error may be lost.
    pub async fn sync_all(&self) -> io::Result<()> {
        self.call(|file| file.sync_all()).await
    }

    /// Waits until the file's data is on its disk, with as much of the metadata as it takes to
    /// find it there.
    ///
    /// # Errors
    ///
    /// - Those of [`sync_all`](File::sync_all).
    ///
    /// # Cancel safety
    ///
    /// Cancel safe, but an error may be lost.
    pub async fn sync_data(&self) -> io::Result<()> {
        self.call(|file| file.sync_data()).await
    }

    /// Makes the file this long: cuts it off, or adds zeros. The position stays.
    ///
    /// # Errors
    ///
    /// - What the system says.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: dropped while pending, the file has either length.
    pub async fn set_len(&self, len: u64) -> io::Result<()> {
        self.change(move |file| file.set_len(len)).await
    }

    /// Changes the permissions of the file.
    ///
    /// # Errors
    ///
    /// - What the system says.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: dropped while pending, they may have been changed or not.
    pub async fn set_permissions(&self, permissions: Permissions) -> io::Result<()> {
        self.call(move |file| file.set_permissions(permissions)).await
    }

    /// Reads at `offset`, whatever the position, which stays; returns how many bytes there were.
    ///
    /// Any number of tasks may do so at once. Up to 2 MiB are read at once.
    ///
    /// # Errors
    ///
    /// - What the system says; a pipe, for one, has no offsets.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: it changes nothing.
    pub async fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let bytes = buf.len().min(POSITIONAL_BYTES);
        let mut data = std::mem::take(&mut *self.spare.lock());
        let read = self.call(move |file| {
            reserve(&mut data, bytes);
            let len = uninterrupted(|| file.read_at(&mut data[..bytes], offset))?;
            Ok((data, len))
        });
        let (data, len) = read.await?;
        buf[..len].copy_from_slice(&data[..len]);
        *self.spare.lock() = data;
        Ok(len)
    }

    /// Writes at `offset`, whatever the position, which stays; returns how many bytes it wrote.
    ///
    /// Any number of tasks may do so at once. Up to 2 MiB are written at once. In a file that is
    /// appended to the system may write at the end all the same.
    ///
    /// # Errors
    ///
    /// - What the system says.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: dropped while pending, the data may have been written or not.
    pub async fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<usize> {
        let mut data = std::mem::take(&mut *self.spare.lock());
        data.clear();
        data.extend_from_slice(&buf[..buf.len().min(POSITIONAL_BYTES)]);
        let write = self.change(move |file| {
            let len = uninterrupted(|| file.write_at(&data, offset))?;
            Ok((data, len))
        });
        let (data, len) = write.await?;
        *self.spare.lock() = data;
        Ok(len)
    }
}

/// What the operations are built of.
impl File {
    fn shared(&self) -> io::Result<&Arc<fs::File>> {
        self.file.as_ref().ok_or_else(closed)
    }

    /// Does `f` with the file, on the blocking pool.
    async fn call<R: Send + 'static>(
        &self,
        f: impl FnOnce(&fs::File) -> io::Result<R> + Send + 'static,
    ) -> io::Result<R> {
        let file = Arc::clone(self.shared()?);
        // ORDERING: Relaxed. Who writes next has the value for itself, and so comes after this.
        self.is_looked_at.store(true, Ordering::Relaxed);
        Hop::new(self.exit, move || f(&file)).await
    }

    /// [`File::call`] of what changes the contents.
    async fn change<R: Send + 'static>(
        &self,
        f: impl FnOnce(&fs::File) -> io::Result<R> + Send + 'static,
    ) -> io::Result<R> {
        let mut called = std::pin::pin!(self.call(f));
        poll_fn(|cx| {
            let polled = called.as_mut().poll(cx);
            // ORDERING: Relaxed. Who reads next has the value for itself, and so comes after this.
            // At each poll: what is read ahead meanwhile may be from before the change.
            self.is_stale.store(true, Ordering::Relaxed);
            polled
        })
        .await
    }

    /// Waits for the write that runs, and puts the position behind it.
    fn poll_settle(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let behind = ready!(self.writes.poll_settle(cx))?;
        if let (Position::At { offset, .. }, Some(behind)) = (&mut self.place, behind) {
            *offset = behind;
        }
        if std::mem::take(self.is_looked_at.get_mut()) {
            self.writes.forget_success();
        }
        Poll::Ready(Ok(()))
    }

    /// Waits until no call of a stream's runs, but for a read that may wait for ever.
    fn poll_quiet(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_settle(cx))?;
        if self.place.is_at() {
            ready!(self.reads.poll_quiet(cx));
            self.reads.discard();
        }
        self.seek = None;
        Poll::Ready(Ok(()))
    }

    /// The write calls of a stream, at the position it has now.
    fn write(&self) -> io::Result<impl FnMut(&[u8]) -> io::Result<Written> + Send + use<>> {
        let (file, place) = (Arc::clone(self.shared()?), self.place);
        Ok(move |data: &[u8]| match place {
            Position::At { offset, append: false } => {
                let len = match file.write_at(data, offset) {
                    Err(error) if is_no_position(&error) => (&*file).write(data)?,
                    result => result?,
                };
                Ok(Written { len, position: offset.saturating_add(len as u64) })
            }
            Position::At { append: true, .. } => {
                let len = (&*file).write(data)?;
                Ok(Written { len, position: (&*file).stream_position()? })
            }
            Position::None => Ok(Written { len: (&*file).write(data)?, position: 0 }),
        })
    }

    /// Closes the file on the pool.
    fn start_closing(&mut self) {
        let Some(file) = self.file.take() else { return };
        self.reads.discard();
        self.closing = Some(Hop::new(self.exit, move || match Arc::into_inner(file) {
            Some(file) => close(file.into()),
            // A call that nobody waits for has the file, and closes it when it returns.
            None => Ok(()),
        }));
    }
}

/// Whether the file is one in which a place can be read and written again.
fn has_positions(file: &fs::File) -> bool {
    use std::os::unix::fs::FileTypeExt;

    let has = |kind: fs::FileType| kind.is_file() || kind.is_dir() || kind.is_block_device();
    file.metadata().is_ok_and(|metadata| has(metadata.file_type()))
}

/// Whether the system says that the file has no positions, in spite of what kind it is.
fn is_no_position(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::ESPIPE)
}

fn closed() -> io::Error {
    io::Error::from_raw_os_error(libc::EBADF)
}

impl From<fs::File> for File {
    fn from(file: fs::File) -> File {
        File::from_std(file)
    }
}

/// # Panics
///
/// Panics if the file was closed.
impl AsFd for File {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_ref().expect("the file was closed").as_fd()
    }
}

/// # Panics
///
/// Panics if the file was closed.
impl AsRawFd for File {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}

impl fmt::Debug for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("File").field("file", &self.file).finish_non_exhaustive()
    }
}

// What a panic could interrupt are the pool's calls, and they have no part in this.
impl UnwindSafe for File {}
impl RefUnwindSafe for File {}

const _: () = {
    const fn assert<T: Send + Sync + Unpin + fmt::Debug + UnwindSafe + RefUnwindSafe>() {}
    assert::<File>();
};
