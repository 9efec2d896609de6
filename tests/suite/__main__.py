"""Run the lanes side by side: `python -m tests.suite [LANE ...] [-- PYTEST ARGUMENT ...]`.

Lint is a lane too, and the first to begin; the next one builds what the others run. The tests of the cluster tooling run where
it has changed, and in CI. Says what it will do and how long it took last, how far each lane is, and at the end what failed, the
ten slowest tests and the counts. The output of each lane is kept in build/test; temporary files only of those that failed. Exit
codes: 0 all passed; 1 a lane failed; 2 no such lane; 5 no test was run; 130 interrupted, by Ctrl-C or a signal.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from tests import cluster, doubles, images
from tests.suite import history, results, tooling
from tests.suite.lanes import AT_ONCE, LANES, LINT, PROGRAMS, TESTS, TOOLING, WITHOUT_PROGRAMS, elsewhere
from tests.suite.results import Results

ROOT = TESTS.parent
OUTPUT = ROOT / "build" / "test"
PROGRESS_SECONDS = 30
WITHOUT_TESTS = {LINT: ["make", LINT], PROGRAMS: [sys.executable, "-m", "tests.suite.programs"]}
"""The commands of the lanes without tests, which begin first."""
LOOKED_UP_SECONDS = 10
"""How long the lane of programs takes at most if all are there. After that it builds some, and lanes that need none begin."""
ALL = "all of it"
"""What the whole run is called, beside its lanes."""
ENDING_SECONDS = 120
"""How long interrupted lanes may take to end their clusters."""
INTERRUPTED = 130
NO_TESTS = 5
"""Exit code of pytest where nothing was selected."""


@dataclass
class Lane:
    """A lane that runs."""

    name: str
    process: subprocess.Popen[bytes]
    began: float
    temporary: Path
    """The folder for temporary files of the lane. Programs that tests kill leave theirs behind, and some hold keys of clusters."""
    seconds: float | None = None
    """None as long as it runs."""

    @property
    def log(self) -> Path:
        return OUTPUT / f"{self.name}.log"

    @property
    def results(self) -> Results:
        return results.read(OUTPUT / f"{self.name}.xml")

    @property
    def failed(self) -> bool:
        """Whether it did not end well."""
        return self.process.returncode not in {0, NO_TESTS}

    def progress(self) -> str:
        """How far the lane is, by its own output."""
        said = self.log.read_text(errors="replace")
        if self.name == PROGRAMS:
            return f"({said.splitlines()[-1].strip(' >')})"
        found = re.findall(r"\[ *(\d+)%\]", said)
        return f"{found[-1]} %" if found else "begun"

    def outcome(self) -> str:
        """Its result, once it has ended."""
        if self.name in WITHOUT_TESTS:
            return "failed" if self.process.returncode else "passed"
        found = self.results
        return f"{found.passed} passed, {found.failed} failed, {found.skipped} skipped"

    def tidy(self) -> None:
        """Remove its temporary files. Some may be another user's, or may not be removed."""
        shutil.rmtree(self.temporary, ignore_errors=True)


def main(arguments: list[str]) -> int:
    """Run the named lanes, or all of them."""
    split = arguments.index("--") if "--" in arguments else len(arguments)
    names, options = arguments[:split] or list(LANES), arguments[split + 1 :]
    if unknown := [name for name in names if name not in LANES]:
        print(f"no such lane: {', '.join(unknown)}; there are {', '.join(LANES)}", file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    began = time.monotonic()
    tested = tooling.digest() if tooling.is_due() else ""
    announce(names)
    OUTPUT.mkdir(parents=True, exist_ok=True)
    lanes = [start(name, command) for name, command in WITHOUT_TESTS.items()]
    try:
        prepare()
        with contextlib.suppress(subprocess.TimeoutExpired):
            programs(lanes).process.wait(LOOKED_UP_SECONDS)
        run(names, options, lanes)
    except KeyboardInterrupt:
        return INTERRUPTED
    finally:
        end(lanes)
    code = report(lanes)
    if not options:  # a part of the tests says nothing of how long all take
        remember(lanes, time.monotonic() - began if set(names) == set(LANES) else None, tested)
    return code


def announce(names: list[str]) -> None:
    """What will be done, and how long it took last."""
    last = history.read()
    say(
        f"Running {len(names)} lanes of tests and lint, {AT_ONCE} at once; their output is in {OUTPUT.relative_to(ROOT)}/"
    )
    for name in (*WITHOUT_TESTS, *names, *([ALL] if set(names) == set(LANES) else [])):
        took = f"{minutes(last[name])} last time" if name in last else "not run on this machine yet"
        what = " ".join(f"tests/{path}" for path in paths_of(name)) or shlex.join(WITHOUT_TESTS.get(name, []))
        what = what.replace(sys.executable, "python")
        say(f"  {name:<12} {what} ({took})")


def prepare() -> None:
    """Build what several lanes need, so that none of them waits for another's build."""
    doubles.build()
    images.build(["operator", "scanner", "webapp", "worker"])


def tests_of(name: str, options: list[str]) -> list[str]:
    """The command of a lane of tests."""
    command = [sys.executable, "-m", "pytest", "-m", "not ecosystem", "--color=no"]
    command += [f"--junitxml={OUTPUT / name}.xml", "-o", f"cache_dir={OUTPUT / name}.cache", *options]
    command += [f"--ignore=tests/{path}" for path in elsewhere(name)]
    return [*command, *(f"tests/{path}" for path in paths_of(name))]


def paths_of(name: str) -> list[str]:
    """The folders and files of a lane that are to run now."""
    return [path for path in LANES.get(name, ()) if path != TOOLING or tooling.is_due()]


def start(name: str, command: list[str]) -> Lane:
    """Remove the results of its last run, and start a lane in a process group of its own."""
    (OUTPUT / f"{name}.xml").unlink(missing_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f"{name}-"))
    temporary.chmod(0o711)  # some tests become another user
    with (OUTPUT / f"{name}.log").open("wb") as log:
        log.write(f"$ {shlex.join(command)}\n".encode())
        log.flush()
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, "TMPDIR": str(temporary)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    return Lane(name, process, time.monotonic(), temporary)


