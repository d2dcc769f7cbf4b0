//! What is on its way from the kernel to the network.
//!
//! Netlink messages are received here, one behind the other, and the sessions in them are sent
//! from where they stand: a datagram is a list of pieces of this buffer. It is empty again after
//! each turn of the loop, unless the network has no room; then nothing more is received from the
//! kernel, whose queue is the buffer.

use std::ops::Range;

use crate::engine::Piece;
use crate::wire::extension::Header;
use crate::wire::jool::Message;
use crate::wire::netlink::aligned;

/// The longest netlink message that is received. Jool packs at most 2,048 bytes of sessions; what
/// else the kernel says is an error response with the request that it is about.
const LONGEST: usize = Message::HEADER + 8 * 1024;

/// The most bytes in a run: what fits into one IP packet, and some room for headers.
const LONGEST_RUN: usize = 65_000;

/// The most pieces at once. More would save no system call worth the wait of the first.
pub const MOST: usize = 32;

/// Enough for [`MOST`] batches of 1,500 bytes, and a trailer behind the longest message.
const SIZE: usize = MOST * 1536 + LONGEST + Header::SIZE;

/// What a datagram is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Sessions; with a number, by which they can be asked for again.
    Sessions(Option<u32>),
    /// Something else, for peers that understand it.
    Message,
}

/// Consecutive pieces.
#[derive(Clone, Debug)]
struct Datagram {
    pieces: Range<usize>,
    /// Of pieces and trailer.
    length: usize,
    joinable: bool,
    kind: Kind,
    /// The bytes of the trailer, which stands behind the last piece.
    trailer: usize,
}

/// Consecutive datagrams.
#[derive(Clone, Copy, Debug)]
pub struct Run<'a> {
    outbox: &'a Outbox,
    run: &'a [Datagram],
    /// How many they are.
    pub datagrams: usize,
    /// How long each of them is, in bytes; the last may be shorter.
    pub segment: usize,
}

impl<'a> Run<'a> {
    /// What they are made of.
    pub fn pieces(self) -> impl Iterator<Item = &'a [u8]> {
        let outbox = self.outbox;
        self.run.iter().flat_map(move |datagram| {
            let last = datagram.pieces.end - 1;
            datagram.pieces.clone().map(move |at| {
                let piece = &outbox.pieces[at];
                let trailer = if at == last { datagram.trailer } else { 0 };
                &outbox.buffer[piece.start..piece.end + trailer]
            })
        })
    }
}

/// The first datagram, when it has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// What it was.
    pub kind: Kind,
    /// How many bytes, without the trailer.
    pub length: usize,
}

/// The buffer, and the datagrams in it that were not sent yet, in order.
#[derive(Debug)]
pub struct Outbox {
    buffer: Box<[u8]>,
    used: usize,
    pieces: Vec<Range<usize>>,
    datagrams: Vec<Datagram>,
    /// How many of the datagrams are sent.
    sent: usize,
    /// The payload up to which pieces are joined.
    payload: usize,
}

impl Outbox {
    /// An empty one. `payload` is how many bytes a datagram may have to travel in one packet;
    /// longer pieces go out as they are.
    pub fn new(payload: usize) -> Self {
        Self {
            buffer: vec![0; SIZE].into_boxed_slice(),
            used: 0,
            pieces: Vec::with_capacity(MOST),
            datagrams: Vec::with_capacity(MOST),
            sent: 0,
            payload,
        }
    }

    /// The payload up to which pieces are joined, in bytes.
    pub fn payload(&self) -> usize {
        self.payload
    }

    /// Pieces are joined up to that many bytes from here on: another interface carries others.
    pub fn set_payload(&mut self, payload: usize) {
        self.payload = payload;
    }

    /// Whether everything is sent.
    pub fn is_empty(&self) -> bool {
        self.sent == self.datagrams.len()
    }

    /// Where the next message may be received. Nothing if this is full, and must be sent first.
    pub fn room(&mut self) -> Option<&mut [u8]> {
        let end = self.buffer.len() - Header::SIZE;
        let full = self.pieces.len() == MOST || end.saturating_sub(self.used) < LONGEST;
        match full {
            true => None,
            false => self.buffer.get_mut(self.used..end),
        }
    }

