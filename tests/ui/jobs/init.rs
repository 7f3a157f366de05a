//! What can not prepare a worker.

#[tenter::job_init]
async fn is_async() {}

#[tenter::job_init]
fn is_generic<T>() {}

#[tenter::job_init]
fn takes_an_argument(_: u8) {}

#[tenter::job_init]
fn returns_something() -> Result<(), String> {
    Ok(())
}

#[tenter::job_init(emits = u8)]
fn emits() {}

fn main() {}
