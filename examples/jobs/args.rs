//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;
use std::thread;

use crate::picture::{Picture, SIDE_MAX};

pub(crate) const HELP: &str = "\
Renders the Mandelbrot set in worker processes, tile by tile, and writes a PNG.

Usage: jobs [OPTIONS]

Options:
      --workers <N>           Worker processes [default: one for each processor]
      --size <WIDTHxHEIGHT>   The picture's size in pixels [default: 1920x1080]
      --out <FILE>            Where the picture goes [default: mandelbrot.png]
  -h, --help                  Print this help

Ctrl-C stops it at once, and leaves no process and no file behind.
";

/// More processes than any machine has a use for, and few enough to start.
const WORKERS_MAX: usize = 1024;

/// What the command line asks for.
#[derive(Debug)]
pub(crate) struct Args {
    pub(crate) workers: usize,
    pub(crate) picture: Picture,
    pub(crate) out: PathBuf,
}

impl Args {
    /// Reads the arguments after the program's name; `Ok(None)` if they ask for help.
    pub(crate) fn parse(arguments: impl Iterator<Item = OsString>) -> Result<Option<Args>, String> {
        let mut arguments = arguments;
        let mut args = Args {
            workers: thread::available_parallelism().map_or(1, usize::from),
            picture: Picture { width: 1920, height: 1080 },
            out: PathBuf::from("mandelbrot.png"),
        };
        while let Some(argument) = arguments.next() {
            let argument = argument.into_string().map_err(|it| format!("{it:?} is no text"))?;
            let (option, value) = match argument.split_once('=') {
                Some((option, value)) => (option, Some(OsString::from(value))),
                None => (&*argument, None),
            };
            let mut value = || {
                let value = value.clone().or_else(|| arguments.next());
                let value = value.filter(|value| !value.is_empty());
                value.ok_or_else(|| format!("{option} needs a value"))
            };
            match option {
                "-h" | "--help" => return Ok(None),
                "--workers" => args.workers = workers(&value()?.to_string_lossy())?,
                "--size" => args.picture = size(&value()?.to_string_lossy())?,
                "--out" => args.out = PathBuf::from(value()?),
                _ if option.starts_with('-') => return Err(format!("unknown option {option}")),
                _ => return Err(format!("{option:?}: there is nothing to say but options")),
            }
        }
        Ok(Some(args))
    }
}

fn workers(value: &str) -> Result<usize, String> {
    match value.parse() {
        Ok(count) if (1..=WORKERS_MAX).contains(&count) => Ok(count),
        _ => Err(format!("--workers {value}: not a number from 1 to {WORKERS_MAX}")),
    }
}

fn size(value: &str) -> Result<Picture, String> {
    let side = |side: &str| side.parse().ok().filter(|side| (1..=SIDE_MAX).contains(side));
    let sides = value.split_once('x').map(|(width, height)| (side(width), side(height)));
    match sides {
        Some((Some(width), Some(height))) => Ok(Picture { width, height }),
        _ => Err(format!(
            "--size {value}: not a width and a height from 1 to {SIDE_MAX}, such as 1920x1080"
        )),
    }
}
