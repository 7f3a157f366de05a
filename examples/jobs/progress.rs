//! How far it is: a bar on a terminal, and else a line for each tenth.

use std::io::{self, IsTerminal, Write};

/// Characters of the whole bar.
const WIDTH: u64 = 40;

/// Shown for as long as it lives: a bar is wiped off when it is dropped.
#[derive(Debug)]
pub(crate) struct Progress {
    total: u64,
    /// Tenths that have been said, where there is no terminal.
    tenths: u64,
    terminal: bool,
}

impl Progress {
    /// `total` is at least 1.
    pub(crate) fn new(total: u64) -> Progress {
        Progress { total, tenths: 0, terminal: io::stdout().is_terminal() }
    }

    pub(crate) fn show(&mut self, done: u64) {
        let total = self.total;
        let done = done.min(total);
        let percent = done * 100 / total;
        let mut stdout = io::stdout().lock();
        // That nobody may be left to read it is no reason to stop.
        let _ = if self.terminal {
            let filled = "#".repeat((done * WIDTH / total) as usize);
            let width = WIDTH as usize;
            write!(stdout, "\r[{filled:.<width$}] {percent:3} %, {done} of {total} tiles")
        } else if percent / 10 > self.tenths {
            self.tenths = percent / 10;
            writeln!(stdout, "{percent:3} %, {done} of {total} tiles")
        } else {
            Ok(())
        };
        let _ = stdout.flush();
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.terminal {
            let mut stdout = io::stdout();
            let _ = write!(stdout, "\r\x1b[K");
            let _ = stdout.flush();
        }
    }
}
