//! The cheapest server that speaks enough HTTP/1.1: what the generator reaches against it is the generator's own limit.

use std::io::{self, ErrorKind, Read, Write};
use std::mem::MaybeUninit;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use rustix::event::epoll;
use rustix::time::Timespec;

/// As long as the placement's answer, so that the generator reads as much.
const ANSWER_BODY: usize = 480;
/// Ends by itself, whatever becomes of the caller.
const LONGEST_RUN: Duration = Duration::from_secs(120);
const LISTENER: u64 = u64::MAX;

/// Answers until nobody is connected any more (or two minutes have passed).
pub fn run(port: u16) -> io::Result<String> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
    listener.set_nonblocking(true)?;
    let poll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    epoll::add(
        &poll,
        &listener,
        epoll::EventData::new_u64(LISTENER),
        epoll::EventFlags::IN,
    )?;
    let answer = format!(
        "HTTP/1.1 200 OK\r\ncontent-length: {ANSWER_BODY}\r\n\r\n{}",
        "x".repeat(ANSWER_BODY)
    );
    let mut streams: Vec<Option<TcpStream>> = Vec::new();
    let mut answers = 0_u64;
    let mut events = [MaybeUninit::<epoll::Event>::uninit(); 256];
    let started = Instant::now();
    while started.elapsed() < LONGEST_RUN && (streams.is_empty() || streams.iter().any(Option::is_some)) {
        let timeout = Timespec { tv_sec: 1, tv_nsec: 0 };
        let (ready, _) = epoll::wait(&poll, &mut events, Some(&timeout))?;
        for event in ready {
            let token = event.data.u64();
            if token == LISTENER {
                while let Ok((stream, _)) = listener.accept() {
                    stream.set_nodelay(true)?;
                    stream.set_nonblocking(true)?;
                    let data = epoll::EventData::new_u64(streams.len() as u64);
                    epoll::add(&poll, &stream, data, epoll::EventFlags::IN)?;
                    streams.push(Some(stream));
                }
                continue;
            }
            let Some(slot) = streams.get_mut(token as usize) else {
                continue;
            };
            if let Some(stream) = slot {
                match reply(stream, answer.as_bytes()) {
                    Ok(true) => answers += 1,
                    Ok(false) => {}
                    Err(_) => *slot = None,
                }
            }
        }
    }
    Ok(format!("{{\"answers\":{answers}}}"))
}

/// The generator has one request under way per connection and sends it with one write: one read is one request.
fn reply(stream: &mut TcpStream, answer: &[u8]) -> io::Result<bool> {
    let mut buffer = [0_u8; 16 * 1024];
    match stream.read(&mut buffer) {
        Ok(0) => Err(ErrorKind::UnexpectedEof.into()),
        Ok(_) => stream.write_all(answer).map(|()| true),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(false),
        Err(error) => Err(error),
    }
}
