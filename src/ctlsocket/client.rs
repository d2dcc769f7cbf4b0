//! One who asks: a request comes in, in as many pieces as it likes, and an answer goes out.

use std::io::{self, Read, Write};
use std::time::{Duration, Instant};

use super::request::{LONGEST, Request, Wrong};

/// How long a client has, from the connection to the end of its answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// A connection of the control socket, over a stream that does not block.
#[derive(Debug)]
pub struct Client<S> {
    /// For the reactor to register.
    pub stream: S,
    /// When it is given up.
    pub until: Instant,
    request: [u8; LONGEST],
    length: usize,
    answer: Vec<u8>,
    sent: usize,
}

/// What a client said.
#[derive(Debug)]
pub enum Heard {
    /// Not all of its line yet.
    Nothing,
    /// Its line.
    Line(Result<Request, Wrong>),
    /// That it has gone.
    Gone,
}

impl<S: Read + Write> Client<S> {
    /// One who has just connected.
    pub fn new(stream: S, now: Instant) -> Self {
        Self {
            stream,
            until: now + PATIENCE,
            request: [0; LONGEST],
            length: 0,
            answer: Vec::new(),
            sent: 0,
        }
    }

    /// Whether there is something to send, so that nothing more is received.
    pub fn is_answered(&self) -> bool {
        !self.answer.is_empty()
    }

    /// Receives what there is of the request. It ends with a newline, or where the client says that
    /// it sends no more; what stands behind it is not looked at.
    ///
    /// # Errors
    /// Those of read(2), but for [`io::ErrorKind::WouldBlock`].
    pub fn receive(&mut self) -> io::Result<Heard> {
        loop {
            let Some(room) = self
                .request
                .get_mut(self.length..)
                .filter(|r| !r.is_empty())
            else {
                return Ok(Heard::Line(Err(Wrong::TooLong)));
            };
            let length = match self.stream.read(room) {
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Ok(Heard::Nothing);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            self.length += length;
            let received = self.request.get(..self.length).unwrap_or_default();
            let end = received.iter().position(|&byte| byte == b'\n');
            match (end, length) {
                (Some(end), _) => return Ok(Heard::Line(Request::parse(&received[..end]))),
                (None, 0) if received.is_empty() => return Ok(Heard::Gone),
                (None, 0) => return Ok(Heard::Line(Request::parse(received))),
                (None, _) => (),
            }
        }
    }

    /// Has `text` sent to it.
    pub fn answer(&mut self, text: String) {
        self.answer = text.into_bytes();
    }

    /// Sends what there is room for; tells whether that was all.
    ///
    /// # Errors
    /// Those of write(2), but for [`io::ErrorKind::WouldBlock`].
    pub fn send(&mut self) -> io::Result<bool> {
        loop {
            let rest = self.answer.get(self.sent..).unwrap_or_default();
            if rest.is_empty() {
                return Ok(true);
            }
            match self.stream.write(rest) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(length) => self.sent += length,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => (),
                Err(error) => return Err(error),
            }
        }
    }
}
