"""What is scanned, and what must not be: lists, stdin, exclusions, local networks, redirects."""

from __future__ import annotations

import subprocess

import pytest

from tests.conformance.conftest import Site, needs_ipv6
from tests.conformance.laboratory import Laboratory, finish

UNSPECIFIED = "0.0.0.0"  # noqa: S104 - a target here, nothing listens on it
STATISTICS = ("-stats", "-sj", "-si", "60")


def test_targets_come_from_the_list_and_from_u(lab: Laboratory, site: Site) -> None:
    done = lab.run("-l", lab.targets(site.url), "-u", site.other_url, "-t", lab.template("a"))
    assert sorted(event["host"] for event in done.events) == ["127.0.0.1", "127.0.0.2"]


def test_u_splits_at_commas(lab: Laboratory, site: Site) -> None:
    done = lab.run("-u", f"{site.url},{site.other_url}", "-t", lab.template("a"))
    assert len(done.events) == 2


def test_doubles_are_dropped(lab: Laboratory, site: Site) -> None:
    done = lab.run("-l", lab.targets(site.url, f" {site.url} ", "", site.url), "-t", lab.template("a"))
    assert "[INF] Supplied input was automatically deduplicated (2 removed)." in done.log
    assert len(done.events) == 1


def test_a_comment_in_the_list_is_a_target(lab: Laboratory, site: Site) -> None:
    done = lab.run("-l", lab.targets("# comment", site.url), "-t", lab.template("a"))
    assert "[INF] Targets loaded for current scan: 2" in done.log
    assert len(done.events) == 1


def test_a_range_is_expanded(lab: Laboratory) -> None:
    done = lab.run("-l", lab.targets("127.9.9.0/30"), "-t", lab.template("a"), "-timeout", 1, "-retries", 0)
    assert "[INF] Targets loaded for current scan: 4" in done.log


def test_a_target_without_a_scheme_is_probed(lab: Laboratory, site: Site) -> None:
    done = lab.run("-l", lab.targets(site.url.removeprefix("http://")), "-t", lab.template("a"))
    assert "[INF] Found 1 URL from httpx" in done.log
    (event,) = done.events
    assert event["url"] == site.url


def test_the_path_of_a_target_goes_before_the_template_s(lab: Laboratory, site: Site) -> None:
    template = lab.template("a", "/config", http={"matchers": [{"type": "word", "words": ["[core]"]}]})
    done = lab.run("-l", lab.targets(site.url + "/.git/"), "-t", template)
    (event,) = done.events
    assert event["matched-at"] == site.url + "/.git/config"


def test_stdin_is_a_list_when_it_is_a_file(lab: Laboratory, site: Site) -> None:
    with lab.targets(site.url).open() as stdin:
        assert lab.run("-t", lab.template("a"), stdin=stdin).found == ["a"]


def test_a_pipe_on_stdin_is_waited_for_even_with_a_list(lab: Laboratory, site: Site) -> None:
    """A runner that leaves the pipe open would hang here for minutes."""
    arguments = ["-l", lab.targets(site.url), "-t", lab.template("a")]
    with lab.start(*arguments, stdin=subprocess.PIPE) as process:
        assert process.stdin
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(timeout=1)
        process.stdin.write(site.other_url + "\n")
        done = finish(process)  # which closes stdin
    assert len(done.events) == 2


def test_no_stdin_leaves_a_pipe_alone(lab: Laboratory, site: Site) -> None:
    with lab.start("-l", lab.targets(site.url), "-t", lab.template("a"), "-no-stdin", stdin=subprocess.PIPE) as process:
        assert process.stdout
        assert '"template-id":"a"' in process.stdout.readline()
        assert finish(process).code == 0


@pytest.mark.parametrize("excluded", ["127.0.0.1", "127.0.0.1/32", "127.0.0.0/31", "0.1:.*"])
def test_excluded_hosts_leave_the_list(lab: Laboratory, site: Site, excluded: str) -> None:
    done = lab.run("-l", lab.targets(site.url, site.other_url), "-t", lab.template("a"), "-eh", excluded)
    assert "[INF] Number of hosts excluded from input: 1" in done.log
    assert [event["host"] for event in done.events] == ["127.0.0.2"]


def test_excluding_one_address_drops_others_that_look_alike(lab: Laboratory, site: Site) -> None:
    """A single address is a pattern, looked for anywhere: the runner must write it as a range of one."""
    alike = site.url.replace("127.0.0.1", "127.0.0.11")
    arguments = ["-l", lab.targets(alike), "-t", lab.template("a"), *STATISTICS]
    assert lab.run(*arguments, "-eh", "127.0.0.1").statistics[-1]["hosts"] == "0"
    assert lab.run(*arguments, "-eh", "127.0.0.1/32").found == ["a"]


