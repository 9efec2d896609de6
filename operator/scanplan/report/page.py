"""A scan as one HTML page that needs no network and no other file.

The page makes no request, and its policy allows none. It has one style and one script, both allowed by their hash, so text from a
scanned host can't run. It stays below `MAX_BYTES`: a larger scan has its most severe findings on the page, which says where the
others are.
"""

from __future__ import annotations

import base64
import hashlib
import importlib.resources
from collections.abc import Iterable, Iterator, Sequence
from html import escape

from scanplan.api import layout
from scanplan.api.documents.records import ScanMetadata, ShardSummary
from scanplan.api.documents.words import Severity
from scanplan.findings.identity import LENGTH
from scanplan.findings.lookup import Life, nowhere
from scanplan.report import charts, rows, text
from scanplan.report.finding import RANK, Finding
from scanplan.report.scan import remarks
from scanplan.report.severity_budget import MostSevere

MAX_BYTES = 10_000_000
_ROWS_BYTES = 4_000_000
"""Without the begin of each row, which is at most 200 bytes."""
_RAW_BYTES = 3_500_000
_CHART_HOSTS = 12
_SEVERITIES = tuple(Severity)
_MAX_HOSTS = 100_000
_MAX_LISTED = 500
"""Most unreachable endpoints, and most shards, that the page lists by name."""


class Contents:
    """Collects the findings of a page. Holds at most 8.5 MB, the most severe ones first."""

    def __init__(self) -> None:
        self.seen = _Seen()
        self.suppressed = 0
        """Findings that fall under an exception."""
        self.heads, self.raws = MostSevere(_ROWS_BYTES), MostSevere(_RAW_BYTES)

    def add(self, finding: Finding) -> None:
        """Add a finding."""
        number = self.seen.total
        self.seen.add(finding)
        self.suppressed += finding.suppressed is not None
        marks = f"{RANK[finding.severity]}{int(finding.suppressed is not None)}"
        prefix = f"{finding.identity}{marks}".encode()  # what has become of it is not known yet
        self.heads.add(number, finding.severity, prefix + rows.head(finding))
        self.raws.add(number, finding.severity, rows.raw(finding))


def render(
    scan: ScanMetadata,
    findings: Iterable[Finding],
    version: str,
    *,
    life: Life = nowhere,
    notes: Sequence[str] = (),
    rest: str = layout.FINDINGS,
) -> Iterator[bytes]:
    """Render the page of these findings, piece by piece.

    Args:
        findings: read once.
        version: of this program.
        life: finds what is known of a finding from earlier scans; asked for those that are shown.
        notes: further remarks for the reader, such as that only some severities are shown.
        rest: where all findings are, as text. A file name becomes a link.
    """
    contents = Contents()
    for finding in findings:
        contents.add(finding)
    yield from compose(scan, contents, version, life=life, notes=notes, rest=rest)


def compose(
    scan: ScanMetadata,
    contents: Contents,
    version: str,
    *,
    counts: charts.Counts | None = None,
    life: Life = nowhere,
    suppressed: int | None = None,
    notes: Sequence[str] = (),
    rest: str = layout.FINDINGS,
) -> Iterator[bytes]:
    """Render the page of findings that were collected before. Further arguments are those of `render`.

    Args:
        suppressed: how many of all findings fall under an exception; None counts `contents`.
        counts: counts of all findings by severity, where `contents` has only the most severe; None counts `contents`.
    """
    seen, heads, exchanges = contents.seen, contents.heads, dict(contents.raws)
    counts = counts or seen.counts
    suppressed = contents.suppressed if suppressed is None else suppressed
    total = sum(counts)
    style, script = _asset("report.css"), _asset("report.js")
    title = f"{text.line(scan.run_id or scan.plan.name or 'scan', 250)}: {total:,} findings"
    policy = (
        f"default-src 'none'; style-src '{_digest(style)}'; script-src '{_digest(script)}'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    yield (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="referrer" content="no-referrer">'
        f'<link rel="icon" href="data:,"><title>{escape(title)}</title><style>{style}</style></head>\n<body>'
        '<a class="skip" href="#findings">To the findings</a>'
        f"<header>{_header(scan)}</header><main>{_remarks([*remarks(scan), *notes])}"
        f"{_cards(scan, counts, suppressed)}{_charts(seen, counts)}{_not_scanned(scan)}"
    ).encode()
    marked = bool(contents.suppressed)
    yield _table_head(scan, counts, len(heads), rest, suppressed=marked, whole=scan.complete and not notes).encode()
    missing = f'<p class="quiet">The raw exchange is in {_where(rest)}.</p>'.encode()
    for number, piece in heads:
        identity, severity = piece[:LENGTH].decode(), _SEVERITIES[int(piece[LENGTH:][:1])]
        yield rows.opening(severity, life(identity), suppressed=piece[LENGTH + 1 :][:1] == b"1")
        yield piece[LENGTH + 2 :]
        yield exchanges.get(number, missing)
        yield rows.TAIL
    yield (
        f"{'</table></div>' if len(heads) else ''}</section>{_how(scan)}</main>"
        f"<footer>Made by scanplan {escape(version)} from {_where(rest)}.</footer><script>{script}</script></body></html>\n"
    ).encode()


