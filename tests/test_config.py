"""Configuration: one documented file, typed overrides, and mistakes refused with their line."""

from __future__ import annotations

import re
import tomllib
from dataclasses import fields
from pathlib import Path

import pytest

from mailveil.config import (
    Endpoint,
    NextHop,
    Settings,
    SettingsError,
    default_text,
    describe,
    engine_settings,
    load,
)
from mailveil.config.load import find_file
from mailveil.config.settings import AREAS, LimitSettings
from mailveil.config.values import UnixSocket, public_host, read_endpoint, read_listen, read_next_hop
from mailveil.core.message.types import Limits
from mailveil.core.policy import PolicySettings
from mailveil.core.protection import CopyMode
from mailveil.ports import MailProtocol


def loaded(tmp_path: Path, text: str, environment: dict[str, str] | None = None) -> Settings:
    path = tmp_path / "mailveil.toml"
    path.write_text(text, "utf-8")
    return load(path, environment or {})


def refusal(tmp_path: Path, text: str, environment: dict[str, str] | None = None) -> str:
    with pytest.raises(SettingsError) as caught:
        loaded(tmp_path, text, environment)
    return str(caught.value).replace(str(tmp_path) + "/", "")


def test_default_file_documents_every_setting_and_nothing_else() -> None:
    document = tomllib.loads(default_text())
    assert {area: set(content) for area, content in document.items()} == {
        area: {each.name for each in fields(kind)} for area, kind in AREAS.items()
    }


def test_every_setting_has_help_right_above_it() -> None:
    lines = default_text().splitlines()
    keys = [number for number, line in enumerate(lines) if re.match(r"\w+ = ", line)]
    assert len(keys) == sum(len(fields(kind)) for kind in AREAS.values())
    for number in keys:
        assert re.match(r"# .{15,}", lines[number - 1]), f"{lines[number]} has no help"


def test_defaults_are_the_file() -> None:
    document = tomllib.loads(default_text())
    for each in describe(load(None, {})):
        assert each.origin == "default"
        expected = document[each.area][each.name]
        given = tomllib.loads(f"x = {each.value}")["x"]
        if each.name == "trusted_peers":
            given = [network.rpartition("/")[0] for network in given]
        assert given == expected, (each.area, each.name)


def test_default_limits_and_policy_are_the_engines() -> None:
    engine = engine_settings(load(None, {}), b"k" * 32)
    assert {each.name for each in fields(LimitSettings)} == {each.name for each in fields(Limits)}
    assert engine.limits == Limits()
    assert engine.policy == PolicySettings()


