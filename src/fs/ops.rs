//! What is done with a path, in one call.

use std::fs::{self, Metadata, Permissions};
use std::io;
use std::path::{Path, PathBuf};

use super::path::{Interest, Lost, hop, hop_to};
use super::reads::read_all;

/// Reads the whole file at `path`.
///
/// # Errors
///
/// - What the system says.
/// - `OutOfMemory` if there is no memory for it.
///
/// # Cancel safety
///
/// Cancel safe: it changes nothing, and stops soon when it is dropped.
///
/// # Examples
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// let status = tenter::run(tenter::fs::read("/proc/self/status"))??;
/// assert!(status.starts_with(b"Name:"));
/// # Ok(())
/// # }
/// ```
pub async fn read(path: impl AsRef<Path>) -> io::Result<Vec<u8>> {
    let interest = Interest::new();
    let lost = interest.lost();
    hop_to(path.as_ref().to_owned(), move |path, _| read_now(&path, &lost)).await
}

/// Reads the whole file at `path`, which is text.
///
/// # Errors
///
/// - `InvalidData` if it is not UTF-8.
/// - Those of [`read()`].
///
/// # Cancel safety
///
/// As that of [`read()`].
///
/// # Examples
///
/// ```
/// use tenter::fs;
///
/// # fn main() -> std::io::Result<()> {
/// # let folder = std::env::temp_dir();
/// # let folder = folder.join(format!("tenter-read-to-string-{}", std::process::id()));
/// # std::fs::create_dir(&folder)?;
/// tenter::run(async {
///     fs::write(folder.join("greeting"), "hello").await?;
///     assert_eq!(fs::read_to_string(folder.join("greeting")).await?, "hello");
/// #     std::fs::remove_dir_all(&folder)
/// })?
/// # }
/// ```
pub async fn read_to_string(path: impl AsRef<Path>) -> io::Result<String> {
    let interest = Interest::new();
    let lost = interest.lost();
    hop_to(path.as_ref().to_owned(), move |path, _| {
        let invalid = |error| io::Error::new(io::ErrorKind::InvalidData, error);
        String::from_utf8(read_now(&path, &lost)?).map_err(invalid)
    })
    .await
}

fn read_now(path: &PathBuf, lost: &Lost) -> io::Result<Vec<u8>> {
    let file = fs::File::open(path)?;
    let size = file.metadata().map_or(0, |metadata| metadata.len());
    read_all(&file, size, || lost.check())
}

/// Makes `contents` the whole file at `path`.
///
/// A file that is there is replaced in its contents; one that is not is made. When this returns,
/// the data is in the file, as far as other processes can tell; for a disk that may lose power
/// there is [`File::sync_all`](super::File::sync_all).
///
/// # Errors
///
/// - What the system says; then the file may have a part of the data.
///
/// # Cancel safety
///
/// Not cancel safe: dropped while pending, the file may have none, some or all of the data.
///
/// # Examples
///
/// ```
/// use tenter::fs;
///
/// # fn main() -> std::io::Result<()> {
/// # let folder = std::env::temp_dir();
/// # let folder = folder.join(format!("tenter-write-{}", std::process::id()));
/// # std::fs::create_dir(&folder)?;
/// tenter::run(async {
///     let path = folder.join("greeting");
///     fs::write(&path, "good morning").await?;
///     fs::write(&path, "hello").await?;
///     assert_eq!(fs::read(&path).await?, b"hello");
/// #     std::fs::remove_dir_all(&folder)
/// })?
/// # }
/// ```
pub async fn write(path: impl AsRef<Path>, contents: impl AsRef<[u8]>) -> io::Result<()> {
    let contents = contents.as_ref().to_owned();
    hop_to(path.as_ref().to_owned(), move |path, _| fs::write(path, contents)).await
}

/// What the system knows of the file at `path`, or that a link there leads to.
///
/// # Errors
///
/// - What the system says.
///
/// # Cancel safety
///
/// Cancel safe: it changes nothing.
///
/// # Examples
///
/// ```
/// use tenter::fs;
///
/// # fn main() -> std::io::Result<()> {
/// # let folder = std::env::temp_dir();
/// # let folder = folder.join(format!("tenter-metadata-{}", std::process::id()));
/// # std::fs::create_dir(&folder)?;
/// tenter::run(async {
///     fs::write(folder.join("greeting"), "hello").await?;
///     let metadata = fs::metadata(folder.join("greeting")).await?;
///     assert!(metadata.is_file());
///     assert_eq!(metadata.len(), 5);
/// #     std::fs::remove_dir_all(&folder)
/// })?
/// # }
/// ```
pub async fn metadata(path: impl AsRef<Path>) -> io::Result<Metadata> {
    let path = path.as_ref().to_owned();
    hop(move || fs::metadata(path)).await
}

