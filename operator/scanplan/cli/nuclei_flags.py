"""Nuclei's own flags for `scanplan submit`, and the fields of a plan that they mean.

docs/how-to/from-nuclei.md has all of Nuclei's flags, with the field of each, or the reason why there is none.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from scanplan.cli.manifests import read_lines
from scanplan.cli.output.failure import USAGE, Failure
from scanplan.cli.output.help import Command

_FLAG = re.compile(r"-[A-Za-z][A-Za-z-]+")


def _listed(*names: str, what: str) -> Any:
    return typer.Option(*names, metavar="A,B", help=what, show_default=False)


def _number(*names: str, what: str) -> Any:
    return typer.Option(*names, metavar="N", help=what, min=0, show_default=False)


Targets = Annotated[list[str] | None, _listed("-u", "-target", what="Targets.")]
TargetFile = Annotated[
    Path | None,
    typer.Option("-l", "-list", metavar="FILE", help="File with a target on each line.", show_default=False),
]
Tags = Annotated[list[str] | None, _listed("-tags", what="Only templates with one of these tags.")]
ExcludeTags = Annotated[list[str] | None, _listed("-etags", "-exclude-tags", what="None with one of these tags.")]
Ids = Annotated[
    list[str] | None, _listed("-id", "-template-id", what="Only templates with these ids, or globs of them.")
]
ExcludeIds = Annotated[list[str] | None, _listed("-eid", "-exclude-id", what="None with these ids, or globs of them.")]
Authors = Annotated[list[str] | None, _listed("-a", "-author", what="Only templates of these authors.")]
Protocols = Annotated[list[str] | None, _listed("-pt", "-type", what="Only templates of these protocols.")]
ExcludeProtocols = Annotated[list[str] | None, _listed("-ept", "-exclude-type", what="None of these protocols.")]
ExcludeSeverities = Annotated[list[str] | None, _listed("-es", "-exclude-severity", what="None of these severities.")]
ExcludeTemplates = Annotated[
    list[str] | None, _listed("-et", "-exclude-templates", what="None of these files and folders.")
]
ExcludeMatchers = Annotated[
    list[str] | None, _listed("-em", "-exclude-matchers", what="No findings of these matchers: ID:NAME, ID:*, *:NAME.")
]
Workflows = Annotated[list[str] | None, _listed("-w", "-workflows", what="Workflows: files or folders.")]
Automatic = Annotated[
    bool, typer.Option("-as", "-automatic-scan", help="Of these, only templates for technologies that are found.")
]
Dast = Annotated[bool, typer.Option("-dast", help="Run fuzzing templates.")]
Headless = Annotated[bool, typer.Option("-headless", help="Run templates that need a browser.")]
Code = Annotated[bool, typer.Option("-code", help="Run signed templates that are programs.")]
Profile = Annotated[
    str | None,
    typer.Option("-tp", "-profile", metavar="NAME", help="Template profile of a source.", show_default=False),
]
RateLimit = Annotated[int | None, _number("-rl", "-rate-limit", what="Requests a second, of one shard.")]
Concurrency = Annotated[int | None, _number("-c", "-concurrency", what="Templates in parallel.")]
BulkSize = Annotated[int | None, _number("-bs", "-bulk-size", what="Hosts in parallel, for each template.")]
Timeout = Annotated[int | None, _number("-timeout", what="Seconds for one request.")]
Retries = Annotated[int | None, _number("-retries", what="Repeats of a failed request.")]
Headers = Annotated[
    list[str] | None,
    typer.Option(
        "-H",
        "-header",
        metavar="NAME: VALUE",
        help="Header of every request. For secret ones: headersFrom.",
        show_default=False,
    ),
]
Proxy = Annotated[
    str | None, typer.Option("-p", "-proxy", metavar="URL", help="Proxy of all requests.", show_default=False)
]
FollowRedirects = Annotated[bool, typer.Option("-fr", "-follow-redirects", help="Follow redirects.")]
FollowHostRedirects = Annotated[
    bool, typer.Option("-fhr", "-follow-host-redirects", help="Follow redirects to the same host.")
]
MaxRedirects = Annotated[int | None, _number("-mr", "-max-redirects", what="Redirects in a row.")]
MaxHostErrors = Annotated[
    int | None, _number("-mhe", "-max-host-error", what="Failures after which a host is skipped.")
]
MaxResponseBytes = Annotated[int | None, _number("-rsr", "-response-size-read", what="Bytes of a response to read.")]
Sni = Annotated[
    str | None, typer.Option("-sni", metavar="NAME", help="Host name that TLS asks for.", show_default=False)
]
VerifySignatures = Annotated[
    bool, typer.Option("-dut", "-disable-unsigned-templates", help="Run signed templates only.")
]
Variables = Annotated[
    list[str] | None,
    typer.Option(
        "-V",
        "-var",
        metavar="NAME=VALUE",
        help="Template variable that is not secret. Several times.",
        show_default=False,
    ),
]

LISTS = {
    "tags": "selection.include.tags",
    "exclude_tags": "selection.exclude.tags",
    "ids": "selection.include.ids",
    "exclude_ids": "selection.exclude.ids",
    "authors": "selection.include.authors",
    "protocols": "selection.include.protocols",
    "exclude_protocols": "selection.exclude.protocols",
    "exclude_severities": "selection.exclude.severities",
    "exclude_templates": "selection.exclude.paths",
    "workflows": "selection.workflows",
    "exclude_matchers": "selection.exclude.matchers",
}
VALUES = {
    "profile": "selection.profile",
    "automatic": "selection.automatic",
    "rate_limit": "scanner.rateLimit",
    "concurrency": "scanner.concurrency",
    "bulk_size": "scanner.bulkSize",
    "timeout": "scanner.requestTimeoutSeconds",
    "retries": "scanner.requestRetries",
    "proxy": "scanner.proxy",
    "follow_redirects": "scanner.followRedirects",
    "follow_host_redirects": "scanner.followHostRedirects",
    "max_redirects": "scanner.maxRedirects",
    "max_host_errors": "scanner.maxHostErrors",
    "max_response_bytes": "scanner.maxResponseBytes",
    "sni": "scanner.sni",
    "dast": "scanner.dast",
    "headless": "scanner.headless",
    "code": "scanner.code",
    "verify_signatures": "scanner.verifySignatures",
}
"""Fields of a plan's spec, by the names of the flags in `submit`."""
PAIRS = {
    "headers": ("scanner.headers", ":", '-H "Name: value"'),
    "variables": ("scanner.variables", "=", "-V name=value"),
}
"""Fields with names and values: the field, what is between the two, and how it is written."""
_IN_LOWER_CASE = {"protocols", "exclude_protocols", "exclude_severities"}


