"""Renders the scorecard: docs/benchmarks.md and a picture of each row, from the JSON file alone.

So the page can be made again without measuring anything (bench/run --render), and rows of several runs stand on one page, each
with its own date, commit and machine. Whoever was wrong, failed or could not be had is listed as that, without times.
"""

import statistics
from html import escape

from contest import FAILED, METRICS, MISSING, OK, WRONG, median

BEGINNING = """# Benchmarks

Sluice and what people would use instead, on the same input, in turn, in the same run. This page is written by `make bench` from
[benchmarks.json]({json}), which has every single run; `bench/run --list` names the rows, `bench/run --only KEY` measures one
anew. What counts is the ratio within a row: absolute figures are those of one machine.

- *Wall* is around the whole process, from its start to its end: a JVM's start is in it, and Python's imports.
- *CPU* is user and system time of all its processes. *Node CPU* is what Cassandra used meanwhile: it shares the cores.
- *Memory* is the peak of the resident memory of all its processes together.
- *n* is the number of runs that count. One more, before them, warms up; whoever takes more than a minute has none of these.
- Each result was compared with what was computed from the input by other means. A wrong result has no times.
"""
STATES = {WRONG: "**wrong**", FAILED: "failed", MISSING: "could not be had"}
# Of every metric that a run may have by itself: heading, unit.
COMMON = {"seconds": ("wall", "s"), "cpu": ("CPU", "s"), "node": ("node CPU", "s"), "peak": ("memory", "MB")}
SMALLER_IS_BETTER = "less is better"


def markdown(document, pictures, json_name):
    rows = list(document["rows"].values())
    lines = [BEGINNING.format(json=json_name)]
    lines += ["## Goals", "", "| | row | goal | reached | |", "|---|---|---|---|---|"]
    for row in rows:
        for goal in row["goals"]:
            lines.append(
                f"| {row['letter']} | [{row['title']}](#{anchor(row)}) | {goal_text(row, goal)} | {reached(row, goal)}"
                f" | {verdict(goal)} |"
            )
        if not row["goals"]:
            lines.append(f"| {row['letter']} | [{row['title']}](#{anchor(row)}) | {row['goal'] or '-'} | | |")
    for row in rows:
        lines += ["", *section(row, pictures)]
    return "\n".join(lines) + "\n"


def anchor(row):
    """As GitHub makes it of the heading."""
    heading = f"{row['letter']}: {row['title']}".lower()
    return "".join(character for character in heading.replace(" ", "-") if character.isalnum() or character in "-_")


def section(row, pictures):
    machine, versions = row["machine"], row["versions"]
    lines = [f"## {row['letter']}: {row['title']}", ""]
    if row["small"]:
        lines += ["**A trial at a hundredth of the size: its figures mean nothing.**", ""]
    for sentence in (row["input"], row["setting"]):
        if sentence:
            lines += [sentence, ""]
    lines += [f"Goal: {row['goal']}", ""] if row["goal"] else []
    lines += [f"![{escape(row['title'])}]({pictures}/bench-{row['key']}.svg)", ""]
    lines += table(row)
    lines += [""]
    for goal in row["goals"]:
        lines.append(f"- {verdict(goal)}: {goal_text(row, goal)}; {reached(row, goal)}.")
    lines += [""] if row["goals"] else []
    notes = [f"- {record['name']}: {record['note']}" for record in row["records"] if record["note"]]
    wrong = {}
    for record in row["records"]:
        if record["state"] != OK:
            wrong.setdefault(f"{STATES[record['state']]}, {one_line(record['reason'])}", []).append(record["name"])
    wrong = [f"- {'; '.join(names)}: {reason}" for reason, names in wrong.items()]
    lines += [*notes, *wrong, ""] if notes or wrong else []
    if row["compared"]:
        lines += [f"Compared: {row['compared']}", ""]
    version = ", ".join(text if name in text else f"{name} {text}" for name, text in versions.items() if text != "unknown")
    lines.append(
        f"Measured on {row['date']} at commit {row['commit']}, profile {row['profile']}, by `{row['command']}`, on"
        f" {machine['cores']} cores ({machine['processor']}), {machine['memory'] / 2**30:.0f} GiB, {machine['system']}, load"
        f" {machine['load']} before; {version}."
    )
    return lines


def table(row):
    columns = columns_of(row)
    ours = next((record for record in row["records"] if record["name"] == row["ours"]), None)
    headings = [f"{heading}, {unit}" if unit else heading for heading, unit in columns.values()]
    headings += [f"wall and memory to those of {row['ours']}"] if ours else []
    lines = [f"| | n | {' | '.join(headings)} |", "|---|---|" + "---|" * len(headings)]
    for record in row["records"]:
        name = record["name"] + (f" {record['version']}" if record["version"] else "")
        if record["state"] != OK:
            lines.append(f"| {name} | | " + STATES[record["state"]] + " |" * max(len(headings), 1))
            continue
        cells = [spread(record, metric, columns[metric][1]) for metric in columns] + ([ratios(record, ours)] if ours else [])
        lines.append(f"| {name} | {len(record['runs'])} | {' | '.join(cells)} |")
    return lines


def columns_of(row):
    """What some run of the row has."""
    known = {**COMMON, **{name: tuple(extra) for name, extra in row["extras"].items()}}
    return {name: known[name] for name in known if any(name in run for record in row["records"] for run in record["runs"])}


def spread(record, metric, unit):
    values = sorted(in_unit(run[metric], unit) for run in record["runs"] if metric in run)
    if not values:
        return "-"
    if len(values) == 1 or number(values[0]) == number(values[-1]):
        return number(statistics.median(values))
    return f"**{number(statistics.median(values))}** ({number(values[0])} - {number(values[-1])})"


