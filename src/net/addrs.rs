//! From names to socket addresses.

use std::io;
use std::iter::FusedIterator;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::panic::Location;
use std::vec;

use crate::io::{Exit, Hop};
use crate::lifecycle::Place;

/// Resolves `host` to socket addresses.
///
/// What is an address already is returned as it is, without any waiting. A name, `"host:port"` or
/// `("host", port)`, is looked up by the system's resolver on the runtime's blocking pool.
///
/// # Errors
///
/// - [`io::ErrorKind::InvalidInput`] if a string is neither an address nor `host:port`.
/// - Whatever the resolver says about a name that it cannot resolve.
/// - [`io::ErrorKind::Other`] if the runtime shuts down meanwhile, or the system has no thread left
///   for the look-up.
///
/// # Panics
///
/// Panics outside a runtime if a name has to be looked up.
///
/// # Cancel safety
///
/// Nothing is lost. A look-up that waits for a thread is not done any more. One that has begun
/// cannot be interrupted: it ends by itself, on its thread, and the end of the runtime does not
/// wait for it.
///
/// # Examples
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// tenter::run(async {
///     let addrs = tenter::net::lookup_host(("localhost", 80)).await?;
///     assert!(addrs.count() > 0);
///     std::io::Result::Ok(())
/// })?
/// # }
/// ```
pub async fn lookup_host<A: ToSocketAddrs>(host: A) -> io::Result<SocketAddrs> {
    resolve(&host).await
}

/// What can be turned into socket addresses, with a look-up of names where one is needed.
///
/// The counterpart of [`std::net::ToSocketAddrs`] that does not block, for the same types. It is
/// implemented here alone; [`lookup_host`] is the way to call it.
///
/// # Examples
///
/// ```
/// use std::io;
/// use std::net::SocketAddr;
/// use tenter::net::{ToSocketAddrs, lookup_host};
///
/// async fn first(host: impl ToSocketAddrs) -> io::Result<SocketAddr> {
///     lookup_host(host).await?.next().ok_or(io::ErrorKind::NotFound.into())
/// }
///
/// # fn main() -> io::Result<()> {
/// tenter::run(async {
///     let addr = first("127.0.0.1:80").await?;
///     assert_eq!(addr, first(("127.0.0.1", 80)).await?);
///     assert_eq!(addr, first(addr).await?);
///     io::Result::Ok(())
/// })?
/// # }
/// ```
pub trait ToSocketAddrs: sealed::ToTarget {}

/// The addresses that [`lookup_host`] found.
///
/// # Examples
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// tenter::run(async {
///     let addrs = tenter::net::lookup_host("127.0.0.1:80").await?;
///     assert_eq!(addrs.len(), 1);
///     for addr in addrs {
///         assert!(addr.ip().is_loopback());
///     }
///     std::io::Result::Ok(())
/// })?
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct SocketAddrs(Found);

#[derive(Clone, Debug)]
enum Found {
    One(Option<SocketAddr>),
    Many(vec::IntoIter<SocketAddr>),
}

impl Iterator for SocketAddrs {
    type Item = SocketAddr;

