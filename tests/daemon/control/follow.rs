//! Sessions as they pass, and those who follow them.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::SocketAddrV4;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use jool_simulated::node::{INSTANCE, Network, Node, Side, pair};
use jool_simulated::{sample, wait};
use joold::ctlsocket::{Frame, GREETING};
use joold::wire::jool::Version;
use joold::wire::session::{Session, sessions};
use libtest_mimic::{Failed, Trial};
use serde_json::Value;

use super::{Directory, ask, ends};
use crate::process::it_sleeps;
use crate::stage::*;

pub fn tests() -> Vec<Trial> {
    let mut tests = Vec::from(tests! {
        what_other_routers_tell_is_followed_as_json
        whoever_reads_nothing_slows_nobody_and_is_told_what_it_missed
        only_what_is_told_after_merging_goes_out
        four_may_follow_and_the_next_when_one_of_them_has_gone
        a_follower_has_more_time_than_who_asks
        the_last_that_leaves_is_followed_before_the_end
    });
    for (name, version) in [("flat", Version::SUPPORTED), ("nested", OLD)] {
        let test = move || what_the_kernel_tells_is_followed_in_upstreams_format(version);
        tests.push(case(
            "what_the_kernel_tells_is_followed_in_upstreams_format",
            name,
            test,
        ));
    }
    tests
}

/// Two routers, of which J may be followed; the directory of its socket.
fn routers(version: Version, keys: &str) -> Result<(Node, Node, PathBuf), Failed> {
    let (mut j, mut k) = pair(version)?;
    super::start(&mut j, keys)?;
    k.start_and_wait(&program(), &configuration(Network::Ipv6, Side::K))?;
    let socket = daemon(&mut j)?.control_socket();
    Ok((j, k, socket))
}

/// A running `jooldctl follow`, ended when this is dropped.
struct Followed {
    child: Child,
    directory: Directory,
}

impl Followed {
    fn start(socket: &Path, arguments: &[&str]) -> io::Result<Self> {
        let directory = Directory::new()?;
        let file = |name: &str| File::create(directory.0.join(name));
        let child = Command::new(env!("CARGO_BIN_EXE_jooldctl"))
            .args(["--timeout", super::LONG, "follow", "--socket"])
            .arg(socket)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(file("out")?)
            .stderr(file("error")?)
            .spawn()?;
        Ok(Self { child, directory })
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.directory.0.join(name)).unwrap_or_default()
    }

    /// Waits for a line while `pass` has a session pass, again and again: nothing tells when it follows.
    fn first_line(&self, mut pass: impl FnMut(u32)) -> Result<String, String> {
        let mut numbers = 0..;
        wait::for_some("a line", || {
            pass(numbers.next()?);
            let line = self.read("out").split_once('\n')?.0.to_owned();
            Some(line)
        })
        .map_err(|why| format!("{why}; {}", self.read("error")))
    }
}

impl Drop for Followed {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn what_the_kernel_tells_is_followed_in_upstreams_format(version: Version) -> Outcome {
    let (mut j, k, socket) = routers(version, "")?;
    let mut followed = Followed::start(&socket, &["--udp", "--address", "198.18.0.0/15"])?;
    let line = followed.first_line(|number| {
        translate(&j, [sample::udp(number), sample::tcp(number)]);
        flush(&j);
        // What the other router tells is no matter.
        translate(&k, [sample::udp(10_000 + number)]);
        flush(&k);
    })?;
    let (session, lifetime) = line.rsplit_once(',').ok_or("no commas")?;
    let port = |text: &str| text.parse::<u32>().map_err(|error| error.to_string());
    let words: Vec<_> = session.split(',').collect();
    let number = port(words[2])? - 40_000;
    assert_eq!(session, plain(&sample::udp(number)));
    assert!(
        lifetime == "0:05:00" || lifetime.starts_with("0:04:5"),
        "{lifetime}"
    );

