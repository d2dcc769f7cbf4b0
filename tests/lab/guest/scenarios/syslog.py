"""our daemon: it logs to syslog, as facility daemon, with its name and process id, from start to stop"""

import re

from lab.system import poll

DAEMONS = "ours"

# Facility daemon is 3, notice is level 5.
DAEMON_NOTICE = 3 * 8 + 5


def run(stage):
    stage.family = "ipv6"
    stage.add_instances()
    at_j = stage.start("ours", "j", options=())
    stage.start("ours", "k")
    stage.hosts.udp(1)
    stage.check_same_tables(stage.j, stage.k, "made through J appear at K", ["udp"])
    stage.check_equal("our daemon stops with status 0", 0, at_j.stop())

    prefix = re.escape(f"<{DAEMON_NOTICE}>joold[{at_j.process.pid}]: ")
    for what, pattern in (("its start and its configuration", "joold .* starts: instance default, .*multicast address"),
                          ("the module's version", r".*its module is Jool 4\.1\.13"),
                          ("its stop and its counters", r"stopping on SIGTERM: batches from the kernel: 1 \(40 bytes\); "
                           r"datagrams to the network: 1 \(40 bytes\); ")):
        log = poll(at_j.log, lambda seen: re.search(prefix + pattern, seen))
        stage.check(f"syslog has {what}", re.search(prefix + pattern, log), prefix + pattern, log)
