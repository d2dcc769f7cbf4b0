"""A big table at J, advertised to an empty K: what arrives, what is lost where, and what it costs.

On the one processor of the machine a sender gives way to the receiver that it woke. Real routers have one each,
and something else to do: a busy K is one whose daemon gets its turn only after J's has sent everything.
"""

import os

from .crowd import fill
from .daemon import OVERRUN
from .losses import netlink_drops, udp_drops
from .process import cpu_ns, memory_of
from .system import wait_for, wait_until_quiet

# Longer than the module's timer and a session held back by a daemon together.
QUIET_SECONDS = 4


def measure(stage, count, busy=False, whole=True, netsocket=None):
    """Checks what must hold for any daemon, and for ours that K has everything, or at least knows what it lost.

    K is `busy`; with ours, K gets the `whole` table; `netsocket` is what the network file of ours has besides the
    manual's. Returns the figures.
    """
    # Jool's own deadline: a batch that nobody acknowledged waits as long as it does for users.
    stage.add_instances(flush_deadline_ms=None)
    fill("j", count)
    at_j, at_k = stage.start_pair(netsocket)
    if busy:
        give_way(at_k.process.pid)
    cpu_before = cpu_of(at_j, at_k)
    advertise(stage, count)
    cpu = [after - before for after, before in zip(cpu_of(at_j, at_k), cpu_before)]
    figures = counted(stage, at_j, at_k)
    check(stage, count, whole, figures, lost_in_ks_own_words=at_k.counted(OVERRUN))
    return figures | costs(at_j, at_k, cpu)


def give_way(process):
    """Lets the process have a turn only when nobody else wants one: each of its threads, for each has a priority."""
    for task in os.listdir(f"/proc/{process}/task"):
        os.setpriority(os.PRIO_PROCESS, int(task), 19)


def cpu_of(*daemons):
    return [cpu_ns(daemon.process.pid) for daemon in daemons]


def advertise(stage, count):
    stage.j.advertise()
    wait_for("J's kernel to give all of its table", lambda: stage.j.statistics()["JOOLD_SSS_SENT"],
             lambda seen: seen >= count, patience=300, pause=0.5)
    wait_until_quiet("K's kernel takes sessions no more", lambda: stage.k.statistics()["JOOLD_SSS_RCVD"],
                     QUIET_SECONDS)


def counted(stage, at_j, at_k):
    kernel_j = stage.j.statistics()
    wanted, got = stage.j.all_sessions().keys(), stage.k.all_sessions().keys()
    return {
        "sessions at J": len(wanted),
        "sessions given by J's kernel": kernel_j["JOOLD_SSS_SENT"],
        "sessions lost at J's queue": kernel_j["JOOLD_SSS_ENOSPC"],
        "batches from J's kernel": kernel_j["JOOLD_PKT_SENT"],
        "ACKs to J's kernel": kernel_j["JOOLD_ACKS"],
        "batches lost at J's netlink socket": netlink_drops("j", at_j.process.pid),
        "datagrams to K": at_j.counters()["NET_SENT_PKTS"],
        "datagrams lost at K's UDP socket": udp_drops("k"),
        "sessions missing at K": len(wanted - got),
        "sessions at K that J has not": len(got - wanted),
    }


def check(stage, count, whole, figures, lost_in_ks_own_words):
    """Of upstream's daemon only the figures are of interest."""
    given = figures["sessions at J"], figures["sessions given by J's kernel"]
    stage.check_equal(f"J has {count} sessions, and its kernel gives each of them once", (count, count), given)
    if "ours" not in stage.pair:
        return
    stage.check_equal("K has no session that J has not", 0, figures["sessions at K that J has not"])
    if whole:
        stage.check_equal(f"nothing of {count} advertised sessions is missing at K", 0,
                          figures["sessions missing at K"])
    stage.check_equal("K's daemon has counted each datagram that its socket lost",
                      figures["datagrams lost at K's UDP socket"], lost_in_ks_own_words)


def costs(at_j, at_k, cpu):
    batches, datagrams = at_j.counters()["KERNEL_SENT_PKTS"], at_k.counters()["NET_RCVD_PKTS"]
    memory = {"sender": memory_of(at_j.process.pid), "receiver": memory_of(at_k.process.pid)}
    return {
        "CPU of the sender, µs a batch": cpu[0] / 1000 / max(batches, 1),
        "CPU of the receiver, µs a datagram": cpu[1] / 1000 / max(datagrams, 1),
    } | {f"{kind} of the {who}, kB": memory[who][kind] for kind in ("VmHWM", "RssAnon") for who in memory}
