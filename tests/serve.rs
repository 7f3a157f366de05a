//! The example server, driven by curl, and by plain sockets where curl is too well-behaved.

mod example;
#[path = "serve/server.rs"]
mod server;
mod watchdog;

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::process::Stdio;

use example::TempFolder;
use rustix::process::{Resource, Rlimit, Signal};
use server::{Server, command, curl, limit};

#[test]
fn the_index_says_what_the_server_is() {
    let _limit = limit();
    let server = Server::start(&[]);
    let page = server.get("/");
    assert_eq!((page.status, &*page.content_type), (200, "text/html; charset=utf-8"));
    let text = page.text();
    for word in
        ["tenter", "hyper", "/sleep/{ms}", "/file/{name}", "/hash/{n}", "/crash", "/metrics"]
    {
        assert!(text.contains(word), "{word} is not in {text}");
    }
}

/// One after the other they would take more than ten times what the watchdog gives.
#[test]
fn a_thousand_sleeps_overlap() {
    let _limit = limit();
    let descriptors = rustix::process::getrlimit(Resource::Nofile);
    let raised = Rlimit { current: descriptors.maximum, ..descriptors };
    rustix::process::setrlimit(Resource::Nofile, raised).unwrap();
    let server = Server::start(&["--workers", "2"]);
    let mut connections: Vec<_> = (0..1000).map(|_| server.connect()).collect();
    for connection in &mut connections {
        connection.get("/sleep/1500");
    }
    for connection in &mut connections {
        assert_eq!(connection.response(), (200, "slept 1500 ms\n".to_owned()));
    }
}

/// What `/hash/{n}` answers.
fn hash(rounds: u64) -> String {
    let hash = (0..rounds).fold(0xcbf2_9ce4_8422_2325, |hash: u64, number| {
        (hash ^ number).wrapping_mul(0x0000_0100_0000_01b3)
    });
    format!("{hash:016x}\n")
}

#[test]
fn a_hash_is_the_same_in_another_process() {
    let _limit = limit();
    let server = Server::start(&["--workers", "1"]);
    assert_eq!(server.get("/hash/0").text(), "cbf29ce484222325\n");
    for rounds in [1, 2, 1000, 1_000_000, 1_000_001, 1_000_000] {
        assert_eq!(server.get(&format!("/hash/{rounds}")).text(), hash(rounds), "{rounds}");
    }
    assert!(!server.workers().is_empty(), "no other process was at it");
}

/// Half of the others are sent before it and half behind it, so that it is in their midst.
#[test]
fn a_crash_costs_one_request() {
    let _limit = limit();
    let server = Server::start(&["--workers", "2"]);
    let rounds = |n: usize| 1_000_000 + n as u64;
    let mut others: Vec<_> = (0..64).map(|_| server.connect()).collect();
    let mut crash = server.connect();
    for (n, other) in others.iter_mut().enumerate() {
        if n == 32 {
            crash.get("/crash");
        }
        other.get(&format!("/hash/{}", rounds(n)));
    }
    let (status, text) = crash.response();
    assert_eq!(status, 500);
    assert!(text.contains("SIGSEGV"), "{text}");
    for (n, other) in others.iter_mut().enumerate() {
        assert_eq!(other.response(), (200, hash(rounds(n))), "{n}");
    }
    assert_eq!(server.metric("tenter_jobs_deaths_total"), 1);
    assert_eq!(server.metric("tenter_jobs_failed_total"), 1);
    assert_eq!(server.metric("tenter_jobs_completed_total"), 64);
}

/// The server goes on, however often its workers die.
#[test]
fn crash_after_crash_closes_no_other_page() {
    let _limit = limit();
    let server = Server::start(&["--workers", "1"]);
    for _ in 0..40 {
        assert_eq!(server.get("/crash").status, 500);
    }
    assert_eq!(server.get("/hash/1000").text(), hash(1000));
}

