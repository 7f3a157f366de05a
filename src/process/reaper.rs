//! The thread that waits for children whose owner has gone. It needs no runtime.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::OnceLock;
use std::thread;
use std::time::Duration;

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::io::{Errno, retry_on_intr};

use crate::primitive::Arc;

use super::kid::Kid;
use super::orphans::{self, Care, Orphans};

/// The system keeps 15 bytes of it.
const NAME: &str = "tenter-reaper";

/// How often the reaper looks by itself, when it lacks a descriptor to be woken by.
const LOOK_INTERVAL_NS: u32 = 50_000_000;

static ORPHANS: OnceLock<Orphans<Kid, Bell>> = OnceLock::new();

/// Sees that `kid` is reaped when it ends.
pub(super) fn adopt(kid: Kid) {
    see_to(orphans().adopt(kid));
}

/// Starts the reaper if it could not be started when it was wanted.
pub(super) fn retry() {
    if let Some(orphans) = ORPHANS.get() {
        see_to(orphans.retry());
    }
}

fn orphans() -> &'static Orphans<Kid, Bell> {
    ORPHANS.get_or_init(Orphans::new)
}

fn see_to(care: Care) {
    if care == Care::Taken {
        return;
    }
    let reaper = thread::Builder::new().name(NAME.to_owned());
    let serve = || {
        let mut held = Vec::new();
        orphans().serve(Bell::new(), |kids, bell| sleep(kids, bell, &mut held));
    };
    if reaper.spawn(serve).is_err() {
        // They stay in the list until the next child is started or lost.
        orphans().start_failed();
    }
}

/// An eventfd; `None` if there was no descriptor left for it.
#[derive(Clone, Debug)]
struct Bell(Option<Arc<OwnedFd>>);

impl Bell {
    fn new() -> Self {
        let bell = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK);
        Self(bell.ok().map(Arc::new))
    }
}

impl orphans::Bell for Bell {
    fn ring(&self) {
        if let Some(bell) = &self.0 {
            // It fails if the counter is full, and then it rings already.
            let _ = retry_on_intr(|| rustix::io::write(bell, &1_u64.to_ne_bytes()));
        }
    }

    fn silence(&self) {
        if let Some(bell) = &self.0 {
            // It fails if nobody rang.
            let _ = rustix::io::read(bell, &mut [0; 8]);
        }
    }
}

/// Waits until one of these children has ended, or the bell was rung; or for a moment, if there is
/// something that cannot be waited for.
///
/// `held` has those that had ended by the sleep before. One that is still here cannot be reaped
/// yet, since a debugger holds it, and its pidfd would end each sleep at once.
fn sleep(kids: &[Kid], bell: &Bell, held: &mut Vec<u32>) {
    held.retain(|id| kids.iter().any(|kid| kid.id() == *id));
    let others = kids.iter().filter(|kid| !held.contains(&kid.id()));
    let watched = others.map(|kid| (Some(kid.id()), kid.pidfd()));
    let watched = watched.chain([(None, bell.0.as_ref().map(|bell| bell.as_fd()))]);
    let is_all = held.is_empty() && watched.clone().all(|(_, fd)| fd.is_some());
    let (ids, mut fds): (Vec<_>, Vec<_>) = watched
        .filter_map(|(id, fd)| Some((id, PollFd::from_borrowed_fd(fd?, PollFlags::IN))))
        .unzip();
    let interval = Timespec { tv_sec: 0, tv_nsec: LOOK_INTERVAL_NS.into() };
    match poll(&mut fds, (!is_all).then_some(&interval)) {
        Ok(_) | Err(Errno::INTR) => {}
        // Out of memory, or more children than the limit of descriptors by now.
        Err(_) => thread::sleep(Duration::from_nanos(LOOK_INTERVAL_NS.into())),
    }
    let ended = ids.into_iter().zip(&fds).filter(|(_, fd)| !fd.revents().is_empty());
    held.extend(ended.filter_map(|(id, _)| id));
}
