//! The border between a process and the system: calls that stop there, and are answered.
//!
//! A seccomp filter has the system calls of some numbers wait for a listener (user notification).
//! All that needs `unsafe` for that is here.

use std::ffi::CStr;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::{io, mem, process, ptr};

use libc::{c_int, c_long, seccomp_notif, seccomp_notif_resp, sock_filter};

/// One system call that was stopped.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call {
    number: c_long,
    args: [u64; 6],
}

impl Call {
    pub(crate) fn number(&self) -> c_long {
        self.number
    }

    /// The argument at `index`, as the system sees it.
    pub(crate) fn arg(&self, index: usize) -> u64 {
        self.args[index]
    }

    /// Whether `clone` or `clone3` starts a thread of this process, and not another process.
    pub(crate) fn starts_a_thread(&self) -> bool {
        let flags = if self.number == libc::SYS_clone3 {
            // What it points to begins with the flags.
            let mut flags = [0; 8];
            read(self.args[0], &mut flags);
            u64::from_ne_bytes(flags)
        } else {
            self.args[0]
        };
        flags & libc::CLONE_THREAD as u64 != 0
    }

    /// Whether `openat` opens a file of this name, wherever it is.
    pub(crate) fn opens(&self, name: &[u8]) -> bool {
        let mut path = [0; 512];
        let len = read(self.args[1], &mut path);
        CStr::from_bytes_until_nul(&path[..len]).is_ok_and(|path| path.to_bytes().ends_with(name))
    }

    /// Whether `write` writes as many bytes as ring an eventfd.
    pub(crate) fn rings(&self) -> bool {
        self.args[2] == 8
    }

    /// Whether `futex` waits.
    pub(crate) fn waits_on_futex(&self) -> bool {
        let flags = libc::FUTEX_PRIVATE_FLAG | libc::FUTEX_CLOCK_REALTIME;
        matches!(self.args[1] as c_int & !flags, libc::FUTEX_WAIT | libc::FUTEX_WAIT_BITSET)
    }

    /// Does the call, with its third argument at most `limit`; an error comes out negative.
    pub(crate) fn perform(&self, limit: u64) -> i64 {
        let [a, b, c, d, e, f] = self.args;
        // SAFETY: the caller, of this process and stopped, has asked for this very call; what is
        // within its buffer with one length is so with a shorter one.
        let result = unsafe { libc::syscall(self.number, a, b, c.min(limit), d, e, f) };
        if result >= 0 {
            return result;
        }
        -i64::from(io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO))
    }
}

/// What becomes of a call that was stopped.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Verdict {
    /// It goes on as if nothing had been.
    Pass,
    /// It returns this, and an error if it is negative.
    Return(i64),
}

/// Where stopped calls are answered.
#[derive(Debug)]
pub(crate) struct Listener(OwnedFd);

