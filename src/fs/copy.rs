//! Copies of whole files.

use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::path::{Interest, Lost, hop_to};

/// Bytes that are copied between two looks whether anybody still waits.
const PIECE_BYTES: u64 = 16 * 1024 * 1024;

/// Copies the contents and the permissions of the file `from` to `to`, and returns how many bytes
/// there were.
///
/// A file at `to` is replaced in its contents. Where the system can, the data is copied without
/// coming to the process, or shared.
///
/// # Errors
///
/// - `InvalidInput` if `from` is no regular file, or the same file as `to`, which is left as it is.
/// - What the system says; what was copied before stays.
///
/// # Cancel safety
///
/// Not cancel safe: dropped while pending, the copy stops within 16 MiB, and `to` is left with a
/// part of the data.
///
/// # Examples
///
/// ```
/// use tenter::fs;
///
/// # fn main() -> std::io::Result<()> {
/// # let folder = std::env::temp_dir();
/// # let folder = folder.join(format!("tenter-copy-{}", std::process::id()));
/// # std::fs::create_dir(&folder)?;
/// tenter::run(async {
///     fs::write(folder.join("one"), "hello").await?;
///     assert_eq!(fs::copy(folder.join("one"), folder.join("other")).await?, 5);
///     assert_eq!(fs::read(folder.join("other")).await?, b"hello");
/// #     std::fs::remove_dir_all(&folder)
/// })?
/// # }
/// ```
pub async fn copy(from: impl AsRef<Path>, to: impl AsRef<Path>) -> io::Result<u64> {
    let from = from.as_ref().to_owned();
    let interest = Interest::new();
    let lost = interest.lost();
    hop_to(to.as_ref().to_owned(), move |to, _| copy_now(&from, &to, &lost)).await
}

fn copy_now(from: &PathBuf, to: &PathBuf, lost: &Lost) -> io::Result<u64> {
    let not_regular = || invalid("the source path is not a regular file");
    // Before it is opened, which waits for a writer if it is a pipe.
    if !fs::metadata(from)?.is_file() {
        return Err(not_regular());
    }
    let source = fs::File::open(from)?;
    let metadata = source.metadata()?;
    if !metadata.is_file() {
        return Err(not_regular());
    }
    let mut options = fs::OpenOptions::new();
    // Made empty below, once it is clear that it is another file.
    options.write(true).create(true).truncate(false).mode(metadata.mode());
    let target = options.open(to)?;
    let before = target.metadata()?;
    if (before.dev(), before.ino()) == (metadata.dev(), metadata.ino()) {
        return Err(invalid("the source and the target are the same file"));
    }
    if before.is_file() {
        target.set_len(0)?;
        target.set_permissions(metadata.permissions())?;
    }
    let mut copied = 0;
    // Ends: with the source, which is a file.
    loop {
        lost.check()?;
        let piece = io::copy(&mut (&source).take(PIECE_BYTES), &mut &target)?;
        copied += piece;
        if piece < PIECE_BYTES {
            return Ok(copied);
        }
    }
}

fn invalid(text: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, text)
}