class Flagged(Command):
    """A command that takes Nuclei's flags of one dash. An unknown one is refused as a whole: ``-headless`` is not ``-h``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        known = {option for parameter in self.get_params(ctx) for option in parameter.opts}
        for word in args[: args.index("--")] if "--" in args else args:
            if _FLAG.fullmatch(word) and word not in known:
                near = difflib.get_close_matches(word, known, n=1)
                hint = f"Did you mean {near[0]}?" if near else "docs/how-to/from-nuclei.md has all of Nuclei's flags."
                raise typer.BadParameter(f"No such option: {word}. {hint}")
        return super().parse_args(ctx, args)


def parts(texts: Iterable[str] | None) -> list[str]:
    """Items that are separated by commas, in one text or several."""
    return [item for text in texts or () for each in text.split(",") if (item := each.strip())]


def targets(given: Iterable[str] | None, file: Path | None) -> list[str]:
    """The targets of ``-u`` and ``-l``.

    Raises:
        Failure: the file can't be read.
    """
    return [*parts(given), *(read_lines(file) if file else ())]


def spec_of(given: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a spec that flags mean.

    Args:
        given: values by the names in `LISTS`, `VALUES` and `PAIRS`; what is None or False was not given.

    Raises:
        Failure: a header or a variable has no name.
    """
    spec: dict[str, Any] = {}
    for name, path in LISTS.items():
        items = parts(given.get(name))
        if items:
            _put(spec, path, [item.lower() for item in items] if name in _IN_LOWER_CASE else items)
    for name, path in VALUES.items():
        value = given.get(name)
        if value is not None and value is not False:
            _put(spec, path, value)
    for flag, (path, mark, hint) in PAIRS.items():
        pairs = [_pair(text, mark, hint) for text in given.get(flag) or ()]
        if pairs:
            _put(spec, path, pairs)
    return spec


def _pair(text: str, mark: str, hint: str) -> dict[str, str]:
    name, found, value = text.partition(mark)
    if not found or not name.strip():
        raise Failure(f"{text!r} has no name and value", hint, USAGE)
    return {"name": name.strip(), "value": value.strip() if mark == ":" else value}


def _put(spec: dict[str, Any], path: str, value: Any) -> None:
    *above, last = path.split(".")
    for name in above:
        spec = spec.setdefault(name, {})
    spec[last] = value
