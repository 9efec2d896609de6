"""Which template files a task means, before Nuclei is asked.

Nuclei goes on without the templates that it can't find, and exits 0. It walks a mounted ConfigMap twice, since its hidden
`..data` folders are real. It takes ids only as a filter over everything else. So we resolve paths, folders and ids to a list of
files ourselves, name what is missing, digest what is selected, and hand Nuclei nothing but that list. What a template's
severity is Nuclei decides, wherever a look at the file leaves a doubt.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from scanplan.api.documents.task import TaskDocument, TemplateFolder, content_digest
from scanplan.api.documents.words import Severity
from scanplan.api.errors import NucleiBinaryError
from scanplan.api.v1alpha1.conditions import Reason
from scanplan.findings import aliases
from scanplan.runner.nuclei.choosing import definition, index, selecting
from scanplan.runner.nuclei.choosing.selecting import ALL, Choice

SUFFIXES = (".yaml", ".yml", ".json")
_UNLISTABLE = "a name that is not UTF-8, or has line breaks"
_NO_FILE = "a path that is no plain file of its source"
_LISTABLE = re.compile(r"[^\n\r\ud800-\udfff]*")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


class Template(msgspec.Struct, frozen=True):
    """A template file that a task means."""

    path: Path
    """Absolute."""
    root: Path
    """The source that it comes from: its helper files are below that."""
    id: str
    """Empty where the file is too broken to tell."""
    named: bool
    """The plan names it, by path or id, rather than by a folder."""
    requests: int = 1
    """How many requests it makes to an endpoint, as far as the file tells."""
    needs: tuple[str, ...] = ()
    """How Nuclei is started for it, other than usually (`choosing.needs`, `choosing.workflows`)."""
    members: tuple[Path, ...] = ()
    """Of a workflow: the templates that it may run."""
    former_ids: object = None
    """What it states as ``info.metadata.aliases``: the ids that it had before."""

    @property
    def stands_for(self) -> str:
        """The id that stands for it under all of its names."""
        return aliases.canonical(self.id, self.former_ids)


class Selection(msgspec.Struct, frozen=True):
    """The templates of a task."""

    templates: tuple[Template, ...]
    """In order of their sources and paths; those that the severity levels may leave over."""
    doubles: tuple[tuple[Template, Template], ...]
    """Templates that are left out, each with the one before it that has its id: Nuclei runs only one of them."""
    filtered: Mapping[str, int]
    """How many templates were found and are not wanted, by cause."""
    digest: str
    """SHA-256 over the names and contents of `templates`."""
    left_out: tuple[tuple[Template, str], ...] = ()
    """Templates that are kept from Nuclei for another reason, with it."""

    @property
    def files(self) -> tuple[Path, ...]:
        """The paths of the templates."""
        return tuple(template.path for template in self.templates)

    @property
    def named(self) -> frozenset[Path]:
        """The paths of those that the plan names."""
        return frozenset(template.path for template in self.templates if template.named)


def select(
    requested: Sequence[str], severities: Iterable[Severity], roots: Sequence[Path], choice: Choice = ALL
) -> Selection:
    """Resolve what a plan asks for.

    Args:
        requested: paths of files and folders, relative to a root or absolute within one, and template ids. Empty: all.
        severities: keep only these; empty: all. A template that states none counts as unknown, as for Nuclei.
        roots: absolute template folders, in order of precedence.
        choice: the plan's `selection`.

    Raises:
        NucleiBinaryError: (InvalidOptions) an entry that leaves the roots or is neither path nor id, (TemplatesNotFound)
            entries that are not there, all of them named, (NoTemplatesLoaded) nothing left.
    """
    roots = [Path(os.path.realpath(root)) for root in roots]
    selected: dict[Path, bool] = {}
    left_out: dict[Path, str] = {}
    ids: set[str] = set()
    missing: list[str] = []
    for entry in requested or [str(root) for root in roots if root.is_dir()]:
        found = resolve(entry, roots)
        if found is None and "/" not in entry and not entry.endswith(SUFFIXES):
            ids.add(entry)
        elif found is None:
            missing.append(entry)
        elif found.is_dir():
            for path in walk(found, root_of(found, roots), left_out):
                selected.setdefault(path, False)
        else:
            selected[found] = True
    if ids:
        by_id = _index(roots, ids)
        missing.extend(sorted(ids - by_id.keys()))
        selected.update(dict.fromkeys((by_id[name] for name in ids & by_id.keys()), True))
    if missing:
        raise NucleiBinaryError(
            Reason.TEMPLATES_NOT_FOUND,
            f"Templates not found: {_listed(missing)}. Name paths or ids that the template sources hold; "
            f"paths start at {', '.join(map(str, roots))}.",
        )
    return _filtered(selected, Counter(left_out.values()), frozenset(severities), roots, choice)


NOTHING = Selection(templates=(), doubles=(), filtered={}, digest="")


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


def fuzz_input(document: TaskDocument) -> bytes:
    """The mounted file with requests to fuzz, held against what the task was made of; empty: there is none.

    Raises:
        NucleiBinaryError: (InputsChanged) it was edited since.
        OSError: it can't be read.
    """
    if not document.requests_file:
        return b""
    content = Path(document.requests_file).read_bytes()
    if hashlib.sha256(content).hexdigest() != document.requests_digest:
        raise NucleiBinaryError(
            Reason.INPUTS_CHANGED,
            "The file of scanner.requestsFrom was edited after this scan had started. Set rerun to scan with the new one.",
        )
    return content


def resolve(entry: str, roots: Sequence[Path]) -> Path | None:
    """The existing file or folder that `entry` names, or None.

    Raises:
        NucleiBinaryError: (InvalidOptions) it is no path, or leaves the roots.
    """
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
        if path.is_file() or path.is_dir():
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


def root_of(path: Path, roots: Sequence[Path]) -> Path:
    """The first root that a path found in them is below."""
    return next(root for root in roots if path.is_relative_to(root))


def walk(folder: Path, root: Path, left_out: dict[Path, str] | None = None) -> Iterator[Path]:
    """Template files below `folder`. Hidden names are none: ConfigMap volumes keep their versions in `..` folders.

    Args:
        root: the source that the folder is in. Links out of it are not followed.
        left_out: gets the files that can't be templates, each with the cause.
    """
    for parent, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if name.endswith(SUFFIXES) and not name.startswith("."):
                path = Path(parent, name)
                if not (why := _unusable(path, root)):
                    yield path
                elif left_out is not None:
                    left_out[path] = why


def _unusable(path: Path, root: Path) -> str:
    """Why a file can be no template; empty: it can."""
    if not _LISTABLE.fullmatch(str(path)):
        return _UNLISTABLE
    if not path.is_file() or (path.is_symlink() and not Path(os.path.realpath(path)).is_relative_to(root)):
        return _NO_FILE
    return ""


def _index(roots: Sequence[Path], wanted: Iterable[str]) -> dict[str, Path]:
    """Where the templates of some ids are; the first root and the first path win."""
    missing = {name: name.encode() for name in wanted}
    by_id: dict[str, Path] = {}
    for root in roots:
        for path in walk(root, root):
            content = path.read_bytes()
            if any(text in content for text in missing.values()):
                found = definition.identifier(content)
                if found in missing:
                    by_id[found] = path
                    del missing[found]
    return by_id


def _filtered(
    selected: dict[Path, bool],
    filtered: Counter[str],
    severities: frozenset[Severity],
    roots: Sequence[Path],
    choice: Choice,
) -> Selection:
    digest = hashlib.sha256()
    chosen: list[Template] = []
    by_id: dict[str, Template] = {}
    doubles: list[tuple[Template, Template]] = []
    placed = ((roots.index(root_of(path, roots)), path) for path in selected)
    indexes = [index.read(root) for root in roots]
    for number, path in sorted(placed):
        content = path.read_bytes()
        sha256 = index.digest(content)
        known = indexes[number].get(sha256)
        identifier = known.id if known else definition.identifier(content)
        if identifier is None and not selected[path]:
            continue  # a folder's other files: configuration, profiles
        severity = definition.severity(content)
        if severities and severity and severity not in severities:
            filtered["another severity"] += 1
            continue
        if not choice.of_all:
            facts = known.facts if known else selecting.facts(identifier or "", content)
            why = choice.left_out(facts, path.relative_to(roots[number]))
            if why:
                filtered[why] += 1
                continue
        requests = known.requests if known else definition.requests(content, path, roots[number])
        former_ids = known.former_ids if known else definition.former_ids(content)
        template = Template(path, roots[number], identifier or "", selected[path], requests, former_ids=former_ids)
        if identifier and (first := by_id.setdefault(identifier, template)) is not template:
            doubles.append((template, first))
            continue
        chosen.append(template)
        digest.update(f"{path.relative_to(roots[number])}\0".encode() + bytes.fromhex(sha256))
    if not chosen:
        counts = ", ".join(f"{count} with {why}" for why, count in filtered.most_common())
        why = f"left out are {counts}" if counts else "the sources hold none"
        raise NucleiBinaryError(Reason.NO_TEMPLATES_LOADED, f"No template is left to scan with: {why}.")
    return Selection(templates=tuple(chosen), doubles=tuple(doubles), filtered=filtered, digest=digest.hexdigest())


def _listed(names: Sequence[str], limit: int = 8) -> str:
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more
