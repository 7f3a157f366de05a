//! Declares the cfg under which tokio's unstable metrics (no-op wakes among them) exist.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-check-cfg=cfg(tokio_unstable)");
}
