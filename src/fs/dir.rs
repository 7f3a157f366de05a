//! Directories: made, listed and removed.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fmt;
use std::fs::{self, FileType, Metadata};
use std::future::{Future, poll_fn};
use std::io;
use std::os::unix::fs::{DirBuilderExt, DirEntryExt};
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_core::Stream;

use crate::io::Hop;
use crate::lifecycle::budget;

use super::path::hop;

/// Entries that come with the opening of a directory, at most.
const FIRST_ENTRIES: usize = 32;

/// Entries that are fetched at once later.
const ENTRIES: usize = 256;

/// Makes the directory `path`, in one that is there.
///
/// # Errors
///
/// - What the system says; `AlreadyExists` if there is something.
///
/// # Cancel safety
///
/// Not cancel safe: dropped while pending, it may have been made or not.
///
/// # Examples
///
/// ```
/// use tenter::fs;
///
/// # fn main() -> std::io::Result<()> {
/// # let folder = std::env::temp_dir();
/// # let folder = folder.join(format!("tenter-create-dir-{}", std::process::id()));
/// # std::fs::create_dir(&folder)?;
/// tenter::run(async {
///     fs::create_dir(folder.join("pictures")).await?;
///     let again = fs::create_dir(folder.join("pictures")).await.unwrap_err();
///     assert_eq!(again.kind(), std::io::ErrorKind::AlreadyExists);
/// #     std::fs::remove_dir_all(&folder)
/// })?
/// # }
/// ```
pub async fn create_dir(path: impl AsRef<Path>) -> io::Result<()> {
    let path = path.as_ref().to_owned();
    hop(move || fs::create_dir(path)).await
}

/// Makes the directory `path` and every one on the way to it; it may be there already.
///
/// # Errors
///
/// - What the system says; what was made before stays.
///
/// # Cancel safety
///
/// Not cancel safe: dropped while pending, none, some or all may have been made.
///
/// # Examples
///
/// ```
/// use tenter::fs;
///
/// # fn main() -> std::io::Result<()> {
/// # let folder = std::env::temp_dir();
/// # let folder = folder.join(format!("tenter-create-dir-all-{}", std::process::id()));
/// # std::fs::create_dir(&folder)?;
/// tenter::run(async {
///     let path = folder.join("pictures").join("summer");
///     fs::create_dir_all(&path).await?;
///     fs::create_dir_all(&path).await?;
///     assert!(fs::metadata(&path).await?.is_dir());
/// #     std::fs::remove_dir_all(&folder)
/// })?
/// # }
/// ```
pub async fn create_dir_all(path: impl AsRef<Path>) -> io::Result<()> {
    let path = path.as_ref().to_owned();
    hop(move || fs::create_dir_all(path)).await
}

/// Removes the directory at `path`, which must be empty.
///
/// # Errors
///
/// - What the system says; `DirectoryNotEmpty` if it is not.
///
/// # Cancel safety
///
/// Not cancel safe: dropped while pending, it may be gone or not.
///
/// # Examples
///
/// ```
/// use tenter::fs;
///
/// # fn main() -> std::io::Result<()> {
/// # let folder = std::env::temp_dir();
/// # let folder = folder.join(format!("tenter-remove-dir-{}", std::process::id()));
/// # std::fs::create_dir(&folder)?;
/// tenter::run(async {
///     fs::create_dir(folder.join("pictures")).await?;
///     fs::remove_dir(folder.join("pictures")).await?;
///     assert!(!fs::try_exists(folder.join("pictures")).await?);
/// #     std::fs::remove_dir_all(&folder)
/// })?
/// # }
/// ```
pub async fn remove_dir(path: impl AsRef<Path>) -> io::Result<()> {
    let path = path.as_ref().to_owned();
    hop(move || fs::remove_dir(path)).await
}

/// Removes the directory at `path` with everything in it; links are removed and not followed.
///
/// # Errors
///
/// - What the system says; what was removed before is gone.
///
/// # Cancel safety
///
/// Not cancel safe: dropped while pending, it goes on to the end once it has begun.
///
/// # Examples
///
/// ```
/// use tenter::fs;
///
/// # fn main() -> std::io::Result<()> {
/// # let folder = std::env::temp_dir();
/// # let folder = folder.join(format!("tenter-remove-dir-all-{}", std::process::id()));
/// # std::fs::create_dir(&folder)?;
/// tenter::run(async {
///     fs::create_dir_all(folder.join("pictures").join("summer")).await?;
///     fs::remove_dir_all(folder.join("pictures")).await?;
///     assert!(!fs::try_exists(folder.join("pictures")).await?);
/// #     std::fs::remove_dir_all(&folder)
/// })?
/// # }
/// ```
pub async fn remove_dir_all(path: impl AsRef<Path>) -> io::Result<()> {
    let path = path.as_ref().to_owned();
    hop(move || fs::remove_dir_all(path)).await
}

