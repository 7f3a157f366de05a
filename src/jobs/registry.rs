//! Every job of the program, by name.
//!
//! The linker gathers the entries that `#[tenter::job]` writes, from all crates of the program. A
//! worker runs the same program, which the [`digest`] makes sure of, and so a job's place in the
//! sorted list is enough to name it: an index that is out of range is refused, and no byte from a
//! socket ever becomes an address.

use std::error::Error;
use std::fmt;
use std::sync::OnceLock;

use linkme::distributed_slice;

use super::codec::{Body, Malformed};

/// One job: what `#[tenter::job]` writes for a function.
#[derive(Debug)]
pub struct Entry {
    /// `crate::module::function`, by which jobs are told apart.
    pub name: &'static str,
    /// The package and its version, if cargo built it.
    pub package: [Option<&'static str>; 2],
    /// The types, as they stand in the source.
    pub signature: &'static str,
    /// `file:line:column`.
    pub place: &'static str,
    /// The name of the type of the items that the job emits, if it declares one.
    pub emits: Option<fn() -> &'static str>,
    /// Decodes the arguments, calls the function, which may panic, and encodes its result.
    pub run: fn(Body) -> Result<Body, RunError>,
}

/// Why a job has no result, though it did not panic.
#[derive(Debug)]
pub enum RunError {
    /// The arguments can not be decoded; the function was not called.
    Arguments(String),
    /// The function's result can not be encoded.
    Output(String),
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RunError::Arguments(message) => write!(f, "the arguments can not be read: {message}"),
            RunError::Output(message) => write!(f, "the result can not be written: {message}"),
        }
    }
}

impl Error for RunError {}

impl From<Malformed> for RunError {
    fn from(error: Malformed) -> Self {
        RunError::Arguments(error.to_string())
    }
}

/// One function that prepares a worker: what `#[tenter::job_init]` writes.
#[derive(Debug)]
pub struct Init {
    /// `crate::module::function`.
    pub name: &'static str,
    /// `file:line:column`.
    pub place: &'static str,
    /// The function, which may panic.
    pub run: fn(),
}

// The names stand in the program for all its crates, and for all versions of this one.

/// All jobs, in the linker's order.
#[distributed_slice]
pub static TENTER_JOBS_V1: [Entry];

/// All that prepares workers, in the linker's order.
#[distributed_slice]
pub static TENTER_JOB_INITS_V1: [Init];

/// The index of a job, which is the same in every process of this program.
pub(crate) fn index_of(entry: &'static Entry) -> u32 {
    let found = registry().jobs.binary_search_by_key(&key(entry), |job| key(job));
    // Every entry was gathered. If two share a name there is no pool: see `duplicate`.
    let index = found.unwrap_or_else(|_| panic!("the job `{}` is not registered", entry.name));
    u32::try_from(index).expect("there are fewer than 2^32 jobs")
}

/// The job at an index, if there is one.
pub(crate) fn entry(index: u32) -> Option<&'static Entry> {
    registry().jobs.get(usize::try_from(index).ok()?).copied()
}

/// What runs in a worker before its first job, in this order.
pub(crate) fn inits() -> &'static [&'static Init] {
    &registry().inits
}

/// A number that differs, all but surely, between programs whose jobs differ.
pub(crate) fn digest() -> u64 {
    registry().digest
}

/// A name that two jobs of one package share, if any do.
pub(crate) fn duplicate() -> Option<&'static str> {
    registry().duplicate
}

/// What a job is told apart by: two versions of a package may be in one program.
fn key(job: &Entry) -> (&'static str, [Option<&'static str>; 2]) {
    (job.name, job.package)
}

struct Registry {
    /// By [`key`].
    jobs: Vec<&'static Entry>,
    /// By name and place.
    inits: Vec<&'static Init>,
    digest: u64,
    duplicate: Option<&'static str>,
}

fn registry() -> &'static Registry {
    static REGISTRY: OnceLock<Registry> = OnceLock::new();
    REGISTRY.get_or_init(|| {
        let mut jobs: Vec<&'static Entry> = TENTER_JOBS_V1.iter().collect();
        jobs.sort_unstable_by_key(|job| (key(job), job.place));
        let mut inits: Vec<&'static Init> = TENTER_JOB_INITS_V1.iter().collect();
        inits.sort_unstable_by_key(|init| (init.name, init.place));
        let twins = jobs.windows(2).find(|pair| key(pair[0]) == key(pair[1]));
        let duplicate = twins.map(|pair| pair[0].name);
        let digest = digest_of(&jobs, &inits);
        Registry { jobs, inits, digest, duplicate }
    })
}

fn digest_of(jobs: &[&Entry], inits: &[&Init]) -> u64 {
    let mut hash = Fnv::new();
    hash.text(env!("CARGO_PKG_VERSION"));
    for job in jobs {
        hash.text(job.name);
        hash.text(job.package[0].unwrap_or_default());
        hash.text(job.package[1].unwrap_or_default());
        hash.text(job.signature);
        hash.text(job.place);
        hash.text(job.emits.map_or("", |name| name()));
    }
    for init in inits {
        hash.text(init.name);
        hash.text(init.place);
    }
    hash.0
}

/// FNV-1a, which is the same on every machine and in every version of Rust.
struct Fnv(u64);

impl Fnv {
    fn new() -> Fnv {
        Fnv(0xcbf2_9ce4_8422_2325)
    }

    fn text(&mut self, text: &str) {
        // No text holds 0xff: where one ends shows.
        for byte in text.bytes().chain([0xff]) {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}
