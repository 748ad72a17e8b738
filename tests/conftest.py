"""What all tests share: programs that may be missing, and settings that come from nowhere but the test."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable

import pytest

pytest_plugins = ["postgres_room", "control_room", "api_room", "published_room"]
IN_CI = os.environ.get("CI") == "true"


@pytest.fixture
def requires() -> Callable[[str], str]:
    """Give the path of a program by its name; without it the test is skipped by that name."""

    def find(program: str) -> str:
        path = shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
        if path is None:
            pytest.skip(f"{program} is not installed")
        return path

    return find


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]):
    """Fail in CI a test that was skipped for want of a program: there, nothing may be missing."""
    report = yield
    if IN_CI and report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        if "is not installed" in reason or "needs" in reason:
            report.outcome = "failed"
            report.longrepr = f"{item.nodeid}: {reason}; under CI=true that is a failure"
    return report


@pytest.fixture(autouse=True)
def _no_settings_from_outside(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    for name in [each for each in os.environ if each.startswith("MAILVEIL_")]:
        monkeypatch.delenv(name)
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path_factory.getbasetemp() / "state"))
