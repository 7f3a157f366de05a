//! Each connection has a handler of its own, and the handlers overlap.
//!
//! What `asyncio.start_server` does with its callback is written out here: accept, spawn, go on.
//! One client that is slow keeps nobody waiting. Handlers run on all cores.
//!
//! ```python
//! import asyncio
//!
//! async def handle(reader, writer):
//!     name = (await reader.readline()).decode().strip()
//!     await asyncio.sleep(0.1)  # a second of a database
//!     writer.write(f"hello {name}\n".encode())
//!     writer.close()
//!
//! async def ask(port, name):
//!     reader, writer = await asyncio.open_connection("127.0.0.1", port)
//!     writer.write(f"{name}\n".encode())
//!     print((await reader.read()).decode().strip())
//!     writer.close()
//!
//! async def main():
//!     async with await asyncio.start_server(handle, "127.0.0.1", 0) as server:
//!         port = server.sockets[0].getsockname()[1]
//!         await asyncio.gather(*(ask(port, name) for name in ("anna", "bert", "cora")))
//!
//! asyncio.run(main())
//! ```

mod clock;
#[cfg(test)]
mod play;

use std::io;
use std::net::SocketAddr;

use clock::{Clock, SECOND};
use tenter::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tenter::net::{TcpListener, TcpStream};

async fn handle(mut stream: TcpStream, clock: Clock) -> io::Result<()> {
    let mut name = String::new();
    BufReader::new(&stream).read_line(&mut name).await?;
    // What a database would take.
    clock.sleep(SECOND).await;
    stream.write_all(format!("hello {}", name.trim_end()).as_bytes()).await?;
    stream.close().await
}

async fn serve(listener: TcpListener, clock: Clock) -> io::Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        // An error is this client's alone.
        tenter::task::spawn_detached(handle(stream, clock.clone()));
    }
}

async fn ask(server: SocketAddr, name: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect(server).await?;
    stream.write_all(format!("{name}\n").as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

async fn lesson(clock: &Clock) -> io::Result<Vec<String>> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let server = tenter::spawn(serve(listener, clock.clone()));
    let clients = ["anna", "bert", "cora"].map(|name| tenter::spawn(ask(address, name)));
    let mut answers = Vec::new();
    for client in clients {
        answers.push(client.await??);
    }
    server.cancel().await;
    Ok(answers)
}

fn main() -> io::Result<()> {
    tenter::run(async {
        let clock = Clock::real();
        for answer in lesson(&clock).await? {
            println!("{answer}");
        }
        println!("after {} s", clock.seconds());
        Ok(())
    })?
}

#[cfg(test)]
mod tests {
    use super::play::play;
    use super::*;

    #[test]
    fn three_requests_of_a_second_take_one_second() {
        let clock = Clock::stepped();
        // The three handlers are in their sleep at once.
        let answers = play(clock.steps(&[3], lesson(&clock))).unwrap();
        assert_eq!(answers, ["hello anna", "hello bert", "hello cora"]);
        assert_eq!(clock.seconds(), 1);
    }

    #[test]
    fn a_client_that_says_nothing_keeps_nobody_waiting() {
        let clock = Clock::stepped();
        let all = async {
            let listener = TcpListener::bind("127.0.0.1:0").await?;
            let address = listener.local_addr()?;
            let server = tenter::spawn(serve(listener, clock.clone()));
            let silent = TcpStream::connect(address).await?;
            assert_eq!(ask(address, "dora").await?, "hello dora");
            drop(silent);
            server.cancel().await;
            io::Result::Ok(())
        };
        play(clock.steps(&[1], all)).unwrap();
    }
}
