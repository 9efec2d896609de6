"""The words that programs compare: reasons, conditions, phases, exit codes, errors. None changes by accident."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator

import pytest

from scanplan.api import errors, labels
from scanplan.api.documents.words import ErrorClass
from scanplan.api.exit_codes import ExitCode
from scanplan.api.v1alpha1.conditions import ConditionType, Reason
from scanplan.api.v1alpha1.scanplan import Phase

CAMEL_CASE = re.compile(r"[A-Z][A-Za-z]*")
REASON = re.compile(r"^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$")
"""metav1.Condition's own pattern."""


@pytest.mark.parametrize("word", [*Reason, *ConditionType, *Phase, *ErrorClass], ids=repr)
def test_every_word_is_camel_case(word: str) -> None:
    assert CAMEL_CASE.fullmatch(word)
    assert REASON.fullmatch(word)


@pytest.mark.parametrize("reason", Reason)
def test_a_reason_is_named_as_it_reads(reason: Reason) -> None:
    assert reason.name == re.sub(r"(?<!^)(?=[A-Z])", "_", reason.value).upper()


def test_which_phases_are_the_end() -> None:
    assert {phase for phase in Phase if phase.is_terminal} == {Phase.COMPLETED, Phase.FAILED, Phase.CANCELLED}


def test_exit_codes_are_the_contract_with_jobs_that_are_already_running() -> None:
    """A Job keeps its podFailurePolicy for life: a runner with other codes would be misread by it."""
    assert {code.name: int(code) for code in ExitCode} == {
        "OK": 0,
        "USAGE": 64,
        "FATAL": 65,
        "SHARD_FATAL": 69,
        "UNKNOWN": 70,
        "TEMPORARY": 75,
        "INTERRUPTED": 143,
    }


def _tree(of: type[Exception], depth: int = 0) -> Iterator[tuple[int, str]]:
    yield depth, of.__name__
    for child in of.__subclasses__():
        if child.__module__ == errors.__name__:
            yield from _tree(child, depth + 1)


def test_the_tree_of_errors_is_as_it_is_drawn() -> None:
    drawn = [
        (len(match["rails"]) // 4, match["name"])
        for line in (errors.__doc__ or "").splitlines()
        if (match := re.match(r"(?P<rails>(?:[│ ]   )*(?:[├└]── )?)(?P<name>[A-Z]\w+)(\s{2,}\S.*)?$", line))
    ]
    assert sorted(drawn) == sorted(_tree(errors.ScanPlanError))


@pytest.mark.parametrize("error", errors.ScanError.__subclasses__(), ids=lambda error: str(error.__name__))
def test_every_scan_error_says_whether_trying_again_can_help(error: type[errors.ScanError]) -> None:
    assert error.error_class in ErrorClass
    assert inspect.getdoc(error)


def test_an_error_carries_its_reason_and_its_words() -> None:
    error = errors.TargetDenied("no")
    assert (error.reason, error.message, str(error)) == (Reason.TARGET_DENIED, "no", "no")


def test_everything_of_ours_lives_under_our_group() -> None:
    """Authors can't use it in their pod templates, so nobody can forge it there."""
    ours = [value for name, value in vars(labels).items() if name.isupper() and isinstance(value, str) and "/" in value]
    foreign = ("app.kubernetes.io/", "kueue.x-k8s.io/")
    for value in ours:
        assert value.startswith(("scanplan.dev/", "pin.scanplan.dev/", *foreign)), value
