"""Scan windows: when a scan may run."""

from __future__ import annotations

from typing import Annotated

from pydantic import ConfigDict, Field

from scanplan.api.names import TIME_ZONE
from scanplan.api.v1alpha1.model import Model, cel

WEEK = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_DAY = f"({'|'.join(WEEK)})"
DAYS = rf"^{_DAY}(-{_DAY})?$"
_TIME = r"([01][0-9]|2[0-3]):[0-5][0-9]"
MAX_WINDOWS = 16


class ScanWindow(Model):
    """A span of the day, on the wall clock of a time zone. Outside of all windows the scan is suspended."""

    model_config = ConfigDict(
        json_schema_extra={
            "x-kubernetes-validations": [
                cel(
                    "self.from != self.to", "a window from a time to the same time never opens: 00:00 to 24:00 is a day"
                )
            ]
        }
    )

    days: Annotated[
        list[Annotated[str, Field(max_length=7, pattern=DAYS)]],
        Field(
            min_length=1,
            max_length=7,
            json_schema_extra={"x-kubernetes-list-type": "set"},
            description="Days on which it opens, such as Sat or Mon-Fri.",
        ),
    ] = ["Mon-Sun"]
    begin: Annotated[
        str, Field(alias="from", max_length=5, pattern=rf"^{_TIME}$", description="When it opens, such as 22:00.")
    ]
    to: Annotated[
        str,
        Field(
            max_length=5,
            pattern=rf"^({_TIME}|24:00)$",
            description="When it closes: on the next day where that is not later than from.",
        ),
    ]
    time_zone: Annotated[
        str, Field(max_length=64, pattern=TIME_ZONE, description="Name of the IANA time zone of days, from and to.")
    ] = "Etc/UTC"
