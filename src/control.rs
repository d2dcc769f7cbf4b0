//! Conversations with the kernel outside the forwarding path: a question, and its answers.
//!
//! They have a netlink socket of their own, so that an answer never stands in a queue behind
//! session batches. The kernel answers within the `send()`; the time limit is for the day when
//! that does not hold.

use std::io;
use std::time::{Duration, Instant};

use neli::consts::socket::NlFamily;
use neli::socket::NlSocket;
use neli::utils::Groups;
use socket2::Socket;

use crate::sys;
use crate::wire::Malformed;
use crate::wire::netlink::{
    ERROR, FIRST_KIND, FLAG_INTERRUPTED, Message, Messages, Question, aligned,
};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Larger than what the kernel puts into one datagram of a dump.
const BUFFER: usize = 16 * 1024;

/// How often a list is asked for that changes while the kernel tells it. A list takes milliseconds,
/// so few do even where links come and go all the time.
const TRIES: usize = 10;

/// A netlink socket for questions.
pub struct Control {
    socket: Socket,
    patience: Duration,
    sequence: u32,
    buffer: Vec<u8>,
}

impl Control {
    /// # Errors
    /// When the kernel gives no such socket.
    pub fn open(protocol: NlFamily) -> io::Result<Self> {
        let socket = NlSocket::connect(protocol, None, Groups::empty())?;
        Ok(Self {
            socket: sys::into_socket(socket),
            patience: PATIENCE,
            sequence: 0,
            buffer: vec![0; BUFFER],
        })
    }

    /// Asks a question with one answer.
    ///
    /// # Errors
    /// The kernel's error, or the socket's; [`io::ErrorKind::TimedOut`] when nothing comes.
    pub fn ask(&mut self, mut question: Question) -> io::Result<Answers> {
        self.converse(&mut question, Extent::One)
    }

    /// Asks a question with a list for an answer.
    ///
    /// # Errors
    /// As [`Control::ask`], and when the list changes whenever the kernel tells it.
    pub fn dump(&mut self, mut question: Question) -> io::Result<Answers> {
        until_whole(|| self.converse(&mut question, Extent::List))
    }

    fn converse(&mut self, question: &mut Question, extent: Extent) -> io::Result<Answers> {
        self.sequence = self.sequence.wrapping_add(1);
        self.socket.send(question.numbered(self.sequence))?;
        let mut answers = Answers::default();
        loop {
            let length = self.receive()?;
            if answers.take(&self.buffer[..length], self.sequence, extent)? {
                return Ok(answers);
            }
        }
    }

    /// Receives what the kernel says next into the buffer. Other processes may write to this
    /// socket, but they cannot answer for the kernel, and do not prolong the wait.
    fn receive(&mut self) -> io::Result<usize> {
        let start = Instant::now();
        loop {
            let left = self.patience.saturating_sub(start.elapsed());
            if left.is_zero() {
                let limit = self.patience.as_secs();
                let problem = format!("the kernel did not answer within {limit} s");
                return Err(io::Error::new(io::ErrorKind::TimedOut, problem));
            }
            // The socket counts in microseconds, and takes 0 of them for no limit.
            let left = left.max(Duration::from_millis(1));
            self.socket.set_read_timeout(Some(left))?;
            match sys::receive_netlink(&self.socket, &mut self.buffer) {
                Ok(receipt) if receipt.port != sys::KERNEL => {}
                Ok(receipt) if receipt.truncated => return Err(too_long(self.buffer.len())),
                Ok(receipt) => return Ok(receipt.length),
                Err(error) if is_passing(&error) => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// Whether the socket has only stopped waiting: its time was over, or a signal came.
fn is_passing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
    )
}

fn too_long(limit: usize) -> io::Error {
    let problem = format!("the kernel's answer has more than {limit} bytes in one piece");
    io::Error::new(io::ErrorKind::InvalidData, problem)
}

/// An answer that is not what it should be.
pub fn malformed(problem: Malformed) -> io::Error {
    let problem = format!("the kernel's answer has {problem}");
    io::Error::new(io::ErrorKind::InvalidData, problem)
}

/// Asks until the answers are of one piece.
fn until_whole(mut ask: impl FnMut() -> io::Result<Answers>) -> io::Result<Answers> {
    for _ in 0..TRIES {
        let answers = ask()?;
        if !answers.interrupted {
            return Ok(answers);
        }
    }
    Err(io::Error::other(format!(
        "the kernel's list changed each of {TRIES} times while it was read"
    )))
}

/// How much answers a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// One message.
    One,
    /// Messages up to the one that says that it is the last, in as many datagrams as it takes.
    List,
}

/// What the kernel answered to one question.
#[derive(Debug, Default)]
pub struct Answers {
    /// Messages, one behind the other. Each was whole when it came.
    bytes: Vec<u8>,
    interrupted: bool,
}

impl Answers {
    /// The answers of that kind, in order.
    pub fn of_kind(&self, kind: u16) -> impl Iterator<Item = Message<'_>> {
        Messages::new(&self.bytes)
            .map_while(Result::ok)
            .filter(move |message| message.kind() == kind)
    }

