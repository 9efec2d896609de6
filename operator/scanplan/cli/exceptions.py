"""The ScanExceptions that readers of results go by: those of the cluster, or of files from Git."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from scanplan.api import labels
from scanplan.api.schema import strictness
from scanplan.api.times import format_day, format_time
from scanplan.api.v1alpha1.model import mistakes
from scanplan.api.v1alpha1.scanexception import ScanExceptionSpec
from scanplan.cli import plans
from scanplan.cli.manifests import metadata_problem, read_documents
from scanplan.cli.output.failure import DATA, Failure, Forbidden, UnknownKind
from scanplan.cli.output.terminal import say, warn
from scanplan.core.exceptions.force import in_force
from scanplan.findings import exceptions
from scanplan.findings.exceptions import ScanException, Suppressor
from scanplan.kube.resources import EXCEPTIONS

if TYPE_CHECKING:
    from scanplan.client.cluster.cluster import Cluster

Object = Mapping[str, Any]


def suppressor(cluster: Cluster | None, files: list[Path] | None, namespace: str) -> Suppressor:
    """Says which findings of a namespace fall under an exception now.

    Args:
        cluster: whose namespace has them; None: there is no cluster.
        files: are taken instead. Their exceptions count that name this namespace, or none.
        namespace: empty: the findings are of no cluster, so all exceptions of the files count.

    Raises:
        Failure: an exception in a file is wrong.
    """
    bodies = _of_files(files, namespace) if files else _of(cluster) if cluster else []
    return Suppressor(in_force(bodies, plans.now()), plans.now())


def _of_files(files: list[Path], namespace: str) -> list[Object]:
    bodies = list(read(files))
    own = [body for body in bodies if not namespace or (body["metadata"].get("namespace") or namespace) == namespace]
    if left_out := len(bodies) - len(own):
        say(f"{left_out:,} exceptions in the files are of other namespaces than {namespace}, and do not count")
    return own


def _of(cluster: Cluster) -> list[Object]:
    """Those of a cluster's namespace; none where it has no such kind, or where the user may not read them."""
    try:
        return list(cluster.listed(EXCEPTIONS))
    except UnknownKind:
        return []
    except Forbidden as error:
        warn(f"no exception is taken into account: {error.message}")
        return []


def read(files: list[Path]) -> Iterator[Object]:
    """The ScanExceptions of files, and of all YAML files of folders; other kinds are passed over.

    Raises:
        Failure: a file can't be read, or an exception in it is wrong.
    """
    for file in files:
        found = sorted({*file.rglob("*.yaml"), *file.rglob("*.yml")}) if file.is_dir() else [file]
        for each in found:
            yield from _read(each)


def _read(file: Path) -> Iterator[Object]:
    for document in read_documents(file):
        if not isinstance(document, dict) or document.get("kind") != labels.EXCEPTION_KIND:
            continue
        if problem := _problem(document):
            raise Failure(f"{file}: {problem}", "kubectl explain scanexception.spec", DATA)
        yield document


def _problem(document: dict[str, Any]) -> str:
    """What is wrong with an exception that no API server has checked."""
    if problem := metadata_problem(document):
        return f"a ScanException can't be read: {problem}"
    name = document["metadata"]["name"]
    if unknown := strictness.unknown_fields(document):
        return f"{name}: {'; '.join(unknown)}"
    try:
        ScanExceptionSpec.model_validate(document.get("spec"))
        exceptions.read(document)
    except ValidationError as error:
        return f"{name}: {'; '.join(mistakes(error))}"
    except ValueError as error:
        return f"{name}: {error}"
    return ""


def words(exception: ScanException) -> str:
    """An exception in a few words, such as for a row of a table."""
    return f"{exception.status} until {format_day(exception.expires_at)}"


def marked(state: str, exception: ScanException | None) -> str:
    """The state of a finding in a row of a table, with the exception that it falls under."""
    return f"{state}, {words(exception)}" if exception else state


def member(exception: ScanException | None) -> dict[str, object]:
    """The member `suppressed` of a finding's JSON; nothing where it falls under none."""
    return {"suppressed": described(exception)} if exception else {}


def described(exception: ScanException) -> dict[str, str]:
    """An exception as a member of a finding's JSON."""
    return {
        "exception": exception.name,
        "status": exception.status,
        "reason": exception.reason,
        "expiresAt": format_time(exception.expires_at),
    }