#[test]
fn a_server_that_stops_leaves_no_worker() {
    let _limit = limit();
    for signal in [Signal::INT, Signal::TERM] {
        let mut server = Server::start(&[]);
        assert_eq!(server.get("/hash/1000").status, 200);
        assert_eq!(server.get("/crash").status, 500);
        assert_eq!(server.get("/hash/1000").status, 200);
        assert!(!server.workers().is_empty(), "no worker was found while there was one");
        server.signal(signal);
        let (status, said) = server.wait();
        assert!(status.success(), "{status}: {said}");
        assert_eq!(server.workers(), []);
    }
}

/// They are idle, and one may be at work: nobody is there to kill them.
#[test]
fn a_server_that_is_killed_leaves_no_worker() {
    let _limit = limit();
    let mut server = Server::start(&[]);
    assert_eq!(server.get("/hash/1000").status, 200);
    let mut busy = server.connect();
    busy.get("/hash/100000000");
    server.signal(Signal::KILL);
    assert!(!server.wait().0.success());
    while !server.workers().is_empty() {}
}

#[test]
fn the_metrics_are_prometheus_text_and_count_up() {
    let _limit = limit();
    let server = Server::start(&["--workers", "2"]);
    let page = server.get("/metrics");
    assert_eq!(
        (page.status, &*page.content_type),
        (200, "text/plain; version=0.0.4; charset=utf-8")
    );
    let text = page.text();
    assert!(text.ends_with('\n'), "the last line has no end");
    let mut described = Vec::new();
    for line in text.lines() {
        let words: Vec<_> = line.split(' ').collect();
        match words[..] {
            ["#", "HELP", name, _, ..] => described.push(name),
            ["#", "TYPE", name, "counter"] if name.ends_with("_total") => {}
            ["#", "TYPE", name, "gauge"] if !name.ends_with("_total") => {}
            [name, value] if described.last() == name.split('{').next().as_ref() => {
                value.parse::<f64>().unwrap_or_else(|_| panic!("no number: {line}"));
            }
            _ => panic!("not in the text format: {line}"),
        }
    }
    assert_eq!(server.metric("tenter_workers"), 2);
    let before = server.metric("tenter_polls_total");
    assert!(server.metric("tenter_polls_total") > before, "a request polls a task");
}

