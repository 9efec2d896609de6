"""A file of endpoints: each shard takes its own hosts, by the rules of a plan, and nothing is lost, doubled or let through."""

from __future__ import annotations

import collections
import hashlib
import os
import random
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from scanplan.api.documents import records
from scanplan.api.documents.records import ShardCoverage, ShardEndpoints, Unlisted
from scanplan.api.documents.report import EndpointTrouble, MergedResult, TaskError, Trouble
from scanplan.api.documents.task import EndpointsFile, TaskDocument
from scanplan.api.documents.words import ErrorClass, Outcome
from scanplan.api.errors import ClaimError, InvalidPlan
from scanplan.api.v1alpha1.conditions import Reason
from scanplan.core.planning import shards
from scanplan.core.planning.targets import endpoints, ranges
from scanplan.core.planning.targets.denied import DEFAULT_DENIED
from scanplan.core.planning.targets.guard import Guard
from scanplan.runner import collect
from scanplan.runner.artifacts import divided, publish, run_record
from scanplan.runner.artifacts.merging import merge
from scanplan.runner.long_lists import endpoints_file
from tests.unit.runner.documents import document, finding

MANY = tuple(f"https://h{number:04}.example/app" for number in range(2_000))


def task(
    folder: Path, lines: Sequence[str] | bytes, *, shards: int = 4, most: int = 10_000, name: str = "hosts.txt"
) -> TaskDocument:
    """A task whose endpoints are the lines of a file in `folder`."""
    content = lines if isinstance(lines, bytes) else "".join(f"{line}\n" for line in lines).encode()
    (folder / name).write_bytes(content)
    file = EndpointsFile(
        root=str(folder), path=name, sha256=hashlib.sha256(content).hexdigest(), most=most, most_addresses=1_000
    )
    return document(endpoints=(), endpoints_file=file, shards=shards, denied_targets=DEFAULT_DENIED)


def part(of: TaskDocument, index: int) -> ShardEndpoints:
    assert of.endpoints_file is not None
    return endpoints_file.own_part(of, of.endpoints_file, index)


def parts(of: TaskDocument) -> list[ShardEndpoints]:
    return [part(of, index) for index in range(of.shards)]


def refusal(of: TaskDocument, index: int = 0) -> ClaimError:
    with pytest.raises(ClaimError) as error:
        part(of, index)
    return error.value


def test_the_shards_have_all_endpoints_and_none_twice(tmp_path: Path) -> None:
    lines = [*MANY, *(f"{endpoint}/admin" for endpoint in MANY)]
    random.Random(1).shuffle(lines)  # noqa: S311 - the same each time
    found = parts(task(tmp_path, lines))
    assert sorted(endpoint for each in found for endpoint in each.endpoints) == sorted(lines)
    assert all(list(each.endpoints) == sorted(each.endpoints) for each in found)
    assert all(len(each.endpoints) == each.file.endpoints > 800 for each in found)


def test_a_host_is_in_one_shard_however_it_is_written(tmp_path: Path) -> None:
    """Otherwise one server is scanned from several pods at once, and limits per host do not hold."""
    spellings = ["a.example", "A.Example:8443", "HTTPS://a.EXAMPLE/x", "http://a.example./", "a.example."]
    numbers = ["10.1.2.3", "http://0x0a010203/", "167838211:80", "https://012.1.2.3/y", "[::ffff:10.1.2.3]"]
    names = ["b\u00fccher.example", "https://xn--bcher-kva.example/", "http://B\u00dcCHER.example/z"]
    six = ["[2001:db8::1]", "https://[2001:DB8:0::1]:8443/"]
    found = [each for each in parts(task(tmp_path, [*spellings, *numbers, *names, *six], shards=97)) if each.endpoints]
    hosts = [{shards.host_of(endpoint) for endpoint in each.endpoints} for each in found]
    assert sorted(host for each in hosts for host in each) == [
        "10.1.2.3",
        "2001:db8::1",
        "a.example",
        "xn--bcher-kva.example",
    ]
    assert sum(each.file.refused for each in found) == 0


def test_lines_are_read_as_those_of_a_plan_are(tmp_path: Path) -> None:
    lines = ["# all of them", "", "  http://a.example:80/  ", "b.example\r", "\t# more", "HTTP://C.example/x#y"]
    (found,) = parts(task(tmp_path, lines, shards=1))
    assert found.endpoints == ("b.example", "http://a.example", "http://c.example/x")
    whole = ("http://a.example:80/", "b.example", "HTTP://C.example/x#y")
    assert found.endpoints == endpoints.canonical_all(whole)


