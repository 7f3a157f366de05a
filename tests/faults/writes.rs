//! Writes that take less than they were given, and places that are full.

use std::fs::File as StdFile;
use std::io::Read;
use std::net::TcpListener as StdListener;
use std::thread;

use libc::{SYS_pwrite64, SYS_sendto, SYS_write};
use rustix::pipe::{PipeFlags, fcntl_setpipe_size, pipe_with};
use tenter::fs::{self, File};
use tenter::io::{Async, AsyncWriteExt};
use tenter::net::TcpSocket;

use crate::folder::Folder;
use crate::injector::{Fault, inject, scenario};
use crate::support::runtime;

/// Bytes that tell their place.
fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at ^ (at >> 8) ^ (at >> 16)) as u8).collect()
}

#[test]
fn a_stream_that_takes_little_at_a_time_gets_every_byte_in_order() {
    scenario(|| {
        let [sends] = inject([Fault::counter(&[SYS_sendto])]);
        let listener = StdListener::bind("127.0.0.1:0").unwrap();
        let data = pattern(1 << 20);
        runtime(2).block_on(async {
            let socket = TcpSocket::new_v4().unwrap();
            // The least that there is.
            socket.set_send_buffer_size(1).unwrap();
            let mut stream = socket.connect(listener.local_addr().unwrap()).await.unwrap();
            let (mut peer, _) = listener.accept().unwrap();
            let reader = thread::spawn(move || {
                let mut all = Vec::new();
                peer.read_to_end(&mut all).unwrap();
                all
            });
            sends.only(&stream);
            stream.write_all(&data).await.unwrap();
            stream.close().await.unwrap();
            assert!(reader.join().unwrap() == data, "other bytes, or in another order");
            assert!(sends.calls() > 10, "{} calls: nothing was cut short", sends.calls());
        });
    });
}

#[test]
fn a_pipe_that_is_full_is_waited_for_and_tried_at_most_twice_a_read() {
    scenario(|| {
        let [writes] = inject([Fault::counter(&[SYS_write])]);
        runtime(2).block_on(async {
            let (reader, writer) = pipe_with(PipeFlags::CLOEXEC).unwrap();
            // A page, whose size is the machine's.
            let size = fcntl_setpipe_size(&writer, 4096).unwrap();
            let data = pattern(64 * size);
            let mut reader = StdFile::from(reader);
            let reads = thread::spawn(move || {
                let (mut all, mut buf, mut calls) = (Vec::new(), vec![0; size], 0);
                loop {
                    let len = reader.read(&mut buf).unwrap();
                    if len == 0 {
                        return (all, calls);
                    }
                    all.extend_from_slice(&buf[..len]);
                    calls += 1;
                }
            });
            let mut pipe = Async::new(StdFile::from(writer)).unwrap();
            writes.only(&pipe);
            pipe.write_all(&data).await.unwrap();
            drop(pipe);
            let (all, reads) = reads.join().unwrap();
            assert!(all == data, "other bytes, or in another order");
            // Each read makes room for one write, and one more call may find that there is none.
            assert!(writes.calls() > 10, "{} calls: it was never full", writes.calls());
            assert!(writes.calls() <= 2 * reads + 2, "{} calls, {reads} reads", writes.calls());
        });
    });
}

#[test]
fn a_file_that_takes_three_bytes_at_a_time_gets_every_byte_in_order() {
    scenario(|| {
        let [writes] = inject([Fault::short(&[SYS_pwrite64, SYS_write], 3)]);
        let (folder, data) = (Folder::new(), pattern(1000));
        let path = folder.path("file");
        runtime(2).block_on(async {
            let mut file = File::create(&path).await.unwrap();
            writes.only(&file).strike_always();
            file.write_all(&data).await.unwrap();
            file.flush().await.unwrap();
            assert_eq!(writes.struck(), 334);
            assert!(fs::read(&path).await.unwrap() == data, "other bytes, or in another order");
        });
    });
}