class _Seen:
    """Findings counted by severity and by host."""

    def __init__(self) -> None:
        self.counts = [0] * len(Severity)
        self.hosts: dict[str, list[int]] = {}

    def add(self, finding: Finding) -> None:
        rank = RANK[finding.severity]
        self.counts[rank] += 1
        host = text.line(finding.host, 255) or "(no host)"
        if host in self.hosts or len(self.hosts) < _MAX_HOSTS:
            self.hosts.setdefault(host, [0] * len(Severity))[rank] += 1

    @property
    def total(self) -> int:
        return sum(self.counts)

    def worst_hosts(self) -> dict[str, list[int]]:
        """The hosts with the most severe findings, in their order."""
        ranked = sorted(self.hosts.items(), key=lambda item: ([-count for count in item[1]], item[0]))
        return dict(ranked[:_CHART_HOSTS])


def _header(scan: ScanMetadata) -> str:
    times = " to ".join(filter(None, (moment(scan.started_at), moment(scan.finished_at))))
    facts = [
        f"project {_code(scan.project_id)}" if scan.project_id else "",
        f"plan {_code(f'{scan.plan.namespace}/{scan.plan.name}')}" if scan.plan.name else "",
        escape(times),
    ]
    return f'<h1>Scan {_line(scan.run_id or scan.plan.name)}</h1><p class="quiet">{" · ".join(filter(None, facts))}</p>'


def _remarks(said: list[str]) -> str:
    return f'<div class="remarks" role="note">{"".join(f"<p>{_line(one)}</p>" for one in said)}</div>' if said else ""


def _cards(scan: ScanMetadata, counts: charts.Counts, suppressed: int) -> str:
    finished = len(scan.shards) - len(scan.unfinished)
    cards = [
        (f"{sum(counts):,}", "findings"),
        (f"{counts[0] + counts[1]:,}", "critical or high"),
        (f"{scan.endpoints_scanned:,} of {scan.endpoints:,}", "endpoints scanned"),
        (f"{finished:,} of {len(scan.shards):,}", "shards complete"),
    ]
    if suppressed:
        cards.append((f"{suppressed:,}", "of them under an exception"))
    if (history := scan.history) is not None:
        since = f" since {moment(history.since)}" if history.since else ""
        cards += [(f"{history.new.total:,}", f"new{since}")]
        cards += [(f"{history.resolved.total:,}", f"resolved{since}")] if since else []
        cards += [(f"{history.reopened.total:,}", "came back")] if history.reopened.total else []
        cards += [(f"{history.open.total:,}", "open, each counted once")]
    return f'<ul class="cards">{"".join(f"<li><b>{value}</b>{_line(name)}</li>" for value, name in cards)}</ul>'


def _charts(seen: _Seen, counts: charts.Counts) -> str:
    if not seen.total:
        return ""
    total = sum(counts)
    of = f", of the {seen.total:,} most severe findings" if seen.total < total else ""
    shown = seen.worst_hosts()
    more = len(seen.hosts) - len(shown)
    others = f' <span class="quiet">and {more:,} more</span>' if more else ""
    return (
        f'<div class="charts"><figure><figcaption>By severity</figcaption>{charts.severities(counts)}</figure>'
        f"<figure><figcaption>By host, most severe first{of}{others}</figcaption>{charts.hosts(shown)}</figure></div>"
    )


def _not_scanned(scan: ScanMetadata) -> str:
    shards = "".join(map(_shard, scan.unfinished[:_MAX_LISTED]))
    unreachable = [endpoint for shard in scan.shards for endpoint in shard.endpoints_unreachable]
    skipped = [endpoint for shard in scan.shards for endpoint in shard.endpoints_skipped]
    troubled = [each for shard in scan.shards for each in shard.endpoints_troubled]
    if not (shards or unreachable or skipped or troubled or scan.templates_not_run):
        return ""
    parts = ["<section><h2>What was not scanned</h2>"]
    if shards:
        parts.append(
            '<div class="wide"><table><thead><tr><th scope="col">Shard</th><th scope="col">Outcome</th>'
            '<th scope="col">Endpoints</th><th scope="col">Why</th></tr></thead>'
            f"<tbody>{shards}</tbody></table></div>{_and_more(len(scan.unfinished))}"
        )
    for title, endpoints, count in (
        ("Endpoints that did not answer", unreachable, scan.endpoints_unreachable),
        ("Endpoints that stopped answering, or got no request", skipped, scan.endpoints_skipped),
    ):
        items = [f"<li><code>{_line(endpoint, 300)}</code></li>" for endpoint in endpoints[:_MAX_LISTED]]
        parts.append(_details(title, items, max(count, len(endpoints))))
    items = [
        f"<li><code>{_line(item.endpoint, 300)}</code>: {_line(item.remark, 300)}</li>"
        for item in troubled[:_MAX_LISTED]
    ]
    parts.append(_details("Endpoints with failed, throttled or blocked requests", items, len(troubled)))
    items = [
        f"<li><code>{_line(item.template, 300)}</code>: {_line(item.reason, 300)}</li>"
        for item in scan.templates_not_run[:_MAX_LISTED]
    ]
    parts.append(_details("Templates that were not run", items, len(scan.templates_not_run)))
    return "".join([*parts, "</section>"])


