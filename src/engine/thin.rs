//! Takes out of a batch what the peers need not be told now.

use super::refresh::{Refreshes, Verdict};
use crate::wire::session::{Format, retain};
use crate::wire::update::Update;

/// What is left of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Left {
    /// Its bytes, from the start.
    pub length: usize,
    /// Whether each session in the batch was understood.
    pub understood: bool,
}

/// Holds back what [`Refreshes`] wants held, and moves the rest together at the start of
/// `contents`. What is not understood stays with the rest, and if not even the sessions' frames
/// are, `contents` is as it was.
///
/// `contents` is what a batch's container holds; all of it is the same format.
pub fn thin(refreshes: &mut Refreshes, now: u64, contents: &mut [u8], format: Format) -> Left {
    let size = format.size();
    let framed = contents.len() % size == 0
        && contents
            .chunks_exact(size)
            .all(|attribute| Update::is_framed(attribute, format));
    let mut left = Left {
        length: 0,
        understood: framed,
    };
    if !framed {
        left.length = contents.len();
        return left;
    }
    left.length = retain(contents, size, |attribute| {
        let update = Update::read(attribute, format);
        left.understood &= update.is_some();
        update.is_none_or(|update| refreshes.offer(now, &update) == Verdict::Pass)
    });
    left
}
