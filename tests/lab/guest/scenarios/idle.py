"""our daemon sleeps while nothing happens: one thread, and no system call but an epoll_wait now and then"""

import os
import signal
import subprocess
import time

from lab.system import wait_for

DAEMONS = "ours"

IDLE_SECONDS = 5
WAITS = {"epoll_wait", "epoll_pwait", "epoll_pwait2"}


def run(stage):
    stage.family = "ipv6"
    stage.add_instances()
    at_j, _ = stage.start_pair()
    process = at_j.process.pid
    stage.check_equal("the daemon has one thread", 1, len(os.listdir(f"/proc/{process}/task")))

    # Let what starting and the first session bring about come to its end.
    stage.hosts.udp(1)
    stage.check_same_tables(stage.j, stage.k, "made through J appear at K", ["udp"])
    time.sleep(3)

    calls = calls_during(process, lambda: time.sleep(IDLE_SECONDS))
    stage.check("idle, it makes no system call but epoll_wait", calls.keys() <= WAITS, WAITS, calls)
    stage.check(f"at most one a second in {IDLE_SECONDS} s", sum(calls.values()) <= IDLE_SECONDS + 1,
                f"at most {IDLE_SECONDS + 1}", calls)

    # Or an strace that sees nothing would look like a daemon that sleeps.
    calls = calls_during(process, lambda: make_a_session(stage))
    stage.check("not idle, strace does see its other calls", calls.keys() - WAITS, "more than waiting", calls)


def make_a_session(stage):
    stage.hosts.udp(1)
    stage.check_same_tables(stage.j, stage.k, "made under strace appear at K", ["udp"])


def calls_during(process, action):
    """{system call: how often} while `action` runs."""
    output = "/tmp/idle.strace"
    tracer = subprocess.Popen(["strace", "-f", "-c", "-o", output, "-p", str(process)],
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_for("strace to attach", lambda: tracer_of(process), lambda seen: seen == tracer.pid)
    try:
        action()
    finally:
        tracer.send_signal(signal.SIGINT)
        tracer.wait(20)
    with open(output) as file:
        return parse(file.read())


def tracer_of(process):
    with open(f"/proc/{process}/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("TracerPid:"))


def parse(table):
    """Columns of strace -c: % time, seconds, usecs/call, calls, perhaps errors, name."""
    calls = {}
    for line in table.splitlines():
        fields = line.split()
        if len(fields) >= 5 and fields[-1] not in ("total", "syscall") and fields[3].isdecimal():
            calls[fields[-1]] = int(fields[3])
    return calls
