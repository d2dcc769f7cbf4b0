"""J's instance and then K's is removed and created anew under traffic: does it get its table back; beside upstream's"""

import time

from lab.clients import Client
from lab.completeness import complete_within
from lab.crossing import Meanwhile
from lab.faults import enable
from lab.statistic import SESSIONS, Statistic

DAEMONS = "compared"
RUNS = {
    "ours": ("ours/ours", {}),
    "upstream": ("upstream/upstream", {}),
}
BASES = {}
NOTES = ("From the new instance's creation on.",)

# Sessions each way before; and one so often through the other router while an instance is created anew.
BEFORE = {"udp": 500}
PAUSE_SECONDS = 0.02
MOST_SECONDS = 5


def run(stage):
    stage.network.split()
    stage.add_instances()
    at_j, at_k = stage.start_pair()
    with Client(stage.hosts, "198.18") as through_j, Client(stage.hosts, "198.19") as through_k:
        count = through_j.make(**BEFORE) + through_k.make(**BEFORE)
        first = complete_within(MOST_SECONDS, time.monotonic(), count, [stage.j], [stage.k])
        first.check(stage, "before anything happens")
    figures = {}
    for instance, daemon, other in ((stage.j, at_j, stage.k), (stage.k, at_k, stage.j)):
        done = recreate(stage, instance, daemon, other)
        name = instance.namespace.upper()
        done.check(stage, f"{name}'s instance created anew, {done.wanted} sessions at the other router")
        figures |= {f"sessions for {name}": done.wanted} | {f"{text}, {name}'s instance anew": value
                                                            for text, value in done.figures().items()}
    return figures


def recreate(stage, instance, daemon, other):
    """No traffic goes through the router whose instance it is: see Fault.pause."""
    with Meanwhile(stage, PAUSE_SECONDS, other.namespace) as during:
        instance.remove()
        instance.add(enabled=False)
        enable(instance, daemon)
        created = time.monotonic()
        during.end()
        with Statistic(other.namespace, SESSIONS) as size:
            count = size.read()
        return complete_within(MOST_SECONDS, created, count, [other], [instance])