/// What the system knows of what is at `path`, be it a link.
///
/// # Errors
///
/// - What the system says.
///
/// # Cancel safety
///
/// Cancel safe: it changes nothing.
///
/// # Examples
///
/// ```
/// use tenter::fs;
///
/// # fn main() -> std::io::Result<()> {
/// # let folder = std::env::temp_dir();
/// # let folder = folder.join(format!("tenter-symlink-metadata-{}", std::process::id()));
/// # std::fs::create_dir(&folder)?;
/// tenter::run(async {
///     let link = folder.join("link");
///     fs::symlink(&folder, &link).await?;
///     assert!(fs::symlink_metadata(&link).await?.is_symlink());
///     assert!(fs::metadata(&link).await?.is_dir());
/// #     std::fs::remove_dir_all(&folder)
/// })?
/// # }
/// ```
pub async fn symlink_metadata(path: impl AsRef<Path>) -> io::Result<Metadata> {
    let path = path.as_ref().to_owned();
    hop(move || fs::symlink_metadata(path)).await
}

/// Whether there is something at `path`, or where a link there leads to.
///
/// # Errors
///
/// - What the system says, if that does not answer the question.
///
/// # Cancel safety
///
/// Cancel safe: it changes nothing.
///
/// # Examples
///
/// ```
/// use tenter::fs;
///
/// # fn main() -> std::io::Result<()> {
/// # let folder = std::env::temp_dir();
/// # let folder = folder.join(format!("tenter-try-exists-{}", std::process::id()));
/// # std::fs::create_dir(&folder)?;
/// tenter::run(async {
///     assert!(fs::try_exists(&folder).await?);
///     assert!(!fs::try_exists(folder.join("nothing")).await?);
/// #     std::fs::remove_dir_all(&folder)
/// })?
/// # }
/// ```
pub async fn try_exists(path: impl AsRef<Path>) -> io::Result<bool> {
    let path = path.as_ref().to_owned();
    hop(move || fs::exists(path)).await
}

/// The absolute path of what is at `path`, without links in it.
///
/// # Errors
///
/// - What the system says: above all, everything on the way must be there.
///
/// # Cancel safety
///
/// Cancel safe: it changes nothing.
///
/// # Examples
///
/// ```
/// use tenter::fs;
///
/// # fn main() -> std::io::Result<()> {
/// # let folder = std::env::temp_dir();
/// # let folder = folder.join(format!("tenter-canonicalize-{}", std::process::id()));
/// # std::fs::create_dir(&folder)?;
/// tenter::run(async {
///     let link = folder.join("link");
///     fs::symlink(&folder, &link).await?;
///     let path = fs::canonicalize(link).await?;
///     assert_eq!(path, fs::canonicalize(&folder).await?);
/// #     std::fs::remove_dir_all(&folder)
/// })?
/// # }
/// ```
pub async fn canonicalize(path: impl AsRef<Path>) -> io::Result<PathBuf> {
    let path = path.as_ref().to_owned();
    hop(move || fs::canonicalize(path)).await
}

/// Where the symbolic link at `path` leads to.
///
/// # Errors
///
/// - What the system says; `InvalidInput` for what is no link.
///
/// # Cancel safety
///
/// Cancel safe: it changes nothing.
///
/// # Examples
///
/// ```
/// use tenter::fs;
///
/// # fn main() -> std::io::Result<()> {
/// # let folder = std::env::temp_dir();
/// # let folder = folder.join(format!("tenter-read-link-{}", std::process::id()));
/// # std::fs::create_dir(&folder)?;
/// tenter::run(async {
///     fs::symlink("greeting", folder.join("link")).await?;
///     let target = fs::read_link(folder.join("link")).await?;
///     assert_eq!(target, std::path::Path::new("greeting"));
/// #     std::fs::remove_dir_all(&folder)
/// })?
/// # }
/// ```
pub async fn read_link(path: impl AsRef<Path>) -> io::Result<PathBuf> {
    let path = path.as_ref().to_owned();
    hop(move || fs::read_link(path)).await
}

/// Gives the file at `original` another name, `link`, on the same file system.
///
/// # Errors
///
/// - What the system says; `AlreadyExists` if `link` is there.
///
/// # Cancel safety
///
/// Not cancel safe: dropped while pending, the name may be there or not.
///
/// # Examples
///
/// ```
/// use tenter::fs;
///
/// # fn main() -> std::io::Result<()> {
/// # let folder = std::env::temp_dir();
/// # let folder = folder.join(format!("tenter-hard-link-{}", std::process::id()));
/// # std::fs::create_dir(&folder)?;
/// tenter::run(async {
///     fs::write(folder.join("one"), "hello").await?;
///     fs::hard_link(folder.join("one"), folder.join("other")).await?;
///     fs::remove_file(folder.join("one")).await?;
///     assert_eq!(fs::read(folder.join("other")).await?, b"hello");
/// #     std::fs::remove_dir_all(&folder)
/// })?
/// # }
/// ```
pub async fn hard_link(original: impl AsRef<Path>, link: impl AsRef<Path>) -> io::Result<()> {
    let (original, link) = (original.as_ref().to_owned(), link.as_ref().to_owned());
    hop(move || fs::hard_link(original, link)).await
}

