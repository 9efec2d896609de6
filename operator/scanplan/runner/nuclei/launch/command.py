"""The command line and environment of Nuclei, from a task document.

Plain values in, plain values out: an argv list that never meets a shell, with typed options only. Targets and templates go by
file, so that no endpoint is ever read as a flag, a path or a comma list. Nuclei gets a home and configuration of its own, since
a `config.yaml` found anywhere changes its flags silently. It gets none of the variables that make it talk to a cloud.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import msgspec

from scanplan.api.documents.task import ScannerOptions, TaskDocument
from scanplan.api.errors import NucleiBinaryError
from scanplan.api.v1alpha1.conditions import Reason
from scanplan.core.planning.nuclei.protocols import UNGUARDED
from scanplan.runner.nuclei.choosing import workflows
from scanplan.runner.nuclei.choosing.needs import FLAGS
from scanplan.runner.nuclei.launch.rates import Rates

STATISTICS_INTERVAL_SECONDS = 5
_PASSED_ON = ("PATH", "LANG", "TZ", "SSL_CERT_FILE", "SSL_CERT_DIR", "GOMEMLIMIT", "GOMAXPROCS", "GOGC")


class Workspace(msgspec.Struct, frozen=True):
    """The private, short-lived folder of one attempt, and what is where in it."""

    root: Path

    @property
    def targets(self) -> Path:
        """One endpoint a line."""
        return self.root / "targets.txt"

    @property
    def requests(self) -> Path:
        """Requests to fuzz, in place of `targets`."""
        return self.root / "requests.json"

    @property
    def templates(self) -> Path:
        """One absolute template path a line."""
        return self.root / "templates.txt"

    @property
    def source_link(self) -> Path:
        """A link to the template source of an automatic scan (see `environment`)."""
        return self.root / "library.yaml"

    @property
    def matchers(self) -> Path:
        """One matcher without findings a line."""
        return self.root / "matchers.txt"

    @property
    def denied(self) -> Path:
        """One range that must not be dialled a line."""
        return self.root / "denied.txt"

    @property
    def headers(self) -> Path:
        """One request header a line; may be secret."""
        return self.root / "headers.txt"

    @property
    def secrets(self) -> Path:
        """Request headers that no line can hold, and credentials by host, as Nuclei's secrets file."""
        return self.root / "secrets.json"

    @property
    def resolvers(self) -> Path:
        """One DNS server a line."""
        return self.root / "resolvers.txt"

    @property
    def proxy(self) -> Path:
        """The proxy's URL; may hold a password."""
        return self.root / "proxy.txt"

    @property
    def variables(self) -> Path:
        """One template variable a line."""
        return self.root / "variables.txt"

    @property
    def options(self) -> Path:
        """Flags whose values are secret, as Nuclei's configuration file."""
        return self.root / "options.yaml"

    @property
    def home(self) -> Path:
        return self.root / "home"

    @property
    def configuration(self) -> Path:
        return self.root / "configuration"

    @property
    def signer(self) -> Path:
        """Certificate of the signer of own templates, where the image has one."""
        return self.root / "signer.crt"

    @property
    def temporary(self) -> Path:
        return self.root / "temporary"


def list_file(lines: Sequence[str]) -> str:
    """The content of a file with one entry a line.

    Raises:
        NucleiBinaryError: (InvalidOptions) an entry that would be read as two, or as none.
    """
    for line in lines:
        if not line.strip() or any(character in line for character in "\n\r\0"):
            raise NucleiBinaryError(Reason.INVALID_OPTIONS, f"{line!r} can't be put on one line of a list.")
    return "".join(f"{line}\n" for line in lines)


