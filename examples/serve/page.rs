//! What the pages say, and the response they are.

use std::fmt::Display;
use std::io;

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::StatusCode;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use tenter::jobs::PoolMetrics;
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
<li><code>/hash/{n}</code> hashes n numbers, at most 100000000, in a process of its own</li>
<li><code><a href=\"/crash\">/crash</a></code> crashes, in such a process</li>
<li><code><a href=\"/metrics\">/metrics</a></code> has the counters, for Prometheus</li>
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

/// The counters of the runtime and of the pool, in the text format of Prometheus.
pub(crate) fn metrics(runtime: &RuntimeMetrics, jobs: &PoolMetrics) -> Response {
    let page = of_runtime(runtime) + &of_jobs(jobs);
    respond(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", page.into())
}

fn of_runtime(m: &RuntimeMetrics) -> String {
    [
        gauge("workers", "Threads that run tasks.", m.workers()),
        gauge("live_tasks", "Tasks that have not ended.", m.live_tasks()),
        gauge("queued_tasks", "Tasks in queues, about to be polled.", m.queued_tasks()),
        gauge("blocking_threads", "Threads of the blocking pool.", m.blocking_threads()),
        gauge("blocking_idle_threads", "Those that wait for work.", m.blocking_idle_threads()),
        gauge("blocking_queued", "Closures that wait for a thread.", m.blocking_queued()),
        counter("injected", "Tasks that became due on a thread that was no worker.", m.injected()),
        counter("polls", "Polls of tasks.", m.polls()),
        counter("steals", "Times a worker took tasks from another's queue.", m.steals()),
        counter("parks", "Times a worker slept.", m.parks()),
        counter("wakes", "Times a worker woke another to look for work.", m.wakes()),
        counter("noop_wakes", "Times a worker was woken so and found none.", m.noop_wakes()),
        counter("driver_turns", "Turns of the I/O and timer driver.", m.driver_turns()),
    ]
    .concat()
}

fn of_jobs(m: &PoolMetrics) -> String {
    let died = "Workers that a signal has ended, by its number.";
    let died = m.deaths_by_signal().into_iter().fold(
        described("jobs_deaths_by_signal_total", died, "counter"),
        |page, (signal, deaths)| {
            page + &format!("tenter_jobs_deaths_by_signal_total{{signal=\"{signal}\"}} {deaths}\n")
        },
    );
    [
        gauge("jobs_workers", "Worker processes.", m.workers()),
        gauge("jobs_idle_workers", "Those that wait for a job.", m.idle()),
        gauge("jobs_queued", "Jobs that wait for a worker.", m.queued()),
        gauge("jobs_running", "Jobs that run.", m.running()),
        counter("jobs_submitted", "Jobs that were submitted.", m.submitted()),
        counter("jobs_completed", "Jobs that gave a result.", m.completed()),
        counter("jobs_failed", "Jobs that ended in an error.", m.failed()),
        counter("jobs_cancelled", "Jobs that nobody waited for any more.", m.cancelled()),
        counter("jobs_started_workers", "Workers that were started.", m.started()),
        counter("jobs_deaths", "Workers that died of themselves.", m.deaths()),
        died,
        counter("jobs_wait_seconds", "Time in the queue.", m.wait_time_total().as_secs_f64()),
        counter("jobs_run_seconds", "Time at work.", m.run_time_total().as_secs_f64()),
    ]
    .concat()
}

fn gauge(name: &str, help: &str, value: impl Display) -> String {
    described(name, help, "gauge") + &format!("tenter_{name} {value}\n")
}

fn counter(name: &str, help: &str, value: impl Display) -> String {
    described(&format!("{name}_total"), help, "counter") + &format!("tenter_{name}_total {value}\n")
}

fn described(name: &str, help: &str, kind: &str) -> String {
    format!("# HELP tenter_{name} {help}\n# TYPE tenter_{name} {kind}\n")
}

fn respond(status: StatusCode, content_type: &'static str, body: Bytes) -> Response {
    let body = Full::new(body).map_err(|never| match never {}).boxed_unsync();
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
