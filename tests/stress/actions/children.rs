//! Child processes.

use std::io;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_lite::future::zip;
use tenter::io::{AsyncReadExt, AsyncWriteExt};
use tenter::process::{Child, Command, Stdio};
use tenter::time::timeout;

use crate::ensure;
use crate::plan::ChildKind;
use crate::random::Pattern;
use crate::world::Ctx;

use super::expect_io;

pub(super) async fn has_child(ctx: Ctx, seed: u64, kind: ChildKind) {
    ctx.world.has_children.store(true, Ordering::Relaxed);
    let done = match kind {
        ChildKind::Cat(bytes) => cat(&ctx, seed, bytes).await,
        ChildKind::Exits(code) => exits(code).await,
        ChildKind::Killed(after) => killed(after).await,
    };
    let _unless_it_ends = expect_io(&ctx, "a child process", done);
}

fn command(program: &str) -> Command {
    let mut command = Command::new(program);
    // Nothing of a program shall be left.
    command.kill_on_drop(true).stdin(Stdio::null()).stdout(Stdio::null());
    command
}

async fn cat(ctx: &Ctx, seed: u64, bytes: u32) -> io::Result<()> {
    let mut child = command("cat").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let (Some(mut stdin), Some(mut stdout)) = (child.stdin.take(), child.stdout.take()) else {
        return Err(io::Error::other("there are no pipes"));
    };
    let sent = Pattern::new(seed).take(bytes as usize);
    let write = async {
        let written = stdin.write_all(&sent).await;
        drop(stdin);
        written
    };
    let mut received = Vec::new();
    let (written, read) = zip(write, stdout.read_to_end(&mut received)).await;
    written.and(read)?;
    ensure!(received == sent, "{} of {bytes} bytes came back from cat", received.len());
    ctx.world.bytes.fetch_add(received.len() as u64, Ordering::Relaxed);
    expect_code(child, 0).await
}

async fn exits(code: u8) -> io::Result<()> {
    expect_code(command("sh").arg("-c").arg(format!("exit {code}")).spawn()?, code).await
}

async fn expect_code(mut child: Child, code: u8) -> io::Result<()> {
    let status = child.wait().await?;
    ensure!(status.code() == Some(code.into()), "{status} in the place of {code}");
    Ok(())
}

/// It would sleep for longer than anybody waits.
async fn killed(after: Duration) -> io::Result<()> {
    let mut child = command("sleep").arg("1000").spawn()?;
    match timeout(after, child.wait()).await {
        Ok(status) => Err(io::Error::other(format!("sleep ended: {status:?}"))),
        Err(_) => child.kill().await,
    }
}
