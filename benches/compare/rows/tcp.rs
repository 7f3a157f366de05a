//! Rows about TCP: the server's side, in a process that does nothing else.

use std::io::{self, BufRead, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::thread;
use std::time::Duration;

use crate::clock::Usage;
use crate::load::{CHUNK, REQUEST, Service, raise_descriptor_limit};
use crate::oneshot;
use crate::peers::{Peer, Runtime, Smol, Tenter, Tokio, floor};

/// Any free port of the loopback.
pub(crate) const ANY_PORT: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// Serves until standard input ends: prints the address, then the usage so far for every line
/// that comes in.
///
/// # Errors
///
/// - `Unsupported`: this is no runtime, but a pool of processes.
/// - Whatever the runtime's start or the listener reports.
pub(crate) fn serve(service: Service, runtime: Runtime, workers: usize) -> io::Result<()> {
    raise_descriptor_limit()?;
    match runtime {
        Runtime::Tenter => serve_peer::<Tenter>(service, workers),
        Runtime::Tokio => serve_peer::<Tokio>(service, workers),
        Runtime::Smol => serve_peer::<Smol>(service, workers),
        Runtime::Floor => {
            let address = floor::tcp::start(service)?;
            answer_controller(address, || None)
        }
        Runtime::Procspawn | Runtime::Python => Err(io::ErrorKind::Unsupported.into()),
    }
}

fn serve_peer<P: Peer>(service: Service, workers: usize) -> io::Result<()> {
    let peer = P::new(workers)?;
    let offend = |_| P::spawn_on(&peer.handle(), offend::<P>());
    let offenders: Vec<_> = (0..service.offenders(workers)).map(offend).collect();
    let (bound, address) = oneshot::channel();
    let accepting = P::spawn_on(&peer.handle(), accept_all::<P>(service, bound));
    let address = futures_lite::future::block_on(address)?;
    answer_controller(address, || peer.noop_wakes())?;
    // The process ends with the server in it.
    std::mem::forget((peer, accepting, offenders));
    Ok(())
}

async fn accept_all<P: Peer>(service: Service, bound: oneshot::Sender<io::Result<SocketAddr>>) {
    let listener = match P::bind(ANY_PORT).await {
        Ok(listener) => listener,
        Err(error) => return bound.send(Err(error)),
    };
    bound.send(P::local_addr(&listener));
    loop {
        match P::accept(&listener).await {
            Ok(stream) => P::spawn_detached(serve_connection::<P>(service, stream)),
            Err(error) => eprintln!("accept: {error}"),
        }
    }
}

/// Errors are the client's end of the connection, which ends it here too.
async fn serve_connection<P: Peer>(service: Service, mut stream: P::Stream) {
    let _ = match service {
        Service::Echo | Service::OneOffender | Service::AllOffenders => {
            echo::<P>(&mut stream, usize::MAX).await
        }
        Service::Churn => echo::<P>(&mut stream, 1).await,
        Service::Sink => sink::<P>(&mut stream).await,
    };
}

/// Does what no task should: keeps its thread for 100 ms in every 150.
async fn offend<P: Peer>() {
    loop {
        thread::sleep(Duration::from_millis(100));
        P::sleep(Duration::from_millis(50)).await;
    }
}

async fn echo<P: Peer>(stream: &mut P::Stream, requests: usize) -> io::Result<()> {
    let mut buffer = [0; REQUEST * 2];
    for _ in 0..requests {
        let count = P::read(stream, &mut buffer).await?;
        if count == 0 {
            break;
        }
        P::write_all(stream, &buffer[..count]).await?;
    }
    Ok(())
}

async fn sink<P: Peer>(stream: &mut P::Stream) -> io::Result<()> {
    let mut buffer = vec![0; CHUNK];
    while P::read(stream, &mut buffer).await? > 0 {}
    P::write_all(stream, &[1]).await
}

/// Speaks with the process that compares: `ADDRESS`, then `CPU_NS SWITCHES NOOP_WAKES` a line.
fn answer_controller(address: SocketAddr, noop_wakes: impl Fn() -> Option<u64>) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{address}")?;
    for line in io::stdin().lock().lines() {
        line?;
        let Usage { cpu_ns, switches } = Usage::of_process();
        let noop_wakes = noop_wakes().map_or_else(|| "-".to_owned(), |count| count.to_string());
        writeln!(out, "{cpu_ns} {switches} {noop_wakes}")?;
    }
    Ok(())
}
