"""The YAML blocks of a page by section: parts of the chart's values, and parts of a plan's spec."""

from __future__ import annotations

import copy
import re
from dataclasses import dataclass, field
from typing import Any

import yaml

from scanplan.controller.settings import OperatorSettings
from tests.chart.chart import ROOT, environment, render

_SECTION = re.compile(r"^## (.+)$", re.MULTILINE)
_BLOCK = re.compile(r"^```yaml\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Setting:
    """One block of values with the plan's part that follows it."""

    title: str
    values: dict[str, Any]
    spec: dict[str, Any] = field(default_factory=dict)

    def settings(self) -> dict[str, str]:
        """The operator's environment variables that the values give, but for where it works."""
        given = environment(render(self.values))
        OperatorSettings(**given)  # type: ignore[arg-type]
        left_out = ("SCANPLAN_LEA", "SCANPLAN_NAMESPACES", "SCANPLAN_METRICS_PORT", "SCANPLAN_LOG_FORMAT")
        return {name: value for name, value in given.items() if not name.startswith(left_out)}


def settings(page: str) -> list[Setting]:
    """All settings of a page, in their order."""
    found: list[Setting] = []
    parts = _SECTION.split((ROOT / page).read_text())
    for title, text in zip(parts[1::2], parts[2::2], strict=True):
        for block in _BLOCK.findall(text):
            content = yaml.safe_load(block)
            if "podTemplate" in content:
                found[-1] = Setting(title, found[-1].values, content)
            else:
                found.append(Setting(title, content))
    return found


def defaults_of(setting: Setting) -> dict[str, Any]:
    """The fields of pods that the values set for all plans."""
    pods: dict[str, Any] = copy.deepcopy(setting.values.get("scanDefaults", {}).get("podTemplate", {}))
    for name, value in setting.spec.get("podTemplate", {}).items():
        pods[name] = {**pods.get(name, {}), **value} if isinstance(value, dict) else value
    return pods
