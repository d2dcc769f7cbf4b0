//! What shall hold.

use std::time::Duration;

use jool_simulated::table::milliseconds;
use joold::engine::Standing;
use joold::sync::Sync;
use joold::wire::session::{State, Timer};

use crate::daemon::{Daemon, Joold};
use crate::faults::PAUSE;
use crate::kernel::{Kernel, Replaced};
use crate::report::{CLASS, Check};
use crate::sessions::{self, Id};
use crate::told::Told;
use crate::users::User;
use crate::world::{Node, World};

/// How long an announcement may be under way.
const ANNOUNCED: Duration = Duration::from_secs(1);

/// How much longer a session has to live to be asked for.
const ALIVE: Duration = Duration::from_secs(1);

/// How much later than any packet a copy may claim to have been used, in milliseconds: a batch may wait
/// for a daemon that is not run, and so may a datagram.
const INVENTED: i64 = 2 * PAUSE.as_millis() as i64 + 150;

/// How often the module looks for sessions whose time is up, in milliseconds.
const CLEANING: i64 = 2_000;

/// Bounds of what is said in a second.
const MOST_CONTROL: u32 = 200;
/// See [`MOST_CONTROL`].
const MOST_BULK: u32 = 3_100;

impl Node {
    /// Its joold and its kernel, if both are there and know each other.
    fn joold(&self) -> Option<(&Joold, &Sync, &Kernel)> {
        let joold = self.daemon.as_ref().and_then(Daemon::joold)?;
        let kernel = self.kernel.as_ref()?;
        kernel.instance()?;
        let knows = joold.knows == kernel.generation;
        knows.then_some((joold, joold.engine.sync()?, kernel))
    }
}

impl World {
    /// A daemon gave its kernel sessions.
    pub fn check_replaced(&mut self, node: usize, replaced: &[Replaced]) {
        let (now, at) = (milliseconds(self.now), self.now);
        for one in replaced {
            self.report.replaced += 1;
            let id = one.id;
            self.say(|_| format!("{node} is told of {id}: {one:?}"));
            if self.setting.upstream[node] {
                continue;
            }
            if one.is_certain && one.left > 1 && one.invented > INVENTED {
                self.report.fail(Check::NoUseIsInvented, at, || {
                    format!("{node} has a copy of {id} that was used {one:?}")
                });
            }
            let Some(older) = one.before.map(|before| before - one.after) else {
                continue;
            };
            if older <= 0 {
                continue;
            }
            *self.report.older.entry(older / CLASS).or_default() += 1;
            if older > self.setting.tolerance() {
                let check = match self.untold[id] || self.setting.window == 0 {
                    true => Check::NothingForgottenGrowsOlder,
                    false => Check::NothingGrowsOlder,
                };
                self.report.fail(check, at, || {
                    let ago = now - one.after;
                    format!("{node}: {id} was used {ago} ms ago now, {older} ms before what it had")
                });
            }
        }
    }

    /// What holds at any time.
    pub fn check(&mut self) {
        self.settle();
        for node in 0..self.nodes.len() {
            self.check_memory(node);
            self.check_announced(node);
            let (_, control, bulk) = self.nodes[node].talk();
            if control > MOST_CONTROL || bulk > MOST_BULK {
                self.report.fail(Check::TalkIsBounded, self.now, || {
                    format!("{node} said {control} hellos, asks and pulls, {bulk} others")
                });
            }
        }
    }

    /// What all have as its last user left it is certain again.
    fn settle(&mut self) {
        for id in 0..self.owners.len() {
            let last = self.users[id].map(|user| user.at);
            let has_it = |node: &Node| {
                let kernel = node.kernel.as_ref();
                last.is_some() && kernel.and_then(|kernel| kernel.reflects(id)) == last
            };
            if self.uncertain[id] && self.nodes.iter().all(has_it) {
                self.uncertain[id] = false;
            }
        }
    }

    fn check_memory(&mut self, node: usize) {
        let Some((_, sync, _)) = self.nodes[node].joold() else {
            return;
        };
        let peers = sync.peers();
        let gaps = peers.iter().map(|peer| peer.received.gaps().count()).max();
        let [repeats, gives] = sync.waiting();
        let found = (peers.len(), gaps.unwrap_or_default(), repeats, gives);
        if found.0 > 32 || found.1 > 64 || found.2 > 256 || found.3 > 16 {
            self.report.fail(Check::MemoryIsBounded, self.now, || {
                format!("{node} has peers, gaps, repeats, and tables to give: {found:?}")
            });
        }
    }

    fn check_announced(&mut self, node: usize) {
        let Some((joold, sync, kernel)) = self.nodes[node].joold() else {
            return;
        };
        if joold.engine.standing() != Standing::InSync {
            return;
        }
        let generation = kernel.generation;
        let peers: Vec<_> = sync.peers().iter().map(|peer| peer.node).collect();
        for peer in peers {
            let Some(heard) = self.nodes[node].heard.get_mut(&peer) else {
                continue;
            };
            let then = self.now.saturating_sub(ANNOUNCED);
            let (first, last) = heard.open(then, generation);
            match self.lacking(node, peer, (first, last)) {
                None => {
                    if let Some(heard) = self.nodes[node].heard.get_mut(&peer) {
                        heard.checked = last.max(first - 1);
                    }
                }
                Some((number, told)) => {
                    let is_open = self.uncertain[told.id] || self.is_of_upstream(told.id);
                    let check = match told.is_certain && !is_open {
                        true => Check::InSyncLacksNothing,
                        false => Check::InSyncLacksNothingUncertain,
                    };
                    self.report.fail(check, self.now, || {
                        let id = told.id;
                        format!("{node} lacks {id}, which {peer:08x} told in its datagram {number}")
                    });
                }
            }
        }
    }

