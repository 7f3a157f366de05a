//! Unix sockets.

#[forbid(unsafe_code)]
mod addr;
#[cfg(target_os = "linux")]
mod credentials;
#[forbid(unsafe_code)]
mod datagram;
#[cfg(target_os = "linux")]
#[forbid(unsafe_code)]
mod descriptors;
#[forbid(unsafe_code)]
mod listener;
#[forbid(unsafe_code)]
mod stream;

#[cfg(target_os = "linux")]
pub(super) use addr::{is_unnamed, unnamed};
#[cfg(target_os = "linux")]
pub use credentials::UCred;
pub use datagram::UnixDatagram;
pub use listener::UnixListener;
pub use stream::UnixStream;
