//! Files and directories, on the blocking pool.
//!
//! The functions and types are those of [`std::fs`], made asynchronous: an operation is one call on
//! a thread of the pool that [`spawn_blocking`](crate::spawn_blocking) uses, whatever number of
//! system calls it takes ([`read()`] opens, reads and closes), and none at all where a buffer has
//! the answer. Errors are the system's, as they came.
//!
//! ```
//! use tenter::fs;
//!
//! # fn main() -> std::io::Result<()> {
//! # let folder = std::env::temp_dir().join(format!("tenter-fs-{}", std::process::id()));
//! tenter::run(async {
//!     fs::create_dir_all(&folder).await?;
//!     fs::write(folder.join("greeting"), "hello").await?;
//!     assert_eq!(fs::read_to_string(folder.join("greeting")).await?, "hello");
//!     fs::remove_dir_all(&folder).await
//! })?
//! # }
//! ```
//!
//! # What is different from elsewhere
//!
//! - A write to a [`File`] is complete when its system call is: an error is that write's, and what
//!   was written is in the file. Nothing is left to do for a flush.
//! - A [`File`] that is read from one end to the other fetches ahead, so that most reads find what
//!   they want in its buffer.
//! - [`copy()`] refuses to copy a file onto itself, and stops when nobody waits for it.
//!
//! # Cancellation
//!
//! A call that runs on the pool cannot be taken back. Where the future of an operation is dropped
//! before it is ready, the call is cancelled if it waits for a thread, and else goes on: the file
//! may or may not have been renamed. Each function says what else that means for it. One that did
//! not run, since the runtime was shut down or the system had no thread left for it, is an error of
//! the kind [`Other`](std::io::ErrorKind::Other).
//!
//! The end of a runtime waits for calls that run. It does not wait for those on pipes, terminals
//! and other devices, for they may wait for ever: opening a pipe that nobody writes to holds up
//! nobody's exit.

mod copy;
mod dir;
mod file;
mod ops;
mod options;
mod path;
mod reads;

pub use copy::copy;
pub use dir::{
    DirBuilder, DirEntry, ReadDir, create_dir, create_dir_all, read_dir, remove_dir, remove_dir_all,
};
pub use file::File;
pub use ops::{
    canonicalize, hard_link, metadata, read, read_link, read_to_string, remove_file, rename,
    set_permissions, symlink, symlink_metadata, try_exists, write,
};
pub use options::OpenOptions;
pub use std::fs::{FileType, Metadata, Permissions};
