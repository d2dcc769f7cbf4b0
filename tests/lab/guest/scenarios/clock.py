"""our daemon: the system's clock jumps a day ahead and two days back, and nothing waits or hurries"""

import time

from lab.process import cpu_ns

DAEMONS = "ours"
DAY_SECONDS = 86400
WATCHED_SECONDS = 5
# Far above what looking after the instance takes, far below what a loop that does not wait takes.
MOST_BUSY = 0.2


def run(stage):
    stage.family = "ipv6"
    stage.add_instances()
    daemons = stage.start_pair()
    for number, step in enumerate((DAY_SECONDS, -2 * DAY_SECONDS, DAY_SECONDS)):
        time.clock_settime(time.CLOCK_REALTIME, time.time() + step)
        before = [cpu_ns(daemon.process.pid) for daemon in daemons]
        time.sleep(WATCHED_SECONDS)
        busy = [(cpu_ns(daemon.process.pid) - used) / 1e9 / WATCHED_SECONDS
                for daemon, used in zip(daemons, before)]
        stage.check(f"after a step of {step} s no daemon is busy", max(busy) < MOST_BUSY, f"less than {MOST_BUSY}", busy)
        stage.hosts.udp(20, host4=f"198.18.{number}.1")
        stage.check_same_tables(stage.j, stage.k, f"after a step of {step} s", protocols=("udp",))
    stage.check("no daemon has lost anything", not any("lost" in daemon.log() for daemon in daemons), "no losses",
                "\n".join(daemon.log() for daemon in daemons))
