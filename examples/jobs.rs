//! Renders the Mandelbrot set on all cores and writes a PNG: `cargo run --release --example jobs`.
//!
//! Every tile of the picture is a job, a function that runs in one of the pool's worker processes.
//! A process, unlike a thread, can be stopped in the middle of a loop: Ctrl-C kills the workers at
//! once, and leaves neither a process nor half a file behind.
#![forbid(unsafe_code)]

#[path = "jobs/args.rs"]
mod args;
#[path = "jobs/output.rs"]
mod output;
#[path = "jobs/picture.rs"]
mod picture;
#[path = "jobs/progress.rs"]
mod progress;

use std::error::Error;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use args::Args;
use futures_lite::future;
use output::Output;
use picture::{Picture, Tile};
use progress::Progress;
use tenter::jobs::ProcessPool;
use tenter::signal::unix::{SignalKind, signal};
use tenter::time::sleep;

/// Renders one tile, a byte for each pixel.
///
/// The attribute leaves this function as it is, and adds `render::job(..)`, which takes the same
/// arguments and makes a call that can be sent to a worker. What travels has to implement serde's
/// traits; the bytes of a `Vec<u8>` are copied as they are.
#[tenter::job]
fn render(picture: Picture, tile: Tile) -> Vec<u8> {
    picture.render(tile)
}

/// Compresses the picture: one long computation, which Ctrl-C should stop like any other.
#[tenter::job]
fn encode(picture: Picture, pixels: Vec<u8>) -> Vec<u8> {
    picture.png(&pixels)
}

/// The workers are this same program. `#[tenter::main]` knows them when they start: there it runs
/// jobs, and nothing of what is written here. A `main` without it calls `tenter::jobs::init()`
/// first of all.
///
/// One thread is enough: the work is done by other processes.
#[tenter::main(worker_threads = 1)]
async fn main() -> ExitCode {
    let args = match Args::parse(std::env::args_os().skip(1)) {
        Ok(Some(args)) => args,
        Ok(None) => {
            print!("{}", args::HELP);
            return ExitCode::SUCCESS;
        }
        Err(message) => {
            eprintln!("jobs: {message}\nTry `jobs --help`.");
            return ExitCode::from(2);
        }
    };
    match draw(&args).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure { status, message }) => {
            eprintln!("jobs: {message}");
            ExitCode::from(status)
        }
    }
}

async fn draw(args: &Args) -> Result<(), Failure> {
    let start = Instant::now();
    let stopped = stop_signal()?;
    let output = Output::create(&args.out)
        .map_err(|error| Failure::new(1, format!("{}: {error}", args.out.display())))?;

    // Dropping the future of a job stops the job, and a signal drops all that is under way.
    // Niceness leaves the cores to whoever else wants one, such as the thread that draws the bar.
    let pool = ProcessPool::builder().workers(args.workers).niceness(5).build()?;
    let png = future::or(png(&pool, args.picture), stopped).await;
    // Not a moment's grace: what still runs is not wanted. Afterwards no worker is left.
    pool.shutdown(Duration::ZERO).await;

    let png = png?;
    tenter::spawn_blocking(move || output.finish(&png)).await??;
    say(&format!("{} is ready after {:.1?}", args.out.display(), start.elapsed()));
    Ok(())
}

/// Renders the tiles and puts them together.
async fn png(pool: &ProcessPool, picture: Picture) -> Result<Vec<u8>, Failure> {
    let tiles = picture.tiles();
    let Picture { width, height } = picture;
    say(&format!("rendering {width} x {height} pixels in {} tiles", tiles.len()));

    // Each worker takes the next tile when it is done with one, so it does not matter that the
    // dark ones take much longer. The results come in the order of the calls.
    let rendered = pool.map(tiles.iter().map(|tile| render::job(picture, *tile)));
    let watched = async {
        let mut progress = Progress::new(tiles.len() as u64);
        loop {
            progress.show(pool.metrics().completed());
            sleep(Duration::from_millis(50)).await;
        }
    };
    let rendered = future::or(rendered, watched).await?;

    let pixels = tenter::spawn_blocking(move || picture.assemble(&tiles, &rendered)).await?;
    Ok(pool.run(encode::job(picture, pixels)).await?)
}

/// Fails when SIGINT, which is Ctrl-C, or SIGTERM arrives; they are caught from this call on.
fn stop_signal<T>() -> io::Result<impl Future<Output = Result<T, Failure>>> {
    let stopped_by = |kind: SignalKind, name| {
        let mut signal = signal(kind)?;
        io::Result::Ok(async move {
            signal.recv().await;
            // The status that a shell gives to what a signal has ended.
            let status = 128 + kind.as_raw_value() as u8;
            Err(Failure::new(status, format!("stopped by {name}")))
        })
    };
    let interrupt = stopped_by(SignalKind::interrupt(), "SIGINT")?;
    let terminate = stopped_by(SignalKind::terminate(), "SIGTERM")?;
    Ok(future::or(interrupt, terminate))
}

/// Prints a line; unlike `println`, without a panic if nobody reads it any more.
fn say(line: &str) {
    let _ = writeln!(io::stdout(), "{line}");
}

/// Why there is no picture.
#[derive(Debug)]
struct Failure {
    status: u8,
    message: String,
}

impl Failure {
    fn new(status: u8, message: String) -> Failure {
        Failure { status, message }
    }
}

impl<E: Error> From<E> for Failure {
    fn from(error: E) -> Failure {
        Failure::new(1, error.to_string())
    }
}
