//! Files, whose calls the blocking pool does.

use std::io::{self, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use tenter::fs::{self, File};
use tenter::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt};

use crate::ensure;
use crate::random::{Pattern, Random};
use crate::world::Ctx;

use super::expect_io;

/// A file that goes with the value.
struct Place(PathBuf);

impl Place {
    fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("stress-{}-{number}", std::process::id());
        Self(Path::new(env!("CARGO_TARGET_TMPDIR")).join(name))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // It was never made, if its action was given up before.
        let _either = std::fs::remove_file(&self.0);
    }
}

/// Writes a file by pieces, and reads it again.
pub(super) async fn has_file(ctx: Ctx, seed: u64, bytes: u32) {
    let path = Place::new();
    if let Some(count) = expect_io(&ctx, "a file", write_and_read(&path.0, seed, bytes).await) {
        ensure!(count == u64::from(bytes), "a file of {bytes} bytes has {count}");
        ctx.world.bytes.fetch_add(count, Ordering::Relaxed);
    }
}

async fn write_and_read(path: &Path, seed: u64, bytes: u32) -> io::Result<u64> {
    let (mut pattern, mut random) = (Pattern::new(seed), Random::new(seed));
    let mut file = File::options().read(true).write(true).create(true).open(path).await?;
    let mut left = bytes as usize;
    while left > 0 {
        let count = (1 + random.skewed(60_000) as usize).min(left);
        file.write_all(&pattern.take(count)).await?;
        left -= count;
    }
    if random.one_in(2) {
        drop(file);
        let read = fs::read(path).await?;
        ensure!(Pattern::new(seed).continues_with(&read), "a file has other bytes");
        return Ok(read.len() as u64);
    }
    file.seek(SeekFrom::Start(0)).await?;
    let (mut pattern, mut sum) = (Pattern::new(seed), 0);
    let mut buffer = vec![0; 1 + random.skewed(20_000) as usize];
    loop {
        match file.read(&mut buffer).await? {
            0 => return Ok(sum),
            count => {
                let is_next = pattern.continues_with(&buffer[..count]);
                ensure!(is_next, "a file has other bytes after {sum} of them");
                sum += count as u64;
            }
        }
    }
}
