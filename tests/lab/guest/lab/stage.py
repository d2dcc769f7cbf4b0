"""What a scenario gets: the network, the instances and daemons at J and K, the hosts, and a way to check."""

import contextlib
import traceback

from .daemon import GROUP, Daemon, SystemLog, manuals_netsocket
from .jool import PROTOCOLS, Instance
from .network import Network
from .report import detail
from .system import poll, wait_for
from .traffic import Hosts

# A lifetime is read at two moments on a slow machine. The timeouts to be told apart are minutes apart.
LIFETIME_TOLERANCE_MS = 15000
# Of a table, after a failure: a scenario may have made hundreds of sessions.
MOST_SHOWN = 30


class Stage:
    """One run of a scenario: from an empty network to none."""

    _syslog = None

    def __init__(self, report, scenario, pair=("ours", "ours"), family=None, title=None, only=""):
        """`title` stands for the daemons in the report where their names do not tell this run from another; of what
        a scenario does one by one, it does what has `only` in its name."""
        self.only = only
        self.report = report
        self.scenario = scenario
        self.pair = pair
        self.title = title or "/".join(pair)
        self.family = family
        self.network = Network()
        self.j = Instance("j")
        self.k = Instance("k")
        # There is one only if a scenario adds it.
        self.l = None
        self.daemons = []
        # What else a failure shows: {title: what returns it}.
        self.logs = {}
        self._open = contextlib.ExitStack()
        self._details_shown = False
        if Stage._syslog is None:
            Stage._syslog = SystemLog()
        self.syslog = Stage._syslog

    @property
    def column(self):
        return self.title + (f" {self.family}" if self.family else "")

    def __enter__(self):
        try:
            self._open.enter_context(self.network)
            self.hosts = self._open.enter_context(Hosts())
        except BaseException:
            self._open.close()
            raise
        return self

    def __exit__(self, kind, problem, trace):
        if problem is not None and isinstance(problem, Exception):
            self.check("the scenario comes to its end", False, "no exception",
                       "".join(traceback.format_exception(problem)))
        for daemon in self.daemons:
            daemon.stop()
        self._open.close()
        return isinstance(problem, Exception)

    def check(self, text, good, expected="true", seen="false"):
        if not self.report.check(self.scenario, self.column, text, good, expected, seen):
            self._show_everything()
        return good

    def check_equal(self, text, expected, seen):
        return self.check(text, expected == seen, expected, seen)

    def _show_everything(self):
        """Both logs and both tables, once a run: the first failure explains those that follow."""
        if self._details_shown:
            return
        self._details_shown = True
        for daemon in self.daemons:
            detail(f"log of {daemon}", daemon.log())
        for title, log in self.logs.items():
            detail(title, log())
        for instance in filter(None, (self.j, self.k, self.l)):
            lines = instance.tables().splitlines()
            detail(f"sessions at {instance.namespace.upper()} ({len(lines)})", "\n".join(lines[:MOST_SHOWN]))

    def add_instances(self, **options):
        self.j.add(**options)
        self.k.add(**options)

    def add_third(self, kind):
        """A third router, L, with a daemon of this kind. It comes before the others' daemons: their link is made anew.
        """
        self.network.add_third()
        self.l = Instance("l").add()
        return self.start(kind, "l")

    def start(self, kind, namespace, netsocket=None, **options):
        """Starts a daemon, by default with the manual's example, and waits until it hears everything."""
        netsocket = netsocket or manuals_netsocket(self.family, namespace)
        daemon = Daemon(kind, namespace, netsocket, self.syslog, **options)
        self.daemons.append(daemon)
        daemon.wait_until_ready(netsocket["multicast address"])
        return daemon

    def start_pair(self, netsocket=None, modsocket=None, **options):
        """The daemons of this run's pair, at J and at K. The files of ours have these keys besides the manual's."""
        def start(kind, namespace):
            if kind != "ours":
                return self.start(kind, namespace, **options)
            return self.start(kind, namespace, manuals_netsocket(self.family, namespace) | (netsocket or {}),
                              modsocket=modsocket, **options)
        return start(self.pair[0], "j"), start(self.pair[1], "k")

    def wait_until_in_sync(self):
        """Until our daemons have read each other's tables."""
        for daemon in self.daemons:
            if daemon.kind != "ours":
                continue
            wait_for(f"{daemon} to be in sync", daemon.log, lambda log: "standing: in sync" in log)

    def stop_daemons(self):
        for daemon in self.daemons:
            daemon.stop()
        self.daemons.clear()

    def check_same_tables(self, made_by, at, what, protocols=PROTOCOLS):
        """Waits until `at` has every session of `made_by`, and checks each of them, entry by entry."""
        for protocol in protocols:
            wanted, got = poll(lambda: (made_by.sessions(protocol), at.sessions(protocol)),
                               lambda tables: not differences(*tables))
            self.check(f"{protocol} sessions {what} ({len(wanted)})", wanted and not differences(wanted, got),
                       "at least one session, and the same at both", differences(wanted, got) or "no session at all")


def alike(one, other):
    """Whether two sessions of one key are the same in everything but the moment."""
    return one.state == other.state and abs(one.lifetime_ms - other.lifetime_ms) <= LIFETIME_TOLERANCE_MS


def differences(wanted, got):
    """One line for each entry that is missing, too many, or not the same in everything but the moment."""
    lines = [f"missing: {','.join(key)}" for key in wanted.keys() - got.keys()]
    lines += [f"not expected: {','.join(key)}" for key in got.keys() - wanted.keys()]
    for key in wanted.keys() & got.keys():
        one, other = wanted[key], got[key]
        if not alike(one, other):
            lines.append(f"{','.join(key)}: {one.state} {one.lifetime_ms} ms, but {other.state} {other.lifetime_ms} ms")
    return "\n".join(sorted(lines))