/// Lists the directory at `path`.
///
/// # Errors
///
/// - What the system says; `NotADirectory` for anything else.
///
/// # Cancel safety
///
/// Cancel safe: it changes nothing.
///
/// # Examples
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// tenter::run(async {
///     let mut entries = tenter::fs::read_dir("/proc/self").await?;
///     let mut names = Vec::new();
///     while let Some(entry) = entries.next_entry().await? {
///         names.push(entry.file_name());
///     }
///     assert!(names.contains(&"status".into()));
///     std::io::Result::Ok(())
/// })?
/// # }
/// ```
pub async fn read_dir(path: impl AsRef<Path>) -> io::Result<ReadDir> {
    let path = path.as_ref().to_owned();
    let first = hop(move || Ok(Batch::next(fs::read_dir(path)?, FIRST_ENTRIES))).await?;
    Ok(ReadDir { entries: first.entries, rest: Rest::of(first.rest) })
}

/// How to make a directory; see [`std::fs::DirBuilder`].
///
/// # Examples
///
/// ```
/// use std::os::unix::fs::PermissionsExt;
/// use tenter::fs;
///
/// # fn main() -> std::io::Result<()> {
/// # let folder = std::env::temp_dir();
/// # let folder = folder.join(format!("tenter-dir-builder-{}", std::process::id()));
/// # std::fs::create_dir(&folder)?;
/// tenter::run(async {
///     let path = folder.join("keys").join("private");
///     fs::DirBuilder::new().recursive(true).mode(0o700).create(&path).await?;
///     assert_eq!(fs::metadata(&path).await?.permissions().mode() & 0o777, 0o700);
/// #     std::fs::remove_dir_all(&folder)
/// })?
/// # }
/// ```
#[derive(Debug, Default)]
pub struct DirBuilder {
    is_recursive: bool,
    mode: Option<u32>,
}

impl DirBuilder {
    /// Makes one directory, as [`create_dir`] does.
    #[must_use]
    pub fn new() -> DirBuilder {
        DirBuilder::default()
    }

    /// Whether those on the way are made too, and it may be there already.
    pub fn recursive(&mut self, recursive: bool) -> &mut DirBuilder {
        self.is_recursive = recursive;
        self
    }

    /// The permissions of what is made, less the process's mask.
    pub fn mode(&mut self, mode: u32) -> &mut DirBuilder {
        self.mode = Some(mode);
        self
    }

    /// Makes the directory `path`.
    ///
    /// # Errors
    ///
    /// - Those of [`create_dir`], or of [`create_dir_all`].
    ///
    /// # Cancel safety
    ///
    /// As that of [`create_dir`], or of [`create_dir_all`].
    pub async fn create(&self, path: impl AsRef<Path>) -> io::Result<()> {
        let mut builder = fs::DirBuilder::new();
        builder.recursive(self.is_recursive);
        if let Some(mode) = self.mode {
            builder.mode(mode);
        }
        let path = path.as_ref().to_owned();
        hop(move || builder.create(path)).await
    }
}

/// The entries of a directory, by [`next_entry`](ReadDir::next_entry) or as a [`Stream`].
///
/// They come in no particular order, and without `.` and `..`. One call on the blocking pool
/// fetches many.
///
/// # Examples
///
/// ```
/// use futures_lite::StreamExt;
/// use tenter::fs;
///
/// # fn main() -> std::io::Result<()> {
/// # let folder = std::env::temp_dir();
/// # let folder = folder.join(format!("tenter-read-dir-{}", std::process::id()));
/// # std::fs::create_dir(&folder)?;
/// tenter::run(async {
///     fs::write(folder.join("one"), "1").await?;
///     fs::write(folder.join("two"), "2").await?;
///
///     let mut entries = fs::read_dir(&folder).await?;
///     let mut names = Vec::new();
///     while let Some(entry) = entries.try_next().await? {
///         names.push(entry.file_name());
///     }
///     names.sort();
///     assert_eq!(names, ["one", "two"]);
/// #     std::fs::remove_dir_all(&folder)
/// })?
/// # }
/// ```
pub struct ReadDir {
    entries: VecDeque<io::Result<DirEntry>>,
    rest: Rest,
}

/// What is not listed yet.
enum Rest {
    Here(fs::ReadDir),
    Fetching(Hop<Batch>),
    Nothing,
}

/// Some entries, and what comes after them.
struct Batch {
    entries: VecDeque<io::Result<DirEntry>>,
    rest: Option<fs::ReadDir>,
}

impl ReadDir {
    /// Waits for the next entry; there is none after the last.
    ///
    /// # Errors
    ///
    /// - What the system says. The next call goes on behind it, or finds the end.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: no entry is lost.
    pub async fn next_entry(&mut self) -> io::Result<Option<DirEntry>> {
        poll_fn(|cx| self.poll_next_entry(cx)).await
    }

