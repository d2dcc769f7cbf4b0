//! The interfaces between the routers: which ones are used, and what their changes mean.
//!
//! The kernel tells of changes; then it is asked what there is. Only if that makes another place of
//! the group is anything done, and always the same: a whole new socket takes the old one's.

use std::time::{Duration, Instant};

use mio::{Interest, Token};

use super::{Reactor, Served, Source};
use crate::config::NetsocketConfig;
use crate::failure::{Failure, words};
use crate::interfaces::Interfaces;
use crate::netsocket::{self, Member, SURELY_CARRIED, Unopened, Way};
use crate::place::{News, Place};
use crate::report;
use crate::watcher::Watcher;

/// The least time between two looks at the interfaces, however much they change.
const PAUSE: Duration = Duration::from_millis(200);

/// How long a look waits that news of links bring about which are not in use: a link that is waited for
/// may be among them.
const LATER: Duration = Duration::from_millis(700);

/// How often another look is taken while there is no place, or opening a socket there failed: a
/// route may have come, which is not heard of.
const RETRY: Duration = Duration::from_secs(1);

/// How many lines about interfaces there are in a [`PERIOD`]: one that flaps fills no log.
const LINES: u32 = 20;

const PERIOD: Duration = Duration::from_secs(60);

/// How many times the old socket is served before it is closed: as many datagrams as its buffer has
/// by default, and no end where they come faster than the kernel takes them.
const DRAIN: usize = 64;

/// What is known of the interfaces.
pub(super) struct Links {
    pub(super) watcher: Watcher,
    config: Option<NetsocketConfig>,
    /// As it was found last.
    pub(super) place: Option<Place>,
    /// When that was.
    looked: Option<Instant>,
    /// When the next look is due.
    pub(super) due: Option<Instant>,
    /// What was said of the last look, if something failed.
    failure: Option<String>,
    /// Whether that was the opening of a socket.
    unopened: bool,
    /// Whether the socket's memberships may have ended since the last look.
    stale: bool,
    /// How datagrams leave, as far as the kernel told.
    way: Option<Way>,
    /// The receive buffer that was told of last.
    buffer: Option<u32>,
    lines: Lines,
}

impl Links {
    pub(super) fn new(watcher: Watcher) -> Self {
        Self {
            watcher,
            config: None,
            place: None,
            looked: None,
            due: None,
            failure: None,
            unopened: false,
            stale: false,
            way: None,
            buffer: None,
            lines: Lines::default(),
        }
    }

    /// The same place is to be found, with other options.
    pub(super) fn reconfigure(&mut self, config: &NetsocketConfig) {
        self.config = Some(config.clone());
    }

    /// Whether datagrams pass both ways, as far as the interfaces go.
    pub(super) fn pass(&self) -> bool {
        let place = self.place.as_ref();
        place.is_some_and(|place| place.incoming.works() && place.outgoing.works())
            && !self.unopened
    }

    /// Something has changed.
    fn look_soon(&mut self, now: Instant) {
        let earliest = self.looked.map_or(now, |looked| looked + PAUSE);
        self.look_at(earliest.max(now));
    }

    /// Something has changed that hardly matters.
    fn look_later(&mut self, now: Instant) {
        self.look_at(now + LATER);
    }

    fn look_at(&mut self, time: Instant) {
        self.due = Some(self.due.map_or(time, |due| due.min(time)));
    }

    /// Says what failed, once, and tries again.
    fn fail(&mut self, now: Instant, what: String) {
        if self.failure.as_ref() != Some(&what) {
            self.lines.tell(now, log::Level::Warn, &what);
            self.failure = Some(what);
        }
        self.look_at(now + RETRY);
    }
}

/// How much was told.
#[derive(Debug, Default)]
struct Lines {
    until: Option<Instant>,
    told: u32,
    untold: u32,
}

impl Lines {
    fn tell(&mut self, now: Instant, level: log::Level, line: &str) {
        if self.until.is_none_or(|until| until <= now) {
            if self.untold > 0 {
                log::warn!("the interfaces changed {} more times", self.untold);
            }
            *self = Self {
                until: Some(now + PERIOD),
                ..Self::default()
            };
        }
        if self.told < LINES {
            self.told += 1;
            log::log!(level, "{line}");
        } else {
            self.untold += 1;
        }
    }
}