    daemon(&mut j)?.stop()?;
    let status = wait::for_some("jooldctl to end", || followed.child.try_wait().ok()?)?;
    assert_eq!(status.code(), Some(69));
    let error = followed.read("error");
    assert!(error.contains(" has ended; follow again"), "{error}");
    let lines = followed.read("out");
    let fit = lines.lines().filter(|line| {
        let mask = line
            .split(',')
            .nth(4)
            .and_then(|port| port.parse::<u32>().ok());
        line.starts_with("UDP,") && mask.is_some_and(|mask| mask < 61_001 + 1000)
    });
    assert_eq!(fit.count(), lines.lines().count(), "{lines}");
    Ok(())
}

/// A session in upstream's format, but for its lifetime.
fn plain(session: &Session) -> String {
    let end = |end: SocketAddrV4| format!("{},{}", end.ip(), end.port());
    let (address, port) = session.source6;
    let (source, destination) = (end(session.source4), end(session.destination4));
    format!("UDP,{address},{port},{source},{destination}")
}

fn what_other_routers_tell_is_followed_as_json() -> Outcome {
    let (j, k, socket) = routers(Version::SUPPORTED, "")?;
    let followed = Followed::start(&socket, &["--direction", "in", "--json"])?;
    let line = followed.first_line(|number| {
        translate(&k, [sample::tcp(number)]);
        flush(&k);
        translate(&j, [sample::icmp(number)]);
        flush(&j);
    })?;
    let told: Value = serde_json::from_str(&line)?;
    let port = told["ipv6_source_port"].as_u64().ok_or("no port")? as u32;
    let session = sample::tcp(port - 40_000);
    let expected = serde_json::json!({
        "direction": "in",
        "protocol": "TCP",
        "ipv6_source": session.source6.0.to_string(),
        "ipv4_source": session.source4.ip().to_string(),
        "ipv4_source_port": session.source4.port(),
        "ipv4_destination": session.destination4.ip().to_string(),
        "ipv4_destination_port": 443,
        "state": "ESTABLISHED",
    });
    for (key, value) in expected.as_object().unwrap() {
        assert_eq!(&told[key], value, "{key}");
    }
    // Two hours, less what has passed; and some day of this century.
    assert!((7_100_000..=7_200_000).contains(&told["expires_ms"].as_u64().unwrap_or_default()));
    assert!(told["time"].as_f64() > Some(1.7e9), "{line}");
    assert!(!followed.read("out").contains("ICMP"));
    Ok(())
}

/// A follower without jooldctl: its stream, behind the greeting.
fn follow(socket: &Path, direction: &str) -> Result<BufReader<UnixStream>, Failed> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(wait::PATIENCE))?;
    writeln!(stream, "follow {direction}")?;
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    stream.read_line(&mut line)?;
    match line == GREETING {
        true => Ok(stream),
        false => Err(line.into()),
    }
}

/// Reads pieces until `is_enough` of how many sessions came, and how many were left out; nothing if the
/// stream ended before.
fn read(
    stream: &mut impl Read,
    is_enough: impl Fn(usize, u64) -> bool,
) -> Result<Option<(usize, u64)>, Failed> {
    let (mut bytes, mut room) = (Vec::new(), vec![0; 1 << 16]);
    let (mut shown, mut dropped) = (0, 0);
    while !is_enough(shown, dropped) {
        let length = stream.read(&mut room)?;
        if length == 0 {
            return Ok(None);
        }
        bytes.extend_from_slice(&room[..length]);
        let mut rest = &bytes[..];
        while let Some(first) = Frame::split(rest).map_err(|_| "no frame")? {
            shown += sessions(first.sessions, first.frame.format)
                .flatten()
                .count();
            dropped += first.frame.dropped;
            rest = first.rest;
        }
        bytes = rest.to_vec();
    }
    Ok(Some((shown, dropped)))
}

/// How much memory of its own the daemon has, in kB, touched or not.
fn memory(node: &mut Node) -> Result<u64, Failed> {
    let status = daemon(node)?.proc("status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmData:"));
    let digits = line.ok_or("no VmData")?.trim().trim_end_matches(" kB");
    Ok(digits.parse()?)
}

/// Has 100,800 updates pass from J to K, of which all must arrive.
fn flood(j: &Node, k: &Node) -> Result<u64, Failed> {
    // Full packets, which leave at once.
    const PER_ROUND: u32 = 36 * 56;
    let mut total = 0;
    for _ in 0..50 {
        translate(j, (0..PER_ROUND).map(sample::udp));
        total += u64::from(PER_ROUND);
        // More at once might be too many for the other router.
        wait::for_value("the updates at K", total, || {
            k.kernel.statistics(INSTANCE).sessions_received
        })?;
    }
    Ok(total)
}

