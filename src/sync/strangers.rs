//! Other routers that send sessions without numbers: upstream's daemon, or one without extensions.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// How many are remembered.
const MOST: usize = 16;

/// After how long of silence one is forgotten. It says nothing while it has no sessions to tell.
const FORGOTTEN: Duration = Duration::from_secs(600);

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stranger {
    /// Where it sends from.
    pub source: SocketAddr,
    /// When it did last.
    pub heard: Instant,
}

/// All that are known.
#[derive(Clone, Debug, Default)]
pub struct Strangers {
    known: Vec<Stranger>,
}

impl Strangers {
    pub fn known(&self) -> &[Stranger] {
        &self.known
    }

    pub fn heard(&mut self, now: Instant, source: SocketAddr) {
        if let Some(known) = self.known.iter_mut().find(|known| known.source == source) {
            known.heard = now;
            return;
        }
        self.known.retain(|known| now < known.heard + FORGOTTEN);
        if self.known.len() < MOST {
            self.known.push(Stranger { source, heard: now });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(port: u16) -> SocketAddr {
        SocketAddr::new("2001:db8::7".parse().unwrap(), port)
    }

    #[test]
    fn each_is_known_once_with_the_time_of_its_last_datagram() {
        let start = Instant::now();
        let mut strangers = Strangers::default();
        for seconds in 0..3 {
            strangers.heard(start + Duration::from_secs(seconds), source(1));
        }
        let heard = start + Duration::from_secs(2);
        assert_eq!(
            strangers.known(),
            [Stranger {
                source: source(1),
                heard
            }]
        );
    }

    #[test]
    fn no_more_are_known_than_there_is_room_for_until_some_are_forgotten() {
        let start = Instant::now();
        let mut strangers = Strangers::default();
        for port in 0..100 {
            strangers.heard(start, source(port));
        }
        assert_eq!(strangers.known().len(), MOST);
        strangers.heard(start + FORGOTTEN, source(200));
        assert_eq!(strangers.known().len(), 1);
    }
}
