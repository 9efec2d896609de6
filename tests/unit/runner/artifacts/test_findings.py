"""What a bug in reading Nuclei's output would cost: findings."""

from __future__ import annotations

import errno
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanplan.api.documents.report import FindingCounts
from scanplan.findings import fingerprint
from scanplan.runner.artifacts.durable import CheckedFile
from scanplan.runner.artifacts.findings import Findings, count
from scanplan.runner.nuclei.judging.statistics import ScannerLog
from scanplan.runner.nuclei.lines import Lines
from tests.unit.runner.documents import finding


def reading(folder: Path, **options: int) -> Findings:
    return Findings(CheckedFile(folder / "findings"), folder / "malformed", **options)


def test_findings_are_written_as_they_came_and_counted_by_severity(tmp_path: Path) -> None:
    lines = [finding(severity=severity) for severity in ("critical", "high", "high", "info", "HIGH", "weird", "")]
    findings = reading(tmp_path)
    findings.feed(b"\n".join(lines) + b"\n")
    findings.finish()
    assert (tmp_path / "findings").read_bytes() == b"\n".join(lines) + b"\n"
    assert findings.counts == FindingCounts(critical=1, high=3, info=1, unknown=2)
    assert count(tmp_path / "findings") == findings.counts
    assert findings.malformed is None


def test_only_matches_are_findings(tmp_path: Path) -> None:
    findings = reading(tmp_path)
    findings.feed(finding() + b"\n" + finding(**{"matcher-status": False}) + b"\n")
    assert findings.total == 1
    assert findings.unmatched == 1
    assert (tmp_path / "findings").read_bytes().count(b"\n") == 1


def test_a_finding_that_nuclei_writes_twice_is_there_once_where_that_is_wanted(tmp_path: Path) -> None:
    """Lost otherwise: the counts of an automatic scan, which runs some templates twice."""
    lines = [finding(), finding(timestamp="later"), finding(**{"matched-at": "http://elsewhere.example"})]
    findings = reading(tmp_path)
    findings.distinct = True
    findings.feed(b"\n".join(lines) + b"\n")
    assert (tmp_path / "findings").read_bytes() == lines[0] + b"\n" + lines[2] + b"\n"
    assert findings.total == 2


def test_a_finding_is_on_disk_as_soon_as_its_line_is_whole(tmp_path: Path) -> None:
    findings = reading(tmp_path)
    line = finding()
    findings.feed(line[:50])
    assert (tmp_path / "findings").read_bytes() == b""
    findings.feed(line[50:] + b"\n{")
    assert (tmp_path / "findings").read_bytes() == line + b"\n"


@pytest.mark.parametrize(
    "line",
    [b"panic: x", b"{", b'{"a":1}', b"[1]", b"null", b"\xff\xfe", b'{"template-id":1}', b"\0", b'"x"', finding()[:-1]],
)
def test_what_is_no_finding_is_kept_aside_and_ends_nothing(tmp_path: Path, line: bytes) -> None:
    findings = reading(tmp_path)
    findings.feed(finding() + b"\n" + line + b"\n\n  \n" + finding() + b"\n")
    assert findings.total == 2
    assert findings.malformed_lines == 1
    assert (tmp_path / "malformed").read_bytes() == line + b"\n"


def test_nesting_deeper_than_the_parser_goes_ends_nothing(tmp_path: Path) -> None:
    deep = finding()[:-1] + b',"meta":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    findings = reading(tmp_path)
    findings.feed(deep + b"\n" + finding() + b"\n")
    assert (findings.total, findings.malformed_lines) == (1, 1)
    assert len(fingerprint.of(deep)) == fingerprint.DIGEST_BYTES
    log = ScannerLog(0.0)
    assert log.feed(b'{"requests":"1","x":' + b"[" * 100_000 + b"]" * 100_000 + b"}", 1.0)


def test_a_torn_last_line_is_kept_aside(tmp_path: Path) -> None:
    findings = reading(tmp_path)
    findings.feed(finding() + b"\n" + finding()[:40])
    findings.finish()
    assert (findings.total, findings.malformed_lines) == (1, 1)
    assert (tmp_path / "malformed").read_bytes() == finding()[:40] + b"\n"