#[test]
fn a_file_arrives_whole() {
    let _limit = limit();
    let folder = TempFolder::new("whole");
    let content: Vec<u8> =
        (0..3_000_001_u32).map(|index| (index.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    folder.write("large", &content);
    folder.write("empty", b"");
    folder.write("one", b"1");
    let server = Server::start(&[folder.as_str()]);
    for (name, content) in [("large", &*content), ("empty", b""), ("one", b"1")] {
        let page = server.get(&format!("/file/{name}"));
        assert_eq!((page.status, &*page.content_type), (200, "application/octet-stream"));
        assert!(page.body == content, "{name} is not the same");
    }
}

#[test]
fn a_file_larger_than_memory_streams_in_little_memory() {
    const GIB: u64 = 1 << 30;
    let _limit = limit();
    let folder = TempFolder::new("sparse");
    File::create(folder.path("sparse")).unwrap().set_len(1024 * GIB).unwrap();
    let server = Server::start(&[folder.as_str()]);
    let mut reader = server.connect();
    let mut idler = server.connect();
    for connection in [&mut reader, &mut idler] {
        connection.get("/file/sparse");
        assert_eq!(connection.head(), (200, 1024 * GIB));
    }
    for _ in 0..512 {
        assert!(reader.bytes(1 << 20).iter().all(|byte| *byte == 0));
    }
    let peak = server.memory_kib_max();
    assert!(peak < 128 * 1024, "the server took {peak} KiB");
}

#[test]
fn a_file_that_shrinks_under_way_ends_the_connection() {
    let _limit = limit();
    let folder = TempFolder::new("shrinks");
    let file = File::create(folder.path("file")).unwrap();
    file.set_len(1 << 30).unwrap();
    let server = Server::start(&[folder.as_str()]);
    let mut connection = server.connect();
    connection.get("/file/file");
    assert_eq!(connection.head(), (200, 1 << 30));
    file.set_len(1).unwrap();
    assert!(connection.rest().len() < 1 << 30);
    assert_eq!(server.get("/file/file").status, 200);
}

#[test]
fn head_gives_the_length_and_no_body() {
    let _limit = limit();
    let folder = TempFolder::new("head");
    folder.write("file", &[b'x'; 100_000]);
    let server = Server::start(&[folder.as_str()]);
    let length = |page: String| {
        let page = page.to_ascii_lowercase();
        let line = page.lines().find_map(|line| line.strip_prefix("content-length: "));
        line.unwrap_or_else(|| panic!("no length in {page}")).parse::<usize>().unwrap()
    };
    assert_eq!(length(server.curl(&["--head"], "/file/file").text()), 100_000);
    assert_eq!(length(server.curl(&["--head"], "/").text()), server.get("/").body.len());

    // A second response right behind the first head shows that there was nothing between them.
    let mut connection = server.connect();
    connection.send(b"HEAD /file/file HTTP/1.1\r\nhost: localhost\r\n\r\n");
    assert_eq!(connection.head(), (200, 100_000));
    connection.get("/hash/0");
    assert_eq!(connection.response(), (200, "cbf29ce484222325\n".to_owned()));
}

#[test]
fn file_names_may_be_spelled_in_every_way_a_url_allows() {
    let _limit = limit();
    let folder = TempFolder::new("names");
    fs::create_dir(folder.path("sub")).unwrap();
    for name in ["with space", "grüße", "100%", "a+b", "..dots", "sub/inner", "q?x#y"] {
        folder.write(name, name.as_bytes());
    }
    symlink("sub/inner", folder.path("link")).unwrap();
    let server = Server::start(&[folder.as_str()]);
    for (path, name) in [
        ("with%20space", "with space"),
        ("gr%C3%BC%c3%9fe", "grüße"),
        ("100%25", "100%"),
        ("a+b", "a+b"),
        ("..dots", "..dots"),
        ("sub/inner", "sub/inner"),
        ("sub%2Finner", "sub/inner"),
        ("sub/./inner", "sub/inner"),
        ("q%3fx%23y", "q?x#y"),
        ("link", "sub/inner"),
        ("a+b?query", "a+b"),
    ] {
        let page = server.get(&format!("/file/{path}"));
        assert_eq!((page.status, page.text()), (200, name.to_owned()), "{path}");
    }
}

#[test]
fn nothing_outside_the_folder_is_given_away() {
    let _limit = limit();
    let outside = TempFolder::new("outside");
    outside.write("secret", b"the secret");
    let folder = TempFolder::new("outside/inside");
    folder.write("file", b"open to all");
    fs::create_dir(folder.path("sub")).unwrap();
    symlink("../../secret", folder.path("sub/secret")).unwrap();
    symlink(outside.path("secret"), folder.path("absolute")).unwrap();
    symlink("..", folder.path("up")).unwrap();
    symlink("/", folder.path("root")).unwrap();
    symlink("loop", folder.path("loop")).unwrap();
    let server = Server::start(&[folder.as_str()]);
    let absolute = outside.path("secret");
    let absolute = absolute.to_str().unwrap();
    let out_by_name = [
        "../secret",
        "%2e%2e/secret",
        "%2E%2E%2Fsecret",
        "..%2fsecret",
        ".%2e/secret",
        "sub/../../secret",
        "sub/..%2F../secret",
        "file/../../secret",
        "./../secret",
        "..%00/secret/..",
        "file%00/../../secret",
        absolute,
        &format!("/{absolute}"),
        &absolute.replace('/', "%2f"),
    ];
    let out_by_link = ["sub/secret", "absolute", "up/secret", &format!("root{absolute}")];
    let nowhere = ["..%5csecret", "%252e%252e/secret", "loop", "file%00", "..%00/secret"];
    let refused = out_by_name.iter().map(|path| (path, 403));
    let missing = out_by_link.iter().chain(&nowhere).map(|path| (path, 404));
    for (path, status) in refused.chain(missing) {
        let page = server.get(&format!("/file/{path}"));
        assert_eq!(page.status, status, "{path}");
        assert!(!page.text().contains("the secret"), "{path}");
    }
    assert_eq!(server.get("/file/file").text(), "open to all");
}

#[test]
fn what_is_no_readable_file_is_not_found() {
    let _limit = limit();
    let folder = TempFolder::new("special");
    fs::create_dir(folder.path("sub")).unwrap();
    folder.write("file", b"content");
    let pipe = folder.path("pipe");
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, mode).unwrap();
    let server = Server::start(&[folder.as_str()]);
    let long = "x".repeat(300);
    for path in ["", "missing", "sub", "sub/", "pipe", "file/more", "file/", &long] {
        assert_eq!(server.get(&format!("/file/{path}")).status, 404, "{path}");
    }
    for path in ["%", "%4", "%zz", "a%g0", "%+1"] {
        assert_eq!(server.get(&format!("/file/{path}")).status, 400, "{path}");
    }
    let without_folder = Server::start(&[]);
    assert_eq!(without_folder.get("/file/file").status, 404);
}

#[test]
fn an_unknown_page_is_not_found() {
    let _limit = limit();
    let server = Server::start(&[]);
    for path in ["/nothing", "/sleep", "/hash", "/file", "/crash/", "/metrics/", "//", "/sleeps/1"]
    {
        assert_eq!(server.get(path).status, 404, "{path}");
    }
    assert_eq!(server.get("/?/nothing").status, 200);
    assert_eq!(server.curl(&["--request", "DELETE"], "/nothing").status, 404);
    assert!(server.exchange(b"OPTIONS * HTTP/1.0\r\n\r\n").starts_with("HTTP/1.0 404 "));
}

#[test]
fn another_method_is_refused_with_the_list_of_those_allowed() {
    let _limit = limit();
    let server = Server::start(&[]);
    for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "BREW"] {
        let page = server.curl(&["--include", "--request", method], "/hash/1");
        assert_eq!(page.status, 405, "{method}");
        assert!(page.text().to_ascii_lowercase().contains("\r\nallow: get, head\r\n"));
    }
    let page = server.curl(&["--data", "a small body"], "/");
    assert_eq!(page.status, 405);
}

