//! The packets.

use std::time::Duration;

use jool_simulated::table::milliseconds;
use joold::wire::session::{State, Timer};

use crate::sessions::next_stage;
use crate::users::User;
use crate::world::{Event, World};

/// How many sessions have half of the packets.
const HOT: usize = 8;

impl World {
    /// A packet of some session comes to the router that the session goes through.
    pub fn on_packet(&mut self) {
        if !self.is_active() {
            return;
        }
        let mean = 1.0 / self.setting.packets;
        let pause = Duration::from_secs_f64(-mean * (1.0 - self.traffic.share()).ln());
        self.at(self.now + pause, Event::Packet);
        let all = self.owners.len();
        let id = match self.traffic.chance(0.5) {
            true => self.traffic.below(all.min(HOT)),
            false => self.traffic.below(all),
        };
        let router = self.owners[id];
        let Some(kernel) = &mut self.nodes[router].kernel else {
            return;
        };
        if kernel.instance().is_none() {
            return;
        }
        let before = kernel.find(id);
        let Some(stage) = next_stage(id, before.as_ref(), &mut self.traffic) else {
            return;
        };
        let (out, was_queued) = kernel.translate(id, stage, self.now);
        let now = milliseconds(self.now);
        self.uses.add(id, now);
        let dies = self.dies(router, id);
        let resets = stage.0 == State::Transitory;
        let pauses = self.nodes.iter().map(|node| node.paused_until);
        let way = (
            self.setting.way(),
            milliseconds(pauses.max().unwrap_or_default()),
        );
        self.users[id] = Some(User::next(self.users[id], router, now, dies, resets, way));
        self.report.packets += 1;
        if stage.1 == Timer::IncomingSyn {
            let others = (0..self.nodes.len()).filter(|&node| node != router);
            self.uncertain[id] |= others.into_iter().any(|node| self.dies(node, id).is_some());
        }
        self.untold[id] |= !was_queued || self.setting.upstream[router];
        self.say(|_| format!("{router} translates {id}: {:?}", stage.0));
        self.hand_to_daemon(router, out);
    }
}