def test_an_excluded_name_leaves_the_list_and_is_still_followed_to(lab: Laboratory, site: Site) -> None:
    """Names are not looked at when dialing: only addresses are kept away from for certain."""
    targets = lab.targets(site.url, site.named_url)
    template = redirecting(lab, site.named_url + "/robots.txt", redirects=True)
    done = lab.run("-l", targets, "-t", template, "-eh", "localhost")
    assert "[INF] Targets loaded for current scan: 1" in done.log
    assert site.requests() == {"/go": 1, "/robots.txt": 1}


def test_exclusions_come_from_a_file_too(lab: Laboratory, site: Site) -> None:
    denied = lab.file("denied.txt", "10.0.0.0/8\n127.0.0.1\n")
    done = lab.run("-l", lab.targets(site.url), "-t", lab.template("a"), "-eh", denied, *STATISTICS)
    assert (done.code, done.stdout, done.statistics[-1]["hosts"]) == (0, "", "0")


def test_a_name_that_leads_to_an_excluded_address_is_denied_when_dialed(lab: Laboratory, site: Site) -> None:
    log = lab.folder / "errors.jsonl"
    exclusions = ["-eh", "127.0.0.0/8,::1/128"]
    done = lab.run("-l", lab.targets(site.named_url), "-t", lab.template("a"), *exclusions, "-elog", log, *STATISTICS)
    assert (done.code, done.stdout, done.statistics[-1]["errors"]) == (0, "", "2")
    assert "denied address found for host" in log.read_text()
    assert site.requests() == {}


def test_local_networks_are_denied_when_dialed(lab: Laboratory, site: Site) -> None:
    done = lab.run("-l", lab.targets(site.url, site.named_url), "-t", lab.template("a"), "-lna", *STATISTICS)
    assert (done.code, done.stdout) == (0, "")
    assert (done.statistics[-1]["hosts"], done.statistics[-1]["errors"]) == ("2", "4")
    assert site.requests() == {}


@pytest.mark.parametrize("flags", [["-lna"], ["-eh", "127.0.0.0/8,::1/128,0.0.0.0/8"]], ids=["-lna", "-eh"])
@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "user@127.0.0.1", UNSPECIFIED]
)
def test_forms_of_a_denied_address(lab: Laboratory, site: Site, flags: list[str], host: str) -> None:
    lab.run("-u", site.url.replace("127.0.0.1", host), "-t", lab.template("a"), *flags)
    assert site.requests() == {}


@needs_ipv6
def test_the_unspecified_address_of_ipv6_gets_past_the_ban_on_local_networks(lab: Laboratory, site: Site) -> None:
    """It leads to this machine, and -lna does not know it: it has to be excluded by name."""
    arguments = ["-u", site.url.replace("127.0.0.1", "[::]"), "-t", lab.template("a"), "-lna"]
    assert lab.run(*arguments).found == ["a"]
    assert lab.run(*arguments, "-eh", "::/128").found == []


def redirecting(lab: Laboratory, to: str, **http: object) -> object:
    return lab.template("a", f"/go?to={to}", http={"matchers": [{"type": "status", "status": [200, 302]}], **http})


def test_a_redirect_to_an_excluded_address_is_not_followed(lab: Laboratory, site: Site) -> None:
    template = redirecting(lab, site.url + "/robots.txt", redirects=True)
    lab.run("-l", lab.targets(site.other_url), "-t", template, "-eh", "127.0.0.1")
    assert site.requests() == {"/go": 1}


@pytest.mark.parametrize(
    ("flags", "http", "paths"),
    [
        ([], {}, ["/go?to=/robots.txt"]),
        ([], {"redirects": True}, ["/go?to=/robots.txt", "/robots.txt"]),
        (["-fr"], {}, ["/go?to=/robots.txt", "/robots.txt"]),
        (["-dr"], {"redirects": True}, ["/go?to=/robots.txt"]),
    ],
    ids=["by default", "by the template", "-fr", "-dr"],
)
def test_redirects(lab: Laboratory, site: Site, flags: list[str], http: dict[str, object], paths: list[str]) -> None:
    """Every answer on the way is matched, so that one template can find two things."""
    done = lab.run("-l", lab.targets(site.url), "-t", redirecting(lab, "/robots.txt", **http), *flags)
    assert sorted(event["matched-at"].removeprefix(site.url) for event in done.events) == paths
