//! `jooldctl follow`: sessions as they pass through the daemon, until a signal or a reader who has enough ends
//! it, or the daemon does.

mod attentive;
mod line;
mod wanted;

use std::io::{self, BufWriter, Read, Write};
use std::os::fd::AsRawFd;

use attentive::Attentive;

use super::ask::Server;
use crate::ctlsocket::{self, Frame, GREETING, Strange};
use crate::failure::{Failure, words};
use crate::wire::session::sessions;
pub use wanted::Wanted;

/// How much is received at once.
const ROOM: usize = 1 << 16;

/// Prints what passes through the daemon at `server` and is wanted.
///
/// # Errors
/// When the daemon does not let it follow, or ends, or there is no writing to standard output.
pub(super) fn run(server: &Server<'_>, wanted: &Wanted) -> Result<(), Failure> {
    let (answer, socket) = server.begin(&wanted.request(), |answer| {
        answer.starts_with(GREETING.as_bytes())
    })?;
    let first = match answer.strip_prefix(GREETING.as_bytes()) {
        Some(first) => first.to_vec(),
        None => return Err(refused(server, &answer)),
    };
    let stdout = io::stdout().lock();
    let stream = Attentive::new(socket, stdout.as_raw_fd())
        .map_err(|error| Failure::system("cannot wait for what passes", &error))?;
    let mut out = BufWriter::with_capacity(ROOM, stdout);
    match print_all(stream, first, wanted, &mut out) {
        Ok(()) => Err(ended(server)),
        Err(End::Strange) => Err(server.strange("what no joold sends")),
        // Whoever reads has enough.
        Err(End::Unread(error) | End::Unwritten(error))
            if error.kind() == io::ErrorKind::BrokenPipe =>
        {
            Ok(())
        }
        Err(End::Unread(error)) => Err(Failure::unavailable(format!(
            "cannot hear the joold at {} any more: {}",
            server.path().display(),
            words(&error)
        ))),
        Err(End::Unwritten(error)) => {
            Err(Failure::system("cannot write to standard output", &error))
        }
    }
}

/// What the daemon said instead of the greeting.
fn refused(server: &Server<'_>, answer: &[u8]) -> Failure {
    let answer = String::from_utf8_lossy(answer);
    if answer.starts_with("error: there is no request ") {
        return Failure::unavailable(format!(
            "the joold at {} cannot be followed, for it is older than this jooldctl: install a joold of \
             version {} or later, and start it again",
            server.path().display(),
            env!("CARGO_PKG_VERSION")
        ));
    }
    match ctlsocket::outcome(&answer) {
        Some(Err(failure)) => failure,
        _ => server.strange(&answer),
    }
}

fn ended(server: &Server<'_>) -> Failure {
    Failure::unavailable(format!(
        "the joold at {} has ended; follow again when it is started",
        server.path().display()
    ))
}

/// What ends it before the daemon does.
#[derive(Debug)]
enum End {
    /// The daemon said something else.
    Strange,
    Unread(io::Error),
    Unwritten(io::Error),
}

