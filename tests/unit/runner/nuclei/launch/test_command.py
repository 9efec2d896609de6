"""What a wrong command line would cost: targets read as flags, a cloud upload, other people's configuration."""

from __future__ import annotations

from pathlib import Path

import pytest

from scanplan.api.documents.task import ScannerOptions
from scanplan.api.documents.words import Severity
from scanplan.api.errors import NucleiBinaryError
from scanplan.api.v1alpha1.conditions import Reason
from scanplan.runner.nuclei.launch import command
from tests.unit.runner.documents import document

WORKSPACE = command.Workspace(Path("/w"))
TRACE = "/dev/fd/9"


def flag(argv: list[str], name: str) -> str:
    return argv[argv.index(name) + 1]


def test_targets_and_templates_go_by_file_only() -> None:
    argv = command.arguments(document(endpoints=("http://a.example/?a=1,2", "-u")), "/bin/nuclei", WORKSPACE, TRACE)
    assert argv[0] == "/bin/nuclei"
    assert flag(argv, "-l") == "/w/targets.txt"
    assert flag(argv, "-t") == "/w/templates.txt"
    assert not any("a.example" in argument for argument in argv)
    assert "-u" not in argv


def test_nuclei_talks_to_nobody_but_its_targets_and_reads_no_stdin() -> None:
    argv = command.arguments(document(), "nuclei", WORKSPACE, TRACE)
    assert {"-duc", "-ni", "-no-stdin", "-jsonl", "-nc", "-stats", "-sj", "-ot"} <= set(argv)
    assert flag(argv, "-si") == "5"  # 0 makes it panic


def test_nuclei_is_asked_for_evidence_and_writes_it_to_no_disk() -> None:
    argv = command.arguments(document(), "nuclei", WORKSPACE, TRACE)
    assert flag(argv, "-tlog") == TRACE
    assert {"-v", "-vv"} <= set(argv)
    assert "-elog" not in argv


def test_typed_options_become_their_flags() -> None:
    options = ScannerOptions(
        rate_limit=10,
        concurrency=2,
        bulk_size=3,
        request_timeout_seconds=4,
        request_retries=0,
        follow_redirects=True,
    )
    argv = command.arguments(
        document(scanner=options, severity_levels=(Severity.CRITICAL, Severity.HIGH)), "nuclei", WORKSPACE, TRACE
    )
    wanted = {"-rl": "10", "-c": "2", "-bs": "3", "-timeout": "4", "-retries": "0", "-severity": "critical,high"}
    assert {name: flag(argv, name) for name in wanted} == wanted
    assert "-fr" in argv


def test_what_a_plan_may_leave_to_nuclei_is_left_to_it() -> None:
    argv = command.arguments(document(), "nuclei", WORKSPACE, TRACE)
    assert flag(argv, "-mhe") == "30"
    assert not {"-fr", "-fhr", "-mr", "-rsr", "-sni", "-iv", "-V", "-dut"} & set(argv)
    options = ScannerOptions(
        follow_host_redirects=True,
        max_redirects=3,
        max_response_bytes=4096,
        max_host_errors=5,
        sni="app.example",
        variables={"user": "guest"},
    )
    argv = command.arguments(document(scanner=options), "nuclei", WORKSPACE, TRACE, signed_only=True)
    wanted = {"-mr": "3", "-rsr": "4096", "-mhe": "5", "-sni": "app.example"}
    assert {name: flag(argv, name) for name in wanted} == wanted
    assert {"-fhr", "-dut"} <= set(argv)
    assert "guest" not in " ".join(argv)


@pytest.mark.parametrize(("proxy", "more"), [(False, []), (True, ["-pi"])])
def test_an_out_of_band_server_is_asked_where_the_plan_names_one(proxy: bool, more: list[str]) -> None:
    options = ScannerOptions(interactsh_server="https://oast.example")
    argv = command.arguments(document(scanner=options), "nuclei", WORKSPACE, TRACE, proxy=proxy)
    assert argv[-2 - len(more) :] == ["-iserver", "https://oast.example", *more]
    assert "-ni" not in argv
    assert "-ni" in command.arguments(document(), "nuclei", WORKSPACE, TRACE, proxy=proxy)


