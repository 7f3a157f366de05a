//! Standard input, read without a thread that nobody can stop.

use std::fmt;
use std::fs::File;
use std::future::Future;
use std::io::{self, IoSliceMut, Read, Seek, SeekFrom};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{FileExt, FileTypeExt};
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_io::AsyncRead;

use crate::driver::Direction;
use crate::lifecycle::budget;
use crate::primitive::lock::Mutex;
use crate::runtime::Handle;

use super::hop::{Exit, Hop};
use super::writes::uninterrupted;
use super::{Async, level};

/// Bytes that one call on the blocking pool reads.
const CHUNK_BYTES: usize = 64 * 1024;

/// Whether a descriptor can be asked if a read would wait, and watched until it would not.
const WATCHES: bool = cfg!(target_os = "linux");

/// Held while this process looks at standard input and then takes from it, so that of two tasks
/// that find the same bytes none waits for more.
static TAKING: Mutex<()> = Mutex::new(());

/// The standard input of this process.
///
/// Any number of values may be made of it, in any number of runtimes; each byte goes to one of
/// those who read at a time. A value belongs to the runtime in which it is read first.
///
/// It keeps no buffer of its own that anybody else could miss: put it into a
/// [`BufReader`](super::BufReader) to read lines, and keep that.
///
/// # Cancel safety
///
/// A read whose future is dropped takes nothing, and leaves nothing behind: no byte is lost, no
/// thread waits for input, and neither the runtime's end nor the program's does.
///
/// What it reads from stays as it is, in blocking mode above all, since the programs at the other
/// end of a terminal share that. Instead each read looks first whether there is something. Should
/// *another process* take it away in that moment from a terminal, the thread waits for more.
///
/// Where the system cannot be asked (other than Linux), a thread reads. It does not hold up the end
/// either, but what it reads after its value was dropped is lost.
///
/// # Examples
///
/// ```no_run
/// use tenter::io::{self, AsyncBufReadExt, BufReader};
///
/// # fn main() -> std::io::Result<()> {
/// tenter::run(async {
///     let mut input = BufReader::new(io::stdin());
///     let mut line = String::new();
///     while input.read_line(&mut line).await? > 0 {
///         println!("{} bytes", line.len());
///         line.clear();
///     }
///     std::io::Result::Ok(())
/// })?
/// # }
/// ```
pub struct Stdin {
    /// What it is was found out by the first read.
    input: Option<Input>,
}

/// The standard input of this process; see [`Stdin`].
///
/// # Examples
///
/// ```no_run
/// use tenter::io::{self, AsyncReadExt};
///
/// # fn main() -> std::io::Result<()> {
/// tenter::run(async {
///     let mut all = String::new();
///     io::stdin().read_to_string(&mut all).await
/// })??;
/// # Ok(())
/// # }
/// ```
#[must_use]
pub fn stdin() -> Stdin {
    Stdin { input: None }
}

/// What standard input is; each has a descriptor of its own for it.
enum Input {
    /// A pipe, a terminal, a socket or a device, which the driver watches.
    Watched(Async<File>),
    /// A file, whose position says what was taken.
    Positioned(Positioned),
    /// Anything, where no better can be had.
    Blocking(Blocking),
}

impl Input {
    /// Looks what standard input is now.
    ///
    /// # Errors
    ///
    /// - What the system says if it is closed, or there are no descriptors left.
    fn find() -> io::Result<Input> {
        let file = File::from(io::stdin().as_fd().try_clone_to_owned()?);
        let kind = file.metadata()?.file_type();
        if kind.is_file() || kind.is_dir() || kind.is_block_device() {
            return Ok(Input::Positioned(Positioned::new(file)));
        }
        if WATCHES {
            let driver = Arc::clone(Handle::current().driver());
            return Ok(Input::Watched(Async::with_driver(file, driver)));
        }
        Ok(Input::Blocking(Blocking::new(file)))
    }
}

impl AsyncRead for Stdin {
    /// # Errors
    ///
    /// - What the system says; also that standard input is closed.
    /// - `Other` if the runtime was shut down, or a thread that has to read could not be started.
    ///
    /// # Panics
    ///
    /// The first read panics outside a runtime.
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        if buf.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let input = match &mut self.input {
            Some(input) => input,
            input => input.insert(Input::find()?),
        };
        match input {
            Input::Watched(file) => {
                file.poll_op(cx, Direction::Read, |file| read_what_is_there(file, buf))
            }
            Input::Positioned(file) => {
                let charge = ready!(budget::poll_spend(cx));
                let read = ready!(file.poll_read(cx, buf));
                charge.made_progress();
                Poll::Ready(read)
            }
            Input::Blocking(file) => file.poll_read(cx, buf),
        }
    }
}

/// Reads without waiting: `WouldBlock` if there is nothing.
///
/// The descriptor is in blocking mode, and stays so.
fn read_what_is_there(mut file: &File, buf: &mut [u8]) -> io::Result<usize> {
    let _taking = TAKING.lock();
    if let Some(read) = try_read(file.as_fd(), buf) {
        return read;
    }
    if !level::is_ready(file.as_fd(), Direction::Read) {
        return Err(io::ErrorKind::WouldBlock.into());
    }
    file.read(buf)
}

