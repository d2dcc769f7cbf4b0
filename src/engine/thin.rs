//! Takes out of a batch what the peers need not be told now.

use super::refresh::{Refreshes, Verdict};
use crate::wire::session::Format;
use crate::wire::update::Update;

/// Holds back what [`Refreshes`] wants held, moves the rest together at the start of `contents`,
/// and returns its length. Nothing, and `contents` is as it was, if not every byte of it is
/// understood.
///
/// `contents` is what a batch's container holds; all of it is the same format.
pub fn thin(
    refreshes: &mut Refreshes,
    now: u64,
    contents: &mut [u8],
    format: Format,
) -> Option<usize> {
    let size = format.size();
    let all_understood = contents.len() % size == 0
        && contents
            .chunks_exact(size)
            .all(|attribute| Update::is_readable(attribute, format));
    if !all_understood {
        return None;
    }
    let mut kept = 0;
    for at in (0..contents.len()).step_by(size) {
        let attribute = at..at + size;
        let Some(update) = Update::read(&contents[attribute.clone()], format) else {
            continue;
        };
        if refreshes.offer(now, &update) == Verdict::Pass {
            if kept != at {
                contents.copy_within(attribute, kept);
            }
            kept += size;
        }
    }
    Some(kept)
}
