//! A function of a type, without `self`.

struct Picture;

impl Picture {
    #[tenter::job]
    fn render() {}
}

fn main() {}
