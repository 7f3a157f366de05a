//! Reads of a file: chunks that are fetched by the blocking pool, ahead of the reader.
//!
//! ```text
//!   file ──fetch──► hop ──adopt──► chunk ──consume──► reader
//!                    ▲               │
//!                    └──── spare ◄───┘    two buffers, that change places
//! ```
//!
//! The first chunk of a sequence is fetched when somebody reads, the second too. From then on the
//! next is fetched as soon as one is there, and four times as much, up to a bound: whoever reads
//! on finds it in the buffer. Whatever breaks the sequence begins it anew.

use std::fs::File;
use std::future::Future;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use crate::io::{Exit, Hop, uninterrupted};

/// Bytes of the first chunk of a sequence.
const FIRST_BYTES: usize = 8 * 1024;

/// How many times as large the next chunk is.
const GROWTH: usize = 4;

/// Bytes that are fetched ahead at most.
const AHEAD_BYTES: usize = 512 * 1024;

/// Bytes that are fetched at once at most, if a reader has room for as much.
const WANTED_BYTES: usize = 2 * 1024 * 1024;

/// A buffer larger than this is given back at the end of the file.
const KEPT_BYTES: usize = 64 * 1024;

/// Bytes that [`read_all`] reads between two looks whether anybody still waits.
const PIECE_BYTES: usize = 16 * 1024 * 1024;

/// A file, and how it is read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Source<'a> {
    pub(super) file: &'a Arc<File>,
    pub(super) exit: Exit,
    /// Where the next byte for the reader is; `None` in a file without positions.
    pub(super) position: Option<u64>,
}

/// What was read ahead of the reader.
#[derive(Debug)]
pub(super) struct Reads {
    chunk: Chunk,
    /// The fetch that is on the pool.
    hop: Option<Hop<Chunk>>,
    /// The buffer of the chunk before.
    spare: Vec<u8>,
    /// Bytes to fetch next.
    bytes: usize,
    /// Chunks of this sequence so far.
    chunks: usize,
    /// The file seemed to have grown behind its end, and was fetched from again.
    is_rechecked: bool,
}

#[derive(Debug, Default)]
struct Chunk {
    /// All of its length is initialised; what counts is in `start..end`.
    data: Vec<u8>,
    start: usize,
    end: usize,
    /// The end of the file was right behind it.
    is_last: bool,
}

impl Reads {
    pub(super) fn new() -> Reads {
        Reads {
            chunk: Chunk::default(),
            hop: None,
            spare: Vec::new(),
            bytes: FIRST_BYTES,
            chunks: 0,
            is_rechecked: false,
        }
    }

    /// What is there for the reader.
    pub(super) fn buffered(&self) -> &[u8] {
        &self.chunk.data[self.chunk.start..self.chunk.end]
    }

    /// Hands the first `len` bytes of it out.
    pub(super) fn consume(&mut self, len: usize) {
        assert!(len <= self.buffered().len(), "{len} bytes of {:?}", self.buffered().len());
        self.chunk.start += len;
    }

    /// Forgets what was read ahead, and begins a new sequence.
    ///
    /// Only for a file with positions: from another the bytes would be lost.
    pub(super) fn discard(&mut self) {
        self.hop = None;
        (self.chunk.start, self.chunk.end, self.chunk.is_last) = (0, 0, false);
        (self.bytes, self.chunks, self.is_rechecked) = (FIRST_BYTES, 0, false);
    }

    /// Waits until something is buffered; nothing is at the end of the file. The reader has room
    /// for `wanted` bytes.
    ///
    /// # Errors
    ///
    /// - What the system says to the read, and `Other` if the runtime was shut down.
    pub(super) fn poll_fill(
        &mut self,
        cx: &mut Context<'_>,
        source: Source<'_>,
        wanted: usize,
    ) -> Poll<io::Result<()>> {
        // Ends: with a chunk that has bytes, or at the end of the file, which is looked for behind
        // it once more at most.
        while self.buffered().is_empty() {
            if self.hop.is_none() {
                if std::mem::take(&mut self.chunk.is_last) && !self.recheck(source) {
                    self.is_rechecked = false;
                    return Poll::Ready(Ok(()));
                }
                self.fetch(source, wanted.clamp(self.bytes, WANTED_BYTES));
            }
            ready!(self.poll_settle(cx, source))?;
        }
        self.is_rechecked = false;
        Poll::Ready(Ok(()))
    }

    /// Waits for the fetch that is on the pool, with nothing buffered if there is one.
    pub(super) fn poll_settle(
        &mut self,
        cx: &mut Context<'_>,
        source: Source<'_>,
    ) -> Poll<io::Result<()>> {
        let Some(hop) = &mut self.hop else { return Poll::Ready(Ok(())) };
        if !self.chunk.is_empty() {
            // A fetch ahead, which is nobody's yet.
            return Poll::Ready(Ok(()));
        }
        let chunk = ready!(Pin::new(hop).poll(cx));
        self.hop = None;
        self.adopt(chunk?, source);
        Poll::Ready(Ok(()))
    }

    /// Waits until the pool has no share in the file any more.
    pub(super) fn poll_quiet(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(hop) = &mut self.hop {
            let _chunk_or_error = ready!(Pin::new(hop).poll(cx));
            self.hop = None;
        }
        Poll::Ready(())
    }

