"""``scanplan run``: scans a plan on this machine, without a cluster.

The plan goes through the same planner and runner as in a cluster, one shard after the other. It leaves the same artifacts under
``ui_projects/``. Fields that only a cluster has (podTemplate, suspend, priorities, endpointsFrom) have no effect here.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from scanplan.api import environment, labels, layout
from scanplan.api.documents.report import MergedResult, ShardReport
from scanplan.api.documents.task import TaskDocument
from scanplan.api.documents.words import LOCAL_NAMESPACE, ErrorClass, Outcome
from scanplan.api.errors import InvalidPlan, ScanError
from scanplan.api.exit_codes import ExitCode
from scanplan.api.schema import strictness
from scanplan.api.v1alpha1.model import mistakes
from scanplan.api.v1alpha1.plan.pod_template import PodTemplate
from scanplan.api.v1alpha1.scanplan import ScanPlanSpec
from scanplan.api.v1alpha1.scanplan_status import ScanPlanStatus
from scanplan.cli.manifests import metadata_problem, read_documents
from scanplan.cli.output.failure import Failure, told
from scanplan.cli.output.tables import findings_table
from scanplan.cli.output.terminal import answers, pour, remarks, say, write_json
from scanplan.core.planning.policy import Policy
from scanplan.core.planning.sources import Input, Kind, Reference
from scanplan.core.planning.targets.denied import DEFAULT_DENIED
from scanplan.core.planning.targets.guard import Guard
from scanplan.core.planning.task import Plan, resolve
from scanplan.runner.artifacts import durable
from scanplan.runner.collect import collect
from scanplan.runner.nuclei.launch.installation import Installation
from scanplan.runner.progress import Event
from scanplan.runner.report import exit_code
from scanplan.runner.shard import run_shard

LOCAL = "local"


class Output(StrEnum):
    """Formats of the result on standard output."""

    TABLE = "table"
    JSON = "json"
    NDJSON = "ndjson"


@told
def run(
    plan: Annotated[
        Path, typer.Argument(metavar="FILE", help="A ScanPlan manifest (YAML).", exists=True, dir_okay=False)
    ],
    directory: Annotated[
        Path, typer.Option(metavar="DIR", help="Where ui_projects/ is, or will be.", file_okay=False)
    ] = Path(),
    nuclei: Annotated[
        str, typer.Option(metavar="FILE", help="The Nuclei program.", envvar=environment.NUCLEI_BIN)
    ] = "nuclei",
    templates: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="DIR",
            help="Template folder; may be given several times. Default: ~/nuclei-templates.",
            exists=True,
            file_okay=False,
        ),
    ] = None,
    allow_target: Annotated[
        list[str] | None,
        typer.Option(
            metavar="RANGE",
            help="Take a range or name off the target guard's list, such as 127.0.0.0/8. Several times for several.",
        ),
    ] = None,
    output: Annotated[Output, typer.Option("--output", "-o", help="What to print in the end.")] = Output.TABLE,
) -> None:
    """Scan on this machine, without a cluster. Same planner, same runner, same artifacts.

    Exit codes: 0 complete; 65 the plan, its templates or options are wrong; 69, 70 or 75 the scan failed (what was found is kept);
    143 interrupted: run it again, and it goes on where it stopped.
    """
    messages = remarks()
    try:
        document = _document(plan, allow_target or [])
    except (InvalidPlan, ValueError) as error:
        raise Failure(str(error), code=ExitCode.FATAL) from None
    installation = Installation(
        nuclei=nuclei,
        templates=tuple(folder.absolute() for folder in templates or [Path.home() / "nuclei-templates"]),
        inherited=dict(os.environ),
    )
    run_directory = directory / layout.run_directory(document.run_id)
    try:
        with durable.on_claim(starting=True):
            run_directory.mkdir(parents=True, exist_ok=True)
        with _interruptible() as stop, _progress(document, messages) as on_progress:
            reports = _shards(document, run_directory, installation, on_progress, stop)
        merged = next((report.merged for report in reversed(reports) if report.merged), None)
        merged = merged or collect(document, run_directory).merged
    except ScanError as error:
        code = ExitCode.FATAL if error.error_class is ErrorClass.FATAL else ExitCode.TEMPORARY
        raise Failure(f"{error.reason}: {error.message}", code=code) from None
    _print(directory, merged, output)
    for report in reports:
        if report.error:
            say(f"shard {report.shard}: {report.error.reason}: {report.error.message}", "red")
    codes = [exit_code(report) for report in reports]
    if len(reports) < document.shards:  # it was stopped between two shards
        codes.append(ExitCode.INTERRUPTED)
    raise typer.Exit(max(codes, default=ExitCode.OK))


def _document(path: Path, allowed: list[str]) -> TaskDocument:
    """Make the task document of a manifest.

    Raises:
        Failure: the file can't be read.
        InvalidPlan: the plan can't run as it is written.
        ValueError: it is not a ScanPlan; the message has a line for each mistake.
    """
    documents = read_documents(path)
    if len(documents) != 1:
        raise ValueError(f"{path} holds {len(documents)} documents: give a file with one {labels.KIND}")
    manifest: Any = documents[0]
    try:
        if not isinstance(manifest, dict) or "kind" not in manifest:
            raise ValueError(f"{path} is not a {labels.KIND} manifest: it says no kind")
        kind = manifest["kind"]
        if kind != labels.KIND or manifest["apiVersion"] != labels.API_VERSION:
            raise ValueError(f"{path} holds a {kind}, not a {labels.KIND} of {labels.API_VERSION}")
        if problem := metadata_problem(manifest):
            raise ValueError(f"{path} is not a {labels.KIND} manifest: {problem}")
        if unknown := strictness.unknown_fields(manifest):
            raise ValueError(f"{path} is not a valid {labels.KIND}:\n  " + "\n  ".join(unknown))
        spec = ScanPlanSpec.model_validate_json(json.dumps(manifest["spec"]), strict=True)
    except ValidationError as error:
        raise ValueError(f"{path} is not a valid {labels.KIND}:\n  " + "\n  ".join(mistakes(error))) from None
    except KeyError as error:
        raise ValueError(f"{path} is not a {labels.KIND} manifest: it has no {error.args[0]}") from None
    if spec.endpoints_from or spec.templates_from or spec.scanner.secret_names:
        raise ValueError(
            "endpointsFrom, templatesFrom and the Secrets of scanner name objects of a cluster: use endpoints, --templates, "
            "headers and variables"
        )
    of_a_cluster = {"pod_template": PodTemplate(), "queue_priority_class_name": None}
    now = datetime.now(UTC)
    local = Plan(
        namespace=manifest["metadata"].get("namespace") or LOCAL_NAMESPACE,
        name=manifest["metadata"]["name"],
        uid="",
        generation=1,
        created=now,
        spec=spec.model_copy(update=of_a_cluster),
        status=ScanPlanStatus(),
    )
    policy = Policy(
        scanner_image=LOCAL,
        allowed_images=("*",),
        allowed_proxies=("*",),
        guard=Guard(entry for entry in DEFAULT_DENIED if entry not in allowed),
    )
    claim = Reference(Kind.CLAIM, spec.artifacts.claim_name or policy.claim_name)
    return resolve(local, policy, now, {claim: Input()}).document


def _shards(
    document: TaskDocument,
    run_directory: Path,
    installation: Installation,
    on_progress: Callable[[Event], None],
    stop: Callable[[], bool],
) -> list[ShardReport]:
    """Scan one shard after the other; the last one merges. An interruption ends the run."""
    reports = []
    for index in range(document.shards):
        reports.append(
            run_shard(document, index, run_directory, installation=installation, on_progress=on_progress, stop=stop)
        )
        if stop():
            break
    return reports


def _print(directory: Path, merged: MergedResult | None, output: Output) -> None:
    """Print the result on standard output, and its path on standard error."""
    if merged is None:
        if output is Output.JSON:
            write_json({"complete": False, "findings": []})
        return
    file = directory / merged.path / layout.FINDINGS
    lines = file.read_bytes().splitlines() if file.exists() else []
    match output:
        case Output.NDJSON:
            pour((line + b"\n" for line in lines), sys.stdout.buffer)
        case Output.JSON:
            findings = [json.loads(line) for line in lines]
            write_json({"complete": merged.complete, "path": merged.path, "findings": findings})
        case Output.TABLE:
            answers().print(findings_table(json.loads(line) for line in lines))
    partial = "" if merged.complete else " (partial: the scan did not complete)"
    say(f"{file}{partial}")


@contextmanager
def _interruptible() -> Iterator[Callable[[], bool]]:
    """Let Ctrl-C and SIGTERM stop the runner, which then publishes what it has found."""
    asked: list[int] = []
    before = {
        number: signal.signal(number, lambda number, _: asked.append(number))
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield lambda: bool(asked)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _progress(document: TaskDocument, console: Console) -> Iterator[Callable[[Event], None]]:
    """Shows a progress bar on a terminal; elsewhere one line for each start and end of a shard."""
    if not console.is_terminal:
        yield lambda event: _log(event, document, console)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[found]} findings"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        bar = progress.add_task(f"scanning {len(document.endpoints)} endpoints", total=100 * document.shards, found=0)
        found: dict[int, int] = {}

        def update(event: Event) -> None:
            if event.event == "warning":
                progress.console.print(f"shard {event.shard}: {event.message}")
            if event.findings >= 0:
                found[event.shard] = event.findings
            percent = 100 if event.event == "finished" else max(event.percent, 0)
            progress.update(bar, completed=100 * event.shard + percent, found=sum(found.values()))

        yield update


def _log(event: Event, document: TaskDocument, console: Console) -> None:
    where = f"shard {event.shard + 1}/{document.shards}"
    if event.event == "started":
        console.print(f"{where}: scanning {event.endpoints} endpoints")
    elif event.event == "progress":
        console.print(f"{where}: {event.percent} %, {event.findings} findings")
    elif event.event == "warning":
        console.print(f"{where}: {event.message}")
    elif event.outcome != Outcome.COMPLETE:
        console.print(f"{where}: {event.outcome}")
