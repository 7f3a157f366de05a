//! What the pages say, and the response they are.

use std::io;

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::StatusCode;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use tenter::runtime::RuntimeMetrics;

/// The body of every response: in memory, or read from a file as it goes.
pub(crate) type Body = UnsyncBoxBody<Bytes, io::Error>;
pub(crate) type Response = hyper::Response<Body>;

pub(crate) const INDEX: &str = "\
<!DOCTYPE html>
<html lang=\"en\">
<head><meta charset=\"utf-8\"><title>tenter</title></head>
<body>
<h1>This is the example server of tenter</h1>
<p>It is an HTTP server made of hyper 1 and tenter, a multi-threaded async runtime for Rust.</p>
<ul>
<li><code>/sleep/{ms}</code> answers after that many milliseconds, at most 60000</li>
<li><code>/file/{name}</code> streams a file of the folder that was given on the command line</li>
<li><code>/hash/{n}</code> hashes n numbers, at most 100000000, in the blocking pool</li>
<li><code><a href=\"/metrics\">/metrics</a></code> has the runtime's counters, for Prometheus</li>
</ul>
</body>
</html>
";

/// A page of HTML.
pub(crate) fn html(page: &'static str) -> Response {
    respond(StatusCode::OK, "text/html; charset=utf-8", page.into())
}

/// A line of plain text.
pub(crate) fn text(status: StatusCode, line: impl Into<String>) -> Response {
    respond(status, "text/plain; charset=utf-8", (line.into() + "\n").into())
}

/// The runtime's counters, in the text format of Prometheus.
pub(crate) fn metrics(metrics: &RuntimeMetrics) -> Response {
    let m = metrics;
    let gauges = [
        ("workers", "Threads that run tasks.", m.workers()),
        ("live_tasks", "Tasks that have not ended.", m.live_tasks()),
        ("queued_tasks", "Tasks in queues, about to be polled.", m.queued_tasks()),
        ("blocking_threads", "Threads of the blocking pool.", m.blocking_threads()),
        ("blocking_idle_threads", "Those that wait for work.", m.blocking_idle_threads()),
        ("blocking_queued", "Closures that wait for a thread.", m.blocking_queued()),
    ];
    let counters = [
        ("injected", "Tasks that became due on a thread that was no worker.", m.injected()),
        ("polls", "Polls of tasks.", m.polls()),
        ("steals", "Times a worker took tasks from another's queue.", m.steals()),
        ("parks", "Times a worker slept.", m.parks()),
        ("wakes", "Times a worker woke another to look for work.", m.wakes()),
        ("noop_wakes", "Times a worker was woken so and found none.", m.noop_wakes()),
        ("driver_turns", "Turns of the I/O and timer driver.", m.driver_turns()),
    ];
    let mut page = String::new();
    for (name, help, value) in gauges {
        let name = format!("tenter_{name}");
        page += &format!("# HELP {name} {help}\n# TYPE {name} gauge\n{name} {value}\n");
    }
    for (name, help, value) in counters {
        let name = format!("tenter_{name}_total");
        page += &format!("# HELP {name} {help}\n# TYPE {name} counter\n{name} {value}\n");
    }
    respond(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", page.into())
}

fn respond(status: StatusCode, content_type: &'static str, body: Bytes) -> Response {
    let body = Full::new(body).map_err(|never| match never {}).boxed_unsync();
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