/// Prints to `out` what `stream` brings behind `bytes`, until it ends.
fn print_all(
    mut stream: impl Read,
    mut bytes: Vec<u8>,
    wanted: &Wanted,
    out: &mut impl Write,
) -> Result<(), End> {
    let mut room = vec![0; ROOM];
    loop {
        let left = print_whole(&bytes, wanted, out)?;
        bytes.drain(..bytes.len() - left);
        out.flush().map_err(End::Unwritten)?;
        match stream.read(&mut room) {
            Ok(0) => return Ok(()),
            Ok(length) => bytes.extend_from_slice(&room[..length]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => (),
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(()),
            Err(error) => return Err(End::Unread(error)),
        }
    }
}

/// Prints those pieces that have come whole; returns how many bytes are left behind them.
fn print_whole(mut bytes: &[u8], wanted: &Wanted, out: &mut impl Write) -> Result<usize, End> {
    while let Some(first) = Frame::split(bytes).map_err(|Strange| End::Strange)? {
        let frame = first.frame;
        print_dropped(frame.dropped, wanted, out).map_err(End::Unwritten)?;
        // Whatever is none is passed over.
        let sessions = sessions(first.sessions, frame.format).filter_map(Result::ok);
        for session in sessions.filter(|session| wanted.admits(session)) {
            let line = match wanted.json {
                true => line::json(&frame, &session),
                false => line::plain(&frame, &session, wanted.directions),
            };
            out.write_all(line.as_bytes()).map_err(End::Unwritten)?;
        }
        bytes = first.rest;
    }
    Ok(bytes.len())
}

/// Tells of updates that the daemon had no room for, at their place among the others.
fn print_dropped(dropped: u64, wanted: &Wanted, out: &mut impl Write) -> io::Result<()> {
    match (dropped, wanted.json) {
        (0, _) => Ok(()),
        (_, true) => writeln!(out, "{{\"dropped\":{dropped}}}"),
        (_, false) => {
            out.flush()?;
            let told = format!("# {dropped} updates not shown: the reader is too slow\n");
            // Without a standard error, there is nobody to tell.
            let _ = io::stderr().write_all(told.as_bytes());
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ctlsocket::{Direction, Directions};
    use crate::wire::session::{Format, Protocol, Session, State, Timer};

    pub(super) fn session(protocol: Protocol, state: State) -> Session {
        Session {
            source6: ("2001:db8::8".parse().unwrap(), 52974),
            destination6: None,
            source4: "192.0.2.1:63102".parse().unwrap(),
            destination4: "198.51.100.8:443".parse().unwrap(),
            protocol,
            state,
            timer: Timer::Established,
            expiration: 7_199_284,
        }
    }

    fn piece(direction: Direction, format: Format, dropped: u64, contents: &[u8]) -> Vec<u8> {
        let frame = Frame {
            direction,
            format,
            dropped,
            time: 1_764_252_615_123,
        };
        let header = frame.to_bytes(contents.len()).unwrap();
        [&header[..], contents].concat()
    }

    fn contents(format: Format, sessions: &[Session]) -> Vec<u8> {
        let mut contents = Vec::new();
        for session in sessions {
            session.emit(format, &mut contents);
        }
        contents
    }

    /// What is printed of a stream, in however small pieces it comes.
    fn printed(stream: &[u8], wanted: &Wanted) -> String {
        let mut out = Vec::new();
        let (first, rest) = stream.split_at(stream.len().min(3));
        let pieces = rest.chunks(7);
        let stream = pieces.fold(Box::new(io::empty()) as Box<dyn Read>, |before, piece| {
            Box::new(before.chain(piece))
        });
        print_all(stream, first.to_vec(), wanted, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_line_is_upstreams() {
        for format in [Format::Flat, Format::Nested] {
            let contents = contents(
                format,
                &[
                    session(Protocol::Tcp, State::Established),
                    Session {
                        expiration: 60_000,
                        ..session(Protocol::Udp, State::Established)
                    },
                    Session {
                        expiration: 3_600_000 * 30 + 61_007,
                        ..session(Protocol::Icmp, State::Established)
                    },
                ],
            );
            let stream = piece(Direction::Out, format, 0, &contents);
            assert_eq!(
                printed(&stream, &Wanted::default()),
                "TCP,2001:db8::8,52974,192.0.2.1,63102,198.51.100.8,443,1:59:59.284\n\
                 UDP,2001:db8::8,52974,192.0.2.1,63102,198.51.100.8,443,0:01:00\n\
                 ICMP,2001:db8::8,52974,192.0.2.1,63102,198.51.100.8,443,30:01:01.007\n"
            );
        }
    }

    #[test]
    fn both_directions_are_told_apart() {
        let contents = contents(Format::Flat, &[session(Protocol::Tcp, State::Transitory)]);
        let stream = [Direction::In, Direction::Out]
            .map(|direction| piece(direction, Format::Flat, 0, &contents))
            .concat();
        let wanted = Wanted {
            directions: Directions::Both,
            ..Wanted::default()
        };
        let line = "TCP,2001:db8::8,52974,192.0.2.1,63102,198.51.100.8,443,1:59:59.284";
        assert_eq!(
            printed(&stream, &wanted),
            format!("in,{line}\nout,{line}\n")
        );
    }

    #[test]
    fn json_has_a_document_a_line_and_tells_at_its_place_what_was_left_out() {
        let sessions = [
            session(Protocol::Tcp, State::BothFinReceived),
            session(Protocol::Udp, State::Established),
        ];
        let mut stream = piece(
            Direction::In,
            Format::Flat,
            0,
            &contents(Format::Flat, &sessions[..1]),
        );
        stream.extend(piece(
            Direction::Out,
            Format::Flat,
            3,
            &contents(Format::Flat, &sessions[1..]),
        ));
        stream.extend(piece(Direction::Out, Format::Flat, 8, &[]));
        let wanted = Wanted {
            json: true,
            ..Wanted::default()
        };
        let address = "\"ipv6_source\":\"2001:db8::8\",\"ipv6_source_port\":52974,\
                       \"ipv4_source\":\"192.0.2.1\",\"ipv4_source_port\":63102,\
                       \"ipv4_destination\":\"198.51.100.8\",\"ipv4_destination_port\":443";
        let time = "\"time\":1764252615.123";
        assert_eq!(
            printed(&stream, &wanted),
            format!(
                "{{{time},\"direction\":\"in\",\"protocol\":\"TCP\",{address},\
                 \"state\":\"V4_FIN_V6_FIN_RCV\",\"expires_ms\":7199284}}\n\
                 {{\"dropped\":3}}\n\
                 {{{time},\"direction\":\"out\",\"protocol\":\"UDP\",{address},\
                 \"state\":null,\"expires_ms\":7199284}}\n\
                 {{\"dropped\":8}}\n"
            )
        );
    }

    #[test]
    fn what_is_no_session_is_passed_over() {
        let good = contents(Format::Flat, &[session(Protocol::Tcp, State::Transitory)]);
        let mut state = good.clone();
        // State 7.
        state[39] |= 7 << 2;
        let mut stream = piece(
            Direction::Out,
            Format::Flat,
            0,
            &[&state[..], &good].concat(),
        );
        stream.extend(piece(Direction::Out, Format::Flat, 0, &[0; 13]));
        stream.extend(piece(Direction::Out, Format::Nested, 0, &good));
        stream.extend(piece(Direction::Out, Format::Flat, 0, &good[..39]));
        stream.extend(piece(Direction::Out, Format::Flat, 0, &good));
        assert_eq!(printed(&stream, &Wanted::default()).lines().count(), 2);
    }

    #[test]
    fn what_no_daemon_sends_ends_it() {
        let end = print_all(
            &[9; 100][..],
            Vec::new(),
            &Wanted::default(),
            &mut Vec::new(),
        );
        assert!(matches!(end, Err(End::Strange)));
    }
}
