"""The Helm chart, rendered by Helm's own library, and what it renders read by Kubernetes' rules and by mailveil."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from helm_python.chart import Chart, lint
from helm_python.errors import HelmRenderError

from mailveil.config import load

CHART = Path(__file__).parents[2] / "deploy" / "helm" / "mailveil"
SETTINGS = {
    "gateway": {
        "hostname": "mx.example.org",
        "recipient_domains": ["example.org", "example.net"],
        "next_hop": "smtp://mail.example.org:25",
    },
    "copies": {"public_url": "https://copies.example.org"},
    "console": {"public_url": "https://mailveil.example.org"},
}


def rendered(values: Mapping[str, Any]) -> list[dict[str, Any]]:
    with Chart.load(CHART) as chart:
        files = chart.render(values=dict(values), name="demo")
    return [
        each
        for name, text in files.items()
        if name.endswith(".yaml")
        for each in yaml.safe_load_all(text)
        if each
    ]


def of_kind(objects: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [each for each in objects if each["kind"] == kind]


def test_helm_finds_nothing_wrong() -> None:
    report = lint(str(CHART), values={"settings": SETTINGS})
    assert report["errors"] == []
    assert [each for each in report["messages"] if each["severity"] > 1] == []


@pytest.mark.parametrize("everything", [False, True])
def test_its_configuration_is_one_that_mailveil_takes(everything: bool, tmp_path: Path) -> None:
    more: dict[str, Any] = {}
    if everything:
        more = {"database": {"existingSecret": "pg"}, "milter": {"enabled": True, "clients": ["10.1.0.0/16"]}}
    sharing = {"sharing": {"networks": ["10.1.2.0/24"]}} if everything else {}
    (configuration,) = of_kind(rendered({"settings": {**SETTINGS, **sharing}, **more}), "ConfigMap")
    text = configuration["data"]["mailveil.toml"].replace("/run/secrets/mailveil/url", str(tmp_path / "url"))
    (tmp_path / "url").write_text("postgresql://mailveil:secret@database:5432/mailveil\n")
    (tmp_path / "mailveil.toml").write_text(text)
    settings = load(tmp_path / "mailveil.toml", environment={})
    assert settings.gateway.recipient_domains == ("example.org", "example.net")
    assert [str(each) for each in settings.sharing.networks] == (["10.1.2.0/24"] if everything else [])
    assert settings.copies_url == "https://copies.example.org"
    assert (settings.milter.listen is not None) == everything


def test_pods_have_no_privilege_and_write_only_where_they_must() -> None:
    (workload,) = of_kind(rendered({"settings": SETTINGS}), "StatefulSet")
    pod = workload["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    mounted = {each["name"] for each in container["volumeMounts"]}
    offered = {each["name"] for each in pod["volumes"]} | {
        each["metadata"]["name"] for each in workload["spec"]["volumeClaimTemplates"]
    }
    assert mounted == offered == {"storage", "configuration", "temporary"}


def test_services_find_the_ports_of_the_pod() -> None:
    objects = rendered({"settings": SETTINGS, "milter": {"enabled": True}})
    (workload,) = of_kind(objects, "StatefulSet")
    template = workload["spec"]["template"]
    ports = {each["name"] for each in template["spec"]["containers"][0]["ports"]}
    services = of_kind(objects, "Service")
    assert {each["targetPort"] for service in services for each in service["spec"]["ports"]} == {
        "smtp",
        "milter",
        "copies",
        "console",
    }
    for service in services:
        assert service["spec"]["selector"].items() <= template["metadata"]["labels"].items()
        assert {each["targetPort"] for each in service["spec"]["ports"]} <= ports


def test_copies_and_console_are_reached_by_their_own_names() -> None:
    objects = of_kind(rendered({"settings": SETTINGS}), "Ingress")
    assert {each["spec"]["rules"][0]["host"] for each in objects} == {
        "copies.example.org",
        "mailveil.example.org",
    }


@pytest.mark.parametrize(
    ("area", "name", "value", "said"),
    [
        ("gateway", "next_hop", "", "the mail server that protected mail goes to"),
        ("gateway", "recipient_domains", [], "relay for everybody"),
        ("copies", "public_url", "", "how readers reach the safe copies"),
        ("console", "public_url", "https://copies.example.org", "need different names"),
    ],
)
def test_what_is_missing_is_said_before_anything_is_installed(
    area: str, name: str, value: object, said: str
) -> None:
    settings = {**SETTINGS, area: {**SETTINGS[area], name: value}}
    with pytest.raises(HelmRenderError, match=said):
        rendered({"settings": settings})
