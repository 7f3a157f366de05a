//! A worker process has none of this one's variables.

fn main() {
    let factor = 2;
    let _ = tenter::jobs::job!(|n: u64| -> u64 { n * factor });
}
