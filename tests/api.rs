//! Every public name of the crate, used once in the way that its documentation promises: what
//! other programs are compiled against. Whether each does what it says is tested elsewhere.

mod support;

use std::convert::Infallible;
use std::future::Future;
use std::io::IoSlice;
use std::panic::Location;
use std::pin::pin;
use std::time::{Duration, Instant};

use futures_lite::StreamExt;
use tenter::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt, SeekFrom};
use tenter::task::{GroupError, TaskState};
use tenter::{AbortHandle, Builder, Handle, JoinError, JoinHandle, Runtime, TaskGroup};

use support::{LIMIT, watchdog, within};

tenter::task_local! {
    static REQUEST: u64;
}

#[test]
fn a_runtime_is_built_entered_used_and_shut_down() {
    within(LIMIT, || {
        let answer: std::io::Result<u32> = tenter::run(async { 42 });
        assert_eq!(answer.unwrap(), 42);

        let runtime: Runtime = Runtime::builder()
            .worker_threads(1)
            .max_blocking_threads(4)
            .blocking_keep_alive(Duration::from_secs(1))
            .thread_name("api")
            .thread_stack_size(1 << 20)
            .on_thread_start(|| {})
            .on_thread_stop(|| {})
            .on_unobserved(|failure| drop(failure.to_string()))
            .blocked_after(Some(Duration::from_secs(10)))
            .build()
            .unwrap();
        let handle: &Handle = runtime.handle();
        let task: JoinHandle<u8> = runtime.spawn(async { 1 });
        let closure: JoinHandle<u8> = runtime.spawn_blocking(|| 2);
        assert_eq!(runtime.block_on(async { task.await.unwrap() + closure.await.unwrap() }), 3);
        {
            let _entered = runtime.enter();
            let current = Handle::current();
            drop(current.spawn(async {}));
            drop(current.spawn_blocking(|| {}));
            assert_eq!(current.block_on(async { 4 }), 4);
            assert_eq!(current.metrics().workers(), 1);
            let _entered_again = current.enter();
            assert!(Handle::try_current().is_some());
        }
        let handle = handle.clone();
        let report = runtime.shutdown(Duration::from_secs(30));
        assert!(report.is_clean(), "{report}");
        assert!(report.running().is_empty() && report.children().is_empty());
        let late = handle.spawn(async {});
        assert!(handle.block_on(late).unwrap_err().is_cancelled());

        Builder::new().worker_threads(1).build().unwrap().shutdown_background();
        drop(Runtime::new().unwrap());
    });
}

#[tenter::test(worker_threads = 2)]
async fn a_task_is_spawned_watched_aborted_and_joined() {
    let _watchdog = watchdog(LIMIT);
    let task = tenter::task::Builder::new().name("pending").spawn(std::future::pending::<u8>());
    let abort: AbortHandle = task.abort_handle();
    let _id: tenter::task::Id = task.id();
    let _state: TaskState = task.state();
    assert!(!task.is_finished());
    abort.abort();
    let error: JoinError = task.await.unwrap_err();
    assert!(error.is_cancelled() && !error.is_panic());
    let _id = error.id();
    assert!(error.try_into_panic().is_err());

    assert_eq!(tenter::spawn(async { 5 }).cancel().await.unwrap_or(5), 5);
    tenter::spawn(async {}).detach();
    let named = tenter::task::Builder::new().name("closure");
    let closure = named.spawn_blocking(|| (tenter::task::id().is_some(), tenter::task::name()));
    assert_eq!(closure.await.unwrap(), (true, Some("closure".to_owned())));

    let panic = tenter::spawn(async { std::panic::resume_unwind(Box::new("thrown")) });
    let error = AsyncResult::<Infallible>::from(panic.await).unwrap_err();
    assert!(error.is_panic() && error.to_string().contains("thrown"));
    assert_eq!(*error.into_panic().downcast::<&str>().unwrap(), "thrown");

    tenter::yield_now().await;
    tenter::task::consume_budget().await;
    assert_eq!(tenter::task::block_in_place(|| 6), 6);
    let _: AbortHandle = tenter::task::spawn_detached(async { Ok::<(), Infallible>(()) });
    assert_eq!(REQUEST.scope(7, async { REQUEST.with(|v| *v) }).await, 7);
    assert!(REQUEST.try_with(|v| *v).is_err());
    let as_io: std::io::Error = {
        let task = tenter::spawn(std::future::pending::<()>());
        task.abort();
        task.await.unwrap_err().into()
    };
    assert_eq!(as_io.kind(), std::io::ErrorKind::Other);
}

