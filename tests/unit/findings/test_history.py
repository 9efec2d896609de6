"""What a history says of a finding: lost otherwise is since when it is open, or that it is gone though nobody looked."""

from __future__ import annotations

import heapq
import random
from collections import Counter
from collections.abc import Callable, Collection
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanplan.api.documents.words import Age, Severity
from scanplan.findings import history, identity
from scanplan.findings.history import Entry, Sighting, State, Tally
from tests.unit.runner.documents import finding

from .sightings import records, sighting


def scanned(
    before: list[bytes],
    moment: str,
    *seen: Sighting,
    looked: Callable[[Sighting], bool] = lambda _: True,
    tally: Tally | None = None,
    forgotten: str = "",
) -> list[bytes]:
    """The history after a scan that looked everywhere."""
    tally = tally or Tally()
    return list(history.continued(before, records(*seen), moment, looked, tally, forgotten=forgotten))


def only(lines: list[bytes]) -> Entry:
    (entry,) = history.entries(lines)
    return entry


SEEN, GONE, NOT_LOOKED = "seen", "gone", "not looked for"
STORIES = {
    # what each scan did → state, first seen, last seen, times seen, reopened, resolved at
    "found": ([SEEN], ("new", "1", "1", 1, 0, "")),
    "stays": ([SEEN, SEEN, SEEN], ("open", "1", "3", 3, 0, "")),
    "fixed": ([SEEN, SEEN, GONE], ("resolved", "1", "2", 2, 0, "3")),
    "stays fixed": ([SEEN, GONE, GONE], ("resolved", "1", "1", 1, 0, "2")),
    "fixed, then nobody looks": ([SEEN, GONE, NOT_LOOKED], ("resolved", "1", "1", 1, 0, "2")),
    "nobody looks": ([SEEN, NOT_LOOKED], ("open", "1", "1", 1, 0, "")),
    "nobody looks, then it is there": ([SEEN, NOT_LOOKED, SEEN], ("open", "1", "3", 2, 0, "")),
    "nobody looks, then it is gone": ([SEEN, NOT_LOOKED, GONE], ("resolved", "1", "1", 1, 0, "3")),
    "comes back": ([SEEN, GONE, SEEN], ("reopened", "1", "3", 2, 1, "")),
    "stays after it came back": ([SEEN, GONE, SEEN, SEEN], ("open", "1", "4", 3, 1, "")),
    "comes back twice": ([SEEN, GONE, SEEN, GONE, SEEN], ("reopened", "1", "5", 3, 2, "")),
    "fixed again": ([SEEN, GONE, SEEN, GONE], ("resolved", "1", "3", 2, 1, "4")),
    "comes later": ([GONE, SEEN], ("new", "2", "2", 1, 0, "")),
}


@pytest.mark.parametrize("story", STORIES)
def test_the_life_of_a_finding(story: str) -> None:
    scans, expected = STORIES[story]
    lines: list[bytes] = []
    for number, what in enumerate(scans, 1):
        seen = [sighting()] if what == SEEN else []
        lines = scanned(lines, str(number), *seen, looked=_everywhere if what == GONE else _nowhere)
    entry = only(lines)
    got = (entry.state, entry.first_seen, entry.last_seen, entry.times_seen, entry.reopened, entry.resolved_at)
    assert got == expected


def _everywhere(_: Sighting) -> bool:
    return True


def _nowhere(_: Sighting) -> bool:
    return False


def test_when_it_came_back_is_known() -> None:
    lines = scanned(scanned(scanned(scanned([], "1", sighting()), "2"), "3", sighting()), "4", sighting())
    assert only(lines).reopened_at == "3"


def test_a_tally_counts_what_this_scan_changed() -> None:
    before = scanned([], "1", *(sighting(number) for number in range(1, 5)))
    before = scanned(before, "2", *(sighting(number) for number in range(2, 5)))  # 1 is resolved
    tally = Tally()
    low = sighting(9, severity=Severity.LOW)
    scanned(before, "3", sighting(1), sighting(2), low, looked=lambda each: each.identity.endswith("3"), tally=tally)
    assert tally.new == {Severity.LOW: 1}
    assert tally.reopened == {Severity.HIGH: 1}
    assert tally.resolved == {Severity.HIGH: 1}
    assert tally.open == {Severity.HIGH: 3, Severity.LOW: 1}, "also what the scan did not look for"


