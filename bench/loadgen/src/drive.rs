//! The closed loop: one thread, one epoll, N connections.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Read, Write};
use std::mem::MaybeUninit;
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::event::epoll;
use rustix::time::{ClockId, Timespec, clock_gettime};

use crate::args::Plan;
use crate::latency::Latencies;
use crate::template::Template;

struct Connection {
    stream: TcpStream,
    received: Vec<u8>,
    sent_at: Instant,
}

struct Tally {
    latencies: Latencies,
    statuses: BTreeMap<u16, u64>,
    unexpected: u64,
    first_unexpected: String,
}

/// Runs `plan`; the report is one JSON object. A connection that the server closes is counted as an error and not
/// opened again, so a server that drops connections cannot look fast.
pub fn run(plan: &Plan) -> io::Result<String> {
    let mut template = Template::new(plan);
    let mut number = plan.first;
    let poll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    let mut connections = Vec::with_capacity(plan.connections);
    for index in 0..plan.connections {
        connections.push(Some(connect(plan, &poll, index)?));
    }
    let started = Instant::now();
    let counting_from = started + plan.warmup;
    let until = counting_from + plan.measure;
    let mut tally = Tally {
        latencies: Latencies::default(),
        statuses: BTreeMap::new(),
        unexpected: 0,
        first_unexpected: String::new(),
    };
    let mut lost = 0_u64;
    for connection in connections.iter_mut().flatten() {
        send(connection, &mut template, &mut number)?;
    }
    let mut cpu_at_start = None;
    let mut events = [MaybeUninit::<epoll::Event>::uninit(); 256];
    let mut now = Instant::now();
    while now < until {
        let timeout = Timespec {
            tv_sec: 0,
            tv_nsec: 100_000_000,
        };
        let (ready, _) = epoll::wait(&poll, &mut events, Some(&timeout))?;
        now = Instant::now();
        if now >= counting_from && cpu_at_start.is_none() {
            cpu_at_start = Some((cpu_time(), now));
        }
        for event in ready {
            let index = event.data.u64() as usize;
            let Some(slot) = connections.get_mut(index) else {
                continue;
            };
            let Some(connection) = slot.as_mut() else { continue };
            match step(connection, plan, &mut tally, cpu_at_start.is_some()) {
                Ok(true) => {
                    if send(connection, &mut template, &mut number).is_err() {
                        lost += 1;
                        *slot = None;
                    }
                }
                Ok(false) => {}
                Err(_) => {
                    lost += 1;
                    *slot = None;
                }
            }
        }
        if connections.iter().all(Option::is_none) {
            break;
        }
    }
    let (cpu_before, counted_from) = cpu_at_start.unwrap_or((cpu_time(), now));
    let seconds = now.duration_since(counted_from).as_secs_f64().max(1e-9);
    Ok(report(
        &mut tally,
        lost,
        number - plan.first,
        seconds,
        (cpu_time() - cpu_before).as_secs_f64() / seconds,
    ))
}

fn connect(plan: &Plan, poll: &OwnedFd, index: usize) -> io::Result<Connection> {
    let stream = TcpStream::connect((plan.host.as_str(), plan.port))?;
    stream.set_nodelay(true)?;
    stream.set_nonblocking(true)?;
    epoll::add(
        poll,
        &stream,
        epoll::EventData::new_u64(index as u64),
        epoll::EventFlags::IN,
    )?;
    Ok(Connection {
        stream,
        received: Vec::with_capacity(4096),
        sent_at: Instant::now(),
    })
}

/// Requests are far smaller than a socket buffer and only one is under way, so a short write is a broken connection.
fn send(connection: &mut Connection, template: &mut Template, number: &mut u64) -> io::Result<()> {
    connection.sent_at = Instant::now();
    let request = template.fill(*number);
    *number += 1;
    if connection.stream.write(request)? != request.len() {
        return Err(io::Error::new(ErrorKind::WriteZero, "short write"));
    }
    Ok(())
}

