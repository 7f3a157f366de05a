//! The command line.

use std::ffi::OsString;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

pub(crate) const HELP: &str = "\
An HTTP server on tenter and hyper.

Usage: serve [OPTIONS] [FOLDER]

Arguments:
  [FOLDER]  The folder whose files /file/{name} gives; without it there are none

Options:
      --host <IP>                 The address to listen on [default: 127.0.0.1]
      --port <PORT>               The port to listen on, 0 for any that is free [default: 8080]
      --workers <N>               Threads that run tasks [default: one for each processor]
      --header-timeout <SECONDS>  How long a request may take to arrive [default: 10]
  -h, --help                      Print this help

It prints the address once it listens. Ctrl-C finishes the requests at hand, then stops; a second
Ctrl-C stops at once.
";

/// What the command line asks for.
#[derive(Debug)]
pub(crate) struct Args {
    pub(crate) address: SocketAddr,
    pub(crate) workers: Option<usize>,
    pub(crate) header_timeout: Duration,
    pub(crate) folder: Option<PathBuf>,
}

impl Args {
    /// Reads the arguments after the program's name; `Ok(None)` if they ask for help.
    pub(crate) fn parse(arguments: impl Iterator<Item = OsString>) -> Result<Option<Args>, String> {
        let mut arguments = arguments;
        let mut host = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let mut port = 8080;
        let mut workers = None;
        let mut header_timeout = Duration::from_secs(10);
        let mut folder = None;
        let mut options = true;
        while let Some(argument) = arguments.next() {
            let text = argument.to_str().unwrap_or_default();
            if !options || !text.starts_with('-') {
                if folder.replace(PathBuf::from(&argument)).is_some() {
                    return Err(format!("a second folder, {argument:?}: there can be one"));
                }
                continue;
            }
            let (option, value) = match text.split_once('=') {
                Some((option, value)) => (option, Some(value.to_owned())),
                None => (text, None),
            };
            let mut value = || {
                let next = || arguments.next()?.into_string().ok();
                let missing = || format!("{option} needs a value");
                value.clone().or_else(next).ok_or_else(missing)
            };
            match option {
                "--" => options = false,
                "-h" | "--help" => return Ok(None),
                "--host" => host = parse(option, &value()?, "an IP address")?,
                "--port" => port = parse(option, &value()?, "a port from 0 to 65535")?,
                "--workers" => match parse(option, &value()?, "a number of at least 1")? {
                    0 => return Err("--workers 0: a server needs at least one".to_owned()),
                    count => workers = Some(count),
                },
                "--header-timeout" => header_timeout = seconds(option, &value()?)?,
                _ => return Err(format!("unknown option {option}")),
            }
        }
        let address = SocketAddr::new(host, port);
        Ok(Some(Args { address, workers, header_timeout, folder }))
    }
}

fn parse<T: std::str::FromStr>(option: &str, value: &str, wanted: &str) -> Result<T, String> {
    value.parse().map_err(|_| format!("{option} {value}: not {wanted}"))
}

/// Parses a time of more than nothing and at most an hour.
fn seconds(option: &str, value: &str) -> Result<Duration, String> {
    match value.parse::<f64>() {
        Ok(seconds) if seconds > 0.0 && seconds <= 3600.0 => Ok(Duration::from_secs_f64(seconds)),
        _ => Err(format!("{option} {value}: not a number of seconds from 0 to 3600")),
    }
}
