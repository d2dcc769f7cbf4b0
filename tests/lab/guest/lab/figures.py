"""Figures of several runs of one scenario side by side, as a table for the documentation."""

NOTE = "In parentheses: ours as a share of upstream's. Emulated processor: ratios travel, times do not."


def show(scenario, runs, bases, *notes):
    """`runs` is {title: {what was measured: number, or text}}, in the order of the columns, and `bases` is
    {title: title of the run that it is compared with}. `notes` stand for the usual one."""
    runs = {title: figures for title, figures in runs.items() if figures}
    if not runs:
        return
    titles = list(runs)
    rows = list(dict.fromkeys(name for figures in runs.values() for name in figures))
    lines = [["", *titles]] + [[name, *(_cell(runs[title].get(name), runs.get(bases.get(title), {}).get(name))
                                        for title in titles)] for name in rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(titles) + 1)]
    lines.insert(1, ["-" * width for width in widths])
    print(f"\nFigures of {scenario}. {' '.join(notes) or NOTE}\n")
    for line in lines:
        print("| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths)) + " |")
    print()


def _cell(value, base):
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    text = f"{value:,}" if isinstance(value, int) else f"{value:,.1f}"
    return f"{text} ({value / base:.2f})" if isinstance(base, (int, float)) and base else text
