use std::rc::Rc;

async fn handlers_have_one_type() -> i32 {
    tenter::select! {
        n = async { 1 } => n,
        text = async { "two" } => text,
    }
}

async fn try_join_is_of_results() {
    let _ = tenter::try_join!(async { 1 }, async { Ok::<_, ()>(2) });
}

async fn tasks_are_sent() {
    let here = Rc::new(1);
    tenter::gather([async move { *here }]).await;
}

fn main() {
    let _ = (handlers_have_one_type(), try_join_is_of_results(), tasks_are_sent());
}
