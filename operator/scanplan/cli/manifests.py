"""Reads the files that users hand to commands: manifests, and lists of targets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer
import yaml
from pydantic import ValidationError

from scanplan.api import labels
from scanplan.api.schema import strictness
from scanplan.api.v1alpha1.model import mistakes
from scanplan.api.v1alpha1.scanplan import ScanPlanSpec
from scanplan.cli.output.failure import DATA, NO_INPUT, Failure
from scanplan.core.planning.nuclei.plain_yaml import VALUE_ERRORS

Manifest = dict[str, Any]


def read_text(file: Path) -> str:
    """The text of a file; ``-`` is standard input.

    Raises:
        Failure: it can't be read, or is no text.
    """
    try:
        return typer.get_text_stream("stdin").read() if str(file) == "-" else file.read_text("utf-8")
    except OSError as error:
        raise Failure(f"{file}: {error.strerror}", code=NO_INPUT) from None
    except UnicodeDecodeError:
        raise Failure(f"{file} is no text (UTF-8)", code=DATA) from None


def read_lines(file: Path) -> list[str]:
    """The targets of a file, one a line; empty lines and those that begin with ``#`` are left out.

    Raises:
        Failure: the file can't be read, or is no text.
    """
    return [line for line in map(str.strip, read_text(file).splitlines()) if line and not line.startswith("#")]


def read_documents(file: Path) -> list[Any]:
    """The YAML documents of a file, without empty ones.

    Raises:
        Failure: the file can't be read, or is no YAML.
    """
    try:
        return [document for document in parsed(read_text(file)) if document is not None]
    except ValueError as error:
        raise Failure(f"{file} is no YAML: {error}", code=DATA) from None


def parsed(text: str) -> list[Any]:
    """The documents of a YAML text, with the types of JSON alone. As for kubectl, a day or a time is text.

    Raises:
        ValueError: what is wrong, as one line.
    """
    try:
        return list(yaml.load_all(text, Loader=_Loader))
    except (yaml.YAMLError, RecursionError, *VALUE_ERRORS) as error:
        raise ValueError(_problem(error)) from None


class _Loader(yaml.SafeLoader):
    """Knows the types of JSON."""


_JSON = {f"tag:yaml.org,2002:{kind}" for kind in ("null", "bool", "int", "float", "str", "seq", "map", "merge")}
_Loader.yaml_constructors = {
    tag: constructor for tag, constructor in yaml.SafeLoader.yaml_constructors.items() if tag is None or tag in _JSON
}
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag in _JSON]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def read_plans(file: Path) -> list[Manifest]:
    """The ScanPlans of a file.

    Raises:
        Failure: it holds something else.
    """
    manifests = read_documents(file)
    for manifest in manifests:
        kind = manifest.get("kind") if isinstance(manifest, dict) else type(manifest).__name__
        if kind != labels.KIND:
            hint = f"kubectl apply -f {file}"
            raise Failure(f"{file} holds a {kind} without a use here: ScanPlans are submitted", hint, DATA)
        if problem := metadata_problem(manifest):
            raise Failure(f"{file} holds a {kind} that can't be read: {problem}", code=DATA)
    if not manifests:
        raise Failure(f"{file} holds no ScanPlan", code=DATA)
    return manifests


def spec_of(manifest: Manifest) -> ScanPlanSpec:
    """The spec of a plan, checked as far as that goes without an API server.

    Raises:
        Failure: a field is wrong, or there is no such field.
    """
    name = manifest["metadata"]["name"]
    if unknown := strictness.unknown_fields(manifest):
        raise Failure(f"{name}: {'; '.join(unknown)}", "kubectl explain scanplan.spec", DATA)
    try:
        return ScanPlanSpec.model_validate(manifest.get("spec") or {})
    except ValidationError as error:
        wrong = "; ".join(mistakes(error))
        raise Failure(f"{name}: {wrong}", "kubectl explain scanplan.spec", DATA) from None


def metadata_problem(manifest: Manifest) -> str:
    """What is wrong with the name or namespace of an object; empty: nothing."""
    metadata = manifest.get("metadata")
    if not isinstance(metadata, dict) or not metadata.get("name"):
        return "metadata has no name"
    wrong = [name for name in ("name", "namespace") if not isinstance(metadata.get(name) or "", str)]
    return f"metadata.{wrong[0]} is no text: write it in quotes" if wrong else ""


def _problem(error: Exception) -> str:
    """A YAML parser's error as one line."""
    if isinstance(error, yaml.MarkedYAMLError) and (mark := error.problem_mark):
        return f"line {mark.line + 1}, column {mark.column + 1}: {error.problem}"
    if isinstance(error, LookupError):  # PyYAML's, whose words are no more than the value
        return "a value does not fit its tag"
    return " ".join(str(error).split())
