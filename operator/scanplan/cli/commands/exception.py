"""``scanplan exception``: writes ScanExceptions from findings, and lists those that there are."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer
import yaml

from scanplan.api.times import format_day
from scanplan.api.v1alpha1.conditions import ConditionType
from scanplan.api.v1alpha1.scanexception import Disposition, ScanExceptionStatus
from scanplan.cli import options, plans, result_source
from scanplan.cli.finding import found
from scanplan.cli.output import listing
from scanplan.cli.output.failure import USAGE, Failure, told
from scanplan.cli.output.help import SETTINGS, Command
from scanplan.cli.output.terminal import answers, line, warn, write_json
from scanplan.client import exception_draft
from scanplan.findings.exceptions import read
from scanplan.kube.resources import EXCEPTIONS

if TYPE_CHECKING:
    from scanplan.kube.objects import Object

MAX_DAYS = 365
_SPAN = re.compile(r"(\d{1,4})(d|w)", re.IGNORECASE)
_DAYS = {"d": 1, "w": 7}

app = typer.Typer(
    help="Accept findings until a day; list exceptions.",
    no_args_is_help=True,
    rich_markup_mode=None,
    context_settings=SETTINGS,
)


class Form(StrEnum):
    """Formats of a manifest."""

    YAML = "yaml"
    JSON = "json"


class State(StrEnum):
    """What an exception is good for, by its status and the clock."""

    IN_FORCE = "InForce"
    NO_RESULT_YET = "NoResultYet"
    UNUSED = "Unused"
    TOO_WIDE = "TooWide"
    EXPIRED = "Expired"
    REFUSED = "Refused"
    NEW = "New"
    """The operator has not seen it as it is now."""


@app.command(cls=Command)
@told
def create(
    fingerprint: Annotated[
        str, typer.Argument(metavar="FINGERPRINT", help="Of a finding of RUN, or the first 6 characters of it.")
    ],
    run: Annotated[str, typer.Option("--run", metavar="RUN", help="The plan, runId or RUN~1 that has the finding.")],
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why it needs no work now.")],
    expires: Annotated[
        str, typer.Option(metavar="90d|12w|DATE", help="When it counts again: from now, or a day. At most a year.")
    ],
    status: Annotated[Disposition, typer.Option(help="What it is taken for.")] = Disposition.ACCEPTED_RISK,
    owner: Annotated[str, typer.Option(metavar="NAME", help="Who has decided.", show_default=False)] = "",
    ticket: Annotated[str, typer.Option(metavar="URL", help="Where it is tracked.", show_default=False)] = "",
    name: Annotated[
        str | None, typer.Option(metavar="NAME", help="Name; by default of the template.", show_default=False)
    ] = None,
    output: Annotated[Form, typer.Option("--output", "-o", help="Format.")] = Form.YAML,
    directory: options.Directory = None,
    namespace: options.Namespace = None,
    context: options.Context = None,
    kubeconfig: options.Kubeconfig = None,
) -> None:
    """Print a ScanException for one finding, to be reviewed and kept in Git. Nothing is changed in the cluster.

    \b
      scanplan results nightly                                         shows fingerprints
      scanplan exception create 3f2a9c --run nightly --reason "behind the VPN" --expires 90d > exception.yaml
      kubectl apply -f exception.yaml

    It matches the finding's template, host, path and matcher; a part of the path that changes by itself is a star.

    Exit codes: 0; 64 an option is wrong; 66 RUN has no such finding.
    """
    if not reason.strip():
        raise Failure("--reason is empty: somebody has to judge this decision in a year", code=USAGE)
    end = parsed_end(expires, plans.now())
    with result_source.opened(directory, namespace, context, kubeconfig) as shelves:
        result = shelves.find(run)
        finding, raw = found(result, fingerprint)
    if finding.suppressed:
        last = format_day(finding.suppressed.expires_at)
        warn(f"it falls under exception {finding.suppressed.name} already, until {last}")
    subject = exception_draft.of_record(finding, raw)
    written = exception_draft.manifest(subject, reason=reason, status=status, owner=owner, ticket=ticket, end=end)
    written["metadata"] = {"name": name or written["metadata"]["name"]}
    if where := result_source.namespace_of(result.scan) or namespace:
        written["metadata"]["namespace"] = where
    if output is Form.JSON:
        write_json(written)
        return
    remark = line(f"# {finding.severity.value}: {finding.name} at {finding.matched_at}").plain
    answers().print(f"{remark}\n{yaml.safe_dump(written, sort_keys=False)}", end="")


def parsed_end(text: str, now: datetime) -> datetime:
    """The end that ``90d``, ``12w``, a day or a time names.

    Raises:
        Failure: it names none, or one that is over or too far ahead.
    """
    if match := _SPAN.fullmatch(text.strip()):
        end = now + timedelta(days=int(match[1]) * _DAYS[match[2].lower()])
    else:
        try:
            end = datetime.fromisoformat(text.strip())
        except ValueError:
            raise Failure(f"--expires {text!r} names no time", "90d, 12w or 2027-03-31", USAGE) from None
        end = end if end.tzinfo else end.replace(tzinfo=UTC)
    if end <= now:
        raise Failure(f"--expires {text!r} is over", "90d, 12w or a day to come", USAGE)
    if end > now + timedelta(days=MAX_DAYS):
        raise Failure(f"--expires {text!r} is more than a year ahead: decisions are made anew", "365d", USAGE)
    return end


@app.command("list", cls=Command)
@told
def show(
    state: Annotated[
        list[State] | None,
        typer.Option(
            metavar="STATE", help=f"Only of this state: {', '.join(State)}. Several times.", show_default=False
        ),
    ] = None,
    everywhere: options.Everywhere = False,
    output: options.TableFormat = options.TableOrJson.TABLE,
    namespace: options.Namespace = None,
    context: options.Context = None,
    kubeconfig: options.Kubeconfig = None,
) -> None:
    """List exceptions: what they match, and until when. The states are by the clock of now.

    \b
      scanplan exception list --state Unused --state TooWide --state Expired      those that somebody should look at

    Exit codes: 0; 69 the cluster knows no ScanExceptions.
    """
    from scanplan.client.cluster.cluster import connect  # noqa: PLC0415 - needs the `kubernetes` extra

    cluster, now = connect(namespace, context, kubeconfig), plans.now()
    all_of_them = list(cluster.listed(EXCEPTIONS, everywhere=everywhere))
    states = {each["metadata"]["uid"]: state_of(each, now) for each in all_of_them}
    kept = [each for each in all_of_them if not state or states[each["metadata"]["uid"]] in state]
    kept.sort(
        key=lambda each: (each["metadata"]["namespace"], str(each["spec"]["expiresAt"]), each["metadata"]["name"])
    )
    if output is options.TableOrJson.JSON:
        write_json({"items": [{**each, "state": states[each["metadata"]["uid"]].value} for each in kept]})
        return
    heads = ["NAME", "STATUS", "STATE", "FINDINGS", "EXPIRES", "OWNER", "REASON"]
    rows = []
    for each in kept:
        metadata, spec = each["metadata"], each["spec"]
        rows.append(
            [
                *([metadata["namespace"]] if everywhere else []),
                metadata["name"],
                spec.get("status", ""),
                states[metadata["uid"]].value,
                "-" if (count := ScanExceptionStatus.read(each).findings) is None else count,
                spec["expiresAt"],
                spec.get("owner", ""),
                spec["reason"],
            ]
        )
    listing.show((["NAMESPACE"] if everywhere else []) + heads, rows, "no exceptions", folds=True)


def state_of(body: Object, now: datetime) -> State:
    """What an exception is good for now."""
    try:
        exception = read(body)
    except ValueError:
        return State.REFUSED
    if now >= exception.expires_at:
        return State.EXPIRED
    status = ScanExceptionStatus.read(body)
    if status.observed_generation != body["metadata"].get("generation"):
        return State.NEW
    ready = status.condition(ConditionType.READY)
    if ready is None or ready.status != "True":
        return State.REFUSED
    try:
        return State(ready.reason)
    except ValueError:
        return State.NEW