def test_the_last_line_needs_no_newline_and_blocks_cut_no_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoints_file, "_BLOCK_BYTES", 7)
    (found,) = parts(task(tmp_path, b"http://a.example/a/long/path\nb.example\n\nc.example", shards=1))
    assert found.endpoints == ("b.example", "c.example", "http://a.example/a/long/path")


WRONG = {
    "a b.example": "line 1: whitespace, commas, quotes and backslashes are not allowed",
    "ftp://a.example": "line 1: scheme must be http or https",
    "https://user:word@a.example": "line 1: user information is not allowed",
    "a.example/path": "line 1: a path needs a scheme",
    "a.example:99999": "line 1: the host, or the port (1 to 65535), can't be read",
    "AS64512": "line 1: AS numbers are not expanded",
    "999.1.1.1": "line 1: this is not an address",
    "10.1.0.5/24": "line 1: the address has bits after the prefix",
    "10.0.0.0/8": "line 1: the plan's ranges have more than 1,000 addresses",
    f"https://a.example/{'x' * 2048}": "line 1 is longer than 2,048 characters",
    f"https://a.example/{'x' * 20_000}": "line 1 is longer than 2,048 characters",
    "https://a.example/\udcff": "line 1 is not text (UTF-8)",
    "169.254.169.254": "line 1 is in 169.254.0.0/16, which may not be scanned from this cluster",
    "http://0xA9FEA9FE/latest": "line 1 is in 169.254.0.0/16",
    "http://[::ffff:169.254.169.254]/": "line 1 is in 169.254.0.0/16",
    "https://LOCALHOST/": "line 1 is in localhost",
    "kubernetes.default.svc": "line 1 is in kubernetes.default",
    "169.254.0.0/28": "line 1 has addresses in 169.254.0.0/16",
}


@pytest.mark.parametrize("line", WRONG)
def test_what_a_plan_may_not_have_is_left_out_and_told(tmp_path: Path, line: str) -> None:
    """Otherwise a file is a way around the target guard, or a line goes missing and nobody knows."""
    content = b"\n".join([line.encode(errors="surrogateescape"), b"a.example", b"b.example"])
    found = parts(task(tmp_path, content, shards=3))
    assert sorted(endpoint for each in found for endpoint in each.endpoints) == ["a.example", "b.example"]
    assert sum(each.file.refused for each in found) == 1
    (example,) = (example for each in found for example in each.file.examples)
    assert example.startswith(WRONG[line])
    assert line not in example


def test_no_refusal_names_what_is_in_the_file_and_few_are_told(tmp_path: Path) -> None:
    (found,) = parts(task(tmp_path, ["a.example", *(f"ftp://h{number}.example" for number in range(50))], shards=1))
    assert found.file.refused == 50
    assert found.file.examples == tuple(f"line {number}: scheme must be http or https" for number in (2, 3, 4))


def test_doubles_count_once(tmp_path: Path) -> None:
    found = parts(task(tmp_path, ["a.example", "A.example", "b.example", "a.example."]))
    assert sum(each.file.duplicates for each in found) == 2
    assert sum(each.file.endpoints for each in found) == 2


def test_each_address_of_a_range_is_a_host_of_its_own(tmp_path: Path) -> None:
    found = parts(task(tmp_path, ["10.1.0.0/25", "2001:db8::/125", "10.1.0.7"]))
    assert sum(each.file.endpoints for each in found) == 128 + 8
    assert sum(each.file.duplicates for each in found) == 1
    assert all(each.endpoints for each in found)


@pytest.mark.parametrize(
    ("left_out", "why"),
    [
        ("10.0.0.0/8", "line 1: the plan's ranges have more than 1,000 addresses"),
        ("127.0.0.0/22", "line 1: the plan's ranges have more than 1,000 addresses"),
        ("169.254.0.0/23", "line 1 has addresses in 169.254.0.0/16"),
        ("64:ff9b::a9fe:a800/119", "line 1 has addresses in 169.254.0.0/16"),
        ("10.1.0.5/24", "line 1: the address has bits after the prefix"),
    ],
)
def test_a_range_that_is_left_out_takes_no_room_of_the_others(tmp_path: Path, left_out: str, why: str) -> None:
    """Lost otherwise: the hosts of all ranges after it, and the cause that is told is none of theirs."""
    found = parts(task(tmp_path, [left_out, "10.1.0.0/24", "10.2.0.0/23"], shards=3))
    assert sum(each.file.endpoints for each in found) == 256 + 512
    (example,) = (example for each in found for example in each.file.examples)
    assert example.startswith(why)


