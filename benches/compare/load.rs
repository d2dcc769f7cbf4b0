//! What a daemon still does under full load in both directions: answer for statistics, and end.

use std::io;
use std::net::UdpSocket;
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::stage::{STATISTICS, Stage};

/// More batches than any daemon sends in the time.
const ENDLESS: u64 = 1 << 40;

/// Until the load is what it is.
const WARM_UP: Duration = Duration::from_millis(300);

/// Requests of a round.
const REQUESTS: usize = 100;

/// Between two requests.
const PAUSE: Duration = Duration::from_millis(3);

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(1);

/// How long a daemon may take to end.
const LONGEST_END: Duration = Duration::from_secs(10);

/// Asks J's daemon for its counters; returns how long each answer took, or None without one.
///
/// # Errors
/// Those of sockets, and when the daemon does not take the load.
pub fn statistics(stage: &Stage) -> io::Result<Vec<Option<Duration>>> {
    begin(stage)?;
    let socket = stage.j.namespace.run(|| UdpSocket::bind("127.0.0.1:0"))??;
    socket.connect(("127.0.0.1", STATISTICS))?;
    socket.set_read_timeout(Some(PATIENCE))?;
    let mut answers = Vec::new();
    for _ in 0..REQUESTS {
        answers.push(ask(&socket)?);
        sleep(PAUSE);
    }
    end(stage)?;
    Ok(answers)
}

fn ask(socket: &UdpSocket) -> io::Result<Option<Duration>> {
    let mut answer = [0; 2048];
    let start = Instant::now();
    socket.send(b"\n")?;
    match socket.recv(&mut answer) {
        Ok(_) => Ok(Some(start.elapsed())),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error),
    }
}

/// Sends SIGTERM to J's daemon; returns how long it takes to end.
///
/// # Errors
/// When it does not end.
pub fn exit(stage: &mut Stage) -> io::Result<Duration> {
    begin(stage)?;
    let id = i32::try_from(stage.j.daemon.id()).map_err(io::Error::other)?;
    let start = Instant::now();
    kill(Pid::from_raw(id), Signal::SIGTERM)?;
    while stage.j.daemon.is_running()? {
        if start.elapsed() > LONGEST_END {
            return Err(io::Error::other("the daemon does not end"));
        }
        sleep(Duration::from_micros(100));
    }
    let took = start.elapsed();
    end(stage)?;
    Ok(took)
}

fn begin(stage: &Stage) -> io::Result<()> {
    for router in stage.routers() {
        router.prepare(ENDLESS)?;
    }
    for router in stage.routers() {
        router.first_batch()?;
    }
    sleep(WARM_UP);
    let before = [stage.j.counts()?.given, stage.k.counts()?.given];
    sleep(WARM_UP / 10);
    let after = [stage.j.counts()?.given, stage.k.counts()?.given];
    if before
        .iter()
        .zip(after)
        .any(|(before, after)| *before == after)
    {
        return Err(io::Error::other("a daemon takes no batches"));
    }
    Ok(())
}

fn end(stage: &Stage) -> io::Result<()> {
    stage.j.shared.end()?;
    stage.k.shared.end()
}
