"""Shows the findings of a running scan as Nuclei prints them, read from the claim: for ``scanplan watch --findings``."""

from __future__ import annotations

import contextlib
import json
import queue
import sys
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Protocol

from rich.text import Text

from scanplan.api import layout
from scanplan.api.v1alpha1.scanplan import Phase
from scanplan.cli import exceptions, plans
from scanplan.cli.options import TableOrJson
from scanplan.cli.output.failure import Failure, NotFound
from scanplan.cli.output.tables import STYLES
from scanplan.cli.output.terminal import answers, pour, say, warn
from scanplan.client.running.shown import MOST, Attempt, Current, Event, Found, Full, PassedOver, Shown, Withdrawn
from scanplan.kube.resources import PLANS
from scanplan.report import finding

if TYPE_CHECKING:
    from scanplan.client.cluster.cluster import Cluster
    from scanplan.client.cluster.reader import Reader
    from scanplan.client.running.source import Place
    from scanplan.findings.exceptions import Suppressor

LOOK_SECONDS = 0.5
LOOKS_AFTER_THE_END = 2
"""Complete looks at the claim after the scan has ended: the first may have begun before."""
MOST_COMPARED_BYTES = 256 << 20
"""Size of a result up to which it is compared with what was shown."""
_WAITING = 16
"""Pieces of the stream that wait for the terminal."""

Plan = dict[str, Any]


def follow(cluster: Cluster, name: str, output: TableOrJson) -> bool:
    """Show a plan's findings until its scan has ended; whether it has completed.

    Raises:
        Failure: the API server refuses, or the claim can't be read.
        NotFound: the plan was deleted.
    """
    from scanplan.cli.changes import Changes  # noqa: PLC0415 - needs the `kubernetes` extra
    from scanplan.client.running.source import place  # noqa: PLC0415 - needs the `kubernetes` extra

    plan = cluster.named(PLANS, name)
    suppressed = exceptions.suppressor(cluster, None, cluster.namespace)
    view: View = _Json(name, suppressed) if output is TableOrJson.JSON else _Rows(name, suppressed)
    view.state(plan)
    changes = Changes(cluster, [name])
    with contextlib.closing(_Stream(cluster, view)) as stream:
        while True:
            where = place(plan)
            if where and plans.phase(plan) in {Phase.RUNNING, Phase.RETRYING}:
                stream.open(plan, where)
            stream.show(ended=plans.has_ended(plan))
            if plans.has_ended(plan) and stream.is_done:
                break
            for changed in changes.next(LOOK_SECONDS):
                if "deletionTimestamp" in changed["metadata"]:
                    raise NotFound(f"ScanPlan {name} was deleted")
                plan = changed
                view.state(plan)
        view.ended(plan, stream.count, stream.missing(plan))
    return plans.phase(plan) is Phase.COMPLETED


class _Stream:
    """A plan's claim, read from when the scan runs until it has ended."""

    def __init__(self, cluster: Cluster, view: View) -> None:
        self._cluster = cluster
        self._view = view
        self._where: Place | None = None
        self._reading: _Reading | None = None
        self._shown = Shown()
        self._looks = 0

    @property
    def is_done(self) -> bool:
        """Whether all that the scan has left was shown."""
        return self._reading is None or self._looks >= LOOKS_AFTER_THE_END

    @property
    def count(self) -> int:
        """Findings that were shown and stand."""
        return self._shown.count

    def open(self, plan: Plan, where: Place) -> None:
        """Read at this place from now on; an edit of the plan leads to another one."""
        if where != self._where:
            self.close()
            self._where, self._shown = where, Shown()
            self._reading = _Reading(self._cluster, plan, where)

    def show(self, *, ended: bool) -> None:
        """Show what has come.

        Raises:
            Failure: the claim can't be read.
        """
        for piece in self._reading.pieces() if self._reading else ():
            if piece is None:
                self._shown.begin()
                continue
            for event in self._shown.feed(piece):
                self._view.event(event)
                self._looks += ended and isinstance(event, Current)

    def missing(self, plan: Plan) -> int | None:
        """How many of the findings that were shown are not in the result; None where that can't be said."""
        artifacts = plans.status(plan).artifacts
        listed = {file.name: file.bytes for file in (artifacts.files if artifacts else None) or ()}
        reader = self._reading.reader if self._reading else None
        if (
            artifacts is None
            or reader is None
            or listed.get(layout.FINDINGS, MOST_COMPARED_BYTES) >= MOST_COMPARED_BYTES
        ):
            return None
        compared = self._shown.compared()
        try:
            reader.copy(f"{artifacts.path}/{layout.FINDINGS}", compared)
        except Failure:
            return None
        return compared.count

    def close(self) -> None:
        """Remove the reader pod."""
        if self._reading:
            self._reading.close()