def test_file_and_environment_override_and_say_so(tmp_path: Path) -> None:
    text = '[gateway]\nlisten = "0.0.0.0:25"\n\n[limits]\nmax_parts = 7\n'
    settings = loaded(tmp_path, text, {"MAILVEIL_LIMITS__MAX_PARTS": "8", "OTHER": "x"})
    assert settings.gateway.listen == Endpoint("0.0.0.0", 25)
    assert settings.limits.max_parts == 8
    assert settings.origins["gateway.listen"] == f"{tmp_path}/mailveil.toml:2"
    assert settings.origins["limits.max_parts"] == "environment MAILVEIL_LIMITS__MAX_PARTS"
    assert settings.origins["limits.max_nesting"] == "default"


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("FETCH__ENABLED", "off", False),
        ("FETCH__ENABLED", "1", True),
        ("FETCH__MAX_BYTES", "5_000_000", 5_000_000),
        ("COPIES__MODE", "none", CopyMode.NONE),
        ("GATEWAY__NEXT_HOP", "smtp://10.0.0.1:10026", NextHop("10.0.0.1", 10026)),
        ("GATEWAY__RECIPIENT_DOMAINS", "example.org, Example.COM", ("example.org", "example.com")),
        ("GATEWAY__RECIPIENT_DOMAINS", '["example.org"]', ("example.org",)),
    ],
)
def test_environment_is_typed(name: str, text: str, value: object) -> None:
    settings = load(None, {f"MAILVEIL_{name}": text})
    area, _, key = name.lower().partition("__")
    assert getattr(getattr(settings, area), key) == value


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[gateway]\n\nlistn = "a"', "mailveil.toml:3: [gateway] listn is no setting; did you mean listen?"),
        ("# hi\n[gatway]\n", "mailveil.toml:2: [gatway] is no table of settings; did you mean gateway?"),
        ('[gateway]\nretention_days = 3', "mailveil.toml:2: [gateway] retention_days is no setting; it belongs under [copies]"),  # noqa: E501
        ('listen = "a"', "mailveil.toml:1: listen stands outside its table: it belongs under [gateway]"),
        ("limits = 3", "mailveil.toml:1: limits is a table: write [limits] on a line of its own"),
        ("[fetch]\nenabled = 1", "mailveil.toml:2: [fetch] enabled = 1: must be true or false"),
        ('[fetch]\nmax_bytes = "5 MB"', 'mailveil.toml:2: [fetch] max_bytes = "5 MB": must be a whole number without quotes or unit'),  # noqa: E501
        ("[fetch]\nmax_bytes = 5.5", "mailveil.toml:2: [fetch] max_bytes = \"5.5\": must be a whole number"),
        ("[fetch]\nmax_redirects = 21", "mailveil.toml:2: [fetch] max_redirects = 21: must be from 0 to 20"),
        ("[fetch]\nmax_redirects = true", "mailveil.toml:2: [fetch] max_redirects = true: must be a whole number"),
        ('[copies]\nmode = "embeded"', 'mailveil.toml:2: [copies] mode = "embeded": must be one of "hosted", "embedded", "none"; did you mean embedded?'),  # noqa: E501
        ("[gateway]\nlisten = 25", "mailveil.toml:2: [gateway] listen = 25: must be text in quotes"),
        ('[gateway]\nlisten = "localhost"', 'mailveil.toml:2: [gateway] listen = "localhost": must be "host:port"'),
        ('[gateway]\nnext_hop = "relay.example.org"', 'must be "smtp://host:port"'),
        ('[gateway]\nnext_hop = "imap://x:24"', 'must be "smtp://host:port", "lmtp://host:port"'),
        ('[gateway]\nnext_hop = "lmtp+unix:run/lmtp"', "named by its full path"),
        ('[gateway]\nlmtp_listen = "unix:lmtp"', "named by its full path"),
        ('[gateway]\nlmtp_listen = "127.0.0.1:25"', "port 25 is for SMTP alone"),
        ('[gateway]\nlmtp_listen = "127.0.0.1:8080"', "a port of its own"),
        ('[gateway]\ntls_key = "/etc/key.pem"', "needs tls_certificate"),
        ('[gateway]\nnext_hop_tls = "must"', "needs a next hop that is reached by TCP"),
        ('[gateway]\nnext_hop = "smtp://localhost:2525"', "go round in a circle"),
        ('[gateway]\nlisten = "0.0.0.0:2526"\nnext_hop = "smtp://127.0.0.1:2526"', "go round in a circle"),
        ('[gateway]\nlmtp_listen = "unix:/x"\nnext_hop = "lmtp+unix:/x"', "go round in a circle"),
        ('[gateway]\nnext_hop = "lmtp+unix:/x"\nnext_hop_tls = "must"', "reached by TCP"),
        ("[gateway]\nmax_bytes_in_flight = 52_428_799", "must be at least max_message_bytes"),
        ('[gateway]\nclients = ["10.0.0.0/33"]', '"10.0.0.0/33" is no IP address or network'),
        ('[gateway]\nrecipient_domains = ["a b"]', '"a b" is no domain name'),
        ('[gateway]\nrecipient_domains = "a"', "must be a list of texts"),
        ('[gateway]\nhostname = "a\\nb"', "must not contain control characters"),
        ('[copies]\npublic_url = "https://a.example/x"', "must be scheme and host only"),
        ('[copies]\npublic_url = "https://u@a.example"', "must be scheme and host only"),
        ('[fetch]\nproxy = "socks5://127.0.0.1:9050"', 'write exits = ["socks5://host:port"] instead'),
        ('[fetch]\nexits = ["socks4://127.0.0.1:9050"]', 'must be "socks5://host:port"'),
        ('[fetch]\nexits = ["socks5://me@127.0.0.1:9050"]', "user name and password belong together"),
        ('[fetch]\nexits = ["http://127.0.0.1"]', 'must be "socks5://host:port"'),
        ('[fetch]\nresolvers = ["dns.example"]', "is no address of a resolver"),
        ('[egress]\nuser = "me"', "belong together"),
        ("[gateway\n", "mailveil.toml: line 1, column 9:"),
        ("[a]\nx = 1\nx = 2\n", "mailveil.toml: line 3,"),
        ("[log]\nlevel = '''\nlisten = 3'''\nlevl = 1", "mailveil.toml:2: [log] level"),
    ],
)  # fmt: skip
def test_mistakes_are_refused_with_place_and_hint(tmp_path: Path, text: str, message: str) -> None:
    assert message in refusal(tmp_path, text)


