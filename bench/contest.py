"""Who is measured against whom, in which order, and what counts as right, as fast and as a goal that was met.

A contest warms up (one round that is not counted), then lets its contestants take turns, `repeat` rounds, each round beginning
with another of them. Where one run of a contestant takes more than SLOW seconds its first run is not thrown away: it counts,
and the contestant runs once less. After every run its result is compared with the truth of the row, which was computed from the
input by other means: a contestant with one wrong result is wrong, whatever its times.

A contest has one row or several: rows that follow one another in the same round (load; again with nothing new; one more day).
Making a contest costs nothing and needs nothing; `setup` makes its inputs, `teardown` removes them.
"""

import statistics
import sys
import traceback
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from measure import Failed
from peers import NotAvailable

SLOW = 60
OK, WRONG, FAILED, MISSING = "ok", "wrong", "failed", "missing"
# Of the metrics that every run has: what a smaller value means is the same for all of them.
METRICS = {"seconds": "wall time", "cpu": "processor time", "peak": "peak memory", "node": "processor time of the Cassandra node"}
FASTEST = "*"


class Contestant:
    """One program on one row. `prepare` brings what a run begins with and is not timed; `run` is what is measured; `result` says
    what came of it, as a dictionary with at least the keys of the row's truth."""

    name = ""
    version = ""
    # Said in the row: how it was tuned, what it does not do.
    note = ""

    def available(self):
        """Raises NotAvailable where it cannot run here. Asked once, before anything else; a good place to install it."""

    def prepare(self):
        pass

    def run(self):
        raise NotImplementedError

    def result(self):
        raise NotImplementedError


@dataclass
class Goal:
    """What was to be reached.

    kind      `at_most`, `at_least`: the median of a metric against a figure; `ratio_at_most`, `ratio_at_least`: the median of one
              contestant over the median of another
    of, to    contestants: whose figure, over whose. Left out: the row's `ours`, over its `baseline`. With a `*` in it, as in
              "DSBulk*", it is the valid one of these that did best; FASTEST is any but `of`
    """

    metric: str
    kind: str
    limit: float
    of: str | None = None
    to: str | None = None
    # Instead of the sentence that is made of the above.
    text: str | None = None
    # Also against one whose result is wrong: whoever does not do all of the work should not be slower for it.
    of_wrong: bool = False


@dataclass
class Row:
    """A line of the scorecard.

    goal       the goal as the plan has it, in a sentence
    ours       the name of Sluice's contestant
    baseline   the rival that the goal names
    extras     metrics beside the common ones, as name -> (heading, unit): taken from Measured.extra
    compared   what was compared for correctness, in a sentence
    setting    in what state the run begins: cold, warm, what is on disk
    """

    key: str
    letter: str
    title: str
    goal: str
    contestants: list
    baseline: str | None = None
    goals: list = field(default_factory=list)
    ours: str = "Sluice"
    extras: dict = field(default_factory=dict)
    compared: str = ""
    setting: str = ""
    # Set by the contest's setup: what every contestant's result() has to say.
    truth: dict = field(default_factory=dict)
    # A sentence on the input, with its true numbers; set by the contest's setup where it depends on the size.
    input: str = ""
    # The metrics of the picture: by default wall time and memory.
    plotted: list = field(default_factory=list)
    # Whether runs are so slow or so alike that a round to warm up is of no use.
    warm_up: bool = True
    # Where one run or two say all there is to say.
    most_runs: int | None = None
    records: dict = field(default_factory=dict)


@dataclass
class Record:
    """What came of one contestant in one row."""

    name: str
    version: str = ""
    note: str = ""
    state: str = OK
    reason: str = ""
    runs: list = field(default_factory=list)
    result: dict = field(default_factory=dict)


