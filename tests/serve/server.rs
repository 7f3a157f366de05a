//! The example server as a process of its own, and what talks to it.

use std::fs;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::{Child, ChildStderr, ChildStdout, Command, ExitStatus, Output, Stdio};
use std::sync::Mutex;
use std::time::Duration;

use rustix::process::{Pid, Signal};

use crate::example::{Run, without_reports};
use crate::watchdog::{self, Watchdog};

/// Every server that runs: a test that hangs must not leave its own behind.
static RUNNING: Mutex<Vec<Pid>> = Mutex::new(Vec::new());

/// Starts the watchdog of a test.
pub(crate) fn limit() -> Watchdog {
    watchdog::start(Duration::from_secs(120), || {
        for pid in RUNNING.lock().unwrap().drain(..) {
            let _ = rustix::process::kill_process(pid, Signal::KILL);
        }
    })
}

/// A server that listens.
#[derive(Debug)]
pub(crate) struct Server {
    run: Run,
    child: Child,
    stdout: Option<BufReader<ChildStdout>>,
    stderr: ChildStderr,
    port: u16,
}

impl Server {
    /// Starts the server on a free port, and waits until it listens.
    pub(crate) fn start(args: &[&str]) -> Server {
        let (run, mut command) = Run::new("serve");
        command.args(["--port", "0"]).args(args);
        let mut child = command.spawn().expect("the server starts");
        RUNNING.lock().unwrap().push(Pid::from_child(&child));
        let stdout = child.stdout.take().map(BufReader::new);
        let stderr = child.stderr.take().expect("stderr is piped");
        let mut server = Server { run, child, stdout, stderr, port: 0 };
        let line = server.line();
        let Some(port) = line.strip_prefix("listening on http://127.0.0.1:") else {
            panic!("the server said {line:?}, and {:?}", server.wait());
        };
        server.port = port.parse().expect("the server prints its port");
        server
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// Reads the next line that the server prints, without its end.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        let stdout = self.stdout.as_mut().expect("the output is open");
        stdout.read_line(&mut line).expect("the server prints text");
        line.trim_end().to_owned()
    }

    /// Closes the pipe that the server prints to.
    pub(crate) fn close_output(&mut self) {
        self.stdout = None;
    }

    /// Returns the ids of the worker processes that live.
    pub(crate) fn workers(&self) -> Vec<i32> {
        self.run.workers()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        rustix::process::kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits until the server has ended, and returns what it said on standard error.
    pub(crate) fn wait(&mut self) -> (ExitStatus, String) {
        let mut said = String::new();
        self.stderr.read_to_string(&mut said).expect("the server prints text");
        let status = self.child.wait().unwrap();
        (status, without_reports(&said))
    }

    pub(crate) fn connect(&self) -> Connection {
        Connection::new(self.port)
    }

    /// Sends bytes on a connection of their own, and returns all that comes until its end.
    pub(crate) fn exchange(&self, bytes: &[u8]) -> String {
        let mut connection = self.connect();
        connection.send(bytes);
        connection.rest()
    }

    /// Runs curl for one path of this server.
    pub(crate) fn curl(&self, args: &[&str], path: &str) -> Page {
        let format = "%{stderr}%{http_code} %{content_type}";
        let output = curl(args, &["--write-out", format, &self.url(path)]);
        let said = String::from_utf8(output.stderr).expect("curl prints text");
        let (status, content_type) = said.split_once(' ').unwrap_or((&said, ""));
        let status = status.parse().unwrap_or_else(|_| panic!("curl said {said:?}"));
        Page { status, content_type: content_type.to_owned(), body: output.stdout }
    }

    /// Gets one page with curl.
    pub(crate) fn get(&self, path: &str) -> Page {
        self.curl(&["--path-as-is"], path)
    }

    /// Returns a counter of `/metrics`.
    pub(crate) fn metric(&self, name: &str) -> u64 {
        let page = self.get("/metrics").text();
        let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {name} in {page}")).parse().unwrap()
    }

    /// Returns the most memory that the server ever had, in KiB.
    pub(crate) fn memory_kib_max(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let line = line.and_then(|line| line.trim().strip_suffix(" kB"));
        line.expect("Linux knows the peak").parse().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let pid = Pid::from_child(&self.child);
        RUNNING.lock().unwrap().retain(|running| *running != pid);
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What curl got.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) status: u16,
    pub(crate) content_type: String,
    pub(crate) body: Vec<u8>,
}

impl Page {
    pub(crate) fn text(self) -> String {
        String::from_utf8(self.body).expect("the page is text")
    }
}

/// Runs curl, and fails the test if curl is not there or does not get through.
pub(crate) fn curl(args: &[&str], more: &[&str]) -> Output {
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--show-error", "--noproxy", "*", "--max-time", "100"]);
    let output = match curl.args(args).args(more).stdin(Stdio::null()).output() {
        Ok(output) => output,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            panic!("curl is missing, and it is the client of these tests: `apt-get install curl`")
        }
        Err(error) => panic!("curl does not start: {error}"),
    };
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "curl {args:?} {more:?}: {}, {said}", output.status);
    output
}

/// The server before it is started.
pub(crate) fn command() -> Command {
    Run::new("serve").1
}

/// A connection without an HTTP client, for what no HTTP client would send.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: BufReader<TcpStream>,
}

impl Connection {
    pub(crate) fn new(port: u16) -> Connection {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let stream = TcpStream::connect(address).expect("the server accepts");
        Connection { stream: BufReader::new(stream) }
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.stream.get_mut().write_all(bytes).expect("the server reads");
    }

    /// Sends a `GET` that keeps the connection.
    pub(crate) fn get(&mut self, path: &str) {
        self.send(format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n").as_bytes());
    }

    /// Reads the head of a response; returns its status and the length of the body.
    pub(crate) fn head(&mut self) -> (u16, u64) {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            self.stream.read_line(&mut line).expect("the head is text");
            match line.trim_end() {
                "" => break,
                line => lines.push(line.to_ascii_lowercase()),
            }
        }
        let status = lines.first().and_then(|line| line.strip_prefix("http/1.1 ")?.get(..3));
        let status = status.unwrap_or_else(|| panic!("no HTTP/1.1: {lines:?}"));
        let length = lines.iter().find_map(|line| line.strip_prefix("content-length: "));
        let length = length.unwrap_or_else(|| panic!("no length: {lines:?}"));
        (status.parse().unwrap(), length.parse().unwrap())
    }

    /// Reads one response.
    pub(crate) fn response(&mut self) -> (u16, String) {
        let (status, length) = self.head();
        let body = self.bytes(length as usize);
        (status, String::from_utf8(body).expect("the body is text"))
    }

    pub(crate) fn bytes(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        self.stream.read_exact(&mut bytes).expect("the whole body comes");
        bytes
    }

    /// Reads what comes until the server ends the connection.
    pub(crate) fn rest(&mut self) -> String {
        let mut rest = Vec::new();
        self.stream.read_to_end(&mut rest).expect("the connection ends without a reset");
        String::from_utf8(rest).expect("the response is text")
    }
}
