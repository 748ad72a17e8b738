"""``mailveil lists``: import block lists, show where each came from, and update them when asked, never silently."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import click

from mailveil.adapters.fetcher import FetchOutcome
from mailveil.adapters.liststore import MAX_BYTES, ListFacts, ListStore, ListStoreError, facts_of, is_name
from mailveil.app.building import build_fetcher, build_guard
from mailveil.commands.terminal import complain, console, count, note, printable
from mailveil.config import Settings
from mailveil.core.references.types import Media
from mailveil.core.verdicts.lists import ListError, ListFormat, Parsed, detect_format, parse_list

UNUSABLE: Final = 2
UNCHANGED: Final = 1
_SHOWN_CHANGES: Final = 5


@dataclass(frozen=True, slots=True)
class Edition:
    """A list as it lies at its source."""

    source: str
    raw: bytes
    parsed: Parsed


def store_of(settings: Settings) -> ListStore:
    """Return where imported lists are kept."""
    return ListStore(settings.lists_folder)


def show_lists(settings: Settings, *, as_json: bool) -> int:
    """Print every list with where it came from; return the exit code."""
    store = store_of(settings)
    code = 0
    shown: list[ListFacts] = []
    try:
        for name in store.names():
            try:
                stored = store.read(name)
            except ListStoreError as error:
                complain(str(error))
                code = UNUSABLE
                continue
            if stored.problem:
                complain(stored.problem)
                code = UNUSABLE
            shown.append(stored.facts)
    except ListStoreError as error:
        complain(str(error))
        return UNUSABLE
    if as_json:
        for facts in shown:
            click.echo(json.dumps(asdict(facts)))
        return code
    if not shown and not code:
        click.echo(f"no list is imported into {store.folder}")
    for facts in shown:
        _print_facts(facts)
    return code


def _print_facts(facts: ListFacts) -> None:
    from rich.table import Table

    at = time.strftime("%Y-%m-%d %H:%M", time.localtime(facts.imported_at))
    table = Table(
        box=None, pad_edge=False, show_header=False, title=printable(facts.name), title_justify="left"
    )
    skipped = ", ".join(f"{number:,} {reason}" for reason, number in facts.skipped.items())
    for key, value in (
        ("title", facts.title or "-"),
        ("source", facts.source),
        ("licence", facts.licence or "not said in it"),
        ("imported", f"{at}, {facts.size_bytes:,} bytes, SHA-256 {facts.sha256}"),
        ("in use", f"{facts.rules:,} rules and names ({facts.format})"),
        ("skipped", skipped or "nothing"),
    ):
        table.add_row(key, printable(value))
    console().print(table)


def import_list(
    settings: Settings, name: str, source: str, form: ListFormat | None, *, assume_yes: bool
) -> int:
    """Read a list from a file or URL and keep it once somebody has agreed; return the exit code."""
    store = store_of(settings)
    if not is_name(name):
        complain(f"{name!r} is no name for a list: lower-case letters, digits, dots, hyphens, at most 63")
        return UNUSABLE
    try:
        old = store.read(name) if name in store.names() else None
    except ListStoreError as error:
        complain(str(error))
        old = None
    try:
        edition = read_edition(settings, source, form)
        return _apply(store, name, edition, None if old is None else old.parsed, assume_yes=assume_yes)
    except (ListError, ListStoreError) as error:
        complain(f"{name}: {error}")
        return UNUSABLE


def update_lists(settings: Settings, names: tuple[str, ...], *, assume_yes: bool) -> int:
    """Read lists again from where they came, and keep what changed once somebody has agreed."""
    store = store_of(settings)
    codes = []
    try:
        wanted = names or tuple(store.names())
    except ListStoreError as error:
        complain(str(error))
        return UNUSABLE
    if not wanted:
        click.echo(f"no list is imported into {store.folder}")
    for name in wanted:
        try:
            old = store.read(name)
            edition = read_edition(settings, old.facts.source, old.facts.format)
            codes.append(
                _apply(store, name, edition, old.parsed, assume_yes=assume_yes, sha256=old.facts.sha256)
            )
        except (ListError, ListStoreError) as error:
            complain(f"{name}: {error}")
            codes.append(UNUSABLE)
    return max(codes, default=0)


def remove_list(settings: Settings, name: str) -> int:
    """Forget a list; return the exit code."""
    try:
        store_of(settings).remove(name)
    except ListStoreError as error:
        complain(str(error))
        return UNUSABLE
    click.echo(f"{name} is removed; a running server uses it until it is started again")
    return 0


def read_edition(settings: Settings, source: str, form: ListFormat | None) -> Edition:
    """Return a list as it lies at a file or URL. Raises ``ListError``."""
    where = source if source.startswith("https://") else str(Path(source).expanduser().absolute())
    if "://" in source and not source.startswith("https://"):
        raise ListError(f"{source}: a list comes from a file or an https address")
    raw = _download(settings, source) if source.startswith("https://") else _read_file(Path(where))
    if b"\0" in raw:
        raise ListError(f"{where}: is no text")
    text = raw.decode("utf-8", "replace")
    return Edition(where, raw, parse_list(text, form or detect_format(text)))


def _read_file(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ListError(f"{path}: {error.strerror}") from error
    if len(raw) > MAX_BYTES:
        raise ListError(f"{path}: is larger than {MAX_BYTES:,} bytes")
    return raw


def _download(settings: Settings, url: str) -> bytes:
    """Fetch a list as safe copies are fetched: through the exits, guarded, within their bounds."""
    exits = ", ".join(str(each) for each in settings.fetch.exits)
    note(f"asking {url} {f'through {exits}' if exits else 'from this machine’s own address'}")

    async def fetch() -> bytes:
        async with build_guard(settings) as guard:
            fetched = await build_fetcher(settings, guard).fetch(url, Media.STYLESHEET)
        if fetched.outcome is not FetchOutcome.FETCHED:
            limit = f" ([fetch] max_bytes = {settings.fetch.max_bytes:,})"
            too_large = fetched.outcome is FetchOutcome.TOO_LARGE
            raise ListError(f"{url}: {fetched.outcome}{limit if too_large else ''}")
        if any(not hop.url.startswith("https://") for hop in fetched.hops):
            raise ListError(f"{url}: was led away to an address that is not https")
        return fetched.body

    return asyncio.run(fetch())


def _apply(
    store: ListStore,
    name: str,
    edition: Edition,
    old: Parsed | None,
    *,
    assume_yes: bool,
    sha256: str = "",
) -> int:
    """Show what would change and keep it if somebody agrees."""
    facts = facts_of(name, edition.source, edition.raw, edition.parsed, time.time())
    if facts.sha256 == sha256 and old is not None:
        click.echo(f"{name}: is as it was")
        return 0
    _say_changes(name, edition.parsed, old)
    if not assume_yes and not _agreed():
        click.echo(f"{name}: nothing was changed (--yes agrees beforehand)")
        return UNCHANGED
    store.save(facts, edition.raw)
    click.echo(f"{name}: {count(facts.rules, 'rule')} in use from the next start on")
    return 0


def _say_changes(name: str, new: Parsed, old: Parsed | None) -> None:
    skipped = sum(new.skipped.values())
    about = f"{name}: {new.format}, {count(new.count, 'rule')} to be used, {skipped:,} skipped"
    click.echo(printable(f"{about}; {new.title or 'no title'}; licence: {new.licence or 'not said in it'}"))
    for reason, number in new.skipped.items():
        click.echo(f"  skipped {number:,}: {reason}")
    if old is None:
        return
    before, after = old.entries, new.entries
    for sign, changed in (("+", sorted(after - before)), ("-", sorted(before - after))):
        click.echo(f"  {sign} {len(changed):,}")
        for entry in changed[:_SHOWN_CHANGES]:
            click.echo(printable(f"    {sign} {entry}"))
        if len(changed) > _SHOWN_CHANGES:
            click.echo(f"    {sign} …")


def _agreed() -> bool:
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return False
    print("Use it? [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in {"y", "yes"}