class Contest:
    """Rows whose contestants take turns together; the n-th contestants of all rows are one program."""

    def __init__(self, rows):
        self.rows = rows

    def keep(self, names):
        """Leaves out all contestants but these: `DSBulk` is all whose name has that before its comma."""
        for row in self.rows:
            row.contestants = [contestant for contestant in row.contestants if contestant.name.partition(",")[0] in names]

    def needs(self, row, wanted):
        """Whether a row that nobody asked for has to run for those that were: rows of one contest follow one another."""
        keys = [each.key for each in self.rows]
        return any(key in wanted for key in keys[keys.index(row.key) :])

    def setup(self):
        """Makes inputs and truth."""

    def teardown(self):
        """Removes what setup and the runs left, but for what the place removes by itself."""

    def run(self, repeat):
        """Setup, warm-up, rounds, teardown; the rows have their records afterwards."""
        try:
            self.setup()
            turns = [turn for turn in zip(*(row.contestants for row in self.rows)) if self.is_available(turn)]
            slow = set()
            repeat = min([repeat, *(row.most_runs for row in self.rows if row.most_runs)])
            warm_up = all(row.warm_up for row in self.rows)
            for number in range(0 if warm_up else 1, repeat + 1):
                for turn in turns[number % len(turns) :] + turns[: number % len(turns)] if turns else []:
                    if number == repeat and id(turn) in slow and warm_up:
                        continue
                    measured = self.take_turn(turn, number)
                    if number == 0 and any(run.get("seconds", 0) > SLOW for run in measured.values()):
                        slow.add(id(turn))
                    if number == 0 and id(turn) not in slow:
                        for row, contestant in zip(self.rows, turn):
                            row.records[contestant.name].runs.clear()
        finally:
            try:
                self.teardown()
            except Exception as error:  # it must not hide what went wrong before
                say(f"{self.rows[0].letter}: not all is removed: {error}")

    def is_available(self, turn):
        missing = None
        try:
            turn[0].available()
        except NotAvailable as error:
            missing = str(error)
            say(f"{turn[0].name}: {missing}")
        for row, contestant in zip(self.rows, turn):
            record = Record(contestant.name, contestant.version, contestant.note)
            if missing:
                record.state, record.reason = MISSING, missing
            row.records[contestant.name] = record
        return not missing

    def take_turn(self, turn, number):
        """One program through all rows of a round. After a row that went wrong the rest of the turn is left out."""
        measured = {}
        for row, contestant in zip(self.rows, turn):
            record = row.records[contestant.name]
            if any(each.records[contestant.name].state != OK for each in self.rows[: self.rows.index(row)]):
                fail(record, "not run, since the row that it goes on from went wrong")
            if record.state != OK:
                return measured
            try:
                contestant.prepare()
                run = contestant.run()
                result = contestant.result()
            except Failed as error:
                fail(record, str(error))
            except Exception as error:  # a benchmark of many rows goes on with the others
                traceback.print_exc()
                fail(record, f"{type(error).__name__}: {error}")
            else:
                record.version = contestant.version
                record.result = result
                record.runs.append(as_run(run))
                measured[row.key] = record.runs[-1]
                differences = [
                    f"{name} is {result.get(name)} instead of {value}"
                    for name, value in row.truth.items()
                    if result.get(name) != value
                ]
                if differences:
                    record.state, record.reason = WRONG, "; ".join(differences)
                turn_of = f"round {number}" if number else "warm-up"
                say(f"{row.letter} {contestant.name}, {turn_of}: {said(run)}{', WRONG: ' + record.reason if differences else ''}")
                continue
            say(f"{row.letter} {contestant.name}: {record.reason}")
            return measured
        return measured


def said(run):
    if run.seconds is None:
        return ", ".join(f"{name} {value}" for name, value in run.extra.items())
    return f"{run.seconds:.2f} s, {run.peak / 1e6:.0f} MB"


def fail(record, reason):
    record.state, record.reason = FAILED, reason


def as_run(measured):
    run = {"seconds": measured.seconds, "cpu": measured.cpu, "peak": measured.peak, "node": measured.node}
    return {name: value for name, value in {**run, **measured.extra}.items() if value is not None}


def median(record, metric, of_wrong=False):
    """Of a record as it stands in the JSON file; None where it has no valid figure."""
    values = [run[metric] for run in record["runs"] if metric in run]
    is_valid = record["state"] == OK or of_wrong and record["state"] == WRONG
    return statistics.median(values) if is_valid and values else None


def judged(row, records):
    """The goals of a row, each with the sentence, the value that was reached and whether that meets it (None: not measured)."""
    return [judge(row, Goal(*goal) if isinstance(goal, tuple) else goal, records) for goal in row.goals]


def judge(row, goal, records):
    of = goal.of or row.ours
    is_ratio = goal.kind.startswith("ratio")
    least = goal.kind.endswith("at_least")
    to = goal.to or row.baseline
    if is_ratio and "*" in (to or ""):
        rivals = [record for name, record in records.items() if name != of and fnmatchcase(name, to)]
        values = {record["name"]: value for record in rivals if (value := median(record, goal.metric)) is not None}
        to = (max if least else min)(values, key=values.get) if values else None
    value = median(records[of], goal.metric) if of in records else None
    if is_ratio:
        other = median(records[to], goal.metric, goal.of_wrong) if to in records else None
        value = value / other if value is not None and other else None
    met = None if value is None else (value >= goal.limit if least else value <= goal.limit)
    return {
        "metric": goal.metric,
        "kind": goal.kind,
        "limit": goal.limit,
        "of": of,
        "to": to if is_ratio else None,
        "text": goal.text,
        "value": value,
        "met": met,
    }


def say(line):
    print(line, file=sys.stderr, flush=True)
