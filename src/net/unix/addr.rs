//! Names of Unix sockets, from one crate's type to another's.

use std::io;
use std::os::unix::net::SocketAddr;
use std::path::Path;

use socket2::SockAddr;

/// The name as `socket2` has it.
pub(super) fn to_socket2(addr: &SocketAddr) -> io::Result<SockAddr> {
    #[cfg(target_os = "linux")]
    {
        use std::ffi::OsString;
        use std::os::linux::net::SocketAddrExt;
        use std::os::unix::ffi::OsStringExt;

        if let Some(name) = addr.as_abstract_name() {
            let path = OsString::from_vec([b"\0", name].concat());
            return SockAddr::unix(path);
        }
    }
    SockAddr::unix(addr.as_pathname().unwrap_or(Path::new("")))
}

#[cfg(target_os = "linux")]
pub(in crate::net) use linux::{from_rustix, is_unnamed, to_rustix, unnamed};

#[cfg(target_os = "linux")]
mod linux {
    use std::ffi::OsStr;
    use std::io;
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::net::SocketAddr;

    use rustix::net::{SocketAddrAny, SocketAddrUnix};

    /// The name as `rustix` has it.
    pub(in crate::net) fn to_rustix(addr: &SocketAddr) -> io::Result<SocketAddrUnix> {
        let name = match (addr.as_pathname(), addr.as_abstract_name()) {
            (Some(path), _) => SocketAddrUnix::new(path)?,
            (None, Some(name)) => SocketAddrUnix::new_abstract_name(name)?,
            (None, None) => SocketAddrUnix::new_unnamed(),
        };
        Ok(name)
    }

    /// Where the name of a socket begins in its address.
    const NAME_OFFSET: usize = 2;
    /// The longest address whose name `rustix` reads: it panics at a path of 108 bytes, which has
    /// no room for its NUL.
    const ADDR_MAX: usize = 110;

    /// Whether a socket has no name.
    pub(in crate::net) fn is_unnamed(addr: Option<&SocketAddrAny>) -> bool {
        addr.is_none_or(|addr| addr.addr_len() as usize <= NAME_OFFSET)
    }

    /// The name of a socket that has none.
    pub(in crate::net) fn unnamed() -> io::Result<SocketAddr> {
        SocketAddr::from_pathname("")
    }

    /// The name that `rustix` got from the system. One of 108 bytes, which the standard library
    /// cannot make either, becomes that of a socket without a name.
    pub(in crate::net) fn from_rustix(addr: Option<SocketAddrAny>) -> io::Result<SocketAddr> {
        let addr = match addr {
            Some(addr) if (NAME_OFFSET + 1..=ADDR_MAX).contains(&(addr.addr_len() as usize)) => {
                addr
            }
            _ => return unnamed(),
        };
        let addr = SocketAddrUnix::try_from(addr)?;
        match (addr.path(), addr.abstract_name()) {
            (Some(path), _) => SocketAddr::from_pathname(OsStr::from_bytes(path.to_bytes())),
            (None, Some(name)) => SocketAddr::from_abstract_name(name),
            (None, None) => unnamed(),
        }
    }
}
