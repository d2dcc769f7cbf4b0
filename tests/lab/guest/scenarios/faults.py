"""what goes wrong in a router's life: a table of how both daemons take it; only on request"""

from lab.crossing import Crossing, Meanwhile, add_up, at
from lab.crowd import TCP, fill
from lab.faults import FAULTS, TABLE, small_disk
from lab.process import memory_of
from lab.system import wait_until_quiet

DAEMONS = "compared"
ON_REQUEST = True
RUNS = {
    "ours": ("ours/ours", {}),
    "upstream": ("upstream/upstream", {}),
}
BASES = {}
NOTES = (
    "Recovered: from the fault's end until a new session has crossed each way.",
    "Missing: at the other router at the end, of the sessions made before, during, after.",
    "kB: by how much RssAnon of either daemon grew at most.",
)

# Sessions each way before the fault, and after it was recovered from.
BEFORE, AFTER = 10, 20
# Whoever has not recovered by then never does.
PATIENCE_SECONDS = 20
# Ours; an emulated processor is slow, and after some faults a large table is under way.
MOST_SECONDS, MOST_SECONDS_CROWDED = 5, 20
# A daemon takes its memory for refreshes, 0.5 MB with its own defaults, when it comes to use it.
MOST_KB = 600
# Longer than the module's timer and a refresh window.
QUIET_SECONDS = 3


def run(stage):
    stage.network.split()
    stage.add_instances()
    figures = {}
    with small_disk():
        for fault in FAULTS:
            if stage.only in fault.name:
                figures[fault.name] = measure(stage, fault)
                check(stage, fault, figures[fault.name])
                clean_up(stage, fault)
    return figures


def clean_up(stage, fault):
    """The next fault finds everything as the first did, whatever this one's daemons made of it."""
    stage.stop_daemons()
    if fault.crowded:
        stage.j.remove()
        stage.k.remove()
        stage.add_instances()
    elif fault.forgets:
        stage.j.set("ss-enabled", "true")
        stage.k.set("ss-enabled", "true")


def measure(stage, fault):
    stage.family = fault.family
    daemons = stage.start_pair(fault.netsocket, fault.modsocket, **fault.options)
    with Crossing(stage) as before, Crossing(stage) as first, Crossing(stage) as after:
        before.seconds_until_both(PATIENCE_SECONDS)
        before.make(BEFORE)
        stage.check_equal(f"{fault.name}: before it, nothing is missing", 0, before.missing()[0])
        known = before.crossed()
        if fault.crowded:
            fill("j", TABLE, [TCP])
        memory = [resident(daemon) for daemon in daemons]
        with Meanwhile(stage, fault.pause, fault.through) as during:
            fault.happen(stage)
            during.end()
            recovered = first.seconds_until_both(PATIENCE_SECONDS)
            after.make(AFTER)
            # Whoever never recovers is not waited for either.
            patience = {} if recovered else {"patience": 0}
            missing = {"after": after.missing(**patience), "during": during.missing(**patience)}
        if fault.crowded:
            missing["during"] = add_up(missing["during"], crowd(stage))
        missing["before"] = len(known - (at(stage.j) & at(stage.k))), len(known)
        return missing | {
            "recovered": recovered,
            "ended": any(daemon.process.poll() is not None for daemon in daemons),
            "logs again": logs(stage, fault, daemons[0]),
            "kB": max(resident(daemon) - kb for daemon, kb in zip(daemons, memory)),
        }


def resident(daemon):
    return memory_of(daemon.process.pid).get("RssAnon", 0)


def crowd(stage):
    """(missing at K, at J) of the sessions that were advertised: all that are TCP."""
    wait_until_quiet("K's kernel takes sessions no more", lambda: stage.k.statistics()["JOOLD_SSS_RCVD"], QUIET_SECONDS)
    wanted, got = (instance.sessions("tcp").keys() for instance in (stage.j, stage.k))
    return len(wanted - got), len(wanted)


def logs(stage, fault, daemon):
    """Whether ours logs after a fault of the log. Upstream's says nothing on request."""
    if not fault.silences or daemon.kind != "ours":
        return True
    return daemon.answers_by_log()


def check(stage, fault, measured):
    """Of upstream's daemon only the figures are of interest."""
    if "ours" not in stage.pair:
        return
    recovered, most = measured["recovered"], MOST_SECONDS_CROWDED if fault.crowded else MOST_SECONDS
    stage.check(f"{fault.name}: recovered within {most} s", recovered is not None and recovered <= most,
                f"at most {most} s", recovered)
    stage.check(f"{fault.name}: nothing is missing of what is made afterwards", no_loss(measured["after"]),
                "0 of some", measured["after"])
    if fault.harmless:
        stage.check(f"{fault.name}: nor of what is made meanwhile", no_loss(measured["during"]), "0 of some",
                    measured["during"])
    if not fault.forgets:
        stage.check(f"{fault.name}: nor of what was made before", no_loss(measured["before"]), "0 of some",
                    measured["before"])
    if fault.silences:
        stage.check(f"{fault.name}: our daemon logs again", measured["logs again"])
    stage.check(f"{fault.name}: no daemon grows by more than {MOST_KB} kB", measured["kB"] <= MOST_KB,
                f"at most {MOST_KB} kB", f"{measured['kB']} kB")


def no_loss(missing):
    return missing[0] == 0 and missing[1] > 0


def columns(figures):
    """Three for each daemon, as texts."""
    return {f"{title}: {name}": {fault: cell(measured) for fault, measured in (runs or {}).items()}
            for title, runs in figures.items() for name, cell in CELLS.items()}


def recovered_cell(measured):
    if measured["ended"]:
        return "ended"
    return "never" if measured["recovered"] is None else f"{measured['recovered']:.2f}"


def missing_cell(measured):
    return ", ".join(f"{missing:,}/{made:,}" for missing, made in map(measured.get, ("before", "during", "after")))


CELLS = {
    "recovered, s": recovered_cell,
    "missing": missing_cell,
    "kB": lambda measured: f"{measured['kB']:+}" if measured["kB"] else "0",
}
