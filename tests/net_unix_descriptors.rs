//! Descriptors that are passed through Unix sockets: whole, once, and never leaked.

#[path = "net/names.rs"]
mod names;
mod support;

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;

use futures_lite::future;
use names::abstract_name;
use rustix::io::{FdFlags, fcntl_getfd};
use rustix::net::sockopt::set_socket_passcred;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Resource, Rlimit, setrlimit};
use support::{Child, LIMIT, descriptors, expect_success, runtime, wait_until, within};
use tenter::io::{AsyncReadExt, AsyncWriteExt};
use tenter::net::{UnixDatagram, UnixStream};

/// `EMFILE`: the process has no room for another descriptor.
const NO_ROOM: Option<i32> = Some(24);

/// Runs `body` in a runtime of its own, under the watchdog.
fn run<T>(body: impl Future<Output = T>) -> T {
    within(LIMIT, || runtime(2).block_on(body))
}

/// Both ends of a pipe: to read from, and to write to.
fn pipe() -> (File, File) {
    let (reader, writer) = pipe_with(PipeFlags::CLOEXEC).unwrap();
    (reader.into(), writer.into())
}

/// Does not return before every copy of the pipe's other end is closed. A process that is being
/// started has them all, for a moment.
#[track_caller]
fn assert_closed(reader: &mut File) {
    rustix::io::ioctl_fionbio(&*reader, true).unwrap();
    wait_until(|| match reader.read(&mut [0]) {
        Err(error) => error.kind() != ErrorKind::WouldBlock,
        Ok(read) => read == 0,
    });
}

/// Fails unless `fd` writes to `reader`.
#[track_caller]
fn assert_connected(fd: OwnedFd, reader: &mut File) {
    File::from(fd).write_all(b"through").unwrap();
    let mut text = [0; 7];
    reader.read_exact(&mut text).unwrap();
    assert_eq!(&text, b"through");
}

#[test]
fn a_descriptor_comes_with_its_bytes_and_is_closed_on_exec() {
    run(async {
        let (one, other) = UnixStream::pair().unwrap();
        let mut buffer = [0; 16];
        assert!(future::poll_once(other.recv_with_fds(&mut buffer, 1)).await.is_none());
        let (mut reader, writer) = pipe();
        assert_eq!(one.send_with_fds(b"a pipe", &[writer.as_fd()]).await.unwrap(), 6);
        let (len, mut fds) = other.recv_with_fds(&mut buffer, 1).await.unwrap();
        assert_eq!(&buffer[..len], b"a pipe");
        assert_eq!(fds.len(), 1);
        let fd = fds.remove(0);
        assert_ne!(fd.as_raw_fd(), writer.as_raw_fd());
        assert_eq!(fcntl_getfd(&fd).unwrap(), FdFlags::CLOEXEC);
        drop(writer);
        assert_connected(fd, &mut reader);
        assert_closed(&mut reader);
    });
}

#[test]
fn descriptors_keep_their_order_and_their_place_among_the_bytes() {
    run(async {
        let (one, other) = UnixStream::pair().unwrap();
        let mut pipes: Vec<_> = (0..6).map(|_| pipe()).collect();
        (&one).write_all(b"none").await.unwrap();
        {
            let fds: Vec<_> = pipes.iter().map(|(_, writer)| writer.as_fd()).collect();
            one.send_with_fds(b"four", &fds[..4]).await.unwrap();
            one.send_with_fds(b"two", &fds[4..]).await.unwrap();
            assert_eq!(one.send_with_fds(b"without", &[]).await.unwrap(), 7);
        }
        drop(one);
        let (mut all, mut received, mut buffer) = (Vec::new(), Vec::new(), [0; 64]);
        loop {
            let (len, fds) = other.recv_with_fds(&mut buffer, 10).await.unwrap();
            if len == 0 {
                assert!(fds.is_empty());
                break;
            }
            // They come with the first byte of theirs, and with no byte that follows a later one's.
            match received.len() {
                0 if !fds.is_empty() => assert!(all.len() + len >= 5 && all.len() + len <= 8),
                4 if !fds.is_empty() => assert_eq!(all.len() + len, 11),
                _ => {}
            }
            all.extend_from_slice(&buffer[..len]);
            received.extend(fds);
        }
        assert_eq!(all, b"nonefourtwowithout");
        assert_eq!(received.len(), 6);
        for (fd, (reader, _)) in received.into_iter().zip(&mut pipes) {
            assert_connected(fd, reader);
        }
    });
}