type AsyncResult<T> = Result<T, JoinError>;

#[tenter::test]
async fn tasks_that_belong_together_have_a_scope() {
    let _watchdog = watchdog(LIMIT);
    let sum: Result<u32, GroupError<String>> =
        tenter::task_group(async |group: &TaskGroup<String>| {
            let one = group.spawn(async { Ok(1) });
            let two = group.spawn_blocking(|| Ok(2));
            assert!(group.len() <= 2);
            let sum = one.await.unwrap() + two.await.unwrap();
            group.cancel();
            Ok(sum)
        })
        .await;
    assert_eq!(sum.unwrap(), 3);
    let failed = tenter::task::task_group(async |group: &TaskGroup<String>| {
        let child = tenter::task::Builder::new().name("child");
        drop(child.spawn_in(group, async { Err::<(), _>("no".to_owned()) }));
        std::future::pending::<Result<(), String>>().await
    });
    let error = failed.await.unwrap_err();
    assert!(error.to_string().contains("child") && error.to_string().contains("no"), "{error}");

    let doubled = (1..=3).map(|n| async move { n * 2 });
    let all: Vec<AsyncResult<i32>> = tenter::gather(doubled.clone()).await;
    assert_eq!(all.into_iter().map(Result::unwrap).collect::<Vec<_>>(), [2, 4, 6]);
    let tried: Result<Vec<u8>, tenter::task::GatherError<String>> =
        tenter::try_gather([async { Ok(1) }]).await;
    assert_eq!(tried.unwrap(), [1]);
    let mut completed = pin!(tenter::as_completed(doubled));
    let mut sum = 0;
    while let Some((index, result)) = completed.next().await {
        sum += index as i32 + result.unwrap();
    }
    assert_eq!(sum, 3 + 12);
    assert_eq!(tenter::shield(async { 8 }).await.unwrap(), 8);

    let mut set: tenter::JoinSet<u8> = tenter::JoinSet::new();
    set.spawn(async { 9 });
    assert_eq!(set.len(), 1);
    assert_eq!(set.join_next().await.unwrap().unwrap(), 9);
    set.spawn(std::future::pending());
    set.abort_all();
    set.shutdown().await;
    assert!(set.is_empty());

    let token: tenter::CancelToken = tenter::CancelToken::new();
    let child = token.child();
    assert_eq!(child.run_until(async { 10 }).await, Some(10));
    token.cancel();
    child.cancelled().await;
    assert!(child.is_cancelled());
    assert_eq!(child.run_until(std::future::pending::<u8>()).await, None);
}

#[tenter::test]
async fn futures_are_combined_by_macros() {
    let _watchdog = watchdog(LIMIT);
    let chosen = tenter::select! {
        biased;
        n = async { 1 } => n,
        _ = std::future::pending::<()>() => 2,
    };
    assert_eq!(chosen, 1);
    let fair = tenter::select! {
        n = async { 3 } => n,
        n = async { 3 }, if true => n,
        else => 4,
    };
    assert_eq!(fair, 3);
    assert_eq!(tenter::join!(async { 1 }, async { "two" }), (1, "two"));
    let tried =
        tenter::try_join!(async { Ok::<_, String>(1) }, async { Err::<u8, _>("no".into()) });
    assert_eq!(tried.unwrap_err(), "no");
}

