"""``scanplan submit``: creates or changes plans, from a file or from options."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
import yaml

from scanplan.api import labels
from scanplan.api.documents.words import Severity
from scanplan.api.schema import strictness
from scanplan.api.v1alpha1.scanplan import MAX_INLINE_ENDPOINTS
from scanplan.cli import nuclei_flags, options
from scanplan.cli.commands.watch import watch_to_end
from scanplan.cli.manifests import Manifest, read_plans
from scanplan.cli.output import severities
from scanplan.cli.output.failure import ANSWER_IS_NO, DATA, USAGE, Conflict, Failure, told
from scanplan.cli.output.terminal import answers, say
from scanplan.core.planning import keys
from scanplan.kube.resources import PLANS

if TYPE_CHECKING:
    from scanplan.client.cluster.cluster import Cluster

COMMAND_CLASS = nuclei_flags.Flagged


@told
def submit(
    name: Annotated[
        str | None,
        typer.Argument(metavar="NAME", help="Name of the plan, where no file is given.", show_default=False),
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option(
            "--file",
            "-f",
            metavar="FILE",
            help="ScanPlan manifests (YAML); - is standard input.",
            allow_dash=True,
            show_default=False,
        ),
    ] = None,
    endpoint: Annotated[
        list[str] | None,
        typer.Option(
            "--endpoint",
            "-e",
            metavar="TARGET",
            help="Host, host:port or http(s) URL. Several times for several.",
            show_default=False,
        ),
    ] = None,
    template: Annotated[
        list[str] | None,
        typer.Option(
            "--template",
            "-t",
            "-templates",
            metavar="TEMPLATE",
            help="Template, folder of templates, or id. Several times.",
            show_default=False,
        ),
    ] = None,
    severity: Annotated[
        list[str] | None,
        typer.Option(
            "--severity",
            "-s",
            "-severity",
            metavar="A,B",
            help=f"Only templates of these severities: {', '.join(Severity)}.",
            show_default=False,
        ),
    ] = None,
    target: nuclei_flags.Targets = None,
    target_file: nuclei_flags.TargetFile = None,
    tags: nuclei_flags.Tags = None,
    exclude_tags: nuclei_flags.ExcludeTags = None,
    ids: nuclei_flags.Ids = None,
    exclude_ids: nuclei_flags.ExcludeIds = None,
    authors: nuclei_flags.Authors = None,
    protocols: nuclei_flags.Protocols = None,
    exclude_protocols: nuclei_flags.ExcludeProtocols = None,
    exclude_severities: nuclei_flags.ExcludeSeverities = None,
    exclude_templates: nuclei_flags.ExcludeTemplates = None,
    exclude_matchers: nuclei_flags.ExcludeMatchers = None,
    profile: nuclei_flags.Profile = None,
    workflows: nuclei_flags.Workflows = None,
    automatic: nuclei_flags.Automatic = False,
    dast: nuclei_flags.Dast = False,
    headless: nuclei_flags.Headless = False,
    code: nuclei_flags.Code = False,
    rate_limit: nuclei_flags.RateLimit = None,
    concurrency: nuclei_flags.Concurrency = None,
    bulk_size: nuclei_flags.BulkSize = None,
    timeout: nuclei_flags.Timeout = None,
    retries: nuclei_flags.Retries = None,
    header: nuclei_flags.Headers = None,
    proxy: nuclei_flags.Proxy = None,
    follow_redirects: nuclei_flags.FollowRedirects = False,
    follow_host_redirects: nuclei_flags.FollowHostRedirects = False,
    max_redirects: nuclei_flags.MaxRedirects = None,
    max_host_errors: nuclei_flags.MaxHostErrors = None,
    max_response_bytes: nuclei_flags.MaxResponseBytes = None,
    sni: nuclei_flags.Sni = None,
    verify_signatures: nuclei_flags.VerifySignatures = False,
    variable: nuclei_flags.Variables = None,
    project: Annotated[
        str | None, typer.Option(metavar="NAME", help="projectId; by default the namespace.", show_default=False)
    ] = None,
    run_id: Annotated[
        str | None, typer.Option(metavar="NAME", help="runId; by default the name.", show_default=False)
    ] = None,
    priority: Annotated[
        int | None, typer.Option(metavar="N", help="0 to 10, higher first.", min=0, max=10, show_default=False)
    ] = None,
    parallelism: Annotated[
        int | None, typer.Option(metavar="N", help="Shards at the same time.", min=1, show_default=False)
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", help="Watch the plans to their end.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only print the manifests, checked by the API server.")
    ] = False,
    namespace: options.Namespace = None,
    context: options.Context = None,
    kubeconfig: options.Kubeconfig = None,
) -> None:
    """Submit plans. The same content again starts nothing, changed content is another scan.

    \b
      scanplan submit -f scanplan.yaml --follow
      scanplan submit nightly -e https://app.example.com -t http/cves/ --severity critical,high
      scanplan submit nightly -e https://app.example.com -t http/ --dry-run > scanplan.yaml
      scanplan submit -l targets.txt -tags cve,rce -s critical,high -rl 50      as with nuclei

    Nuclei's own flags have one dash. A plan without a name is named after its content, and is shown.

    Exit codes: 0; with --follow 1 where a scan doesn't complete; 64 or 65 something in it is wrong; 66 no such
    file.
    """
    given: dict[str, Any] = {
        "tags": tags,
        "exclude_tags": exclude_tags,
        "ids": ids,
        "exclude_ids": exclude_ids,
        "authors": authors,
        "protocols": protocols,
        "exclude_protocols": exclude_protocols,
        "exclude_severities": exclude_severities,
        "exclude_templates": exclude_templates,
        "exclude_matchers": exclude_matchers,
        "profile": profile,
        "workflows": workflows,
        "automatic": automatic,
        "dast": dast,
        "headless": headless,
        "code": code,
        "rate_limit": rate_limit,
        "concurrency": concurrency,
        "bulk_size": bulk_size,
        "timeout": timeout,
        "retries": retries,
        "proxy": proxy,
        "follow_redirects": follow_redirects,
        "follow_host_redirects": follow_host_redirects,
        "max_redirects": max_redirects,
        "max_host_errors": max_host_errors,
        "max_response_bytes": max_response_bytes,
        "sni": sni,
        "verify_signatures": verify_signatures,
        "headers": header,
        "variables": variable,
    }
    spec = {
        "projectId": project,
        "runId": run_id,
        "endpoints": [*(endpoint or ()), *nuclei_flags.targets(target, target_file)],
        "templates": nuclei_flags.parts(template),
        "severityLevels": [each.value for each in Severity if each in severities.parsed(severity)] if severity else [],
        "priority": priority,
        "sharding": {"parallelism": parallelism} if parallelism else None,
        **nuclei_flags.spec_of(given),
    }
    filled = {field: value for field, value in spec.items() if value not in (None, [])}
    if file is not None:
        if name or filled:
            raise Failure("a plan comes from a file or from options, not from both", "submit -f FILE", USAGE)
        manifests = read_plans(file)
    else:
        manifests = [_manifest(name, filled)]
    from scanplan.client.cluster.cluster import connect  # noqa: PLC0415 - needs the `kubernetes` extra

    cluster = connect(namespace or _namespace(manifests), context, kubeconfig)
    for manifest in manifests:
        _submit(cluster, manifest, dry_run=dry_run)
    if follow and not dry_run:
        names = [str(manifest["metadata"]["name"]) for manifest in manifests]
        if not watch_to_end(cluster, names):
            raise typer.Exit(ANSWER_IS_NO)
        say(f"scanplan results {names[0]} shows what was found")


def _manifest(name: str | None, spec: dict[str, Any]) -> Manifest:
    """A plan of options. One without a name has one that its content gives, so that the same options are the same plan."""
    selection = spec.get("selection", {})
    ways = ("include", "profile", "workflows")
    chosen = spec.get("templates") or any(selection.get(way) for way in ways)
    needed = {"endpoints (-e, -u or -l)": spec.get("endpoints"), "templates (-t, -tags, -id, -w or -tp)": chosen}
    if missing := [what for what, given in needed.items() if not given]:
        hint = "scanplan submit NAME -e https://app.example.com -t http/, or scanplan submit -f FILE"
        raise Failure(f"a plan needs {' and '.join(missing)}", hint, USAGE)
    if len(spec["endpoints"]) > MAX_INLINE_ENDPOINTS:
        raise Failure(
            f"a plan takes {MAX_INLINE_ENDPOINTS:,} endpoints, and these are {len(spec['endpoints']):,}",
            "endpointsFrom in the plan: a ConfigMap takes 100,000, a file on the claim 1,000,000",
            DATA,
        )
    manifest = {"apiVersion": labels.API_VERSION, "kind": labels.KIND, "metadata": {"name": name}, "spec": spec}
    if name is None:
        manifest["metadata"] = {"name": f"scan-{keys.digest(json.dumps(spec, sort_keys=True))[:10]}"}
        say(yaml.safe_dump(manifest, sort_keys=False).rstrip())
    return manifest


def _submit(cluster: Cluster, manifest: Manifest, *, dry_run: bool) -> None:
    name = manifest["metadata"]["name"]
    before = cluster.find(cluster.path(PLANS, name, namespace=cluster.namespace))
    try:
        after = cluster.apply_plan(manifest, dry_run=dry_run)
    except Conflict as conflict:
        raise Failure(
            f"{name}: {conflict.message}",
            f"kubectl apply --server-side --force-conflicts, or change it where it is kept ({managers(before)})",
        ) from None
    except Failure as failure:
        if "field not declared in schema" in failure.message and (unknown := strictness.unknown_fields(manifest)):
            raise Failure(f"{name}: {'; '.join(unknown)}", "kubectl explain scanplan.spec", DATA) from None
        raise
    if dry_run:
        answers().print(f"---\n{yaml.safe_dump(manifest, sort_keys=False)}", markup=False, end="")
        return
    generation = after["metadata"]["generation"]
    known = before["metadata"]["generation"] if before else 0
    done = {0: "created", generation: "unchanged"}.get(known, "changed")
    say(f"scanplan.scanplan.dev/{name} {done} in namespace {cluster.namespace}")


def _namespace(manifests: list[Manifest]) -> str | None:
    """The namespace that all manifests agree on."""
    named: set[str | None] = {manifest["metadata"].get("namespace") for manifest in manifests}
    if len(named) > 1:
        raise Failure("the plans are of different namespaces", "kubectl apply, or a file for each", USAGE)
    return named.pop()


def managers(plan: Manifest | None) -> str:
    """The field managers of the plan, without those that only write the status."""
    managers = {
        entry["manager"]
        for entry in (plan or {}).get("metadata", {}).get("managedFields", ())
        if not entry.get("subresource")
    }
    return ", ".join(sorted(managers)) or "unknown"