def test_a_file_with_more_than_the_plan_says_is_not_scanned(tmp_path: Path) -> None:
    """Otherwise one line more makes shards, and a deadline, that nobody has planned."""
    assert len(part(task(tmp_path, MANY, most=2_000), 0).endpoints) > 400
    error = refusal(task(tmp_path, [*MANY, "a.example"], most=2_000))
    assert (error.error_class, error.reason) == (ErrorClass.FATAL, Reason.INVALID_ENDPOINT)
    assert "names 2,001 endpoints, and the plan says 2,000 at most" in error.message
    assert "names 256 endpoints" in refusal(task(tmp_path, ["10.1.0.0/24"], most=255)).message


def test_a_host_with_too_many_endpoints_is_not_scanned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise the pod that has the host runs out of memory, again and again."""
    monkeypatch.setattr(endpoints_file, "MOST_OF_A_SHARD", 10)
    of = task(tmp_path, [f"http://a.example/{number}" for number in range(11)], shards=1)
    assert "more than 10 endpoints of the file" in refusal(of).message


@pytest.mark.parametrize("content", [b"", b"\n\n", b"# nothing\n  # at all\n"])
def test_a_file_without_endpoints_is_not_scanned(tmp_path: Path, content: bytes) -> None:
    assert "every line is empty or a comment" in refusal(task(tmp_path, content), 3).message


def test_another_file_than_the_plan_means_is_not_scanned(tmp_path: Path) -> None:
    of = task(tmp_path, ["a.example"])
    (tmp_path / "hosts.txt").write_text("b.example\n")
    error = refusal(of)
    assert (error.error_class, error.reason) == (ErrorClass.FATAL, Reason.INPUTS_CHANGED)
    assert hashlib.sha256(b"b.example\n").hexdigest() in error.message


@pytest.mark.parametrize("place", ["missing", "link", "folder", "pipe"])
def test_what_is_no_file_is_told_and_no_link_is_followed(tmp_path: Path, place: str) -> None:
    """Otherwise whoever may write to the claim has a pod read what is elsewhere, or wait for ever."""
    of = task(tmp_path, ["a.example"])
    file = tmp_path / "hosts.txt"
    file.rename(tmp_path / "elsewhere.txt")
    if place == "link":
        file.symlink_to(tmp_path / "elsewhere.txt")
    if place == "folder":
        file.mkdir()
    if place == "pipe":
        os.mkfifo(file)
    error = refusal(of)
    assert (error.error_class, error.reason) == (ErrorClass.FATAL, Reason.INPUT_UNAVAILABLE)
    assert error.message.startswith(
        "There is no file of endpoints where the plan says; links are not followed: hosts.txt."
    )


def test_every_rule_of_a_plan_holds_for_random_lines(tmp_path: Path) -> None:
    """The short way past lines of other shards must not differ from the rules, whatever a line has."""
    pieces = [
        *"a-_1.:/#@ \u00fc\\",
        "http://",
        "HTTPS://",
        "B.",
        "0x1",
        "80",
        "?q",
        "%41",
        "[::1]",
        "10.1.0.0/30",
        "10.2.3.4",
    ]
    chance = random.Random(7)  # noqa: S311 - the same each time
    lines = ["".join(chance.choices(pieces, k=chance.randint(1, 6))).strip() for _ in range(3_000)]
    guard = Guard(DEFAULT_DENIED)
    wanted: collections.Counter[str] = collections.Counter()
    refused = 0
    for line in lines:
        if line and not line.startswith("#"):
            try:
                network = ranges.parse(line)
                for target in ranges.addresses(network) if network else (guard.canonical(line),):
                    wanted[target] += 1
            except InvalidPlan:
                refused += 1
    found = parts(task(tmp_path, lines, shards=5))
    assert sorted(endpoint for each in found for endpoint in each.endpoints) == sorted(wanted)
    assert sum(each.file.duplicates for each in found) == wanted.total() - len(wanted)
    assert sum(each.file.refused for each in found) == refused


def published(run: Path, of: TaskDocument, index: int, *lines: bytes, ran: Sequence[str] = ()) -> None:
    """Scan a shard, without Nuclei."""
    own = part(of, index)
    shard = divided.parts(run, of)[index].folder
    divided.keep(shard, own)
    begun = records.begun(of.key, index, len(own.endpoints), "2026-11-24T06:00:00.000Z")
    attempt = publish.begin(shard, begun)
    attempt.findings.feed(b"".join(line + b"\n" for line in lines))
    if own.endpoints:
        full = (1 << len(own.endpoints)) - 1
        attempt.coverage = ShardCoverage.of(own.endpoints, own.endpoints, dict.fromkeys(ran, full))
    attempt.publish(
        msgspec.structs.replace(
            begun,
            attempt=attempt.number,
            outcome=Outcome.COMPLETE,
            findings=attempt.findings.counts,
            endpoints_scanned=len(own.endpoints),
        )
    )


def merged(run: Path, of: TaskDocument) -> MergedResult:
    result = merge.merge(run, of)
    assert result is not None
    return result


def test_a_merge_counts_what_all_shards_have_counted(tmp_path: Path) -> None:
    of = task(tmp_path, [*MANY[:100], MANY[0], "ftp://a.example", "127.0.0.1"])
    run_record.enter(tmp_path, of, 0.0)
    for index in range(of.shards):
        assert merge.merge(tmp_path, of) is None
        published(tmp_path, of, index)
    told = merged(tmp_path, of)
    assert told.complete
    assert told.endpoints_scanned == 100
    assert told.endpoints_file is not None
    assert (told.endpoints_file.endpoints, told.endpoints_file.refused, told.endpoints_file.duplicates) == (100, 2, 1)
    assert len(told.endpoints_file.examples) == 2
    assert endpoints_file.doubt(told) is None


def test_a_scan_of_nothing_is_no_success(tmp_path: Path) -> None:
    of = task(tmp_path, ["127.0.0.1", "ftp://a.example"], shards=2)
    run_record.enter(tmp_path, of, 0.0)
    for index in range(2):
        published(tmp_path, of, index)
    error = endpoints_file.doubt(merged(tmp_path, of))
    assert isinstance(error, TaskError)
    assert (error.error_class, error.reason) == (ErrorClass.FATAL, Reason.INVALID_ENDPOINT)
    assert "No line of the file can be scanned, such as line" in error.message


def test_a_collector_knows_the_shards_without_the_file(tmp_path: Path) -> None:
    of = task(tmp_path, MANY[:40])
    run_record.enter(tmp_path, of, 0.0)
    for index in (0, 2):
        published(tmp_path, of, index)
    killed = divided.parts(tmp_path, of)[1].folder
    divided.keep(killed, part(of, 1))
    publish.begin(killed, records.begun(of.key, 1, 0, "2026-11-24T06:00:00Z")).abandon()
    counts = [divided.counts(shard.folder).endpoints for shard in divided.parts(tmp_path, of)]
    (tmp_path / "hosts.txt").unlink()
    report = collect.collect(document(endpoints=(), templates=()), tmp_path)
    assert report.outcome is Outcome.PARTIAL
    assert report.merged is not None
    assert report.merged.shards == 3
    assert report.endpoints == sum(counts[:3]) < 40
    assert counts[3] == 0


def test_what_is_gone_is_resolved_where_its_shard_has_looked(tmp_path: Path) -> None:
    """Else a finding of a scan with a file stays open for ever, or is resolved though nobody has looked."""
    first = task(tmp_path, MANY[:40])
    again = msgspec.structs.replace(first, key=f"{first.key}again")
    run_record.enter(tmp_path, first, 0.0)
    for index in range(first.shards):
        seen = [finding("t", endpoint, host=endpoint) for endpoint in part(first, index).endpoints]
        published(
            tmp_path,
            first,
            index,
            *seen,
            *(finding("other", endpoint, host=endpoint) for endpoint in part(first, index).endpoints),
        )
    assert merged(tmp_path, first).findings.total == 80
    run_record.enter(tmp_path, again, 1.0)
    for index in range(again.shards):
        published(tmp_path, again, index, ran=["t"])
    history = merged(tmp_path, again).history
    assert history is not None
    assert (history.resolved.total, history.open.total) == (40, 40)


def test_records_of_a_file_list_few_endpoints_and_count_all() -> None:
    """A million endpoints that do not answer would make a record that no reader takes."""
    names = tuple(f"h{number}.example" for number in range(250))
    troubled = tuple(
        EndpointTrouble(endpoint=name, trouble=kind, count=1, total=2, remark="x")
        for name, kind in zip(names, [Trouble.THROTTLED, Trouble.BLOCKED, Trouble.FAILING] * 84, strict=False)
    )
    begun = records.begun("scan:a:b:0:0:0", 0, 250, "2026-11-24T06:00:00Z")
    whole = msgspec.structs.replace(
        begun, endpoints_unreachable=names, endpoints_skipped=names[:150], endpoints_troubled=troubled
    )
    record = divided.bounded(whole)
    assert len(record.endpoints_unreachable) == len(record.endpoints_skipped) == len(record.endpoints_troubled) == 100
    assert record.endpoints_unlisted == Unlisted(unreachable=150, skipped=50, throttled=50, blocked=50)
    assert divided.bounded(begun) == begun
