"""The systemd units, read by systemd itself."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

UNITS = Path(__file__).parents[2] / "deploy" / "systemd"
pytestmark = pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd-analyze")


@pytest.mark.parametrize("name", sorted(each.name for each in UNITS.glob("*.*")))
def test_systemd_understands_every_line(name: str, tmp_path: Path) -> None:
    """With a program in the place of ours, which is not installed here."""
    for unit in UNITS.iterdir():
        text = unit.read_text().replace("/opt/mailveil/.venv/bin/mailveil", "/bin/true")
        (tmp_path / unit.name.replace("@.", "@gateway.")).write_text(text.replace("%i", "gateway"))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(tmp_path / name.replace("@.", "@gateway."))],
        capture_output=True,
        text=True,
        check=False,
    )
    complaints = [line for line in done.stderr.splitlines() if "mailveil" in line]
    assert complaints == []


@pytest.mark.parametrize("name", sorted(each.name for each in UNITS.glob("*.service")))
def test_a_service_is_exposed_little(name: str) -> None:
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", str(UNITS / name)],
        capture_output=True,
        text=True,
        check=False,
    )
    found = re.search(r"Overall exposure level for \S+: ([\d.]+)", done.stdout)
    assert found, done.stderr
    assert float(found[1]) <= 4.0


@pytest.mark.parametrize("name", ["mailveil.service", "mailveil@.service"])
def test_files_for_collectors_can_be_written_where_the_guide_says(name: str) -> None:
    text = (UNITS / name).read_text()
    guide = (UNITS.parents[1] / "docs" / "sharing-siem.md").read_text("utf-8")
    assert 'files_directory = "/var/log/mailveil"' in guide
    assert "LogsDirectory=mailveil\nLogsDirectoryMode=0750\n" in text, (
        "ProtectSystem=strict leaves it writable"
    )