#[tenter::test]
async fn time_passes() {
    use tenter::time::{self, MissedTick};
    let _watchdog = watchdog(LIMIT);
    let now = Instant::now();
    time::sleep(Duration::from_millis(1)).await;
    time::sleep_until(now).await;
    let mut interval = time::interval(Duration::from_millis(1));
    interval.set_missed_tick(MissedTick::Skip);
    let _: Instant = interval.tick().await;
    let _: Option<Instant> = interval.next().await;
    let _ = [MissedTick::Burst, MissedTick::Delay];
    time::interval_at(now, Duration::from_millis(1)).tick().await;
    let elapsed: time::Elapsed =
        time::timeout(Duration::ZERO, std::future::pending::<()>()).await.unwrap_err();
    assert_eq!(std::io::Error::from(elapsed).kind(), std::io::ErrorKind::TimedOut);
    assert_eq!(time::timeout_at(now + LIMIT, async { 1 }).await.unwrap(), 1);
    let mut sleep = time::sleep(Duration::MAX);
    sleep.reset(now);
    assert_eq!(sleep.deadline(), now);
    sleep.await;
}

#[tenter::test]
async fn bytes_go_over_sockets() -> std::io::Result<()> {
    use tenter::net::*;
    let _watchdog = watchdog(LIMIT);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let socket = TcpSocket::new_v4()?;
    socket.set_nodelay(true)?;
    let mut client = socket.connect(address).await?;
    let (server, _) = listener.accept().await?;
    client.write_all(b"tcp").await?;
    let mut buffer = [0; 3];
    assert_eq!(server.peek(&mut buffer).await?, 3);
    server.readable().await?;
    assert_eq!(server.try_read(&mut buffer)?, 3);
    server.writable().await?;
    server.try_write(&buffer)?;
    (&client).read_exact(&mut buffer).await?;
    client.write_vectored(&[IoSlice::new(b"a"), IoSlice::new(b"b")]).await?;
    client.shutdown(std::net::Shutdown::Write)?;
    let (mut reader, writer) = server.into_split();
    let mut rest = String::new();
    reader.read_to_string(&mut rest).await?;
    assert_eq!(rest, "ab");
    drop((reader, writer));
    drop(TcpStream::from_std(client.into_std()?)?);
    let late = TcpStream::connect(address).await?;
    assert!(listener.incoming().next().await.is_some());
    drop(late);
    assert!(lookup_host(("127.0.0.1", 80)).await?.next().is_some());

    let (one, two) = (UdpSocket::bind("127.0.0.1:0").await?, UdpSocket::bind("127.0.0.1:0").await?);
    one.send_to(b"udp", two.local_addr()?).await?;
    assert_eq!(two.recv_from(&mut buffer).await?, (3, one.local_addr()?));
    one.connect(two.local_addr()?).await?;
    one.send(b"udp").await?;
    assert_eq!(std::future::poll_fn(|cx| two.poll_recv_from(cx, &mut buffer)).await?.0, 3);
    let to = two.local_addr()?;
    assert_eq!(std::future::poll_fn(|cx| two.poll_send_to(cx, b"udp", to)).await?, 3);

    let folder = std::env::temp_dir().join(format!("tenter-api-{}", std::process::id()));
    tenter::fs::create_dir_all(&folder).await?;
    let listener = UnixListener::bind(folder.join("socket"))?;
    let mut client = UnixStream::connect(folder.join("socket")).await?;
    let (mut server, _) = listener.accept().await?;
    client.write_all(b"uds").await?;
    server.read_exact(&mut buffer).await?;
    assert_eq!(&buffer, b"uds");
    assert_eq!(server.peer_cred()?.pid(), Some(std::process::id() as i32));
    let (one, two) = UnixDatagram::pair()?;
    one.send(b"uds").await?;
    assert_eq!(two.recv(&mut buffer).await?, 3);
    let (one, two) = UnixStream::pair()?;
    let moved = tenter::io::copy(&one, &two);
    let mut moved = pin!(moved);
    assert!(futures_lite::future::poll_once(&mut moved).await.is_none());
    tenter::fs::remove_dir_all(&folder).await
}

