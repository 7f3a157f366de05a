//! To read a file is to wait for it, and other tasks run meanwhile.
//!
//! asyncio has no files: `open` in a coroutine blocks the loop, and `to_thread` is the way out.
//! `tenter::fs` goes that way for you: what has to wait, waits on a thread of the blocking pool.
//!
//! ```python
//! import asyncio, pathlib, tempfile
//!
//! async def main():
//!     with tempfile.TemporaryDirectory() as folder:
//!         path = pathlib.Path(folder, "poem")
//!         await asyncio.to_thread(path.write_text, "so much depends upon")
//!         reading = asyncio.create_task(asyncio.to_thread(path.read_text))
//!         print("something else")
//!         print(await reading)
//!
//! asyncio.run(main())
//! ```

mod log;
#[cfg(test)]
mod play;

use std::io;
use std::path::Path;

use log::Log;
use tenter::fs;

/// Reads `path` in a task, and lets `meanwhile` run.
async fn lesson(
    log: &Log,
    path: &Path,
    meanwhile: impl AsyncFnOnce() -> io::Result<()>,
) -> io::Result<()> {
    let path = path.to_owned();
    let reading = tenter::spawn(async move { fs::read_to_string(path).await });
    log.say("something else");
    meanwhile().await?;
    log.say(reading.await??);
    Ok(())
}

fn main() -> io::Result<()> {
    tenter::run(async {
        let path = std::env::temp_dir().join(format!("tenter-poem-{}", std::process::id()));
        fs::write(&path, "so much depends upon").await?;
        let outcome = lesson(&Log::default(), &path, async || Ok(())).await;
        fs::remove_file(&path).await?;
        outcome
    })?
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use rustix::fs::{CWD, FileType, Mode, mknodat};

    use super::play::play;
    use super::*;

    #[test]
    fn a_file_that_keeps_its_reader_waiting_keeps_no_task_waiting() {
        let log = Log::default();
        let path = std::env::temp_dir().join(format!("tenter-poem-test-{}", std::process::id()));
        // To read a pipe is to wait until somebody writes to it.
        mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        let outcome = play(lesson(&log, &path, async || fs::write(&path, "a red wheel").await));
        std::fs::remove_file(&path).unwrap();
        outcome.unwrap();
        assert_eq!(log.lines(), ["something else", "a red wheel"]);
    }
}
