"""K's daemon is killed, misses 2,000 sessions, and is started again: is it told of them, and does jooldctl say so"""

import time

from lab.clients import Client
from lab.completeness import complete_within
from lab.readiness import Readiness

DAEMONS = "compared"
RUNS = {
    "ours": ("ours/ours", {}),
    "upstream": ("upstream/upstream", {}),
}
BASES = {}
NOTES = ("From the start of the new daemon on.",)

BEFORE = {"udp": 40, "tcp": 10, "icmp": 10}
MISSED = {"udp": 1900, "tcp": 50, "icmp": 50}
MOST_SECONDS = 3
# To be in sync to begin with: longer than any daemon listens before it knows who is there.
PATIENCE_SECONDS = 20


def run(stage):
    stage.add_instances()
    _, at_k = stage.start_pair()
    with Client(stage.hosts) as client:
        count = client.make(**BEFORE)
        first = complete_within(PATIENCE_SECONDS, time.monotonic(), count, [stage.j], [stage.k])
        first.check(stage, "before it is killed")
        readiness = Readiness(stage, at_k)
        readiness.check_is_ready("before it is killed", PATIENCE_SECONDS)
        at_k.process.kill()
        at_k.process.wait()
        readiness.check_is_not_ready("while it is not there")
        count += client.make(**MISSED)
        start = time.monotonic()
        at_k.run_again()
        with readiness.watched(count):
            done = complete_within(MOST_SECONDS, start, count, [stage.j], [stage.k])
    done.check(stage, "after the restart")
    readiness.check_is_ready("after the restart", PATIENCE_SECONDS)
    return done.figures() | readiness.figures(start)