    /// Takes what belongs to the question with that sequence number. Whether that was all.
    ///
    /// # Errors
    /// The kernel's error, and [`io::ErrorKind::InvalidData`] when `datagram` is malformed.
    pub fn take(&mut self, datagram: &[u8], sequence: u32, extent: Extent) -> io::Result<bool> {
        for message in Messages::new(datagram) {
            let message = message.map_err(malformed)?;
            // A question that was given up may be answered late.
            if message.sequence() != sequence {
                continue;
            }
            self.interrupted |= message.flags() & FLAG_INTERRUPTED != 0;
            if let Some(errno) = message.errno().or_else(|| message.ending()) {
                return match errno {
                    0 => Ok(true),
                    _ => Err(io::Error::from_raw_os_error(errno)),
                };
            }
            if message.kind() == ERROR {
                return Err(malformed(Malformed::Lacks("number of its error")));
            }
            if message.kind() < FIRST_KIND {
                continue;
            }
            self.bytes.extend_from_slice(message.bytes());
            self.bytes.resize(aligned(self.bytes.len()), 0);
            if extent == Extent::One {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// For tests: a list of these messages.
    #[cfg(test)]
    pub(crate) fn list(messages: &[&[u8]], sequence: u32) -> Self {
        let mut answers = Self::default();
        for message in messages {
            let all = answers.take(message, sequence, Extent::List);
            assert!(!all.unwrap());
        }
        answers
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::netlink::DONE;
    use crate::wire::{controller, link};
    use proptest::prelude::*;

    /// Of a family's message.
    const KIND: u16 = 0x23;

    fn message(kind: u16, flags: u16, payload: &[u8], sequence: u32) -> Vec<u8> {
        let mut message = Question::new(kind, flags, payload);
        message.numbered(sequence).to_vec()
    }

    /// The outcome, and the payloads of what was taken.
    fn take(datagrams: &[&[u8]], extent: Extent) -> (io::Result<bool>, Vec<Vec<u8>>) {
        let mut answers = Answers::default();
        let mut outcome = Ok(false);
        for datagram in datagrams {
            assert!(!outcome.unwrap(), "there is more after the end");
            outcome = answers.take(datagram, 7, extent);
        }
        let payloads = answers.of_kind(KIND).map(|answer| answer.payload().into());
        (outcome, payloads.collect())
    }

    #[test]
    fn one_answer_is_enough_for_one_question() {
        let (all, answers) = take(&[&message(KIND, 0, b"1234", 7)], Extent::One);
        assert!(all.unwrap());
        assert_eq!(answers, [b"1234"]);
    }

    #[test]
    fn answers_to_other_questions_and_netlinks_own_messages_are_skipped() {
        let skipped = [
            message(KIND, 0, b"late", 6),
            message(ERROR, 0, &(-1i32).to_ne_bytes(), 6),
            message(1, 0, b"noop", 7),
        ]
        .concat();
        let (all, answers) = take(&[&skipped, &message(KIND, 0, b"1234", 7)], Extent::One);
        assert!(all.unwrap());
        assert_eq!(answers, [b"1234"]);
    }

    #[test]
    fn a_list_goes_on_over_datagrams_until_it_ends() {
        let first = [message(KIND, 0, b"1   ", 7), message(KIND, 0, b"2   ", 7)].concat();
        let second = message(KIND, 0, b"3   ", 7);
        let third = [
            message(KIND, 0, b"4   ", 7),
            message(DONE, 0, &[0; 4], 7),
            message(KIND, 0, b"5   ", 7),
        ]
        .concat();
        let (all, answers) = take(&[&first, &second, &third], Extent::List);
        assert!(all.unwrap());
        assert_eq!(answers, [b"1   ", b"2   ", b"3   ", b"4   "]);
        assert!(!take(&[&first, &second], Extent::List).0.unwrap());
    }

    #[test]
    fn the_kernels_error_is_an_error_with_its_number() {
        let refused = message(ERROR, 0, &(-libc::ENOENT).to_ne_bytes(), 7);
        let broken_off = message(DONE, 0, &(-libc::ENOMEM).to_ne_bytes(), 7);
        for (bytes, errno) in [(refused, libc::ENOENT), (broken_off, libc::ENOMEM)] {
            for extent in [Extent::One, Extent::List] {
                let error = take(&[&bytes], extent).0.unwrap_err();
                assert_eq!(error.raw_os_error(), Some(errno));
            }
        }
    }

    #[cfg(target_endian = "little")]
    #[test]
    fn a_real_kernel_refuses_and_ends_like_that() {
        use crate::wire::samples::{END, LACKS_FAMILY, LINK, SEQUENCE};
        let take = |bytes: &[u8]| Answers::default().take(bytes, SEQUENCE, Extent::List);
        let error = take(&LACKS_FAMILY).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ENOENT));
        assert!(!take(&LINK).unwrap());
        assert!(take(&[&LINK[..], &END].concat()).unwrap());
    }

    #[test]
    fn an_acknowledgement_is_the_end() {
        let (all, answers) = take(&[&message(ERROR, 0, &[0; 4], 7)], Extent::One);
        assert!(all.unwrap());
        assert!(answers.is_empty());
    }

    #[test]
    fn a_malformed_answer_is_an_error_in_words() {
        let mut long = message(KIND, 0, b"1234", 7);
        long.truncate(18);
        for (bytes, problem) in [
            (&[0; 3][..], "3 bytes where the headers take 16"),
            (&long, "a length field of 20, more than there is"),
            (&message(ERROR, 0, &[], 7), "no number of its error"),
        ] {
            let error = take(&[bytes], Extent::One).0.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData);
            assert_eq!(
                error.to_string(),
                format!("the kernel's answer has {problem}")
            );
        }
    }

    /// How often a list is asked for that is interrupted so many times.
    fn attempts(interruptions: usize) -> (usize, io::Result<Answers>) {
        let mut asked = 0;
        let outcome = until_whole(|| {
            let flags = if asked < interruptions {
                FLAG_INTERRUPTED
            } else {
                0
            };
            asked += 1;
            let mut answers = Answers::default();
            assert!(answers.take(&message(DONE, flags, &[0; 4], 7), 7, Extent::List)?);
            Ok(answers)
        });
        (asked, outcome)
    }

    #[test]
    fn a_list_that_changed_meanwhile_is_asked_for_again_but_not_for_ever() {
        assert!(matches!(attempts(0), (1, Ok(_))));
        assert!(matches!(attempts(2), (3, Ok(_))));
        assert!(matches!(attempts(TRIES - 1), (TRIES, Ok(_))));
        let (asked, outcome) = attempts(usize::MAX);
        assert_eq!(asked, TRIES);
        assert_eq!(
            outcome.unwrap_err().to_string(),
            "the kernel's list changed each of 10 times while it was read"
        );
    }

    #[test]
    fn a_question_that_nobody_answers_is_given_up() {
        let mut control = Control::open(NlFamily::Usersock).unwrap();
        control.patience = Duration::from_millis(20);
        let error = control.receive().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(error.to_string(), "the kernel did not answer within 0 s");
    }

    #[test]
    fn an_answer_that_does_not_fit_is_an_error_in_words_and_the_next_question_is_answered() {
        let mut control = Control::open(NlFamily::Generic).unwrap();
        control.buffer.truncate(32);
        let error = control.ask(controller::question("nlctrl")).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the kernel's answer has more than 32 bytes in one piece"
        );
        control.buffer.resize(BUFFER, 0);
        let answers = control.ask(controller::question("nlctrl")).unwrap();
        assert_eq!(answers.of_kind(controller::ID).count(), 1);
    }