def ratios(record, ours):
    if record is ours:
        return ""
    found = []
    for metric in ("seconds", "peak"):
        mine, theirs = median(ours, metric), median(record, metric)
        found.append(f"{number(theirs / mine)} x" if mine and theirs else "-")
    return ", ".join(found) if any(text != "-" for text in found) else ""


def in_unit(value, unit):
    return value / 1e6 if unit == "MB" else value


def number(value):
    """Three digits that say something, and no more."""
    if value == 0:
        return "0"
    for bound, form in ((100, "{:,.0f}"), (10, "{:.1f}"), (1, "{:.2f}"), (0.1, "{:.3f}"), (0, "{:.4f}")):
        if abs(value) >= bound:
            return form.format(value)


def times(ratio):
    """A ratio as one says it: 1/20 of, 1.5 times."""
    if 0 < ratio < 0.5:
        return f"1/{1 / ratio:.3g} of"
    return f"{ratio:.3g} times"


def goal_text(row, goal):
    if goal["text"]:
        return goal["text"]
    heading, unit = heading_of(row, goal["metric"])
    bound = "at least" if goal["kind"].endswith("at_least") else "at most"
    of = "" if goal["of"] == row["ours"] else f"{goal['of']}: "
    if goal["kind"].startswith("ratio"):
        return f"{of}{heading} {bound} {times(goal['limit'])} that of {goal['to'] or 'the best rival'}"
    return f"{of}{heading} {bound} {number(in_unit(goal['limit'], unit))} {unit}".strip()


def reached(row, goal):
    if goal["value"] is None:
        return "not measured"
    if goal["kind"].startswith("ratio"):
        return times(goal["value"]) + (" it" if goal["value"] < 0.5 else "")
    _, unit = heading_of(row, goal["metric"])
    return f"{number(in_unit(goal['value'], unit))} {unit}".strip()


def heading_of(row, metric):
    """Name and unit of a metric in a sentence."""
    if metric in METRICS:
        return METRICS[metric], COMMON[metric][1]
    return tuple(row["extras"].get(metric, (metric, "")))


def verdict(goal):
    return "-" if goal["met"] is None else "met" if goal["met"] else "**missed**"


def one_line(text):
    text = " ".join(text.split()).replace("|", "/")
    return text if len(text) < 500 else f"{text[:150]} ... {text[-300:]}"


# --- Pictures ---------------------------------------------------------------------------------------------------------

STYLE = """
  text { font: 13px system-ui, -apple-system, 'Segoe UI', sans-serif; fill: #1f2328 }
  .title { font-weight: 600 } .quiet { fill: #59636e }
  .ours { fill: #0f766e } .theirs { fill: #9aa7b4 } .line { stroke: #1f2328; stroke-width: 1.5 } .ground { fill: #ffffff }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 } .quiet { fill: #9198a1 }
    .ours { fill: #2dd4bf } .theirs { fill: #57616c } .line { stroke: #e6edf3 } .ground { fill: #0d1117 }
  }"""
WIDTH, VALUE, BAR, GAP, PANEL = 760, 170, 20, 8, 30
# Of a character of a label, on average.
CHARACTER = 7


def picture(row):
    """An SVG: a panel for each metric that is plotted, a bar for each contestant; the bar is the median, the line min to max."""
    columns = columns_of(row)
    wanted = [metric for metric in row["plotted"] or ("seconds", "peak") if metric in columns]
    label = 30 + CHARACTER * max(len(record["name"]) for record in row["records"])
    parts, top = [], 10
    for metric in wanted:
        heading, unit = heading_of(row, metric)
        parts.append(f'<text class="title" x="10" y="{top + 14}">{escape(heading)}{", " + unit if unit else ""}</text>')
        top += PANEL - 6
        shown = [(record, [in_unit(run[metric], unit) for run in record["runs"] if metric in run]) for record in row["records"]]
        most = max((max(values) for record, values in shown if values and record["state"] == OK), default=0) or 1
        for record, values in shown:
            if values or record["state"] != OK:
                parts += bar(record, values, most, top, label, record["name"].startswith(row["ours"].partition(",")[0]))
                top += BAR + GAP
        top += 10
    title = f"{row['letter']}: {row['title']}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{top}" viewBox="0 0 {WIDTH} {top}" role="img">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}\n</style>\n"
        f'<rect class="ground" width="{WIDTH}" height="{top}" rx="6"/>\n' + "\n".join(parts) + "\n</svg>\n"
    )


def bar(record, values, most, top, label, is_ours):
    middle = top + BAR / 2
    yield f'<text x="{label - 10}" y="{middle + 4.5}" text-anchor="end">{escape(record["name"])}</text>'
    if record["state"] != OK:
        yield f'<text class="quiet" x="{label}" y="{middle + 4.5}">{STATES[record["state"]].strip("*")}</text>'
        return
    least, mid, top_value = min(values), statistics.median(values), max(values)
    room = WIDTH - label - VALUE

    def at(value):
        return round(label + room * value / most, 1)

    kind = "ours" if is_ours else "theirs"
    yield f'<rect class="{kind}" x="{label}" y="{top}" width="{max(at(mid) - label, 1):.1f}" height="{BAR}" rx="3"/>'
    if top_value > least:
        ends = f"M{at(least)} {middle - 5}v10M{at(top_value)} {middle - 5}v10"
        yield f'<path class="line" fill="none" d="M{at(least)} {middle}H{at(top_value)}{ends}"/>'
    text = number(mid) + (f" ({number(least)} - {number(top_value)})" if number(least) != number(top_value) else "")
    yield f'<text x="{at(max(top_value, mid)) + 8}" y="{middle + 4.5}">{text}</text>'
