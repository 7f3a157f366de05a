//! The example of the process pool, run as a user runs it.

mod example;
mod watchdog;

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ExitStatus, Output, Stdio};
use std::sync::Mutex;
use std::time::Duration;

use example::{Run, TempFolder, without_reports};
use rustix::process::{Pid, Signal};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use watchdog::Watchdog;

/// Every example that is at work: a test that hangs must not leave its own behind.
static AT_WORK: Mutex<Vec<Pid>> = Mutex::new(Vec::new());

fn limit() -> Watchdog {
    watchdog::start(Duration::from_secs(120), || {
        for pid in AT_WORK.lock().unwrap().drain(..) {
            let _ = rustix::process::kill_process(pid, Signal::KILL);
        }
    })
}

/// A picture that takes minutes, so that whatever a test does to it is done in the middle.
const LARGE: [&str; 4] = ["--size", "8192x8192", "--workers", "4"];

/// Runs the example to its end.
fn run(args: &[&str]) -> (Run, Output) {
    let (run, mut command) = Run::new("jobs");
    let output = command.args(args).output().expect("the example starts");
    (run, output)
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).expect("the example prints text")
}

/// Returns the names in the folder.
fn names(folder: &TempFolder) -> Vec<String> {
    let entries = fs::read_dir(folder.path("")).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// An example that is at work on a large picture.
struct AtWork {
    run: Run,
    child: Child,
}

impl AtWork {
    /// Starts it, and waits until all of its workers are there.
    fn start(out: &str) -> AtWork {
        let (run, mut command) = Run::new("jobs");
        let mut child = command.args(LARGE).args(["--out", out]).spawn().unwrap();
        AT_WORK.lock().unwrap().push(Pid::from_child(&child));
        let mut line = String::new();
        let stdout = child.stdout.take().expect("stdout is piped");
        BufReader::new(stdout).read_line(&mut line).unwrap();
        let at_work = AtWork { run, child };
        assert!(line.starts_with("rendering 8192 x 8192 pixels in 16384 tiles"), "{line}");
        while at_work.run.workers().len() < 4 {}
        at_work
    }

    fn signal(&self, signal: Signal) {
        rustix::process::kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits until it has ended; returns also what it said on standard error.
    fn wait(&mut self) -> (ExitStatus, String) {
        let mut said = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        (self.child.wait().unwrap(), without_reports(&said))
    }
}

impl Drop for AtWork {
    fn drop(&mut self) {
        let pid = Pid::from_child(&self.child);
        AT_WORK.lock().unwrap().retain(|at_work| *at_work != pid);
        // Its workers follow it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn the_picture_is_a_png_of_the_size_asked_for() {
    let _limit = limit();
    let folder = TempFolder::new("jobs-picture");
    for (size, width, height) in [("200x130", 200, 130), ("1x1", 1, 1), ("64x65", 64, 65)] {
        let out = folder.path("picture.png");
        let args = ["--workers", "2", "--size", size, "--out", out.to_str().unwrap()];
        let (run, output) = run(&args);
        assert!(output.status.success(), "{output:?}");
        assert_eq!(without_reports(&text(output.stderr)), "");
        assert_eq!(run.workers(), []);
        assert_eq!(names(&folder), ["picture.png"]);

        let decoder = png::Decoder::new(BufReader::new(File::open(out).unwrap()));
        let mut reader = decoder.read_info().expect("the picture is a PNG");
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut pixels).expect("the pixels are there");
        assert_eq!((info.width, info.height), (width, height));
        assert_eq!(reader.info().palette.as_ref().unwrap().len(), 3 * 256);
        // The middle is in the set, and all corners are outside.
        let pixel = |row: u32, column: u32| pixels[(row * width + column) as usize];
        assert_eq!(pixel(height / 2, width / 2), 0);
        if width > 1 {
            for (row, column) in [(0, 0), (0, width - 1), (height - 1, 0), (height - 1, width - 1)]
            {
                assert_ne!(pixel(row, column), 0, "row {row}, column {column}");
            }
        }
    }
}

#[test]
fn the_picture_does_not_depend_on_the_number_of_workers() {
    let _limit = limit();
    let folder = TempFolder::new("jobs-workers");
    let pictures = ["1", "3"].map(|workers| {
        let out = format!("{}/{workers}.png", folder.as_str());
        let (_, output) = run(&["--size=150x100", "--workers", workers, "--out", &out]);
        assert!(output.status.success(), "{output:?}");
        fs::read(out).unwrap()
    });
    assert!(pictures[0] == pictures[1]);
}

#[test]
fn without_a_terminal_progress_is_plain_lines() {
    let _limit = limit();
    let folder = TempFolder::new("jobs-lines");
    let out = format!("{}/picture.png", folder.as_str());
    let (_, output) = run(&["--size", "640x480", "--out", &out]);
    let said = text(output.stdout);
    assert!(!said.contains(['\r', '\x1b']), "{said}");
    let lines: Vec<_> = said.lines().collect();
    assert_eq!(lines.first(), Some(&"rendering 640 x 480 pixels in 80 tiles"));
    let last = lines.last().unwrap();
    assert!(last.starts_with(&format!("{out} is ready after ")), "{last}");
    for line in &lines[1..lines.len() - 1] {
        assert!(line.contains(" %, ") && line.ends_with(" of 80 tiles"), "{line}");
    }
}

#[test]
fn on_a_terminal_progress_is_a_bar_that_is_wiped_off() {
    let _limit = limit();
    let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&terminal).unwrap();
    unlockpt(&terminal).unwrap();
    let name = ptsname(&terminal, Vec::new()).unwrap().into_string().unwrap();
    let side = File::options().read(true).write(true).open(name).unwrap();

    let folder = TempFolder::new("jobs-terminal");
    let (_, mut command) = Run::new("jobs");
    command.args(["--size", "200x100", "--out", &format!("{}/picture.png", folder.as_str())]);
    let mut child = command.stdout(side).stderr(Stdio::null()).spawn().unwrap();
    // It holds the terminal's other side.
    drop(command);
    let mut said = Vec::new();
    // A terminal whose other side is closed gives an error for an end.
    let _ = File::from(terminal).read_to_end(&mut said);
    assert!(child.wait().unwrap().success());
    let said = text(said);
    assert!(said.contains("\r[........"), "{said:?}");
    let (_, behind) = said.rsplit_once("\r\x1b[K").unwrap_or_else(|| panic!("{said:?}"));
    assert!(behind.contains("is ready after") && !behind.contains('['), "{said:?}");
}

#[test]
fn ctrl_c_stops_it_at_once_and_leaves_nothing_behind() {
    let _limit = limit();
    for (signal, status) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let folder = TempFolder::new("jobs-ctrl-c");
        folder.write("old.png", b"an old picture");
        for name in ["new.png", "old.png"] {
            let mut at_work = AtWork::start(&format!("{}/{name}", folder.as_str()));
            at_work.signal(signal);
            let (ended, said) = at_work.wait();
            assert_eq!(ended.code(), Some(status), "{said}");
            assert!(said.starts_with("jobs: stopped by SIG"), "{said}");
            assert_eq!(at_work.run.workers(), []);
            assert_eq!(names(&folder), ["old.png"]);
            assert_eq!(fs::read(folder.path("old.png")).unwrap(), b"an old picture");
        }
    }
}