    fn next(&mut self) -> Option<SocketAddr> {
        match &mut self.0 {
            Found::One(addr) => addr.take(),
            Found::Many(addrs) => addrs.next(),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = match &self.0 {
            Found::One(addr) => usize::from(addr.is_some()),
            Found::Many(addrs) => addrs.len(),
        };
        (left, Some(left))
    }
}

impl ExactSizeIterator for SocketAddrs {}
impl FusedIterator for SocketAddrs {}

/// Turns `host` into addresses; hops to the blocking pool for names alone.
pub(super) async fn resolve<A: ToSocketAddrs + ?Sized>(host: &A) -> io::Result<SocketAddrs> {
    let (host, port) = match host.to_target()? {
        Target::One(addr) => return Ok(SocketAddrs(Found::One(Some(addr)))),
        Target::Many(addrs) => return Ok(SocketAddrs(Found::Many(addrs.into_iter()))),
        Target::Name(host, port) => (host, port),
    };
    let place = Place::named(Location::caller(), format!("look-up of {host}"));
    let look_up = move || std::net::ToSocketAddrs::to_socket_addrs(&(&*host, port));
    let found = Hop::at(Exit::Abandons, place, look_up).await?;
    Ok(SocketAddrs(Found::Many(found)))
}

/// What an argument says before anybody is asked.
#[derive(Debug)]
pub enum Target {
    /// One address.
    One(SocketAddr),
    /// Several addresses, in the order in which to try them.
    Many(Vec<SocketAddr>),
    /// A name, and a port for what it resolves to.
    Name(Box<str>, u16),
}

impl Target {
    fn of_host(host: &str, port: u16) -> Target {
        match host.parse::<IpAddr>() {
            Ok(ip) => Target::One((ip, port).into()),
            Err(_) => Target::Name(host.into(), port),
        }
    }
}

mod sealed {
    /// The part of [`ToSocketAddrs`](super::ToSocketAddrs) that others cannot implement.
    pub trait ToTarget {
        /// Reads the argument, without any waiting.
        fn to_target(&self) -> std::io::Result<super::Target>;
    }
}

use sealed::ToTarget;

macro_rules! literal {
    ($($type:ty),* $(,)?) => {
        $(
            impl ToSocketAddrs for $type {}

            impl ToTarget for $type {
                fn to_target(&self) -> io::Result<Target> {
                    Ok(Target::One((*self).into()))
                }
            }
        )*
    };
}

literal! {
    SocketAddr,
    SocketAddrV4,
    SocketAddrV6,
    (IpAddr, u16),
    (Ipv4Addr, u16),
    (Ipv6Addr, u16),
}

impl ToSocketAddrs for [SocketAddr] {}

impl ToTarget for [SocketAddr] {
    fn to_target(&self) -> io::Result<Target> {
        Ok(Target::Many(self.to_vec()))
    }
}

impl<const N: usize> ToSocketAddrs for [SocketAddr; N] {}

impl<const N: usize> ToTarget for [SocketAddr; N] {
    fn to_target(&self) -> io::Result<Target> {
        self[..].to_target()
    }
}

impl ToSocketAddrs for Vec<SocketAddr> {}

impl ToTarget for Vec<SocketAddr> {
    fn to_target(&self) -> io::Result<Target> {
        self[..].to_target()
    }
}

impl ToSocketAddrs for str {}

impl ToTarget for str {
    fn to_target(&self) -> io::Result<Target> {
        if let Ok(addr) = self.parse() {
            return Ok(Target::One(addr));
        }
        let invalid = |what| Err(io::Error::new(io::ErrorKind::InvalidInput, what));
        let Some((host, port)) = self.rsplit_once(':') else {
            return invalid("invalid socket address: no port");
        };
        match port.parse() {
            Ok(port) => Ok(Target::of_host(host, port)),
            Err(_) => invalid("invalid socket address: the port is not a number up to 65535"),
        }
    }
}

impl ToSocketAddrs for String {}

impl ToTarget for String {
    fn to_target(&self) -> io::Result<Target> {
        self[..].to_target()
    }
}

impl ToSocketAddrs for (&str, u16) {}

impl ToTarget for (&str, u16) {
    fn to_target(&self) -> io::Result<Target> {
        Ok(Target::of_host(self.0, self.1))
    }
}

impl ToSocketAddrs for (String, u16) {}

impl ToTarget for (String, u16) {
    fn to_target(&self) -> io::Result<Target> {
        Ok(Target::of_host(&self.0, self.1))
    }
}

impl<A: ToSocketAddrs + ?Sized> ToSocketAddrs for &A {}

impl<A: ToSocketAddrs + ?Sized> ToTarget for &A {
    fn to_target(&self) -> io::Result<Target> {
        (**self).to_target()
    }
}
