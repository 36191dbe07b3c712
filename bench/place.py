"""Where a benchmark happens: programs, folders, the Cassandra node, sizes. Every row is handed one of these.

The node is the one that CASSANDRA_HOST names, else one of the benchmark's own that ends with it. Folders are made below `work`,
keyspaces begin with KEYSPACES and a number of this process; both are removed at the end.
"""

import json
import os
import platform
import re
import shutil
import subprocess
import time
from datetime import datetime, timezone
from pathlib import Path

import content
import measure
import peers

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
# What of the caller's environment would change what is measured.
OURS = ("ETL_DEBUG", "LAKE_URI", "CASSANDRA_KEYSPACE", "CASSANDRA_HOST", "CASSANDRA_PORT")
SMALLER = 100
# Of a core.
QUIET = 0.1


class Place:
    def __init__(self, sluice, programs, work, small=False):
        self.sluice = Path(sluice).resolve()
        self.programs = Path(programs).resolve()
        self.work = Path(work).resolve()
        self.small = small
        self.node = None
        self.node_pid = None
        self.own_node = False
        self.keyspaces = []
        self.variables = {name: value for name, value in os.environ.items() if name not in OURS}

    def size(self, rows):
        """So many rows; a hundredth of them where the benchmark only tries itself."""
        return max(1, rows // SMALLER) if self.small else rows

    def program(self, name):
        path = self.programs / name
        if not path.exists():
            raise measure.Failed(f"the program {name} is not there: make build makes it, or give --programs")
        return path

    def folder(self, name):
        """An empty folder of this name below work."""
        path = self.work / name
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir(parents=True)
        return path

    def keyspace(self, name):
        """A keyspace of this run, remembered so that it is dropped at the end."""
        keyspace = f"bench_{os.getpid()}_{name}"
        if keyspace not in self.keyspaces:
            self.keyspaces.append(keyspace)
        return keyspace

    def environment(self, **variables):
        """For a program of Sluice: the node, and what is given here."""
        node = {}
        if self.node:
            node = {"CASSANDRA_HOST": self.node[0], "CASSANDRA_PORT": str(self.node[1])}
        return {**self.variables, **node, **{name: str(value) for name, value in variables.items()}}

    def sluice_run(self, *arguments, timeout=3600, **variables):
        """`sluice ARGUMENTS`, measured, with the node's processor time beside it; ends in Failed where the program does."""
        command = [self.sluice, *arguments]
        measured = measure.run(command, self.environment(**variables), cwd=ROOT, timeout=timeout, beside=self.node_pid)
        return measured.checked(command)

    def look(self, *requests):
        """Answers of content.py."""
        return content.ask(peers.tools(), list(requests), self.node)

    def cql(self, *statements):
        return self.look({"cql": list(statements)})[0]

    def drop(self, keyspace):
        self.cql(f"DROP KEYSPACE IF EXISTS {keyspace}")
        if keyspace in self.keyspaces:
            self.keyspaces.remove(keyspace)

    def quiet_node(self, seconds=60):
        """Waits until the node has done what the run before left it to do (compaction), a minute at most."""
        deadline = time.monotonic() + seconds
        while self.node_pid and time.monotonic() < deadline:
            before = measure.processor_seconds(self.node_pid)
            time.sleep(1)
            if measure.processor_seconds(self.node_pid) - before < QUIET:
                return

    def need_node(self):
        """The node, started where the environment names none. Rows that use Cassandra call it in setup."""
        if self.node:
            return
        self.work.mkdir(parents=True, exist_ok=True)
        if os.environ.get("CASSANDRA_HOST"):
            self.node = (os.environ["CASSANDRA_HOST"], int(os.environ.get("CASSANDRA_PORT") or 9042))
        else:
            self.variables["SLUICE_DIR"] = str(self.work / "node")
            self.own_node = True
            # Not measured: whatever a measured command leaves running is ended.
            up = subprocess.run([self.sluice, "node", "up"], env=self.variables, capture_output=True, text=True, check=False)
            if up.returncode:
                raise measure.Failed(f"sluice node up ended with {up.returncode}:\n{up.stderr[-2000:]}")
            said = json.loads((self.work / "node" / "node.json").read_text())
            self.node = (said["host"], said["port"])
        self.node_pid = measure.listener(self.node[1])

    def leave(self):
        """Drops the keyspaces, ends the node where it is ours, removes the folders."""
        if self.node and self.keyspaces and not self.own_node:
            self.cql(*(f"DROP KEYSPACE IF EXISTS {keyspace}" for keyspace in self.keyspaces))
        if self.own_node:
            subprocess.run([self.sluice, "node", "down"], env=self.variables, stdout=subprocess.DEVNULL, check=False)
        shutil.rmtree(self.work, ignore_errors=True)


def first_line(command, codes=(0,), **more):
    try:
        said = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False, **more)
    except OSError:
        return "unknown"
    lines = (said.stdout or said.stderr).strip().splitlines()
    return lines[0] if said.returncode in codes and lines else "unknown"


def node_version():
    """That of the node that `sluice node` starts."""
    found = re.search(r"<artifactId>cassandra-all</artifactId>\s*<version>([^<]+)", (ROOT / "cassandra/src/node/pom.xml").read_text())
    return found[1] if found else "unknown"


def circumstances(place):
    """Machine, versions and commit: what stands with every row, since rows may be of several days."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine())
    system = "unknown system"
    if Path("/etc/os-release").exists():
        names = dict(line.split("=", 1) for line in Path("/etc/os-release").read_text().splitlines() if "=" in line)
        system = names.get("PRETTY_NAME", system).strip('"')
    return {
        "date": datetime.now(timezone.utc).strftime("%Y-%m-%d"),
        "commit": first_line(["git", "describe", "--always", "--dirty"], cwd=ROOT),
        "machine": {
            "cores": len(os.sched_getaffinity(0)),
            "processor": model,
            "memory": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
            "system": f"{system}, Linux {platform.release()}",
            "load": round(os.getloadavg()[0], 1),
        },
        "versions": {
            "sluice": first_line([place.sluice, "--version"]),
            "rustc": first_line(["rustc", "--version"]),
            "python": platform.python_version(),
            "java": first_line(["java", "-version"]),
            "cassandra": node_version(),
            "wrk": first_line(["wrk", "--version"], codes=(0, 1)).partition(" [")[0].removeprefix("wrk "),
        },
        "profile": place.sluice.parent.name,
        "small": place.small,
    }
