"""Row G: the program itself. How soon it answers, what a run costs that finds nothing to do, how large it is.

The no-op runs are those of the pipeline bench/pipelines/sessions over a small lake that has everything already; each stage is a
process of its own, as a scheduler would call them, and one more is the whole chain.
"""

import json

from contest import Contest, Contestant, Goal, Row
from measure import Failed, Measured, run
from place import HERE, ROOT

PIPELINE = HERE / "pipelines" / "sessions"
STAGES = ["create-tables", "url-to-landing", "landing-to-raw", "raw-to-use-case", "raw-to-cassandra", "use-case-to-cassandra"]
SESSIONS = 20_000
HELP, CHECK, NO_OP = 0.020, 0.200, 1.0


class Answer(Contestant):
    """The program with arguments that need no lake."""

    def __init__(self, place, name, arguments):
        self.place, self.name, self.arguments = place, name, arguments

    def run(self):
        return self.place.sluice_run(*self.arguments, SESSION_EVENTS_URL="file:///nowhere")

    def result(self):
        return {}


class Size(Contestant):
    """The file of the program, and what is left of it without symbols."""

    name = "size of the program"

    def __init__(self, place):
        self.place = place

    def run(self):
        stripped = self.place.work / "stripped"
        run(["strip", "-o", stripped, self.place.sluice]).checked("strip")
        sizes = {"size": self.place.sluice.stat().st_size, "stripped": stripped.stat().st_size}
        stripped.unlink()
        return Measured(seconds=None, cpu=None, peak=None, output="", code=0, extra=sizes)

    def result(self):
        return {}


class NoOp(Contestant):
    """A stage that finds nothing to do, or (`run`) the whole chain."""

    def __init__(self, place, stage):
        self.place, self.name, self.stage = place, f"{stage}, nothing to do", stage
        self.report = None

    def run(self):
        measured = self.place.sluice_run(self.stage, PIPELINE, "--output", "json", **variables(self.place))
        self.report = json.loads(measured.output)
        return measured

    def result(self):
        return {"up_to_date": all(stage["outcome"] == "up_to_date" for stage in self.report["stages"])}


class AllStages(NoOp):
    """One stage after the other, as its own process."""

    def __init__(self, place):
        super().__init__(place, "all stages")

    def run(self):
        runs = []
        for stage in STAGES:
            one = NoOp(self.place, stage)
            runs.append(one.run())
            if not one.result()["up_to_date"]:
                raise Failed(f"{stage} found something to do")
        self.report = {"stages": []}
        total = {name: sum(getattr(one, name) for one in runs) for name in ("seconds", "cpu")}
        node = sum(one.node for one in runs) if runs[0].node is not None else None
        return Measured(peak=max(one.peak for one in runs), output="", code=0, node=node, **total)


def variables(place):
    return {
        "SESSION_EVENTS_URL": (place.work / "program" / "events.jsonl").as_uri(),
        "LAKE_URI": place.work / "program" / "lake",
        "CASSANDRA_KEYSPACE": place.keyspace("program"),
    }


class Program(Contest):
    def __init__(self, place):
        self.place = place
        contestants = [
            Answer(place, "sluice --help", ["--help"]),
            Answer(place, "sluice check", ["check", PIPELINE]),
            *(NoOp(place, stage) for stage in STAGES),
            AllStages(place),
            NoOp(place, "run"),
            Size(place),
        ]
        row = Row(
            key="program",
            letter="G",
            title="The program itself",
            goal="help in under 20 ms, check in under 200 ms, stages with nothing to do in under 1 s in all",
            contestants=contestants,
            goals=[
                Goal("seconds", "at_most", HELP, of="sluice --help"),
                Goal("seconds", "at_most", CHECK, of="sluice check"),
                Goal("seconds", "at_most", NO_OP, of="all stages, nothing to do"),
            ],
            ours="",
            extras={"size": ("size", "MB"), "stripped": ("without symbols", "MB")},
            setting='Every line is a process of its own; "all stages" is the sum of the six before it, "run" the whole chain.',
            compared="that every stage reported itself up to date.",
        )
        super().__init__([row])

    def setup(self):
        place, row = self.place, self.rows[0]
        place.need_node()
        place.folder("program")
        sessions = place.size(SESSIONS)
        generator = [
            place.program("session-events-file"),
            "--out",
            place.work / "program" / "events.jsonl",
            "--sessions",
            sessions,
        ]
        run(generator).checked("session-events-file")
        place.sluice_run("run", PIPELINE, **variables(place))
        row.input = f"The pipeline {PIPELINE.relative_to(ROOT)} over {2 * sessions:,} events that were all loaded before."


def contests(place):
    return [Program(place)]
