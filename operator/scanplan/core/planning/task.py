"""From a plan to its task: defaults, bounds and the key, resolved once.

A plan's key is pinned to its *inputs*, the key fields of the spec as they are written. As long as those don't change, neither
an upgrade of the operator nor an edit of a default gives the plan another key. `Resolution` carries what was resolved then.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from typing import Any

from scanplan.api import labels
from scanplan.api.documents.task import RetryLimits, TaskDocument, TemplateFolder
from scanplan.api.documents.words import DiscoveryReport, PlanReference
from scanplan.api.errors import InputUnavailable, InvalidEndpoint, InvalidPlan
from scanplan.api.v1alpha1.conditions import Reason
from scanplan.api.v1alpha1.model import Effect, Model
from scanplan.api.v1alpha1.plan.sources import ImageSource
from scanplan.api.v1alpha1.scan_defaults import ScanDefaults
from scanplan.api.v1alpha1.scanplan import MAX_ENDPOINTS, ScanPlanSpec
from scanplan.api.v1alpha1.scanplan_status import ScanPlanStatus
from scanplan.core.planning import keys, permissions, scan_defaults, shards, sources
from scanplan.core.planning.nuclei import fuzz_inputs, scanner_options, scanner_secrets, selection_options
from scanplan.core.planning.policy import Policy
from scanplan.core.planning.proxies import choice
from scanplan.core.planning.targets import endpoints, ranges, resolution

EXAMPLES = 10
"""Of what was left out of a discovery, on the status and in the metadata."""
EXAMPLE_LENGTH = 300
REQUESTS_DIRECTORY = "/etc/scanplan/requests"
"""Where the file of `scanner.requestsFrom` is mounted in the scan pod."""
TEMPLATES_DIRECTORY = "/etc/scanplan/templates"
"""Where template sources are mounted in the scan pod, each in a folder named by its position."""


@dataclass(frozen=True, slots=True)
class ScheduleReference:
    """The ScanSchedule that a plan is a run of."""

    name: str
    uid: str
    templates: str = ""
    """Digest of the images that held the run's templates when it was made; empty: it was not asked for."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A ScanPlan object as the core reads it; without slots, since its digests are asked for at every step and made once."""

    namespace: str
    name: str
    uid: str
    generation: int
    created: datetime
    spec: ScanPlanSpec
    status: ScanPlanStatus
    resource_version: str = ""
    deleting: bool = False
    problem: str = ""
    """Why the spec can't be read (it was stored under another version's rules); `spec` is then no more than a stand-in."""
    unreadable: str = ""
    """Which fields the status has of a newer version of the operator; `status` is without them. Nothing may be written then."""
    schedule: ScheduleReference | None = None
    """By its controlling owner reference."""
    is_retest: bool = False
    """It scans one finding of another run again, and counts in no project."""
    written: ScanPlanSpec | None = None
    """The spec as its author wrote it, where `spec` also has the owner's defaults."""

    @property
    def own(self) -> ScanPlanSpec:
        """The spec as its author wrote it: this is what bounds hold, and what the key is pinned to."""
        return self.written or self.spec

    @property
    def project_id(self) -> str:
        """The project that its findings belong to."""
        return self.spec.project_id or self.namespace

    @property
    def run_id(self) -> str:
        """The run that its task is a part of."""
        return self.spec.run_id or self.name

    def with_defaults(self, defaults: ScanDefaults | None) -> Plan:
        """The plan with the owner's values laid under its own."""
        if defaults is None:
            return self
        return replace(self, spec=scan_defaults.under(self.own, defaults), written=self.own)

    @property
    def has_defaults_of_the_key(self) -> bool:
        """Whether the owner's defaults change what is found."""
        return self.written is not None and input_digest(self.spec) != self.input_digest

    @cached_property
    def input_digest(self) -> str:
        """What its key is pinned to."""
        return input_digest(self.own)

    @cached_property
    def next_run_digest(self) -> str:
        """Of the fields that a running Job doesn't take over."""
        return digest_of(self.own, Effect.NEXT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolution:
    """What a plan's inputs were resolved to when they were first seen. The status and the Job keep it."""

    key: str
    image: str
    claim: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A plan resolved: all that the Job's builder needs."""

    key: str
    job_name: str
    image: str
    claim: str
    first_seen: datetime
    templates_from: tuple[ImageSource | str, ...]
    """Template sources in order: an image, or the name of a ConfigMap."""
    requests_from: str
    """The ConfigMap with requests to fuzz; empty: none."""
    secrets: Mapping[str, str]
    """The Secrets that its pods read, by their uses."""
    endpoints_file: sources.EndpointsSource | None
    """The file with its endpoints."""
    one_node_only: bool
    """All pods have to be on one node, because of the claim's access mode."""
    document: TaskDocument = field(repr=False)
    """It names all endpoints, so it is in no log."""


def fields_with(effect: Effect, model: type[Model] = ScanPlanSpec) -> dict[str, Any]:
    """The spec fields of one effect by their names; nested models that have such fields map to a dict of the same form."""
    result: dict[str, Any] = {}
    for name, described in model.model_fields.items():
        extra = described.json_schema_extra
        if isinstance(extra, dict) and extra.get("effect") == effect.value:
            result[name] = None
        elif isinstance(described.annotation, type) and issubclass(described.annotation, Model):
            nested = fields_with(effect, described.annotation)
            if nested:
                result[name] = nested
    return result


_FIELDS = {effect: fields_with(effect) for effect in Effect}


def digest_of(spec: ScanPlanSpec, effect: Effect) -> str:
    """Digest of the spec's fields of one effect, as they are written: lists of the key in no particular order.

    A field that has the schema's default is not in it. So a release with more fields changes no digest.
    """
    return keys.digest(keys.canonical_json(_select(spec, _FIELDS[effect])))


def input_digest(spec: ScanPlanSpec) -> str:
    """What a plan's key is pinned to: the digest of its key fields."""
    return digest_of(spec, Effect.KEY)


def _select(model: Model, fields: dict[str, Any]) -> dict[str, Any]:
    selected: dict[str, Any] = {}
    for name, nested in fields.items():
        value = getattr(model, name)
        if value == scan_defaults.schema_default(type(model), name):
            continue
        if nested is not None:
            if inner := _select(value, nested):
                selected[name] = inner
        elif isinstance(value, Model):
            selected[name] = _dumped(value)
        elif isinstance(value, list):
            items = [_dumped(item) if isinstance(item, Model) else item for item in value]
            selected[name] = items if any(isinstance(item, dict) for item in items) else sorted(set(items))
        else:
            selected[name] = value
    return selected


def _dumped(value: Model) -> dict[str, Any]:
    dumped: dict[str, Any] = value.model_dump(mode="json", exclude_defaults=True)
    return dumped


def claim_of(spec: ScanPlanSpec, policy: Policy, earlier: Resolution | None = None) -> str:
    """The claim that the plan's artifacts go to."""
    return earlier.claim if earlier else spec.artifacts.claim_name or policy.claim_name


def _options_of_key(
    spec: ScanPlanSpec,
    image: str,
    claim: str,
    no_proxy: tuple[str, ...],
    requests_digest: str,
    folders: Sequence[TemplateFolder],
) -> dict[str, Any]:
    """All that changes what is found, besides targets and templates, by its name in the key's digest."""
    secrets = spec.scanner.secret_names
    options: dict[str, Any] = {
        "severityLevels": sorted(spec.severity_levels),
        "image": image,
        "claim": claim,
        "headers": secrets.get(labels.USE_HEADERS, ""),
        "rerun": spec.rerun,
    }
    options.update(resolution.options(spec))
    options.update(scanner_options.of_key(spec.scanner))
    if spec.scanner.proxy:
        options["proxy"] = spec.scanner.proxy
        if no_proxy:
            options["noProxy"] = no_proxy
    options.update(selection_options.of_key(spec.selection))
    options.update({use: name for use, name in secrets.items() if use != labels.USE_HEADERS})
    if spec.scanner.headers:
        options["plainHeaders"] = sorted((header.name, header.value) for header in spec.scanner.headers)
    if spec.scanner.requests_from:
        options["requests"] = [spec.scanner.requests_from.mode.value, requests_digest]
    if unsigned := [position for position, folder in enumerate(folders) if folder.unsigned]:
        options["unsigned"] = unsigned
    return options


def resolve(
    plan: Plan,
    policy: Policy,
    now: datetime,
    inputs: sources.Inputs,
    earlier: Resolution | None = None,
) -> Task:
    """The plan's task.

    Args:
        inputs: all that `scanplan.core.planning.sources.needed` asks for.
        earlier: what was resolved before, where only the Job has to be made again.
        now: when these inputs were first seen, in whole seconds; shards published more than a window earlier are scanned again.

    Raises:
        InvalidPlan: the plan can't run as written, or asks for more than the owner allows.
    """
    spec = plan.spec
    image = earlier.image if earlier else spec.scanner.image or policy.scanner_image
    claim = claim_of(spec, policy, earlier)
    sources.check(inputs)
    file = sources.endpoints_file(spec)
    written, discovery = ({}, None) if file else _endpoints(spec, inputs, policy)
    targets = tuple(sorted(written))
    permissions.check_bounds(plan.own, image, claim, policy, seen_before=earlier is not None)
    written_by_plan = (target for target in targets if not (written[target].discovered or written[target].network))
    policy.guard.check(written_by_plan, lambda target: written[target].where)
    policy.guard.check_ranges({each.network: each.where for each in written.values() if each.network}.items())
    scanner_secrets.check(spec.scanner, inputs, policy.guard)
    proxy, no_proxy = choice.of(spec, policy)
    choice.check(spec, plan.own, policy)
    resolution.check(spec, policy)
    permissions.check_powers(spec, policy)
    scanner_options.check(spec.scanner, spec.selection)
    requests, requests_digest = spec.scanner.requests_from, ""
    if requests:
        if file:
            raise InvalidPlan(
                Reason.INVALID_SPEC, "scanner.requestsFrom needs endpoints that the operator can read: take a ConfigMap"
            )
        content = sources.fuzz_input(spec, inputs)
        fuzz_inputs.check(requests.mode, content, targets, lambda target: written[target].where)
        requests_digest = hashlib.sha256(content).hexdigest()
    templates = tuple(sorted(set(spec.templates)))
    project_id, run_id = plan.project_id, plan.run_id
    digests = sources.template_digests(spec, inputs)
    unsigned = scanner_options.unsigned_sources(spec)
    folders = tuple(
        TemplateFolder(
            path=f"{TEMPLATES_DIRECTORY}/{position}",
            digest=digest if source.config_map else "",
            unsigned=position in unsigned,
        )
        for position, (source, digest) in enumerate(zip(spec.templates_from, digests, strict=True))
    )
    options = _options_of_key(spec, image, claim, no_proxy, requests_digest, folders)
    if earlier and not (names_objects(spec) or plan.has_defaults_of_the_key):
        key = earlier.key  # the inputs are in the spec and have not changed: how keys are made may have
    else:
        # no endpoint has this form
        named = (f"sha256:{file.sha256}",) if file else targets
        key = keys.task_key(project_id, run_id, named, templates, digests, options)
    most = spec.sharding.max_endpoints_per_shard
    count = shards.count_for(file.endpoints, most) if file else shards.shard_count(targets, most)
    document = TaskDocument(
        key=key,
        project_id=project_id,
        run_id=run_id,
        plan=PlanReference(namespace=plan.namespace, name=plan.name),
        endpoints=targets,
        endpoints_file=sources.file_in_pods(file, policy, scanner_secrets.folder(labels.USE_ENDPOINTS_FILE))
        if file
        else None,
        confidential=sources.are_confidential(spec),
        discovery=discovery,
        shards=count,
        templates=templates,
        template_folders=folders,
        severity_levels=tuple(sorted(spec.severity_levels)),
        workflows=tuple(sorted(set(spec.selection.workflows))),
        profile=spec.selection.profile or "",
        automatic=spec.selection.automatic,
        include=selection_options.chosen(spec.selection.include),
        exclude=selection_options.chosen(spec.selection.exclude),
        headers_folder=scanner_secrets.folder_of(spec.scanner, labels.USE_HEADERS),
        variables_folder=scanner_secrets.folder_of(spec.scanner, labels.USE_VARIABLES),
        client_certificate_folder=scanner_secrets.folder_of(spec.scanner, labels.USE_CLIENT_CERTIFICATE),
        credentials_folder=scanner_secrets.folder_of(spec.scanner, labels.USE_CREDENTIALS),
        interactsh_folder=scanner_secrets.folder_of(spec.scanner, labels.USE_INTERACTSH),
        requests_mode=requests.mode if requests else None,
        requests_file=f"{REQUESTS_DIRECTORY}/{requests.config_map_key_ref.key}" if requests else "",
        requests_digest=requests_digest,
        scanner=scanner_options.options(spec, count, proxy, no_proxy),
        retry=RetryLimits(temporary=spec.retry.temporary, unknown=spec.retry.unknown),
        timeout_seconds=spec.timeout_seconds,
        denied_targets=policy.guard.entries,
        unguarded_protocols=policy.unguarded_protocols,
        replay_not_before=policy.replay_not_before(now),
    )
    return Task(
        key=key,
        job_name=keys.job_name(key),
        image=image,
        claim=claim,
        first_seen=now,
        requests_from=requests.config_map_key_ref.name if requests else "",
        secrets=sources.secret_names(spec),
        templates_from=tuple(
            source.image or (source.config_map.name if source.config_map else "") for source in spec.templates_from
        ),
        endpoints_file=file,
        one_node_only=sources.one_node_only(claim, inputs),
        document=document,
    )


def _endpoints(
    spec: ScanPlanSpec, inputs: sources.Inputs, policy: Policy
) -> tuple[dict[str, sources.Written], DiscoveryReport | None]:
    """All endpoints by their canonical form, and what was discovered; None where nothing is looked for.

    What a plan writes has to be right. What an object names is left out where it is not, and the others are scanned: one wrong
    object must not stop all.
    """
    written: dict[str, sources.Written] = {}
    left_out = [str(each) for found in inputs.values() for each in found.left_out]
    count = sum(found.left_out_count for found in inputs.values())
    budget = ranges.Budget(policy.max_range_addresses)
    for each in sources.endpoints(spec, inputs):
        network = None if each.discovered else endpoints.range_of(each.text, budget, each.where)
        if network:
            ranged = each._replace(network=network)
            for target in ranges.addresses(network):
                written.setdefault(target, ranged)
            continue
        try:
            target = (
                policy.guard.canonical(each.text, each.where)
                if each.discovered
                else endpoints.canonical(each.text, each.where)
            )
        except InvalidPlan as error:
            if not each.discovered:
                raise
            count += 1
            left_out.append(error.message)
        else:
            written.setdefault(target, each)
    if len(written) > MAX_ENDPOINTS:
        raise InvalidEndpoint(f"there are more than {MAX_ENDPOINTS:,} endpoints; make several plans of them")
    if not written:
        raise InputUnavailable(f"nothing that was discovered can be scanned: {left_out[0]}")
    if not sources.discovers(inputs):
        return written, None
    examples = tuple(line[:EXAMPLE_LENGTH] for line in left_out[:EXAMPLES])
    found = sum(each.discovered for each in written.values())
    return written, DiscoveryReport(found=found, left_out=count, examples=examples)


def names_objects(spec: ScanPlanSpec) -> bool:
    """Whether the task depends on the content of other objects."""
    return bool(spec.endpoints_from or spec.templates_from or spec.scanner.requests_from)