    /// Keeps a piece of the last [`Outbox::room`] for the network, behind all others; tells whether
    /// it joined the datagram of the one before. Without this, the room is free again. `stamp` makes the
    /// trailer of a new datagram, if there shall be one.
    pub fn keep(&mut self, piece: &Piece, stamp: impl FnOnce() -> Option<Header>) -> bool {
        if piece.range.is_empty() {
            return false;
        }
        let length = self.keep_range(piece.range.clone());
        let payload = self.payload;
        // Only the last one may grow, or sessions would overtake others.
        let last = self.datagrams[self.sent..]
            .last_mut()
            .filter(|last| last.joinable && piece.joinable && last.length + length <= payload);
        match last {
            Some(last) => {
                last.length += length;
                last.pieces.end += 1;
                let trailer = self.pieces[last.pieces.end - 2].end;
                if last.trailer > 0 {
                    self.put_trailer(trailer..trailer + Header::SIZE);
                }
                true
            }
            None => {
                let header = stamp();
                let trailer = header.map_or(0, |_| Header::SIZE);
                self.datagrams.push(Datagram {
                    pieces: self.pieces.len() - 1..self.pieces.len(),
                    length: length + trailer,
                    joinable: piece.joinable,
                    kind: Kind::Sessions(header.map(|header| header.number)),
                    trailer,
                });
                if let Some(header) = header {
                    // Where nobody needs it, to be moved from there.
                    let end = self.buffer.len() - Header::SIZE;
                    self.buffer[end..].copy_from_slice(&header.to_bytes());
                    self.put_trailer(end..self.buffer.len());
                }
                false
            }
        }
    }

    /// Copies a trailer behind the last piece.
    fn put_trailer(&mut self, from: Range<usize>) {
        let Some(last) = self.pieces.last() else {
            return;
        };
        self.buffer.copy_within(from, last.end);
        self.used = aligned(last.end + Header::SIZE).min(self.buffer.len());
    }

    /// Keeps the first `length` bytes of the last [`Outbox::room`] as a datagram of its own.
    pub fn keep_message(&mut self, length: usize) {
        let length = self.keep_range(0..length);
        self.datagrams.push(Datagram {
            pieces: self.pieces.len() - 1..self.pieces.len(),
            length,
            joinable: false,
            kind: Kind::Message,
            trailer: 0,
        });
    }

    fn keep_range(&mut self, range: Range<usize>) -> usize {
        let range = self.used + range.start..self.used + range.end;
        self.used = aligned(range.end).min(self.buffer.len());
        let length = range.len();
        self.pieces.push(range);
        length
    }

    fn pieces_of(&self, datagram: &Datagram) -> impl Iterator<Item = &[u8]> + Clone {
        let ranges = self.pieces[datagram.pieces.clone()].iter();
        ranges.map(|range| &self.buffer[range.clone()])
    }

    /// What the first datagram is, and what it is made of but for the trailer.
    pub fn first(&self) -> Option<(Kind, impl Iterator<Item = &[u8]> + Clone)> {
        let datagram = self.datagrams.get(self.sent)?;
        Some((datagram.kind, self.pieces_of(datagram)))
    }

