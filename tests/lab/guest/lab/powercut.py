"""A router with the real keepalived loses its power under connections, and comes back: what do the hosts notice?

J is master as long as it may be, for it has the higher priority. Ours tells keepalived whether it may; of upstream's
daemon nobody can ask that, and keepalived has the same configuration without the check.
"""

import time

from .crowd import UDP, fill
from .keepalived import Keepalived, install
from .mastership import Mastership
from .pinging import Pinging
from .readiness import Readiness
from .statistic import SESSIONS, Statistic
from .streams import Streams
from .system import poll, wait_for

RUNS = {
    "ours": ("ours/ours", {}),
    "upstream": ("upstream/upstream", {}),
}
NOTES = ("Upstream's daemon cannot be asked how it stands: keepalived has no check there.",)

# Connections that carry something all the time; and those that do not, made before J's power is cut and after it.
BUSY, IDLE = 200, 50
# UDP sessions of other hosts in K's table when J comes back: so many that they are not read in a moment.
CROWD = 20000
PERIOD_SECONDS = 0.5
PING_SECONDS = 0.01
CALM_SECONDS = 1
PATIENCE_SECONDS = 5
# TCP tries again less and less often: after an outage of four seconds it may take as long again.
LOST_AFTER_SECONDS = 15
# Several adverts, if none of them is heard.
UNPLUGGED_SECONDS = 5
# What etc/keepalived/notify tells the log of a router that may be master.
MASTER_IN_SYNC = "keepalived-notify: nat64 is MASTER; joold: in sync"


def lose_power_and_come_back(stage, advert_int=None):
    """`advert_int` instead of what the example has."""
    return Powercut(stage, advert_int).run()


class Powercut:
    def __init__(self, stage, advert_int):
        stage.network.give_up()
        stage.add_instances()
        install()
        self.stage = stage
        self.ours = stage.pair[0] == "ours"
        self.at_j, self.at_k = stage.start_pair()
        self.keepalived_j, self.keepalived_k = (
            Keepalived(daemon.namespace, daemon.control_socket if self.ours else None, advert_int)
            for daemon in (self.at_j, self.at_k))
        self.j, self.k = Mastership("j"), Mastership("k")
        self.streams = Streams(stage.hosts, PERIOD_SECONDS)
        self.pinging = Pinging(PING_SECONDS)
        for router in (self.keepalived_j, self.keepalived_k):
            stage.logs[f"log of keepalived in {router.namespace}"] = router.log

    def run(self):
        for router in (self.keepalived_j, self.keepalived_k):
            self.stage.check_equal(f"keepalived has no objection to {router.namespace}'s configuration", "",
                                   router.objections())
        with self.keepalived_j, self.keepalived_k, self.j, self.k, self.streams:
            self.j.wait_until_master()
            self.streams.add(BUSY, busy=True)
            self.streams.add(IDLE, busy=False)
            with self.pinging:
                phases = [self.phase("undisturbed", self.be_calm), self.phase("power cut", self.cut),
                          self.phase("return", self.come_back)]
            if self.ours:
                self.unplug()
        return {f"{name}: {text}": value for name, figures, start, end in phases for text, value in
                (figures | {"longest gap in the ping, ms": self.pinging.longest_ms(start, end)}).items()}

    def phase(self, name, happen):
        """(name, figures, from when, until when)"""
        self.streams.mark()
        start = self.pinging.now()
        figures = happen()
        silence, longest = self.streams.longest_ms()
        figures |= {"longest gap in all connections' data, ms": silence, "longest gap in one's, ms": longest}
        return name, figures, start, self.pinging.now()

    def be_calm(self):
        time.sleep(CALM_SECONDS)
        # All connections, and the ping.
        count = len(self.streams.all) + 1
        with Statistic("k", SESSIONS) as size:
            seen = poll(size.read, lambda seen: seen == count, patience=PATIENCE_SECONDS)
        if self.ours:
            self.stage.check_equal("K has all sessions", count, seen)
        return {"sessions missing at K": count - seen}

    def cut(self):
        start = time.monotonic()
        self.power_off()
        moment, _ = self.k.wait_until_master()
        return {"K is master after, ms": round((moment - start) * 1000)} | self.lost("when J's power is cut")

    def power_off(self):
        # In this order nobody can say that the links go down.
        self.at_j.process.kill()
        self.keepalived_j.kill()
        self.stage.network.cut_off("j")
        self.keepalived_j.forget()
        self.stage.j.remove()

    def power_on(self, connect):
        """J's module, daemon and keepalived start with nothing, one right after the other."""
        connect("j")
        self.stage.j.add(enabled=not self.ours)
        self.at_j.run_again()
        self.keepalived_j.start()

    def come_back(self):
        self.streams.add(IDLE, busy=False)
        fill("k", CROWD, [UDP])
        self.streams.mark()
        count = len(self.streams.all) + 1 + CROWD
        told = len(self.stage.syslog.containing(MASTER_IN_SYNC))
        readiness = Readiness(self.stage, self.at_j)
        start = time.monotonic()
        self.power_on(self.stage.network.connect)
        with readiness.watched(count):
            moment, sessions = self.j.wait_until_master()
        if self.ours:
            self.check_was_ready(readiness, moment, count - sessions, told)
        self.k.wait_until_not_master()
        return {"J is master after, ms": round((moment - start) * 1000),
                "sessions missing at J then": count - sessions} | self.lost("when J is master again")

    def check_was_ready(self, readiness, moment, missing, told):
        first = readiness.first_yes()
        self.stage.check("J becomes master after jooldctl check said that it may", first and first < moment,
                         f"before {moment}", first)
        self.stage.check_equal("no session is missing at J when it becomes master", 0, missing)
        self.stage.check("the notify script tells the log that J is master, and in sync",
                         poll(lambda: len(self.stage.syslog.containing(MASTER_IN_SYNC)) > told), MASTER_IN_SYNC,
                         "\n".join(self.stage.syslog.containing("keepalived-notify")))

    def lost(self, when):
        lost = self.streams.lost(LOST_AFTER_SECONDS)
        busy = sum(stream.is_busy for stream in lost)
        count = len(self.streams.all)
        if self.ours:
            self.stage.check(f"none of {count} connections is lost {when}", not lost, "0 lost",
                             "\n".join(map(str, lost)))
        return {f"connections lost, of {BUSY} busy ones": busy,
                f"connections lost, of {count - BUSY} idle ones": len(lost) - busy}

    def unplug(self):
        """The link between the routers: nothing that a host could notice."""
        masters = self.j.changes[-1:], self.k.changes[-1:]
        with self.stage.network.without_sync():
            time.sleep(UNPLUGGED_SECONDS)
            self.stage.check_equal("J stays the only master while the link between the routers is unplugged",
                                   masters, (self.j.changes[-1:], self.k.changes[-1:]))
            self.boot_unplugged()
        self.j.wait_until_master()
        self.k.wait_until_not_master()
        self.lost("when J is master after the link is back")

    def boot_unplugged(self):
        """J hears nobody, and K, whom it does not hear, has everything."""
        self.power_off()
        self.k.wait_until_master()
        self.power_on(self.stage.network.connect_to_hosts)
        wait_for("J to be alone", lambda: "standing: alone" in self.at_j.log())
        masters = self.j.changes[-1:], self.k.changes[-1:]
        time.sleep(UNPLUGGED_SECONDS)
        self.stage.check_equal("K stays the only master when J boots while the link is unplugged",
                               masters, (self.j.changes[-1:], self.k.changes[-1:]))
        self.lost("when J boots while the link is unplugged")
