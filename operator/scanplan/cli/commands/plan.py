"""``scanplan plan``: shows what a plan would do, before it does it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from scanplan.api.errors import InvalidPlan, NucleiBinaryError
from scanplan.api.times import format_duration
from scanplan.api.v1alpha1.scanplan import ScanPlanSpec
from scanplan.cli import estimates, options
from scanplan.cli.manifests import Manifest, read_lines, read_plans, spec_of
from scanplan.cli.output.failure import DATA, NO_INPUT, USAGE, Failure, told
from scanplan.cli.output.terminal import answers, write_json
from scanplan.core.manifests import jobs
from scanplan.core.planning import shards
from scanplan.core.planning.estimate import Estimate
from scanplan.core.planning.nuclei import scanner_options, selection_options
from scanplan.core.planning.sources import endpoints_file
from scanplan.core.planning.targets import endpoints
from scanplan.report import text
from scanplan.runner.nuclei.choosing import automatic, chosen, needs, profiles, unguarded
from scanplan.runner.nuclei.choosing.profiles import Profile
from scanplan.runner.nuclei.choosing.templates import Template


@dataclass(frozen=True)
class Forecast:
    """What a plan would do."""

    name: str
    endpoints: int
    shards: int
    parallelism: int
    templates: tuple[str, ...]
    """Paths within their sources."""
    left_out: dict[str, int]
    """How many templates do not run, by cause."""
    requests: int
    """To all endpoints, as far as the templates tell."""
    seconds: int
    """Of the whole scan, at the plan's rates, if every request is sent once and no host is slow."""
    deadline_seconds: int
    windows: tuple[str, ...] = ()
    """When it may run; empty: at any time."""
    matchers: tuple[str, ...] = ()
    """Matchers whose findings are left out."""
    uncounted: str = ""
    """What sends requests that only the scan can count; empty: nothing."""
    automatic: bool = False
    """Nuclei chooses among the templates while it scans: requests and times are the most it can be."""
    asks_for: tuple[str, ...] = ()
    """Flags of the template profile that only the plan may set."""
    estimate: Estimate | None = None
    """What it takes, where that was asked for."""
    memory_limit: str = ""
    """Of a pod, as the plan writes it; empty: the operator's default."""

    def document(self) -> dict[str, Any]:
        """For programs."""
        return {
            "name": self.name,
            "endpoints": self.endpoints,
            "shards": self.shards,
            "parallelism": self.parallelism,
            "templates": list(self.templates),
            "templatesLeftOut": self.left_out,
            "requests": self.requests,
            "seconds": self.seconds,
            "deadlineSeconds": self.deadline_seconds,
            **({"windows": list(self.windows)} if self.windows else {}),
            **({"estimate": estimates.document(self.estimate)} if self.estimate else {}),
            **({"matchersLeftOut": list(self.matchers)} if self.matchers else {}),
            **({"automatic": True} if self.automatic else {}),
            **({"uncounted": self.uncounted} if self.uncounted else {}),
            **({"profileAsksFor": list(self.asks_for)} if self.asks_for else {}),
        }


@told
def plan(
    file: Annotated[
        Path,
        typer.Option(
            "--file", "-f", metavar="FILE", help="ScanPlan manifests (YAML); - is standard input.", allow_dash=True
        ),
    ],
    sources: Annotated[
        list[Path],
        typer.Option(
            "--templates",
            metavar="FOLDER",
            help="A folder with the templates that the scanner has, such as a checkout of the community's. Repeatable.",
        ),
    ],
    targets: Annotated[
        Path | None,
        typer.Option("--endpoints", metavar="FILE", help="What endpointsFrom will give: one endpoint a line."),
    ] = None,
    estimate: Annotated[
        bool, typer.Option("--estimate", help="Add pods, memory and hours, by measured coefficients.")
    ] = False,
    output: Annotated[
        options.TextOrJson, typer.Option("--output", "-o", help="Format. JSON lists the templates.")
    ] = options.TextOrJson.TEXT,
) -> None:
    """Show what plans would do: templates, shards, requests, time. Causes are named where templates are left out.

    \b
      scanplan plan -f scanplan.yaml --templates nuclei-templates
      scanplan plan -f scanplan.yaml --templates nuclei-templates --estimate
      scanplan plan -f scanplan.yaml --templates nuclei-templates -o json | jq -r '.[].templates[]'

    Requests are counted as the templates tell; some can be known only while a scan runs. --estimate goes by what Nuclei 3.11.1
    took where hosts answered at once, with a few bytes. The documentation has the formulas: "Size a cluster".

    Exit codes: 0; 64 an option is missing; 65 something in the plan is wrong; 66 no such file or folder.
    """
    for folder in sources:
        if not folder.is_dir():
            raise Failure(f"{folder} is no folder", code=NO_INPUT)
    more = read_lines(targets) if targets else []
    folders = [folder.absolute() for folder in sources]
    forecasts = [_forecast(manifest, folders, more, with_estimate=estimate) for manifest in read_plans(file)]
    if output is options.TextOrJson.JSON:
        write_json([forecast.document() for forecast in forecasts])
        return
    for forecast in forecasts:
        _print(forecast)


_CAUSES = {unguarded.WHY: "a protocol that can't be guarded", needs.ELSEWHERE: "targets of its own"}

_AUTOMATIC = (
    "while it scans, of these templates, by the technologies that it finds: requests and times are the most it can be"
)