impl Listener {
    /// Stops the system calls of these numbers, of this thread and of all that it starts from now
    /// on, for as long as they live.
    ///
    /// # Errors
    ///
    /// - The system's, if it does not let a process filter its own calls.
    pub(crate) fn install(numbers: &[c_long]) -> io::Result<Self> {
        let filter = program(numbers);
        let len = u16::try_from(filter.len()).map_err(io::Error::other)?;
        let program = libc::sock_fprog { len, filter: filter.as_ptr().cast_mut() };
        // SAFETY: this call takes numbers alone.
        if unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) } != 0 {
            return Err(io::Error::last_os_error());
        }
        let (mode, flags) = (libc::SECCOMP_SET_MODE_FILTER, libc::SECCOMP_FILTER_FLAG_NEW_LISTENER);
        // SAFETY: `program` and what it points to are there until the call returns, and only read.
        let fd = unsafe { libc::syscall(libc::SYS_seccomp, mode, flags, &raw const program) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the call made it, for this.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd as RawFd) }))
    }

    /// Waits for the next call and answers it; `decide` is asked about calls of this process alone.
    ///
    /// # Errors
    ///
    /// - The system's, when nothing more can be answered.
    pub(crate) fn answer(&self, decide: impl FnOnce(&Call) -> Verdict) -> io::Result<()> {
        // SAFETY: zeros are a notification, and what the call wants to find.
        let mut stopped: seccomp_notif = unsafe { mem::zeroed() };
        match self.control(libc::SECCOMP_IOCTL_NOTIF_RECV, &mut stopped) {
            // A signal came, or its thread has gone meanwhile.
            Err(error) if matches!(error.raw_os_error(), Some(libc::EINTR | libc::ENOENT)) => {
                return Ok(());
            }
            received => received?,
        }
        let call = Call { number: c_long::from(stopped.data.nr), args: stopped.data.args };
        let verdict = if is_own(stopped.pid) { decide(&call) } else { Verdict::Pass };
        // SAFETY: zeros are a response.
        let mut response: seccomp_notif_resp = unsafe { mem::zeroed() };
        response.id = stopped.id;
        match verdict {
            Verdict::Pass => response.flags = libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE as u32,
            Verdict::Return(value @ 0..) => response.val = value,
            Verdict::Return(error) => response.error = error as i32,
        }
        match self.control(libc::SECCOMP_IOCTL_NOTIF_SEND, &mut response) {
            // A signal has taken the thread away from its call, which it makes again.
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(()),
            sent => sent,
        }
    }

    /// Hands `argument`, which is of the type of `request`, to the listener.
    fn control<T>(&self, request: libc::Ioctl, argument: &mut T) -> io::Result<()> {
        // SAFETY: both callers name the type that goes with the request; it is valid for reads and
        // writes.
        let result = unsafe { libc::ioctl(self.0.as_raw_fd(), request, ptr::from_mut(argument)) };
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }
}

/// How the kernel calls this architecture (`AUDIT_ARCH`); `main.rs` has the same list.
#[cfg(target_arch = "x86_64")]
const ARCH: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
const ARCH: u32 = 0xc000_00b7;
#[cfg(target_arch = "riscv64")]
const ARCH: u32 = 0xc000_00f3;

/// The filter: stops the calls of these numbers, and lets all others pass.
fn program(numbers: &[c_long]) -> Vec<sock_filter> {
    let line = |code: u32, k, jt, jf| sock_filter { code: code as u16, jt, jf, k };
    let load = |at: usize| line(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, at as u32, 0, 0);
    let equal = |value, yes, no| line(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, value, yes, no);
    let end = |verdict| line(libc::BPF_RET | libc::BPF_K, verdict, 0, 0);
    let mut filter = vec![
        load(mem::offset_of!(libc::seccomp_data, arch)),
        equal(ARCH, 1, 0),
        end(libc::SECCOMP_RET_ALLOW),
        load(mem::offset_of!(libc::seccomp_data, nr)),
    ];
    for &number in numbers {
        filter.push(equal(number as u32, 0, 1));
        filter.push(end(libc::SECCOMP_RET_USER_NOTIF));
    }
    filter.push(end(libc::SECCOMP_RET_ALLOW));
    filter
}

/// Copies what is at `address`, in this process, and returns how much of it could be read.
///
/// By the system, as a wrong address is no harm to it, and it knows that the caller is stopped.
fn read(address: u64, into: &mut [u8]) -> usize {
    let local = libc::iovec { iov_base: into.as_mut_ptr().cast(), iov_len: into.len() };
    let remote = libc::iovec { iov_base: address as *mut _, iov_len: into.len() };
    // SAFETY: asks for a number alone.
    let own = unsafe { libc::getpid() };
    // SAFETY: `local` is `into`, valid for writes; the system checks `remote`.
    let read = unsafe { libc::process_vm_readv(own, &raw const local, 1, &raw const remote, 1, 0) };
    usize::try_from(read).unwrap_or(0)
}

/// Whether this is a thread of this process.
fn is_own(thread: u32) -> bool {
    let process = process::id();
    // SAFETY: signal 0 is none, and asks whether there is such a thread.
    unsafe { libc::syscall(libc::SYS_tgkill, process, thread, 0) == 0 }
}