#[test]
fn a_worker_that_is_killed_fails_it_and_leaves_nothing_behind() {
    let _limit = limit();
    let folder = TempFolder::new("jobs-killed");
    let mut at_work = AtWork::start(&format!("{}/picture.png", folder.as_str()));
    // The first of them that has a job is the end; one without is replaced.
    while at_work.child.try_wait().unwrap().is_none() {
        if let Some(worker) = at_work.run.workers().into_iter().min() {
            let _ = rustix::process::kill_process(Pid::from_raw(worker).unwrap(), Signal::KILL);
        }
    }
    let (ended, said) = at_work.wait();
    assert_eq!(ended.code(), Some(1), "{said}");
    assert!(said.starts_with("jobs: ") && said.contains("SIGKILL"), "{said}");
    assert_eq!(at_work.run.workers(), []);
    assert_eq!(names(&folder), [""; 0]);
}

#[test]
fn workers_end_when_it_is_killed() {
    let _limit = limit();
    let folder = TempFolder::new("jobs-orphans");
    let mut at_work = AtWork::start(&format!("{}/picture.png", folder.as_str()));
    at_work.signal(Signal::KILL);
    assert!(!at_work.wait().0.success());
    while !at_work.run.workers().is_empty() {}
}

#[test]
fn help_says_how_to_call_it() {
    let _limit = limit();
    for option in ["--help", "-h"] {
        let (_, output) = run(&["--workers", "1", option]);
        assert!(output.status.success() && output.stderr.is_empty());
        let said = text(output.stdout);
        for word in ["Usage: jobs", "--workers", "--size", "--out", "Ctrl-C"] {
            assert!(said.contains(word), "{word} is not in {said}");
        }
    }
}

#[test]
fn bad_options_are_refused_by_name() {
    let _limit = limit();
    for (args, wrong) in [
        (&["--workers"][..], "--workers needs a value"),
        (&["--workers", "0"], "--workers 0"),
        (&["--workers", "1025"], "--workers 1025"),
        (&["--workers", "two"], "--workers two"),
        (&["--workers="], "--workers needs a value"),
        (&["--size", "0x10"], "--size 0x10"),
        (&["--size", "10x8193"], "--size 10x8193"),
        (&["--size=100"], "--size 100"),
        (&["--size=-1x1"], "--size -1x1"),
        (&["--size=1x1x1"], "--size 1x1x1"),
        (&["--out"], "--out needs a value"),
        (&["--out="], "--out needs a value"),
        (&["--wrokers", "2"], "unknown option --wrokers"),
        (&["-o", "file"], "unknown option -o"),
        (&["file"], "\"file\""),
    ] {
        let (_, output) = run(args);
        let said = text(output.stderr);
        assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0), "{args:?}: {said}");
        assert!(said.starts_with("jobs: ") && said.contains(wrong), "{args:?}: {said}");
        assert!(said.contains("--help"), "{args:?}: {said}");
    }
}

#[test]
fn a_place_that_can_not_be_written_is_refused_before_the_work() {
    let _limit = limit();
    let folder = TempFolder::new("jobs-places");
    folder.write("file", b"");
    let inside = |name: &str| format!("{}/{name}", folder.as_str());
    for out in
        [inside("no such folder/picture.png"), inside("file/picture.png"), inside(""), inside("..")]
    {
        let (_, output) = run(&["--out", &out]);
        let said = text(output.stderr);
        assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0), "{out}: {said}");
        assert!(said.starts_with(&format!("jobs: {out}: ")), "{said}");
    }
    assert_eq!(names(&folder), ["file"]);
}