fn whoever_reads_nothing_slows_nobody_and_is_told_what_it_missed() -> Outcome {
    const SLOW: &str = "updates not shown to a follower that reads too slowly";
    let (mut j, k, socket) = routers(Version::SUPPORTED, r#", "refresh window": 0"#)?;
    widen_queue(&j);
    let mut stream = follow(&socket, "out")?;
    let mut another = follow(&socket, "in")?;
    let before = memory(&mut j)?;
    let total = flood(&j, &k)?;
    let after = memory(&mut j)?;
    assert!(after < before + 200, "{before} kB before, {after} kB after");
    daemon(&mut j)?.wait_for(SLOW)?;
    // Nor does what waits for it keep the daemon awake.
    it_sleeps(&mut j)?;
    let told = read(&mut stream, |shown, dropped| {
        shown as u64 + dropped >= total
    })?;
    let (shown, dropped) = told.ok_or("the stream ended")?;
    assert_eq!(shown as u64 + dropped, total);
    assert!(
        shown > 6_000 && dropped > 50_000,
        "{shown} shown, {dropped} not"
    );
    let status: Value = serde_json::from_str(&ask(&socket, b"status\n")?)?;
    assert_eq!(status["lost"][SLOW].as_u64(), Some(dropped), "{status}");
    // Whoever follows the other direction has lost nothing, and has all of its room.
    translate(&k, [sample::tcp(0)]);
    flush(&k);
    assert_eq!(read(&mut another, |shown, _| shown > 0)?, Some((1, 0)));
    // And goes on, as the slow one does.
    translate(&j, [sample::tcp(1)]);
    flush(&j);
    assert_eq!(read(&mut stream, |shown, _| shown > 0)?, Some((1, 0)));
    Ok(())
}

fn only_what_is_told_after_merging_goes_out() -> Outcome {
    let (mut j, k, socket) = routers(Version::SUPPORTED, r#", "refresh window": 200"#)?;
    widen_queue(&j);
    let mut stream = follow(&socket, "out")?;
    for _ in 0..20 {
        translate(&j, (0..36).map(sample::udp));
    }
    flush(&j);
    wait_for_sessions(&k, 36)?;
    // Whatever is held leaves at the end.
    daemon(&mut j)?.stop()?;
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest)?;
    let (mut followed, mut rest) = (0, &rest[..]);
    while let Some(first) = Frame::split(rest).map_err(|_| "no frame")? {
        followed += first.sessions.len();
        rest = first.rest;
    }
    assert!((36 * 40..20 * 36 * 40).contains(&followed), "{followed}");
    let sent = format!(" ({followed} bytes); from the network");
    let said = daemon(&mut j)?.said();
    assert!(said.contains(&sent), "{followed} bytes in {said}");
    Ok(())
}

fn four_may_follow_and_the_next_when_one_of_them_has_gone() -> Outcome {
    let (mut j, k, socket) = routers(Version::SUPPORTED, "")?;
    let before = daemon(&mut j)?.descriptors()?.len();
    let memory_before = memory(&mut j)?;
    let mut streams = Vec::new();
    for direction in ["out", "in", "both", "out"] {
        streams.push(follow(&socket, direction)?);
    }
    let refused =
        "failed 69\n4 others follow the sessions of this joold already: end one of them\n";
    assert_eq!(ask(&socket, b"follow both\n")?, refused);
    let jooldctl = super::jooldctl(&socket, &["follow"])?;
    assert_eq!(jooldctl.status.code(), Some(69));
    let said = String::from_utf8(jooldctl.stderr)?;
    assert!(said.starts_with("jooldctl: 4 others follow "), "{said}");
    // Those who ask have their own places.
    assert_eq!(super::check(&socket)?.0, 0);
    drop(streams.pop());
    streams.push(wait::for_some("a place", || follow(&socket, "in").ok())?);
    translate(&j, [sample::udp(1)]);
    flush(&j);
    assert_eq!(read(&mut streams[0], |shown, _| shown > 0)?, Some((1, 0)));
    drop(streams);
    wait::for_value("the descriptors of the daemon", Some(before), || {
        Some(j.daemon.as_ref()?.descriptors().ok()?.len())
    })?;
    for _ in 0..20 {
        wait::for_some("a place", || follow(&socket, "out").ok())?;
    }
    // The allocator may keep what four had, for the next.
    let left = memory(&mut j)?;
    let most = memory_before + 4 * 256 + 200;
    assert!(left < most, "{memory_before} kB before, {left} kB after");
    translate(&j, [sample::udp(2)]);
    flush(&j);
    wait_for_sessions(&k, 2)
}

fn a_follower_has_more_time_than_who_asks() -> Outcome {
    let (j, _k, socket) = routers(Version::SUPPORTED, "")?;
    let mut stream = follow(&socket, "out")?;
    // It goes when its two seconds are over.
    ends(UnixStream::connect(&socket)?)?;
    stream
        .get_mut()
        .write_all(b"what a follower says does not matter\n")?;
    translate(&j, [sample::udp(1)]);
    flush(&j);
    assert_eq!(read(&mut stream, |shown, _| shown > 0)?, Some((1, 0)));
    Ok(())
}

fn the_last_that_leaves_is_followed_before_the_end() -> Outcome {
    let (mut j, _k, socket) = routers(Version::SUPPORTED, r#", "refresh window": 10000"#)?;
    let mut stream = follow(&socket, "out")?;
    for _ in 0..2 {
        translate(&j, (0..36).map(sample::udp));
    }
    assert_eq!(read(&mut stream, |shown, _| shown >= 36)?, Some((36, 0)));
    daemon(&mut j)?.stop()?;
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest)?;
    let first = Frame::split(&rest).map_err(|_| "no frame")?;
    let held = first.ok_or("nothing was held")?.sessions.len();
    assert_eq!(held, 36 * 40);
    Ok(())
}
