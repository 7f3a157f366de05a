//! [hyper 1](https://docs.rs/hyper/1)'s `rt` traits for `tenter`: streams, tasks and timers.
//!
//! hyper names no runtime. It asks for a stream that is [`Read`](::hyper::rt::Read) and
//! [`Write`](::hyper::rt::Write), for an [`Executor`](::hyper::rt::Executor) where it has tasks of its own
//! (HTTP/2), and for a [`Timer`](::hyper::rt::Timer) where it has timeouts:
//!
//! | hyper asks for | give it |
//! |---|---|
//! | a connection | [`TenterIo`] around a stream |
//! | an executor | [`TenterExecutor`] |
//! | a timer | [`TenterTimer`] |
//!
//! # Examples
//!
//! A server and a client in one process, over a real socket:
//!
//! ```
//! use http_body_util::{BodyExt, Empty, Full};
//! use hyper::body::{Bytes, Incoming};
//! use hyper::{Request, Response, service::service_fn};
//! use tenter::net::{TcpListener, TcpStream};
//! use tenter_adapters::hyper::{TenterIo, TenterTimer};
//!
//! async fn hello(_: Request<Incoming>) -> Result<Response<Full<Bytes>>, hyper::Error> {
//!     Ok(Response::new(Full::from("hello")))
//! }
//!
//! #[tenter::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let listener = TcpListener::bind("127.0.0.1:0").await?;
//!     let address = listener.local_addr()?;
//!     let server = tenter::spawn(async move {
//!         let (stream, _) = listener.accept().await.unwrap();
//!         hyper::server::conn::http1::Builder::new()
//!             .timer(TenterTimer::new())
//!             .serve_connection(TenterIo::new(stream), service_fn(hello))
//!             .await
//!     });
//!
//!     let stream = TcpStream::connect(address).await?;
//!     let (mut client, connection) =
//!         hyper::client::conn::http1::handshake(TenterIo::new(stream)).await?;
//!     let connection = tenter::spawn(connection);
//!     let request = Request::get("/").header("host", "localhost").body(Empty::<Bytes>::new())?;
//!     let body = client.send_request(request).await?.into_body().collect().await?;
//!     assert_eq!(body.to_bytes(), "hello");
//!
//!     drop(client);
//!     connection.await??;
//!     server.await??;
//!     Ok(())
//! }
//! ```

#[forbid(unsafe_code)]
mod executor;
mod io;
#[forbid(unsafe_code)]
mod timer;

pub use executor::TenterExecutor;
pub use io::TenterIo;
pub use timer::TenterTimer;
