"""Which images hold the templates of a schedule's runs, and whether others do than those of the last run.

The operator pulls no image. It knows references: its own default, and those that the schedule's template or the owner's defaults
name. A reference by digest is the content; one by tag counts as changed only when the tag does.
"""

from __future__ import annotations

from scanplan.api.v1alpha1.scanschedule import RescanReason
from scanplan.core.planning import keys, scan_defaults
from scanplan.core.planning.policy import Policy
from scanplan.core.schedule.decision import Observed
from scanplan.core.schedule.schedule import Schedule


def digest(schedule: Schedule, policy: Policy) -> str:
    """Of the images that hold the templates of a run that is made now."""
    spec = schedule.spec.template.spec
    if policy.scan_defaults:
        spec = scan_defaults.under(spec, policy.scan_defaults)
    sources = [source.image.reference for source in spec.templates_from if source.image]
    return keys.digest(keys.canonical_json([spec.scanner.image or policy.scanner_image, *sources]))


def is_asked_for(schedule: Schedule) -> bool:
    """Whether changed templates start a run at all."""
    return RescanReason.TEMPLATES_CHANGED in schedule.spec.rescan_on


def is_wanted(observed: Observed) -> bool:
    """Whether the templates have changed since the last run.

    A schedule that has just begun to ask has no digest to compare with, and one that is suspended starts nothing.
    """
    schedule, known = observed.schedule, observed.schedule.status.templates_digest
    if not is_asked_for(schedule) or schedule.spec.suspend or known in {None, observed.templates}:
        return False
    newest = max(observed.runs, key=lambda run: (run.created, run.name), default=None)
    return newest is None or newest.templates != observed.templates
