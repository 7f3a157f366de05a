//! Methods and conversions that all sockets have.

/// Gives `$type`, a struct with an `Async<$std>` called `io`, the methods that wait.
macro_rules! readiness {
    ($type:ident, $std:ty, $(#[$example:meta])*) => {
        impl $type {
            /// Waits until the socket is readable: there is something to read, or an end, or an
            /// error.
            ///
            /// Any number of tasks may wait at once.
            ///
            /// # Errors
            ///
            /// - [`io::ErrorKind::Other`] if the runtime was shut down.
            /// - What the system says about a descriptor that it cannot watch.
            ///
            /// # Cancel safety
            ///
            /// Cancel safe.
            $(#[$example])*
            pub fn readable(&self) -> Readable<'_, $std> {
                self.io.readable()
            }

            /// Waits until the socket is writable: there is room for data, or an error.
            ///
            /// Any number of tasks may wait at once. Errors and cancel safety are those of
            /// [`readable`](Self::readable).
            pub fn writable(&self) -> Writable<'_, $std> {
                self.io.writable()
            }

            /// Waits until one direction of `interest` can go on, and tells which.
            ///
            /// Errors and cancel safety are those of [`readable`](Self::readable).
            pub async fn ready(&self, interest: Interest) -> io::Result<Ready> {
                self.io.ready(interest).await
            }

            /// Polls for readability. One task is remembered: the last to have polled this
            /// direction.
            ///
            /// # Errors
            ///
            /// Those of [`readable`](Self::readable).
            pub fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                self.io.poll_readable(cx)
            }

            /// Polls for writability. One task is remembered: the last to have polled this
            /// direction.
            ///
            /// # Errors
            ///
            /// Those of [`readable`](Self::readable).
            pub fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                self.io.poll_writable(cx)
            }
        }
    };
}

/// Gives `$type` its ways from and to the standard library and descriptors.
///
/// `$from` makes one of an `Async<$std>`, and `$into` an `Async<$std>` of one.
macro_rules! conversions {
    ($type:ident, $std:ty, $from:expr, $into:expr) => {
        impl $type {
            /// Takes a socket of the standard library and makes it non-blocking.
            ///
            /// # Errors
            ///
            /// The system's, if it cannot be made non-blocking.
            ///
            /// # Panics
            ///
            /// Panics outside a runtime.
            #[track_caller]
            pub fn from_std(socket: $std) -> io::Result<$type> {
                let from: fn(Async<$std>) -> $type = $from;
                Async::new(socket).map(from)
            }

            /// Gives the socket back to the standard library, still non-blocking.
            ///
            /// # Errors
            ///
            /// The system's, if it cannot be taken out of the driver.
            pub fn into_std(self) -> io::Result<$std> {
                let into: fn($type) -> Async<$std> = $into;
                into(self).into_inner()
            }
        }

        impl AsFd for $type {
            fn as_fd(&self) -> BorrowedFd<'_> {
                self.as_async().as_fd()
            }
        }

        impl AsRawFd for $type {
            fn as_raw_fd(&self) -> RawFd {
                self.as_fd().as_raw_fd()
            }
        }

        impl TryFrom<$std> for $type {
            type Error = io::Error;

            fn try_from(socket: $std) -> io::Result<$type> {
                $type::from_std(socket)
            }
        }

        impl TryFrom<OwnedFd> for $type {
            type Error = io::Error;

            /// Takes a descriptor that is such a socket, and makes it non-blocking.
            fn try_from(socket: OwnedFd) -> io::Result<$type> {
                $type::from_std(socket.into())
            }
        }

        impl TryFrom<$type> for OwnedFd {
            type Error = io::Error;

            fn try_from(socket: $type) -> io::Result<OwnedFd> {
                socket.into_std().map(OwnedFd::from)
            }
        }
    };
}

pub(super) use {conversions, readiness};