    /// The datagrams that were not sent yet, in order; with `joined` in runs of such as the kernel
    /// can cut out of one stretch of bytes (udp(7), `UDP_SEGMENT`), otherwise one by one.
    pub fn runs(&self, joined: bool) -> impl Iterator<Item = Run<'_>> {
        let mut rest = &self.datagrams[self.sent..];
        std::iter::from_fn(move || {
            let count = match joined {
                true => self.first_run(rest),
                false => rest.len().min(1),
            };
            let (run, others) = rest.split_at(count);
            rest = others;
            Some(Run {
                outbox: self,
                run,
                datagrams: count,
                segment: run.first()?.length,
            })
        })
    }

    /// How many of `datagrams`, from the first, may travel as a run: all as long as the first but
    /// for the last, which may be shorter, and each in one packet.
    fn first_run(&self, datagrams: &[Datagram]) -> usize {
        let Some(first) = datagrams.first() else {
            return 0;
        };
        if first.length > self.payload {
            return 1;
        }
        let most = (LONGEST_RUN / first.length).max(1);
        let equal = datagrams
            .iter()
            .take(most)
            .take_while(|datagram| datagram.length == first.length)
            .count();
        let shorter = datagrams[..most.min(datagrams.len())]
            .get(equal)
            .is_some_and(|datagram| datagram.length < first.length);
        equal + usize::from(shorter)
    }

    /// Takes out the first datagram, which was sent or cannot be.
    pub fn take(&mut self) -> Option<Taken> {
        let datagram = self.datagrams.get(self.sent)?;
        let (kind, length) = (datagram.kind, datagram.length - datagram.trailer);
        self.sent += 1;
        if self.is_empty() {
            self.used = 0;
            self.sent = 0;
            self.pieces.clear();
            self.datagrams.clear();
        }
        Some(Taken { kind, length })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What would be sent of pieces of these lengths, each filled with its number.
    fn lengths(payload: usize, pieces: &[(usize, bool)]) -> Vec<Vec<usize>> {
        let mut outbox = Outbox::new(payload);
        for (number, &(length, joinable)) in pieces.iter().enumerate() {
            let room = outbox.room().unwrap();
            room[48..48 + length].fill(number as u8);
            let piece = Piece {
                range: 48..48 + length,
                joinable,
            };
            outbox.keep(&piece, || None);
        }
        let all: Vec<u8> = outbox
            .runs(false)
            .flat_map(Run::pieces)
            .flatten()
            .copied()
            .collect();
        assert!(all.is_sorted(), "the order is kept");
        let lengths = |run: Run<'_>| run.pieces().map(<[u8]>::len).collect();
        outbox.runs(false).map(lengths).collect()
    }

    /// How many datagrams of these lengths travel together, and how long each is.
    fn runs(lengths: &[usize]) -> Vec<(usize, usize)> {
        let mut outbox = Outbox::new(1452);
        for &length in lengths {
            outbox.room().unwrap();
            let piece = Piece {
                range: 0..length,
                joinable: false,
            };
            outbox.keep(&piece, || None);
        }
        outbox
            .runs(true)
            .map(|run| (run.datagrams, run.segment))
            .collect()
    }

    #[test]
    fn datagrams_of_one_length_are_a_run_that_a_shorter_one_ends() {
        assert_eq!(
            runs(&[1440, 1440, 400, 400, 1440]),
            [(3, 1440), (1, 400), (1, 1440)]
        );
        assert_eq!(runs(&[400, 1440, 1440]), [(1, 400), (2, 1440)]);
        assert_eq!(runs(&[1440; MOST]), [(MOST, 1440)]);
        assert_eq!(runs(&[]), []);
    }

    #[test]
    fn what_needs_several_packets_is_in_no_run() {
        assert_eq!(
            runs(&[1480, 1480, 1440, 1440]),
            [(1, 1480), (1, 1480), (2, 1440)]
        );
    }

    #[test]
    fn small_pieces_travel_together_up_to_the_payload() {
        let pieces = [
            (400, true),
            (1000, true),
            (80, true),
            (1440, true),
            (12, true),
        ];
        assert_eq!(
            lengths(1452, &pieces),
            [vec![400, 1000], vec![80], vec![1440, 12]]
        );
    }

    #[test]
    fn what_was_not_understood_travels_alone() {
        let pieces = [(40, true), (40, false), (40, true), (40, true)];
        assert_eq!(lengths(1452, &pieces), [vec![40], vec![40], vec![40, 40]]);
    }

    #[test]
    fn a_piece_beyond_the_payload_goes_out_as_it_is() {
        assert_eq!(lengths(1232, &[(1440, true), (40, true)]), [[1440], [40]]);
    }

    #[test]
    fn whoever_keeps_a_piece_learns_whether_it_shares_a_datagram() {
        let mut outbox = Outbox::new(1452);
        let shared = [40, 40, 0, 1440].map(|length| {
            outbox.room();
            let (range, joinable) = (0..length, true);
            outbox.keep(&Piece { range, joinable }, || None)
        });
        assert_eq!(shared, [false, true, false, false]);
    }

    #[test]
    fn an_empty_piece_is_no_datagram() {
        assert!(lengths(1452, &[(0, true)]).is_empty());
    }

    #[test]
    fn when_all_is_sent_there_is_room_again() {
        let mut outbox = Outbox::new(1452);
        let mut kept = 0;
        while outbox.room().is_some() {
            let piece = Piece {
                range: 52..52 + 1440,
                joinable: true,
            };
            outbox.keep(&piece, || None);
            kept += 1;
        }
        assert_eq!(kept, MOST);
        let taken = std::iter::from_fn(|| outbox.take());
        let sent: usize = taken.map(|taken| taken.length).sum();
        assert_eq!(sent, MOST * 1440);
        assert!(outbox.is_empty() && outbox.room().is_some());
    }

    #[test]
    fn what_was_sent_does_not_grow() {
        let mut outbox = Outbox::new(1452);
        let piece = Piece {
            range: 0..40,
            joinable: true,
        };
        let alone = Piece {
            joinable: false,
            ..piece.clone()
        };
        for piece in [&piece, &alone] {
            outbox.room();
            outbox.keep(piece, || None);
        }
        assert_eq!(outbox.take().map(|taken| taken.length), Some(40));
        outbox.room();
        outbox.keep(&piece, || None);
        assert_eq!(outbox.runs(false).count(), 2);
    }

    #[test]
    fn another_payload_holds_for_what_comes_then_and_what_is_too_long_now_goes_alone() {
        let mut outbox = Outbox::new(1452);
        let keep = |outbox: &mut Outbox, length| {
            outbox.room();
            let piece = Piece {
                range: 0..length,
                joinable: true,
            };
            outbox.keep(&piece, || None);
        };
        for length in [1440, 1440] {
            keep(&mut outbox, length);
        }
        outbox.set_payload(1232);
        for length in [1000, 200, 1000] {
            keep(&mut outbox, length);
        }
        let runs: Vec<_> = outbox
            .runs(true)
            .map(|run| (run.datagrams, run.segment))
            .collect();
        assert_eq!(runs, [(1, 1440), (1, 1440), (2, 1200)]);
    }

    #[test]
    fn there_is_room_for_the_longest_message_until_it_is_full() {
        let mut outbox = Outbox::new(1452);
        while let Some(room) = outbox.room() {
            assert!(room.len() >= LONGEST);
            let piece = Piece {
                range: 0..2096,
                joinable: true,
            };
            outbox.keep(&piece, || None);
        }
    }

    /// An outbox with sessions of these lengths, all of them joinable, that numbers its datagrams.
    fn numbered(lengths: &[usize]) -> Outbox {
        let mut outbox = Outbox::new(1452);
        let mut number = 6;
        for &length in lengths {
            outbox.room().unwrap()[..length].fill(0x55);
            let (range, joinable) = (0..length, true);
            outbox.keep(&Piece { range, joinable }, || {
                number += 1;
                Some(Header {
                    kind: crate::wire::extension::Kind::Sessions,
                    node: 1,
                    number,
                })
            });
        }
        outbox
    }

    #[test]
    fn a_trailer_stands_behind_all_sessions_of_a_datagram_and_counts_for_its_length() {
        let outbox = numbered(&[400, 1040, 1440]);
        let lengths = |run: Run<'_>| run.pieces().map(<[u8]>::len).collect::<Vec<_>>();
        let sent: Vec<_> = outbox.runs(false).map(lengths).collect();
        assert_eq!(sent, [vec![400, 1052], vec![1452]]);
        let bytes: Vec<_> = outbox
            .runs(false)
            .flat_map(Run::pieces)
            .flatten()
            .copied()
            .collect();
        let (first, second) = bytes.split_at(1452);
        for (datagram, number) in [(first, 7), (second, 8)] {
            let (sessions, trailer) = datagram.split_at(1440);
            assert!(sessions.iter().all(|&byte| byte == 0x55));
            assert_eq!(trailer, [0, 0, 1, 1, 0, 0, 0, 1, 0, 0, 0, number]);
        }
        assert_eq!(
            outbox.runs(true).map(|run| run.segment).collect::<Vec<_>>(),
            [1452]
        );
        let outbox = numbered(&[412, 1040]);
        assert_eq!(outbox.runs(false).count(), 2, "the trailer takes its room");
    }

    #[test]
    fn whoever_takes_a_datagram_learns_its_number_and_how_many_bytes_of_sessions_it_had() {
        let mut outbox = numbered(&[400, 1440]);
        outbox.room().unwrap();
        outbox.keep_message(30);
        let first = outbox.first().map(|(kind, pieces)| (kind, pieces.count()));
        assert_eq!(first, Some((Kind::Sessions(Some(7)), 1)));
        let taken: Vec<_> = std::iter::from_fn(|| outbox.take())
            .map(|taken| (taken.kind, taken.length))
            .collect();
        let numbers = [Some(7), Some(8)].map(Kind::Sessions);
        assert_eq!(
            taken,
            [(numbers[0], 400), (numbers[1], 1440), (Kind::Message, 30)]
        );
    }

    #[test]
    fn a_message_travels_alone() {
        let mut outbox = numbered(&[400]);
        outbox.room().unwrap();
        outbox.keep_message(30);
        outbox.room().unwrap();
        let (range, joinable) = (0..40, true);
        assert!(!outbox.keep(&Piece { range, joinable }, || None));
        assert_eq!(outbox.runs(false).count(), 3);
    }
}
