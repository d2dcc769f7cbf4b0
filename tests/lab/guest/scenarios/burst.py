"""our daemons: what J's kernel has to tell while J's daemon has no turn reaches K, even if the module has no queue"""

import signal
import time

from lab.completeness import complete_within
from lab.jool import QUEUE_SINCE, module_version

DAEMONS = "ours"

# More than a packet holds, and less than a queue.
BURST = 60
FULL = "full batches behind which the kernel drops updates of sessions"
# Our daemon looks every three seconds whether something is amiss, and K reads J's table then.
MOST_SECONDS = 10


def run(stage):
    stage.family = "ipv6"
    # Jool's own deadline: with a short one, the module tells a stopped daemon something again and again.
    stage.add_instances(flush_deadline_ms=None)
    at_j, _ = stage.start_pair()
    stage.wait_until_in_sync()
    at_j.process.send_signal(signal.SIGSTOP)
    stage.hosts.udp(BURST, host4="198.18.0.1")
    start = time.monotonic()
    at_j.process.send_signal(signal.SIGCONT)
    done = complete_within(MOST_SECONDS, start, BURST, [stage.j], [stage.k])
    done.check(stage, f"{BURST} sessions while J's daemon is stopped")
    full = at_j.counted(FULL)
    stage.check_equal("J's daemon has seen that something is missing, where that is so", module_version() < QUEUE_SINCE,
                      full > 0)
    print(f"complete after, s: {done.seconds}")
