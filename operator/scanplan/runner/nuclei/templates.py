"""Which template files a task means, before Nuclei is asked.

Nuclei goes on without the templates that it can't find and exits 0, walks a mounted ConfigMap twice (its hidden `..data`
folders are real), and takes ids only as a filter over everything else. So we resolve paths, folders and ids to a list of
files ourselves, name what is missing, digest what is selected, and hand Nuclei nothing but that list.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import msgspec

from scanplan.api.errors import NucleiBinaryError
from scanplan.api.v1alpha1.conditions import Reason
from scanplan.api.v1alpha1.task import Severity, TemplateFolder, content_digest

SUFFIXES = (".yaml", ".yml")
_ID = re.compile(rb"^id:[ \t]*[\"']?([A-Za-z0-9_.-]+)", re.MULTILINE)
_SEVERITY = re.compile(rb"^[ \t]+severity:[ \t]*[\"']?([A-Za-z]+)", re.MULTILINE)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


class Selection(msgspec.Struct, frozen=True):
    """The templates of a task."""

    files: tuple[Path, ...]
    """Absolute and sorted; those that the severity levels leave over."""
    named: frozenset[Path]
    """Those of `files` that the plan names one by one, by path or id, rather than by folder."""
    identifiers: int
    """How many different ids they have: Nuclei loads a second template of the same id no more."""
    filtered: int
    """Templates that were selected, but have another severity."""
    digest: str
    """SHA-256 over the names and contents of `files`."""


def select(requested: Sequence[str], severities: Iterable[Severity], roots: Sequence[Path]) -> Selection:
    """Resolve what a plan asks for.

    Args:
        requested: paths of files and folders, relative to a root or absolute within one, and template ids. Empty: all.
        severities: keep only these; empty: all. A template that states none counts as unknown, as for Nuclei.
        roots: absolute template folders, in order of precedence.

    Raises:
        NucleiBinaryError: (InvalidOptions) an entry that leaves the roots or is neither path nor id, (TemplatesNotFound)
            entries that are not there, all of them named, (NoTemplatesLoaded) nothing left.
    """
    roots = [Path(os.path.realpath(root)) for root in roots]
    selected: dict[Path, bool] = {}
    ids: set[str] = set()
    missing: list[str] = []
    for entry in requested or [str(root) for root in roots if root.is_dir()]:
        found = _resolve(entry, roots)
        if found is None and "/" not in entry and not entry.endswith(SUFFIXES):
            ids.add(entry)
        elif found is None:
            missing.append(entry)
        elif found.is_dir():
            for path in _walk(found):
                selected.setdefault(path, False)
        else:
            selected[found] = True
    if ids:
        by_id = _index(roots)
        missing.extend(sorted(ids - by_id.keys()))
        selected.update(dict.fromkeys((by_id[name] for name in ids & by_id.keys()), True))
    if missing:
        raise NucleiBinaryError(
            Reason.TEMPLATES_NOT_FOUND,
            f"Templates not found: {_listed(missing)}. Name paths or ids that the template sources hold; "
            f"paths start at {', '.join(map(str, roots))}.",
        )
    return _filtered(selected, frozenset(severities), roots)


def verify(folders: Iterable[TemplateFolder]) -> None:
    """Hold the mounted template folders against what the task was made of.

    Raises:
        NucleiBinaryError: (InputsChanged) a ConfigMap was edited since; its task would be another one.
    """
    for folder in folders:
        if not folder.digest:
            continue
        files = {file.name: file.read_bytes() for file in Path(folder.path).iterdir() if not file.name.startswith("..")}
        if content_digest(files) != folder.digest:
            raise NucleiBinaryError(
                Reason.INPUTS_CHANGED,
                f"The templates in {folder.path} were edited after this scan had started. Set rerun to scan with the new ones.",
            )


def _resolve(entry: str, roots: Sequence[Path]) -> Path | None:
    """The existing file or folder that `entry` names, or None."""
    if not entry or entry.startswith("-") or any(character in entry for character in ",*?[\\\n\r\0\"'`"):
        raise NucleiBinaryError(
            Reason.INVALID_OPTIONS,
            f"Template {entry!r} is neither a path nor an id. Name files, folders or ids, without wildcards.",
        )
    if ".." in Path(entry).parts:
        raise _outside(entry, roots)
    if "/" not in entry and not entry.endswith(SUFFIXES) and not _NAME.fullmatch(entry):
        raise NucleiBinaryError(Reason.INVALID_OPTIONS, f"Template {entry!r} is neither a path nor an id.")
    for root in roots:
        path = root / entry
        if not path.is_relative_to(root):
            continue
        if path.exists():
            if not Path(os.path.realpath(path)).is_relative_to(root):
                raise _outside(entry, roots)
            return path
    if Path(entry).is_absolute() and not any(Path(entry).is_relative_to(root) for root in roots):
        raise _outside(entry, roots)
    return None


def _outside(entry: str, roots: Sequence[Path]) -> NucleiBinaryError:
    return NucleiBinaryError(
        Reason.INVALID_OPTIONS,
        f"Template {entry!r} is outside of the template sources ({', '.join(map(str, roots))}). Use a path within them.",
    )


def _walk(folder: Path) -> Iterator[Path]:
    """Template files below `folder`. Hidden names are none: ConfigMap volumes keep their versions in `..` folders."""
    for parent, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if name.endswith(SUFFIXES) and not name.startswith("."):
                yield Path(parent, name)


def _index(roots: Sequence[Path]) -> dict[str, Path]:
    """All template ids and where they are; the first root and the first path win."""
    by_id: dict[str, Path] = {}
    for root in roots:
        for path in _walk(root):
            if match := _ID.search(path.read_bytes()):
                by_id.setdefault(match[1].decode(), path)
    return by_id


def _filtered(selected: dict[Path, bool], severities: frozenset[Severity], roots: Sequence[Path]) -> Selection:
    digest = hashlib.sha256()
    files: list[Path] = []
    identifiers: set[bytes] = set()
    filtered = 0
    for path in sorted(selected):
        content = path.read_bytes()
        identifier = _ID.search(content)
        if not identifier and not selected[path]:
            continue  # a folder's other YAML: configuration, profiles
        match = _SEVERITY.search(content)
        severity = match[1].decode().lower() if match else Severity.UNKNOWN.value
        if severities and severity not in severities:
            filtered += 1
            continue
        files.append(path)
        identifiers.add(identifier[1] if identifier else bytes(path))
        name = next(path.relative_to(root) for root in roots if path.is_relative_to(root))
        digest.update(f"{name}\0".encode() + hashlib.sha256(content).digest())
    if not files:
        why = (
            f"none of {filtered} has severity {' or '.join(sorted(severities))}"
            if filtered
            else "the sources hold none"
        )
        raise NucleiBinaryError(Reason.NO_TEMPLATES_LOADED, f"No template is left to scan with: {why}.")
    return Selection(
        files=tuple(files),
        named=frozenset(path for path in files if selected[path]),
        identifiers=len(identifiers),
        filtered=filtered,
        digest=digest.hexdigest(),
    )


def _listed(names: Sequence[str], limit: int = 8) -> str:
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more
