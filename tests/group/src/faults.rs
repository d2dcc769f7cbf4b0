//! What goes wrong, and how it becomes good again.

use jool_simulated::table::milliseconds;
use std::ops::Range;
use std::time::Duration;

use crate::users::User;
use crate::world::{Event, World};

/// The end of a fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Restore {
    /// A router has power again.
    Power(usize),
    /// A router's daemon starts.
    Daemon(usize),
    /// A router's instance is made anew.
    Instance(usize),
    /// What these routers send reaches those.
    Network(Vec<(usize, usize)>),
    /// The sessions of one router go through another.
    Failover(usize, usize),
}

/// For how long a daemon is not run at most.
pub const PAUSE: Duration = Duration::from_millis(200);

const SECOND: Duration = Duration::from_secs(1);

impl World {
    /// Something goes wrong.
    pub fn on_fault(&mut self) {
        if !self.is_active() {
            return;
        }
        let mean = self.setting.faults;
        let next = self.fate.time(mean / 4, mean * 7 / 4);
        self.at(self.now + next, Event::Fault);
        let node = self.fate.below(self.nodes.len());
        let long = self.fate.time(SECOND / 5, 8 * SECOND);
        match self.fate.below(100) {
            0..12 => {
                let says_farewell = self.fate.chance(0.6);
                self.stop(node, says_farewell);
                self.at(self.now + long, Event::Restore(Restore::Daemon(node)));
                self.fail_over(node, 0.5);
            }
            12..22 => self.recreate_instance(node, long),
            22..32 => self.lose_power(node, long),
            32..45 => self.overrun(node),
            45..60 => self.part(long),
            60..68 => self.pause(node),
            68..84 => {
                let to = self.fate.below(self.nodes.len());
                self.on_restore(Restore::Failover(node, to));
            }
            _ => self.move_some(),
        }
    }

    /// It is good again.
    pub fn on_restore(&mut self, restore: Restore) {
        self.say(|_| format!("{restore:?}"));
        match restore {
            Restore::Power(node) => self.power_on(node),
            Restore::Daemon(node) => self.start(node),
            Restore::Instance(node) => {
                let kernel = self.nodes[node].kernel.as_ref();
                if kernel.is_some_and(|kernel| kernel.instance().is_none()) {
                    self.create_instance(node);
                }
            }
            Restore::Network(links) => {
                for (from, to) in links {
                    self.blocked[from][to] = false;
                    self.nodes[from].unheard.1 = self.now;
                }
            }
            Restore::Failover(from, to) => {
                for owner in &mut self.owners {
                    if *owner == from {
                        *owner = to;
                    }
                }
            }
        }
    }

    /// What this router told a moment ago, others may still lack, and it has it no more itself when it reads
    /// their tables.
    fn forget_told(&mut self, router: usize) {
        self.forget(router, |_, _| true);
    }

    /// The same of what it had translated without a daemon: only its table has that.
    fn forget_untold(&mut self, router: usize) {
        self.forget(router, |user, [without_daemon, _]| {
            user.was_used_in(without_daemon)
        });
    }

    fn forget(&mut self, router: usize, is_lost: impl Fn(&User, &[Range<i64>; 2]) -> bool) {
        let now = milliseconds(self.now);
        if self.blocked[router].contains(&true) {
            self.nodes[router].unheard.1 = self.now;
        }
        let node = &self.nodes[router];
        let silences = [node.without_daemon, node.unheard];
        let silences = silences.map(|(from, to)| milliseconds(from)..milliseconds(to));
        for id in 0..self.users.len() {
            let told_lately =
                |user: User| user.is_recent(router, now, &silences) && is_lost(&user, &silences);
            self.uncertain[id] |= self.users[id].is_some_and(told_lately);
        }
    }

    fn recreate_instance(&mut self, node: usize, long: Duration) {
        let Some(kernel) = &mut self.nodes[node].kernel else {
            return;
        };
        kernel.remove();
        self.forget_told(node);
        self.say(|_| format!("{node} has no instance"));
        match self.fate.chance(0.5) {
            true => self.create_instance(node),
            false => self.at(self.now + long, Event::Restore(Restore::Instance(node))),
        }
        self.fail_over(node, 0.3);
    }