#[test]
fn a_number_that_is_none_or_too_large_is_refused() {
    let _limit = limit();
    let server = Server::start(&[]);
    for path in ["sleep/60001", "hash/100000001"] {
        assert_eq!(server.get(&format!("/{path}")).status, 400, "{path}");
    }
    for page in ["sleep", "hash"] {
        for number in ["", "a", "-1", "1.5", "1/2", "0x10", "%31", "99999999999999999999999"] {
            let answer = server.get(&format!("/{page}/{number}"));
            assert_eq!(answer.status, 400, "/{page}/{number}");
            assert!(answer.text().starts_with("not a number from 0 to "));
        }
    }
}

#[test]
fn one_connection_carries_many_requests() {
    let _limit = limit();
    let server = Server::start(&[]);
    let (index, hash) = (server.url("/"), server.url("/hash/1"));
    let format = "%{stderr}%{num_connects} ";
    let output = curl(&["--write-out", format], &[&*index, &hash, &index, &hash]);
    assert_eq!(String::from_utf8_lossy(&output.stderr), "1 0 0 0 ");
}

#[test]
fn a_client_that_asks_for_it_gets_its_connection_closed() {
    let _limit = limit();
    let server = Server::start(&[]);
    let close = b"GET /hash/0 HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    for request in [&b"GET /hash/0 HTTP/1.0\r\n\r\n"[..], close] {
        assert!(server.exchange(request).ends_with("\r\n\r\ncbf29ce484222325\n"));
    }
    assert_eq!(server.curl(&["--http1.0"], "/").status, 200);
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let _limit = limit();
    let server = Server::start(&[]);
    let expected: Vec<_> = (0..100).map(|n| server.get(&format!("/hash/{n}")).text()).collect();
    let mut connection = server.connect();
    let request = |n| format!("GET /hash/{n} HTTP/1.1\r\nhost: localhost\r\n\r\n");
    let requests: String = (0..100).map(request).collect();
    connection.send(requests.as_bytes());
    for text in expected {
        assert_eq!(connection.response(), (200, text));
    }
}

