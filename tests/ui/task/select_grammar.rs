use std::future::ready;

async fn else_is_last() {
    tenter::select! {
        else => {}
        () = ready(()) => {}
    }
}

async fn comma_between_expressions() {
    tenter::select! {
        n = ready(1) => n
        n = ready(2) => n
    };
}

fn main() {
    let _ = (else_is_last(), comma_between_expressions());
}
