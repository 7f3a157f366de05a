//! One connection: hyper's HTTP/1, with what hyper leaves to its user.

use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::time::Duration;

use futures_lite::future;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::{Body, Incoming};
use hyper::header::{CONNECTION, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, StatusCode};
use tenter::io::AsyncWriteExt;
use tenter::net::TcpStream;
use tenter::time::timeout;
use tenter_adapters::hyper::{TenterIo, TenterTimer};

use crate::Site;
use crate::page::{Response, text};

/// Bounds of a request: what is larger is refused, with 431 and 413.
const HEAD_BYTES_MAX: usize = 16 * 1024;
const BODY_BYTES_MAX: usize = 64 * 1024;

/// How long a closed connection is still read from, so that the response is not lost to a reset.
const LINGER: Duration = Duration::from_secs(2);

/// Answers the requests of one connection, and closes it.
pub(crate) async fn serve(stream: TcpStream, site: &Site) {
    // Without it a small response may wait for an acknowledgement; it is no loss if it fails.
    let _ = stream.set_nodelay(true);
    let mut http = http1::Builder::new();
    http.timer(TenterTimer::new()).header_read_timeout(site.header_timeout);
    http.max_header_size(HEAD_BYTES_MAX);
    let service = service_fn(|request| {
        Box::pin(async move { Ok::<_, Infallible>(answer(request, site).await) })
    });
    let mut connection = http.serve_connection(TenterIo::new(stream), service);

    let mut stopping = pin!(site.stopping.recv());
    let mut told = false;
    let result = future::poll_fn(|cx| {
        if !told && stopping.as_mut().poll(cx).is_ready() {
            told = true;
            Pin::new(&mut connection).graceful_shutdown();
        }
        connection.poll_without_shutdown(cx)
    })
    .await;

    let parts = connection.into_parts();
    let mut stream = parts.io.into_inner();
    // hyper gives up on a head that is too slow, without a word to the client. A connection on
    // which nothing of a request has come is idle, and ends in silence.
    if result.is_err_and(|error| error.is_timeout()) && !parts.read_buf.is_empty() {
        let head = "HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
        let _ = stream.write_all(head.as_bytes()).await;
    }
    // A socket closed with bytes unread resets the connection, and the client may lose the
    // response: so the write half ends first, and what still comes is thrown away for a while.
    let _ = timeout(LINGER, async {
        stream.close().await?;
        tenter::io::copy(&mut stream, &mut tenter::io::sink()).await
    })
    .await;
}

/// Answers one request.
async fn answer(request: Request<Incoming>, site: &Site) -> Response {
    let (head, body) = request.into_parts();
    if let Err((status, why)) = discard(body, site.header_timeout).await {
        let mut response = text(status, why);
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        return response;
    }
    crate::route(&head, site).await
}

/// Reads the body to its end and forgets it: no page has a use for one.
async fn discard(body: Incoming, time: Duration) -> Result<(), (StatusCode, &'static str)> {
    if body.is_end_stream() {
        return Ok(());
    }
    let too_large = (StatusCode::PAYLOAD_TOO_LARGE, "the body is too large");
    if body.size_hint().lower() > BODY_BYTES_MAX as u64 {
        return Err(too_large);
    }
    let mut body = Limited::new(body, BODY_BYTES_MAX);
    let to_the_end = async {
        while let Some(frame) = body.frame().await {
            match frame {
                Ok(_) => {}
                Err(error) if error.is::<LengthLimitError>() => return Err(too_large),
                Err(_) => return Err((StatusCode::BAD_REQUEST, "the body is broken")),
            }
        }
        Ok(())
    };
    let too_slow = (StatusCode::REQUEST_TIMEOUT, "the body is too slow");
    timeout(time, to_the_end).await.unwrap_or(Err(too_slow))
}