#[test]
fn a_request_may_arrive_one_byte_at_a_time() {
    let _limit = limit();
    let server = Server::start(&[]);
    let mut connection = server.connect();
    for byte in b"GET /hash/0 HTTP/1.1\r\nhost: localhost\r\n\r\n" {
        connection.send(&[*byte]);
    }
    assert_eq!(connection.response(), (200, "cbf29ce484222325\n".to_owned()));
}

/// What a client is given to send a head, or the rest of a body. A test sends the beginning in time
/// though it may have no core for a second.
const HEADER_SECONDS: &str = "3";

#[test]
fn a_head_that_is_too_slow_is_answered_with_408() {
    let _limit = limit();
    let server = Server::start(&["--header-timeout", HEADER_SECONDS]);
    let answer = server.exchange(b"GET / HTTP/1.1\r\nhost: loc");
    assert!(answer.starts_with("HTTP/1.1 408 Request Timeout\r\n"), "{answer}");

    let mut kept = server.connect();
    kept.get("/hash/0");
    assert_eq!(kept.response().0, 200);
    kept.send(b"GET / HT");
    assert!(kept.rest().starts_with("HTTP/1.1 408 "));
}

#[test]
fn a_body_that_is_too_slow_is_answered_with_408() {
    let _limit = limit();
    let server = Server::start(&["--header-timeout", HEADER_SECONDS]);
    let request = b"POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 10\r\n\r\nabc";
    let answer = server.exchange(request);
    assert!(answer.starts_with("HTTP/1.1 408 Request Timeout\r\n"), "{answer}");
}

#[test]
fn an_idle_connection_is_closed_without_a_word() {
    let _limit = limit();
    let server = Server::start(&["--header-timeout", HEADER_SECONDS]);
    assert_eq!(server.exchange(b""), "");
    let mut kept = server.connect();
    kept.get("/hash/0");
    assert_eq!(kept.response().0, 200);
    assert_eq!(kept.rest(), "");
}

#[test]
fn a_head_that_is_too_large_is_refused() {
    let _limit = limit();
    let server = Server::start(&[]);
    let large = format!("x-large: {}", "x".repeat(20_000));
    assert_eq!(server.curl(&["--header", &large], "/").status, 431);
    let many: String = (0..200).map(|n| format!("x-{n}: 1\r\n")).collect();
    let many =
        server.exchange(format!("GET / HTTP/1.1\r\nhost: localhost\r\n{many}\r\n").as_bytes());
    assert!(many.starts_with("HTTP/1.1 431 "), "{many}");
    let long = "x".repeat(8_000);
    assert_eq!(server.get(&format!("/{long}")).status, 414);
    let endless = "x".repeat(1_000_000);
    assert!(server.exchange(format!("GET /{endless}").as_bytes()).starts_with("HTTP/1.1 431 "));
}

