//! How a process knows that it was started as a worker.
//!
//! By a variable of its environment, `version:inode:depth:test`, and by its standard input, which is the
//! socket of that inode. Whoever merely inherits the environment, such as a program that a job
//! starts, has another standard input.

use std::env;
use std::io;
use std::os::fd::BorrowedFd;

use rustix::fs::{FileType, fstat};

use crate::jobs::frame::VERSION;

/// The variable's name.
const VARIABLE: &str = "TENTER_JOBS_WORKER";

/// What the variable says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    /// The parent's [`VERSION`].
    pub(super) version: u32,
    /// Of the socket that is the worker's standard input.
    inode: u64,
    /// Workers of workers: 1 is one whose parent is none.
    depth: u32,
    /// The test of this program through which its workers come in; empty where `main` is.
    pub(super) test: String,
}

/// The variable, name and value, for a worker whose standard input will be `socket`.
///
/// # Errors
///
/// - What the system says of the socket.
pub(crate) fn for_child(
    socket: BorrowedFd<'_>,
    test: Option<&str>,
) -> io::Result<(&'static str, String)> {
    let inode = fstat(socket)?.st_ino;
    let (depth, test) = (depth().saturating_add(1), test.unwrap_or_default());
    Ok((VARIABLE, format!("{VERSION}:{inode}:{depth}:{test}")))
}

/// How many workers up this process is: 0 if no ancestor that passed its environment on was one.
pub(crate) fn depth() -> u32 {
    find().map_or(0, |mark| mark.depth)
}

/// Whether this process was started as a worker, and went on as if it were none.
pub(crate) fn unconsumed() -> bool {
    own().is_some()
}

/// The version that the parent speaks, if this process is its worker and has not taken the socket
/// from its standard input yet.
pub(super) fn own() -> Option<Mark> {
    let mark = find()?;
    let input = fstat(rustix::stdio::stdin()).ok()?;
    let is_socket = FileType::from_raw_mode(input.st_mode) == FileType::Socket;
    (is_socket && input.st_ino == mark.inode).then_some(mark)
}

fn find() -> Option<Mark> {
    parse(env::var_os(VARIABLE)?.to_str()?)
}

fn parse(text: &str) -> Option<Mark> {
    let mut parts = text.splitn(4, ':');
    let version = parts.next()?.parse().ok()?;
    let inode = parts.next()?.parse().ok()?;
    let depth = parts.next()?.parse().ok()?;
    let test = parts.next().unwrap_or_default().to_owned();
    Some(Mark { version, inode, depth, test })
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn a_mark_names_the_socket_that_it_was_made_for() {
        let (socket, other) = UnixStream::pair().unwrap();
        let (name, text) = for_child(socket.as_fd(), Some("a::b")).unwrap();
        assert_eq!(name, VARIABLE);
        let mark = parse(&text).unwrap();
        assert_eq!(mark.inode, fstat(&socket).unwrap().st_ino);
        assert_ne!(mark.inode, fstat(&other).unwrap().st_ino);
        assert_eq!((mark.version, mark.depth), (VERSION, depth() + 1));
        assert_eq!(mark.test, "a::b");
    }

    #[test]
    fn what_is_no_mark_is_ignored() {
        for text in ["", ":", "1", "1:2", "1:2:", "one:2:3", "1:-2:3", "1:2:4294967296"] {
            assert_eq!(parse(text), None, "{text:?}");
        }
        let mark = Mark { version: 7, inode: 8, depth: 9, test: "more".to_owned() };
        assert_eq!(parse("7:8:9:more"), Some(mark));
    }
}