def test_line_is_right_behind_a_text_of_several_lines(tmp_path: Path) -> None:
    text = '[gateway]\nhostname = """\\\n  listn = 1\\\n  """\nlistn = 2\n'
    assert refusal(tmp_path, text).startswith("mailveil.toml:5: [gateway] listn is no setting")


@pytest.mark.parametrize(
    ("variable", "message"),
    [
        ("MAILVEIL_GATEWAY__LISTN", "is no setting; did you mean MAILVEIL_GATEWAY__LISTEN?"),
        ("MAILVEIL_GATEWAY_LISTEN", "is no setting; did you mean MAILVEIL_GATEWAY__LISTEN?"),
        ("MAILVEIL_FOO__BAR", "is no setting"),
    ],
)
def test_wrong_variables_are_refused(variable: str, message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load(None, {variable: "127.0.0.1:25"})
    assert f"environment: {variable} {message}" in str(caught.value)


def test_variables_of_others_are_left_alone() -> None:
    assert load(None, {"MAILVEIL_CONFIG": "/x", "MAILVEIL_BLESS": "1"}) == load(None, {})


def test_value_of_a_variable_is_checked() -> None:
    with pytest.raises(SettingsError, match=r"environment MAILVEIL_FETCH__ENABLED: .* must be true or false"):
        load(None, {"MAILVEIL_FETCH__ENABLED": "maybe"})


def test_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be read: No such file"):
        load(tmp_path / "nowhere.toml", {})
    (tmp_path / "binary").write_bytes(b"a\xff")
    with pytest.raises(SettingsError, match=r"is not UTF-8 text \(byte 1\)"):
        load(tmp_path / "binary", {})


def test_copies_and_console_need_two_names(tmp_path: Path) -> None:
    text = '[copies]\npublic_url = "https://mail.example.org"\n'
    text += '[console]\npublic_url = "https://MAIL.example.org:8443"\n'
    assert "share one name" in refusal(tmp_path, text)
    settings = loaded(tmp_path, text.replace("MAIL", "console"))
    assert settings.copies_url == "https://mail.example.org"
    assert settings.console_url == "https://console.example.org:8443"


def test_default_names_differ() -> None:
    settings = load(None, {})
    assert settings.copies_url == "http://127.0.0.1:8081"
    assert settings.console_url == "http://localhost:8080"


def test_the_old_name_of_the_console_leads_to_the_new_one(tmp_path: Path) -> None:
    assert "[status] is called [console] now" in refusal(tmp_path, '[status]\nlisten = "127.0.0.1:1"\n')
    with pytest.raises(SettingsError, match="MAILVEIL_STATUS__LISTEN is called MAILVEIL_CONSOLE__LISTEN now"):
        load(None, {"MAILVEIL_STATUS__LISTEN": "127.0.0.1:1"})


def test_listeners_need_ports_of_their_own(tmp_path: Path) -> None:
    assert "[gateway] listens there too" in refusal(tmp_path, '[console]\nlisten = "127.0.0.1:2525"\n')


def test_copies_for_everybody_need_a_public_name(tmp_path: Path) -> None:
    text = '[copies]\nlisten = "0.0.0.0:8081"\n'
    assert "copies.listen alone does not tell" in refusal(tmp_path, text)
    assert loaded(tmp_path, text + 'mode = "none"\n').copies.mode is CopyMode.NONE


@pytest.mark.parametrize(
    ("text", "endpoint"),
    [
        ("127.0.0.1:25", Endpoint("127.0.0.1", 25)),
        ("[::1]:25", Endpoint("::1", 25)),
        ("MX.example:0", Endpoint("mx.example", 0)),
    ],
)
def test_endpoint(text: str, endpoint: Endpoint) -> None:
    assert read_endpoint(text) == endpoint
    assert read_endpoint(str(endpoint)) == endpoint


@pytest.mark.parametrize(
    "text", ["", ":25", "a", "a:", "a:b", "a:65536", "::1:25", "a b:1", "a/b:1", "u@a:1"]
)
def test_no_endpoint(text: str) -> None:
    with pytest.raises(ValueError, match="host:port"):
        read_endpoint(text)


@pytest.mark.parametrize(
    ("text", "hop"),
    [
        ("", None),
        ("smtp://mx.example", NextHop("mx.example", 25)),
        ("smtp://mx.example:26", NextHop("mx.example", 26)),
        ("smtp://[2001:db8::1]", NextHop("2001:db8::1", 25)),
        ("smtp://[2001:db8::1]:26", NextHop("2001:db8::1", 26)),
        ("lmtp://mx.example", NextHop("mx.example", 24, MailProtocol.LMTP)),
        ("lmtp://[::1]:2003", NextHop("::1", 2003, MailProtocol.LMTP)),
        ("lmtp+unix:/var/run/dovecot/lmtp", NextHop("", 0, MailProtocol.LMTP, "/var/run/dovecot/lmtp")),
    ],
)
def test_next_hop(text: str, hop: NextHop | None) -> None:
    assert read_next_hop(text) == hop
    assert hop is None or read_next_hop(str(hop)) == hop


@pytest.mark.parametrize(
    ("text", "listen"),
    [
        ("", None),
        ("[::1]:24", Endpoint("::1", 24)),
        ("unix:/run/mailveil/lmtp", UnixSocket("/run/mailveil/lmtp")),
    ],
)
def test_listen(text: str, listen: Endpoint | UnixSocket | None) -> None:
    assert read_listen(text) == listen
    assert listen is None or read_listen(str(listen)) == listen


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://Copies.Example.ORG", "copies.example.org"),
        ("http://127.0.0.1:8081/", "127.0.0.1"),
        ("https://a.example.", "a.example"),
        ("https://a.example/x", ""),
        ("https://a.example?x", ""),
        ("https://a.example\\@b.example", ""),
        ("https://u:p@a.example", ""),
        ("https://a.example:99999", ""),
        ("ftp://a.example", ""),
        ("a.example", ""),
        ("https://[::1", ""),
        ("https://ä.example", ""),
    ],
)
def test_public_host(url: str, host: str) -> None:
    assert public_host(url) == host