#[test]
fn a_body_that_is_too_large_is_refused() {
    let _limit = limit();
    let folder = TempFolder::new("bodies");
    folder.write("large", &[b'x'; 300_000]);
    folder.write("small", &[b'x'; 60_000]);
    let large = format!("@{}", folder.path("large").display());
    let small = format!("@{}", folder.path("small").display());
    let server = Server::start(&[]);
    let chunked = "transfer-encoding: chunked";
    assert_eq!(server.curl(&["--data-binary", &large], "/").status, 413);
    assert_eq!(server.curl(&["--header", chunked, "--data-binary", &large], "/").status, 413);
    // A client that listens only when it has sent everything gets the answer all the same.
    let head = "POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 16000000\r\n\r\n";
    let answer = server.exchange((head.to_owned() + &"x".repeat(16_000_000)).as_bytes());
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    assert_eq!(server.curl(&["--data-binary", &small], "/").status, 405);
    assert_eq!(server.curl(&["--header", chunked, "--data-binary", &small], "/").status, 405);
}

#[test]
fn a_small_body_is_read_past_to_the_next_request() {
    let _limit = limit();
    let server = Server::start(&[]);
    let mut connection = server.connect();
    for _ in 0..3 {
        connection
            .send(b"GET /hash/0 HTTP/1.1\r\nhost: localhost\r\ncontent-length: 5\r\n\r\nGET /");
        assert_eq!(connection.response(), (200, "cbf29ce484222325\n".to_owned()));
    }
}

#[test]
fn what_is_no_http_is_refused_and_harms_nobody_else() {
    let _limit = limit();
    let server = Server::start(&[]);
    let mut other = server.connect();
    for garbage in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 a TLS client\r\n\r\n"[..],
        b"\0\0\0\0\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
        b"GET / HTTP/1.1\r\ncontent-length: x\r\n\r\n",
        b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
    ] {
        let answer = server.exchange(garbage);
        assert!(answer.starts_with("HTTP/1.1 400 "), "{answer:?} to {garbage:?}");
    }
    other.get("/hash/0");
    assert_eq!(other.response().0, 200);
}

#[test]
fn clients_that_leave_early_leave_nothing_behind() {
    let _limit = limit();
    let folder = TempFolder::new("leave");
    File::create(folder.path("sparse")).unwrap().set_len(1 << 40).unwrap();
    let server = Server::start(&[folder.as_str()]);
    let _ = server.get("/");
    for path in ["/file/sparse", "/sleep/60000", "/"] {
        let mut connections: Vec<_> = (0..20).map(|_| server.connect()).collect();
        connections.iter_mut().for_each(|connection| connection.get(path));
        drop(connections);
    }
    // The connection that asks is a task; the others end as the server finds out.
    while server.metric("tenter_live_tasks") > 1 {}
}

#[test]
fn ctrl_c_finishes_the_requests_at_hand() {
    let _limit = limit();
    for signal in [Signal::INT, Signal::TERM] {
        let folder = TempFolder::new("graceful");
        File::create(folder.path("sparse")).unwrap().set_len(64 << 20).unwrap();
        let mut server = Server::start(&["--header-timeout", "3600", folder.as_str()]);
        let mut busy = server.connect();
        busy.get("/file/sparse");
        assert_eq!(busy.head(), (200, 64 << 20));
        let mut idle = server.connect();
        idle.get("/hash/0");
        assert_eq!(idle.response().0, 200);

        server.signal(signal);
        assert_eq!(server.line(), "stopping: 2 connections are open");
        assert_eq!(idle.rest(), "", "an idle connection is closed");
        for _ in 0..64 {
            assert_eq!(busy.bytes(1 << 20).len(), 1 << 20);
        }
        assert_eq!(busy.rest(), "", "a busy one is closed behind its response");
        let (status, said) = server.wait();
        assert!(status.success() && said.is_empty(), "{status}: {said}");
    }
}

#[test]
fn a_server_that_stops_accepts_no_more() {
    let _limit = limit();
    let mut server = Server::start(&[]);
    let port = server.port();
    server.signal(Signal::INT);
    assert!(server.wait().0.success());
    let refused = std::net::TcpStream::connect(("127.0.0.1", port));
    assert_eq!(refused.unwrap_err().kind(), std::io::ErrorKind::ConnectionRefused);
}

