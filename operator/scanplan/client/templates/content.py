"""Which files of a source are templates, what keeps one from loading, and the index of them.

Our own look finds what would be left out silently: broken YAML, missing fields, an id that another template has. Nuclei's own
``-validate`` finds what only it can know, such as a regular expression that does not compile.
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import yaml

from scanplan.client.cluster.failure import Failure
from scanplan.client.templates import source
from scanplan.core.planning.nuclei import plain_yaml
from scanplan.runner.nuclei.choosing import definition, index, templates

_ID = re.compile(r"([a-zA-Z0-9]+[-_])*[a-zA-Z0-9]+")
"""As Nuclei has it (pkg/templates/parser_config.go)."""
_ERROR = re.compile(r"\[ERR\] Error occurred (?:parsing|loading) template (\S+?): (.*)")
_CAUSE = re.compile(r'^cause="(?:Could not load template \S+: )?(.*)"$')
VALIDATE_SECONDS = 1_800.0


class Broken(msgspec.Struct, frozen=True):
    """A template that does not load."""

    path: str
    """Relative to the source."""
    reason: str


class Content(msgspec.Struct, frozen=True):
    """What goes into an image."""

    root: Path
    files: tuple[Path, ...]
    """All of them, absolute, in the order of their paths: also those that templates read, and the licence."""
    entries: tuple[index.Entry, ...]
    """Of the templates."""
    broken: tuple[Broken, ...]

    @property
    def index(self) -> bytes:
        """The index file."""
        return index.encode(self.entries)

    def without_broken(self) -> Content:
        """The same without the templates that don't load."""
        names = {str(self.root / each.path) for each in self.broken}
        return msgspec.structs.replace(
            self,
            files=tuple(path for path in self.files if str(path) not in names),
            entries=tuple(each for each in self.entries if str(self.root / each.path) not in names),
        )


def of(folder: Path) -> Content:
    """Read the templates of a folder.

    Raises:
        Failure: it holds no template, or what can't go into an image.
    """
    files = tuple(path for path in source.files(folder) if path != folder / index.NAME)
    entries: list[index.Entry] = []
    broken: list[Broken] = []
    by_id: dict[str, str] = {}
    for path in files:
        if not path.name.endswith(templates.SUFFIXES):
            continue
        name, content = str(path.relative_to(folder)), source.read(path)
        identifier = definition.identifier(content)
        reason = _problem(content, identifier)
        if reason is None:
            continue
        if not reason and name.endswith(".yml"):
            reason = "Nuclei takes .yaml and .json, and not .yml"
        if not reason and identifier and (first := by_id.setdefault(identifier, name)) != name:
            reason = f"its id {identifier} is that of {first} too: only one of them would run"
        if reason:
            broken.append(Broken(name, reason))
        entries.append(index.entry(path, folder, content, identifier or ""))
    if not entries:
        raise Failure(f"{folder} holds no template", code=os.EX_DATAERR)
    return Content(folder, files, tuple(entries), tuple(broken))


def validated(content: Content, nuclei: str) -> Content:
    """The same with what Nuclei's own validation refuses.

    Args:
        nuclei: the program.

    Raises:
        Failure: it can't be run, or fails without naming a template.
    """
    found = dict(_refused(content, nuclei))
    known = {each.path for each in content.broken}
    more = tuple(Broken(path, reason) for path, reason in found.items() if path not in known)
    return msgspec.structs.replace(content, broken=tuple(sorted((*content.broken, *more), key=lambda each: each.path)))


def _problem(content: bytes, identifier: str | None) -> str | None:
    """Why a file does not load; empty: it does; None: it is no template."""
    document = definition.parse(content)
    if document is None:
        return _broken_yaml(content) if identifier is not None else None
    info, kind = document.get("info"), definition.kind(document)
    if identifier is None and not (isinstance(info, dict) and kind):
        return None
    if not identifier:
        return "it has no id"
    if not _ID.fullmatch(identifier):
        return f"its id {identifier!r} is not made of letters, digits and single dashes"
    stated: Mapping[str, Any] = info if isinstance(info, dict) else {}
    if missing := [name for name in ("name", "author") if not stated.get(name)]:
        return f"info has no {' and no '.join(missing)}"
    return "" if kind else "it has no requests"


def _broken_yaml(content: bytes) -> str:
    try:
        yaml.safe_load(content)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        return f"line {mark.line + 1}: {error.problem}" if mark else str(error.problem)
    except (yaml.YAMLError, RecursionError, *plain_yaml.VALUE_ERRORS):
        pass
    return "it is no YAML mapping"


def _refused(content: Content, nuclei: str) -> Iterator[tuple[str, str]]:
    root = content.root
    with tempfile.TemporaryDirectory() as home:
        wanted = Path(home) / "templates.txt"
        wanted.write_text("".join(f"{root / each.path}\n" for each in content.entries))
        command = [nuclei, "-validate", "-t", str(wanted), "-duc", "-ni", "-no-stdin", "-nc"]
        environment = {"PATH": os.environ.get("PATH", ""), "HOME": home, "NUCLEI_TEMPLATES_DIR": str(root)}
        try:
            done = subprocess.run(
                command,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                check=False,
                timeout=VALIDATE_SECONDS,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise Failure(f"{nuclei} can't be run: {error}", "--nuclei with another one, or --no-nuclei") from None
    named = [found for line in done.stdout.splitlines() if (found := _ERROR.match(line))]
    for path, reason in (each.groups() for each in named):
        if Path(path).is_relative_to(root):
            yield str(Path(path).relative_to(root)), _words(reason)
    if done.returncode and not named:
        last: Sequence[str] = done.stdout.strip().splitlines() or ["it said nothing"]
        raise Failure(f"{nuclei} -validate ends with {done.returncode}: {last[-1]}", code=os.EX_DATAERR)


def _words(reason: str) -> str:
    cause = _CAUSE.match(reason)
    return " ".join((cause[1] if cause else reason).replace('\\"', '"').split())
