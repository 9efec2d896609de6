"""Values of an export's Secret, as the pod has them. No message quotes one."""

from __future__ import annotations

from pathlib import Path

from scanplan.api.v1alpha1.conditions import Reason
from scanplan.runner.exporting.trouble import Trouble

MAX_VALUE = 8_192


def value(folder: str, name: str, *, needed: bool = True) -> str:
    """One value; empty where it is not there and not needed.

    Raises:
        Trouble: (SecretUnavailable) it is not there; (ReceiverInvalid) it can be no header.
    """
    try:
        content = (Path(folder) / name).read_bytes()
    except FileNotFoundError:
        if not needed:
            return ""
        message = f"its Secret, or the key that is read as {name}, is not there"
        raise Trouble(Reason.SECRET_UNAVAILABLE, message) from None
    text = content.decode("latin-1").strip()
    if not text or len(text) > MAX_VALUE or not text.isascii() or not text.isprintable():
        message = f"the value that is read as {name} is empty, longer than {MAX_VALUE:,} characters, or not of printable ASCII"
        raise Trouble(Reason.RECEIVER_INVALID, message)
    return text
