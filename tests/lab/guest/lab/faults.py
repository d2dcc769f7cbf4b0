"""What goes wrong in a router's life, and what its operator does about it.

A fault is a function that is called while sessions are made both ways. It returns when the fault is over: from that
moment on the time to recover counts. Whatever the daemons do, J and K are then configured as before.
"""

import contextlib
import dataclasses
import os
import signal
import time
from collections.abc import Callable

from .forgery import Stranger, impossible_session
from .genl import attribute
from .network import SYNC4
from .system import command, ip, poll

SINCE_THEN_SECONDS = 2
STOPPED_SECONDS = 10
FORGED = 1_000_000
TABLE = 20000

# A small disk of its own for the log of ours; upstream's daemon has none to write to.
DISK = "/tmp/disk"


@dataclasses.dataclass(frozen=True)
class Fault:
    name: str
    happen: Callable
    # What the files of ours have besides the manual's.
    netsocket: dict = dataclasses.field(default_factory=dict)
    modsocket: dict = dataclasses.field(default_factory=dict)
    # How the daemons are started; see Daemon.
    options: dict = dataclasses.field(default_factory=dict)
    family: str = "ipv6"
    # A new session so often while it lasts, in seconds, through each of these routers. None through one that is just
    # being configured: Jool would take its interfaces' addresses for pool4, and tell its client of packets' errors.
    pause: float = 0.1
    through: str = "jk"
    # Whether the table of a router is lost with its instance, and only what is made afterwards can be expected.
    forgets: bool = False
    # Whether nothing may be missing of what is made while it lasts: it is none of the network's business.
    harmless: bool = False
    # Whether it keeps the daemons from logging.
    silences: bool = False
    # Whether J's table has TABLE sessions besides, all of which are advertised meanwhile.
    crowded: bool = False


def enable(instance, daemon):
    """What the manual asks for after an instance was created. Ours does it by itself."""
    if daemon.kind != "ours":
        instance.set("ss-enabled", "true")


def module_reloaded(stage):
    at_j, at_k = stage.daemons
    for instance in (stage.j, stage.k):
        instance.remove()
    command("modprobe", "-r", "jool")
    command("modprobe", "jool")
    for instance, daemon in ((stage.j, at_j), (stage.k, at_k)):
        instance.add(enabled=False)
        enable(instance, daemon)


def instance_recreated(stage):
    stage.j.remove()
    stage.j.add(enabled=False)
    enable(stage.j, stage.daemons[0])


def synchronization_disabled(stage):
    stage.j.set("ss-enabled", "false")
    time.sleep(SINCE_THEN_SECONDS)
    stage.j.set("ss-enabled", "true")


def interface_down(stage):
    ip("link set sync down", "j")
    time.sleep(SINCE_THEN_SECONDS)
    # With the interface went its IPv6 addresses.
    stage.network.set_up_sync("j")
    stage.network.wait_for_links("jk")


def interface_recreated(stage):
    ip("link delete sync", "j")
    time.sleep(SINCE_THEN_SECONDS)
    stage.network.build_sync()
    stage.network.wait_for_links("jk")


def interface_renamed(stage):
    ip("link set sync name elsewhere", "j")
    time.sleep(SINCE_THEN_SECONDS)
    ip("link set elsewhere name sync", "j")


def address_removed(stage):
    ip(f"address delete {SYNC4['j']}/24 dev sync", "j")
    time.sleep(SINCE_THEN_SECONDS)
    ip(f"address add {SYNC4['j']}/24 dev sync", "j")


def killed(stage):
    at_j = stage.daemons[0]
    at_j.process.kill()
    at_j.process.wait()
    time.sleep(SINCE_THEN_SECONDS)
    at_j.run_again()


@contextlib.contextmanager
def small_disk():
    """Mounts it meanwhile."""
    os.makedirs(DISK, exist_ok=True)
    command("mount", "-t", "tmpfs", "-o", "size=256k", "disk", DISK)
    try:
        yield
    finally:
        command("umount", DISK)


@contextlib.contextmanager
def stopped(daemon):
    daemon.process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        daemon.process.send_signal(signal.SIGCONT)


def stopped_under_load(stage):
    with stopped(stage.daemons[0]):
        time.sleep(STOPPED_SECONDS)


def netlink_overrun(stage):
    """Each new session has the module look at its queue: a batch for each, until there is no more room."""
    with stopped(stage.daemons[0]):
        stage.j.advertise()
        time.sleep(STOPPED_SECONDS)


def socket_overrun(stage):
    with stopped(stage.daemons[1]):
        before = stage.j.statistics()["JOOLD_SSS_SENT"]
        stage.j.advertise()
        poll(lambda: stage.j.statistics()["JOOLD_SSS_SENT"] - before, lambda sent: sent >= TABLE, pause=0.5)


def provoke():
    """Has J's daemon say something: of ours the datagram is malformed, of upstream's the module refuses it."""
    with Stranger() as stranger:
        stranger.send(attribute(1, b""), 100)
    time.sleep(SINCE_THEN_SECONDS)


def syslog_gone(stage):
    stage.syslog.close()
    provoke()
    stage.syslog.open()


def syslog_stuck(stage):
    """It is there, but its queue is full."""
    stage.syslog.close()
    stage.syslog.open(reads=False)
    provoke()
    stage.syslog.close()
    stage.syslog.open()


def disk_full(_stage):
    full = f"{DISK}/full"
    with open(full, "wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))
    provoke()
    os.unlink(full)


def forged(_stage):
    with Stranger() as stranger:
        stranger.send(impossible_session(), FORGED)


TO_SYSLOG = {"options": ()}

FAULTS = [
    Fault("module reloaded", module_reloaded, through="", forgets=True),
    Fault("instance re-created at J", instance_recreated, through="k", forgets=True),
    Fault("synchronization disabled by hand, and enabled", synchronization_disabled),
    Fault("interface down and up", interface_down),
    Fault("interface re-created at both", interface_recreated),
    Fault("interface renamed, and back", interface_renamed),
    Fault("IPv4 address removed, and back", address_removed, family="ipv4"),
    Fault("SIGKILL, restarted", killed),
    Fault(f"SIGSTOP for {STOPPED_SECONDS} s, 100 new sessions a second", stopped_under_load, pause=0.02),
    Fault(f"netlink buffer overrun: J's daemon stopped, {TABLE:,} advertised", netlink_overrun,
          modsocket={"netlink buffer": 65536}, pause=0.02, crowded=True),
    Fault(f"socket buffer overrun: K's daemon stopped, {TABLE:,} advertised", socket_overrun, crowded=True),
    Fault("syslog gone, and back", syslog_gone, options=TO_SYSLOG, silences=True, harmless=True),
    Fault("syslog stuck", syslog_stuck, options=TO_SYSLOG, silences=True, harmless=True),
    Fault("disk full", disk_full, options={"directory": DISK}, silences=True, harmless=True),
    Fault(f"{FORGED:,} forged datagrams", forged, harmless=True),
]