#[test]
fn more_descriptors_than_asked_for_are_an_error_and_all_of_them_are_closed() {
    run(async {
        // One more than `max` is special: it may fit into what is rounded up to a word.
        for (sent, max) in [(1, 0), (2, 0), (2, 1), (3, 1), (3, 2), (5, 4), (6, 3), (253, 252)] {
            let (one, mut other) = UnixStream::pair().unwrap();
            let (mut reader, writer) = pipe();
            one.send_with_fds(b"many", &vec![writer.as_fd(); sent]).await.unwrap();
            drop(writer);
            let mut buffer = [0; 16];
            let error = other.recv_with_fds(&mut buffer, max).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidData, "{sent} sent, {max} asked for");
            assert_closed(&mut reader);
            // The stream goes on behind the message.
            (&one).write_all(b"more").await.unwrap();
            assert_eq!(other.read(&mut buffer).await.unwrap(), 4);
            assert_eq!(&buffer[..4], b"more");
        }
    });
}

#[test]
fn a_message_takes_253_descriptors_and_not_one_more() {
    run(async {
        let (one, other) = UnixStream::pair().unwrap();
        let (_reader, writer) = pipe();
        let fds = [writer.as_fd(); 254];
        let error = one.send_with_fds(b"x", &fds).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        one.send_with_fds(b"x", &fds[1..]).await.unwrap();
        // More than any message has is no more than that.
        let (len, received) = other.recv_with_fds(&mut [0; 4], usize::MAX).await.unwrap();
        assert_eq!((len, received.len()), (1, 253));

        let (one, _other) = UnixDatagram::pair().unwrap();
        let error = one.send_with_fds(b"x", &fds).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        let nobody = abstract_name();
        let error = one.send_to_with_fds(b"x", &fds, &nobody).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    });
}