@pytest.mark.parametrize(
    ("needs", "flags"),
    [
        ((), ["-t", "/w/templates.txt"]),
        (("dast",), ["-t", "/w/templates.txt", "-dast"]),
        (("code", "dast"), ["-t", "/w/templates.txt", "-code", "-dast"]),
        (("workflow",), ["-w", "/w/templates.txt"]),
    ],
)
def test_a_step_has_the_flags_that_its_templates_need(needs: tuple[str, ...], flags: list[str]) -> None:
    argv = command.arguments(document(), "nuclei", WORKSPACE, TRACE, needs=needs)
    assert argv[3 : 3 + len(flags)] == flags
    assert {"-dast", "-code", "-w"} & set(argv) == set(flags) & {"-dast", "-code", "-w"}


def test_an_automatic_scan_sends_each_template_by_itself() -> None:
    argv = command.arguments(document(automatic=True), "nuclei", WORKSPACE, TRACE)
    assert {"-as", "-dc"} <= set(argv)
    assert not {"-as", "-dc"} & set(command.arguments(document(), "nuclei", WORKSPACE, TRACE))


def test_without_options_templates_decide_about_redirects_and_nothing_is_denied() -> None:
    argv = command.arguments(document(), "nuclei", WORKSPACE, TRACE)
    assert not {"-fr", "-dr", "-severity", "-eh"} & set(argv)


def test_denied_targets_are_denied_at_dial_time_too() -> None:
    argv = command.arguments(document(denied_targets=("169.254.0.0/16",)), "nuclei", WORKSPACE, TRACE)
    assert flag(argv, "-eh") == "/w/denied.txt"


def test_names_are_asked_of_the_machines_own_servers_never_of_public_ones() -> None:
    argv = command.arguments(document(), "nuclei", WORKSPACE, TRACE)
    assert flag(argv, "-r") == "/w/resolvers.txt"
    assert "-sr" in argv
    argv = command.arguments(document(), "nuclei", WORKSPACE, TRACE, own_resolvers=False)
    assert "-r" not in argv
    assert "-sr" in argv


def test_the_environment_is_private_and_has_no_secrets() -> None:
    inherited = {
        "PATH": "/bin",
        "HTTPS_PROXY": "http://proxy",
        "PDCP_API_KEY": "k",
        "NUCLEI_CONFIG_DIR": "/etc/nuclei",
        "ENABLE_CLOUD_UPLOAD": "true",
        "AWS_SECRET_ACCESS_KEY": "s",
    }
    environment = command.environment(inherited, WORKSPACE, Path("/opt/nuclei-templates"))
    assert environment == {
        "PATH": "/bin",
        "HOME": "/w/home",
        "XDG_CONFIG_HOME": "/w/home/.config",
        "XDG_CACHE_HOME": "/w/home/.cache",
        "TMPDIR": "/w/temporary",
        "NUCLEI_CONFIG_DIR": "/w/configuration",
        "NUCLEI_LOG_ALL": "true",
        "HIDE_TEMPLATE_SIG_WARNING": "true",
        "NUCLEI_TEMPLATES_DIR": "/opt/nuclei-templates",
    }


def test_row_9_the_proxys_password_is_not_in_argv() -> None:
    argv = command.arguments(document(), "nuclei", WORKSPACE, TRACE, proxy=True)
    assert flag(argv, "-proxy") == "/w/proxy.txt"


@pytest.mark.parametrize("line", ["", "  ", "http://a\nhttp://b", "a\rb", "a\0b"])
def test_a_line_that_would_be_read_as_another_is_refused(line: str) -> None:
    with pytest.raises(NucleiBinaryError) as caught:
        command.list_file(["http://a.example", line])
    assert caught.value.reason is Reason.INVALID_OPTIONS


def test_a_list_has_one_entry_a_line() -> None:
    assert command.list_file(["a", "b"]) == "a\nb\n"
    assert command.list_file([]) == ""
