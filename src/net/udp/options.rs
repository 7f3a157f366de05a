//! What can be set on a UDP socket.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr};

use socket2::SockRef;

use crate::net::socket::{size, size_u32};

use super::UdpSocket;

/// Options. Each is one system call, and its errors are the system's.
impl UdpSocket {
    /// Whether datagrams may be sent to broadcast addresses (`SO_BROADCAST`).
    pub fn broadcast(&self) -> io::Result<bool> {
        self.io.get_ref().broadcast()
    }

    /// Lets datagrams be sent to broadcast addresses.
    pub fn set_broadcast(&self, broadcast: bool) -> io::Result<()> {
        self.io.get_ref().set_broadcast(broadcast)
    }

    /// The time to live of datagrams, in hops (`IP_TTL`).
    pub fn ttl(&self) -> io::Result<u32> {
        self.io.get_ref().ttl()
    }

    /// Sets the time to live of datagrams, in hops.
    pub fn set_ttl(&self, hops: u32) -> io::Result<()> {
        self.io.get_ref().set_ttl(hops)
    }

    /// The size of the send buffer in bytes (`SO_SNDBUF`).
    pub fn send_buffer_size(&self) -> io::Result<u32> {
        SockRef::from(self).send_buffer_size().map(size_u32)
    }

    /// Sets the size of the send buffer in bytes. Linux doubles it.
    pub fn set_send_buffer_size(&self, bytes: u32) -> io::Result<()> {
        SockRef::from(self).set_send_buffer_size(size(bytes))
    }

    /// The size of the receive buffer in bytes (`SO_RCVBUF`): what comes while it is full is lost.
    pub fn recv_buffer_size(&self) -> io::Result<u32> {
        SockRef::from(self).recv_buffer_size().map(size_u32)
    }

    /// Sets the size of the receive buffer in bytes. Linux doubles it.
    pub fn set_recv_buffer_size(&self, bytes: u32) -> io::Result<()> {
        SockRef::from(self).set_recv_buffer_size(size(bytes))
    }

    /// Receives what is sent to the group `group`, on the interface that has the address
    /// `interface`; `0.0.0.0` lets the system choose one.
    pub fn join_multicast_v4(&self, group: Ipv4Addr, interface: Ipv4Addr) -> io::Result<()> {
        self.io.get_ref().join_multicast_v4(&group, &interface)
    }

    /// Leaves a group again; see [`join_multicast_v4`](UdpSocket::join_multicast_v4).
    pub fn leave_multicast_v4(&self, group: Ipv4Addr, interface: Ipv4Addr) -> io::Result<()> {
        self.io.get_ref().leave_multicast_v4(&group, &interface)
    }

    /// Receives what is sent to the group `group`, on the interface of this index; 0 lets the
    /// system choose one.
    pub fn join_multicast_v6(&self, group: &Ipv6Addr, interface: u32) -> io::Result<()> {
        self.io.get_ref().join_multicast_v6(group, interface)
    }

    /// Leaves a group again; see [`join_multicast_v6`](UdpSocket::join_multicast_v6).
    pub fn leave_multicast_v6(&self, group: &Ipv6Addr, interface: u32) -> io::Result<()> {
        self.io.get_ref().leave_multicast_v6(group, interface)
    }

    /// Whether this machine gets what the socket sends to a group (`IP_MULTICAST_LOOP`).
    pub fn multicast_loop_v4(&self) -> io::Result<bool> {
        self.io.get_ref().multicast_loop_v4()
    }

    /// Sets whether this machine gets what the socket sends to a group.
    pub fn set_multicast_loop_v4(&self, loops: bool) -> io::Result<()> {
        self.io.get_ref().set_multicast_loop_v4(loops)
    }

    /// Whether this machine gets what the socket sends to a group (`IPV6_MULTICAST_LOOP`).
    pub fn multicast_loop_v6(&self) -> io::Result<bool> {
        self.io.get_ref().multicast_loop_v6()
    }

    /// Sets whether this machine gets what the socket sends to a group.
    pub fn set_multicast_loop_v6(&self, loops: bool) -> io::Result<()> {
        self.io.get_ref().set_multicast_loop_v6(loops)
    }

    /// The time to live of datagrams to a group, in hops (`IP_MULTICAST_TTL`).
    pub fn multicast_ttl_v4(&self) -> io::Result<u32> {
        self.io.get_ref().multicast_ttl_v4()
    }

    /// Sets the time to live of datagrams to a group, in hops.
    pub fn set_multicast_ttl_v4(&self, hops: u32) -> io::Result<()> {
        self.io.get_ref().set_multicast_ttl_v4(hops)
    }
}
