//! `/file/{name}`: the files of one folder, in pieces, so that a file may be larger than memory.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use futures_lite::stream::{self, Stream};
use http_body_util::{BodyExt, StreamBody};
use hyper::StatusCode;
use hyper::body::Frame;
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue, X_CONTENT_TYPE_OPTIONS};

use crate::page::{Response, text};

/// Bytes read at once: all that a response holds of its file, apart from what hyper has to write.
const CHUNK: usize = 64 * 1024;

/// A folder; only what lies in it is given away.
#[derive(Debug)]
pub(crate) struct Folder {
    /// Absolute, and without links.
    root: PathBuf,
}

impl Folder {
    pub(crate) fn new(path: &Path) -> io::Result<Folder> {
        let root = path.canonicalize()?;
        match root.is_dir() {
            true => Ok(Folder { root }),
            false => Err(io::Error::new(ErrorKind::NotADirectory, "not a folder")),
        }
    }

    /// Opens a regular file, with its length; links are followed only within the folder.
    ///
    /// Whoever can write into the folder can exchange a file for a link between the look and the
    /// opening; against them this is no defence.
    fn open(&self, name: &Path) -> io::Result<(File, u64)> {
        let path = self.root.join(name).canonicalize()?;
        if !path.starts_with(&self.root) {
            return Err(io::Error::new(ErrorKind::NotFound, "a link out of the folder"));
        }
        // Opening a named pipe would wait for its writer; what is no file is refused below.
        let nonblock = rustix::fs::OFlags::NONBLOCK.bits();
        let file = OpenOptions::new().read(true).custom_flags(nonblock as i32).open(path)?;
        let metadata = file.metadata()?;
        match metadata.is_file() {
            true => Ok((file, metadata.len())),
            false => Err(io::Error::new(ErrorKind::NotFound, "not a regular file")),
        }
    }
}

/// Answers with the file of that name, as the URL spells it.
pub(crate) async fn file(folder: Arc<Folder>, name: &str) -> Response {
    let name = match decode(name) {
        Ok(name) => name,
        Err((status, why)) => return text(status, why),
    };
    // Opening may wait for a disk, so it is no work for a worker.
    let opened = tenter::spawn_blocking(move || folder.open(&name)).await;
    let (file, length) = match opened.map_err(io::Error::from).and_then(|opened| opened) {
        Ok(opened) => opened,
        Err(error) => return refusal(&error),
    };
    let mut response = Response::new(StreamBody::new(pieces(file, length)).boxed_unsync());
    let headers = response.headers_mut();
    headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// Undoes the percent-encoding, and refuses every name that is not simply below the folder.
fn decode(name: &str) -> Result<PathBuf, (StatusCode, &'static str)> {
    let mut bytes = Vec::with_capacity(name.len());
    let mut rest = name.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || char::from(rest.next()?).to_digit(16);
        match (digit(), digit()) {
            (Some(high), Some(low)) => bytes.push((high * 16 + low) as u8),
            _ => return Err((StatusCode::BAD_REQUEST, "a % that no two hex digits follow")),
        }
    }
    let path = PathBuf::from(OsString::from_vec(bytes));
    match path.components().all(|part| matches!(part, Component::Normal(_))) {
        true => Ok(path),
        false => Err((StatusCode::FORBIDDEN, "this name leads out of the folder")),
    }
}

fn refusal(error: &io::Error) -> Response {
    let too_many_open = [rustix::io::Errno::MFILE, rustix::io::Errno::NFILE];
    if too_many_open.iter().any(|errno| error.raw_os_error() == Some(errno.raw_os_error())) {
        return text(StatusCode::SERVICE_UNAVAILABLE, "too many open files");
    }
    match error.kind() {
        ErrorKind::PermissionDenied => text(StatusCode::FORBIDDEN, "this file can not be read"),
        _ => text(StatusCode::NOT_FOUND, "no such file in the folder"),
    }
}

/// Reads the file a piece at a time, the next when the one before is on its way.
///
/// A file that grows meanwhile is cut at `length`, which the head has promised. One that shrinks
/// ends the stream with an error, and so the connection: nothing else tells the client.
fn pieces(file: File, length: u64) -> impl Stream<Item = io::Result<Frame<Bytes>>> {
    stream::try_unfold((file, length), |(file, left)| async move {
        if left == 0 {
            return Ok(None);
        }
        let (file, piece) = tenter::spawn_blocking(move || read_piece(file, left)).await??;
        if piece.is_empty() {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        let left = left - piece.len() as u64;
        Ok(Some((Frame::data(piece), (file, left))))
    })
}

fn read_piece(file: File, left: u64) -> io::Result<(File, Bytes)> {
    let size = left.min(CHUNK as u64);
    let mut piece = Vec::with_capacity(size as usize);
    (&file).take(size).read_to_end(&mut piece)?;
    Ok((file, piece.into()))
}