#[test]
fn a_stream_passes_no_descriptors_without_bytes() {
    run(async {
        let (one, other) = UnixStream::pair().unwrap();
        let (_reader, writer) = pipe();
        let error = one.send_with_fds(b"", &[writer.as_fd()]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert_eq!(one.send_with_fds(b"", &[]).await.unwrap(), 0);
        // And none without room for bytes: they stay.
        one.send_with_fds(b"x", &[writer.as_fd()]).await.unwrap();
        let (len, fds) = other.recv_with_fds(&mut [], 1).await.unwrap();
        assert!(len == 0 && fds.is_empty());
        let (len, fds) = other.recv_with_fds(&mut [0], 1).await.unwrap();
        assert!(len == 1 && fds.len() == 1);
    });
}

#[test]
fn descriptors_that_nobody_receives_are_closed() {
    run(async {
        // Read as bytes alone.
        let (one, mut other) = UnixStream::pair().unwrap();
        let (mut reader, writer) = pipe();
        one.send_with_fds(b"bytes", &[writer.as_fd()]).await.unwrap();
        drop(writer);
        assert_eq!(other.read(&mut [0; 16]).await.unwrap(), 5);
        assert_closed(&mut reader);
        // Never read.
        let (mut reader, writer) = pipe();
        one.send_with_fds(b"bytes", &[writer.as_fd()]).await.unwrap();
        drop(writer);
        drop(other);
        assert_closed(&mut reader);
        // A datagram whose receiver asks for none.
        let (one, other) = UnixDatagram::pair().unwrap();
        let (mut reader, writer) = pipe();
        one.send_with_fds(b"bytes", &[writer.as_fd()]).await.unwrap();
        drop(writer);
        assert_eq!(other.recv(&mut [0; 16]).await.unwrap(), 5);
        assert_closed(&mut reader);
    });
}

#[test]
fn datagrams_bring_descriptors_with_or_without_bytes_and_say_from_whom() {
    run(async {
        let (here, there) = (abstract_name(), abstract_name());
        let receiver = UnixDatagram::bind_addr(&here).unwrap();
        let sender = UnixDatagram::bind_addr(&there).unwrap();
        let (mut reader, writer) = pipe();
        let fds = [writer.as_fd()];
        let mut buffer = [0; 16];
        let waits = future::poll_once(receiver.recv_with_fds(&mut buffer, 1)).await;
        assert!(waits.is_none());
        assert_eq!(sender.send_to_with_fds(b"to", &fds, &here).await.unwrap(), 2);
        let (len, mut fds, from) = receiver.recv_from_with_fds(&mut buffer, 3).await.unwrap();
        assert_eq!((len, fds.len()), (2, 1));
        assert_eq!(from.as_abstract_name(), there.as_abstract_name());
        assert_connected(fds.remove(0), &mut reader);

        let unnamed = UnixDatagram::unbound().unwrap();
        unnamed.connect_addr(&here).unwrap();
        assert_eq!(unnamed.send_with_fds(b"", &[writer.as_fd(); 2]).await.unwrap(), 0);
        let (len, fds, from) = receiver.recv_from_with_fds(&mut [], 2).await.unwrap();
        assert!(len == 0 && fds.len() == 2 && from.is_unnamed());

        unnamed.send_with_fds(b"too many", &[writer.as_fd(); 2]).await.unwrap();
        let error = receiver.recv_with_fds(&mut buffer, 1).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidData);
        drop((writer, fds));
        assert_closed(&mut reader);
        let error = sender.send_with_fds(b"x", &[]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotConnected);
    });
}

#[test]
fn descriptors_for_a_full_peer_go_when_it_reads() {
    run(async {
        let name = abstract_name();
        let receiver = UnixDatagram::bind_addr(&name).unwrap();
        let sender = UnixDatagram::unbound().unwrap();
        let mut filled = 0;
        while sender.try_send_to_addr(b"fill", &name).is_ok() {
            filled += 1;
        }
        let (mut reader, writer) = pipe();
        let sending = tenter::spawn(async move {
            sender.send_to_with_fds(b"patient", &[writer.as_fd()], &name).await.unwrap();
        });
        let mut buffer = [0; 16];
        for _ in 0..filled {
            let (len, fds) = receiver.recv_with_fds(&mut buffer, 1).await.unwrap();
            assert!(len == 4 && fds.is_empty());
        }
        let (len, mut fds) = receiver.recv_with_fds(&mut buffer, 1).await.unwrap();
        assert_eq!(len, 7);
        sending.await.unwrap();
        assert_connected(fds.remove(0), &mut reader);
        assert_closed(&mut reader);
    });
}

#[test]
fn dropping_a_receive_that_waits_loses_no_descriptor() {
    run(async {
        let (one, other) = UnixStream::pair().unwrap();
        let mut buffer = [0; 4];
        for _ in 0..50 {
            let (mut reader, writer) = pipe();
            assert!(future::poll_once(other.recv_with_fds(&mut buffer, 1)).await.is_none());
            one.send_with_fds(b"kept", &[writer.as_fd()]).await.unwrap();
            let (len, mut fds) = other.recv_with_fds(&mut buffer, 1).await.unwrap();
            assert_eq!((len, fds.len()), (4, 1));
            assert_connected(fds.remove(0), &mut reader);
        }
    });
}

