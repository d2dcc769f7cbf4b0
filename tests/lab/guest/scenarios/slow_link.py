"""100,000 sessions advertised over a link that is too narrow for them: what arrives in the end; only on request"""

import time

from lab.advertisement import advertise, counted
from lab.crowd import fill
from lab.weather import narrow

DAEMONS = "compared"
ON_REQUEST = True
RUNS = {
    "ours": ("ours/ours", {}),
    "upstream": ("upstream/upstream", {}),
}
BASES = {}
NOTES = ("Until K's kernel takes sessions no more.",)

COUNT = 100000
# An emulated J advertises at some 6 Mbit/s if nothing holds it up; the queue has room for ten datagrams.
MBIT, QUEUE_KB = 2, 16


def run(stage):
    stage.add_instances()
    fill("j", COUNT)
    at_j, at_k = stage.start_pair()
    with narrow(MBIT, QUEUE_KB) as weather:
        start = time.monotonic()
        advertise(stage, COUNT)
        seconds = time.monotonic() - start
        lost, kilobytes = weather.lost(), weather.kilobytes()
    figures = counted(stage, at_j, at_k)
    check(stage, figures, lost)
    return {"datagrams lost on the link": lost, "kB on the link": kilobytes, "seconds until quiet": seconds} | figures


def check(stage, figures, lost):
    """Of upstream's daemons only the figures are of interest."""
    stage.check_equal(f"J has {COUNT} sessions", COUNT, figures["sessions at J"])
    if "ours" not in stage.pair:
        # Whoever sends as fast as it can shows that the link is too narrow for that; ours may well mind its width.
        stage.check(f"the link is too narrow for them ({lost} datagrams lost)", lost > 0, "some lost", lost)
        return
    stage.check_equal(f"nothing of {COUNT} advertised sessions is missing at K", 0, figures["sessions missing at K"])
    stage.check_equal("K has no session that J has not", 0, figures["sessions at K that J has not"])
