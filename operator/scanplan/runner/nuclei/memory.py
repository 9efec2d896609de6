"""Tells from the pod's own cgroup how near it is to its memory limit.

An OOM kill of Nuclei looks like any SIGKILL. The kernel counts its kills in the cgroup, so comparing before and after tells
them apart. A scan that came near the limit can say so before it is killed next time. Files of version 2
(https://docs.kernel.org/admin-guide/cgroup-v2.html) and of version 1, which old nodes have, differ in name only.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

NEAR = 0.9
"""Share of the limit from which on we warn."""
_ROOT = Path("/sys/fs/cgroup")


class Memory(msgspec.Struct, frozen=True, kw_only=True):
    """A cgroup's memory files. Where one is missing nothing is known, and nothing is claimed."""

    folder: Path
    events: str = "memory.events"
    limit: str = "memory.max"
    used: str = "memory.current"
    cache: str = "inactive_file"
    """The counter in ``memory.stat`` of what the kernel can take back at any time."""

    @classmethod
    def of_this_process(cls, membership: Path = Path("/proc/self/cgroup"), root: Path = _ROOT) -> Memory:
        """The cgroup that this process is in; the root where the path is not visible, as in containers of version 1."""
        try:
            lines = [line.split(":", 2) for line in membership.read_text().splitlines()]
        except OSError:
            lines = []
        for _, controllers, path in lines:
            if "memory" in controllers.split(","):
                folder = root / "memory" / path.lstrip("/")
                return cls(
                    folder=folder if folder.is_dir() else root / "memory",
                    events="memory.oom_control",
                    limit="memory.limit_in_bytes",
                    used="memory.usage_in_bytes",
                    cache="total_inactive_file",
                )
        path = next((path for number, _, path in lines if number == "0"), "")
        folder = root / path.lstrip("/")
        return cls(folder=folder if folder.is_dir() else root)

    def kills(self) -> int:
        """Processes that the kernel has killed for memory in this cgroup, ever."""
        return self._counter(self.events, "oom_kill")

    def share(self) -> float:
        """Memory in use that can't be given back, as a share of the limit; 0.0 where there is no limit."""
        limit, used = self._read(self.limit).strip(), self._read(self.used).strip()
        if not limit.isdigit() or not used.isdigit() or int(limit) == 0:
            return 0.0
        return max(0, int(used) - self._counter("memory.stat", self.cache)) / int(limit)

    def _counter(self, file: str, name: str) -> int:
        for line in self._read(file).splitlines():
            key, _, value = line.partition(" ")
            if key == name and value.isdigit():
                return int(value)
        return 0

    def _read(self, name: str) -> str:
        try:
            return (self.folder / name).read_text()
        except OSError:
            return ""