def programs(lanes: list[Lane]) -> Lane:
    """The lane that builds what others run."""
    return next(lane for lane in lanes if lane.name == PROGRAMS)


def run(names: list[str], options: list[str], lanes: list[Lane]) -> None:
    """Run the named lanes, some at once, and say how far they are; those that have started are put into `lanes`.

    Lanes whose programs could not be built are not started.
    """
    waiting = [name for name in LANES if name in names]
    began = said = time.monotonic()
    while waiting or any(lane.seconds is None for lane in lanes):
        built = programs(lanes).process.poll()
        if built:
            waiting = [name for name in waiting if name in WITHOUT_PROGRAMS]
        for name in [name for name in waiting if built == 0 or name in WITHOUT_PROGRAMS]:
            if sum(lane.seconds is None for lane in lanes) < AT_ONCE:
                waiting.remove(name)
                lanes.append(start(name, tests_of(name, options)))
        time.sleep(1)
        for lane in lanes:
            if lane.seconds is None and lane.process.poll() is not None:
                lane.seconds = time.monotonic() - lane.began
                if not lane.failed:
                    lane.tidy()
                say(f"  {lane.name:<12} {lane.outcome()} in {minutes(lane.seconds)}")
        if time.monotonic() - said >= PROGRESS_SECONDS:
            said = time.monotonic()
            running = ", ".join(f"{lane.name} {lane.progress()}" for lane in lanes if lane.seconds is None)
            say(f"  {minutes(said - began)}: {running}")


def end(lanes: list[Lane]) -> None:
    """End the lanes that still run, and their clusters, whose names end with the lane's process id.

    A lane ends its clusters itself. Those of a lane that takes longer than `ENDING_SECONDS` are ended here.
    """
    running = [lane for lane in lanes if lane.process.poll() is None]
    if running:
        say(f"Ending {', '.join(lane.name for lane in running)}, and their clusters")
    for lane in running:
        lane.process.terminate()
    until = time.monotonic() + ENDING_SECONDS
    for lane in running:
        with contextlib.suppress(subprocess.TimeoutExpired):
            lane.process.wait(max(0.0, until - time.monotonic()))
        with contextlib.suppress(ProcessLookupError):
            os.killpg(lane.process.pid, signal.SIGKILL)
        lane.process.wait()
    theirs = tuple(f"-{lane.process.pid}" for lane in running)
    for left in cluster.clusters():
        if left.name.endswith(theirs):
            left.down()
    for lane in running:
        lane.tidy()


def report(lanes: list[Lane]) -> int:
    """Say what failed, what was slow, and the counts; returns the exit code."""
    failed = [lane for lane in lanes if lane.failed]
    for lane in failed:
        say(f"\n===== {lane.name}: exit code {lane.process.returncode} =====")
        say(f"Its temporary files are in {lane.temporary}")
        say(lane.log.read_text(errors="replace"))
    found = [lane.results for lane in lanes]
    say("\nSlowest tests")
    for name, seconds in results.slowest(found):
        say(f"  {seconds:6.1f} s  {name}")
    passed, broken, skipped = (sum(getattr(each, kind) for each in found) for kind in ("passed", "failed", "skipped"))
    say(f"\n{passed} passed, {broken} failed, {skipped} skipped")
    if failed:
        return 1
    return 0 if passed + skipped else NO_TESTS


def remember(lanes: list[Lane], whole: float | None, tested: str) -> None:
    """Keep what passed, and how long it took.

    Args:
        whole: seconds of the whole run; None: only some lanes were run.
        tested: digest of the tooling whose tests were due; empty: they were not.
    """
    passed = [lane for lane in lanes if lane.process.returncode == 0]
    times = {lane.name: lane.seconds or 0.0 for lane in passed}
    if whole is not None and len(passed) == len(lanes):
        times[ALL] = whole
    history.write(times)
    if tested and os.geteuid() == 0 and any(TOOLING in LANES.get(lane.name, ()) for lane in passed):
        tooling.passed(tested)  # only root can run them: for others they are skipped


def minutes(seconds: float) -> str:
    """A time for people: 42 s, 3 min 05 s."""
    whole = round(seconds)
    return f"{whole} s" if whole < 60 else f"{whole // 60} min {whole % 60:02} s"


def say(text: str) -> None:
    """Print a line at once, in a log too."""
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