    /// Polls for the next entry; see [`next_entry`](ReadDir::next_entry).
    ///
    /// # Errors
    ///
    /// Those of [`next_entry`](ReadDir::next_entry).
    pub fn poll_next_entry(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<DirEntry>>> {
        let charge = ready!(budget::poll_spend(cx));
        // Ends: with an entry, or with nothing left.
        loop {
            if let Some(entry) = self.entries.pop_front() {
                charge.made_progress();
                return Poll::Ready(entry.map(Some));
            }
            match &mut self.rest {
                Rest::Nothing => return Poll::Ready(Ok(None)),
                Rest::Here(_) => {
                    if let Rest::Here(rest) = std::mem::replace(&mut self.rest, Rest::Nothing) {
                        self.rest = Rest::Fetching(hop(move || Ok(Batch::next(rest, ENTRIES))));
                    }
                }
                Rest::Fetching(hop) => {
                    let batch = ready!(Pin::new(hop).poll(cx));
                    self.rest = Rest::Nothing;
                    let batch = batch?;
                    (self.entries, self.rest) = (batch.entries, Rest::of(batch.rest));
                }
            }
        }
    }
}

impl Stream for ReadDir {
    type Item = io::Result<DirEntry>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_next_entry(cx).map(Result::transpose)
    }
}

impl Rest {
    fn of(rest: Option<fs::ReadDir>) -> Rest {
        rest.map_or(Rest::Nothing, Rest::Here)
    }
}

impl Batch {
    /// Fetches up to `max` entries.
    fn next(mut rest: fs::ReadDir, max: usize) -> Batch {
        let mut entries = VecDeque::new();
        while entries.len() < max {
            match rest.next() {
                Some(entry) => entries.push_back(entry.map(DirEntry::new)),
                None => return Batch { entries, rest: None },
            }
        }
        Batch { entries, rest: Some(rest) }
    }
}

impl fmt::Debug for ReadDir {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadDir").field("fetched", &self.entries.len()).finish_non_exhaustive()
    }
}

// What a panic could interrupt are the pool's calls, and they have no part in this.
impl UnwindSafe for ReadDir {}
impl RefUnwindSafe for ReadDir {}

/// Something in a directory.
///
/// # Examples
///
/// ```
/// use tenter::fs;
///
/// # fn main() -> std::io::Result<()> {
/// # let folder = std::env::temp_dir();
/// # let folder = folder.join(format!("tenter-dir-entry-{}", std::process::id()));
/// # std::fs::create_dir(&folder)?;
/// tenter::run(async {
///     fs::write(folder.join("greeting"), "hello").await?;
///     let entry = fs::read_dir(&folder).await?.next_entry().await?.expect("a file");
///     assert_eq!(entry.file_name(), "greeting");
///     assert!(entry.file_type().await?.is_file());
///     assert_eq!(entry.metadata().await?.len(), 5);
///     assert_eq!(fs::read(entry.path()).await?, b"hello");
/// #     std::fs::remove_dir_all(&folder)
/// })?
/// # }
/// ```
#[derive(Clone)]
pub struct DirEntry {
    entry: Arc<fs::DirEntry>,
    /// Most file systems tell with the entry.
    file_type: Option<FileType>,
}

impl DirEntry {
    fn new(entry: fs::DirEntry) -> DirEntry {
        DirEntry { file_type: entry.file_type().ok(), entry: Arc::new(entry) }
    }

    /// Its path: that which was listed, and its name.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.entry.path()
    }

    /// Its name.
    #[must_use]
    pub fn file_name(&self) -> OsString {
        self.entry.file_name()
    }

    /// The number of its inode.
    #[must_use]
    pub fn ino(&self) -> u64 {
        self.entry.ino()
    }

    /// What kind of file it is, be it a link.
    ///
    /// It came with the entry, and is not asked for again.
    ///
    /// # Errors
    ///
    /// - What the system says, if it did not come.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: it changes nothing.
    pub async fn file_type(&self) -> io::Result<FileType> {
        match self.file_type {
            Some(file_type) => Ok(file_type),
            None => {
                let entry = Arc::clone(&self.entry);
                hop(move || entry.file_type()).await
            }
        }
    }

    /// What the system knows of it, be it a link.
    ///
    /// # Errors
    ///
    /// - What the system says; it may be gone.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: it changes nothing.
    pub async fn metadata(&self) -> io::Result<Metadata> {
        let entry = Arc::clone(&self.entry);
        hop(move || entry.metadata()).await
    }
}

impl fmt::Debug for DirEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("DirEntry").field(&self.path()).finish()
    }
}

const _: () = {
    const fn assert<T: Send + Sync + Unpin + fmt::Debug + UnwindSafe + RefUnwindSafe>() {}
    assert::<ReadDir>();
    assert::<DirEntry>();
    assert::<DirBuilder>();
};
