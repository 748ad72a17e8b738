"""``clean --fetch``: origins are named first, asked once each, and what they answer is made safe."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image

from mailveil.adapters.fetcher import Fetched, FetchOutcome
from mailveil.app.building import build_store
from mailveil.commands import fetching
from mailveil.commands.clean import CleanRequest, clean
from mailveil.commands.copies import WantedCopies, ask_consent
from mailveil.commands.outputs import UnusableError
from mailveil.config import Settings, load
from mailveil.core.protection import CopyMode
from mailveil.core.references.types import Media
from mailveil.ports import WantedCopy

MESSAGE = (
    b"From: a@shop.example\nContent-Type: text/html\n\n"
    b'<img src="https://img.shop.example/a.png" width=8 height=8><img src="https://img.shop.example/gone.png">'
    b'<a href="https://img.shop.example/linked.png"><img src="https://img.shop.example/linked.png"></a>\n'
)
URLS = ["https://img.shop.example/a.png", "https://img.shop.example/gone.png"]


def picture() -> bytes:
    written = io.BytesIO()
    Image.new("RGB", (8, 8), "red").save(written, "PNG")
    return written.getvalue()


class FakeFetcher:
    """An origin that has one picture."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def fetch(self, url: str, media: Media, may_follow: object = None) -> Fetched:
        self.asked.append(url)
        if url.endswith("gone.png"):
            return Fetched(FetchOutcome.HTTP_ERROR, detail="404")
        return Fetched(FetchOutcome.FETCHED, picture())


@pytest.fixture
def origin(monkeypatch: pytest.MonkeyPatch) -> FakeFetcher:
    fetcher = FakeFetcher()

    @asynccontextmanager
    async def guard(settings: Settings) -> Iterator[None]:  # type: ignore[misc]
        yield None

    monkeypatch.setattr(fetching, "build_guard", guard)
    monkeypatch.setattr(fetching, "build_fetcher", lambda settings, guard: fetcher)
    return fetcher


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load(None, {"MAILVEIL_STORAGE__DIRECTORY": str(tmp_path / "state")})


def request(tmp_path: Path, mode: CopyMode | None) -> CleanRequest:
    (tmp_path / "a.eml").write_bytes(MESSAGE)
    (tmp_path / "box").mkdir()
    for name in ("one.eml", "two.eml"):
        (tmp_path / "box" / name).write_bytes(MESSAGE)
    return CleanRequest(str(tmp_path / "box"), str(tmp_path / "out"), mode, fetch=True, assume_yes=True)


def test_copies_stand_in_the_message(
    tmp_path: Path, settings: Settings, origin: FakeFetcher, capsys: pytest.CaptureFixture[str]
) -> None:
    assert clean(request(tmp_path, None), settings) == 0
    said = capsys.readouterr().err
    assert "1 origins would be contacted from this machine's own address for 2 safe copies" in said
    assert said.index("would be contacted") < said.index("1 safe copies made, 1 http-error")
    assert sorted(origin.asked) == URLS, "each once, and nothing that a link leads to"
    for name in ("one.eml", "two.eml"):
        cleaned = (tmp_path / "out" / name).read_bytes()
        assert cleaned.count(b"Content-Type: image/png") == 1
        assert b"multipart/related" in cleaned
        assert b'src="https://' not in cleaned
        assert b'<a href="https://img.shop.example/linked.png">' in cleaned


def test_copies_for_the_copies_server(
    tmp_path: Path, settings: Settings, origin: FakeFetcher, capsys: pytest.CaptureFixture[str]
) -> None:
    assert clean(request(tmp_path, CopyMode.HOSTED), settings) == 0
    assert sorted(origin.asked) == URLS
    cleaned = (tmp_path / "out/one.eml").read_bytes()
    token = cleaned.partition(b'src="http://127.0.0.1:8081/c/')[2].partition(b'"')[0].decode()
    store = build_store(settings)
    copy = asyncio.run(store.get(token))
    store.close()
    assert copy is not None
    assert copy.media_type == "image/png"
    assert not copy.pending


def test_nothing_is_fetched_unless_asked_for(tmp_path: Path, settings: Settings, origin: FakeFetcher) -> None:
    asked = request(tmp_path, CopyMode.EMBEDDED)
    assert clean(CleanRequest(asked.source, asked.output, asked.mode), settings) == 0
    assert origin.asked == []


@pytest.mark.parametrize(
    ("answer", "goes_on"), [("y\n", True), ("yes\n", True), ("\n", False), ("no\n", False), ("", False)]
)
def test_somebody_at_a_terminal_is_asked(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, answer: str, goes_on: bool
) -> None:
    terminal = io.StringIO()
    terminal.isatty = lambda: True  # type: ignore[method-assign]
    monkeypatch.setattr("sys.stdin", SimpleNamespace(isatty=lambda: True, readline=lambda: answer))
    monkeypatch.setattr("sys.stderr", terminal)
    wanted = WantedCopies({"a": (WantedCopy("t", "https://a.example/x", Media.IMAGE),)})
    if goes_on:
        ask_consent(wanted, settings, assume_yes=False)
    else:
        with pytest.raises(UnusableError, match="nobody was contacted"):
            ask_consent(wanted, settings, assume_yes=False)
    assert "Contact them? [y/N]" in terminal.getvalue()
    ask_consent(wanted, settings, assume_yes=True)


def test_the_exit_is_named_as_the_place_of_contact(capsys: pytest.CaptureFixture[str]) -> None:
    settings = load(None, {"MAILVEIL_FETCH__EXITS": "socks5://127.0.0.1:9050"})
    ask_consent(WantedCopies(), settings, assume_yes=False)
    assert "0 origins would be contacted through socks5://127.0.0.1:9050" in capsys.readouterr().err