impl Reactor {
    /// From here on, uses the group, the interfaces and the options of `config`: in a new socket, or
    /// as soon as there is a place for one.
    ///
    /// # Errors
    /// When the operating system refuses what has nothing to do with the interfaces. Then all is as
    /// before.
    pub fn open_network(&mut self, config: &NetsocketConfig) -> Result<(), Failure> {
        let now = Instant::now();
        let used = self.links.place.take();
        let located = netsocket::locate(config, used.as_ref());
        let opened = located
            .map_err(|error| Failure::system("cannot list the network interfaces", &error))
            .and_then(|(place, interfaces)| match open(config, &place) {
                Err(unopened) if !unopened.passing => Err(unopened.failure),
                opened => Ok((place, interfaces, opened)),
            });
        let (place, interfaces, opened) =
            opened.inspect_err(|_| self.links.place = used.clone())?;
        self.links.way = None;
        self.tell_of_place(now, &place, used.as_ref(), &interfaces);
        if !self.use_opened(now, config, opened) {
            // An old one would be in another group.
            self.swap(now, None)?;
        }
        self.settle(now, config, place);
        self.links.config = Some(config.clone());
        Ok(())
    }

    pub(super) fn serve_watcher(&mut self, now: Instant) -> Served {
        let place = self.links.place.as_ref();
        let used = |index| place.is_some_and(|place| place.uses(index));
        let news = self.links.watcher.read(used);
        self.links.stale |= news.deleted;
        if news.near {
            self.links.look_soon(now);
        } else if news.any {
            // Elsewhere, links may come and go all the time.
            self.links.look_later(now);
        }
        match news.more {
            true => Served::Remaining,
            false => Served::Dry,
        }
    }

    /// Looks at the interfaces if that is due, and moves if the group's place is another one.
    pub(super) fn follow_interfaces(&mut self, now: Instant) {
        if self.links.due.is_none_or(|due| due > now) {
            return;
        }
        (self.links.due, self.links.looked) = (None, Some(now));
        let Some(config) = self.links.config.take() else {
            return;
        };
        match netsocket::locate(&config, self.links.place.as_ref()) {
            Ok((place, interfaces)) => self.move_to(now, &config, place, &interfaces),
            Err(error) => {
                let what = format!("cannot list the network interfaces: {}", words(&error));
                self.links.fail(now, what);
            }
        }
        self.links.config = Some(config);
    }

    fn move_to(
        &mut self,
        now: Instant,
        config: &NetsocketConfig,
        place: Place,
        interfaces: &Interfaces,
    ) {
        let used = self.links.place.take();
        self.tell_of_place(now, &place, used.as_ref(), interfaces);
        self.links.failure.take_if(|_| !self.links.unopened);
        let anew = self.links.unopened | std::mem::take(&mut self.links.stale);
        let moved = |used: &Place| place.needs_opening(used);
        if anew || used.as_ref().is_none_or(moved) {
            // The kernel may have taken the membership away, with the interface's part of IPv6, say.
            // To end it later would end the new socket's instead: the kernel counts members of an
            // interface, and does not know them.
            if let Some(old) = self.netsocket.member() {
                old.leave();
            }
            let opened = open(config, &place);
            let good = self.use_opened(now, config, opened);
            let missed = anew || used.is_none_or(|used| place.may_have_missed(&used));
            if good && missed && place.works() {
                let line = format!(
                    "the group {} is joined again, over {place}; between routers with extensions, what was \
                     missed meanwhile is made up for, otherwise run \"jool session advertise\" on the others, \
                     and here",
                    config.group
                );
                self.links.lines.tell(now, log::Level::Info, &line);
            }
        }
        self.settle(now, config, place);
    }

    fn tell_of_place(
        &mut self,
        now: Instant,
        place: &Place,
        used: Option<&Place>,
        interfaces: &Interfaces,
    ) {
        for news in place.news(used, interfaces) {
            let (level, line) = match news {
                News::Bad(line) => (log::Level::Warn, line),
                News::Good(line) => (log::Level::Info, line),
            };
            self.links.lines.tell(now, level, &line);
        }
    }

