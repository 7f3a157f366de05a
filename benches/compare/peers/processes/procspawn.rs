//! procspawn, whose threads wait for its processes, one each.

use std::collections::VecDeque;
use std::fmt;
use std::hint::black_box;
use std::io;
use std::process;
use std::time::Instant;

use serde::de::{Deserialize, Deserializer, Error, Visitor};
use serde::{Serialize, Serializer};

use super::{IN_FLIGHT, MIB, Pool, Recovery, hang, latencies};
use crate::load::raise_descriptor_limit;

pub(crate) struct Procspawn(procspawn::Pool);

impl Pool for Procspawn {
    fn start(workers: usize, _: usize) -> io::Result<Procspawn> {
        // Each job under way has four.
        raise_descriptor_limit()?;
        procspawn::Pool::new(workers).map(Procspawn).map_err(io::Error::other)
    }

    fn noop(&mut self, jobs: usize) -> Vec<u64> {
        latencies(jobs, || self.0.spawn((), |()| ()).join().expect("a job that does nothing"))
    }

    fn noop_many(&mut self, jobs: usize) {
        let mut under_way = VecDeque::with_capacity(IN_FLIGHT);
        for _ in 0..jobs {
            if under_way.len() == IN_FLIGHT {
                join_first(&mut under_way);
            }
            under_way.push_back(self.0.spawn((), |()| ()));
        }
        while !under_way.is_empty() {
            join_first(&mut under_way);
        }
    }

    fn echo(&mut self, jobs: usize) -> Vec<u64> {
        let mut bytes = Bytes(vec![7; MIB]);
        latencies(jobs, || {
            let job = self.0.spawn(std::mem::take(&mut bytes), black_box);
            bytes = job.join().expect("a job that returns its argument");
            assert_eq!(bytes.0.len(), MIB);
        })
    }

    fn recover(&mut self, jobs: usize) -> Vec<Recovery> {
        let recover = |_| {
            self.0.spawn(process::id(), hang).join().expect_err("its worker is killed");
            let error_seen = Instant::now();
            self.0.spawn((), |()| ()).join().expect("the pool has another worker");
            Recovery { error_seen, next_done: Instant::now() }
        };
        (0..jobs).map(recover).collect()
    }
}

fn join_first(under_way: &mut VecDeque<procspawn::JoinHandle<()>>) {
    if let Some(job) = under_way.pop_front() {
        job.join().expect("a job that does nothing");
    }
}

/// Bytes that serde takes as such and does not walk one by one, as a plain `Vec<u8>`: what a user
/// of procspawn with large jobs would find out, and is several times faster.
#[derive(Default)]
struct Bytes(Vec<u8>);

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Bytes, D::Error> {
        deserializer.deserialize_byte_buf(BytesVisitor)
    }
}

struct BytesVisitor;

impl Visitor<'_> for BytesVisitor {
    type Value = Bytes;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("bytes")
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Bytes, E> {
        Ok(Bytes(bytes.to_vec()))
    }

    fn visit_byte_buf<E: Error>(self, bytes: Vec<u8>) -> Result<Bytes, E> {
        Ok(Bytes(bytes))
    }
}
