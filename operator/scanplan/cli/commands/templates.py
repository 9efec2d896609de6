"""``scanplan templates``: makes images of templates for `templatesFrom`, and pushes them."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from scanplan.cli import options
from scanplan.cli.output.failure import DATA, USAGE, Failure, told
from scanplan.cli.output.help import SETTINGS, Command
from scanplan.cli.output.terminal import answers, line, say, waiting, warn, write_json
from scanplan.client.templates import content, image, source
from scanplan.client.templates.content import Broken, Content
from scanplan.client.templates.registry import Reference, Registry

MOST_NAMED = 20
"""Broken templates that are named one by one."""

app = typer.Typer(
    help="Make images of templates, and push them.",
    no_args_is_help=True,
    rich_markup_mode=None,
    context_settings=SETTINGS,
)

Authority = Annotated[
    Path | None,
    typer.Option(
        "--ca",
        metavar="FILE",
        help="Certificates (PEM) that the registry's is checked by, instead of the system's.",
        show_default=False,
    ),
]
PlainHttp = Annotated[bool, typer.Option("--plain-http", help="No TLS; only to a registry on this machine.")]


@app.command(cls=Command)
@told
def build(
    release: Annotated[
        str,
        typer.Option(
            metavar="VERSION",
            help="Release of the community's templates, such as v10.3.0. With --from it is only the image's label.",
            show_default=False,
        ),
    ] = "",
    origin: Annotated[
        str,
        typer.Option(
            "--from",
            metavar="FOLDER|ARCHIVE|URL",
            help="Templates of your own, or a mirror's copy of a release: tar, tar.gz or zip.",
            show_default=False,
        ),
    ] = "",
    sha256: Annotated[
        str, typer.Option(metavar="HEX", help="What the archive's SHA-256 has to be.", show_default=False)
    ] = "",
    checksums: Annotated[
        str,
        typer.Option(
            metavar="FILE|URL", help="Lines as sha256sum writes them; one names the archive.", show_default=False
        ),
    ] = "",
    push: Annotated[str, typer.Option(metavar="REGISTRY/NAME:TAG", help="Push the image.", show_default=False)] = "",
    archive: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write it as an OCI archive (tar).", show_default=False)
    ] = None,
    layout: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Write it as an OCI layout.", show_default=False)
    ] = None,
    name: Annotated[
        str,
        typer.Option(metavar="REGISTRY/NAME:TAG", help="The image's name in archive and layout.", show_default=False),
    ] = "",
    leave_out: Annotated[
        bool, typer.Option("--leave-out-broken", help="Leave out templates that don't load, and name them.")
    ] = False,
    nuclei: Annotated[
        str | None,
        typer.Option(
            metavar="PROGRAM",
            envvar="NUCLEI_BIN",
            help="Nuclei that validates the templates; by default the one on PATH, if any.",
            show_default=False,
        ),
    ] = None,
    authority: Authority = None,
    plain_http: PlainHttp = False,
    output: options.TextFormat = options.TextOrJson.TEXT,
) -> None:
    """Make an image of templates. The same files are the same bytes.

    \b
      scanplan templates build --release v10.3.0 --sha256 … --push registry.example.com/templates:v10.3.0
      scanplan templates build --from our-templates/ --push registry.example.com/ours:2026-11
      scanplan templates build --from nuclei-templates.tar.gz --checksums SHA256SUMS --archive templates.tar

    The image holds files alone, checked and indexed. A download needs --sha256 or --checksums. An archive that
    has one folder at the top stands for that folder. Files and folders whose names begin with a dot stay out.
    Credentials are those of `docker login` or `buildah login`. Standard output has the lines for the plan.

    Exit codes: 0; 64 an option is missing or wrong; 65 another SHA-256, or templates that don't load; 66 no such
    file or release; 69 no answer; 73 a file can't be written; 77 the registry refuses your login.
    """
    if not (push or archive or layout):
        raise Failure("nothing says where the image goes", "--push, --archive or --layout", USAGE)
    if not (release or origin):
        raise Failure("nothing says which templates", "--release VERSION, or --from FOLDER", USAGE)
    target = Reference.of(push) if push else None
    registry = Registry(target, authority=authority, plain_http=plain_http) if target else None
    if name:
        Reference.of(name)
    _check_free(archive, layout)
    where = origin or source.of_release(release)
    with tempfile.TemporaryDirectory(prefix="scanplan-templates-") as temporary:
        with waiting(f"Reading {where}"):
            opened = source.opened(where, Path(temporary), sha256=sha256, checksums=checksums)
        found, program = _checked(opened.folder, nuclei)
        if found.broken:
            _tell(found.broken, leave_out=leave_out)
        kept = found.without_broken() if found.broken else found
        if not kept.entries:
            raise Failure("no template is left", code=DATA)
        with waiting(f"Writing an image of {len(kept.entries):,} templates"), _written():
            made = image.write(kept, Path(temporary) / "layout", release=release, reference=name or push)
            if layout:
                shutil.copytree(made.layout, layout)
            if archive:
                with archive.open("xb") as file:
                    image.archive(made, file)
        say(f"{len(kept.entries):,} templates, {len(kept.files):,} files: {made.digest}")
        if registry:
            with waiting(f"Pushing {push}"):
                registry.push(made)
            say(f"pushed {push}")
    named = Reference.of(name or push).by_digest(made.digest) if name or push else ""
    lines: dict[str, Any] = {"templatesFrom": [{"image": {"reference": named}}]} if named else {}
    if output is options.TextOrJson.JSON:
        write_json(
            {
                "digest": made.digest,
                "image": named,
                "templates": len(kept.entries),
                "files": len(kept.files),
                "leftOut": [{"path": each.path, "reason": each.reason} for each in found.broken],
                "validatedBy": program,
                "sourceSha256": opened.sha256,
                **lines,
            }
        )
    elif lines:
        answers().print(yaml.safe_dump(lines, sort_keys=False, width=1_000), end="")


@app.command(cls=Command)
@told
def push(
    archive: Annotated[Path, typer.Argument(metavar="ARCHIVE", help="OCI archive that `build --archive` wrote.")],
    target: Annotated[str, typer.Argument(metavar="REGISTRY/NAME:TAG", help="Where it goes.")],
    authority: Authority = None,
    plain_http: PlainHttp = False,
    output: options.TextFormat = options.TextOrJson.TEXT,
) -> None:
    """Push an image that was built elsewhere.

    \b
      scanplan templates push templates.tar registry.internal/templates:v10.3.0

    Its digest stays, so plans may name it before it is there.

    Exit codes: 0; 64 no such name; 65 the archive is damaged; 66 no such file; 69 no answer; 77 the registry
    refuses your login.
    """
    reference = Reference.of(target)
    registry = Registry(reference, authority=authority, plain_http=plain_http)
    with tempfile.TemporaryDirectory(prefix="scanplan-templates-") as temporary:
        made = image.opened(archive, Path(temporary))
        with waiting(f"Pushing {target}"):
            named = registry.push(made)
    say(f"pushed {target}")
    lines = {"templatesFrom": [{"image": {"reference": named}}]}
    if output is options.TextOrJson.JSON:
        write_json({"digest": made.digest, "image": named, **lines})
    else:
        answers().print(yaml.safe_dump(lines, sort_keys=False, width=1_000), end="")


def _checked(folder: Path, nuclei: str | None) -> tuple[Content, str]:
    """The content of a folder, and the Nuclei that validated it; empty: none did."""
    with waiting("Reading the templates"):
        found = content.of(folder)
    program = shutil.which(nuclei or "nuclei")
    if nuclei and not program:
        raise Failure(f"there is no {nuclei}", "--nuclei with the program's path", os.EX_NOINPUT)
    if not program:
        warn("there is no Nuclei here that could validate the templates: only their form is checked (NUCLEI_BIN)")
        return found, ""
    with waiting(f"Validating {len(found.entries):,} templates by {program}"):
        return content.validated(found, program), program


def _tell(broken: tuple[Broken, ...], *, leave_out: bool) -> None:
    """Name what does not load; the command ends unless it may be left out."""
    for each in broken[:MOST_NAMED]:
        warn(str(line(f"{each.path}: {each.reason}")))
    if len(broken) > MOST_NAMED:
        warn(f"and {len(broken) - MOST_NAMED:,} more")
    what = "1 template does" if len(broken) == 1 else f"{len(broken):,} templates do"
    if not leave_out:
        raise Failure(f"{what} not load", "repair them, or --leave-out-broken", DATA)
    say(f"{what} not load, and stay out")


def _check_free(archive: Path | None, layout: Path | None) -> None:
    for path in (archive, layout):
        if path and path.exists():
            raise Failure(f"{path} exists", "another name", os.EX_CANTCREAT)


@contextlib.contextmanager
def _written() -> Iterator[None]:
    """Errors of the disk as failures."""
    try:
        yield
    except OSError as error:
        raise Failure(f"{error.filename or 'a file'}: {error.strerror}", code=os.EX_CANTCREAT) from None