    /// Takes a chunk that was fetched, and fetches the next if the file is read in sequence.
    fn adopt(&mut self, chunk: Chunk, source: Source<'_>) {
        self.spare = std::mem::replace(&mut self.chunk, chunk).data;
        self.chunks += 1;
        if self.chunk.is_last {
            (self.bytes, self.chunks) = (FIRST_BYTES, 0);
            if self.spare.len() > KEPT_BYTES {
                self.spare = Vec::new();
            }
            return;
        }
        let Some(position) = source.position else { return };
        self.bytes = (self.bytes * GROWTH).min(AHEAD_BYTES);
        if self.chunks > 1 {
            let position = position.checked_add(self.chunk.end as u64);
            self.fetch(Source { position, ..source }, self.bytes);
        }
    }

    /// Has `bytes` fetched at the position of `source`.
    fn fetch(&mut self, source: Source<'_>, bytes: usize) {
        debug_assert!(self.hop.is_none(), "one fetch at a time");
        let Source { file, exit, position } = source;
        let (file, data) = (Arc::clone(file), std::mem::take(&mut self.spare));
        self.hop = Some(Hop::new(exit, move || match position {
            Some(position) => fetch_at(&file, position, data, bytes),
            None => fetch_next(&file, data, bytes),
        }));
    }

    /// Whether to look once more behind what was the end when the last chunk was fetched.
    fn recheck(&mut self, source: Source<'_>) -> bool {
        let Some(position) = source.position else { return false };
        let again = !self.is_rechecked && self.may_have_grown(source.file, position);
        self.is_rechecked = again;
        again
    }

    /// Whether the file may go on at `position` by now. It does not wait, for a network neither.
    #[cfg(target_os = "linux")]
    fn may_have_grown(&self, file: &File, position: u64) -> bool {
        use rustix::fs::{AtFlags, StatxFlags, statx};

        let flags = AtFlags::EMPTY_PATH | AtFlags::STATX_DONT_SYNC;
        statx(file, "", flags, StatxFlags::SIZE).is_ok_and(|stat| stat.stx_size > position)
    }

    /// Whether the file may go on at `position` by now: yes, unless nothing was found there.
    #[cfg(not(target_os = "linux"))]
    fn may_have_grown(&self, _file: &File, _position: u64) -> bool {
        self.chunk.end > 0
    }
}

impl Chunk {
    fn is_empty(&self) -> bool {
        self.start == self.end
    }
}

/// Reads up to `bytes` at `position`; fewer only at the end of the file, or before an error.
fn fetch_at(file: &File, position: u64, mut data: Vec<u8>, bytes: usize) -> io::Result<Chunk> {
    reserve(&mut data, bytes);
    let mut end = 0;
    while end < bytes {
        let position = position.saturating_add(end as u64);
        match uninterrupted(|| file.read_at(&mut data[end..bytes], position)) {
            Ok(0) => return Ok(Chunk { data, start: 0, end, is_last: true }),
            Ok(len) => end += len,
            Err(error) if end == 0 => return Err(error),
            // The next fetch begins with it.
            Err(_) => break,
        }
    }
    Ok(Chunk { data, start: 0, end, is_last: false })
}

/// Reads what comes next, up to `bytes`.
fn fetch_next(mut file: &File, mut data: Vec<u8>, bytes: usize) -> io::Result<Chunk> {
    reserve(&mut data, bytes);
    let end = uninterrupted(|| file.read(&mut data[..bytes]))?;
    Ok(Chunk { data, start: 0, end, is_last: end == 0 })
}

/// Makes a buffer at least so long. A new one is had from the system as zeros, for nothing.
pub(super) fn reserve(data: &mut Vec<u8>, bytes: usize) {
    if data.len() < bytes {
        *data = vec![0; bytes];
    }
}

/// Reads everything that is left in `file`, which is thought to be `size` bytes; `check` may end
/// it from time to time.
#[cfg(target_os = "linux")]
pub(super) fn read_all(
    file: &File,
    size: u64,
    check: impl Fn() -> io::Result<()>,
) -> io::Result<Vec<u8>> {
    use rustix::buffer::spare_capacity;
    use rustix::io::read;

    let size = usize::try_from(size).unwrap_or(usize::MAX);
    let mut data = Vec::new();
    // Ends: at the end of the file; or, as it should, without memory.
    loop {
        check()?;
        if data.len() == data.capacity() {
            // One more byte than is thought, so that the end is seen without more memory.
            let rest = size.saturating_sub(data.len()).saturating_add(1);
            let more = if rest > 1 { rest } else { data.len().max(FIRST_BYTES) };
            data.try_reserve_exact(more.min(PIECE_BYTES))?;
        }
        if uninterrupted(|| Ok(read(file, spare_capacity(&mut data))?))? == 0 {
            return Ok(data);
        }
    }
}

/// Reads everything that is left in `file`; `check` may end it from time to time.
#[cfg(not(target_os = "linux"))]
pub(super) fn read_all(
    file: &File,
    _size: u64,
    check: impl Fn() -> io::Result<()>,
) -> io::Result<Vec<u8>> {
    let mut data = Vec::new();
    // Ends: as the other.
    loop {
        check()?;
        if (&*file).take(PIECE_BYTES as u64).read_to_end(&mut data)? == 0 {
            return Ok(data);
        }
    }
}
