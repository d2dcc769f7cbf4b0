"""A synchronization daemon, ours or upstream's, in a namespace, with its log."""

import collections
import contextlib
import json
import os
import re
import signal
import socket
import struct
import subprocess
import threading

from .jool import module_version
from .network import SYNC4
from .system import inside, poll, wait_for

OURS = "/tmp/lab/joold"
UPSTREAM = "/usr/bin/joold"
# Beside ours, if it was built.
JOOLDCTL = "/tmp/lab/jooldctl"
GROUP = {"ipv6": "ff08::db8:64:64", "ipv4": "233.252.0.64"}
GROUP_PORT = 6464
STATS_PORT = 45678
# From this one on, upstream's daemon has a statistics port.
STATS_SINCE = (4, 1, 12)

# What SIGUSR1 asks for, and how it names some of its counters; of what is 0 it says nothing.
ALL_COUNTERS = re.compile(r"batches from the kernel: .*\n?")
MERGED = "updates merged into later ones"
OVERRUN = "datagrams from the network lost: receive buffer full"


def has_jooldctl():
    return os.path.exists(JOOLDCTL)


class SystemLog:
    """/dev/log: upstream's daemon logs there, and nowhere else. Lines are kept by process id."""

    def __init__(self):
        self._lines = collections.defaultdict(list)
        self.open()

    def open(self, reads=True):
        """As at its start. One that never `reads` is full from its start."""
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        with contextlib.suppress(FileNotFoundError):
            os.unlink("/dev/log")
        self._socket.bind("/dev/log")
        os.chmod("/dev/log", 0o666)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        if reads:
            threading.Thread(target=self._read, args=(self._socket,), daemon=True).start()
        else:
            self._fill()

    def close(self):
        """As when it ends: nobody is there to log to."""
        os.unlink("/dev/log")
        # Which also ends the thread's wait.
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    @staticmethod
    def _fill():
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender, contextlib.suppress(BlockingIOError):
            sender.setblocking(False)
            while True:
                sender.sendto(b"<30>lab: nobody reads this", "/dev/log")

    def _read(self, own):
        while True:
            try:
                line, ancillary, _, _ = own.recvmsg(4096, socket.CMSG_SPACE(12))
            except OSError:
                return
            if not ancillary:
                return
            for level, kind, data in ancillary:
                if (level, kind) == (socket.SOL_SOCKET, socket.SCM_CREDENTIALS):
                    process, _, _ = struct.unpack("=iII", data[:12])
                    self._lines[process].append(line.decode(errors="replace").rstrip("\0\n"))

    def of(self, process):
        return "\n".join(self._lines[process])

    def containing(self, text):
        """Those of all processes."""
        return [line for lines in list(self._lines.values()) for line in lines if text in line]


def manuals_netsocket(family, namespace):
    """The example of upstream's manual: an interface's name for IPv6, an interface's address for IPv4."""
    interface = "sync" if family == "ipv6" else SYNC4[namespace]
    return {"multicast address": GROUP[family], "multicast port": str(GROUP_PORT),
            "in interface": interface, "out interface": interface, "ttl": 3}


