use super::*;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{FileTypeExt, PermissionsExt, symlink};
use std::os::unix::net;
use std::path::PathBuf;
use std::process;
use std::time::{Duration, Instant};

use proptest::prelude::*;

/// A directory that goes when this is dropped.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("joold-control-{}-{name}", process::id()));
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777
}

/// What a stream of a client yields, byte by byte as pieces.
fn client(pieces: &[&[u8]]) -> (Client<net::UnixStream>, net::UnixStream) {
    let (ours, mut theirs) = net::UnixStream::pair().unwrap();
    ours.set_nonblocking(true).unwrap();
    for piece in pieces {
        theirs.write_all(piece).unwrap();
    }
    (Client::new(ours, Instant::now()), theirs)
}

fn line(heard: Heard) -> Option<Result<Request, Wrong>> {
    match heard {
        Heard::Line(line) => Some(line),
        Heard::Nothing | Heard::Gone => None,
    }
}

#[test]
fn a_request_may_come_in_pieces() {
    let (mut client, mut theirs) = client(&[]);
    for piece in ["s", "tat", "us"] {
        theirs.write_all(piece.as_bytes()).unwrap();
        assert!(matches!(client.receive().unwrap(), Heard::Nothing));
    }
    theirs.write_all(b"\nstate\n").unwrap();
    assert_eq!(line(client.receive().unwrap()), Some(Ok(Request::Status)));
}

#[test]
fn whoever_sends_no_more_has_said_all_or_is_gone() {
    let (mut asks, theirs) = client(&[b"state"]);
    theirs.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(line(asks.receive().unwrap()), Some(Ok(Request::State)));
    let (mut leaves, theirs) = client(&[]);
    drop(theirs);
    assert!(matches!(leaves.receive().unwrap(), Heard::Gone));
}

#[test]
fn a_request_without_an_end_ends_at_64_bytes() {
    let longest = [&b" "[..]; LONGEST - 6].concat();
    let (mut fits, _theirs) = client(&[&longest, b"state\n"]);
    assert_eq!(line(fits.receive().unwrap()), Some(Ok(Request::State)));
    let (mut exceeds, _theirs) = client(&[&longest, b" state\n"]);
    assert_eq!(line(exceeds.receive().unwrap()), Some(Err(Wrong::TooLong)));
}

/// What comes in those pieces, then nothing for now, or the end.
struct Pieces<'a> {
    pieces: std::slice::Iter<'a, Vec<u8>>,
    ends: bool,
}

impl Read for Pieces<'_> {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        let Some(piece) = self.pieces.find(|piece| !piece.is_empty()) else {
            return match self.ends {
                true => Ok(0),
                false => Err(io::ErrorKind::WouldBlock.into()),
            };
        };
        let length = piece.len().min(room.len());
        room[..length].copy_from_slice(&piece[..length]);
        Ok(length)
    }
}

impl Write for Pieces<'_> {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

proptest! {
    #[test]
    fn whatever_comes_in_whatever_pieces_its_first_line_is_the_request_or_there_is_none_yet(
        pieces in prop::collection::vec(prop::collection::vec(
            prop::sample::select(b"stateu\n\r \0\xff".to_vec()), 0..16), 0..8),
        ends in any::<bool>(),
    ) {
        let all = pieces.concat();
        let stream = Pieces { pieces: pieces.iter(), ends };
        let heard = Client::new(stream, Instant::now()).receive().unwrap();
        match (all.iter().position(|&byte| byte == b'\n'), heard) {
            (Some(end @ ..LONGEST), Heard::Line(line)) => {
                prop_assert_eq!(line, Request::parse(&all[..end]));
            }
            (_, Heard::Line(Err(Wrong::TooLong))) => prop_assert!(all.len() >= LONGEST),
            (None, Heard::Line(line)) => {
                prop_assert!(ends);
                prop_assert_eq!(line, Request::parse(&all));
            }
            (None, Heard::Nothing) => prop_assert!(!ends && all.len() < LONGEST),
            (None, Heard::Gone) => prop_assert!(ends && all.is_empty()),
            (end, heard) => prop_assert!(false, "{end:?} {heard:?}"),
        }
    }
}

