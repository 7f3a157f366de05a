//! The benchmarks of `tenter` are bench targets; this library is empty.
