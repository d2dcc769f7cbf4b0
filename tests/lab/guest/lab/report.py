"""What was checked, and how it ended. Nothing counts as passed that was not checked."""

import collections


class Report:
    def __init__(self):
        self.passed = 0
        self.failed = 0
        # Per scenario and column: [passed, failed].
        self._cells = collections.OrderedDict()

    def check(self, scenario, column, text, good, expected, seen):
        """Prints one line, and for a failure what was expected and seen. Returns whether it was good."""
        good = bool(good)
        cell = self._cells.setdefault(scenario, {}).setdefault(column, [0, 0])
        cell[0 if good else 1] += 1
        self.passed += good
        self.failed += not good
        print(f"{'ok  ' if good else 'FAIL'} {column}: {text}")
        if not good:
            detail("expected", expected)
            detail("seen", seen)
        return good

    def summary(self, left_out):
        print("\nChecks that passed of all, by scenario and by the daemons at J/K:")
        for scenario, cells in self._cells.items():
            print(f"  {scenario}")
            for column, (passed, failed) in cells.items():
                print(f"    {column:28} {passed}/{passed + failed}{'   FAILED' if failed else ''}")
        for name in left_out:
            print(f"  {name}: left out, no pair was asked for that has a daemon under test")
        print(f"{self.passed} passed, {self.failed} failed")


def detail(title, text):
    print(f"     | {title}:")
    for line in str(text).rstrip("\n").split("\n"):
        print(f"     |   {line}")