    /// Uses the socket that was opened, or none. Whether that went well; if not, the old one stays.
    fn use_opened(
        &mut self,
        now: Instant,
        config: &NetsocketConfig,
        opened: Result<Option<Member>, Unopened>,
    ) -> bool {
        let have = opened.as_ref().ok().and_then(Option::as_ref);
        let have = have.map(Member::receive_buffer);
        let swapped = opened
            .map_err(|unopened| unopened.failure)
            .and_then(|member| self.swap(now, member));
        match swapped {
            Ok(()) => {
                (self.links.failure, self.links.unopened) = (None, false);
                if let Some(have) = have.filter(|have| self.links.buffer != Some(*have)) {
                    self.links.buffer = Some(have);
                    report::buffer("receive buffer", config.receive_buffer, have);
                }
                true
            }
            Err(failure) => {
                self.links.unopened = true;
                self.links.fail(
                    now,
                    format!(
                        "{failure}; joold tries again each second, and receives nothing until then"
                    ),
                );
                false
            }
        }
    }

    /// Gives the old socket's place to `member`.
    fn swap(&mut self, now: Instant, mut member: Option<Member>) -> Result<(), Failure> {
        self.drain(now);
        self.count_lost_from_network(now);
        let found = self
            .sources
            .iter()
            .find(|(_, polled)| polled.source == Source::Network);
        let Some((key, _)) = found else {
            return Ok(());
        };
        let registry = self.poll.registry();
        if let Some(member) = &mut member {
            registry
                .register(&mut member.socket, Token(key), Interest::READABLE)
                .map_err(|error| Failure::system("cannot wait for datagrams", &error))?;
        }
        if let Some(mut old) = self.netsocket.replace(member) {
            // Closing it does the same.
            let _ = registry.deregister(&mut old.socket);
        }
        // What came to the new socket is not reported, nor what the drain left in the kernel's.
        for (_, polled) in &mut self.sources {
            polled.ready |= matches!(polled.source, Source::Network | Source::Kernel);
        }
        if self.blocked {
            self.unblock(now);
        }
        Ok(())
    }

    /// Takes what the socket has received already.
    fn drain(&mut self, now: Instant) {
        for _ in 0..DRAIN {
            if self.serve_network(now) == Served::Dry {
                return;
            }
            // Or else the kernel's answers would fill the socket of its batches.
            self.serve_kernel(now);
        }
    }

    /// What depends on the place besides the socket.
    fn settle(&mut self, now: Instant, config: &NetsocketConfig, place: Place) {
        if let Some(way) = self.find_way(now, config, &place) {
            self.netsocket.set_own(Some(way.source));
            if self.outbox.payload() != way.payload || self.links.way.is_none() {
                self.outbox.set_payload(way.payload);
                report::payload(self.engine.sessions_of(way.payload));
            }
            self.links.way = Some(way);
        }
        if place.is_nowhere() || place.lacks_route() {
            self.links.look_at(now + RETRY);
        }
        self.links.place = Some(place);
    }

    fn find_way(&mut self, now: Instant, config: &NetsocketConfig, place: &Place) -> Option<Way> {
        let way = Way::find(config, place);
        if let Err(error) = &way {
            // Where there is trouble, that was told. What was known before is as good as any guess.
            let known = self.links.way.is_some() || self.links.looked.is_some();
            if place.outgoing.works() && !known {
                let line = format!(
                    "cannot find out how long a packet to {} may be; until the interfaces change, up \
                     to {SURELY_CARRIED} bytes of sessions travel in one datagram: {}",
                    config.group,
                    words(error)
                );
                self.links.lines.tell(now, log::Level::Warn, &line);
            }
        }
        way.ok()
    }
}

/// A socket for that place, if there is anything for it to do.
fn open(config: &NetsocketConfig, place: &Place) -> Result<Option<Member>, Unopened> {
    match place.is_nowhere() {
        true => Ok(None),
        false => Member::open(config, place).map(Some),
    }
}
