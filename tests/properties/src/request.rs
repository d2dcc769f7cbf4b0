//! Requests over the control socket.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::time::Instant;

use joold::ctlsocket::{Client, Heard, LONGEST, Request, Wrong};

use crate::is_one_line;
use crate::script::Script;

/// The longest answer to a request that is wrong, in bytes.
const LONGEST_ERROR: usize = 512;

/// Any bytes of whoever connects, in pieces and with waits as they decide: there is one answer, to what
/// stands before the first newline, or one line that says what is wrong with that; it goes out whole,
/// however little is taken at a time.
pub fn whoever_asks_gets_an_answer_or_a_line_of_error(script: &[u8]) {
    let mut script = Script::new(script);
    let Some(stream) = Stream::new(&mut script) else {
        return;
    };
    let line = stream.line();
    let mut client = Client::new(stream, Instant::now());
    let answer = match hear(&mut client) {
        Some(outcome) => {
            check(&line, &outcome);
            match outcome {
                Ok(request) => format!("{request:?}\n").repeat(20),
                Err(wrong) => format!("error: {wrong}\n"),
            }
        }
        None => return assert!(client.stream.has_failed() || line == Line::Nothing),
    };
    assert!(!client.is_answered());
    client.answer(answer.clone());
    assert!(client.is_answered());
    if send(&mut client) {
        assert_eq!(client.stream.sent, answer.as_bytes());
    } else {
        assert!(answer.as_bytes().starts_with(&client.stream.sent));
    }
}

/// Its line, if it has one. It has all the time that it wants.
fn hear(client: &mut Client<Stream>) -> Option<Result<Request, Wrong>> {
    loop {
        assert!(!client.is_answered());
        match client.receive() {
            Ok(Heard::Nothing) => assert!(client.stream.has_waited()),
            Ok(Heard::Line(line)) => return Some(line),
            Ok(Heard::Gone) | Err(_) => return None,
        }
    }
}

/// Whether all was sent: the other one may be gone.
fn send(client: &mut Client<Stream>) -> bool {
    loop {
        match client.send() {
            Ok(true) => return true,
            Ok(false) => assert!(client.stream.has_waited()),
            Err(_) => return false,
        }
    }
}

fn check(line: &Line, outcome: &Result<Request, Wrong>) {
    match (line, outcome) {
        (Line::TooLong, Err(wrong)) => assert_eq!(*wrong, Wrong::TooLong),
        (Line::Is(line), outcome) => {
            let word = line.trim_ascii();
            let known = Request::ALL.into_iter();
            let mut known = known.filter(|(name, _)| name.as_bytes() == word);
            assert_eq!(
                known.next().map(|(_, request)| request),
                outcome.clone().ok()
            );
            assert_ne!(*outcome, Err(Wrong::TooLong));
        }
        (Line::TooLong | Line::Nothing, outcome) => panic!("an answer to nothing: {outcome:?}"),
    }
    if let Err(wrong) = outcome {
        let text = wrong.to_string();
        assert!(is_one_line(&text) && text.len() <= LONGEST_ERROR, "{text}");
    }
}

/// What was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Line {
    Nothing,
    TooLong,
    Is(Vec<u8>),
}

/// What the socket does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    /// It gives, or takes, so many bytes at most.
    Pass(usize),
    /// Nothing for now.
    Wait,
    Interrupted,
    Broken,
}

/// A connection.
#[derive(Debug)]
struct Stream {
    turns: VecDeque<Turn>,
    /// What is to come.
    request: VecDeque<u8>,
    sent: Vec<u8>,
    last: Option<Turn>,
}

impl Stream {
    /// As the script has it: how many turns, those, and the request.
    fn new(script: &mut Script<'_>) -> Option<Self> {
        let mut turns = VecDeque::new();
        for _ in 0..script.byte()? {
            turns.push_back(match script.byte()? {
                0 => Turn::Broken,
                1 => Turn::Interrupted,
                2 => Turn::Wait,
                length => Turn::Pass(usize::from(length) - 2),
            });
        }
        let request = script.bytes(4 * LONGEST).iter().copied().collect();
        Some(Self {
            turns,
            request,
            sent: Vec::new(),
            last: None,
        })
    }

    fn line(&self) -> Line {
        let all: Vec<_> = self.request.iter().copied().collect();
        let end = all.iter().position(|&byte| byte == b'\n');
        match end {
            Some(end) if end < LONGEST => Line::Is(all[..end].to_vec()),
            _ if all.len() >= LONGEST => Line::TooLong,
            _ if all.is_empty() => Line::Nothing,
            _ => Line::Is(all),
        }
    }

    fn has_failed(&self) -> bool {
        self.last == Some(Turn::Broken)
    }

    fn has_waited(&self) -> bool {
        self.last == Some(Turn::Wait)
    }

    /// How many bytes may pass.
    fn turn(&mut self) -> io::Result<usize> {
        let turn = self.turns.pop_front().unwrap_or(Turn::Pass(usize::MAX));
        self.last = Some(turn);
        match turn {
            Turn::Pass(length) => Ok(length),
            Turn::Wait => Err(io::ErrorKind::WouldBlock.into()),
            Turn::Interrupted => Err(io::ErrorKind::Interrupted.into()),
            Turn::Broken => Err(io::ErrorKind::ConnectionReset.into()),
        }
    }
}

impl Read for Stream {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        assert!(!room.is_empty(), "nothing read would look like the end");
        let length = self.turn()?.min(room.len()).min(self.request.len());
        for (place, byte) in room.iter_mut().zip(self.request.drain(..length)) {
            *place = byte;
        }
        Ok(length)
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let length = self.turn()?.min(bytes.len());
        self.sent.extend_from_slice(&bytes[..length]);
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
