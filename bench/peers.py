"""Brings the programs that Sluice is measured against into a cache outside the repository, and says how to call them.

Versions are pinned in peers/LIST.txt (Python) and peers/NAME/pom.xml (the JVM's jars); the cache is shared by all clones and made
anew when such a file changes. Whatever cannot be had raises NotAvailable with the reason, which then stands in the scorecard.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent


class NotAvailable(Exception):
    """A peer cannot be had on this machine."""


def cache():
    folder = os.environ.get("SLUICE_CACHE_DIR")
    return Path(folder) if folder else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sluice"


def made_once(name, pinned, make):
    """The folder of the cache that `make(folder)` fills, unless it did so for the same pinned text before."""
    digest = hashlib.sha256(pinned.encode()).hexdigest()[:12]
    folder = cache() / f"{name}-{digest}"
    if (folder / "ready").exists():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with open(f"{folder}.lock", "w") as lock:
        # Another benchmark may be at it, or have ended it meanwhile.
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "ready").exists():
            print(f"fetching {name}, once", file=sys.stderr, flush=True)
            shutil.rmtree(folder, ignore_errors=True)
            make(folder)
            (folder / "ready").touch()
    return folder


def installed(command, what):
    try:
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    except OSError as error:
        raise NotAvailable(f"{what}: {error}") from error
    if done.returncode:
        raise NotAvailable(f"{what}: {command[0]} ended with {done.returncode}: {(done.stderr or done.stdout).strip()[-500:]}")


def environment_of(name, path):
    packages = path.read_text()

    def make(folder):
        installed([sys.executable, "-m", "venv", folder], f"an environment for {name}")
        pip = [folder / "bin" / "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement", path]
        installed(pip, f"the packages of {path.name}")

    return made_once(name, packages, make) / "bin" / "python"


def python(list_name):
    """The path of a Python that has the packages of peers/LIST_NAME.txt."""
    path = HERE / "peers" / f"{list_name}.txt"
    if not path.exists():
        raise NotAvailable(f"there is no list of packages {path.name} in bench/peers")
    return environment_of(f"bench-{list_name}", path)


def tools(name="data-tools.txt"):
    """A Python with the packages of a list in scripts/, shared with other scripts; by default those that look at results."""
    return environment_of("tools", HERE.parent / "scripts" / name)


def versions(list_name):
    """What peers/LIST_NAME.txt pins, as name -> version."""
    return pinned(HERE / "peers" / f"{list_name}.txt")


def pinned(path):
    lines = path.read_text().splitlines()
    return dict(line.split("==") for line in lines if "==" in line and not line.startswith("#"))


def java():
    found = Path(os.environ["JAVA_HOME"]) / "bin" / "java" if os.environ.get("JAVA_HOME") else shutil.which("java")
    if not found or not Path(found).exists():
        raise NotAvailable("there is no Java: install a JDK of version 17 or 21, or set JAVA_HOME")
    return Path(found)


def jars(name):
    """The jars that peers/NAME/pom.xml asks for, with those that they need."""
    pom = HERE / "peers" / name / "pom.xml"
    java()
    if not shutil.which("mvn"):
        raise NotAvailable("there is no mvn, which fetches the jars: install Maven")

    def make(folder):
        folder.mkdir(parents=True)
        command = ["mvn", "--batch-mode", "--quiet", "--file", pom, "dependency:copy-dependencies"]
        target = [f"-DoutputDirectory={folder}", "-DincludeScope=runtime", "-Dmdep.overWriteReleases=false"]
        installed(command + target, f"the jars of {name}")

    return sorted(made_once(f"bench-{name}-jars", pom.read_text(), make).glob("*.jar"))


def artifact(jar):
    """The name of a jar without its version: `delta-spark_4.2_2.13` of `delta-spark_4.2_2.13-4.4.0.jar`."""
    words = jar.stem.split("-")
    return "-".join(words[: next((at for at, word in enumerate(words) if at and word[:1].isdigit()), len(words))])


def spark():
    """What a script on Spark with Delta and the Cassandra connector needs: `python`, `jars` (for spark.jars) and `env`.

    The jars are those that the pyspark wheel lacks: what it has is newer than what the connector asks for.
    """
    home = java().resolve().parent.parent
    interpreter = python("spark")
    own = {artifact(jar) for jar in interpreter.parent.parent.glob("lib/python*/site-packages/pyspark/jars/*.jar")}
    if not own:
        raise NotAvailable("the pyspark wheel has no jars")
    more = [jar for jar in jars("spark") if artifact(jar) not in own]
    env = {**os.environ, "SPARK_LOCAL_IP": "127.0.0.1", "JAVA_HOME": str(home), "PYSPARK_PYTHON": str(interpreter)}
    return {"python": interpreter, "jars": ",".join(map(str, more)), "env": env}


def dsbulk():
    """The command that DSBulk's own arguments follow."""
    found = jars("dsbulk")
    return [java(), "-Xmx1g", "-cp", ":".join(map(str, found)), "com.datastax.oss.dsbulk.runner.DataStaxBulkLoader"]
