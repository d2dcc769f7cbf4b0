"""the same for 30 s; only on request"""

from lab.parting import NOTES, RUNS, part

DAEMONS = "compared"
ON_REQUEST = True
BASES = {}


def run(stage):
    return part(stage, seconds=30)
