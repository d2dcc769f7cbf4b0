//! What comes of others' tables.

use std::time::Instant;

use super::hearing::{Contents, JITTER};
use super::reading::{Progress, Reading};
use super::{News, Sync, giving};
use crate::wire::extension::{Node, Report, Stretch, TableHeader};

/// A part of a table that goes on where the reading of it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    node: Node,
    stretch: Stretch,
}

impl Sync {
    /// A part of a node's table came, which serves whoever asked for it.
    pub(super) fn on_part(
        &mut self,
        now: Instant,
        index: usize,
        number: u32,
        stretch: Stretch,
    ) -> Contents {
        if self.peers[index].need.is_none() || self.kernel.is_none() {
            return Contents::Nothing;
        }
        let Some(holes) = self.holes_of_part(now, index, stretch.holes) else {
            return Contents::Nothing;
        };
        let peer = &mut self.peers[index];
        if peer.reading.as_ref().is_some_and(|r| r.holes != holes) {
            peer.outdate_reading();
            if let Some(reading) = &mut peer.reading {
                reading.holes = holes;
            }
        }
        if peer.reading.is_none() && Reading::begins_with(&stretch) {
            peer.reading = Some(Reading::new(number, holes, peer.reports.clone()));
        }
        let is_wanted = peer.reading.as_ref().is_some_and(|r| r.wants(&stretch));
        let node = peer.node;
        match is_wanted {
            true => Contents::Sessions(TableHeader::SIZE, Some(Part { node, stretch })),
            false => Contents::Nothing,
        }
    }

    /// How many holes a node had when it gave a part of its table, of whose number this is the last byte.
    /// Nothing if a hello that overtook it told of something that is not in it.
    fn holes_of_part(&mut self, now: Instant, index: usize, last_byte: u8) -> Option<u32> {
        let peer = &mut self.peers[index];
        let told = &mut peer.hello.as_mut()?.holes;
        let more = last_byte.wrapping_sub(*told as u8) as i8;
        if more > 0 {
            // No hello has said so yet.
            *told = told.wrapping_add(more.unsigned_abs().into());
            // What it had of others before, it may have no more.
            peer.reports.clear();
            peer.unconfirmed = peer.need.map(|need| need.up_to);
            peer.miss(now);
        }
        let told = self.peers[index].hello?.holes;
        (more >= 0).then_some(told)
    }

    /// That part, of so many sessions, has been compared with the kernel's table and will be added.
    pub fn took_part(&mut self, now: Instant, part: &Part, sessions: usize) {
        let jitter = self.random.up_to(JITTER);
        let Some(index) = self.find(part.node) else {
            return;
        };
        let peer = &mut self.peers[index];
        let Some(reading) = peer.reading.as_mut() else {
            return;
        };
        self.tally.parts_taken += 1;
        let progress = reading.took(&part.stretch, sessions);
        let all = reading.parts >= u32::from(giving::WINDOW) || reading.is_at_the_last();
        self.pulling.came(now, part.node, all, jitter);
        if progress == Progress::Done {
            self.finish(now, index);
            self.pulling.end();
            self.plan(now);
        }
    }

    /// A table was read to its end: it had all that its node had sent when that began, and all that the
    /// node had of others.
    fn finish(&mut self, now: Instant, index: usize) {
        let peer = &mut self.peers[index];
        let Some(reading) = peer.end_reading().filter(|reading| !reading.is_outdated) else {
            return;
        };
        let news = News::TableRead(peer.node, peer.source, reading.sessions);
        peer.has_read(reading.number, reading.holes);
        peer.read = Some((now, reading.number));
        if self.has_all_of_the_gone(&reading.reports) {
            for report in reading.reports.into_iter().filter(Report::is_whole) {
                // One that has not said hello may have more of those who are gone.
                let mut others = self.peers.iter_mut().filter(|peer| peer.hello.is_some());
                if let Some(other) = others.find(|peer| peer.node == report.node) {
                    other.has_heard(report.number, report.holes);
                }
            }
        }
        self.news.push(news);
    }
}
