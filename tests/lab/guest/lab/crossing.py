"""Do sessions cross from each router to the other, and since when: new ones are made through both, and looked for.

J is the active router. Sessions through K take a route of their own, as those of an active-active pair do, so that
both directions can be tried at any moment.
"""

import itertools
import socket
import threading
import time

from .network import destination
from .statistic import SESSIONS_RECEIVED, Statistic
from .system import CommandFailed, inside, poll
from .traffic import ECHO_PORT

# A new session each so often while it is awaited that they cross.
PAUSE_SECONDS = 0.05
# Between two looks at the kernels' counters.
LOOK_SECONDS = 0.01
# For sessions on their way: several times the module's flush deadline, its timer and a refresh window.
ON_THEIR_WAY_SECONDS = 6

# Destinations behind J and behind K, 65,536 each: see Network.split.
_NETWORKS = {"j": "198.18", "k": "198.19"}
_numbers = itertools.count()


class Flow:
    """New sessions through one router, which the other should learn. One socket, and a destination for each.

    Another socket is another client: whoever lost its table gives the same one another mask, which the peer refuses.
    """

    def __init__(self, stage, through):
        self.through, self.to = (stage.j, stage.k) if through == "j" else (stage.k, stage.j)
        with inside("h6"):
            self._socket = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        self._socket.bind(("::", 0))
        self._source = str(self._socket.getsockname()[1])
        self.made = set()
        self._count = Received(self.to.namespace)

    def close(self):
        self._socket.close()
        self._count.close()

    def make(self):
        number = next(_numbers) & 0xffff
        host4 = f"{_NETWORKS[self.through.namespace]}.{number >> 8}.{number & 255}"
        try:
            self._socket.sendto(b"new", (destination(host4), ECHO_PORT))
        except OSError:
            return
        self.made.add((self._source, host4))

    def crossed(self):
        """Those of the sessions made that are at the other router."""
        return self.made & at(self.to)

    def may_have_crossed(self):
        """Whether the other router's kernel was given sessions since this was asked last. Quick to tell."""
        return self._count.grew()

    def missing(self, patience=ON_THEIR_WAY_SECONDS):
        """(How many are missing at the other router of those that this one has, how many it has.)"""
        made = self.made & at(self.through)
        there = poll(lambda: made & at(self.to), lambda seen: seen == made, patience, pause=0.2)
        return len(made) - len(there), len(made)


def at(instance):
    """(client's port, IPv4 destination) of each UDP session; none, if there is no instance."""
    try:
        return {(key[2], key[7]) for key in instance.sessions("udp")}
    except CommandFailed:
        return set()


def add_up(*pairs):
    """(missing, made) of all together."""
    return sum(pair[0] for pair in pairs), sum(pair[1] for pair in pairs)


class Received:
    """How many sessions a kernel was given by its daemon, asked without a process."""

    def __init__(self, namespace):
        self._statistic = Statistic(namespace, SESSIONS_RECEIVED)
        self._last = self._statistic.read()

    def grew(self):
        count = self._statistic.read()
        if count is None or count == self._last:
            return False
        self._last = count
        return True

    def close(self):
        self._statistic.close()


class Crossing:
    """Both directions, or those of the sessions through some routers."""

    def __init__(self, stage, through="jk"):
        self._stage = stage
        self.flows = [Flow(stage, name) for name in through]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for flow in self.flows:
            flow.close()

    def make(self, count):
        """So many sessions each way, one by one."""
        for _ in range(count):
            for flow in self.flows:
                flow.make()
            time.sleep(PAUSE_SECONDS)

    def seconds_until_both(self, patience):
        """Makes sessions until one has crossed each way; how long that took. None if it did not come to that."""
        start, next_one, waiting = time.monotonic(), 0, list(self.flows)
        while (now := time.monotonic()) < start + patience:
            if now >= next_one:
                for flow in waiting:
                    flow.make()
                next_one = now + PAUSE_SECONDS
            time.sleep(LOOK_SECONDS)
            grown = [flow for flow in waiting if flow.may_have_crossed()]
            seen = time.monotonic() - start
            waiting = [flow for flow in waiting if not (flow in grown and flow.crossed())]
            if not waiting:
                return seen
            if not all(daemon.process.poll() is None for daemon in self._stage.daemons):
                return None
        return None

    def crossed(self):
        return set().union(*(flow.crossed() for flow in self.flows))

    def missing(self, patience=ON_THEIR_WAY_SECONDS):
        """As that of a flow, of both together."""
        return add_up(*(flow.missing(patience) for flow in self.flows))


class Meanwhile(Crossing):
    """One new session each way, again and again, from its entry on until it shall end."""

    def __init__(self, stage, pause, through):
        super().__init__(stage, through)
        self._pause = pause
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._make, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def _make(self):
        while not self._over.wait(self._pause):
            for flow in self.flows:
                flow.make()

    def end(self):
        """No more of them from here on; those that were made can still be counted."""
        self._over.set()
        self._thread.join()

    def __exit__(self, *details):
        self.end()
        super().__exit__(*details)
