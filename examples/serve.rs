//! An HTTP server on `tenter` and hyper 1: `cargo run --release --example serve -- --help`.
//!
//! Its pages each lean on another part of the runtime: `/sleep/{ms}` on timers, `/file/{name}` on
//! the blocking pool, `/hash/{n}` and `/crash` on worker processes, `/metrics` on the counters, and
//! all of them on tasks and TCP.
#![deny(unsafe_code)]

#[path = "serve/args.rs"]
mod args;
#[path = "serve/connection.rs"]
mod connection;
#[path = "serve/files.rs"]
mod files;
#[path = "serve/jobs.rs"]
mod jobs;
#[path = "serve/page.rs"]
mod page;

use std::convert::Infallible;
use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use args::Args;
use async_channel::Receiver;
use files::Folder;
use futures_lite::future;
use hyper::header::{ALLOW, HeaderValue};
use hyper::http::request;
use hyper::{Method, StatusCode};
use page::{Response, text};
use rustix::process::{Resource, Rlimit};
use tenter::jobs::ProcessPool;
use tenter::net::TcpListener;
use tenter::signal::unix::{Signal, SignalKind, signal};
use tenter::time::sleep;

/// Bounds of what a page may be asked for.
const PATH_BYTES_MAX: usize = 4 * 1024;
const SLEEP_MS_MAX: u64 = 60_000;
const HASH_ROUNDS_MAX: u64 = 100_000_000;

/// How long the requests at hand may take after Ctrl-C.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(30);

/// Pause after an `accept` that failed, most likely for want of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);

/// What every connection is served from.
struct Site {
    folder: Option<Arc<Folder>>,
    header_timeout: Duration,
    /// What takes more computing than a task should do.
    pool: ProcessPool,
    /// Closed when the server stops.
    stopping: Receiver<Infallible>,
}

fn main() -> ExitCode {
    // The pool's workers are this program too: in one of them, this runs jobs and never returns.
    tenter::jobs::init();
    let args = match Args::parse(std::env::args_os().skip(1)) {
        Ok(Some(args)) => args,
        Ok(None) => {
            print!("{}", args::HELP);
            return ExitCode::SUCCESS;
        }
        Err(message) => return fail(2, &message),
    };
    let folder = match args.folder.as_deref().map(Folder::new).transpose() {
        Ok(folder) => folder.map(Arc::new),
        Err(error) => return fail(2, &format!("{}: {error}", args.folder.unwrap().display())),
    };
    raise_descriptor_limit();
    let mut builder = tenter::Runtime::builder();
    if let Some(workers) = args.workers {
        builder.worker_threads(workers);
    }
    let runtime = match builder.build() {
        Ok(runtime) => runtime,
        Err(error) if error.kind() == ErrorKind::InvalidInput => {
            return fail(2, &error.to_string());
        }
        Err(error) => return fail(1, &format!("the runtime can not start: {error}")),
    };
    match runtime.block_on(serve(&args, folder)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(1, &error.to_string()),
    }
}

fn fail(status: u8, message: &str) -> ExitCode {
    eprintln!("serve: {message}");
    if status == 2 {
        eprintln!("Try `serve --help`.");
    }
    ExitCode::from(status)
}

/// Prints a line; unlike `println`, without a panic if nobody reads it any more.
fn say(line: &str) {
    let _ = writeln!(io::stdout(), "{line}");
}

/// Takes as many descriptors as the system gives: every connection needs one.
fn raise_descriptor_limit() {
    let limit = rustix::process::getrlimit(Resource::Nofile);
    // What is refused shows in `accept`, which says so.
    let _ =
        rustix::process::setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
}

/// Serves until Ctrl-C, then until the requests at hand are answered.
async fn serve(args: &Args, folder: Option<Arc<Folder>>) -> io::Result<()> {
    let mut stop_signals = stop_signals()?;
    let pool = jobs::pool().map_err(io::Error::other)?;
    let listener = TcpListener::bind(args.address).await?;
    say(&format!("listening on http://{}", listener.local_addr()?));

    let (stop, stopping) = async_channel::bounded(1);
    let (open, all_closed) = async_channel::bounded::<Infallible>(1);
    let header_timeout = args.header_timeout;
    let site = Arc::new(Site { folder, header_timeout, pool: pool.clone(), stopping });
    let accepting = async {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    let (site, open) = (site.clone(), open.clone());
                    let connection = async move {
                        connection::serve(stream, &site).await;
                        drop(open);
                    };
                    drop(tenter::spawn(connection));
                }
                Err(error) => {
                    eprintln!("serve: accept: {error}");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    };
    future::or(accepting, interrupted(&mut stop_signals)).await;

    say(&format!("stopping: {} connections are open", open.sender_count() - 1));
    drop(listener);
    drop(open);
    stop.close();
    // Every connection holds a sender: without one, all are closed.
    let closed = async { all_closed.recv().await.is_err() };
    let late = async {
        sleep(SHUTDOWN_GRACE).await;
        false
    };
    let again = async {
        interrupted(&mut stop_signals).await;
        false
    };
    let in_order = future::or(closed, future::or(again, late)).await;
    // A job that still runs is one that nobody waits for any more. Afterwards no worker is left.
    pool.shutdown(Duration::ZERO).await;
    match in_order {
        true => Ok(()),
        false => Err(io::Error::other("stopped with connections open")),
    }
}

/// Listens for what asks the server to stop: Ctrl-C, and `kill`.
fn stop_signals() -> io::Result<[Signal; 2]> {
    Ok([signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?])
}

async fn interrupted([interrupt, terminate]: &mut [Signal; 2]) {
    future::or(interrupt.recv(), terminate.recv()).await;
}

/// Finds the page and makes it.
async fn route(head: &request::Parts, site: &Site) -> Response {
    let path = head.uri.path();
    if path.len() > PATH_BYTES_MAX {
        return text(StatusCode::URI_TOO_LONG, "the path is too long");
    }
    let path = path.strip_prefix('/').unwrap_or(path);
    let (page, argument) = match path.split_once('/') {
        Some((page, argument)) => (page, Some(argument)),
        None => (path, None),
    };
    if !matches!(
        (page, argument),
        ("" | "crash" | "metrics", None) | ("sleep" | "file" | "hash", Some(_))
    ) {
        return text(StatusCode::NOT_FOUND, "no such page");
    }
    if head.method != Method::GET && head.method != Method::HEAD {
        let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD");
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    match (page, argument.unwrap_or_default()) {
        ("sleep", ms) => match number(ms, SLEEP_MS_MAX) {
            Ok(ms) => {
                sleep(Duration::from_millis(ms)).await;
                text(StatusCode::OK, format!("slept {ms} ms"))
            }
            Err(why) => text(StatusCode::BAD_REQUEST, why),
        },
        ("hash", rounds) => match number(rounds, HASH_ROUNDS_MAX) {
            Ok(rounds) => jobs::hash_page(&site.pool, rounds).await,
            Err(why) => text(StatusCode::BAD_REQUEST, why),
        },
        ("file", name) => match &site.folder {
            Some(folder) => files::file(folder.clone(), name).await,
            None => text(StatusCode::NOT_FOUND, "the server was given no folder"),
        },
        ("crash", _) => jobs::crash_page(&site.pool).await,
        ("metrics", _) => page::metrics(&tenter::Handle::current().metrics(), &site.pool.metrics()),
        _ => page::html(page::INDEX),
    }
}

fn number(text: &str, max: u64) -> Result<u64, String> {
    match text.parse() {
        Ok(number) if number <= max => Ok(number),
        _ => Err(format!("not a number from 0 to {max}")),
    }
}
