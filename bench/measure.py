"""Runs one command and says what it took: wall time, processor time and memory of its whole process tree.

A command runs in a session of its own, and its tree is every process of that session: also those whose parent ended early.
Processor time is what the kernel counted for the processes that were waited for; one that outlives the command is waited for here
(this process adopts orphans), or ended after GRACE seconds. Peak memory is the larger of two figures: the sum of the resident
memory of the tree, sampled every 20 ms, where the smaller of two samples in a row counts, since a process in the middle of a fork
is there twice for an instant; and what the kernel counted for the largest single process (ru_maxrss). Pages that processes share
count in each of them. The kernel's figure begins with the memory of this process, from which the command was forked: so nothing
that needs packages is imported here.
"""

import ctypes
import os
import signal
import subprocess
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

SAMPLE_SECONDS = 0.02
# The list of processes is made anew only so often: reading all of /proc costs a millisecond or two.
LIST_SECONDS = 0.25
GRACE = 15
PAGE = os.sysconf("SC_PAGE_SIZE")
TICKS = os.sysconf("SC_CLK_TCK")
ADOPT_ORPHANS = 36  # PR_SET_CHILD_SUBREAPER


class Failed(Exception):
    """A command ended with an error, or did not end in time."""


@dataclass
class Measured:
    """What a run took. `node` is the processor time that the process beside it used meanwhile; `extra` are figures that only the
    command itself knows, such as the seconds of a part; rows that need none leave it empty. What is None was not measured."""

    seconds: float | None
    cpu: float | None
    peak: int | None
    output: str
    code: int
    talk: str = ""
    node: float | None = None
    extra: dict = field(default_factory=dict)

    def checked(self, command="the command"):
        """Itself, or an error with the end of what the command said."""
        if self.code == 0:
            return self
        name = command if isinstance(command, str) else " ".join(map(str, command))
        raise Failed(f"{name[:300]} ended with {self.code}:\n{(self.talk or self.output)[-2000:].strip()}")


def run(command, env=None, cwd=None, timeout=None, beside=None):
    """Runs a command to its end. `beside` is the process id of another program whose processor time is wanted too."""
    ctypes.CDLL(None).prctl(ADOPT_ORPHANS, 1, 0, 0, 0)
    command = [str(part) for part in command]
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as talk:
        before = processor_seconds(beside) if beside else None
        started = time.monotonic()
        process = subprocess.Popen(
            command, env=env, cwd=cwd, stdin=subprocess.DEVNULL, stdout=output, stderr=talk, start_new_session=True
        )
        watch = Watch(process.pid, timeout)
        watch.start()
        try:
            _, status, usage = os.wait4(process.pid, 0)
        except BaseException:
            end_session(process.pid)
            raise
        finally:
            watch.done.set()
        seconds = time.monotonic() - started
        watch.join()
        # The process was waited for behind the back of Popen.
        process.returncode = os.waitstatus_to_exitcode(status)
        cpu = usage.ru_utime + usage.ru_stime
        peak = max(usage.ru_maxrss * 1024, watch.peak)
        for more in orphans(process.pid):
            cpu += more.ru_utime + more.ru_stime
            peak = max(peak, more.ru_maxrss * 1024)
        if watch.late:
            raise Failed(f"{' '.join(command)[:300]} did not end within {timeout} s")
        return Measured(
            seconds=seconds,
            cpu=cpu,
            peak=peak,
            output=text(output),
            code=process.returncode,
            talk=text(talk),
            node=processor_seconds(beside) - before if beside else None,
        )


class Watch(threading.Thread):
    """Samples the memory of a session until it is told that the command has ended; ends it where it takes too long."""

    def __init__(self, session, timeout):
        super().__init__(daemon=True)
        self.session = session
        self.deadline = time.monotonic() + timeout if timeout else None
        self.done = threading.Event()
        self.peak = 0
        self.late = False

    def run(self):
        members, listed, last = [self.session], time.monotonic(), 0
        while not self.done.wait(SAMPLE_SECONDS):
            now = time.monotonic()
            if now - listed > LIST_SECONDS:
                members, listed = of_session(self.session), now
            sample = sum(map(resident, members))
            self.peak = max(self.peak, min(sample, last))
            last = sample
            if self.deadline and now > self.deadline:
                self.late = True
                end_session(self.session)
                return


def of_session(session):
    """The processes of a session."""
    return [
        pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if (fields := stat(pid)) and int(fields[3]) == session
    ]


def stat(pid):
    """The fields of /proc/PID/stat behind the name, or None where there is no such process any more."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()
    except OSError:
        return None


def resident(pid):
    try:
        with open(f"/proc/{pid}/statm", "rb") as file:
            return int(file.read().split()[1]) * PAGE
    except (OSError, IndexError):
        return 0


def processor_seconds(pid):
    """User and system time of a process so far, all its threads together."""
    fields = stat(pid)
    if fields is None:
        raise Failed(f"process {pid} has ended")
    return (int(fields[11]) + int(fields[12])) / TICKS


def orphans(session):
    """Waits for what a command left running, and yields what each took."""
    deadline = time.monotonic() + GRACE
    while members := of_session(session):
        if time.monotonic() > deadline + GRACE:
            raise Failed(f"processes {members} of the command do not end")
        if time.monotonic() > deadline:
            end_session(session)
        for pid in members:
            try:
                waited, _, usage = os.wait4(pid, os.WNOHANG)
            except ChildProcessError:
                continue  # still somebody else's child
            if waited:
                yield usage
        time.sleep(SAMPLE_SECONDS)


def end_session(session):
    """Ends all processes of a session that this process began."""
    for pid in of_session(session):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


def listener(port):
    """The process that listens on a TCP port of this machine, or None: then it is another user's, or on another machine."""
    sockets = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        if not os.path.exists(table):
            continue
        for line in Path(table).read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and int(fields[1].rpartition(":")[2], 16) == port:
                sockets.add(f"socket:[{fields[9]}]")
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            for handle in os.scandir(f"/proc/{pid}/fd"):
                if os.readlink(handle.path) in sockets:
                    return int(pid)
        except OSError:
            continue
    return None


def text(file):
    file.seek(0)
    return file.read().decode(errors="replace")
