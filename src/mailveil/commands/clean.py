"""``mailveil clean``: write stored mail anew without any remote reference, every other byte as it was."""

from __future__ import annotations

import errno
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mailveil.adapters.mailboxes import FoundFile, Kind, Stored, Unreadable, find_files
from mailveil.adapters.newfiles import copy_file, make_folder, write_file
from mailveil.adapters.originals import OriginalError, OriginalFacts
from mailveil.adapters.workerprocess import Answer, Failure, Job
from mailveil.adapters.workers import WorkerPool
from mailveil.commands.copies import WantedCopies, ask_consent, copies_key, find_wanted
from mailveil.commands.listed import usable_lists
from mailveil.commands.outputs import (
    Destination,
    UnusableError,
    Writer,
    both_readings,
    check_output,
    mbox_entry,
    usable_kind,
)
from mailveil.commands.release import open_originals
from mailveil.commands.sources import (
    NO_MAIL,
    STANDARD_INPUT,
    read_file,
    read_one_message,
    read_sources,
    total_bytes,
)
from mailveil.commands.terminal import complain, count, note, progress
from mailveil.config import Settings, SettingsError, engine_settings
from mailveil.config.load import why_no_origin
from mailveil.config.values import origin_of, public_host
from mailveil.core.protection import CopyMode

TEMPORARY_FAILURE = 75  # EX_TEMPFAIL of sysexits.h: the mail server keeps the message and tries again
NO_ROOM = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EROFS))


class NoRoomError(Exception):
    """There is no use in going on."""


@dataclass(slots=True)
class Tally:
    """What was done, for the summary and the exit code."""

    as_json: bool
    messages: int = 0
    changed: int = 0
    failed: int = 0
    references: int = 0
    trackers: int = 0
    unsigned: int = 0
    inert: int = 0
    copied: int = 0
    left_out: Counter[str] = field(default_factory=Counter)

    def fail(self, path: str, reason: str) -> None:
        """Name a message that has no cleaned counterpart."""
        self.failed += 1
        complain(f"{path}: {reason}; left out")
        if self.as_json:
            print(json.dumps({"path": path, "error": reason}))

    def add(self, answer: Answer, path: str, output: str) -> None:
        """Take note of a message that is done."""
        references = answer.record["references"]
        trackers = sum(each["verdict"] == "tracker" for each in references)
        self.messages += 1
        self.changed += answer.changed
        self.references += len(references)
        self.trackers += trackers
        self.unsigned += bool(answer.unsigned)
        self.inert += bool(answer.inert_parts)
        if self.as_json:
            print(json.dumps(what_was_done(answer, path, output)))

    def print(self) -> None:
        """Say on standard error what was done."""
        replaced = f"{count(self.references, 'remote reference')} made silent"
        trackers = f"{count(self.trackers, 'tracker')} among them"
        note(f"{count(self.messages, 'message')}, {self.changed:,} changed; {replaced}, {trackers}")
        if self.unsigned:
            note(f"{self.unsigned:,} lost a signature that covered remote references; the input still has it")
        if self.inert:
            note(f"{self.inert:,} have a part that could not be examined and became plain text")
        if self.copied:
            note(f"{count(self.copied, 'file')} without mail copied unchanged")
        for reason, number in self.left_out.most_common():
            note(f"{count(number, 'file')} left out: {reason}")
        if self.failed:
            note(f"{self.failed:,} could not be cleaned and are left out (named above)")


def what_was_done(answer: Answer, path: str, output: str) -> dict[str, Any]:
    """Return the JSON object that ``clean --json`` prints for a message."""
    references = answer.record["references"]
    return {
        "path": path,
        "output": output,
        "changed": answer.changed,
        "bytes": answer.record["bytes"],
        "output_bytes": len(answer.raw),
        "references": len(references),
        "trackers": sum(each["verdict"] == "tracker" for each in references),
        "actions": dict(Counter(each["action"] for each in references)),
        "copies": len(answer.wanted),
        "unsigned": list(answer.unsigned),
        "inert_parts": list(answer.inert_parts),
        "defects": list(answer.record["defects"]),
    }


