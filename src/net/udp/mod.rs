//! UDP.

mod batch;
mod options;
mod socket;

pub use socket::UdpSocket;
