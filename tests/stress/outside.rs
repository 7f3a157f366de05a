//! Threads that are none of any runtime's, and do what they are told: fire, wake, abort.

use std::sync::OnceLock;
use std::sync::mpsc::{self, Sender};
use std::thread;
use std::time::Duration;

/// How many there are; they live as long as the process.
const THREADS: usize = 3;

/// What a thread does before it does what it is told, so that others come first, or not.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Delay {
    None,
    Spins(u32),
    Yields(u8),
    Micros(u16),
}

impl Delay {
    pub(crate) fn pass(self) {
        match self {
            Self::None => {}
            Self::Spins(count) => (0..count).for_each(|_| std::hint::spin_loop()),
            Self::Yields(count) => (0..count).for_each(|_| thread::yield_now()),
            Self::Micros(micros) => thread::sleep(Duration::from_micros(micros.into())),
        }
    }
}

/// Whether an order is carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    Done,
    /// It has to wait for something: others first.
    Again,
}

type Order = Box<dyn FnMut() -> Progress + Send>;

static SENDERS: OnceLock<Vec<Sender<Order>>> = OnceLock::new();

/// Starts them: afterwards there are so many threads.
pub(crate) fn start_all() {
    SENDERS.get_or_init(|| (0..THREADS).map(start).collect());
}

/// Has an outside thread carry out `order`, which must not block.
pub(crate) fn order(thread: usize, order: impl FnMut() -> Progress + Send + 'static) {
    let senders = SENDERS.get().expect("`start_all` comes before the first program");
    let sender = &senders[thread % THREADS];
    sender.send(Box::new(order)).expect("the outside threads live as long as the process");
}

fn start(number: usize) -> Sender<Order> {
    let (sender, orders) = mpsc::channel::<Order>();
    let serve = move || {
        let mut waiting: Vec<Order> = Vec::new();
        // Ends with the process: the sender is in a static.
        loop {
            let next = if waiting.is_empty() { orders.recv().ok() } else { orders.try_recv().ok() };
            waiting.extend(next);
            waiting.retain_mut(|order| order() == Progress::Again);
            if !waiting.is_empty() {
                thread::yield_now();
            }
        }
    };
    let name = format!("outside-{number}");
    thread::Builder::new().name(name).spawn(serve).expect("a thread starts");
    sender
}
