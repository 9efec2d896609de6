"""Names in paths and selectors: whatever a name is, a request stays with the object that it is about."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from yarl import URL

import scanplan
from scanplan.client.cluster.cluster import Cluster
from scanplan.client.cluster.failure import Failure
from scanplan.client.cluster.kubernetes_api import KubernetesApi, NotFound
from scanplan.kube import resources
from scanplan.kube.resources import CONFIG_MAPS, JOBS, PLANS, PODS, InvalidName, Resource, WrongObject

SOURCE = Path(scanplan.__file__).parent
SERVER = "https://server"
HOSTILE = [
    "", ".", "..", "/", "a/b", "../../other/secrets/x", "..%2f..%2fother", "%2e%2e", "%252e%252e", "%", "a%00", "a\0b",
    "a\\b", "..\\..", "\u2025", "\uff0e\uff0e", "\uff0f", "a\nb", "\u2028", "\ud800",
]  # fmt: skip
ODD = ["a;b", "a?watch=true", "a#b", "a b", "a&b=c", "ä", "a:b", "a@b", "...", "a..b", "+", "~", "x" * 300]
NAMES = st.one_of(
    st.text(),
    st.text(alphabet="./\\%2eE fF;?#&=+\0\n\u2025\uff0e\uff0f~:@"),
    st.sampled_from(HOSTILE + ODD),
    st.builds("".join, st.lists(st.sampled_from(HOSTILE + ODD), max_size=4)),
)


def as_sent(path: str) -> list[str]:
    """The segments that arrive: after what the operator's HTTP client makes of a path, and the server's decoding."""
    url = URL(f"{SERVER}{path}")
    assert (url.host, url.query_string, url.fragment) == ("server", "", "")
    return [unquote(part) for part in url.raw_path.split("/")]


@given(NAMES)
@example("..%2f..%2fother")
def test_a_segment_is_refused_or_arrives_as_one_segment(name: str) -> None:
    """Lost otherwise: another namespace's ConfigMaps and Secrets, by a plan that names them with a path."""
    try:
        path = f"/api/v1/{resources.segment(name)}/end"
    except InvalidName:
        return
    assert as_sent(path) == ["", "api", "v1", name, "end"]
    assert name not in {"", ".", ".."}
    assert unquote(unquote(path)).count("/") == 4


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("resource", [PLANS, JOBS, PODS, CONFIG_MAPS], ids=lambda resource: resource.plural)
def test_no_place_of_a_path_takes_what_leads_elsewhere(resource: Resource, name: str) -> None:
    """Lost otherwise: the same by a namespace, or by a subresource."""
    harmless = {"\u2025", "\uff0e\uff0e", "\uff0f"}  # letters like others, which arrive as what they are
    for place in ({"namespace": name}, {"name": name}, {"subresource": name}):
        arguments = {"namespace": "team", "name": "plan", **place}
        if name in harmless:
            assert name in as_sent(resource.path(**arguments))
        else:
            with pytest.raises(InvalidName):
                resource.path(**arguments)


@given(NAMES)
def test_a_label_selector_names_one_value_and_no_other(value: str) -> None:
    """Lost otherwise: the pods of all tasks, by a task that is called `a,b in (c)`."""
    try:
        selector = resources.label_equals("scanplan.dev/task", value)
    except InvalidName:
        return
    assert re.fullmatch(r"scanplan\.dev/task=[A-Za-z0-9][-A-Za-z0-9_.]*", selector)


@given(NAMES)
def test_a_field_selector_names_one_value_and_no_other(value: str) -> None:
    """Lost otherwise: events about others' objects."""
    field, _, escaped = resources.field_equals("involvedObject.name", value).partition("=")
    assert field == "involvedObject.name"
    assert not re.search(r"(?<!\\)(?:\\\\)*[,=]", escaped)
    assert re.sub(r"\\([\\,=])", r"\1", escaped) == value


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"kind": "Secret", "metadata": None},
        {"kind": "Secret", "metadata": {"name": "list", "namespace": "team"}},
        {"kind": "ConfigMap", "metadata": {"name": "other", "namespace": "team"}},
        {"kind": "ConfigMap", "metadata": {"name": "list", "namespace": "others"}},
        {"kind": "ConfigMapList", "metadata": {}, "items": []},
    ],
)
def test_an_answer_about_another_object_is_none(answer: dict[str, object]) -> None:
    """Lost otherwise: the second hold, where a proxy on the way reads a path differently."""
    with pytest.raises(WrongObject) as wrong:
        CONFIG_MAPS.checked(answer, "team", "list")
    assert "others" not in str(wrong.value)
    right = {"kind": "ConfigMap", "metadata": {"name": "list", "namespace": "team"}}
    assert CONFIG_MAPS.checked(right, "team", "list") is right


def test_paths_of_the_api_server_are_made_in_one_place() -> None:
    """Lost otherwise: the next request, whose name somebody only quotes."""
    made = re.compile(
        r"""["'](?:\{[^}]*\})?/apis?/(?:v1/(?:namespaces|nodes|pods)|[a-z.{]+)|/namespaces/|labelSelector="""
    )
    served = {
        "web/application.py",
        "web/api/openapi.py",
        "web/ui/browser.py",
        "web/findings/view.py",
        "web/running/view.py",
    }
    routes = {*served, "metrics/operator.py"}
    found = {
        str(file.relative_to(SOURCE)): made.findall(file.read_text())
        for file in SOURCE.rglob("*.py")
        if str(file.relative_to(SOURCE)) not in {*routes, "kube/resources.py"}
    }
    assert {name: places for name, places in found.items() if places} == {}


class Unasked:
    """A client that fails the test when it is used."""

    configuration = None

    def param_serialize(self, *_: object, **__: object) -> None:
        pytest.fail("a request was made")


UNASKED: Any = Unasked()


@pytest.mark.parametrize("name", HOSTILE[:12])
def test_the_command_line_asks_for_no_such_name(name: str) -> None:
    """Lost otherwise: a script that is given a name from elsewhere, with the rights of whoever runs it."""
    cluster = Cluster(UNASKED, "team")
    pod = {"metadata": {"name": name, "namespace": "team"}}
    asks: tuple[Callable[[], object], ...] = (
        lambda: cluster.named(PLANS, name),
        lambda: cluster.change(PLANS, name, {}),
        lambda: cluster.apply_plan({"metadata": {"name": name}}),
        lambda: list(cluster.log(pod)),
        lambda: list(cluster.execute("team", name, ["true"])),
        lambda: Cluster(UNASKED, name).named(PLANS, "plan"),
    )
    for ask in asks:
        with pytest.raises(Failure, match="can't be the name"):
            ask()


@pytest.mark.parametrize("name", HOSTILE[:12])
def test_the_api_and_programs_ask_for_no_such_name(name: str) -> None:
    """Lost otherwise: plans of other namespaces, by the id of a task."""
    api = KubernetesApi("team")
    api._client, api._namespace = UNASKED, "team"
    with pytest.raises(NotFound, match="can't be the name"):
        api.get_plan(name)
    with pytest.raises(NotFound, match="can't be the name"):
        api.patch_plan(name, {})
