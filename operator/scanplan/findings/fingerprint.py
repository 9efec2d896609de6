"""Computes a finding's fingerprint: two lines with the same one are the same finding.

An attempt that was interrupted is run again from the start, so its findings come twice. They are the same when template,
protocol, matcher, extractor, place (host, port, matched-at), extracted results and payload are the same. Time, raw request and
response, address and the curl command differ from run to run: they don't count. What differs in an extracted value stays two
findings: a double is better than a loss.
"""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

from scanplan.api import wire
from scanplan.api.wire import UNREADABLE
from scanplan.findings.identity import Event

DIGEST_BYTES = 16


class _Identity(msgspec.Struct, rename="kebab"):
    """The members of a JSONL event that identify a finding; of any type, since a fingerprint must not fail."""

    template_id: Any = None
    type: Any = None
    matcher_name: Any = None
    extractor_name: Any = None
    host: Any = None
    port: Any = None
    matched_at: Any = None
    extracted_results: Any = None
    meta: Any = None


_decode = wire.decoder(_Identity).decode
_encode = msgspec.json.Encoder(order="sorted").encode


def of(line: bytes) -> bytes:
    """The fingerprint of one finding's line, with or without newline: 16 bytes of BLAKE2b.

    A line that is no JSON object, or nests too deep, is identified by all its bytes.
    """
    try:
        return _of(_decode(line))
    except UNREADABLE:
        return _digest(line.rstrip(b"\n"))


def of_event(event: Event) -> bytes:
    """The fingerprint of a line that was read already: the same as `of` the line."""
    return _of(
        _Identity(
            event.template_id,
            event.type,
            event.matcher_name,
            event.extractor_name,
            event.host,
            event.port,
            event.matched_at,
            event.extracted_results,
            event.meta,
        )
    )


def _of(identity: _Identity) -> bytes:
    if isinstance(identity.extracted_results, list):
        # Nuclei collects them in a map, so their order is chance.
        identity.extracted_results = sorted(identity.extracted_results, key=str)
    return _digest(_encode(identity))


def _digest(identified: bytes) -> bytes:
    return hashlib.blake2b(identified, digest_size=DIGEST_BYTES).digest()
