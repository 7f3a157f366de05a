//! With the feature `tracing` what a runtime reports is an event, where there is a subscriber.

mod support;

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use support::{Child, LIMIT, Pair, expect_success, wait_until, within};
use tenter::task::{self, Id};
use tenter::{Builder, Runtime};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id as SpanId, Record};
use tracing::{Dispatch, Event, Level, Metadata, Subscriber, dispatcher};

/// What one event said.
#[derive(Clone, Debug, Default)]
struct Noted {
    level: Option<Level>,
    target: String,
    fields: Vec<(&'static str, String)>,
}

impl Noted {
    fn field(&self, name: &str) -> Option<&str> {
        let field = self.fields.iter().find(|(field, _)| *field == name);
        field.map(|(_, value)| value.as_str())
    }

    fn is_of(&self, id: Id) -> bool {
        self.field("task.id") == Some(id.to_string().as_str())
    }
}

impl Visit for Noted {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.fields.push((field.name(), format!("{value:?}")));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.fields.push((field.name(), value.to_owned()));
    }
}

/// A subscriber that keeps the events; it panics at those whose message it is told to.
#[derive(Clone, Default)]
struct Keeps {
    events: Arc<Mutex<Vec<Noted>>>,
    panics_at: &'static str,
}

impl Keeps {
    fn all(&self) -> Vec<Noted> {
        self.events.lock().unwrap().clone()
    }

    /// Waits for the first event that the condition holds for.
    fn find(&self, condition: impl Fn(&Noted) -> bool) -> Noted {
        wait_until(|| self.all().iter().any(&condition));
        self.all().into_iter().find(condition).unwrap()
    }
}

impl Subscriber for Keeps {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &Attributes<'_>) -> SpanId {
        SpanId::from_u64(1)
    }

    fn record(&self, _: &SpanId, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &SpanId, _: &SpanId) {}

    fn event(&self, event: &Event<'_>) {
        let metadata = event.metadata();
        let mut noted = Noted { level: Some(*metadata.level()), ..Noted::default() };
        noted.target = metadata.target().to_owned();
        event.record(&mut noted);
        let message = noted.field("message").unwrap_or_default().to_owned();
        self.events.lock().unwrap().push(noted);
        assert!(self.panics_at.is_empty() || !message.contains(self.panics_at), "in a subscriber");
    }

    fn enter(&self, _: &SpanId) {}

    fn exit(&self, _: &SpanId) {}
}

fn runtime(blocked_after: Option<Duration>) -> Runtime {
    Builder::new().worker_threads(2).blocked_after(blocked_after).build().unwrap()
}

/// Makes this the subscriber of the whole process, which is a child.
fn subscribe(keeps: &Keeps) {
    dispatcher::set_global_default(Dispatch::new(keeps.clone())).unwrap();
}

/// Runs `body` in a process of its own, and returns what the runtime says on standard error.
fn alone(body: impl FnOnce()) -> String {
    let output = Child::new().run(body);
    expect_success(&output);
    String::from_utf8(output.stderr).unwrap()
}

/// Sends what panics say elsewhere.
fn keep_panics_apart() {
    std::panic::set_hook(Box::new(|panic| println!("{panic}")));
}

#[test]
fn a_failure_that_nobody_looked_at_is_an_error_event_and_no_line() {
    within(LIMIT, || {
        let text = alone(|| {
            keep_panics_apart();
            let keeps = Keeps::default();
            subscribe(&keeps);
            let runtime = runtime(None);
            let entered = runtime.enter();
            let failing = task::Builder::new()
                .name("saver")
                .spawn_detached(async { Err::<(), _>("the disk is full") });
            drop(entered);
            let panicking = runtime.spawn(async { panic!("a reason") });
            let id = panicking.id();
            drop::<tenter::JoinHandle<()>>(panicking);
            let error = keeps.find(|event| event.is_of(failing.id()));
            let panic = keeps.find(|event| event.is_of(id));
            drop(runtime);
            assert_eq!(keeps.all().len(), 2);
            for event in [&error, &panic] {
                assert_eq!(event.level, Some(Level::ERROR));
                assert_eq!(event.target, "tenter");
                assert!(event.field("task.location").unwrap().contains("tracing.rs:"));
            }
            assert_eq!(error.field("task.name"), Some("saver"));
            assert_eq!(panic.field("task.name"), None);
            let message = error.field("message").unwrap();
            assert!(message.contains("failed") && message.contains("the disk is full"));
            let message = panic.field("message").unwrap();
            assert!(message.contains("panicked") && message.contains("a reason"));
        });
        assert_eq!(text, "");
    });
}

