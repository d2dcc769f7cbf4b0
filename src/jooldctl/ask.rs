//! One question over the control socket, and what it means when there is no answer, or no end of it.

use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use socket2::{Domain, SockAddr, Socket, Type};

use crate::failure::{Exit, Failure, words};
use crate::sys;

/// How long to wait until the next try while the daemon has too many clients.
const PAUSE: Duration = Duration::from_millis(20);

/// The longest answer; far more than any daemon gives.
const LONGEST: u64 = 1 << 20;

/// Whether others than the owner may write to a file, so that a group is of use.
const GROUP_WRITES: u32 = 0o020;

/// Where a daemon listens, and for how long it is waited for.
pub(super) struct Server<'a> {
    path: &'a Path,
    timeout: Duration,
}

/// How one try ended.
enum Try {
    Answer(Vec<u8>, Socket),
    /// The daemon has as many clients as it takes.
    Busy,
}

impl<'a> Server<'a> {
    pub(super) fn new(path: &'a Path, timeout: Duration) -> Self {
        Self { path, timeout }
    }

    /// The daemon's answer to `request`.
    ///
    /// # Errors
    /// When there is no answer, or it is an error.
    pub(super) fn ask(&self, request: &str) -> Result<String, Failure> {
        // It ends with the connection.
        let (answer, _) = self.begin(request, |_| false)?;
        self.understood(&answer)
    }

    /// Where the daemon listens.
    pub(super) fn path(&self) -> &Path {
        self.path
    }

    /// What the daemon answers to `request`, up to the end of the connection, or as soon as `is_enough`
    /// says so of what came; and the connection, without a timeout.
    ///
    /// # Errors
    /// When nothing comes.
    pub(super) fn begin(
        &self,
        request: &str,
        is_enough: fn(&[u8]) -> bool,
    ) -> Result<(Vec<u8>, Socket), Failure> {
        let address = SockAddr::unix(self.path).map_err(|error| {
            Failure::usage(format!("{}: {}", self.path.display(), words(&error)))
        })?;
        let end = Instant::now() + self.timeout;
        loop {
            match attempt(&address, request, end, is_enough) {
                Ok(Try::Answer(answer, socket)) => return Ok((answer, socket)),
                Ok(Try::Busy) if left(end) > PAUSE => sleep(PAUSE),
                Ok(Try::Busy) => return Err(self.late("it has too many clients")),
                Err(error) => return Err(self.refused(&error)),
            }
        }
    }

    fn understood(&self, answer: &[u8]) -> Result<String, Failure> {
        let answer = String::from_utf8_lossy(answer);
        if answer.starts_with("error: ") || !answer.ends_with('\n') {
            return Err(self.strange(&answer));
        }
        Ok(answer.into_owned())
    }

    /// An answer that says nothing that was asked for.
    pub(super) fn strange(&self, answer: &str) -> Failure {
        let line = answer.lines().next().unwrap_or_default();
        let shown: String = line.chars().take(200).collect();
        Failure::unavailable(format!(
            "whoever listens at {} answers {shown:?}; is it a joold of version {}?",
            self.path.display(),
            env!("CARGO_PKG_VERSION")
        ))
    }

    fn late(&self, why: &str) -> Failure {
        Failure::unavailable(format!(
            "the joold at {} did not answer within {} ms: {why}",
            self.path.display(),
            self.timeout.as_millis()
        ))
    }

    fn refused(&self, error: &io::Error) -> Failure {
        let path = self.path.display();
        match error.kind() {
            io::ErrorKind::NotFound => Failure::unavailable(format!(
                "no joold listens at {path}: there is no such socket; start joold, or name its \
                 instance with -i, or its \"control socket\" with --socket"
            )),
            io::ErrorKind::ConnectionRefused => Failure::unavailable(format!(
                "no joold listens at {path}: the one that made it has ended; start it"
            )),
            io::ErrorKind::PermissionDenied => Failure {
                exit: Exit::Permission,
                message: format!("may not use {path}: {}; {}", words(error), self.advice()),
            },
            // Of the socket's own clock.
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
                self.late("ask again, or look at its log")
            }
            _ => Failure::system(format_args!("cannot ask the joold at {path}"), error),
        }
    }

    /// Who may.
    fn advice(&self) -> String {
        let file = fs::metadata(self.path).ok();
        match file.filter(|file| file.mode() & GROUP_WRITES != 0) {
            Some(file) => {
                let group = sys::group_numbered(file.gid()).ok().flatten();
                let group = group.map_or_else(|| file.gid().to_string(), |(_, name)| name);
                format!("run jooldctl as root, or as a member of the group {group}")
            }
            None => "run jooldctl as root, or name a \"control group\" in joold's module file and \
                     be a member of it"
                .to_owned(),
        }
    }
}

fn left(end: Instant) -> Duration {
    end.saturating_duration_since(Instant::now())
}