#[test]
fn a_second_ctrl_c_does_not_wait() {
    let _limit = limit();
    let folder = TempFolder::new("second");
    File::create(folder.path("sparse")).unwrap().set_len(1 << 40).unwrap();
    let mut server = Server::start(&[folder.as_str()]);
    let mut stalled = server.connect();
    stalled.get("/file/sparse");
    assert_eq!(stalled.head().0, 200);
    server.signal(Signal::INT);
    assert_eq!(server.line(), "stopping: 1 connections are open");
    server.signal(Signal::INT);
    let (status, said) = server.wait();
    assert_eq!(status.code(), Some(1));
    assert!(said.contains("stopped with connections open"), "{said}");
}

#[test]
fn a_server_whose_output_nobody_reads_goes_on() {
    let _limit = limit();
    let mut server = Server::start(&[]);
    server.close_output();
    assert_eq!(server.get("/").status, 200);
    server.signal(Signal::INT);
    let (status, said) = server.wait();
    assert!(status.success() && said.is_empty(), "{status}: {said}");
}

#[test]
fn each_server_on_port_0_has_a_port_of_its_own() {
    let _limit = limit();
    let (first, second) = (Server::start(&[]), Server::start(&["--host=127.0.0.1"]));
    assert_ne!(first.port(), 0);
    assert_ne!(first.port(), second.port());
    assert_eq!(first.get("/").status, 200);
    assert_eq!(second.get("/").status, 200);
}

#[test]
fn a_port_in_use_is_said_so() {
    let _limit = limit();
    let first = Server::start(&[]);
    let port = first.port().to_string();
    let output = command().args(["--port", &port]).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0), "{said}");
    assert!(said.contains("in use"), "{said}");
}

#[test]
fn help_says_how_to_call_it() {
    let _limit = limit();
    for option in ["--help", "-h"] {
        let output = command().args(["--port", "1", option]).output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success() && output.stderr.is_empty());
        for word in ["Usage: serve", "--port", "--workers", "--host", "--header-timeout", "FOLDER"]
        {
            assert!(said.contains(word), "{word} is not in {said}");
        }
    }
}

#[test]
fn bad_arguments_are_refused_by_name() {
    let _limit = limit();
    let folder = TempFolder::new("arguments");
    folder.write("file", b"");
    let file = folder.path("file");
    let file = file.to_str().unwrap();
    for (args, wrong) in [
        (&["--port"][..], "--port needs a value"),
        (&["--port", "65536"], "--port 65536"),
        (&["--port", "-1"], "--port -1"),
        (&["--port=http"], "--port http"),
        (&["--port="], "--port "),
        (&["--workers", "0"], "--workers 0"),
        (&["--workers", "two"], "--workers two"),
        (&["--workers", "18446744073709551616"], "--workers 18446744073709551616"),
        (&["--workers", "1000000000"], "worker"),
        (&["--header-timeout", "0"], "--header-timeout 0"),
        (&["--header-timeout", "nan"], "--header-timeout nan"),
        (&["--header-timeout", "1e9"], "--header-timeout 1e9"),
        (&["--host", "localhost"], "--host localhost"),
        (&["--prot", "80"], "unknown option --prot"),
        (&["-p", "80"], "unknown option -p"),
        (&["/", "/"], "a second folder"),
        (&["--", "--port"], "--port: "),
        (&["no such folder"], "no such folder: "),
        (&[file], "not a folder"),
    ] {
        let output = command().args(args).stdin(Stdio::null()).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0), "{args:?}: {said}");
        assert!(said.starts_with("serve: ") && said.contains(wrong), "{args:?}: {said}");
        assert!(said.contains("--help"), "{args:?}: {said}");
    }
}
