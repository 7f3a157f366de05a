//! Which types [`Async`](super::Async) may hand to `Read` and `Write` by mutable reference.

use std::{fs, io, net, os, process};

/// Types whose `Read` and `Write` do not exchange the descriptor they stand on.
///
/// [`Async`](super::Async) registers the descriptor of the value that it holds. `Read` and `Write`
/// take `&mut self`, and so nothing keeps an implementation from putting another value in its
/// place, after which the driver would watch a descriptor that is closed or belongs to somebody
/// else. Implementing this trait is the promise not to; it is what lets [`Async<T>`](super::Async)
/// implement [`AsyncRead`](super::AsyncRead) and [`AsyncWrite`](super::AsyncWrite) by value. For
/// `&Async<T>` no promise is needed.
///
/// # Safety
///
/// 1. The implementations of `Read` and `Write` of the type do not drop or replace what its
///    `AsFd::as_fd` names.
pub unsafe trait IoSafe {}

macro_rules! io_safe {
    ($($type:ty),* $(,)?) => {
        $(
            // SAFETY: 1: a type of the standard library that owns or borrows one descriptor for
            // as long as it lives; its reads and writes are system calls on that one.
            unsafe impl IoSafe for $type {}
        )*
    };
}

io_safe! {
    fs::File,
    io::Stdin,
    io::Stdout,
    io::Stderr,
    io::StdinLock<'_>,
    io::StdoutLock<'_>,
    io::StderrLock<'_>,
    net::TcpStream,
    process::ChildStdin,
    process::ChildStdout,
    process::ChildStderr,
    os::unix::net::UnixStream,
}

// SAFETY: 1: what is behind a shared reference cannot be replaced through it.
unsafe impl<T: ?Sized> IoSafe for &T {}

// SAFETY: 1: forwards to `T`, which promised it.
unsafe impl<T: IoSafe + ?Sized> IoSafe for &mut T {}

// SAFETY: 1: forwards to `T`, which promised it.
unsafe impl<T: IoSafe + ?Sized> IoSafe for Box<T> {}