    #[test]
    fn the_answer_to_a_question_that_was_given_up_is_not_the_next_ones() {
        let mut control = Control::open(NlFamily::Generic).unwrap();
        let mut given_up = controller::question("no such family");
        control.socket.send(given_up.numbered(99)).unwrap();
        let answers = control.ask(controller::question("nlctrl")).unwrap();
        assert_eq!(answers.of_kind(controller::ID).count(), 1);
    }

    #[test]
    fn a_real_list_comes_to_its_end() {
        let mut control = Control::open(NlFamily::Route).unwrap();
        for _ in 0..2 {
            let links = control.dump(link::list()).unwrap();
            assert!(links.of_kind(link::NEW).count() >= 1);
        }
    }

    proptest! {
        #[test]
        fn any_datagram_is_taken_or_an_error(
            bytes in prop::collection::vec(any::<u8>(), 0..100),
            kind in prop_oneof![0..6u16, any::<u16>()],
            list in any::<bool>(),
        ) {
            let extent = if list { Extent::List } else { Extent::One };
            let mut answers = Answers::default();
            let _ = answers.take(&bytes, 7, extent);
            let _ = answers.take(&message(kind, 0, &bytes, 7), 7, extent);
            prop_assert!(answers.bytes.len() <= bytes.len().next_multiple_of(4) + 16);
        }
    }
}