@dataclass(frozen=True, slots=True)
class Cleaner:
    """Cleans mail in files with a pool of workers. ``wanted`` knows the embedded copies of each message."""

    pool: WorkerPool
    settings: Settings
    tally: Tally
    wanted: WantedCopies = field(default_factory=WantedCopies)

    def clean(self, source: Path, output: Path, kind: Kind) -> None:
        """Clean a file or folder. Raises NoRoomError, OSError."""
        with ExitStack() as stack:
            total = total_bytes((str(source),)) if sys.stderr.isatty() else None
            bar = stack.enter_context(progress(total))
            writer = stack.enter_context(Writer())
            for job, result in self.pool.map(self.jobs(source, output, kind)):
                bar.advance(len(job.raw))
                self._finish(writer, job.tag, result)

    def jobs(self, source: Path, output: Path, kind: Kind) -> Iterator[Job[Destination]]:
        """Yield the messages to clean; files without mail are copied, and folders made, on the way."""
        if kind is not Kind.FOLDER:
            yield from self._jobs_of_file(source, output, kind)
            return
        self._make(output, source)
        for found in find_files(source):
            if isinstance(found, Unreadable):
                self.tally.fail(found.path, found.reason)
            elif found.kind is Kind.FOLDER:
                self._make(output / found.relative, found.path)
            else:
                yield from self._jobs_of_found(found, output / found.relative)

    def _jobs_of_found(self, found: FoundFile, output: Path) -> Iterator[Job[Destination]]:
        if found.kind is Kind.OTHER:
            try:
                copy_file(found.path, output)
            except OSError as error:
                self._fail_to_write(str(found.path), error)
            else:
                self.tally.copied += 1
        elif found.kind in (Kind.CACHE, Kind.UNFINISHED, Kind.SPECIAL):
            self.tally.left_out[NO_MAIL[found.kind]] += 1
        else:
            yield from self._jobs_of_file(found.path, output, found.kind)

    def _jobs_of_file(self, source: Path, output: Path, kind: Kind) -> Iterator[Job[Destination]]:
        try:
            like = source.stat()
        except OSError as error:
            self.tally.fail(str(source), error.strerror or "cannot be read")
            return
        for each in read_file(source, kind, self.settings.gateway.max_message_bytes):
            if isinstance(each, Stored):
                destination = Destination(output, like, each, kind is Kind.MBOX)
                yield Job(each.raw, destination, each.path, copies=self.wanted.of(each.path))
            else:
                self.tally.fail(each.path, each.reason)

    def _finish(self, writer: Writer, destination: Destination, result: Answer | Failure) -> None:
        stored = destination.stored
        if isinstance(result, Failure):
            self.tally.fail(stored.path, f"could not be examined: {result}")
            return
        try:
            if destination.is_mbox:
                writer.append(destination, mbox_entry(stored, result.raw))
            else:
                whole = both_readings(self.pool, stored, result)
                write_file(destination.path, whole, destination.like)
        except OSError as error:
            self._fail_to_write(stored.path, error)
        except UnusableError as error:
            self.tally.fail(stored.path, str(error))
        else:
            self.tally.add(result, stored.path, str(destination.path))

    def _make(self, folder: Path, like: Path) -> None:
        try:
            make_folder(folder, like.stat())
        except OSError as error:
            self._fail_to_write(str(folder), error)

    def _fail_to_write(self, path: str, error: OSError) -> None:
        self.tally.fail(path, f"cannot be written: {error.strerror}")
        if error.errno in NO_ROOM:
            raise NoRoomError from error


@dataclass(frozen=True, slots=True)
class CleanRequest:
    """What the command line asked for; ``mode`` and ``copies_url`` as given, or nothing."""

    source: str
    output: str
    mode: CopyMode | None = None
    copies_url: str = ""
    fetch: bool = False
    assume_yes: bool = False
    as_json: bool = False
    jobs: int = 0
    force: bool = False


def mode_of(request: CleanRequest, settings: Settings) -> CopyMode:
    """Tell how copies reach the reader: as asked for, else hosted where there is a server to host them."""
    if request.mode is not None:
        return request.mode
    if request.copies_url or settings.copies.public_url:
        return CopyMode.HOSTED
    return CopyMode.EMBEDDED if request.fetch else CopyMode.NONE


def clean(request: CleanRequest, settings: Settings) -> int:
    """Clean and report; return 0, 1 where a message is left out, 2 where nothing can be done.

    From standard input it is 0 or 75: whatever went wrong, the mail server is to keep the message.
    """
    is_pipe = request.source == STANDARD_INPUT
    try:
        with open_pool(request, settings) as pool:
            if is_pipe:
                return clean_standard_input(request, settings, pool)
            return clean_files(request, settings, pool)
    except (UnusableError, OriginalError, SettingsError) as error:
        complain(str(error))
        return TEMPORARY_FAILURE if is_pipe else 2
    except NoRoomError:
        complain("stopped, since there is no room")
        return 1
    except OSError as error:
        named = error.filename if isinstance(error.filename, str) else request.output
        complain(f"{named}: {error.strerror}")
        return TEMPORARY_FAILURE if is_pipe else 1


