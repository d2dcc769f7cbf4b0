"""A document whose programs are run to the letter.

The word behind `sh` tells where: on-j, on-k, on-both, on-host4, on-host6. Further words: `needs-archive` for what takes
Debian's archive, which the machine does not reach; `background` for what runs until the end; `shows:TEXT` for what
its output has, sooner or later (`_` stands for a space). What is to be done by hand is a line that begins in bold.
"""

import collections

# `places` of a program, `text` of what is done by hand; the other one is None.
Step = collections.namedtuple("Step", "places text words")


def steps(document):
    """All programs, and all lines that begin in bold, in their order."""
    lines = iter(document.splitlines())
    for line in lines:
        if line.startswith("```sh "):
            place, *words = line.removeprefix("```sh ").split()
            yield Step(_places(place), "\n".join(_until_fence(lines)), words)
        elif line.startswith("```"):
            for _ in _until_fence(lines):
                pass
        elif line.startswith("**"):
            yield Step(None, line.split("**")[1], [])


def _places(word):
    place = word.removeprefix("on-")
    return ("j", "k") if place == "both" else (place,)


def _until_fence(lines):
    for line in lines:
        if line.startswith("```"):
            return
        yield line


def shown(step):
    """What the output of a step has, if that is said."""
    texts = [word.removeprefix("shows:").replace("_", " ") for word in step.words if word.startswith("shows:")]
    return texts[0] if texts else None
