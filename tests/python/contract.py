"""The document of an API held against the API, by programs of others (tests/it/api/contract.rs).

    contract.py URL KNOWN   the key is in the variable API_KEY; KNOWN is JSON: a list of parameters that rows are found by

openapi-spec-validator looks at the document; schemathesis makes requests of it, right ones and wrong ones, and holds each answer against
it with all of its checks. One line of JSON on stdout; what schemathesis found is on stderr.

What OpenAPI cannot say, requests that should be right are mended for (`before_call`): which parameters exclude or need each other is said
in words in the document, and a cursor cannot be guessed: every third request is of a second page, with the cursor of the first. Requests that
should be wrong are sent as they are.
"""

import collections
import datetime
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import urllib.error
import urllib.parse
import urllib.request

import schemathesis

DOCUMENT, KNOWN, URL, CURSORS = "CONTRACT_DOCUMENT", "CONTRACT_KNOWN", "CONTRACT_URL", "CONTRACT_CURSORS"
AGES = ("hours", "days")


def later(bound):
    """A bound after this one, near enough for any range; None where there is none."""
    try:
        if isinstance(bound, int) or re.fullmatch(r"-?\d+", bound):
            return int(bound) + 1
        if len(bound) == 10:
            return str(datetime.date.fromisoformat(bound) + datetime.timedelta(days=1))
        return (datetime.datetime.fromisoformat(bound) + datetime.timedelta(hours=1)).isoformat()
    except (ValueError, OverflowError):
        return None


def mend_range(given, fixed):
    """Leaves an age, or bounds of which one is after the other. What is in the path is there to stay."""
    in_path = [name for name in (*AGES, "from", "to") if name in fixed]
    kept = in_path or [name for name in AGES if name in given][:1]
    if any(name in AGES for name in kept):
        for name in (*AGES, "from", "to"):
            if name not in kept:
                given.pop(name, None)
        return
    for name in AGES:
        given.pop(name, None)
    if "from" in fixed:
        # Values of a path are escaped already, and an escaped instant is none to who looks at it again.
        given["from"] = given["from"][:10]
    if "from" in given and (after := later(given["from"])) is not None:
        given["to"] = after
    elif "from" not in fixed:
        given.pop("from", None)
        given.pop("to", None)


def next_page(path, query):
    """The cursor of the page after the one of this request; None where it is the last, or the request is not answered."""
    # Values of a path are escaped already.
    address = f"{os.environ[URL]}{path}?{urllib.parse.urlencode({**query, 'limit': 1})}"
    asked = urllib.request.Request(address, headers={"X-API-Key": os.environ["API_KEY"]})
    try:
        with urllib.request.urlopen(asked) as answer:
            return json.load(answer)["next"]
    except urllib.error.HTTPError as error:
        if error.code >= 500:
            raise
        return None


counts = collections.Counter()


@schemathesis.hook
def before_call(context, case, **kwargs):
    if case.meta is None or not case.meta.generation.mode.is_positive:
        return
    document = json.loads(pathlib.Path(os.environ[DOCUMENT]).read_text())
    operation = document["paths"][case.operation.path]["get"]
    parameters = {parameter["name"]: parameter for parameter in operation.get("parameters", [])}
    fixed = {name for name, parameter in parameters.items() if parameter["in"] == "path"}
    path, query = dict(case.path_parameters or {}), dict(case.query or {})
    given = path | query
    given.pop("cursor", None)
    # Every second one is of rows that there are.
    counts[case.operation.label] += 1
    known = json.loads(os.environ[KNOWN])
    if counts[case.operation.label] % 2:
        row = known[counts[case.operation.label] // 2 % len(known)]
        for name, value in row.items():
            if name in fixed:
                given[name] = urllib.parse.quote(str(value), safe="")
            elif name in given:
                given[name] = value
    mend_range(given, fixed)
    if "is needed" in operation.get("description", "") and not any(name in given for name in (*AGES, "from")):
        given["hours"] = 24
    for name, parameter in parameters.items():
        needed = re.search("together with `(.*?)`", parameter.get("description", ""))
        if needed and needed[1] not in given:
            given.pop(name, None)
    case.path_parameters = {name: value for name, value in given.items() if name in fixed}
    case.query = {name: value for name, value in given.items() if name not in fixed}
    if "cursor" in parameters and counts[case.operation.label] % 3 == 1:
        path = case.operation.path.format(**case.path_parameters)
        cursor = next_page(path, {name: value for name, value in case.query.items() if name != "limit"})
        if cursor is not None:
            case.query["cursor"] = cursor
            with open(os.environ[CURSORS], "a") as used:
                used.write(f"{case.operation.label}\n")


def main():
    from openapi_spec_validator import OpenAPIV31SpecValidator, validate

    url, known = sys.argv[1:]
    key = os.environ["API_KEY"]
    asked = urllib.request.Request(f"{url}/openapi.json", headers={"X-API-Key": key})
    with urllib.request.urlopen(asked) as answer:
        text = answer.read()
    validate(json.loads(text), cls=OpenAPIV31SpecValidator)
    with tempfile.TemporaryDirectory() as folder:
        document, report, cursors = (pathlib.Path(folder, name) for name in ("openapi.json", "report.json", "cursors"))
        cursors.touch()
        document.write_bytes(text)
        arguments = [
            # The same requests each time. One worker: hypothesis has Python parse its own source, which 3.11 before 3.11.8 cannot do on two
            # threads at a time ("AST constructor recursion depth mismatch", python/cpython#106905).
            *("--generation-deterministic", "--max-examples", "8", "--workers", "1", "--continue-on-failure"),
            *("--checks", "all", "--phases", "examples,coverage,fuzzing"),
            *("--url", url, "--header", f"X-API-Key: {key}", "--report-json-path", str(report), "--no-color"),
        ]
        program = pathlib.Path(sys.executable).with_name("schemathesis")
        environment = os.environ | {
            "SCHEMATHESIS_HOOKS": pathlib.Path(__file__).stem,
            "PYTHONPATH": str(pathlib.Path(__file__).parent),
            "PYTHONDONTWRITEBYTECODE": "1",
            DOCUMENT: str(document),
            KNOWN: known,
            URL: url,
            CURSORS: str(cursors),
        }
        ended = subprocess.run(
            [program, "run", document, *arguments], cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        sys.stderr.write(ended.stdout)
        said = json.loads(report.read_text())
        second_pages = collections.Counter(cursors.read_text().splitlines())
    accepted = {
        operation: sum(phase["accepted"] for phase in phases.values()) for operation, phases in said["valid_rates"].items()
    }
    print(
        json.dumps(
            {
                "complete": said["complete"],
                "operations": said["operations"],
                "cases": said["test_cases"]["generated"],
                "failures": said["failures"],
                "errors": said["errors"],
                "accepted": accepted,
                "second_pages": second_pages,
            }
        )
    )


if __name__ == "__main__":
    main()