def open_pool(request: CleanRequest, settings: Settings) -> WorkerPool:
    """Return the workers that clean as asked for. Raises UnusableError, OriginalError."""
    mode = mode_of(request, settings)
    if request.copies_url and (
        not public_host(request.copies_url) or why_no_origin(origin_of(request.copies_url))
    ):
        raise UnusableError('--copies-url must be scheme and host only, such as "https://copies.example.org"')
    # Even where no address is made, those that this installation made before are known by its key.
    key = copies_key(settings, create=mode is CopyMode.HOSTED)
    return WorkerPool(
        engine_settings(
            settings, key, mode=mode, copies_url=request.copies_url, lists=usable_lists(settings)
        ),
        processes=request.jobs or settings.processes,
        max_bytes=settings.workers.max_bytes,
        timeout_s=settings.workers.timeout_s,
    )


def clean_files(request: CleanRequest, settings: Settings, pool: WorkerPool) -> int:
    """Clean a file or folder. Raises UnusableError, NoRoomError, OSError."""
    source, output = Path(request.source), Path(request.output)
    limit = settings.gateway.max_message_bytes
    kind = usable_kind(source)
    if request.output == STANDARD_INPUT:
        raise UnusableError("only standard input is cleaned to standard output; name a file with -o")
    check_output(source, output, is_folder=kind is Kind.FOLDER, force=request.force)
    tally = Tally(request.as_json)
    with copies_for(
        request, settings, lambda: find_wanted(pool, read_sources((request.source,), limit))
    ) as wanted:
        Cleaner(pool, settings, tally, wanted).clean(source, output, kind)
    tally.print()
    return 1 if tally.failed else 0


@contextmanager
def copies_for(
    request: CleanRequest, settings: Settings, find: Callable[[], WantedCopies]
) -> Iterator[WantedCopies]:
    """Have the wanted copies made around the block, if that was asked for. Raises UnusableError."""
    mode = mode_of(request, settings)
    if not request.fetch or mode is CopyMode.NONE:
        yield WantedCopies()
        return
    if not settings.fetch.enabled:
        raise UnusableError("--fetch: fetching is switched off ([fetch] enabled = false)")
    from mailveil.commands.fetching import fetched_copies, hosted_copies

    wanted = find()
    ask_consent(wanted, settings, assume_yes=request.assume_yes)
    if mode is CopyMode.HOSTED:
        with hosted_copies(settings, wanted.all()):
            yield wanted
        return
    with fetched_copies(settings, wanted.all()) as at_hand:
        wanted.at_hand = at_hand
        yield wanted


def clean_standard_input(request: CleanRequest, settings: Settings, pool: WorkerPool) -> int:
    """Clean the message on standard input. Nothing is written before all of it is known to be silent.

    Raises UnusableError, OriginalError, OSError.
    """
    stored = read_one_message(settings.gateway.max_message_bytes)
    if isinstance(stored, Unreadable):
        raise UnusableError(f"{stored.path}: {stored.reason}")
    with copies_for(request, settings, lambda: find_wanted(pool, (stored,))) as wanted:
        job = Job(stored.raw, None, stored.path, copies=wanted.of(stored.path))
        result = pool.submit(job).result()
        if isinstance(result, Failure):
            raise UnusableError(f"could not be examined: {result}")
        whole = both_readings(pool, stored, result)
    if result.keep_original:
        keep_original(stored, result, settings)
    if request.output == STANDARD_INPUT:
        sys.stdout.buffer.write(whole)
        sys.stdout.buffer.flush()
    else:
        write_file(Path(request.output), whole, None)
    if request.as_json:
        print(json.dumps(what_was_done(result, stored.path, request.output)), file=sys.stderr)
    return 0


def keep_original(stored: Stored, answer: Answer, settings: Settings) -> None:
    """Keep what a pipe would otherwise lose: the message as it came. Raises OriginalError."""
    record = answer.record
    reason = "signature taken off" if answer.unsigned else "parts made inert text"
    facts = OriginalFacts(record["message_id"], record["from"], (), record["subject"], reason)
    name = open_originals(settings).keep(stored.raw, facts)
    note(f"original kept as {name} ({reason}); mailveil release {name} --reason … brings it back")
