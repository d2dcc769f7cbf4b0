"""sessions made through J appear at K, with the defaults of Jool untouched, too"""

from lab.complaints import KernelLog, complaints_of
from lab.traffic import ping

DAEMONS = "pairs"


def run(stage):
    # None: the only run with Jool's own ss-flush-deadline, as most users have it.
    stage.add_instances(flush_deadline_ms=None)
    log = KernelLog()
    daemons = stage.start_pair()
    make_sessions(stage)
    stage.check_same_tables(stage.j, stage.k, "made through J appear at K")
    # Ours also says what is no session.
    theirs = [line for daemon in daemons if daemon.kind == "upstream" for line in complaints_of(daemon)]
    stage.check_equal("neither the kernel nor upstream's daemon complains", ([], []), (log.complaints(), theirs))


def make_sessions(stage):
    ping()
    stage.hosts.udp(3)
    stage.hosts.udp(1, answered=True)
    stage.hosts.udp(40, host4="198.18.0.1")
    stage.hosts.tcp_used()
    near, _ = stage.hosts.tcp_used()
    # A half-closed connection has another state than an open one.
    near.shutdown(1)
