//! What is on its way from the kernel to the network.
//!
//! Netlink messages are received here, one behind the other, and the sessions in them are sent
//! from where they stand: a datagram is a list of pieces of this buffer. It is empty again after
//! each turn of the loop, unless the network has no room; then nothing more is received from the
//! kernel, whose queue is the buffer.

use std::ops::Range;

use crate::engine::Piece;
use crate::wire::jool::Message;
use crate::wire::netlink::aligned;

/// The longest netlink message that is received. Jool packs at most 2,048 bytes of sessions; what
/// else the kernel says is an error response with the request that it is about.
const LONGEST: usize = Message::HEADER + 8 * 1024;

/// The most pieces at once. More would save no system call worth the wait of the first.
pub const MOST: usize = 32;

/// Enough for [`MOST`] batches of 1,500 bytes.
const SIZE: usize = MOST * 1536 + LONGEST;

/// Consecutive pieces.
#[derive(Clone, Debug)]
struct Datagram {
    pieces: Range<usize>,
    length: usize,
    joinable: bool,
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

    /// Whether everything is sent.
    pub fn is_empty(&self) -> bool {
        self.sent == self.datagrams.len()
    }

    /// Where the next message may be received. Nothing if this is full, and must be sent first.
    pub fn room(&mut self) -> Option<&mut [u8]> {
        let full = self.pieces.len() == MOST || self.buffer.len() - self.used < LONGEST;
        match full {
            true => None,
            false => self.buffer.get_mut(self.used..),
        }
    }

    /// Keeps a piece of the last [`Outbox::room`] for the network, behind all others. Without
    /// this, the room is free again.
    pub fn keep(&mut self, piece: &Piece) {
        if piece.range.is_empty() {
            return;
        }
        let range = self.used + piece.range.start..self.used + piece.range.end;
        self.used = aligned(range.end).min(self.buffer.len());
        let length = range.len();
        self.pieces.push(range);
        let payload = self.payload;
        // Only the last one may grow, or sessions would overtake others.
        let last = self.datagrams[self.sent..]
            .last_mut()
            .filter(|last| last.joinable && piece.joinable && last.length + length <= payload);
        match last {
            Some(last) => {
                last.length += length;
                last.pieces.end += 1;
            }
            None => self.datagrams.push(Datagram {
                pieces: self.pieces.len() - 1..self.pieces.len(),
                length,
                joinable: piece.joinable,
            }),
        }
    }

    /// The datagrams that were not sent yet, in order, each as its pieces.
    pub fn datagrams(&self) -> impl Iterator<Item = impl Iterator<Item = &[u8]>> {
        self.datagrams[self.sent..]
            .iter()
            .map(|datagram| self.pieces_of(datagram))
    }

    fn pieces_of(&self, datagram: &Datagram) -> impl Iterator<Item = &[u8]> {
        self.pieces[datagram.pieces.clone()]
            .iter()
            .map(|range| &self.buffer[range.clone()])
    }

    /// Takes out the first datagram, which was sent or cannot be, and returns its length.
    pub fn take(&mut self) -> Option<usize> {
        let length = self.datagrams.get(self.sent)?.length;
        self.sent += 1;
        if self.is_empty() {
            self.used = 0;
            self.sent = 0;
            self.pieces.clear();
            self.datagrams.clear();
        }
        Some(length)
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
            outbox.keep(&Piece {
                range: 48..48 + length,
                joinable,
            });
        }
        let all: Vec<u8> = outbox.datagrams().flatten().flatten().copied().collect();
        assert!(all.is_sorted(), "the order is kept");
        let of_datagram =
            |pieces: &mut dyn Iterator<Item = &[u8]>| pieces.map(<[u8]>::len).collect();
        outbox
            .datagrams()
            .map(|mut pieces| of_datagram(&mut pieces))
            .collect()
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
    fn an_empty_piece_is_no_datagram() {
        assert!(lengths(1452, &[(0, true)]).is_empty());
    }

    #[test]
    fn when_all_is_sent_there_is_room_again() {
        let mut outbox = Outbox::new(1452);
        let mut kept = 0;
        while outbox.room().is_some() {
            outbox.keep(&Piece {
                range: 52..52 + 1440,
                joinable: true,
            });
            kept += 1;
        }
        assert_eq!(kept, MOST);
        let sent: usize = std::iter::from_fn(|| outbox.take()).sum();
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
            outbox.keep(piece);
        }
        assert_eq!(outbox.take(), Some(40));
        outbox.room();
        outbox.keep(&piece);
        assert_eq!(outbox.datagrams().count(), 2);
    }

    #[test]
    fn there_is_room_for_the_longest_message_until_it_is_full() {
        let mut outbox = Outbox::new(1452);
        while let Some(room) = outbox.room() {
            assert!(room.len() >= LONGEST);
            outbox.keep(&Piece {
                range: 0..2096,
                joinable: true,
            });
        }
    }
}
