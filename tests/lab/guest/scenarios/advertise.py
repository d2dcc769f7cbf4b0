"""20,000 sessions advertised to an empty K: with ours nothing is missing; figures beside upstream's"""

from lab.advertisement import measure

DAEMONS = "compared"
RUNS = {
    "ours": ("ours/ours", {}),
    "upstream": ("upstream/upstream", {}),
}
BASES = {"ours": "upstream"}


def run(stage):
    return measure(stage, 20000)
