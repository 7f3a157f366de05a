//! How a process knows that it was started as a worker.
//!
//! By a variable of its environment, `version:inode:depth`, and by its standard input, which is the
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mark {
    /// The parent's [`VERSION`].
    version: u32,
    /// Of the socket that is the worker's standard input.
    inode: u64,
    /// Workers of workers: 1 is one whose parent is none.
    depth: u32,
}

/// The variable, name and value, for a worker whose standard input will be `socket`.
///
/// # Errors
///
/// - What the system says of the socket.
pub(crate) fn for_child(socket: BorrowedFd<'_>) -> io::Result<(&'static str, String)> {
    let inode = fstat(socket)?.st_ino;
    Ok((VARIABLE, format!("{VERSION}:{inode}:{}", depth().saturating_add(1))))
}

/// How many workers up this process is: 0 if no ancestor that passed its environment on was one.
pub(crate) fn depth() -> u32 {
    find().map_or(0, |mark| mark.depth)
}

/// Whether this process was started as a worker, and went on as if it were none.
pub(crate) fn unconsumed() -> bool {
    version().is_some()
}

/// The version that the parent speaks, if this process is its worker and has not taken the socket
/// from its standard input yet.
pub(super) fn version() -> Option<u32> {
    let mark = find()?;
    let input = fstat(rustix::stdio::stdin()).ok()?;
    let is_socket = FileType::from_raw_mode(input.st_mode) == FileType::Socket;
    (is_socket && input.st_ino == mark.inode).then_some(mark.version)
}

fn find() -> Option<Mark> {
    parse(env::var_os(VARIABLE)?.to_str()?)
}

fn parse(text: &str) -> Option<Mark> {
    let mut parts = text.split(':');
    let version = parts.next()?.parse().ok()?;
    let inode = parts.next()?.parse().ok()?;
    let depth = parts.next()?.parse().ok()?;
    // Another version may have more to say; what is here is there for ever.
    Some(Mark { version, inode, depth })
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn a_mark_names_the_socket_that_it_was_made_for() {
        let (socket, other) = UnixStream::pair().unwrap();
        let (name, text) = for_child(socket.as_fd()).unwrap();
        assert_eq!(name, VARIABLE);
        let mark = parse(&text).unwrap();
        assert_eq!(mark.inode, fstat(&socket).unwrap().st_ino);
        assert_ne!(mark.inode, fstat(&other).unwrap().st_ino);
        assert_eq!((mark.version, mark.depth), (VERSION, depth() + 1));
    }

    #[test]
    fn what_is_no_mark_is_ignored() {
        for text in ["", ":", "1", "1:2", "1:2:", "one:2:3", "1:-2:3", "1:2:4294967296"] {
            assert_eq!(parse(text), None, "{text:?}");
        }
        assert_eq!(parse("7:8:9:more"), Some(Mark { version: 7, inode: 8, depth: 9 }));
    }
}
