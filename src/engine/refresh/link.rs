//! How a session is found: a hash has a chain of places, and each link of it tells something of the hash, too.
//!
//! Most sessions of which others tell have no place, and neither has a new one. So a link has ten bits of its
//! session's hash that do not choose the chain, and one that tells whether another link may follow: hardly ever
//! is a place looked at that is another session's, which would cost more than all else.

/// Leads to a place, or nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link(u32);

/// The bits for a place.
const PLACE: u32 = (1 << 21) - 1;

/// Whether another link may follow.
const MORE: u32 = 1 << 21;

/// The bits for a part of the hash, which is never 0.
const PART: u32 = !(PLACE | MORE);

impl Link {
    /// The end of a chain. It is no hash's.
    pub const NONE: Self = Self(PLACE);

    /// How many places there can be.
    pub const PLACES: usize = PLACE as usize;

    /// To a place, of a session with that hash, before `next`.
    pub fn to(place: usize, hash: u64, next: Self) -> Self {
        let more = match next == Self::NONE {
            true => 0,
            false => MORE,
        };
        Self(part(hash) | more | place as u32 & PLACE)
    }

    /// Where it leads to; that is no place if it leads nowhere.
    pub fn place(self) -> usize {
        (self.0 & PLACE) as usize
    }

    /// Whether it may lead to a session with that hash.
    pub fn fits(self, hash: u64) -> bool {
        (self.0 ^ part(hash)) & PART == 0
    }

    /// Whether neither it nor any link behind it leads to a session with that hash.
    pub fn ends(self, hash: u64) -> bool {
        // One branch, which nearly always goes the same way.
        !self.fits(hash) & (self.0 & MORE == 0)
    }
}

fn part(hash: u64) -> u32 {
    ((hash >> 32) as u32 & PART).max(MORE << 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_leads_to_its_place_and_knows_most_hashes_that_are_not_its_own() {
        let hashes = (0..1000u64).map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let link = Link::to(Link::PLACES - 1, 7, Link::NONE);
        assert_eq!(link.place(), Link::PLACES - 1);
        assert!(link.fits(7) && !link.ends(7));
        assert!(hashes.filter(|&hash| link.fits(hash)).count() < 10);
    }

    #[test]
    fn nothing_is_behind_the_end_and_maybe_something_behind_a_link_to_another_session() {
        let (ours, other) = (3 << 54, 5 << 54);
        let last = Link::to(1, ours, Link::NONE);
        let first = Link::to(2, ours, last);
        for hash in [0, ours, other, u64::MAX] {
            assert!(Link::NONE.ends(hash));
        }
        assert!(last.ends(other) && !last.ends(ours));
        assert!(!first.ends(other) && !first.fits(other));
    }
}
