//! A queue lies between those who produce and those who consume, and holds the faster ones back.
//!
//! A bounded channel is an `asyncio.Queue` with an end: when the last sender is dropped, the
//! consumers take what is left and their loops end. So nobody has to be cancelled, and to await
//! the consumers is what `Queue.join` is for.
//!
//! ```python
//! import asyncio
//!
//! async def produce(queue):
//!     for n in range(10):
//!         await queue.put(n)  # waits while there are two in it
//!
//! async def consume(queue, found):
//!     while True:
//!         found.append(await queue.get())
//!         queue.task_done()
//!
//! async def main():
//!     queue, found = asyncio.Queue(maxsize=2), []
//!     consumers = [asyncio.create_task(consume(queue, found)) for _ in range(3)]
//!     await asyncio.gather(produce(queue), produce(queue))
//!     await queue.join()
//!     for consumer in consumers:
//!         consumer.cancel()
//!     print(len(found), "items, sum", sum(found))
//!
//! asyncio.run(main())
//! ```

#[cfg(test)]
mod play;

use std::io;

use tenter::sync::channel::{self, Receiver, Sender};

/// What fits into the queue.
const CAPACITY: usize = 2;

async fn produce(queue: Sender<u32>) {
    for n in 0..10 {
        queue.send(n).await.expect("there are consumers");
    }
}

/// Returns what it got.
async fn consume(queue: Receiver<u32>) -> Vec<u32> {
    let mut found = Vec::new();
    while let Ok(n) = queue.recv().await {
        found.push(n);
    }
    found
}

async fn lesson() -> Vec<u32> {
    let (sender, receiver) = channel::bounded(CAPACITY);
    let consumers: Vec<_> = (0..3).map(|_| tenter::spawn(consume(receiver.clone()))).collect();
    let producers = [tenter::spawn(produce(sender.clone())), tenter::spawn(produce(sender))];
    for producer in producers {
        producer.await.expect("a producer does not panic");
    }
    // The senders are gone, and so the consumers come to an end.
    let mut found = Vec::new();
    for consumer in consumers {
        found.extend(consumer.await.expect("a consumer does not panic"));
    }
    found
}

fn main() -> io::Result<()> {
    let found = tenter::run(lesson())?;
    println!("{} items, sum {}", found.len(), found.iter().sum::<u32>());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::play::play;
    use super::*;

    #[test]
    fn every_item_is_consumed_once() {
        let mut found = play(lesson());
        found.sort_unstable();
        assert!(found.into_iter().eq((0..10).flat_map(|n| [n, n])));
    }

    #[test]
    fn a_producer_waits_while_the_queue_is_full() {
        play(async {
            let (sender, receiver) = channel::bounded(CAPACITY);
            let mut producer = tenter::spawn(produce(sender));
            while receiver.len() < CAPACITY {
                tenter::yield_now().await;
            }
            assert!(!producer.is_finished());
            for n in 0..10 {
                assert_eq!(receiver.recv().await, Ok(n));
            }
            (&mut producer).await.unwrap();
            assert!(receiver.recv().await.is_err());
        });
    }
}