/// Asks once. The daemon closes the connection of a client for whom it has no place.
fn attempt(
    address: &SockAddr,
    request: &str,
    end: Instant,
    is_enough: fn(&[u8]) -> bool,
) -> io::Result<Try> {
    let mut socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // A queue without room would block, whatever the timeout.
    socket.set_nonblocking(true)?;
    match socket.connect(address) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Try::Busy),
        connected => connected?,
    }
    socket.set_nonblocking(false)?;
    match exchange(&mut socket, request, end, is_enough) {
        Ok(answer) if answer.is_empty() => Ok(Try::Busy),
        Ok(answer) => {
            socket.set_read_timeout(None)?;
            Ok(Try::Answer(answer, socket))
        }
        Err(error) => match error.kind() {
            io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => Ok(Try::Busy),
            _ => Err(error),
        },
    }
}

/// Sends the request, and receives until the daemon closes, or there is enough.
fn exchange(
    socket: &mut Socket,
    request: &str,
    end: Instant,
    is_enough: fn(&[u8]) -> bool,
) -> io::Result<Vec<u8>> {
    let mut answer = Vec::new();
    let mut room = [0; 4096];
    // It always fits: nothing was sent before.
    socket.write_all(format!("{request}\n").as_bytes())?;
    loop {
        // A timeout of 0 would be none.
        socket.set_read_timeout(Some(left(end).max(Duration::from_millis(1))))?;
        match socket.read(&mut room) {
            Ok(0) => return Ok(answer),
            Ok(length) => answer.extend_from_slice(&room[..length]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => (),
            Err(error) => return Err(error),
        }
        if is_enough(&answer) {
            return Ok(answer);
        }
        if left(end).is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        if answer.len() as u64 > LONGEST {
            return Err(io::Error::other("its answer has no end"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;
    use std::path::PathBuf;
    use std::process;
    use std::thread;

    /// A socket whose name goes when this is dropped.
    struct Place(PathBuf);

    impl Place {
        fn new(name: &str) -> Self {
            let name = format!("jooldctl-{}-{name}.sock", process::id());
            Self(std::env::temp_dir().join(name))
        }

        fn ask(&self, milliseconds: u64) -> Result<String, Failure> {
            Server::new(&self.0, Duration::from_millis(milliseconds)).ask("state")
        }
    }

    impl Drop for Place {
        fn drop(&mut self) {
            let _ = fs::remove_file(&self.0);
        }
    }

    /// A daemon that answers one client with each of these after another.
    fn serve(place: &Place, answers: &'static [&'static str]) -> thread::JoinHandle<()> {
        let listener = UnixListener::bind(&place.0).unwrap();
        thread::spawn(move || {
            for answer in answers {
                let (mut client, _) = listener.accept().unwrap();
                if !answer.is_empty() {
                    client.read_exact(&mut [0; 6]).unwrap();
                }
                // The client may have given up.
                let _ = client.write_all(answer.as_bytes());
            }
        })
    }

    #[test]
    fn a_busy_daemon_is_asked_again() {
        let place = Place::new("busy");
        let daemon = serve(&place, &["", "", "in sync\nyes\n"]);
        assert_eq!(place.ask(20_000).unwrap(), "in sync\nyes\n");
        daemon.join().unwrap();
    }

    #[test]
    fn whoever_is_no_joold_is_quoted() {
        for (name, answers, quoted) in [
            ("error", &["error: what?\n"], "\"error: what?\""),
            ("half", &["in sy"], "\"in sy\""),
        ] {
            let place = Place::new(name);
            let daemon = serve(&place, answers);
            let failure = place.ask(20_000).unwrap_err();
            assert_eq!(failure.exit, Exit::Unavailable);
            assert!(failure.message.contains(quoted), "{failure}");
            daemon.join().unwrap();
        }
    }

    #[test]
    fn without_an_answer_it_ends_in_time() {
        let place = Place::new("late");
        let listener = UnixListener::bind(&place.0).unwrap();
        let failure = place.ask(30).unwrap_err();
        assert_eq!(failure.exit, Exit::Unavailable);
        let told = "did not answer within 30 ms";
        assert!(failure.message.contains(told), "{failure}");
        // Nor does it wait for a place in the queue.
        socket2::SockRef::from(&listener).listen(0).unwrap();
        for _ in 0..3 {
            let failure = place.ask(30).unwrap_err();
            assert!(failure.message.contains(told), "{failure}");
        }
    }

    #[test]
    fn no_daemon_is_told_from_one_that_has_ended() {
        let place = Place::new("ended");
        let failure = place.ask(1000).unwrap_err();
        assert!(failure.message.contains("no such socket"), "{failure}");
        assert_eq!(failure.exit, Exit::Unavailable);
        drop(UnixListener::bind(&place.0).unwrap());
        let failure = place.ask(1000).unwrap_err();
        assert!(failure.message.contains("has ended"), "{failure}");
        assert_eq!(failure.exit, Exit::Unavailable);
    }
}