    /// A session that a peer told and still has, and a router lacks.
    fn lacking(&self, node: usize, peer: u32, (first, last): (u32, u32)) -> Option<(u32, Told)> {
        let router = self.router_of(peer)?;
        self.archive.told(peer, first, last).find(|(_, told)| {
            told.dies > self.now + ALIVE
                && self.dies(node, told.id).is_none()
                && self.dies(router, told.id) > Some(milliseconds(self.now + ALIVE))
                && !self.may_be_new(router, told)
                && self.had(router, told.id, ANNOUNCED)
        })
    }

    /// Whether a router has had a session for that long.
    fn had(&self, router: usize, id: Id, long: Duration) -> bool {
        let kernel = self.nodes[router].kernel.as_ref();
        let appeared = kernel.and_then(|kernel| kernel.appeared(id));
        appeared <= Some(milliseconds(self.now.saturating_sub(long)))
    }

    /// Whether a router with upstream's daemon used a session last: what that tells, some may never hear.
    fn is_of_upstream(&self, id: Id) -> bool {
        self.users[id].is_some_and(|user| self.setting.upstream[user.router])
    }

    /// Whether a router's session may be another one than that which it told of: one that is told again, or that
    /// began somewhere since.
    fn may_be_new(&self, router: usize, told: &Told) -> bool {
        let kernel = self.nodes[router].kernel.as_ref();
        let used = kernel.and_then(|kernel| kernel.reflects(told.id));
        let lately = self.now.saturating_sub(ANNOUNCED).max(told.when);
        let kernels = self.nodes.iter().filter_map(|node| node.kernel.as_ref());
        let began = kernels.filter_map(|kernel| kernel.began(told.id)).max();
        let is_new = began > Some(milliseconds(told.when)) && used >= began;
        used > Some(milliseconds(lately)) || is_new
    }

    /// What holds in the end.
    pub fn check_end(&mut self) {
        let all: Vec<_> = (0..self.nodes.len()).collect();
        let joolds: Vec<_> = all
            .into_iter()
            .filter(|&node| !self.setting.upstream[node])
            .collect();
        for &node in &joolds {
            let standing = self.nodes[node].joold().map(|(j, ..)| j.engine.standing());
            let expected = match joolds.len() {
                1 => Standing::Alone,
                _ => Standing::InSync,
            };
            if standing != Some(expected) {
                self.report.fail(Check::AllAreInSync, self.now, || {
                    format!("{node} is {standing:?}, not {expected:?}")
                });
            }
        }
        for id in 0..self.owners.len() {
            if self.untold[id] {
                self.report.left_out += 1;
            } else if !self.is_equal(id, &joolds) {
                let copies = self.copies(id, &joolds);
                let check = match self.is_certain(id, &joolds) {
                    true => Check::TablesAreEqual,
                    false => Check::UncertainAreEqual,
                };
                self.report
                    .fail(check, self.now, || format!("{id} differs: {copies}"));
            }
        }
    }

    fn is_equal(&self, id: Id, joolds: &[usize]) -> bool {
        let copies: Vec<_> = joolds
            .iter()
            .map(|&node| self.nodes[node].kernel.as_ref()?.find(id))
            .collect();
        let now = milliseconds(self.now);
        let tolerance = self.setting.tolerance() + INVENTED;
        let is_dying = |dies| dies < now + tolerance + CLEANING;
        if copies.iter().flatten().any(|copy| is_dying(copy.dies)) {
            return true;
        }
        let Some(first) = copies.first() else {
            return true;
        };
        copies.iter().all(|copy| match (copy, first) {
            (None, None) => true,
            (Some(copy), Some(first)) => {
                let slack = match copy.session.state {
                    // A timer that runs at each router for itself may have made it that.
                    State::Transitory => tolerance + CLEANING,
                    _ => tolerance,
                };
                let (a, b) = (copy.session, first.session);
                (a.state, a.timer) == (b.state, b.timer)
                    && (a.timer == Timer::IncomingSyn || (copy.dies - first.dies).abs() <= slack)
            }
            _ => false,
        })
    }

    fn is_certain(&self, id: Id, joolds: &[usize]) -> bool {
        let now = milliseconds(self.now);
        let is_doubtful = |user: User| user.is_contested() || user.has_ended(now);
        if self.uncertain[id] || self.users[id].is_some_and(is_doubtful) {
            return false;
        }
        let kernels = joolds.iter().map(|&node| self.nodes[node].kernel.as_ref());
        let mut copies = kernels.filter_map(|kernel| kernel?.find(id));
        copies.all(|copy| sessions::is_certain(&copy.session))
    }

    fn copies(&self, id: Id, joolds: &[usize]) -> String {
        let copy = |&node: &usize| {
            let kernel = self.nodes[node].kernel.as_ref();
            let entry = kernel.and_then(|kernel| kernel.find(id));
            let packet = kernel.and_then(|kernel| kernel.reflects(id));
            let words = entry.map(|entry| {
                let (state, dies) = (entry.session.state, entry.dies);
                format!("{state:?} dies at {dies}, used at {packet:?}")
            });
            format!("{node} has {}", words.unwrap_or("none".to_owned()))
        };
        joolds.iter().map(copy).collect::<Vec<_>>().join("; ")
    }
}
