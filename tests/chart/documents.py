"""What is written from the code and the values rather than by hand: the chart's CRD and rights,
its README, docs/configuration.md.

`python -m tests.chart.documents` writes them anew; a test compares.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Any, get_origin

from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings

from scanplan.api import labels
from scanplan.api.schema.crd import DEFINITIONS
from scanplan.client.redis.publication import PublicationSettings
from scanplan.controller.settings import OperatorSettings
from scanplan.core.planning.targets.denied import DEFAULT_DENIED, TABLE
from scanplan.web.settings import ApiSettings
from tests.chart import programs
from tests.chart.chart import CHART, ROOT

KINDS = tuple(f"{plural}.{labels.GROUP}.yaml" for plural in DEFINITIONS)
_VARIABLE = re.compile(r"- name: (\w+)\n  value: .*?\.Values\.([\w.]+)")

_CHOICE = re.compile(r"\^\(([\w|]+)\)\$")
"""A pattern that is a list of words; any other says what a name may look like."""

_CONFIGURATION = """\
# Configuration of the operator

Settings are environment variables of the operator's container. Where the table names one, a value of the chart sets it.
The chart's [README](../charts/scanplan-operator/README.md) lists the other values, which are about pods and rights. A
wrong setting ends the operator's start with exit code 78, and a line for each wrong variable. The [migration
guide](migration.md#settings) has the settings of programs, `scanplan worker` and `scanplan api`. `make chart` writes this
page from the code.

{operator}

Commas separate the entries of a list. Shell patterns have `*`, `?` and `[a-z]`; `*` also matches `/`.
In patterns of hosts, brackets stand for themselves.

## What plans may say about their pods

Plans name service accounts, priority classes, tolerations, labels and annotations in `podTemplate`. Each gives power over
others: a pod can preempt others, enter dedicated nodes, or make controllers act on its labels and annotations. So plans
may name only what is on the allow-lists. By default only the service account `default` is. An example, for nodes with the
taint `dedicated=scans:NoSchedule`, and for labels that a bill needs:

```yaml
policy:
  allowedTolerations: ["dedicated=scans:NoSchedule"]
  allowedPodMetadata: ["team", "billing.example.com/*"]
```

A toleration is compared in the form of a taint. With the operator `Exists` it has no value (`dedicated:NoSchedule`).
Without a key it tolerates every taint (`*:NoSchedule`), without an effect every effect (`dedicated=scans:*`). A pattern
must allow as much. A plan that asks for more is `Stalled` with the reason `InvalidSpec`; its message names the field and
the setting. Affinity to pods of other namespaces is always refused. Keys of `scanplan.dev`,
`batch.kubernetes.io` and `*.security.beta.kubernetes.io`, and those that the operator writes, are refused by the
definition, whatever the list says. [Platforms](how-to/platforms.md) has those of autoscalers and meshes.

## Defaults for all plans

`scanDefaults` has the form of a plan's `spec`, and is laid under every plan's own values:

```yaml
scanDefaults:
  scanner: {{rateLimit: 50, maxRequestsPerSecondPerHost: 20}}
  templatesFrom:
    - image: {{reference: "registry.example.com/templates@sha256:{digest}"}}
  podTemplate:
    nodeSelector: {{pool: scans}}
    tolerations: [{{key: dedicated, value: scans, effect: NoSchedule}}]
    imagePullSecrets: [{{name: mirror}}]
    runtimeClassName: gvisor
    dnsConfig: {{options: [{{name: ndots, value: "1"}}]}}
  locked: [scanner.rateLimit, podTemplate.nodeSelector]
```

- A plan's own value wins. Maps such as `nodeSelector` are merged key by key; lists are replaced.
- A value that is the schema's default, such as `rateLimit: 150`, counts as none: the API server writes it into every
  plan.
- `locked` lists paths that no plan may set otherwise. `podTemplate` stands for all that is below it, and a list is
  locked as a whole: `templatesFrom`, not `templatesFrom.allowUnsigned`. A plan that sets one otherwise is `Stalled` with
  the reason `InvalidSpec`.
- The owner's own values need no allow-list. `podTemplate.runtimeClassName` and `podTemplate.dnsConfig` exist only here.
- A plan's own `dnsConfig` takes the place of the owner's nameservers and, where it has some, search domains. The owner's
  options stay. `locked: [dnsConfig]` refuses it.
- What changes what is found (`templatesFrom`, `severityLevels`, `selection`, and of `scanner` headers, proxy and
  redirects) is part of the task key. What has started keeps its key: an edit of the defaults starts no scan.
- `endpoints`, `templates`, `scanner.image` and what else is of one plan is no default. A wrong value ends the
  operator's start (exit code 78). `scanplan doctor` and `scanplan explain` show what is set.

A change restarts the operator. Scans go on meanwhile. A started scan keeps its image and the digests of its inputs.

## Redis

With a Redis, the operator publishes keys and results there, and can share tasks with operators of other clusters
([several clusters](operations.md#several-clusters-one-scan)).

{redis}

## The API and the page

`scanplan api` is a process of its own ([what it answers, and to whom](migration.md#the-monitoring-api)). In the chart,
`api.enabled` makes it a Deployment, where address, port and authentication are fixed. Reader pods have the same
allow-lists of service accounts, priority classes and tolerations as scan pods.

{api}

## Targets that are denied by default

`SCANPLAN_DENIED_TARGETS` replaces this list. The addresses of the API server always stay denied. A name also covers its
subdomains. Endpoints are refused in every notation. Names that have a denied address among theirs are left out when the
scan begins. `core/planning/targets/denied.py` has the list with its sources.

{denied}
"""

_HEAD = """\
| variable | chart value | type | default | what it is |
|---|---|---|---|---|"""

_LOG_FORMAT = (
    "| `SCANPLAN_LOG_FORMAT` | `log.format` | `text` or `json` | `text`; in the chart `json` | Format of the log. |"
)


def crd(kind: str) -> str:
    """The chart's own copy: Helm packages nothing from outside of a chart."""
    return (ROOT / "crds" / kind).read_text()


def rules(manifest: str) -> str:
    """What the role in one of the plain manifests, a path below examples/, allows."""
    text = (ROOT / "examples" / manifest).read_text()
    (role,) = (part for part in text.split("\n---\n") if "\nrules:\n" in part)
    return textwrap.dedent(role.partition("\nrules:\n")[2].rstrip("\n") + "\n")


def readme() -> str:
    """The chart's README, from its template and values.yaml."""
    return programs.run(
        "helm-docs", "--dry-run", "--sort-values-order=file", "--log-level=error", f"--chart-search-root={CHART}"
    )


def configuration() -> str:
    """The page about the operator's settings."""
    denied = "\n".join(f"- `{row.entry}`: {row.what}" for row in TABLE)
    return _CONFIGURATION.format(
        operator="\n".join((_table(OperatorSettings), _LOG_FORMAT)),
        redis=_table(PublicationSettings),
        api=_table(ApiSettings, inherited=False),
        denied=denied,
        digest="0" * 64,
    )


def chart_values() -> dict[str, str]:
    """Which value of the chart each environment variable comes from."""
    return dict(_VARIABLE.findall((CHART / "templates" / "_environment.tpl").read_text()))


def _table(settings: type[BaseSettings], inherited: bool = True) -> str:
    """A row for each setting: its own, then those that it inherits."""
    values = chart_values()
    own = {name: field for name, field in settings.model_fields.items() if name in settings.__annotations__}
    every = {**own, **settings.model_fields} if inherited else own
    fields = (field for field in every.values() if field.alias != "KUBERNETES_SERVICE_HOST")
    return "\n".join((_HEAD, *(_row(field, values) for field in fields)))


def _row(field: FieldInfo, values: dict[str, str]) -> str:
    name = str(field.alias)
    value = f"`{values[name]}`" if name in values else ""
    return f"| `{name}` | {value} | {_type(field)} | {_default(field)} | {field.description} |"


def _type(field: FieldInfo) -> str:
    if field.annotation is bool:
        return "`true` or `false`"
    if field.annotation is int:
        bounds = {type(bound).__name__: bound for bound in field.metadata}
        return f"{bounds['Ge'].ge:,} to {bounds['Le'].le:,}"
    if isinstance(field.annotation, type) and issubclass(field.annotation, StrEnum):
        return ", ".join(f"`{word}`" for word in field.annotation)
    patterns = [bound.pattern for bound in field.metadata if getattr(bound, "pattern", None)]
    if patterns and (choice := _CHOICE.fullmatch(patterns[0])):
        return ", ".join(f"`{word}`" for word in choice[1].split("|"))
    return "list" if get_origin(field.annotation) is tuple else "string"


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "needed"
    default: Any = field.default
    if default == DEFAULT_DENIED:
        return "see below"
    if isinstance(default, tuple):
        return f"`{','.join(default)}`" if default else "none"
    if isinstance(default, bool):
        return f"`{default}`".lower()
    return f"`{default}`" if default not in ("", None) else "none"


DOCUMENTS: dict[Path, Callable[[], str]] = {
    **{CHART / "files" / kind: partial(crd, kind) for kind in KINDS},
    CHART / "files" / "rules.yaml": lambda: rules("install/rbac.yaml"),
    CHART / "files" / "kueue-rules.yaml": lambda: rules("install/kueue.yaml"),
    CHART / "files" / "lease-rules.yaml": lambda: rules("install/leader-election.yaml"),
    CHART / "files" / "api-rules.yaml": lambda: rules("python/api-rbac.yaml"),
    CHART / "files" / "api-server-rules.yaml": lambda: rules("install/api-server-addresses.yaml"),
    CHART / "files" / "namespace-selector-rules.yaml": lambda: rules("install/namespace-selector.yaml"),
    CHART / "files" / "api-readers-rules.yaml": lambda: rules("python/api-readers-rbac.yaml"),
    CHART / "README.md": readme,
    ROOT / "docs" / "configuration.md": configuration,
}
"""The generated files, and what writes them."""


def write() -> None:
    """Write all that differ."""
    for path, text_of in DOCUMENTS.items():
        text = text_of()
        if not path.exists() or path.read_text() != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            print(f"wrote {path.relative_to(ROOT)}")


if __name__ == "__main__":
    write()