def test_which_file() -> None:
    assert find_file("a.toml", {"MAILVEIL_CONFIG": "b.toml"}) == Path("a.toml")
    assert find_file("", {"MAILVEIL_CONFIG": "b.toml"}) == Path("b.toml")


def test_where_state_lives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert load(None, {}).directory == tmp_path / "mailveil"
    monkeypatch.setenv("STATE_DIRECTORY", "/var/lib/mailveil:/other")
    assert load(None, {}).directory == Path("/var/lib/mailveil")
    settings = load(None, {"MAILVEIL_STORAGE__DIRECTORY": str(tmp_path / "x")})
    assert settings.local_maildir == tmp_path / "x" / "maildir"
    assert settings.copies_key_file == tmp_path / "x" / "copies.key"


def test_settings_of_the_engine_follow(tmp_path: Path) -> None:
    settings = loaded(
        tmp_path, '[policy]\ntrackers = "blank"\nprotect_local = true\n[limits]\nmax_parts = 3\n'
    )
    engine = engine_settings(settings, b"k" * 32, mode=CopyMode.EMBEDDED)
    assert engine.policy == PolicySettings(protect_local=True, trackers="blank")  # type: ignore[arg-type]
    assert engine.limits == Limits(max_parts=3)
    assert engine.mode is CopyMode.EMBEDDED


def test_no_listing_and_no_error_shows_a_password(tmp_path: Path) -> None:
    text = '[fetch]\nexits = ["socks5://me:s3cret%40@203.0.113.9:1080"]\n[egress]\nuser = "me"\npassword = "s3cret"\n'
    settings = loaded(tmp_path, text)
    (way_out,) = settings.fetch.exits
    assert (way_out.user, way_out.password) == ("me", "s3cret@")
    listed = "\n".join(each.value for each in describe(settings))
    assert '["socks5://***@203.0.113.9:1080"]' in listed
    assert "s3cret" not in listed + repr(way_out) + repr(settings.fetch)
    for mistake in (
        'exits = ["socks5://me:s3cret@host"]',
        'exits = ["tcp://me:s3cret@host:1"]',
        'exits = "http://me:s3cret@h:1"',
    ):
        assert "s3cret" not in refusal(tmp_path, f"[fetch]\n{mistake}\n")
    environment = {
        "MAILVEIL_FETCH__EXITS": "socks5://a:b@h:1, https://h:2",
        "MAILVEIL_FETCH__RESOLVERS": "192.0.2.53",
    }
    assert [str(each) for each in loaded(tmp_path, "", environment).fetch.exits] == [
        "socks5://h:1",
        "https://h:2",
    ]
