//! What the pool's protocol sees of a call: what is sent, by which rules, and how it may end.

use std::time::Duration;

use crate::primitive::Arc;

use super::builder::Settings;
use super::call::{Call, Options, Priority};
use super::codec::Body;
use super::dispatch::{Death, Failure, Limits, PRIORITIES, Payload};
use super::error::{JobError, SpawnError};
use super::frame::{CREDIT_START, INLINE_MAX};
use super::registry;

/// A call that was made ready to be sent.
pub(crate) struct Request {
    /// Of the job in the registry.
    pub(crate) index: u32,
    pub(crate) body: Arc<Body>,
    pub(crate) options: Options,
    /// Whether the job emits items.
    pub(crate) emits: bool,
    /// Whether somebody takes them.
    pub(crate) wants_items: bool,
}

impl Request {
    /// Makes `call` ready for a pool of these settings.
    ///
    /// # Errors
    ///
    /// Its arguments could not be encoded, or are too large.
    pub(crate) fn new<R, T>(
        call: Call<R, T>,
        wants_items: bool,
        settings: &Settings,
    ) -> Result<Self, JobError> {
        let (entry, body, options) = call.into_parts();
        let body = body.map_err(|message| JobError::Codec { message })?;
        let (bytes, limit) = (body.wire_len() as u64, settings.max_message as u64);
        if bytes > limit {
            return Err(JobError::TooLarge { bytes, limit });
        }
        let (index, emits) = (registry::index_of(entry), entry.emits.is_some());
        Ok(Self { index, body, options, emits, wants_items })
    }

    /// Items that may come before the worker is told of more.
    pub(crate) fn credit(&self) -> u64 {
        CREDIT_START
    }
}

impl Payload for Request {
    type End = Result<Body, JobError>;
    type Item = Body;
    type Trouble = SpawnError;

    fn priority(&self) -> usize {
        const _: () = assert!(PRIORITIES == 3, "a lane for each priority");
        match self.options.priority {
            Priority::High => 0,
            Priority::Normal => 1,
            Priority::Low => 2,
        }
    }

    fn retries(&self) -> u32 {
        self.options.retries
    }

    fn is_bulky(&self) -> bool {
        self.body.wire_len() > INLINE_MAX
    }

    fn limits(&self) -> Option<Limits> {
        let Options { soft_timeout: soft, timeout: hard, .. } = self.options;
        (soft.is_some() || hard.is_some()).then_some(Limits { soft, hard })
    }

    fn queue_timeout(&self) -> Option<Duration> {
        self.options.queue_timeout
    }

    fn failed(&self, failure: Failure<Self>) -> Self::End {
        match failure {
            Failure::WaitedTooLong => {
                let after = self.options.queue_timeout.unwrap_or_default();
                Err(JobError::QueueTimedOut { after })
            }
            failure => Err(error_of(failure)),
        }
    }
}

/// The error that a user sees.
pub(crate) fn error_of(failure: Failure<Request>) -> JobError {
    match failure {
        Failure::Died(Death { signal, code, stderr, .. }) => {
            JobError::Died { signal, code, stderr }
        }
        Failure::TimedOut(after) => JobError::TimedOut { after },
        Failure::Protocol(message) => JobError::Protocol { message },
        Failure::WaitedTooLong | Failure::Closed => JobError::Closed,
        Failure::Broken { deaths, stderr } => JobError::Broken { deaths, stderr },
        Failure::Start(error) => JobError::Spawn(error),
    }
}
