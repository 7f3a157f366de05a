async fn nothing() {
    tenter::select! {}
}

async fn only_biased() {
    tenter::select! { biased; }
}

fn main() {
    let _ = (nothing(), only_biased());
}
