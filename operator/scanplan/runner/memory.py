"""How near the pod is to its memory limit, from its own cgroup.

An OOM kill of Nuclei looks like any SIGKILL. The kernel counts its kills in the cgroup (`memory.events`, version 2;
https://docs.kernel.org/admin-guide/cgroup-v2.html), so comparing before and after tells them apart, and a scan that came
near the limit can say so before it is killed next time.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

CGROUP = Path("/sys/fs/cgroup")
NEAR = 0.9
"""Share of the limit from which on we warn."""


class Memory(msgspec.Struct, frozen=True):
    """Reads a cgroup's memory files; without them (version 1, no container) nothing is known and nothing is claimed."""

    cgroup: Path = CGROUP

    def kills(self) -> int:
        """Processes that the kernel has killed for memory in this cgroup, ever."""
        for line in self._read("memory.events").splitlines():
            name, _, value = line.partition(" ")
            if name == "oom_kill" and value.isdigit():
                return int(value)
        return 0

    def share(self) -> float:
        """Memory in use that can't be given back, as a share of the limit; 0.0 where there is no limit."""
        limit, used = self._read("memory.max").strip(), self._read("memory.current").strip()
        if not limit.isdigit() or not used.isdigit() or int(limit) == 0:
            return 0.0
        cache = 0
        for line in self._read("memory.stat").splitlines():
            name, _, value = line.partition(" ")
            if name == "inactive_file" and value.isdigit():
                cache = int(value)
        return max(0, int(used) - cache) / int(limit)

    def _read(self, name: str) -> str:
        try:
            return (self.cgroup / name).read_text()
        except OSError:
            return ""