#[test]
fn a_poll_that_blocks_its_worker_is_a_warning_event_and_no_line() {
    within(LIMIT, || {
        let text = alone(|| {
            keep_panics_apart();
            let keeps = Keeps::default();
            subscribe(&keeps);
            let runtime = runtime(Some(Duration::from_millis(1)));
            let entered = runtime.enter();
            let held = Pair::new();
            let holds = held.clone();
            let task = task::Builder::new().name("blocks").spawn(async move { holds.hold() });
            drop(entered);
            let event = keeps.find(|event| event.is_of(task.id()));
            let reliefs = runtime.handle().metrics().relief_workers();
            held.released.open();
            assert_eq!((event.level, event.target.as_str()), (Some(Level::WARN), "tenter"));
            assert_eq!(event.field("task.name"), Some("blocks"));
            assert!(event.field("task.location").unwrap().contains("tracing.rs:"));
            let worker: usize = event.field("worker").unwrap().parse().unwrap();
            // A relief's number is higher: one is there if the system kept both workers waiting.
            assert!(worker < 2 || reliefs > 0);
            assert!(event.field("lasted_ms").unwrap().parse::<u64>().is_ok());
        });
        assert_eq!(text, "");
    });
}

#[test]
fn without_a_subscriber_a_failure_is_a_line_all_the_same() {
    within(LIMIT, || {
        let text = alone(|| {
            keep_panics_apart();
            let runtime = runtime(None);
            let task = runtime.handle().spawn_detached(async { Err::<(), _>("not silent") });
            wait_until(|| task.is_finished());
        });
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(text.contains("not silent"), "{text}");
    });
}

#[test]
fn a_subscriber_of_another_thread_does_not_make_a_failure_silent() {
    within(LIMIT, || {
        let text = alone(|| {
            keep_panics_apart();
            let keeps = Keeps::default();
            let runtime = runtime(None);
            // For this thread, and no worker.
            let subscribed = dispatcher::set_default(&Dispatch::new(keeps.clone()));
            let task = runtime.handle().spawn_detached(async { Err::<(), _>("not silent") });
            wait_until(|| task.is_finished());
            drop(subscribed);
            assert_eq!(keeps.all().len(), 0);
        });
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(text.contains("not silent"), "{text}");
    });
}

#[test]
fn a_hook_of_the_users_takes_the_place_of_the_event() {
    within(LIMIT, || {
        let text = alone(|| {
            keep_panics_apart();
            let keeps = Keeps::default();
            subscribe(&keeps);
            let mut builder = Builder::new();
            builder.worker_threads(1).blocked_after(None).on_unobserved(|_| ());
            let runtime = builder.build().unwrap();
            let task = runtime.handle().spawn_detached(async { Err::<(), _>("for the hook") });
            wait_until(|| task.is_finished());
            assert_eq!(keeps.all().len(), 0);
        });
        assert_eq!(text, "");
    });
}

#[test]
fn a_subscriber_that_panics_harms_nobody() {
    within(LIMIT, || {
        let text = alone(|| {
            keep_panics_apart();
            let keeps = Keeps { panics_at: "the first", ..Keeps::default() };
            subscribe(&keeps);
            let runtime = runtime(None);
            let first = runtime.handle().spawn_detached(async { Err::<(), _>("the first") });
            keeps.find(|event| event.is_of(first.id()));
            let second = runtime.handle().spawn_detached(async { Err::<(), _>("the second") });
            keeps.find(|event| event.is_of(second.id()));
            drop(runtime);
            assert_eq!(keeps.all().len(), 2);
        });
        assert_eq!(text, "");
    });
}
