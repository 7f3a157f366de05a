//! Items that are no functions, and functions that belong to a type.

#[tenter::job]
struct Config;

#[tenter::job_init]
static TABLE: [u8; 2] = [0, 1];

struct Picture;

impl Picture {
    #[tenter::job]
    fn render(&self) {}
}

#[tenter::job]
fn takes_self(self) {}

fn main() {}
