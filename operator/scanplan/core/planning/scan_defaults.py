"""What the owner sets for all plans: values in the form of a plan's spec, which each plan's own values are laid over.

| kind of field | the plan's own value |
|---|---|
| number, text, list | wins, where it is not the schema's default |
| map, such as nodeSelector | wins key by key |
| resources | wins by resource; `scanplan.core.manifests.resources` keeps requests below limits |
| any that is locked | is refused, where it differs from the owner's |

The API server writes the schema's defaults into each plan. So a plan's value that is the schema's default counts as none.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeVar

from scanplan.api.v1alpha1.model import Model
from scanplan.api.v1alpha1.scan_defaults import ScanDefaults, spelled
from scanplan.api.v1alpha1.scanplan import ScanPlanSpec

M = TypeVar("M", bound=Model)


def under(own: M, defaults: Model) -> M:
    """A plan's own values, laid over the owner's. Resources are left: they have defaults of their own."""
    changes: dict[str, Any] = {}
    for name in defaults.model_fields_set & type(own).model_fields.keys():
        value, default = getattr(own, name), getattr(defaults, name)
        if name == "resources":
            continue
        if isinstance(value, Model) and isinstance(default, Model):
            changes[name] = under(value, default)
        elif isinstance(value, dict) and isinstance(default, dict) and name != "affinity":
            changes[name] = {**default, **value}
        elif value == schema_default(type(own), name):
            changes[name] = default
    return own.model_copy(update=changes) if changes else own


def refusals(own: ScanPlanSpec, defaults: ScanDefaults) -> Iterator[str]:
    """What a plan sets although it is locked: a message for each."""
    owners = {path: value for path, value, _ in _leaves(defaults)}
    for locked in defaults.locked:
        for path, value, schema_default in _leaves(own, ""):
            if path != locked and not path.startswith(f"{locked}."):
                continue
            allowed = owners.get(path, schema_default)
            if value in (schema_default, allowed) or _within(value, allowed):
                continue
            yield f"{path} is locked by the operator's owner (scanDefaults.locked): leave it out"
    signed = defaults.scanner.verify_signatures and _is_locked("scanner.verifySignatures", defaults)
    if signed and any(source.allow_unsigned for source in own.templates_from):
        yield "templatesFrom.allowUnsigned: scanner.verifySignatures is locked by the operator's owner: leave it out"


def _is_locked(path: str, defaults: ScanDefaults) -> bool:
    return any(path == locked or path.startswith(f"{locked}.") for locked in defaults.locked)


def _within(value: Any, allowed: Any) -> bool:
    return isinstance(value, dict) and isinstance(allowed, dict) and value.items() <= allowed.items()


def _leaves(model: Model, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Path, value and schema default of all fields that are set and are no models themselves."""
    for name in model.model_fields_set & type(model).model_fields.keys():
        value, where = getattr(model, name), f"{path}{spelled(type(model), name)}"
        if isinstance(value, Model):
            yield from _leaves(value, f"{where}.")
        else:
            yield where, value, schema_default(type(model), name)


def schema_default(model: type[Model], name: str) -> Any:
    """The value of a field that nobody has set; no value equals that of a field that must be set."""
    return model.model_fields[name].get_default(call_default_factory=True)


def set_fields(defaults: ScanDefaults) -> list[str]:
    """The paths of all fields that have a value for all plans."""
    return sorted(path for path, _, _ in _leaves(defaults) if path != "locked")
