async fn too_many() {
    tenter::select! {
        () = std::future::ready(()) => {}
        () = std::future::ready(()) => {}
        () = std::future::ready(()) => {}
        () = std::future::ready(()) => {}
        () = std::future::ready(()) => {}
        () = std::future::ready(()) => {}
        () = std::future::ready(()) => {}
        () = std::future::ready(()) => {}
        () = std::future::ready(()) => {}
        () = std::future::ready(()) => {}
        () = std::future::ready(()) => {}
        () = std::future::ready(()) => {}
        () = std::future::ready(()) => {}
        () = std::future::ready(()) => {}
        () = std::future::ready(()) => {}
        () = std::future::ready(()) => {}
        () = std::future::ready(()) => {}
        () = std::future::ready(()) => {}
        () = std::future::ready(()) => {}
        () = std::future::ready(()) => {}
        () = std::future::ready(()) => {}
        () = std::future::ready(()) => {}
        () = std::future::ready(()) => {}
        () = std::future::ready(()) => {}
        () = std::future::ready(()) => {}
        () = std::future::ready(()) => {}
        () = std::future::ready(()) => {}
        () = std::future::ready(()) => {}
        () = std::future::ready(()) => {}
        () = std::future::ready(()) => {}
        () = std::future::ready(()) => {}
        () = std::future::ready(()) => {}
        () = std::future::ready(()) => {}
        () = std::future::ready(()) => {}
        () = std::future::ready(()) => {}
        () = std::future::ready(()) => {}
        () = std::future::ready(()) => {}
        () = std::future::ready(()) => {}
        () = std::future::ready(()) => {}
        () = std::future::ready(()) => {}
        () = std::future::ready(()) => {}
        () = std::future::ready(()) => {}
        () = std::future::ready(()) => {}
        () = std::future::ready(()) => {}
        () = std::future::ready(()) => {}
        () = std::future::ready(()) => {}
        () = std::future::ready(()) => {}
        () = std::future::ready(()) => {}
        () = std::future::ready(()) => {}
        () = std::future::ready(()) => {}
        () = std::future::ready(()) => {}
        () = std::future::ready(()) => {}
        () = std::future::ready(()) => {}
        () = std::future::ready(()) => {}
        () = std::future::ready(()) => {}
        () = std::future::ready(()) => {}
        () = std::future::ready(()) => {}
        () = std::future::ready(()) => {}
        () = std::future::ready(()) => {}
        () = std::future::ready(()) => {}
        () = std::future::ready(()) => {}
        () = std::future::ready(()) => {}
        () = std::future::ready(()) => {}
        () = std::future::ready(()) => {}
        () = std::future::ready(()) => {}
    }
}

async fn too_many_to_join() {
    tenter::join!(
        async {}, async {}, async {}, async {}, async {}, async {}, async {}, async {},
        async {}, async {}, async {}, async {}, async {}, async {}, async {}, async {},
        async {}, async {}, async {}, async {}, async {}, async {}, async {}, async {},
        async {}, async {}, async {}, async {}, async {}, async {}, async {}, async {},
        async {}, async {}, async {}, async {}, async {}, async {}, async {}, async {},
        async {}, async {}, async {}, async {}, async {}, async {}, async {}, async {},
        async {}, async {}, async {}, async {}, async {}, async {}, async {}, async {},
        async {}, async {}, async {}, async {}, async {}, async {}, async {}, async {},
        async {},
    );
}

fn main() {
    let _ = (too_many(), too_many_to_join());
}
