use std::env;
use std::fs;
use std::io::Read;
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::sync::atomic::{AtomicU32, Ordering};

use super::*;

/// A place where a log may listen.
struct Place(PathBuf);

impl Place {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        Self(env::temp_dir().join(format!("joold-log-{}-{number}", process::id())))
    }

    /// A log that takes datagrams, in the place of any earlier one.
    fn listen(&self) -> UnixDatagram {
        let _ = fs::remove_file(&self.0);
        let log = UnixDatagram::bind(&self.0).unwrap();
        log.set_nonblocking(true).unwrap();
        log
    }

    fn syslog(&self) -> Syslog {
        Syslog::new(&self.0)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// What a log has got: its lines without what stands before their text.
fn lines(log: &UnixDatagram) -> Vec<String> {
    let mut buffer = [0; 4096];
    let mut lines = Vec::new();
    while let Ok(length) = log.recv(&mut buffer) {
        lines.push(text(&buffer[..length]));
    }
    lines
}

fn text(line: &[u8]) -> String {
    let line = String::from_utf8_lossy(line);
    let (_, text) = line.split_once("]: ").unwrap();
    text.trim_start().to_owned()
}

fn say(syslog: &mut Syslog, now: Instant, what: impl fmt::Display) {
    syslog.write(now, Level::Info, &format_args!("{what}"));
}

/// What tells of lost lines.
fn told(count: usize) -> String {
    format!("log lines lost while syslog was not there or took none: {count}")
}

/// Says numbers from 0 on until one gets lost; returns how many did not.
fn fill(syslog: &mut Syslog, now: Instant) -> usize {
    let before = syslog.lost();
    for number in 0..100_000 {
        say(syslog, now, number);
        if syslog.lost() > before {
            return number;
        }
    }
    panic!("a log that nobody reads takes all");
}

#[test]
fn a_line_is_one_datagram_with_facility_daemon_its_level_and_the_pid() {
    let place = Place::new();
    let log = place.listen();
    let mut syslog = place.syslog();
    let now = Instant::now();
    syslog.connect(now).unwrap();
    for (level, priority) in [
        (Level::Error, 27),
        (Level::Warn, 28),
        (Level::Info, 29),
        (Level::Debug, 31),
    ] {
        syslog.write(now, level, &format_args!("{}{}", "a", "b"));
        let mut buffer = [0; 64];
        let length = log.recv(&mut buffer).unwrap();
        let expected = format!("<{priority}>joold[{}]: ab", process::id());
        assert_eq!(String::from_utf8_lossy(&buffer[..length]), expected);
    }
    assert_eq!((syslog.deadline(), syslog.lost()), (None, 0));
}

#[test]
fn openwrts_log_takes_nothing_of_a_line_for_the_time() {
    for (line, expected) in [
        ("<29>joold[208]: the time", "<29>joold[208]:  the time"),
        ("<29>joold[20801]: a time", "<29>joold[20801]:  a time"),
        ("<29>joold[208]: time", "<29>joold[208]: time"),
        ("<29>joold[2]: it", "<29>joold[2]: it"),
    ] {
        let mut line = line.as_bytes().to_vec();
        keep_whole(&mut line);
        assert_eq!(String::from_utf8_lossy(&line), expected);
    }
}

#[test]
fn a_log_that_was_restarted_gets_the_next_line() {
    let place = Place::new();
    let first = place.listen();
    let mut syslog = place.syslog();
    let now = Instant::now();
    syslog.connect(now).unwrap();
    say(&mut syslog, now, "a");
    assert_eq!(lines(&first), ["a"]);
    drop(first);
    let second = place.listen();
    say(&mut syslog, now + PERIOD, "b");
    assert_eq!(lines(&second), ["b"]);
    assert_eq!((syslog.deadline(), syslog.lost()), (None, 0));
}

#[test]
fn lines_are_counted_while_there_is_no_log_and_told_before_the_first_one_that_passes() {
    let place = Place::new();
    let mut syslog = place.syslog();
    let start = Instant::now();
    drop(place.listen());
    for what in ["a", "b", "c"] {
        say(&mut syslog, start, what);
    }
    let log = place.listen();
    say(&mut syslog, start + PERIOD, "d");
    assert_eq!(lines(&log), [told(3), "d".to_owned()]);
    assert_eq!((syslog.deadline(), syslog.lost()), (None, 3));
}

#[test]
fn a_connection_is_tried_once_a_second_however_many_lines_there_are() {
    let place = Place::new();
    let mut syslog = place.syslog();
    let start = Instant::now();
    say(&mut syslog, start, "a");
    let log = place.listen();
    for _ in 0..1000 {
        say(&mut syslog, start + PERIOD - Duration::from_nanos(1), "b");
    }
    assert_eq!(lines(&log), [""; 0]);
    assert_eq!(syslog.lost(), 1001);
    say(&mut syslog, start + PERIOD, "c");
    assert_eq!(lines(&log), [told(1001), "c".to_owned()]);
}

#[test]
fn lost_lines_are_told_without_another_line() {
    let place = Place::new();
    let mut syslog = place.syslog();
    let start = Instant::now();
    say(&mut syslog, start, "a");
    assert_eq!(syslog.deadline(), Some(start + PERIOD));
    syslog.elapse(start + PERIOD);
    assert_eq!(syslog.deadline(), Some(start + 2 * PERIOD));
    let log = place.listen();
    syslog.elapse(start + 2 * PERIOD);
    assert_eq!(lines(&log), [told(1)]);
    assert_eq!(syslog.deadline(), None);
}

#[test]
fn lines_are_counted_while_the_log_takes_none_and_told_when_it_does() {
    let place = Place::new();
    let log = place.listen();
    let mut syslog = place.syslog();
    let start = Instant::now();
    syslog.connect(start).unwrap();
    let taken = fill(&mut syslog, start);
    assert!(taken > 0);
    say(&mut syslog, start, "lost");
    syslog.elapse(start + PERIOD);
    let expected: Vec<_> = (0..taken).map(|number| number.to_string()).collect();
    assert_eq!(lines(&log), expected, "nothing tells of losses in between");
    say(&mut syslog, start + PERIOD, "passes");
    syslog.elapse(start + 2 * PERIOD);
    assert_eq!(lines(&log), ["passes".to_owned(), told(2)]);
    assert_eq!((syslog.deadline(), syslog.lost()), (None, 2));
}

#[test]
fn another_log_in_the_place_of_a_stuck_one_is_found() {
    let place = Place::new();
    let _stuck = place.listen();
    let mut syslog = place.syslog();
    let start = Instant::now();
    syslog.connect(start).unwrap();
    fill(&mut syslog, start);
    let log = place.listen();
    say(&mut syslog, start + PERIOD, "a");
    assert_eq!(lines(&log), [told(1), "a".to_owned()]);
}

#[test]
fn a_line_longer_than_any_datagram_is_lost_alone() {
    let place = Place::new();
    let log = place.listen();
    let mut syslog = place.syslog();
    let start = Instant::now();
    syslog.connect(start).unwrap();
    say(&mut syslog, start + PERIOD, "x".repeat(8 << 20));
    say(&mut syslog, start + PERIOD, "a");
    syslog.elapse(start + 2 * PERIOD);
    assert_eq!(lines(&log), ["a".to_owned(), told(1)]);
}

#[test]
fn a_stream_that_takes_a_part_of_a_line_is_given_up_and_no_line_is_garbled() {
    let place = Place::new();
    let listener = UnixListener::bind(&place.0).unwrap();
    let mut syslog = place.syslog();
    let start = Instant::now();
    // The kernel takes some 36 kB in one piece, and more than one piece in part.
    let long = |number| format!("{number}: {}", "x".repeat(100_001));
    // Nobody accepts, so that each connection fills up.
    let mut said = Vec::new();
    for second in 0..3 {
        for number in 0..10 {
            let before = syslog.lost();
            let line = long(second * 10 + number);
            say(&mut syslog, start + second * PERIOD, &line);
            if syslog.lost() == before {
                said.push(line);
            }
        }
    }
    assert!(syslog.lost() > 0);
    drop(syslog);
    listener.set_nonblocking(true).unwrap();
    let mut got = Vec::new();
    while let Ok((mut stream, _)) = listener.accept() {
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).unwrap();
        let mut parts: Vec<_> = bytes.split(|&byte| byte == 0).collect();
        // What is behind the last zero byte is no line.
        parts.pop();
        got.extend(parts.into_iter().map(text));
    }
    got.retain(|line| !line.starts_with("log lines lost"));
    assert_eq!(got, said);
}
