//! What goes into a job and comes out of it: small, large, and too large.
#![cfg(all(feature = "jobs", target_os = "linux"))]

mod support;

use std::collections::BTreeMap;
use std::process;

use support::{LIMIT, watchdog};
use tenter::jobs::{JobError, ProcessPool};

const MEBIBYTE: usize = 1 << 20;

#[tenter::job]
fn id() -> u32 {
    process::id()
}

#[tenter::job]
fn returns(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|n| n as u8).collect()
}

#[tenter::job]
fn sums(bytes: Vec<u8>) -> u64 {
    bytes.iter().map(|byte| u64::from(*byte)).sum()
}

#[tenter::job]
fn squares(numbers: Vec<f64>) -> Vec<f64> {
    numbers.into_iter().map(|number| number * number).collect()
}

#[tenter::job]
fn sorts(mut words: Vec<String>) -> BTreeMap<String, usize> {
    words.sort();
    words.into_iter().enumerate().map(|(n, word)| (word, n)).collect()
}

#[tenter::job]
fn swaps(one: Vec<u8>, number: u32, two: Vec<u64>) -> (Vec<u64>, u32, Vec<u8>) {
    (two, number, one)
}

fn pool(workers: usize) -> ProcessPool {
    ProcessPool::builder().workers(workers).build().expect("a pool starts")
}

#[tenter::test]
async fn bodies_of_every_size_arrive_whole() {
    let _watchdog = watchdog(LIMIT);
    let pool = pool(1);
    let around = |size: usize| size.saturating_sub(40)..size + 10;
    let sizes = (0..10).chain(around(65_536)).chain(around(131_072)).chain([300_000, 5 * MEBIBYTE]);
    for size in sizes {
        let bytes = pool.run(returns::job(size)).await.unwrap();
        assert!(bytes.len() == size && (0..).zip(&bytes).all(|(n, byte)| *byte == n as u8));
        let sum = bytes.iter().map(|byte| u64::from(*byte)).sum::<u64>();
        assert_eq!(pool.run(sums::job(bytes)).await.unwrap(), sum, "{size}");
    }
    let metrics = pool.metrics();
    assert!(metrics.bytes_inline() > 0 && metrics.bytes_slab() > 10 * MEBIBYTE as u64);
    assert_eq!(metrics.deaths(), 0);
}

#[tenter::test]
async fn a_job_may_return_a_hundred_mebibytes_and_take_them() {
    let _watchdog = watchdog(LIMIT);
    let pool = pool(2);
    let size = 100 * MEBIBYTE;
    let bytes = pool.run(returns::job(size)).await.unwrap();
    assert!(bytes.len() == size && (0..).zip(&bytes).all(|(n, byte)| *byte == n as u8));
    let sum = bytes.iter().map(|byte| u64::from(*byte)).sum::<u64>();
    assert_eq!(pool.run(sums::job(bytes)).await.unwrap(), sum);
    // Others go on meanwhile.
    let large = tenter::spawn(pool.run(returns::job(size)));
    for _ in 0..20 {
        pool.run(id::job()).await.unwrap();
    }
    assert_eq!(large.await.unwrap().unwrap().len(), size);
}

#[tenter::test]
async fn every_type_arrives_as_it_was() {
    let _watchdog = watchdog(LIMIT);
    let pool = pool(2);
    let numbers: Vec<f64> = (0..100_000).map(f64::from).collect();
    let squared = pool.run(squares::job(numbers.clone())).await.unwrap();
    assert_eq!(squared, squares(numbers));
    let words: Vec<String> = (0..50_000).rev().map(|n| format!("{n:05}")).collect();
    let sorted = pool.run(sorts::job(words.clone())).await.unwrap();
    assert_eq!(sorted, sorts(words));
    let (one, two) = (vec![1; 100_000], vec![2; 30_000]);
    let swapped = pool.run(swaps::job(one.clone(), 3, two.clone())).await.unwrap();
    assert_eq!(swapped, (two, 3, one));
}

#[tenter::test]
async fn what_is_too_large_is_refused_and_costs_no_worker() {
    let _watchdog = watchdog(LIMIT);
    let pool = ProcessPool::builder().workers(1).max_message(MEBIBYTE).build().unwrap();
    let worker = pool.run(id::job()).await.unwrap();
    for size in [MEBIBYTE + 1, 3 * MEBIBYTE, 50 * MEBIBYTE] {
        for error in [
            pool.run(returns::job(size)).await.unwrap_err(),
            pool.run(sums::job(vec![0; size])).await.unwrap_err(),
        ] {
            let JobError::TooLarge { bytes, limit, .. } = error else { panic!("{error:?}") };
            assert_eq!(limit, MEBIBYTE as u64);
            assert!((size as u64..size as u64 + 100).contains(&bytes), "{bytes} of {size}");
        }
    }
    assert_eq!(pool.run(returns::job(MEBIBYTE - 100)).await.unwrap().len(), MEBIBYTE - 100);
    assert_eq!(pool.run(id::job()).await.unwrap(), worker);
}

#[tenter::test]
async fn many_large_bodies_at_once_stay_apart() {
    let _watchdog = watchdog(LIMIT);
    let pool = ProcessPool::builder().workers(3).send_ahead(2).build().unwrap();
    let runs = (0..60).map(|n: usize| {
        let bytes = vec![n as u8; n * 20_000];
        let pool = pool.clone();
        tenter::spawn(async move {
            let expected = bytes.len() as u64 * n as u64;
            assert_eq!(pool.run(sums::job(bytes)).await.unwrap(), expected);
            assert_eq!(pool.run(returns::job(n * 20_000)).await.unwrap().len(), n * 20_000);
        })
    });
    for run in runs.collect::<Vec<_>>() {
        run.await.unwrap();
    }
}
