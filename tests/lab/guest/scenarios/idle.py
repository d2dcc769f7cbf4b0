"""our daemon sleeps while nothing happens: one thread, a look at its instance now and then, a hello each second"""

import os
import time

from lab.calls import calls_during

DAEMONS = "ours"

IDLE_SECONDS = 10
WAITS = {"epoll_wait", "epoll_pwait", "epoll_pwait2"}
# A look is two questions, each of three calls.
LOOKS = {"sendto", "setsockopt", "recvmsg"}
PERIOD_SECONDS = 3
MOST = (IDLE_SECONDS // PERIOD_SECONDS + 1) * (2 * len(LOOKS) + 1)
# A hello each second, in both directions.
HELLOS = {"sendmmsg", "recvmmsg"}
MOST_WITH_HELLOS = MOST + (IDLE_SECONDS + 2) * 2 * (len(HELLOS) // 2 + 1)


def run(stage):
    stage.family = "ipv6"
    stage.add_instances()
    at_j, _ = stage.start_pair(netsocket={"extensions": False})
    process = at_j.process.pid
    stage.check_equal("the daemon has one thread", 1, len(os.listdir(f"/proc/{process}/task")))

    # Let what starting and the first session bring about come to its end.
    stage.hosts.udp(1)
    stage.check_same_tables(stage.j, stage.k, "made through J appear at K", ["udp"])
    time.sleep(3)

    calls = calls_during(process, lambda: time.sleep(IDLE_SECONDS))
    stage.check("idle, it makes no system calls but to wait, and to look at its instance", calls.keys() <= WAITS | LOOKS,
                WAITS | LOOKS, calls)
    stage.check(f"at most {MOST} in {IDLE_SECONDS} s", sum(calls.values()) <= MOST, f"at most {MOST}", calls)

    # Or an strace that sees nothing would look like a daemon that sleeps.
    calls = calls_during(process, lambda: make_a_session(stage))
    stage.check("not idle, strace does see its other calls", calls.keys() - WAITS - LOOKS, "more than waiting and looking", calls)

    stage.stop_daemons()
    at_j, _ = stage.start_pair()
    stage.wait_until_in_sync()
    time.sleep(3)
    calls = calls_during(at_j.process.pid, lambda: time.sleep(IDLE_SECONDS))
    stage.check("idle, with extensions it also says and hears hello", calls.keys() == WAITS & calls.keys() | LOOKS | HELLOS,
                WAITS | LOOKS | HELLOS, calls)
    stage.check(f"at most {MOST_WITH_HELLOS} in {IDLE_SECONDS} s", sum(calls.values()) <= MOST_WITH_HELLOS,
                f"at most {MOST_WITH_HELLOS}", calls)


def make_a_session(stage):
    stage.hosts.udp(1)
    stage.check_same_tables(stage.j, stage.k, "made under strace appear at K", ["udp"])