#[test]
fn whoever_does_not_read_gets_as_much_as_there_is_room_for_and_the_rest_later() {
    let (mut client, mut theirs) = client(&[]);
    let answer = "x".repeat(1 << 22);
    client.answer(answer.clone());
    assert!(client.is_answered());
    let mut read = Vec::new();
    let mut rounds = 0;
    while !client.send().unwrap() {
        rounds += 1;
        let mut piece = vec![0; 1 << 16];
        let length = theirs.read(&mut piece).unwrap();
        read.extend_from_slice(&piece[..length]);
    }
    assert!(rounds > 1);
    drop(client);
    theirs.read_to_end(&mut read).unwrap();
    assert!(read == answer.as_bytes());
}

#[test]
fn a_client_is_given_up_two_seconds_after_it_connected() {
    let (ours, _theirs) = net::UnixStream::pair().unwrap();
    let now = Instant::now();
    assert_eq!(Client::new(ours, now).until, now + Duration::from_secs(2));
}

#[test]
fn the_directory_is_made_and_the_socket_is_nobody_elses_and_gone_with_the_daemon() {
    let directory = Directory::new("made");
    let path = directory.join("run/joold.sock");
    let socket = CtlSocket::open(&path, None).unwrap();
    assert_eq!(mode(&directory.join("run")), 0o755);
    assert_eq!(mode(&path), 0o600);
    net::UnixStream::connect(&path).unwrap();
    socket.accept().unwrap();
    assert_eq!(
        socket.accept().unwrap_err().kind(),
        io::ErrorKind::WouldBlock
    );
    drop(socket);
    assert!(!path.exists());
}

#[test]
fn a_group_may_use_it_as_well() {
    let directory = Directory::new("group");
    let path = directory.join("joold.sock");
    // The group that this process's files have anyway.
    let id = std::os::unix::fs::MetadataExt::gid(&fs::metadata(&directory.0).unwrap());
    let group = Group {
        name: "mine".to_owned(),
        id,
    };
    let socket = CtlSocket::open(&path, Some(&group)).unwrap();
    assert_eq!(mode(&path), 0o660);
    socket.share(None).unwrap();
    assert_eq!(mode(&path), 0o600);
}

#[test]
fn what_a_dead_daemon_left_gives_way_and_a_live_ones_does_not() {
    let directory = Directory::new("stale");
    let path = directory.join("joold.sock");
    drop(net::UnixListener::bind(&path).unwrap());
    assert!(path.exists(), "std leaves the file");
    let live = CtlSocket::open(&path, None).unwrap();
    let why = CtlSocket::open(&path, None).unwrap_err();
    assert_eq!(why, "another daemon listens there");
    assert!(path.exists());
    drop(live);
}

#[test]
fn a_daemon_that_accepts_nobody_is_alive_all_the_same() {
    let directory = Directory::new("full");
    let path = directory.join("joold.sock");
    let listener = net::UnixListener::bind(&path).unwrap();
    socket2::SockRef::from(&listener).listen(0).unwrap();
    let _waits = net::UnixStream::connect(&path).unwrap();
    let why = CtlSocket::open(&path, None).unwrap_err();
    assert_eq!(why, "another daemon listens there");
}

#[test]
fn what_is_no_socket_is_left_alone() {
    let directory = Directory::new("other");
    let path = directory.join("joold.sock");
    for make in [
        |path: &Path| fs::write(path, "mine").unwrap(),
        |path: &Path| symlink("/dev/null", path).unwrap(),
    ] {
        make(&path);
        let why = CtlSocket::open(&path, None).unwrap_err();
        assert_eq!(why, "what is there is no socket");
        fs::remove_file(&path).unwrap();
    }
}

#[test]
fn a_file_that_somebody_else_has_put_there_since_stays() {
    let directory = Directory::new("since");
    let path = directory.join("joold.sock");
    let ours = CtlSocket::open(&path, None).unwrap();
    // A name that the file system would give the same inode to is kept busy.
    fs::rename(&path, directory.join("ours")).unwrap();
    let theirs = net::UnixListener::bind(&path).unwrap();
    drop(ours);
    let file = fs::symlink_metadata(&path).unwrap();
    assert!(file.file_type().is_socket());
    drop(theirs);
}

#[test]
fn without_a_place_for_it_the_reason_is_told() {
    let directory = Directory::new("nowhere");
    fs::write(directory.join("file"), "").unwrap();
    let why = CtlSocket::open(&directory.join("file/joold.sock"), None).unwrap_err();
    assert_eq!(why, "Not a directory");
    let why = CtlSocket::open(&directory.join("a/b/joold.sock"), None).unwrap_err();
    assert!(why.starts_with("cannot make the directory "), "{why}");
}