class Daemon:
    def __init__(self, kind, namespace, netsocket, syslog, instance="default", stats_port=STATS_PORT,
                 wrapper=(), options=("--stderr",), modsocket=None, directory="/tmp"):
        """`kind` is "ours" or "upstream"; `wrapper` is a command that runs the daemon (strace, say), `options`
        are of ours, for upstream's has none, `modsocket` is what the module file has besides the instance, and
        `directory` is where its files and what it writes are."""
        self.kind = kind
        self.namespace = namespace
        self.instance = instance
        self.stats_port = stats_port
        self._syslog = syslog
        self._base = f"{directory}/{namespace}-{instance}-{stats_port}"
        program = [OURS, *options] if kind == "ours" else [UPSTREAM]
        modsocket = {"instance": instance, **self._control(), **(modsocket or {})}
        arguments = [self._file("netsocket.json", netsocket), self._file("modsocket.json", modsocket), str(stats_port)]
        self._command = [*wrapper, *program, *arguments]
        self._run("w")

    def _control(self):
        """J's and K's instances have one name and one file system: each daemon has a control socket of its own."""
        self.control_socket = f"{self._base}.sock"
        return {"control socket": self.control_socket} if self.kind == "ours" else {}

    def _run(self, mode):
        with inside(self.namespace), open(self._base + ".log", mode) as output:
            self.process = subprocess.Popen(self._command, stdin=subprocess.DEVNULL, stdout=output,
                                            stderr=subprocess.STDOUT, cwd="/tmp")

    def run_again(self):
        """The same after it has ended, with the same log."""
        self._run("a")

    def _file(self, suffix, content):
        path = f"{self._base}-{suffix}"
        with open(path, "w") as file:
            json.dump(content, file)
        return path

    def _has_statistics(self):
        return self.kind == "ours" or module_version() >= STATS_SINCE

    def wait_until_ready(self, group):
        wait_for(f"{self} to join {group}, and the kernel's netlink group, and to open its statistics port, if any",
                 lambda: self._what_is_open(group), lambda seen: all(seen.values()) or self._ended())
        if self._ended():
            raise RuntimeError(f"{self} ended with status {self.process.returncode}; its log:\n{self.log()}")

    def _ended(self):
        return self.process.poll() is not None

    def _what_is_open(self, group):
        with inside(self.namespace):
            def table(name):
                with open(f"/proc/thread-self/net/{name}") as file:
                    return [line.split() for line in file.readlines()[1:]]
            # Columns: of igmp6 the group is the third, of igmp the first; of netlink the second is the
            # protocol and the fourth a mask of groups; of udp the second is the local address.
            if ":" in group:
                wanted = socket.inet_pton(socket.AF_INET6, group).hex()
                member = any(line[2] == wanted for line in table("igmp6"))
            else:
                wanted = socket.inet_aton(group)[::-1].hex().upper()
                member = any(line[0] == wanted for line in table("igmp"))
            return {
                "group": member,
                "netlink": sum(line[1] == "16" and int(line[3], 16) != 0 for line in table("netlink")),
                "statistics": not self._has_statistics() or any(line[1].endswith(f":{self.stats_port:04X}")
                                                                for line in table("udp") + table("udp6")),
            }

    def stop(self):
        """Ends the daemon, and returns its exit status."""
        if not self._ended():
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
        return self.process.wait()

    def log(self):
        with open(self._base + ".log") as file:
            return (file.read() + self._syslog.of(self.process.pid)).strip() or "(empty)"

    def statistics(self, address):
        """What the statistics port at ::1 or 127.0.0.1 answers, as it came."""
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        with inside(self.namespace):
            asker = socket.socket(family, socket.SOCK_DGRAM)
        with asker:
            asker.settimeout(5)
            asker.sendto(b"\n", (address, self.stats_port))
            return asker.recv(65536).decode()

    def counters(self):
        """The same as {name: number}."""
        lines = self.statistics("::1").splitlines()
        return {name: int(value) for name, value in (line.split(",") for line in lines)}

    def jooldctl_check(self):
        """The exit status of jooldctl check."""
        return subprocess.run([JOOLDCTL, "--socket", self.control_socket, "check"], stdin=subprocess.DEVNULL,
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode

    def answers_by_log(self):
        """Whether a line that our daemon is asked for comes."""
        told = len(ALL_COUNTERS.findall(self.log()))
        self.process.send_signal(signal.SIGUSR1)
        return poll(lambda: len(ALL_COUNTERS.findall(self.log())) > told, patience=5)

    def counted(self, what):
        """How much of it our daemon says that it has counted. Upstream's has no such counters."""
        if self.kind != "ours":
            return 0
        told = len(ALL_COUNTERS.findall(self.log()))
        self.process.send_signal(signal.SIGUSR1)
        lines = wait_for(f"{self} to log its counters", lambda: ALL_COUNTERS.findall(self.log()),
                         lambda seen: len(seen) > told)
        said = re.search(re.escape(what) + r": (\d+)", lines[-1])
        return int(said[1]) if said else 0

    def __str__(self):
        return f"{self.kind}'s daemon in {self.namespace}" if self.kind != "ours" else f"our daemon in {self.namespace}"