def _forecast(manifest: Manifest, sources: Sequence[Path], more: Sequence[str], *, with_estimate: bool) -> Forecast:
    name = str(manifest["metadata"]["name"])
    spec = spec_of(manifest)
    try:
        file = endpoints_file(spec)
        if spec.endpoints_from and not (more or file):
            raise Failure(
                f"{name}: endpointsFrom is read when the scan starts", "--endpoints FILE, with what it will give", USAGE
            )
        targets = endpoints.canonical_all([*spec.endpoints, *more])
        scanner_options.check(spec.scanner, spec.selection)
        wanted = _wanted(spec, sources)
        switches = scanner_options.options(spec, 1, "")
        selection = needs.arranged(chosen.of(wanted, sources), switches)
        selection, _ = unguarded.without(selection, ())
        selected = [(template, needs.lacking(template, switches)) for template in selection.templates]
        running = [template for template, need in selected if not need]
        if spec.selection.automatic:
            running = automatic.at_most(running)
    except (InvalidPlan, NucleiBinaryError) as error:
        raise Failure(f"{name}: {error.message}", code=DATA) from None
    left_out = dict(selection.filtered)
    if selection.doubles:
        left_out["an id that another one has"] = len(selection.doubles)
    left_out |= Counter(_CAUSES.get(why, "a workflow that can't run") for _, why in selection.left_out)
    left_out |= Counter(f"a need for scanner.{need}, which is off" for _, need in selected if need)
    most = spec.sharding.max_endpoints_per_shard
    size = file.endpoints if file else len(targets)
    count = shards.count_for(size, most) if file else shards.shard_count(targets, most)
    each = sum(template.requests for template in running)
    longest = math.ceil(size / count) if file else max(map(len, shards.cut(targets, count)), default=0)
    return Forecast(
        name=name,
        endpoints=size,
        shards=count,
        parallelism=jobs.parallelism(spec, count),
        templates=tuple(str(template.path.relative_to(template.root)) for template in running),
        left_out=left_out,
        requests=each * size,
        seconds=_seconds(spec, longest, count, each),
        deadline_seconds=jobs.deadline_seconds(spec, count, size),
        windows=tuple(f"{', '.join(each.days)} {each.begin} to {each.to} in {each.time_zone}" for each in spec.windows),
        matchers=wanted.exclude.matchers,
        uncounted=_uncounted(running, spec),
        automatic=spec.selection.automatic,
        asks_for=wanted.asks_for,
        estimate=estimates.of_plan(spec, running, longest, count) if with_estimate else None,
        memory_limit=str(spec.pod_template.resources.limits.get("memory", "")),
    )


def _uncounted(selected: Sequence[Template], spec: ScanPlanSpec) -> str:
    """Which templates send what no file tells."""
    fuzzing = sum(needs.DAST in template.needs for template in selected)
    if not fuzzing:
        return ""
    source = spec.scanner.requests_from
    where = (
        f"requests of ConfigMap {source.config_map_key_ref.name!r}" if source else "parameters of the endpoints' URLs"
    )
    return f"{fuzzing} fuzzing templates, which send as many requests as the {where} make"


def _wanted(spec: ScanPlanSpec, sources: Sequence[Path]) -> Profile:
    """What the plan chooses, with its template profile."""
    part = spec.selection
    own = Profile(
        templates=tuple(spec.templates),
        severities=tuple(spec.severity_levels),
        include=selection_options.chosen(part.include),
        exclude=selection_options.chosen(part.exclude),
        workflows=tuple(part.workflows),
    )
    return profiles.under(own, profiles.read(part.profile, sources)) if part.profile else own


def _seconds(spec: ScanPlanSpec, longest: int, count: int, each: int) -> int:
    """Rounds of the longest shard, at the rate that it may have."""
    of_one = math.ceil(each * longest / estimates.rate_of(spec, longest, count))
    return math.ceil(count / jobs.parallelism(spec, count)) * of_one


def _print(forecast: Forecast) -> None:
    about = "at most" if forecast.automatic else "about"
    rows = [
        ("endpoints", f"{forecast.endpoints:,} in {forecast.shards:,} shards, {forecast.parallelism} at a time"),
        ("templates", f"{len(forecast.templates):,}"),
        *(
            ("left out", f"{count:,} with {why}")
            for why, count in sorted(forecast.left_out.items(), key=lambda item: -item[1])
        ),
        *([("left out", f"findings of {', '.join(forecast.matchers)}")] if forecast.matchers else []),
        *([("not set", f"{', '.join(forecast.asks_for)} of the profile")] if forecast.asks_for else []),
        *([("chosen", _AUTOMATIC)] if forecast.automatic else []),
        ("requests", f"{about} {forecast.requests:,}"),
        *([("uncounted", forecast.uncounted)] if forecast.uncounted else []),
        ("time", f"{about} {format_duration(forecast.seconds * 1000)} at the plan's rate, if no host is slow"),
        *(estimates.rows(forecast.estimate, forecast.memory_limit) if forecast.estimate else ()),
        *(("window", window) for window in forecast.windows),
        ("deadline", format_duration(forecast.deadline_seconds * 1000)),
    ]
    answers().print(Text(text.line(forecast.name), "bold"))
    for name, value in rows:
        answers().print(Text(f"  {name:<10} {value}"))