    fn lose_power(&mut self, node: usize, long: Duration) {
        self.say(|_| format!("{node} loses power"));
        let has_lost = self.lost_lately(node).is_some();
        // Of a daemon that dies before its table was read for the first time, nobody takes others' tables for what
        // it may have told: one that dies over and over would have all of them read each time.
        let has_just_begun = self.now < self.nodes[node].without_daemon.1 + SECOND;
        match has_lost || has_just_begun {
            true => self.forget_told(node),
            false => self.forget_untold(node),
        }
        (self.nodes[node].kernel, self.nodes[node].daemon) = (None, None);
        self.at(self.now + long, Event::Restore(Restore::Power(node)));
        self.fail_over(node, 0.9);
    }

    /// When its daemon lost messages of the kernel, if it may still have to tell somebody of that: of several
    /// losses in a moment, the last ones are told three seconds later.
    fn lost_lately(&self, node: usize) -> Option<Duration> {
        let heard = match self.blocked[node].contains(&true) {
            true => self.nodes[node].unheard.0,
            false => self.now,
        };
        let daemon = self.nodes[node].daemon.as_ref()?;
        let lost = daemon.joold()?.lost?.saturating_duration_since(self.base);
        (heard < lost + 3 * SECOND).then_some(lost)
    }

    fn overrun(&mut self, node: usize) {
        let messages = self.fate.between(1, 4) as u32;
        if let Some(daemon) = &mut self.nodes[node].daemon {
            daemon.socket().overrun(messages);
            self.say(|_| format!("{node} has no room for {messages} messages of the kernel"));
        }
    }

    /// Some routers do not hear others.
    fn part(&mut self, long: Duration) {
        let sides: Vec<_> = self.nodes.iter().map(|_| self.fate.chance(0.5)).collect();
        let is_one_way = self.fate.chance(0.2);
        let mut links = Vec::new();
        for from in 0..sides.len() {
            for to in 0..sides.len() {
                let cut = sides[from] != sides[to] && (sides[from] || !is_one_way);
                if cut && !self.blocked[from][to] {
                    if !self.blocked[from].contains(&true) {
                        // It has yet to tell that it lost something before.
                        let lost = self.lost_lately(from);
                        self.nodes[from].unheard.0 = lost.unwrap_or(self.now);
                    }
                    self.blocked[from][to] = true;
                    links.push((from, to));
                }
            }
        }
        self.say(|_| format!("cut: {links:?}"));
        self.at(self.now + long, Event::Restore(Restore::Network(links)));
    }

    fn pause(&mut self, node: usize) {
        let until = self.now + self.fate.time(SECOND / 100, PAUSE);
        self.nodes[node].paused_until = until;
        self.say(|_| format!("{node} does not run its daemon until {until:?}"));
    }

    /// Maybe, and soon, another router takes over.
    fn fail_over(&mut self, from: usize, chance: f64) {
        if self.fate.chance(chance) {
            let to = self.fate.below(self.nodes.len());
            let when = self.now + self.fate.time(Duration::ZERO, 2 * SECOND);
            self.at(when, Event::Restore(Restore::Failover(from, to)));
        }
    }

    fn move_some(&mut self) {
        let share = self.fate.share();
        for id in 0..self.owners.len() {
            if self.fate.chance(share) {
                self.owners[id] = self.fate.below(self.nodes.len());
            }
        }
        self.say(|_| format!("{:.0} % of the sessions move", share * 100.0));
    }

    /// Everything is good from now on.
    pub fn heal(&mut self) {
        self.say(|_| "all is good".to_owned());
        for row in &mut self.blocked {
            row.fill(false);
        }
        for node in 0..self.nodes.len() {
            self.power_on(node);
            self.on_restore(Restore::Instance(node));
            self.start(node);
        }
    }
}
