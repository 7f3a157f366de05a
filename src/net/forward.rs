//! The stream traits of types that have a [`TcpStream`](super::TcpStream) inside.

/// Implements `AsyncRead` for `$type` by the `&TcpStream` that `$stream` makes of `$this: &$type`.
macro_rules! forward_read {
    ($type:ty, $this:ident => $stream:expr) => {
        impl ::futures_io::AsyncRead for $type {
            fn poll_read(
                self: ::std::pin::Pin<&mut Self>,
                cx: &mut ::std::task::Context<'_>,
                buf: &mut [u8],
            ) -> ::std::task::Poll<::std::io::Result<usize>> {
                let $this = &*self;
                let mut stream: &$crate::net::TcpStream = $stream;
                ::std::pin::Pin::new(&mut stream).poll_read(cx, buf)
            }

            fn poll_read_vectored(
                self: ::std::pin::Pin<&mut Self>,
                cx: &mut ::std::task::Context<'_>,
                bufs: &mut [::std::io::IoSliceMut<'_>],
            ) -> ::std::task::Poll<::std::io::Result<usize>> {
                let $this = &*self;
                let mut stream: &$crate::net::TcpStream = $stream;
                ::std::pin::Pin::new(&mut stream).poll_read_vectored(cx, bufs)
            }
        }
    };
}

/// Implements `AsyncWrite` for `$type` by the `&TcpStream` that `$stream` makes of `$this: &$type`.
macro_rules! forward_write {
    ($type:ty, $this:ident => $stream:expr) => {
        impl ::futures_io::AsyncWrite for $type {
            fn poll_write(
                self: ::std::pin::Pin<&mut Self>,
                cx: &mut ::std::task::Context<'_>,
                buf: &[u8],
            ) -> ::std::task::Poll<::std::io::Result<usize>> {
                let $this = &*self;
                let mut stream: &$crate::net::TcpStream = $stream;
                ::std::pin::Pin::new(&mut stream).poll_write(cx, buf)
            }

            fn poll_write_vectored(
                self: ::std::pin::Pin<&mut Self>,
                cx: &mut ::std::task::Context<'_>,
                bufs: &[::std::io::IoSlice<'_>],
            ) -> ::std::task::Poll<::std::io::Result<usize>> {
                let $this = &*self;
                let mut stream: &$crate::net::TcpStream = $stream;
                ::std::pin::Pin::new(&mut stream).poll_write_vectored(cx, bufs)
            }

            fn poll_flush(
                self: ::std::pin::Pin<&mut Self>,
                cx: &mut ::std::task::Context<'_>,
            ) -> ::std::task::Poll<::std::io::Result<()>> {
                let $this = &*self;
                let mut stream: &$crate::net::TcpStream = $stream;
                ::std::pin::Pin::new(&mut stream).poll_flush(cx)
            }

            fn poll_close(
                self: ::std::pin::Pin<&mut Self>,
                cx: &mut ::std::task::Context<'_>,
            ) -> ::std::task::Poll<::std::io::Result<()>> {
                let $this = &*self;
                let mut stream: &$crate::net::TcpStream = $stream;
                ::std::pin::Pin::new(&mut stream).poll_close(cx)
            }
        }
    };
}

pub(super) use {forward_read, forward_write};
