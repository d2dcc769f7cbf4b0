//! Numbers that begin anew after the largest: of two, the one up to half the way ahead is the later.

/// How far `to` is ahead of `from`; negative if it is behind.
pub fn ahead(from: u32, to: u32) -> i32 {
    to.wrapping_sub(from) as i32
}

/// The later of two.
pub fn later(a: u32, b: u32) -> u32 {
    if ahead(a, b) > 0 { b } else { a }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_after_the_largest_is_the_later_one() {
        assert_eq!(ahead(u32::MAX, 0), 1);
        assert_eq!(ahead(0, u32::MAX), -1);
        assert_eq!(later(u32::MAX, 3), 3);
        assert_eq!(later(7, 3), 7);
    }
}
