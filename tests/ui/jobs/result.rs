//! Results that can not be sent back.

use std::io;
use std::marker::PhantomData;
use std::rc::Rc;

#[tenter::job]
fn returns_an_error_without_serde() -> Result<u64, io::Error> {
    Ok(1)
}

#[tenter::job]
fn returns_what_is_not_send() -> Rc<u8> {
    Rc::new(1)
}

#[tenter::job]
fn returns_what_serde_writes_but_is_not_send() -> PhantomData<*const u8> {
    PhantomData
}

#[tenter::job]
fn returns_a_function() -> fn() {
    || {}
}

fn main() {}
