"""our daemon: it waits for the module, and serves it again when it was unloaded and loaded"""

import os
import time

from lab.system import command, poll

DAEMONS = "ours"


def run(stage):
    stage.family = "ipv6"
    stage.add_instances()
    at_j, at_k = stage.start_pair()
    stage.hosts.udp(20)
    stage.check_same_tables(stage.j, stage.k, "before the reload", protocols=("udp",))
    before = [open_files(daemon) for daemon in (at_j, at_k)]
    for name in ("first", "second"):
        reload(stage, at_j, at_k, name)
    stage.check_equal("both daemons have the same files open as before", before,
                      [open_files(daemon) for daemon in (at_j, at_k)])


def reload(stage, at_j, at_k, name):
    told = [daemon.log().count("was unloaded") for daemon in (at_j, at_k)]
    for instance in (stage.j, stage.k):
        instance.remove()
    command("modprobe", "-r", "jool")
    seen = poll(lambda: [daemon.log().count("was unloaded") for daemon in (at_j, at_k)],
                lambda counts: counts == [count + 1 for count in told])
    stage.check_equal(f"{name} reload: each daemon says once that the module was unloaded",
                      [count + 1 for count in told], seen)
    loaded = [daemon.log().count("kernel module is there") for daemon in (at_j, at_k)]
    start = time.monotonic()
    command("modprobe", "jool")
    expected = [count + 1 for count in loaded]
    seen = poll(lambda: [daemon.log().count("kernel module is there") for daemon in (at_j, at_k)],
                lambda counts: counts == expected)
    # Most of it is modprobe's, on an emulated machine.
    took = time.monotonic() - start
    stage.check_equal(f"{name} reload: both serve the new one ({took:.2f} s from the start of modprobe)", expected, seen)
    stage.add_instances()
    stage.hosts.udp(20)
    stage.check_same_tables(stage.j, stage.k, f"after the {name} reload", protocols=("udp",))
    stage.hosts.udp(20, host4="198.19.0.1")
    stage.check_same_tables(stage.j, stage.k, f"and later, after the {name} reload", protocols=("udp",))


def open_files(daemon):
    directory = f"/proc/{daemon.process.pid}/fd"
    return sorted(f"{number}: {os.readlink(f'{directory}/{number}')}" for number in os.listdir(directory))