#[tenter::test]
async fn files_are_read_and_written() -> std::io::Result<()> {
    use tenter::fs;
    let _watchdog = watchdog(LIMIT);
    let folder = std::env::temp_dir().join(format!("tenter-api-fs-{}", std::process::id()));
    fs::create_dir_all(&folder).await?;
    let path = folder.join("file");
    fs::write(&path, "some text").await?;
    assert_eq!(fs::read(&path).await?, b"some text");
    assert_eq!(fs::read_to_string(&path).await?, "some text");
    assert_eq!(fs::copy(&path, folder.join("copy")).await?, 9);
    assert_eq!(fs::metadata(&path).await?.len(), 9);
    let mut entries = fs::read_dir(&folder).await?;
    let mut names = 0;
    while let Some(entry) = entries.next().await {
        assert!(!entry?.file_name().is_empty());
        names += 1;
    }
    assert_eq!(names, 2);
    fs::rename(folder.join("copy"), folder.join("moved")).await?;
    let mut file: fs::File = fs::OpenOptions::new().read(true).write(true).open(&path).await?;
    file.write_all(b"SOME").await?;
    file.seek(SeekFrom::Start(0)).await?;
    let mut text = String::new();
    file.read_to_string(&mut text).await?;
    assert_eq!(text, "SOME text");
    file.close().await?;
    drop((fs::File::open(&path).await?, fs::File::create(folder.join("new")).await?));
    fs::remove_file(&path).await?;
    fs::remove_dir_all(&folder).await
}

#[tenter::test]
async fn programs_are_run_and_signals_awaited() -> std::io::Result<()> {
    use tenter::process::{Child, Command};
    use tenter::signal::unix::{SignalKind, signal};
    let _watchdog = watchdog(LIMIT);
    assert!(Command::new("true").status().await?.success());
    assert_eq!(Command::new("echo").arg("hello").output().await?.stdout, b"hello\n");
    let mut cat: Child = Command::new("cat")
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let mut stdin = cat.stdin.take().unwrap();
    stdin.write_all(b"through a pipe").await?;
    drop(stdin);
    let mut text = String::new();
    cat.stdout.take().unwrap().read_to_string(&mut text).await?;
    assert_eq!(text, "through a pipe");
    assert!(cat.wait().await?.success());
    let mut sleeper = Command::new("sleep").arg("1000").spawn()?;
    assert!(sleeper.id().is_some());
    sleeper.kill().await?;

    let mut windows = signal(SignalKind::window_change())?;
    support::kill(std::process::id(), rustix::process::Signal::WINCH);
    assert_eq!(windows.recv().await, Some(()));
    let mut interrupt = pin!(tenter::signal::ctrl_c());
    assert!(futures_lite::future::poll_once(&mut interrupt).await.is_none());
    Ok(())
}

#[tenter::test]
async fn any_descriptor_is_driven() -> std::io::Result<()> {
    let _watchdog = watchdog(LIMIT);
    let (one, two) = std::os::unix::net::UnixStream::pair()?;
    let (mut one, two) = (tenter::io::Async::new(one)?, tenter::io::Async::new(two)?);
    one.writable().await?;
    one.write_all(b"x").await?;
    two.readable().await?;
    let read = two.read_with(|mut socket| std::io::Read::read(&mut socket, &mut [0; 2])).await?;
    assert_eq!(read, 1);
    two.write_with(|mut socket| std::io::Write::write(&mut socket, b"y")).await?;
    drop(two.into_inner()?);
    let _ = (tenter::io::stdin(), tenter::io::stdout(), tenter::io::stderr());
    assert_eq!(tenter::io::copy(tenter::io::empty(), tenter::io::sink()).await?, 0);
    Ok(())
}

#[tenter::test]
async fn primitives_are_those_of_the_ecosystem() {
    use tenter::sync;
    let _watchdog = watchdog(LIMIT);
    *sync::Mutex::new(0).lock().await += 1;
    drop(sync::RwLock::new(0).read().await);
    drop(sync::Semaphore::new(1).acquire().await);
    let (sender, receiver) = sync::channel::bounded(1);
    sender.send(1).await.unwrap();
    assert_eq!(receiver.recv().await, Ok(1));
    let event = sync::Event::new();
    let listener = event.listen();
    event.notify(1);
    listener.await;
}

/// The signatures that a caller may rely on to name what it gets.
#[test]
fn signatures_are_as_promised() {
    fn is_future<T>(_: &impl Future<Output = T>) {}
    is_future::<Vec<AsyncResult<u8>>>(&tenter::gather([async { 1_u8 }]));
    is_future::<AsyncResult<u8>>(&tenter::shield(async { 1_u8 }));
    is_future::<()>(&tenter::yield_now());
    let _: &'static Location<'static> = Location::caller();
}