/// Makes a symbolic link at `link` that leads to `original`, whether there is something or not.
///
/// # Errors
///
/// - What the system says; `AlreadyExists` if `link` is there.
///
/// # Cancel safety
///
/// Not cancel safe: dropped while pending, the link may be there or not.
///
/// # Examples
///
/// ```
/// use tenter::fs;
///
/// # fn main() -> std::io::Result<()> {
/// # let folder = std::env::temp_dir();
/// # let folder = folder.join(format!("tenter-symlink-{}", std::process::id()));
/// # std::fs::create_dir(&folder)?;
/// tenter::run(async {
///     fs::write(folder.join("greeting"), "hello").await?;
///     fs::symlink("greeting", folder.join("link")).await?;
///     assert_eq!(fs::read(folder.join("link")).await?, b"hello");
/// #     std::fs::remove_dir_all(&folder)
/// })?
/// # }
/// ```
pub async fn symlink(original: impl AsRef<Path>, link: impl AsRef<Path>) -> io::Result<()> {
    let (original, link) = (original.as_ref().to_owned(), link.as_ref().to_owned());
    hop(move || std::os::unix::fs::symlink(original, link)).await
}

/// Gives what is at `from` the name `to`, on the same file system, in place of what is there.
///
/// # Errors
///
/// - What the system says, with nothing renamed.
///
/// # Cancel safety
///
/// Not cancel safe: dropped while pending, it has been renamed or not.
///
/// # Examples
///
/// ```
/// use tenter::fs;
///
/// # fn main() -> std::io::Result<()> {
/// # let folder = std::env::temp_dir();
/// # let folder = folder.join(format!("tenter-rename-{}", std::process::id()));
/// # std::fs::create_dir(&folder)?;
/// tenter::run(async {
///     // Readers see the old settings or the new ones, and never a part.
///     fs::write(folder.join("settings.new"), "colour = blue").await?;
///     fs::rename(folder.join("settings.new"), folder.join("settings")).await?;
///     assert_eq!(fs::read(folder.join("settings")).await?, b"colour = blue");
///     assert!(!fs::try_exists(folder.join("settings.new")).await?);
/// #     std::fs::remove_dir_all(&folder)
/// })?
/// # }
/// ```
pub async fn rename(from: impl AsRef<Path>, to: impl AsRef<Path>) -> io::Result<()> {
    let (from, to) = (from.as_ref().to_owned(), to.as_ref().to_owned());
    hop(move || fs::rename(from, to)).await
}

/// Removes the file, or the link, at `path`.
///
/// # Errors
///
/// - What the system says; a directory is not removed.
///
/// # Cancel safety
///
/// Not cancel safe: dropped while pending, the file may be gone or not.
///
/// # Examples
///
/// ```
/// use tenter::fs;
///
/// # fn main() -> std::io::Result<()> {
/// # let folder = std::env::temp_dir();
/// # let folder = folder.join(format!("tenter-remove-file-{}", std::process::id()));
/// # std::fs::create_dir(&folder)?;
/// tenter::run(async {
///     let path = folder.join("greeting");
///     fs::write(&path, "hello").await?;
///     fs::remove_file(&path).await?;
///     assert!(!fs::try_exists(&path).await?);
/// #     std::fs::remove_dir_all(&folder)
/// })?
/// # }
/// ```
pub async fn remove_file(path: impl AsRef<Path>) -> io::Result<()> {
    let path = path.as_ref().to_owned();
    hop(move || fs::remove_file(path)).await
}

/// Changes the permissions of the file at `path`, or that a link there leads to.
///
/// # Errors
///
/// - What the system says.
///
/// # Cancel safety
///
/// Not cancel safe: dropped while pending, they may have been changed or not.
///
/// # Examples
///
/// ```
/// use tenter::fs;
///
/// # fn main() -> std::io::Result<()> {
/// # let folder = std::env::temp_dir();
/// # let folder = folder.join(format!("tenter-set-permissions-{}", std::process::id()));
/// # std::fs::create_dir(&folder)?;
/// tenter::run(async {
///     let path = folder.join("greeting");
///     fs::write(&path, "hello").await?;
///     let mut permissions = fs::metadata(&path).await?.permissions();
///     permissions.set_readonly(true);
///     fs::set_permissions(&path, permissions).await?;
///     assert!(fs::metadata(&path).await?.permissions().readonly());
/// #     std::fs::remove_dir_all(&folder)
/// })?
/// # }
/// ```
pub async fn set_permissions(path: impl AsRef<Path>, permissions: Permissions) -> io::Result<()> {
    let path = path.as_ref().to_owned();
    hop(move || fs::set_permissions(path, permissions)).await
}
