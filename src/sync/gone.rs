//! The nodes that are not heard any more.
//!
//! When a part of the group comes back that was cut off, it may have heard more of a node that has died
//! meanwhile.

use super::serial::ahead;
use crate::wire::extension::Node;

/// How many are remembered: the latest.
const MOST: usize = 32;

/// Those who are gone, and the latest number that each is known to have sent.
#[derive(Debug, Default)]
pub struct Gone(Vec<(Node, u32)>);

impl Gone {
    /// A node is gone that had sent up to that number.
    pub fn remember(&mut self, node: Node, number: u32) {
        if self.0.len() >= MOST {
            self.0.remove(0);
        }
        self.0.push((node, number));
    }

    /// It is there again.
    pub fn forget(&mut self, node: Node) {
        self.0.retain(|&(gone, _)| gone != node);
    }

    /// Somebody has that number of a node. Tells, once, whether it is gone and had sent less as far as was
    /// known.
    pub fn had_more(&mut self, node: Node, number: u32) -> bool {
        let found = self.0.iter_mut().find(|(gone, _)| *gone == node);
        found.is_some_and(|(_, known)| {
            let is_more = ahead(*known, number) > 0;
            if is_more {
                *known = number;
            }
            is_more
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_have_of_a_node_that_is_gone_is_more_once() {
        let mut gone = Gone::default();
        gone.remember(7, 5);
        assert!(!gone.had_more(7, 5) && !gone.had_more(8, 9));
        assert!(gone.had_more(7, 6));
        assert!(!gone.had_more(7, 6));
        gone.forget(7);
        assert!(!gone.had_more(7, 7));
    }

    #[test]
    fn of_many_the_latest_are_remembered() {
        let mut gone = Gone::default();
        for node in 0..=MOST as Node {
            gone.remember(node, 1);
        }
        assert_eq!(gone.0.len(), MOST);
        assert!(!gone.had_more(0, 2) && gone.had_more(MOST as Node, 2));
    }
}
