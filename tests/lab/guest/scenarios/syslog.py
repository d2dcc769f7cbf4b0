"""our daemon: it logs to syslog with facility, name and process id, from start to stop, and across a restart of it"""

import os
import re
import signal

from lab.system import poll

DAEMONS = "ours"

# Facility daemon is 3, notice is level 5.
DAEMON_NOTICE = 3 * 8 + 5
DAEMON_WARNING = 3 * 8 + 4


def run(stage):
    stage.family = "ipv6"
    stage.add_instances()
    at_j = stage.start("ours", "j", options=())
    stage.start("ours", "k")
    stage.hosts.udp(1)
    stage.check_same_tables(stage.j, stage.k, "made through J appear at K", ["udp"])
    # Until then it has more to say.
    joined = ("standing: in sync", "read the table")
    poll(at_j.log, lambda seen: all(words in seen for words in joined))
    restart_syslog(stage, at_j)
    stage.check_equal("our daemon stops with status 0", 0, at_j.stop())

    prefix = re.escape(f"<{DAEMON_NOTICE}>joold[{at_j.process.pid}]: ")
    for what, pattern in (("its start and its configuration", "joold .* starts: instance default, .*multicast address"),
                          ("the module's version", r".*its module is Jool 4\.1\.13"),
                          ("its stop and its counters", r"stopping on SIGTERM: batches from the kernel: 1 \(40 bytes\); "
                           r"datagrams to the network: 1 \(40 bytes\); ")):
        log = poll(at_j.log, lambda seen: re.search(prefix + pattern, seen))
        stage.check(f"syslog has {what}", re.search(prefix + pattern, log), prefix + pattern, log)


def restart_syslog(stage, daemon):
    """Has the daemon log a line while there is no syslog; nothing is said when it is back, but of that line."""
    stage.syslog.close()
    before = len(open_files(daemon))
    daemon.process.send_signal(signal.SIGUSR1)
    poll(lambda: len(open_files(daemon)), lambda seen: seen < before)
    stage.syslog.open()
    wanted = f"<{DAEMON_WARNING}>joold[{daemon.process.pid}]: log lines lost while syslog was not there or took none: 1"
    log = poll(daemon.log, lambda seen: wanted in seen)
    stage.check("syslog, when it is back, is told of the line that it missed", wanted in log, wanted, log)


def open_files(daemon):
    return os.listdir(f"/proc/{daemon.process.pid}/fd")
