"""What running programs use: the time of processors and the memory of a process and all its descendants."""

from __future__ import annotations

import os
from collections import defaultdict
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")


def family(process: int) -> list[int]:
    """Return a process and its descendants."""
    children: dict[int, list[int]] = defaultdict(list)
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        children[int(fields[1])].append(int(path.parent.name))
    found, stack = [], [process]
    while stack:
        found.append(stack.pop())
        stack += children[found[-1]]
    return found


def processor_seconds(process: int) -> float:
    """Return the time that a process and its descendants have computed, the dead ones of them included."""
    total = 0
    for each in family(process):
        fields = Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()
        total += sum(map(int, fields[11:15] if each == process else fields[11:13]))
    return total / TICKS


def memory_bytes(process: int) -> int:
    """Return the memory of a process and its descendants; pages that they share count once (PSS)."""
    total = 0
    for each in family(process):
        for line in Path(f"/proc/{each}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                total += int(line.split()[1]) * 1024
    return total