def _details(title: str, items: Sequence[str], total: int) -> str:
    if not total:
        return ""
    summary = f"<summary>{title} ({total:,})</summary>"
    return f"<details open>{summary}<ul>{''.join(items)}</ul>{_and_more(total)}</details>"


def _shard(shard: ShardSummary) -> str:
    error = shard.error
    why = f"{error.reason}: {error.message}" if error else "never scanned" if not shard.attempts else ""
    scanned = f"{shard.endpoints_scanned:,} of {shard.endpoints:,} scanned"
    return f"<tr><td>{shard.shard}</td><td>{shard.outcome.value}</td><td>{scanned}</td><td>{_line(why)}</td></tr>"


def _and_more(total: int) -> str:
    return f"<p>and {total - _MAX_LISTED:,} more: see {layout.METADATA}</p>" if total > _MAX_LISTED else ""


def _table_head(
    scan: ScanMetadata, counts: charts.Counts, shown: int, rest: str, *, suppressed: bool, whole: bool
) -> str:
    total = sum(counts)
    start = f'<section id="findings" tabindex="-1"><h2>Findings{f" ({total:,})" if total else ""}</h2>'
    if not total:
        return f"{start}<p>Nothing was found{'' if whole else ' in what is reported here'}.</p>"
    cut = f"<p>The {shown:,} most severe are shown. All are in {_where(rest)}.</p>" if shown < total else ""
    boxes = "".join(
        f'<label><input type="checkbox" name="severity" value="{severity.value}" checked> {severity.value}</label>'
        for severity, count in zip(Severity, counts, strict=True)
        if count
    )
    compared = scan.history is not None and bool(scan.history.since)
    only = '<label><input type="checkbox" name="new"> only new</label>' if compared else ""
    if suppressed:
        only += '<label><input type="checkbox" name="open"> only open</label>'
    return (
        f'{start}{cut}<form hidden><label>Filter <input type="search" name="text" autocomplete="off" '
        f'placeholder="host, finding or template"></label><fieldset><legend>Severity</legend>{boxes}</fieldset>{only}'
        '<span role="status" class="quiet"></span></form>'
        '<div class="wide"><table class="findings"><thead><tr><th scope="col">Severity</th><th scope="col">Finding</th>'
        '<th scope="col">Where</th><th scope="col">Template</th></tr></thead>\n'
    )


def _how(scan: ScanMetadata) -> str:
    since = scan.history.since if scan.history else ""
    compared = (
        f"the scan of this run that began {moment(since)}, the last complete one then"
        if since
        else "nothing: no other scan of this run was complete when this one began"
    )
    templates = scan.templates[:100]
    more = f" and {len(scan.templates) - 100:,} more" if len(scan.templates) > 100 else ""
    facts = {
        "Templates": ", ".join(map(_code, templates)) + more,
        "Severities": _line(", ".join(scan.severity_levels)) or "all",
        "Nuclei": _line(scan.scanner.nuclei_version),
        "Templates loaded": f"{scan.scanner.templates_loaded:,}" if scan.scanner.templates_loaded else "",
        "Templates left out": ", ".join(
            f"{count:,} with {_line(why)}" for why, count in list(scan.templates_left_out.items())[:_MAX_LISTED]
        ),
        "Templates digest": _code(scan.scanner.templates_digest) if scan.scanner.templates_digest else "",
        "Requests sent": f"{scan.requests:,}" if scan.requests else "",
        "Coverage": f"{scan.coverage / 10:.1f} % of the pairs of template and endpoint" if scan.coverage else "",
        "Scanning time": f"{scan.duration_ms / 1000:,.0f} s, added up over all shards" if scan.duration_ms else "",
        "Task key": _code(scan.key) if scan.key else "",
        "Compared with": _line(compared),
    }
    listed = "".join(f"<dt>{name}</dt><dd>{value}</dd>" for name, value in facts.items() if value)
    return f"<section><h2>How it was scanned</h2><dl>{listed}</dl></section>"


def _where(rest: str) -> str:
    shown = _code(rest)
    return shown if "/" in rest else f'<a href="{escape(rest)}">{shown}</a>'


def moment(timestamp: str) -> str:
    """An RFC 3339 time in a form for people; an empty text stays empty."""
    return text.line(timestamp, 40).replace("T", " ").split(".")[0].removesuffix("Z") + " UTC" if timestamp else ""


def _code(value: str) -> str:
    return f"<code>{_line(value)}</code>"


def _line(value: str, limit: int = 1_200) -> str:
    return escape(text.line(value, limit))


def _asset(name: str) -> str:
    return importlib.resources.files("scanplan.report").joinpath("assets", name).read_text("utf-8")


def _digest(content: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}"
