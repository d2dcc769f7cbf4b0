//! What the daemon sends, as long as somebody reads what becomes of it.

use std::io::{self, Read};
use std::os::fd::{AsRawFd, RawFd};

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use socket2::Socket;

const DAEMON: Token = Token(0);
const READER: Token = Token(1);

/// A stream that fails with [`io::ErrorKind::BrokenPipe`] when the reader of another descriptor has gone, which a
/// write would only tell when there is something to write.
pub(super) struct Attentive {
    stream: Socket,
    poll: Poll,
    events: Events,
}

impl Attentive {
    /// Of a stream, and of the descriptor that somebody reads.
    ///
    /// # Errors
    /// Those of epoll_ctl(2).
    pub(super) fn new(stream: Socket, out: RawFd) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        let poll = Poll::new()?;
        let registry = poll.registry();
        let descriptor = stream.as_raw_fd();
        registry.register(&mut SourceFd(&descriptor), DAEMON, Interest::READABLE)?;
        // Errors are told whatever is of interest. Nobody goes away from a file, which epoll does not take.
        let _ = registry.register(&mut SourceFd(&out), READER, Interest::READABLE);
        Ok(Self {
            stream,
            poll,
            events: Events::with_capacity(2),
        })
    }

    fn wait(&mut self) -> io::Result<()> {
        self.poll.poll(&mut self.events, None)?;
        let mut events = self.events.iter();
        match events.any(|event| event.token() == READER && event.is_write_closed()) {
            true => Err(io::ErrorKind::BrokenPipe.into()),
            false => Ok(()),
        }
    }
}

impl Read for Attentive {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.stream.read(room) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.wait()?,
                result => return result,
            }
        }
    }
}