#[test]
fn a_process_without_room_gets_an_error_and_leaks_nothing() {
    within(LIMIT, || {
        let output = Child::new().run(|| {
            runtime(1).block_on(async {
                let (one, other) = UnixStream::pair().unwrap();
                let (from, to) = UnixDatagram::pair().unwrap();
                let (mut reader, writer) = pipe();
                let mut buffer = [0; 16];
                // Whatever the driver opens when somebody waits is open now.
                let waits = future::poll_once(other.recv_with_fds(&mut buffer, 1)).await;
                assert!(waits.is_none());
                assert!(future::poll_once(to.recv_with_fds(&mut buffer, 1)).await.is_none());
                one.send_with_fds(b"four", &[writer.as_fd(); 4]).await.unwrap();
                from.send_with_fds(b"four", &[writer.as_fd(); 4]).await.unwrap();
                drop(writer);
                let open = descriptors();
                // Room for two of the four.
                let highest = highest_descriptor();
                let limit = Some(highest + 3);
                let fillers = fill_below(highest);
                setrlimit(Resource::Nofile, Rlimit { current: limit, maximum: limit }).unwrap();
                let error = other.recv_with_fds(&mut buffer, 4).await.unwrap_err();
                assert_eq!(error.raw_os_error(), NO_ROOM, "{error:?}");
                let error = to.recv_with_fds(&mut buffer, 4).await.unwrap_err();
                assert_eq!(error.raw_os_error(), NO_ROOM, "{error:?}");
                drop(fillers);
                assert_eq!(descriptors(), open);
                assert_closed(&mut reader);
                (&one).write_all(b"more").await.unwrap();
                let (len, fds) = other.recv_with_fds(&mut buffer, 4).await.unwrap();
                assert!(len == 4 && fds.is_empty());
            });
        });
        expect_success(&output);
    });
}

/// The highest number of a descriptor of this process.
fn highest_descriptor() -> u64 {
    let entries = std::fs::read_dir("/proc/self/fd").unwrap();
    let numbers = entries.map(|entry| entry.unwrap().file_name().to_str().unwrap().parse::<u64>());
    numbers.map(Result::unwrap).max().unwrap()
}

/// Takes every free number below `highest`.
fn fill_below(highest: u64) -> Vec<OwnedFd> {
    let mut fillers = Vec::new();
    loop {
        let filler = OwnedFd::from(File::open("/dev/null").unwrap());
        if filler.as_raw_fd() as u64 > highest {
            return fillers;
        }
        fillers.push(filler);
    }
}

/// What is passed is borrowed: nothing of it is the socket's.
#[test]
fn the_senders_descriptors_stay_open() {
    run(async {
        let (one, other) = UnixStream::pair().unwrap();
        let (mut reader, mut writer) = pipe();
        let fds: [BorrowedFd<'_>; 2] = [writer.as_fd(), writer.as_fd()];
        one.send_with_fds(b"x", &fds).await.unwrap();
        drop(other);
        writer.write_all(b"open").unwrap();
        let mut text = [0; 4];
        reader.read_exact(&mut text).unwrap();
        drop(writer);
        assert_closed(&mut reader);
    });
}

#[test]
fn what_else_comes_with_a_message_takes_no_descriptors_room() {
    run(async {
        let (mut reader, writer) = pipe();
        let (one, other) = UnixStream::pair().unwrap();
        let (one_datagram, other_datagram) = UnixDatagram::pair().unwrap();
        // With each message come the sender's credentials.
        set_socket_passcred(&other, true).unwrap();
        set_socket_passcred(&other_datagram, true).unwrap();
        let mut buffer = [0; 16];
        for max in [0, 1, 2, 3, 8, 253] {
            for fds in [&[][..], &[writer.as_fd()], &vec![writer.as_fd(); 253]] {
                one.send_with_fds(b"said", fds).await.unwrap();
                one_datagram.send_with_fds(b"said", fds).await.unwrap();
                let by_stream = other.recv_with_fds(&mut buffer, max).await;
                let by_datagram = other_datagram.recv_with_fds(&mut buffer, max).await;
                for received in [by_stream, by_datagram] {
                    match received {
                        Ok((len, received)) => assert_eq!((len, received.len()), (4, fds.len())),
                        Err(error) => {
                            assert!(max < fds.len(), "{} of {max}: {error}", fds.len());
                            assert_eq!(error.kind(), ErrorKind::InvalidData);
                        }
                    }
                }
            }
        }
        drop(writer);
        assert_closed(&mut reader);
    });
}