AGES = {0: Age.WEEK, 6.9: Age.WEEK, 7: Age.MONTH, 29: Age.MONTH, 30: Age.QUARTER, 89: Age.QUARTER, 90: Age.OLDER}


@pytest.mark.parametrize("days", AGES)
@pytest.mark.parametrize("is_seen", [True, False])
def test_open_findings_are_counted_by_age(days: float, is_seen: bool) -> None:
    """Lost otherwise: which of a hundred open findings have waited for a quarter."""
    first = datetime(2026, 8, 1, tzinfo=UTC)
    before = scanned([], first.isoformat(), sighting(), sighting(2))
    before = scanned(before, (first + timedelta(hours=1)).isoformat(), sighting())  # 2 is resolved
    tally = Tally()
    moment = (first + timedelta(days=days)).isoformat()
    seen = [sighting()] if is_seen else []
    scanned(before, moment, *seen, sighting(3, severity=Severity.LOW), looked=_nowhere, tally=tally)
    expected = {Age.WEEK: {Severity.LOW: 1}}
    expected[AGES[days]] = {Severity.HIGH: 1} | expected.get(AGES[days], {})
    assert tally.open_by_age == expected


def test_the_newest_record_describes_the_finding() -> None:
    changed = sighting(name="Another", severity=Severity.LOW, template="renamed", fingerprint="f" * 32)
    entry = only(scanned(scanned([], "1", sighting()), "2", changed))
    assert (entry.name, entry.severity, entry.template, entry.fingerprint) == ("Another", "low", "renamed", "f" * 32)


def test_of_several_records_the_most_severe_describes_the_finding() -> None:
    mild, grave = sighting(severity=Severity.INFO, fingerprint="0" * 32), sighting(severity=Severity.CRITICAL)
    assert only(scanned([], "1", mild, grave)).severity is Severity.CRITICAL
    assert only(scanned([], "1", grave, mild)).severity is Severity.CRITICAL


def test_what_was_resolved_long_ago_is_forgotten() -> None:
    """A history otherwise grows for ever."""
    resolved = scanned(scanned([], "1", sighting()), "2")
    assert scanned(resolved, "3", forgotten="2") == resolved
    assert scanned(resolved, "3", forgotten="3") == []
    still_open = scanned([], "1", sighting())
    assert scanned(still_open, "9", looked=lambda _: False, forgotten="8"), "never while it is open"


HOSTILE = {
    "no JSON": b"what\n",
    "cut": b'{"identity":"00000000000000000000000000000001","finger',
    "no course": history.record(sighting())[33:] + b"\n",
    "forged course": history.record(sighting())[33:-1] + b',"state":"gone"}\n',
    "forged count": history.record(sighting())[33:-1]
    + b',"state":"open","firstSeen":"1","lastSeen":"1","timesSeen":-1}\n',
}


@pytest.mark.parametrize("line", HOSTILE.values(), ids=HOSTILE)
def test_a_line_that_somebody_else_wrote_is_left_out(line: bytes) -> None:
    """Whoever may write to a run could otherwise end every later scan of it."""
    good = scanned([], "1", sighting(2))
    assert [entry.identity for entry in history.entries(scanned([line, *good], "2", sighting(2)))] == [f"{2:032x}"]


def test_lines_out_of_order_are_left_out() -> None:
    two, one = scanned([], "1", sighting(2)), scanned([], "1", sighting(1))
    assert [entry.identity for entry in history.entries(scanned([*two, *one, *two], "2"))] == [f"{2:032x}"]


def test_text_of_a_host_that_looks_like_our_own_changes_nothing() -> None:
    forged = sighting(name='x","state":"resolved","resolvedAt":"1', where=',"state":"resolved"}')
    entry = only(scanned(scanned([], "1", forged), "2", forged))
    assert (entry.state, entry.name) == (State.OPEN, forged.name)


Scan = tuple[frozenset[int], frozenset[int]]
scans = st.lists(st.tuples(st.frozensets(st.integers(1, 9)), st.frozensets(st.integers(1, 9))), min_size=1, max_size=6)