/// Has the system read without waiting, if it can: pipes and sockets can, of the newer systems.
#[cfg(target_os = "linux")]
fn try_read(fd: BorrowedFd<'_>, buf: &mut [u8]) -> Option<io::Result<usize>> {
    use rustix::io::{Errno, ReadWriteFlags, preadv2};

    // That is the position in use, and no other.
    const HERE: u64 = u64::MAX;
    match preadv2(fd, &mut [IoSliceMut::new(buf)], HERE, ReadWriteFlags::NOWAIT) {
        Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL | Errno::SPIPE) => None,
        result => Some(result.map_err(io::Error::from)),
    }
}

/// Has the system read without waiting, if it can.
#[cfg(not(target_os = "linux"))]
fn try_read(_fd: BorrowedFd<'_>, _buf: &mut [u8]) -> Option<io::Result<usize>> {
    None
}

/// A file as standard input.
///
/// The blocking pool reads at the position and leaves it there; it moves when bytes are handed out.
/// So none are lost with a read that nobody waits for, and others who share the position miss
/// nothing. What was read counts for as long as the position is where it was read.
struct Positioned {
    file: Arc<File>,
    chunk: Chunk,
    hop: Option<Hop<Chunk>>,
}

#[derive(Default)]
struct Chunk {
    data: Vec<u8>,
    /// Where in the file the rest of `data`, from `start` on, is.
    position: u64,
    start: usize,
}

impl Positioned {
    fn new(file: File) -> Positioned {
        Positioned { file: Arc::new(file), chunk: Chunk::default(), hop: None }
    }

    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        // Ends: with bytes, or the end of the file; unless others take all that is read, each time.
        loop {
            if let Some(read) = self.take(buf)? {
                return Poll::Ready(Ok(read));
            }
            let file = &self.file;
            let hop = self.hop.get_or_insert_with(|| {
                let file = Arc::clone(file);
                Hop::new(Exit::Waits, move || Chunk::read(&file))
            });
            let chunk = ready!(Pin::new(hop).poll(cx));
            self.hop = None;
            self.chunk = chunk?;
            if self.chunk.data.is_empty() {
                return Poll::Ready(Ok(0));
            }
        }
    }

    /// Hands bytes out that were read, if they are still the next.
    fn take(&mut self, buf: &mut [u8]) -> io::Result<Option<usize>> {
        let Chunk { data, position, start } = &mut self.chunk;
        let rest = &data[*start..];
        if rest.is_empty() {
            return Ok(None);
        }
        let _taking = TAKING.lock();
        let mut file = &*self.file;
        if file.stream_position()? != *position {
            *start = data.len();
            return Ok(None);
        }
        let len = rest.len().min(buf.len());
        buf[..len].copy_from_slice(&rest[..len]);
        *start += len;
        *position = file.seek(SeekFrom::Current(len as i64))?;
        Ok(Some(len))
    }
}

impl Chunk {
    /// Reads at the position, which stays.
    fn read(mut file: &File) -> io::Result<Chunk> {
        let position = file.stream_position()?;
        let mut data = vec![0; CHUNK_BYTES];
        let len = uninterrupted(|| file.read_at(&mut data, position))?;
        data.truncate(len);
        Ok(Chunk { data, position, start: 0 })
    }
}

/// Standard input that a thread waits at.
struct Blocking {
    file: Arc<File>,
    chunk: Chunk,
    hop: Option<Hop<Chunk>>,
}

impl Blocking {
    fn new(file: File) -> Blocking {
        Blocking { file: Arc::new(file), chunk: Chunk::default(), hop: None }
    }

    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        if self.chunk.start == self.chunk.data.len() {
            let file = &self.file;
            let hop = self.hop.get_or_insert_with(|| {
                let file = Arc::clone(file);
                Hop::new(Exit::Abandons, move || {
                    let mut data = vec![0; CHUNK_BYTES];
                    let len = uninterrupted(|| (&*file).read(&mut data))?;
                    data.truncate(len);
                    Ok(Chunk { data, position: 0, start: 0 })
                })
            });
            let chunk = ready!(Pin::new(hop).poll(cx));
            self.hop = None;
            self.chunk = chunk?;
        }
        let rest = &self.chunk.data[self.chunk.start..];
        let len = rest.len().min(buf.len());
        buf[..len].copy_from_slice(&rest[..len]);
        self.chunk.start += len;
        Poll::Ready(Ok(len))
    }
}

impl fmt::Debug for Stdin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stdin").finish_non_exhaustive()
    }
}

// A panic interrupts none of its operations.
impl UnwindSafe for Stdin {}
impl RefUnwindSafe for Stdin {}

const _: () = {
    const fn assert<T: Send + Sync + Unpin + fmt::Debug + UnwindSafe + RefUnwindSafe>() {}
    assert::<Stdin>();
};
