"""The sync link is cut in two for a while, and each router makes sessions of its own meanwhile."""

import time

from .clients import Client
from .completeness import complete_within
from .weather import partition

RUNS = {
    "ours": ("ours/ours", {}),
    "upstream": ("upstream/upstream", {}),
}
NOTES = ("From the moment on at which the link is healed.",)

# By a client before it, by another through J during it, and by a third through K.
EACH = {"udp": 300, "tcp": 20, "icmp": 30}
MOST_SECONDS = 5
# Longer than anything here lasts: a session must not end by itself meanwhile.
ICMP_TIMEOUT = "0:05:00"


def part(stage, seconds):
    """Checks that both have the sessions of both after a partition of so many seconds; returns the figures."""
    stage.add_instances()
    for instance in (stage.j, stage.k):
        instance.set("icmp-timeout", ICMP_TIMEOUT)
    stage.start_pair()
    with Client(stage.hosts) as before, Client(stage.hosts) as at_j, Client(stage.hosts) as at_k:
        known = before.make(**EACH)
        first = complete_within(MOST_SECONDS, time.monotonic(), known, [stage.j], [stage.k])
        first.check(stage, "before the partition")
        with partition() as weather:
            begun = time.monotonic()
            only_j = at_j.make(**EACH)
            _sleep_until(begun + seconds / 2)
            stage.network.hand_over("k")
            only_k = at_k.make(**EACH)
            _sleep_until(begun + seconds)
            sizes = [len(instance.all_sessions()) for instance in (stage.j, stage.k)]
            lost = weather.lost()
        healed = time.monotonic()
        stage.check_equal("during the partition each router makes its own, and hears of no other's",
                          [known + only_j, known + only_k], sizes)
        both = stage.j, stage.k
        done = complete_within(MOST_SECONDS, healed, known + only_j + only_k, both, both)
    done.check(stage, f"healed after {seconds} s")
    return {"partition, s": healed - begun, "datagrams lost meanwhile": lost} | done.figures()


def _sleep_until(moment):
    time.sleep(max(0, moment - time.monotonic()))
