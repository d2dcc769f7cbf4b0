//! `jooldctl follow`, on a daemon that is made up.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Output, Stdio};
use std::thread;

use joold::ctlsocket::{Direction, Frame, GREETING, report_order};
use joold::failure::Failure;
use joold::wire::session::{Format, Protocol, Session, State, Timer};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::Directory;

/// Starts `jooldctl follow`; returns it, and its connection after it has asked for `direction`.
fn start(directory: &Directory, arguments: &[&str], direction: &str) -> (Child, UnixStream) {
    let listener = UnixListener::bind(directory.path.join("joold.sock")).unwrap();
    let child = Command::new(env!("CARGO_BIN_EXE_jooldctl"))
        .args(["follow", "--socket", "joold.sock", "--timeout", "20000"])
        .args(arguments)
        .current_dir(&directory.path)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (client, _) = listener.accept().unwrap();
    let mut request = String::new();
    BufReader::new(&client).read_line(&mut request).unwrap();
    assert_eq!(request, format!("follow {direction}\n"));
    (child, client)
}

/// What comes of an answer, after which the daemon is gone.
fn answered(answer: &[u8]) -> (i32, String, String) {
    let directory = Directory::new();
    let (child, mut client) = start(&directory, &[], "out");
    client.write_all(answer).unwrap();
    drop(client);
    let Output {
        status,
        stdout,
        stderr,
    } = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code().unwrap(), text(stdout), text(stderr))
}

/// A piece with one session, to that port, before which so many were left out.
fn piece(port: u16, dropped: u64) -> Vec<u8> {
    let session = Session {
        source6: ("2001:db8::8".parse().unwrap(), 4000),
        destination6: None,
        source4: "192.0.2.1:63102".parse().unwrap(),
        destination4: format!("198.51.100.8:{port}").parse().unwrap(),
        protocol: Protocol::Udp,
        state: State::Established,
        timer: Timer::Established,
        expiration: 300_000,
    };
    let frame = Frame {
        direction: Direction::Out,
        format: Format::Flat,
        dropped,
        time: 0,
    };
    let mut contents = Vec::new();
    session.emit(Format::Flat, &mut contents);
    [&frame.to_bytes(contents.len()).unwrap()[..], &contents].concat()
}

const LINE: &str = "UDP,2001:db8::8,4000,192.0.2.1,63102,198.51.100.8,53,0:05:00\n";

#[test]
fn what_passed_is_printed_and_what_was_left_out_is_told_beside_it() {
    let answer = [GREETING.as_bytes(), &piece(53, 0), &piece(53, 36)].concat();
    let (status, out, error) = answered(&answer);
    assert_eq!((status, out), (69, LINE.repeat(2)));
    assert_eq!(
        error,
        "# 36 updates not shown: the reader is too slow\n\
         jooldctl: the joold at joold.sock has ended; follow again when it is started\n"
    );
}

#[test]
fn an_older_daemon_is_named_as_one() {
    let answer = b"error: there is no request \"follow out\"; expected one of state, status\n";
    let (status, out, error) = answered(answer);
    assert_eq!((status, &*out), (69, ""));
    let told =
        "jooldctl: the joold at joold.sock cannot be followed, for it is older than this jooldctl";
    assert!(error.starts_with(told), "{error}");
}

#[test]
fn why_it_may_not_follow_is_told_in_the_daemons_words() {
    let refusal = report_order(&Err(Failure::unavailable("enough do")));
    assert_eq!(
        answered(refusal.as_bytes()),
        (69, String::new(), "jooldctl: enough do\n".to_owned())
    );
}

#[test]
fn whoever_is_no_joold_is_quoted() {
    for answer in [
        &b"in sync\nyes\n"[..],
        &[GREETING.as_bytes(), &[b'?'; 64]].concat(),
    ] {
        let (status, out, error) = answered(answer);
        assert_eq!((status, &*out), (69, ""));
        assert!(error.contains("is it a joold of version"), "{error}");
    }
}

#[test]
fn each_line_is_there_as_soon_as_its_session_has_passed() {
    let directory = Directory::new();
    let arguments = ["--direction", "both", "--port", "53"];
    let (mut child, mut client) = start(&directory, &arguments, "both");
    let mut out = BufReader::new(child.stdout.take().unwrap());
    client.write_all(GREETING.as_bytes()).unwrap();
    for _ in 0..3 {
        client.write_all(&piece(54, 0)).unwrap();
        // In two, with a pause.
        let piece = piece(53, 0);
        let (first, rest) = piece.split_at(30);
        client.write_all(first).unwrap();
        thread::yield_now();
        client.write_all(rest).unwrap();
        let mut line = String::new();
        out.read_line(&mut line).unwrap();
        assert_eq!(line, format!("out,{LINE}"));
    }
    // A signal ends it as it ends others. (Not an interrupt: that is ignored in what a shell starts in the background,
    // these tests perhaps among it.)
    kill(Pid::from_raw(child.id() as i32), Signal::SIGTERM).unwrap();
    assert_eq!(child.wait().unwrap().signal(), Some(Signal::SIGTERM as i32));
}

#[test]
fn a_reader_who_has_enough_ends_it_without_a_word_though_nothing_passes() {
    for has_begun in [false, true] {
        let directory = Directory::new();
        let (mut child, mut client) = start(&directory, &[], "out");
        let mut out = BufReader::new(child.stdout.take().unwrap());
        client.write_all(GREETING.as_bytes()).unwrap();
        if has_begun {
            client.write_all(&piece(53, 0)).unwrap();
            out.read_line(&mut String::new()).unwrap();
        }
        drop(out);
        let output = child.wait_with_output().unwrap();
        assert_eq!((output.status.code(), output.stderr), (Some(0), Vec::new()));
    }
}
