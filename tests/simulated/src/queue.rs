//! The queue between translated packets and the daemon: when a batch leaves, and what is dropped.

use std::collections::VecDeque;
use std::time::Duration;

use joold::wire::jool::Version;

use crate::globals::Globals;
use crate::statistics::Statistics;
use crate::table::Entry;

/// How many sessions of 140 bytes a packet of 1,452 bytes takes, which the kernel rounds up.
const PACKET: usize = 11;

/// One instance's queue of session updates.
#[derive(Clone, Debug)]
pub struct Queue {
    waiting: VecDeque<Entry>,
    /// Of a module without a queue: whether the last update found the packet full.
    overflows: bool,
    /// Set in the beginning: the first batch needs no acknowledgement.
    acknowledged: bool,
    advertising: bool,
    last_flush: Duration,
}

/// An advertisement is still going on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AlreadyAdvertising;

impl Queue {
    /// The queue of an instance that is created now.
    pub fn new(now: Duration) -> Self {
        Self {
            waiting: VecDeque::new(),
            overflows: false,
            acknowledged: true,
            advertising: false,
            last_flush: now,
        }
    }

    /// Sessions that wait.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Queues one update and returns the batch that leaves because of it, if one does.
    pub fn push(&mut self, entry: Entry, context: &mut Context<'_>) -> Option<Vec<Entry>> {
        if context.has_queue() {
            let full = self.waiting.len() >= context.globals.ss_capacity as usize;
            if full && !self.advertising {
                context.statistics.sessions_dropped += 1;
            } else {
                self.waiting.push_back(entry);
            }
        } else {
            self.overflows = self.waiting.len() >= PACKET;
            if !self.overflows {
                self.waiting.push_back(entry);
            }
        }
        let batch = self.flush(context);
        context.statistics.sessions_queued += 1;
        batch
    }

    /// Queues a whole table. A module without a queue remembers that it should, and never does.
    ///
    /// # Errors
    /// When the last advertisement has not been sent yet.
    pub fn advertise(
        &mut self,
        table: Vec<Entry>,
        context: &mut Context<'_>,
    ) -> Result<Option<Vec<Entry>>, AlreadyAdvertising> {
        if !context.has_queue() {
            self.advertising = true;
            return Ok(self.flush(context));
        }
        if table.is_empty() {
            return Ok(None);
        }
        if self.advertising {
            return Err(AlreadyAdvertising);
        }
        self.advertising = true;
        self.waiting.extend(table);
        let batch = self.flush(context);
        context.statistics.advertisements += 1;
        Ok(batch)
    }

    /// The daemon is ready for the next batch.
    pub fn acknowledge(&mut self, context: &mut Context<'_>) -> Option<Vec<Entry>> {
        self.acknowledged = true;
        let batch = self.flush(context);
        context.statistics.acks += 1;
        batch
    }

    /// The module's timer, or any other reason to look: takes the batch that may leave now.
    pub fn flush(&mut self, context: &mut Context<'_>) -> Option<Vec<Entry>> {
        if !self.may_leave(context) {
            return None;
        }
        let most = match context.has_queue() {
            true => context.globals.ss_max_sessions_per_packet as usize,
            false => PACKET,
        };
        let batch: Vec<_> = self.waiting.drain(..self.waiting.len().min(most)).collect();
        self.acknowledged = false;
        if self.waiting.is_empty() && context.has_queue() {
            self.advertising = false;
        }
        self.last_flush = context.now;
        Some(batch)
    }

    fn may_leave(&self, context: &mut Context<'_>) -> bool {
        let has_queue = context.has_queue();
        let Context {
            now,
            version,
            globals,
            statistics,
        } = context;
        let deadline = Duration::from_millis(globals.ss_flush_deadline.into());
        if self.waiting.is_empty() {
            statistics.empty += 1;
            false
        } else if *now > self.last_flush + deadline {
            statistics.timeout += 1;
            true
        } else if !self.acknowledged {
            statistics.missing_ack += 1;
            false
        } else if self.advertising {
            statistics.advertising += 1;
            true
        } else if *version < Version::new(4, 1, 13) && globals.ss_flush_asap {
            true
        } else if !has_queue {
            self.overflows
        } else if self.waiting.len() >= globals.ss_max_sessions_per_packet as usize {
            statistics.packet_full += 1;
            true
        } else {
            statistics.queuing += 1;
            false
        }
    }
}

/// What the queue's rules depend on and count.
#[derive(Debug)]
pub struct Context<'a> {
    /// Time since the model's start.
    pub now: Duration,
    /// The module's.
    pub version: Version,
    /// The instance's.
    pub globals: &'a Globals,
    /// The instance's.
    pub statistics: &'a mut Statistics,
}

impl Context<'_> {
    /// Whether the module has more than the packet that leaves next.
    fn has_queue(&self) -> bool {
        self.version >= Version::QUEUE
    }
}
