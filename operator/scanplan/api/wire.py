"""The errors that reading JSON of unknown origin may raise.

One home for it, since a line that can't be read must never end a scan: besides malformed text there are broken encodings
and nesting deeper than the parser goes.
"""

from __future__ import annotations

import msgspec

UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
