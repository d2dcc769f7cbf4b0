//! `jooldctl watch`, on a daemon that is made up.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::pty::{OpenptyResult, Winsize, openpty};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::Directory;

/// Longer than any test takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// What answers each question with a status, and with 1000 updates more each time.
struct Joold {
    path: PathBuf,
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Joold {
    fn start(path: &Path, pid: u32) -> Self {
        let listener = UnixListener::bind(path).unwrap();
        let ends = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&ends);
        let updates = AtomicU32::new(0);
        let thread = thread::spawn(move || {
            for client in listener.incoming() {
                if ended.load(Ordering::Relaxed) {
                    return;
                }
                let mut client = client.unwrap();
                let mut request = String::new();
                BufReader::new(&client).read_line(&mut request).unwrap();
                assert_eq!(request, "status\n");
                let updates = updates.fetch_add(1000, Ordering::Relaxed);
                let counters = format!(r#"{{"updates from the kernel": {updates}}}"#);
                let status = format!(
                    r#"{{"standing": "in sync", "may take over": true, "instance": "default",
                    "pid": {pid}, "sessions": 7, "counters": {counters}}}"#
                );
                // The client may have been ended meanwhile.
                let _ = client.write_all((status.replace('\n', "") + "\n").as_bytes());
            }
        });
        Self {
            path: path.to_owned(),
            ends,
            thread: Some(thread),
        }
    }

    /// Ends it; its name goes as well.
    fn stop(mut self) {
        self.ends.store(true, Ordering::Relaxed);
        // So that it sees that.
        let _ = UnixStream::connect(&self.path);
        let _ = fs::remove_file(&self.path);
        self.thread.take().unwrap().join().unwrap();
    }
}

fn watch(socket: &Path, stdout: impl Into<Stdio>) -> Child {
    Command::new(env!("CARGO_BIN_EXE_jooldctl"))
        .args([
            "watch",
            "--interval",
            "0.1",
            "--timeout",
            "20000",
            "--socket",
        ])
        .arg(socket)
        .env("LC_ALL", "C.UTF-8")
        .env_remove("NO_COLOR")
        .stdout(stdout)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// The other side of a terminal, read as it is written.
struct Screen {
    pieces: Receiver<Vec<u8>>,
    shown: String,
}

impl Screen {
    fn new(mut master: File) -> Self {
        let (sender, pieces) = channel();
        thread::spawn(move || {
            let mut piece = [0; 4096];
            // EIO once nobody has the other side open.
            while let Ok(length @ 1..) = master.read(&mut piece) {
                if sender.send(piece[..length].to_vec()).is_err() {
                    return;
                }
            }
        });
        Self {
            pieces,
            shown: String::new(),
        }
    }

    /// Waits until `text` is written, and forgets all up to it.
    fn wait_for(&mut self, text: &str) {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(at) = self.shown.find(text) {
                self.shown.drain(..at + text.len());
                return;
            }
            let left = end.saturating_duration_since(Instant::now());
            let piece = self.pieces.recv_timeout(left);
            let piece = piece.unwrap_or_else(|_| panic!("{text:?} in {:?}", self.shown));
            self.shown.push_str(&String::from_utf8_lossy(&piece));
        }
    }

    /// All that comes until the end.
    fn rest(mut self) -> String {
        while let Ok(piece) = self.pieces.recv_timeout(PATIENCE) {
            self.shown.push_str(&String::from_utf8_lossy(&piece));
        }
        self.shown
    }
}

#[test]
fn a_terminal_shows_how_it_goes_while_the_daemon_goes_and_comes_and_is_as_before_at_the_end() {
    let directory = Directory::new();
    let socket = directory.path.join("joold.sock");
    let joold = Joold::start(&socket, 1);
    let size = Winsize {
        ws_row: 24,
        ws_col: 100,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    let OpenptyResult { master, slave } = openpty(&size, None).unwrap();
    let mut child = watch(&socket, slave);
    let mut screen = Screen::new(master.into());
    screen.wait_for("\x1b[?1049h\x1b[?25l");
    screen.wait_for("joold default: ");
    screen.wait_for("in sync, may become master");
    screen.wait_for("updates a second, ");
    screen.wait_for("█");
    joold.stop();
    screen.wait_for("no answer; waiting, and what follows is old");
    screen.wait_for("no joold listens at ");
    let joold = Joold::start(&socket, 2);
    screen.wait_for("in sync, may become master");
    kill(Pid::from_raw(child.id() as i32), Signal::SIGINT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(screen.rest().ends_with("\x1b[?25h\x1b[?1049l"));
    joold.stop();
}

#[test]
fn where_there_is_no_terminal_there_is_a_line_each_time_until_the_reader_has_enough() {
    let directory = Directory::new();
    let socket = directory.path.join("joold.sock");
    let joold = Joold::start(&socket, 1);
    let (reader, writer) = UnixStream::pair().unwrap();
    let mut child = watch(&socket, OwnedFd::from(writer));
    let mut lines = BufReader::new(reader).lines().map(Result::unwrap);
    let headings = lines.next().unwrap();
    assert!(
        headings.starts_with("standing ") && headings.contains("updates/s"),
        "{headings}"
    );
    for _ in 0..2 {
        let line = lines.next().unwrap();
        assert!(line.starts_with("in sync ") && line.is_ascii(), "{line}");
        let columns: Vec<_> = line.split_whitespace().collect();
        assert_eq!(columns[columns.len() - 2..], ["7", "0"], "{line}");
    }
    joold.stop();
    let gone = lines.find(|line| line.starts_with("no answer ")).unwrap();
    assert!(!gone.contains('7'), "{gone}");
    let joold = Joold::start(&socket, 2);
    lines.find(|line| line.starts_with("in sync ")).unwrap();
    drop(lines);
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let mut said = String::new();
    child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut said)
        .unwrap();
    assert_eq!(said, "");
    joold.stop();
}

#[test]
fn a_daemon_that_is_not_there_at_first_is_an_error() {
    let directory = Directory::new();
    let output = directory.jooldctl(&["watch", "--socket", "none.sock"]);
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(69), "{error}");
    assert_eq!(output.stdout, b"");
    assert!(error.contains("there is no such socket"), "{error}");
}