@given(scans, st.randoms(use_true_random=False))
def test_any_history_is_what_a_plain_model_says(told: list[Scan], chance: random.Random) -> None:
    """Each scan is what it saw and what it looked for; a table kept by hand agrees with the pass, and the counts add up."""
    model: dict[int, tuple[str, int, int, int, int]] = {}  # state, first, last, times, reopened
    lines: list[bytes] = []
    for moment, (seen, looked) in enumerate(told, 1):
        tally = Tally()
        shown = [sighting(number) for number in seen]
        chance.shuffle(shown)
        lines = scanned(lines, str(moment), *shown, looked=_in(looked), tally=tally)
        changed: Counter[str] = Counter()
        for number in seen | model.keys():
            model[number] = _after(model.get(number), moment, number in seen, number in looked, changed)
        assert (sum(tally.new.values()), sum(tally.resolved.values()), sum(tally.reopened.values())) == (
            changed["new"],
            changed["resolved"],
            changed["reopened"],
        )
        still = sum(state != "resolved" for state, *_ in model.values())
        assert sum(tally.open.values()) == still
    got = {
        int(entry.identity, 16): (
            entry.state.value,
            int(entry.first_seen),
            int(entry.last_seen),
            entry.times_seen,
            entry.reopened,
        )
        for entry in history.entries(lines)
    }
    assert got == model
    assert lines == sorted(lines)


def _in(numbers: Collection[int]) -> Callable[[Sighting], bool]:
    return lambda each: int(each.identity, 16) in numbers


def _after(
    known: tuple[str, int, int, int, int] | None, moment: int, seen: bool, looked: bool, changed: Counter[str]
) -> tuple[str, int, int, int, int]:
    if known is None:
        changed["new"] += 1
        return "new", moment, moment, 1, 0
    state, first, last, times, reopened = known
    if seen and state == "resolved":
        changed["reopened"] += 1
        return "reopened", first, moment, times + 1, reopened + 1
    if seen:
        return "open", first, moment, times + 1, reopened
    if state == "resolved":
        return known
    changed["resolved"] += looked
    return "resolved" if looked else "open", first, last, times, reopened


@given(st.lists(st.tuples(st.integers(1, 9), st.sampled_from(list(Severity)))), st.randoms(use_true_random=False))
def test_records_in_any_order_and_any_parts_make_the_same_bytes(
    seen: list[tuple[int, Severity]], chance: random.Random
) -> None:
    all_records = [history.record(sighting(number, severity=severity)) for number, severity in seen]
    expected = list(history.continued((), sorted(all_records), "1", lambda _: True, Tally()))
    shuffled = chance.sample(all_records, len(all_records))
    cut = chance.randint(0, len(shuffled))
    parts = [sorted(shuffled[:cut]), sorted(shuffled[cut:])]
    assert list(history.continued((), heapq.merge(*parts), "1", lambda _: True, Tally())) == expected


@given(
    st.dictionaries(
        st.sampled_from(["template-id", "info", "host", "port", "url", "matched-at", "type", "matcher-name", "meta"]),
        st.none() | st.integers() | st.text(max_size=9) | st.lists(st.text(max_size=3)) | st.just({"severity": 3}),
    )
)
def test_a_record_with_members_of_any_type_becomes_a_sighting_or_none(members: dict[str, object]) -> None:
    line = finding(**members)
    found = history.sighting(line)
    assert (found is None) == (not isinstance(members.get("template-id", "t"), str))
    if found is not None:
        assert found.identity == identity.identity(line)
        assert msgspec.json.decode(scanned([], "1", found)[0], type=Entry).name == found.name


@pytest.mark.parametrize("line", [b"", b"no json", b"[]", b'{"template-id":1}', finding(**{"matcher-status": False})])
def test_what_is_no_finding_has_no_history(line: bytes) -> None:
    assert history.sighting(line) is None


@pytest.mark.parametrize(
    ("members", "target"),
    [
        ({"url": "http://a.example/app"}, "http://a.example/app"),
        ({"host": "a.example", "port": "6379"}, "a.example:6379"),
        ({"host": "a.example:6379", "port": "6379"}, "a.example:6379"),
        ({"host": "::1", "port": "22"}, "[::1]:22"),
        ({"host": "a.example"}, "a.example"),
    ],
)
def test_a_sighting_names_what_was_scanned(members: dict[str, object], target: str) -> None:
    found = history.sighting(finding(**members))
    assert found is not None
    assert found.target == target
