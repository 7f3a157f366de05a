//! Functions that a worker could not call by their names alone.

#[tenter::job]
async fn is_async() {}

#[tenter::job]
unsafe fn is_unsafe() {}

#[tenter::job]
extern "C" fn is_extern() {}

#[tenter::job]
fn is_generic<T>(_: T) {}

#[tenter::job]
fn is_generic_over_a_number<const N: usize>() {}

#[tenter::job]
fn names_a_lifetime<'a>(_: &'a str) {}

#[tenter::job]
fn has_a_where_clause()
where
    u8: Copy,
{
}

#[tenter::job]
#[target_feature(enable = "avx2")]
fn has_a_target_feature() {}

#[tenter::job]
fn takes_what_it_changes(_: &mut Vec<u8>) {}

#[tenter::job]
fn takes_a_static(_: &'static str) {}

#[tenter::job]
fn takes_any(_: impl Iterator<Item = u8>) {}

#[tenter::job]
fn borrows_inside(_: Option<&str>) {}

#[tenter::job]
fn borrows_twice(_: &&str) {}

#[tenter::job]
fn takes_one_or_none(#[cfg(unix)] _: u8) {}

#[tenter::job]
fn returns_a_reference(text: &str) -> &str {
    text
}

#[tenter::job]
fn returns_what_borrows() -> Option<&'static str> {
    None
}

#[tenter::job]
fn returns_any() -> impl Iterator<Item = u8> {
    0..9
}

#[tenter::job]
fn returns_never() -> ! {
    loop {}
}

fn main() {}
