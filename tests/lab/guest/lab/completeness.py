"""Whether several routers have the same sessions by a certain moment, and what is wrong if they have not."""

import contextlib
import dataclasses
import time

from .stage import alike
from .statistic import SESSIONS, Statistic
from .system import poll

# What is wrong is looked at once more so much later: late is not lost.
LATER_SECONDS = 5


@dataclasses.dataclass(frozen=True)
class Gap:
    """How one router's sessions differ from another's."""
    missing: int
    surplus: int
    # In their state, or in their lifetime by more than the lab's tolerance.
    other: int

    def __bool__(self):
        return bool(self.missing or self.surplus or self.other)

    def __str__(self):
        return f"{self.missing} missing, {self.surplus} too many, {self.other} with another state or lifetime"


@dataclasses.dataclass(frozen=True)
class Completeness:
    """By router's name, the gaps at the limit, and later unless there were none."""
    limit: float
    # How many sessions all should have, and how many there are.
    wanted: int
    made: int
    gaps: dict
    later: dict
    # From `since` until all were seen to have the same; None if that was not within the limit.
    seconds: float | None

    def figures(self):
        figures = {f"complete within {self.limit} s, after, s": "no" if self.seconds is None else self.seconds}
        for name, gap in self.gaps.items():
            figures |= {f"missing at {name}": gap.missing, f"missing at {name} {LATER_SECONDS} s later":
                        self.later[name].missing, f"too many at {name}": gap.surplus,
                        f"of another state or lifetime at {name}": gap.other}
        return figures

    def check(self, stage, what, names="JKL"):
        """For the routers of these names. Of upstream's daemons only the figures are of interest."""
        stage.check_equal(f"{what}: all {self.wanted} sessions were made", self.wanted, self.made)
        for name, gap in self.gaps.items():
            if "ours" in stage.pair and name in names:
                stage.check(f"{what}: within {self.limit} s {name} has the same sessions, in the same states", not gap,
                            "no difference", f"{gap}; {LATER_SECONDS} s later {self.later[name]}")


def complete_within(limit, since, count, sources, targets):
    """Whether, so many seconds after the moment `since`, each target has all sessions that the sources have, `count`.

    Both are instances. Reading a table takes a second or two, in which a daemon gets its turn less often. So it is done
    when the kernels say that they have as many as they should, and, if that was too soon or never happens, when the
    time is up.
    """
    with contextlib.ExitStack() as stack:
        sizes = [stack.enter_context(Statistic(instance.namespace, SESSIONS)) for instance in {*sources, *targets}]

        def all_there():
            return all(size.read() == count for size in sizes)

        poll(all_there, patience=since + limit - time.monotonic(), pause=0.02)
        moment, gaps, made = _look(since, sources, targets)
        if any(gaps.values()):
            time.sleep(max(0, since + limit - time.monotonic()))
            moment, gaps, made = _look(since, sources, targets)
        later = gaps
        if any(gaps.values()):
            poll(all_there, patience=LATER_SECONDS, pause=0.1)
            _, later, _ = _look(since, sources, targets)
    return Completeness(limit, count, made, gaps, later, None if any(gaps.values()) else moment)


def _look(since, sources, targets):
    """(when, gaps, how many sessions the sources have). The targets come first: theirs may still change."""
    moment = time.monotonic() - since
    tables = {instance: instance.all_sessions() for instance in dict.fromkeys((*targets, *sources))}
    wanted = {key: session for source in sources for key, session in tables[source].items()}
    return moment, {target.namespace.upper(): _gap(wanted, tables[target]) for target in targets}, len(wanted)


def _gap(wanted, got):
    return Gap(len(wanted.keys() - got.keys()), len(got.keys() - wanted.keys()),
               sum(not alike(wanted[key], got[key]) for key in wanted.keys() & got.keys()))
