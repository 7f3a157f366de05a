//! What a comparison came to: tables for people, numbers for programs, a chart for the README.

mod json;
mod markdown;
mod svg;

pub(crate) use json::json;
pub(crate) use markdown::markdown;
pub(crate) use svg::svg;
