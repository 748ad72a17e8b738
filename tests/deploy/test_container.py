"""The container files: every setting that they name is one, and what they say of paths and users fits together."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from mailveil.config import load

CONTAINER = Path(__file__).parents[2] / "deploy" / "container"


def compose() -> dict[str, Any]:
    value: dict[str, Any] = yaml.safe_load((CONTAINER / "compose.yaml").read_text())
    return value


def with_defaults(value: str) -> str:
    """Return a value as Compose sees it without an environment: ``${NAME:-default}``."""
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", value)


def environment_of_the_image() -> dict[str, str]:
    text = (CONTAINER / "Containerfile").read_text()
    return dict(re.findall(r"(MAILVEIL_\w+)=(\S+)", text))


def test_compose_names_settings_that_mailveil_takes(tmp_path: Path) -> None:
    service = compose()["services"]["mailveil"]
    environment = environment_of_the_image()
    environment |= {name: with_defaults(value) for name, value in service["environment"].items()}
    (tmp_path / "url").write_text("postgresql://mailveil:secret@database:5432/mailveil\n")
    environment["MAILVEIL_DATABASE__URL_FILE"] = str(tmp_path / "url")
    settings = load(environment=environment)
    assert settings.gateway.recipient_domains == ("example.org",)
    assert str(settings.gateway.next_hop) == "smtp://mail.example.org:25"
    assert settings.copies_url == "https://copies.example.org"
    assert settings.console_url == "https://mailveil.example.org"
    assert str(settings.directory) == "/var/lib/mailveil"
    assert service["volumes"] == ["mailveil:/var/lib/mailveil"]


def test_the_image_as_it_is_relays_for_nobody() -> None:
    said = {
        "MAILVEIL_COPIES__PUBLIC_URL": "https://copies.example.org",
        "MAILVEIL_CONSOLE__PUBLIC_URL": "https://mailveil.example.org",
    }
    settings = load(environment=environment_of_the_image() | said)
    assert settings.gateway.listen.is_loopback
    assert settings.gateway.recipient_domains == ()


def test_nothing_runs_as_root_and_the_database_has_no_way_out() -> None:
    whole = compose()
    assert re.search(r"^USER 10001:10001$", (CONTAINER / "Containerfile").read_text(), re.M)
    service = whole["services"]["mailveil"]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert whole["services"]["database"]["networks"] == ["back"]
    assert whole["networks"]["back"] == {"internal": True}
    assert "ports" not in whole["services"]["database"]


def test_secrets_never_end_up_in_the_repository_or_the_image() -> None:
    assert (CONTAINER / "secrets" / ".gitignore").read_text().splitlines() == ["*", "!.gitignore"]
    ignored = (CONTAINER.parents[1] / ".containerignore").read_text().splitlines()
    assert ignored[0] == "*"
    assert "!deploy" not in ignored
