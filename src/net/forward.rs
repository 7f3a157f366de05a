//! The stream traits of types that have a [`Duplex`](super::duplex::Duplex) inside.

/// Implements `AsyncRead` for `$type` by the `&impl Duplex` that `$stream` makes of
/// `$this: &$type`.
macro_rules! forward_read {
    ([$($generics:tt)*] $type:ty, $this:ident => $stream:expr) => {
        impl<$($generics)*> ::futures_io::AsyncRead for $type {
            fn poll_read(
                self: ::std::pin::Pin<&mut Self>,
                cx: &mut ::std::task::Context<'_>,
                buf: &mut [u8],
            ) -> ::std::task::Poll<::std::io::Result<usize>> {
                let $this = &*self;
                $crate::net::duplex::Duplex::poll_read($stream, cx, buf)
            }

            fn poll_read_vectored(
                self: ::std::pin::Pin<&mut Self>,
                cx: &mut ::std::task::Context<'_>,
                bufs: &mut [::std::io::IoSliceMut<'_>],
            ) -> ::std::task::Poll<::std::io::Result<usize>> {
                let $this = &*self;
                $crate::net::duplex::Duplex::poll_read_vectored($stream, cx, bufs)
            }
        }
    };
}

/// Implements `AsyncWrite` for `$type` by the `&impl Duplex` that `$stream` makes of
/// `$this: &$type`.
///
/// Flushing does nothing, for what was written is the system's. Closing shuts the write half down.
macro_rules! forward_write {
    ([$($generics:tt)*] $type:ty, $this:ident => $stream:expr) => {
        impl<$($generics)*> ::futures_io::AsyncWrite for $type {
            fn poll_write(
                self: ::std::pin::Pin<&mut Self>,
                cx: &mut ::std::task::Context<'_>,
                buf: &[u8],
            ) -> ::std::task::Poll<::std::io::Result<usize>> {
                let $this = &*self;
                $crate::net::duplex::Duplex::poll_write($stream, cx, buf)
            }

            fn poll_write_vectored(
                self: ::std::pin::Pin<&mut Self>,
                cx: &mut ::std::task::Context<'_>,
                bufs: &[::std::io::IoSlice<'_>],
            ) -> ::std::task::Poll<::std::io::Result<usize>> {
                let $this = &*self;
                $crate::net::duplex::Duplex::poll_write_vectored($stream, cx, bufs)
            }

            fn poll_flush(
                self: ::std::pin::Pin<&mut Self>,
                _cx: &mut ::std::task::Context<'_>,
            ) -> ::std::task::Poll<::std::io::Result<()>> {
                ::std::task::Poll::Ready(Ok(()))
            }

            fn poll_close(
                self: ::std::pin::Pin<&mut Self>,
                _cx: &mut ::std::task::Context<'_>,
            ) -> ::std::task::Poll<::std::io::Result<()>> {
                let $this = &*self;
                ::std::task::Poll::Ready($crate::net::duplex::Duplex::close($stream))
            }
        }
    };
}

pub(super) use {forward_read, forward_write};