/// Reads what is there; true when one whole answer has arrived.
fn step(connection: &mut Connection, plan: &Plan, tally: &mut Tally, counting: bool) -> io::Result<bool> {
    let mut buffer = [0_u8; 16 * 1024];
    match connection.stream.read(&mut buffer) {
        Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
        Ok(length) => connection.received.extend_from_slice(&buffer[..length]),
        Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
        Err(error) => return Err(error),
    }
    let Some((status, length)) = answer_length(&connection.received)? else {
        return Ok(false);
    };
    if connection.received.len() < length {
        return Ok(false);
    }
    if counting {
        tally.latencies.add(connection.sent_at.elapsed().as_micros());
        *tally.statuses.entry(status).or_default() += 1;
    }
    if status != plan.expect {
        tally.unexpected += 1;
        if tally.first_unexpected.is_empty() {
            tally.first_unexpected = String::from_utf8_lossy(&connection.received).into_owned();
        }
    }
    connection.received.clear();
    Ok(true)
}

/// (status, length of head and body) once the head is complete. Only Content-Length framing is understood: our server
/// always sends it, and anything else is an error rather than a wrong count.
pub fn answer_length(received: &[u8]) -> io::Result<Option<(u16, usize)>> {
    let Some(head) = received.windows(4).position(|four| four == b"\r\n\r\n") else {
        return Ok(None);
    };
    let malformed = || io::Error::new(ErrorKind::InvalidData, "not an HTTP/1.1 answer with Content-Length");
    let text = std::str::from_utf8(&received[..head]).map_err(|_| malformed())?;
    let status = text
        .get(9..12)
        .and_then(|digits| digits.parse().ok())
        .ok_or_else(malformed)?;
    let length: usize = text
        .split("\r\n")
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .and_then(|(_, value)| value.trim().parse().ok())
        .ok_or_else(malformed)?;
    Ok(Some((status, head + 4 + length)))
}

fn cpu_time() -> Duration {
    let spent = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(
        u64::try_from(spent.tv_sec).unwrap_or(0),
        u32::try_from(spent.tv_nsec).unwrap_or(0),
    )
}

fn report(tally: &mut Tally, lost: u64, sent: u64, seconds: f64, cpu: f64) -> String {
    let answers = tally.latencies.len();
    let [p50, p99, max] = tally.latencies.quantiles([0.5, 0.99, 1.0]);
    let statuses: Vec<String> = tally
        .statuses
        .iter()
        .map(|(status, count)| format!("\"{status}\":{count}"))
        .collect();
    format!(
        "{{\"rate\":{:.1},\"answers\":{answers},\"sent\":{sent},\"seconds\":{seconds:.3},\"p50_us\":{p50},\"p99_us\":{p99},\
         \"max_us\":{max},\"statuses\":{{{}}},\"unexpected\":{},\"lost_connections\":{lost},\"generator_cpu\":{cpu:.3},\
         \"first_unexpected\":{}}}",
        answers as f64 / seconds,
        statuses.join(","),
        tally.unexpected,
        json_string(&tally.first_unexpected),
    )
}

fn json_string(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            c if (c as u32) < 0x20 => out.push_str(&format!("\\u{:04x}", c as u32)),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::{answer_length, json_string};

    #[test]
    fn an_answer_is_complete_only_with_its_whole_head() {
        assert!(answer_length(b"HTTP/1.1 201 Created\r\ncontent-length: 2\r\n").is_ok_and(|seen| seen.is_none()));
        let whole = b"HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\n{}";
        assert!(answer_length(whole).is_ok_and(|seen| seen == Some((201, whole.len()))));
        assert!(answer_length(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").is_err());
    }

    #[test]
    fn answers_are_quoted() {
        assert_eq!(json_string("a\"\\\n"), "\"a\\\"\\\\\\u000a\"");
    }
}