def test_a_whole_last_line_without_newline_counts(tmp_path: Path) -> None:
    findings = reading(tmp_path)
    findings.feed(finding())
    findings.finish()
    assert (tmp_path / "findings").read_bytes() == finding() + b"\n"


def test_an_overlong_line_is_kept_aside_whole_without_being_held_in_memory(tmp_path: Path) -> None:
    findings = reading(tmp_path, max_line_bytes=100)
    overlong = b'{"template-id":"' + b"x" * 1000 + b'"}'
    for start in range(0, len(overlong), 30):
        findings.feed(overlong[start : start + 30])
    findings.feed(b"\n" + finding(template="t2") + b"\n")
    assert findings.total == 1
    assert findings.malformed_lines == 1
    assert (tmp_path / "malformed").read_bytes() == overlong + b"\n"


def test_a_finding_of_several_megabytes_passes(tmp_path: Path) -> None:
    line = finding(response="x" * (5 << 20))
    findings = reading(tmp_path)
    for start in range(0, len(line), 1 << 16):
        findings.feed(line[start : start + (1 << 16)])
    findings.feed(b"\n")
    assert findings.total == 1
    assert (tmp_path / "findings").stat().st_size == len(line) + 1


class FullFile(CheckedFile):
    """A file on a volume that takes `room` bytes."""

    def __init__(self, path: Path, room: int) -> None:
        super().__init__(path)
        self.room = room

    def write(self, lines: bytes | memoryview) -> None:
        whole = bytes(lines[: self.room]).rfind(b"\n") + 1
        if len(lines) <= self.room:
            super().write(lines)
            self.room -= len(lines)
            return
        super().write(lines[:whole])
        raise OSError(errno.ENOSPC, "No space left on device")


def test_on_a_full_disk_the_counts_are_those_of_the_lines_that_fitted(tmp_path: Path) -> None:
    line = finding(severity="low")
    file = FullFile(tmp_path / "findings", room=2 * len(line) + 30)
    findings = Findings(file, tmp_path / "malformed")
    with pytest.raises(OSError, match="No space left"):
        findings.feed(b"\n".join([line] * 5) + b"\n")
    assert findings.counts == FindingCounts(low=2) == count(tmp_path / "findings")


@given(
    st.lists(st.one_of(st.just(finding()), st.binary(max_size=30).filter(lambda line: b"\n" not in line)), max_size=12),
    st.lists(st.integers(min_value=1, max_value=40), min_size=1, max_size=20),
)
def test_lines_are_the_same_however_the_stream_is_cut(lines: list[bytes], sizes: list[int]) -> None:
    stream = b"".join(line + b"\n" for line in lines)
    cutting, got, position, turn = Lines(), [], 0, 0
    while position < len(stream):
        size = sizes[turn % len(sizes)]
        whole, overlong = cutting.feed(stream[position : position + size])
        assert not overlong
        got.extend(whole)
        position += size
        turn += 1
    assert got == lines
    assert cutting.rest() == b""


@given(st.binary(max_size=400), st.integers(min_value=1, max_value=60), st.integers(min_value=1, max_value=50))
def test_no_byte_is_lost_whatever_comes(stream: bytes, size: int, limit: int) -> None:
    cutting, got = Lines(limit), b""
    for start in range(0, len(stream), size):
        whole, overlong = cutting.feed(stream[start : start + size])
        got += b"".join(overlong) + b"".join(line + b"\n" for line in whole)
    assert got + cutting.rest() == stream


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["template-id", "info", "severity", "matcher-status", "x"]), inner, max_size=4
            )
        ),
        max_leaves=8,
    )
)
def test_any_json_is_either_a_finding_or_kept_aside(tmp_path_factory: pytest.TempPathFactory, value: object) -> None:
    folder = tmp_path_factory.mktemp("any")
    findings = reading(folder)
    line = msgspec.json.encode(value)
    findings.feed(line + b"\n")
    findings.finish()
    assert findings.total + findings.malformed_lines + findings.unmatched == 1