def arguments(
    document: TaskDocument,
    nuclei: str,
    workspace: Workspace,
    trace: str,
    *,
    own_resolvers: bool = True,
    credentials: Sequence[str] = (),
    proxy: bool = False,
    rates: Rates | None = None,
    needs: Collection[str] = (),
    input_mode: str = "",
    signed_only: bool = False,
) -> list[str]:
    """The argv list of a scan of the shard whose lists are in `workspace`.

    Args:
        trace: where Nuclei writes its trace log, a line for each request.
        credentials: the arguments that say where headers, variables and a certificate are (`runner.nuclei.launch.credentials`).
        proxy: whether `workspace` names a proxy.
        rates: the limits of this run; by default the shard's.
        needs: what the templates need besides (`Template.needs`).
        input_mode: of the file with requests to fuzz; empty: the list of targets is used.
        signed_only: the templates of this run need a signature.
        own_resolvers: whether the list of DNS servers there has any (see `runner.resolvers`).
    """
    scanner = document.scanner
    inputs = (
        ["-l", str(workspace.requests), "-im", input_mode, "-sfv"] if input_mode else ["-l", str(workspace.targets)]
    )
    argv = [nuclei, *inputs, "-w" if workflows.NEED in needs else "-t", str(workspace.templates)]
    argv += [flag for need in needs for flag in FLAGS.get(need, ())]
    if document.automatic:
        argv += ["-as", "-dc"]  # in a cluster the trace log names one template, whether or not the others were chosen
    if document.severity_levels:
        argv += ["-severity", ",".join(document.severity_levels)]
    if document.exclude.matchers:
        argv += ["-em", str(workspace.matchers)]
    if document.denied_targets:
        argv += ["-eh", str(workspace.denied)]  # off the list, and again at dial time, on resolved addresses
    if own_resolvers:
        argv += ["-r", str(workspace.resolvers)]
    if off := [protocol for protocol in UNGUARDED if protocol not in document.unguarded_protocols]:
        argv += ["-ept", ",".join(off)]
    argv.append("-sr")
    limits = rates or Rates(scanner.rate_limit)
    argv += ["-rl", str(limits.limit), *(["-per-host-rate-limit"] if limits.per_host else [])]
    argv += ["-c", str(scanner.concurrency), "-bs", str(scanner.bulk_size)]
    argv += ["-timeout", str(scanner.request_timeout_seconds), "-retries", str(scanner.request_retries)]
    argv += ["-mhe", str(scanner.max_host_errors)]
    argv += credentials
    if proxy:
        argv += ["-proxy", str(workspace.proxy)]
    argv += _asking(scanner) + (["-dut"] if signed_only else [])
    argv += ["-jsonl", "-ot", "-nc", "-tlog", trace]
    argv += ["-v", "-vv"]  # which templates are loaded, and why others are not, or can't be sent
    argv += ["-stats", "-sj", "-si", str(STATISTICS_INTERVAL_SECONDS)]
    argv += ["-no-stdin", "-duc"]
    return argv + _out_of_band(scanner.interactsh_server, proxy=proxy)


def _out_of_band(server: str, *, proxy: bool) -> list[str]:
    """The flags of the out-of-band server; through the proxy, where there is one."""
    if not server:
        return ["-ni"]
    return ["-iserver", server, *(["-pi"] if proxy else [])]


def _asking(scanner: ScannerOptions) -> list[str]:
    """The flags of options that a plan may leave to Nuclei."""
    switches = {
        "-fr": scanner.follow_redirects,
        "-fhr": scanner.follow_host_redirects,
    }
    values = {
        "-mr": scanner.max_redirects,
        "-rsr": scanner.max_response_bytes,
        "-sni": scanner.sni,
    }
    argv = [flag for flag, on in switches.items() if on]
    for flag, value in values.items():
        argv += [flag, str(value)] if value else []
    return argv


def environment(inherited: Mapping[str, str], workspace: Workspace, templates: Path) -> dict[str, str]:
    """Nuclei's environment: a few harmless variables of ours, and its folders.

    Args:
        templates: the source, for helper files; for an automatic scan a link to it, named like a template. Such a scan chooses
            among all templates that are below this folder and in `-t`, and fails where this folder has none. Nuclei does not
            follow the link when it looks for templates, takes it for one that can't be read, and finds helper files behind it.

    `PDCP_*`, `NUCLEI_*` and `ENABLE_CLOUD_UPLOAD` are never passed on; of proxies see `runner.nuclei.launch.route`.
    """
    kept = {name: value for name, value in inherited.items() if name in _PASSED_ON}
    return kept | {
        "HOME": str(workspace.home),
        "XDG_CONFIG_HOME": str(workspace.home / ".config"),
        "XDG_CACHE_HOME": str(workspace.home / ".cache"),
        "TMPDIR": str(workspace.temporary),
        "NUCLEI_CONFIG_DIR": str(workspace.configuration),
        "NUCLEI_TEMPLATES_DIR": str(templates),
        **({"NUCLEI_USER_CERTIFICATE": str(workspace.signer)} if workspace.signer.exists() else {}),
        "NUCLEI_LOG_ALL": "true",
        "HIDE_TEMPLATE_SIG_WARNING": "true",
    }
