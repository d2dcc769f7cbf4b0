"""how late lone sessions and those right behind them cross the sync link; two minutes, on request"""

import random
import socket
import time

from lab.network import destination
from lab.synclink import SyncLink
from lab.system import inside, wait_until_quiet
from lab.traffic import ECHO_PORT

DAEMONS = "compared"
ON_REQUEST = True
DEADLINE_MS = 20
OURS = f"ours, deadline {DEADLINE_MS}"
RUNS = {
    OURS: ("ours/ours", {"modsocket": {"ss-flush-deadline": DEADLINE_MS}}),
    "ours, default": ("ours/ours", {}),
    f"upstream, deadline {DEADLINE_MS}": ("upstream/upstream", {"by_hand": DEADLINE_MS}),
    "upstream, default": ("upstream/upstream", {}),
}
BASES = {OURS: f"upstream, deadline {DEADLINE_MS}", "ours, default": "upstream, default"}

TIMES = 25
# Of two sessions: the second is queued behind the batch that the first leaves with.
APART_SECONDS = 0.004
PAUSE_SECONDS = (0.2, 0.7)
# The module looks at its queue every two seconds by itself. What waits for that waits for one on average.
MOST_MEDIAN_MS, MOST_MS = 250, 1000
QUIET_SECONDS = 4
WORST = "the second of two, at worst, ms"


def run(stage, modsocket=None, by_hand=None):
    stage.add_instances(flush_deadline_ms=by_hand)
    stage.start_pair(modsocket=modsocket)
    chance = random.Random("lag")
    with SyncLink() as link:
        begun = [pair(chance, number) for number in range(TIMES)]
        wait_until_quiet("K's kernel takes sessions no more", lambda: stage.k.statistics()["JOOLD_SSS_RCVD"],
                         QUIET_SECONDS)
    crossed = {}
    for host4, moment in link.crossings():
        crossed.setdefault(host4, moment)
    stage.check_equal("every session crosses the link", 2 * TIMES,
                      sum(host4 in crossed for both in begun for host4 in both))
    first, second = (sorted(1000 * (crossed[host4] - moment) for both in begun
                            for place, (host4, moment) in enumerate(both.items())
                            if place == wanted and host4 in crossed) for wanted in (0, 1))
    if modsocket is not None:
        for text, late_ms in (("lone sessions", first), ("sessions right behind one", second)):
            stage.check(f"{text} cross the link without waiting for the module's timer",
                        late_ms[len(late_ms) // 2] < MOST_MEDIAN_MS and late_ms[-1] < MOST_MS,
                        f"median below {MOST_MEDIAN_MS} ms, all below {MOST_MS}", [round(late) for late in late_ms])
    return {
        "a lone session, median, ms": first[len(first) // 2], "a lone session, at worst, ms": first[-1],
        "the second of two, median, ms": second[len(second) // 2], WORST: second[-1],
    }


def pair(chance, number):
    """Two new sessions, one right behind the other: {IPv4 destination: the moment at which it was begun}."""
    begun = {}
    with inside("h6"), socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sender:
        for network in (18, 19):
            host4 = f"198.{network}.0.{number + 1}"
            begun[host4] = time.time()
            sender.sendto(b"new", (destination(host4), ECHO_PORT))
            time.sleep(APART_SECONDS)
    time.sleep(chance.uniform(*PAUSE_SECONDS))
    return begun
