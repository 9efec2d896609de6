"""What resolves a finding, with the scanner under test: only a scan that asked, was answered, and did not see it."""

from __future__ import annotations

import contextlib
import http.server
import json
import os
import pathlib
import threading
from collections.abc import Iterator

import pytest

from scanplan.api import layout
from scanplan.api.documents.report import HistoryCounts
from scanplan.api.documents.task import ScannerOptions, TaskDocument, TemplateFilter
from scanplan.api.documents.words import PlanReference
from scanplan.findings import history
from scanplan.findings.history import Entry
from scanplan.runner.artifacts import run_record
from scanplan.runner.nuclei.launch.installation import Installation
from scanplan.runner.shard import run_shard
from tests.conformance.desk import CONFIGURATION


class Weak(http.server.BaseHTTPRequestHandler):
    """Has the weakness as long as its server is weak."""

    def do_GET(self) -> None:
        assert isinstance(self.server, Site)
        content = b"secret" if self.path == "/.weak" and self.server.weak else b"hello"
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


class Site(http.server.ThreadingHTTPServer):
    """A site on loopback."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Weak)
        self.weak = True
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


@contextlib.contextmanager
def running() -> Iterator[Site]:
    with Site() as site:
        yield site
        site.shutdown()


class Project:
    """Scans of two sites, one after the other."""

    def __init__(self, scanner: pathlib.Path, folder: pathlib.Path) -> None:
        self.scanner = scanner
        self.folder = folder
        self.number = 0
        self.endpoints: tuple[str, ...] = ()
        (folder / "templates").mkdir()
        self.put("other", "hello", "/")
        self.put("weak", "secret", "/.weak")

    def put(self, name: str, word: str, path: str, aliases: str = "") -> None:
        information = (
            f"{{name: {name}, author: t, severity: high{f', metadata: {{aliases: [{aliases}]}}' if aliases else ''}}}"
        )
        (self.folder / f"templates/{name}.yaml").write_text(
            f"id: {name}\ninfo: {information}\n"
            f"http: [{{method: GET, path: ['{{{{BaseURL}}}}{path}'], matchers: [{{type: word, words: [{word}]}}]}}]\n"
        )

    def scan(self, *excluded: str, profile: str = "") -> HistoryCounts:
        """`excluded`: matchers whose findings are left out."""
        self.number += 1
        document = TaskDocument(
            key=f"scan:acme:nightly:0a:0b:{self.number}",
            project_id="acme",
            run_id="nightly",
            plan=PlanReference(namespace="default", name="nightly"),
            endpoints=tuple(sorted(self.endpoints)),
            templates=(),
            profile=profile,
            exclude=TemplateFilter(matchers=excluded),
            scanner=ScannerOptions(request_timeout_seconds=2, request_retries=0),
        )
        installation = Installation(
            nuclei=str(self.scanner),
            templates=(self.folder / "templates",),
            configuration=CONFIGURATION,
            temporary=self.folder,
            inherited=dict(os.environ),
        )
        report = run_shard(document, 0, self.folder / "run", installation=installation)
        assert report.merged is not None, report.error
        assert report.merged.history is not None
        self.place = run_record.task_folder(self.folder / "run", document)
        return report.merged.history

    def weakness(self) -> Entry:
        with (self.place / layout.HISTORY).open("rb") as lines:
            (entry,) = (each for each in history.entries(lines) if each.name in {"weak", "renamed"})
        return entry


@pytest.fixture
def project(scanner: pathlib.Path, tmp_path: pathlib.Path) -> Project:
    return Project(scanner, tmp_path)


def test_the_life_of_a_finding(project: Project) -> None:
    """Lost otherwise: a weakness that is called fixed because a target was down, or a template was gone."""
    with running() as other:
        with running() as site:
            project.endpoints = (site.url, other.url)
            other.weak = False
            assert project.scan().new.high == 3
            assert project.weakness().state == "new"
        assert project.scan().resolved.total == 0, "the target is down"
        assert project.weakness().state == "open"
        with running() as site:
            port = site.server_address[1]
            assert port, "another port is another target"
            project.endpoints = (site.url, other.url)
            assert project.scan().resolved.total == 0, "the old target is not in the plan any more"


def test_a_fix_a_missing_template_a_return_and_another_name(project: Project) -> None:
    with running() as site:
        project.endpoints = (site.url,)
        project.scan()
        site.weak = False
        (project.folder / "templates/weak.yaml").rename(project.folder / "weak.yaml")
        assert project.scan().resolved.total == 0, "the template is missing"
        assert project.weakness().state == "open"
        (project.folder / "weak.yaml").rename(project.folder / "templates/weak.yaml")
        assert project.scan().resolved.high == 1
        assert project.weakness().state == "resolved"
        site.weak = True
        assert project.scan().reopened.high == 1
        assert project.weakness().state == "reopened"
        (project.folder / "templates/weak.yaml").unlink()
        project.put("renamed", "secret", "/.weak", aliases="weak")
        changed = project.scan()
        assert (changed.new.total, changed.resolved.total) == (0, 0)
        assert (project.weakness().template, project.weakness().times_seen) == ("renamed", 3)
        site.weak = False
        assert project.scan().resolved.high == 1


def test_templates_that_share_a_request_have_looked_each(project: Project) -> None:
    """Nuclei sends one request for both, and its trace names one of them."""
    project.put("weak-too", "secret", "/.weak")
    with running() as site:
        project.endpoints = (site.url,)
        assert project.scan().new.high == 3
        site.weak = False
        assert project.scan().resolved.high == 2


@pytest.mark.parametrize("how", ["weak:*", "weak:leak", "*:leak", "profile"])
def test_a_matcher_that_is_excluded_resolves_nothing(project: Project, how: str) -> None:
    """Lost otherwise: a weakness that is called fixed because nobody wanted to see it for a night."""
    named = "{type: word, words: [secret], name: leak}, {type: word, words: [nowhere], name: other}"
    (project.folder / "templates/weak.yaml").write_text(
        "id: weak\ninfo: {name: weak, author: t, severity: high}\n"
        f"http: [{{method: GET, path: ['{{{{BaseURL}}}}/.weak'], matchers: [{named}]}}]\n"
    )
    (project.folder / "templates/profiles").mkdir()
    (project.folder / "templates/profiles/quiet.yml").write_text("exclude-matchers: [weak]\n")
    with running() as site:
        project.endpoints = (site.url,)
        assert project.scan().new.high == 2
        changed = project.scan(profile="quiet") if how == "profile" else project.scan(how)
        assert (changed.resolved.total, changed.open.high) == (0, 2)
        assert project.weakness().times_seen == 1, "it was not seen"
        assert project.scan("weak:other").resolved.total == 0
        assert project.weakness().times_seen == 2
        site.weak = False
        assert project.scan("weak:other").resolved.high == 1


def test_the_coverage_of_an_attempt_names_templates_and_endpoints(project: Project) -> None:
    with running() as site:
        project.endpoints = (site.url,)
        project.scan()
        (path,) = project.place.rglob(layout.COVERAGE)
        told = json.loads(path.read_bytes())
    assert told["trusted"] == "1"
    assert told["templates"] == ["other", "weak"]
    assert told["gaps"] == {}