class _Reading:
    """A thread that reads a claim; what it has read waits in a short queue."""

    def __init__(self, cluster: Cluster, plan: Plan, where: Place) -> None:
        from scanplan.client.running.source import Claim  # noqa: PLC0415 - needs the `kubernetes` extra

        self._claim = Claim(cluster, plan, where)
        self._pieces: queue.Queue[bytes | Exception | None] = queue.Queue(_WAITING)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    @property
    def reader(self) -> Reader | None:
        """Reads other files of the claim, while it is there."""
        return self._claim.reader

    def pieces(self) -> Iterator[bytes | None]:
        """What has come; None where a reader begins anew.

        Raises:
            Failure: the claim can't be read.
        """
        with contextlib.suppress(queue.Empty):
            while True:
                piece = self._pieces.get_nowait()
                if isinstance(piece, Exception):
                    raise piece
                yield piece

    def _read(self) -> None:
        try:
            for piece in self._claim.frames(self._stop):
                self._put(piece)
        except Exception as error:  # without it, whoever waits for pieces would wait for ever
            self._put(error)

    def _put(self, piece: bytes | Exception | None) -> None:
        while not self._stop.is_set():
            with contextlib.suppress(queue.Full):
                self._pieces.put(piece, timeout=LOOK_SECONDS)
                return

    def close(self) -> None:
        """End the thread; the reader pod is removed when this returns."""
        self._stop.set()
        self._thread.join()


class View(Protocol):
    """Where a scan's state and findings are shown."""

    def state(self, plan: Plan) -> None:
        """The plan has changed."""

    def event(self, event: Event) -> None:
        """Something was found, or taken back."""

    def ended(self, plan: Plan, shown: int, missing: int | None) -> None:
        """The scan has ended.

        Args:
            shown: findings that were shown and stand.
            missing: those of them that are not in the result; None: not known.
        """


class _Rows:
    """A line for each finding, for people; all else goes to the remarks."""

    def __init__(self, name: str, suppressed: Suppressor) -> None:
        self._name = name
        self._suppressed = suppressed
        self._terminal = answers(endless=True)
        self._said = ""
        say(
            f"{name}: running, not final: a finding may still be taken back; the result counts once the scan has ended",
            "dim",
        )

    def state(self, plan: Plan) -> None:
        words = " ".join(filter(None, (plans.phase(plan).value, plans.shards(plan), plans.message(plan))))
        if words != self._said:
            self._said = words
            say(f"{self._name}: {words}", "dim")

    def event(self, event: Event) -> None:
        match event:
            case Found(_, line):
                self._terminal.print(self._row(line))
            case Withdrawn(attempt, findings):
                warn(f"{findings:,} findings of {_words(attempt)} were taken back: it does not count any more")
            case PassedOver(attempt):
                warn(f"{_words(attempt)} has a finding that is too long to be shown before the end")
            case Full():
                warn(f"{MOST:,} findings were shown: further ones are in the result only")

    def _row(self, line: bytes) -> Text:
        found = finding.parse(line, self._suppressed)
        row = Text(f"{found.timestamp[11:19]:8}  ")
        row.append(f"{found.severity.value:8}", STYLES[found.severity])
        row.append(f"  {found.template_id}  {found.matched_at or found.host}")
        if found.suppressed:
            row.append(f"  ({exceptions.words(found.suppressed)})", "dim")
        return row

    def ended(self, plan: Plan, shown: int, missing: int | None) -> None:
        total = plans.findings(plan).get("total")
        words = f"{self._name}: {plans.phase(plan).value}: {shown:,} findings were shown"
        words += "" if total is None else f", and the result has {total:,}"
        say(words)
        if missing:
            warn(f"{missing:,} of the findings that were shown are not in the result")


class _Json:
    """A JSON object for each event, one a line."""

    def __init__(self, name: str, suppressed: Suppressor) -> None:
        self._name = name
        self._suppressed = suppressed
        self._said: object = None

    def state(self, plan: Plan) -> None:
        said = {"phase": plans.phase(plan).value, "shards": plans.shards(plan), "message": plans.message(plan)}
        if said != self._said:
            self._said = said
            self._print("state", said)

    def event(self, event: Event) -> None:
        match event:
            case Found(attempt, line):
                suppressed = exceptions.member(self._suppressed(line))
                self._print("finding", {**_place(attempt), "final": False, "finding": _decoded(line), **suppressed})
            case Withdrawn(attempt, findings):
                self._print("withdrawn", {**_place(attempt), "findings": findings})
            case PassedOver(attempt):
                self._print("passedOver", _place(attempt))
            case Full():
                self._print("full", {"shown": MOST})

    def ended(self, plan: Plan, shown: int, missing: int | None) -> None:
        counts = dict(plans.findings(plan))
        phase = plans.phase(plan).value
        self._print("ended", {"phase": phase, "shown": shown, "notInResult": missing, "findings": counts})

    def _print(self, event: str, fields: dict[str, Any]) -> None:
        line = json.dumps({"event": event, "plan": self._name, **fields})  # in ASCII: control characters are escaped
        pour([line.encode(), b"\n"], sys.stdout.buffer, endless=True)


def _words(attempt: Attempt) -> str:
    return f"attempt {attempt.number} of shard {attempt.shard[:12]}"


def _place(attempt: Attempt) -> dict[str, Any]:
    return {"shard": attempt.shard, "attempt": attempt.number}


def _decoded(line: bytes) -> Any:
    """A finding as Nuclei wrote it; as text where it is no JSON."""
    text = line.decode(errors="replace")
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text
