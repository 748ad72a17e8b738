"""The command line as a user meets it: what comes out, where, and with which exit code."""

from __future__ import annotations

import contextlib
import fcntl
import io
import json
import mailbox
import os
import signal
import stat
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mailveil import __version__
from mailveil.cli import invoke, run
from mailveil.cli.mail import widen
from mailveil.commands.scan import matches
from mailveil.config import default_text

URL = "http://tracker.example/open?id=1"
REMOTE = (
    b"From: News <news@shop.example>\r\nTo: reader@example.org\r\nSubject: Sale\r\n"
    b"Message-ID: <1@shop.example>\r\n"
    b"Content-Type: text/html\r\n\r\n"
    b'<p>Hello <img src="http://tracker.example/open?id=1" width=1 height=1></p>\r\n'
)
PLAIN = b"From: a@b.example\nSubject: plain\n\nnothing remote\n"
FROM = b"From a@b.example Thu Jan  1 00:00:00 2026\n"
MAILVEIL = (sys.executable, "-m", "mailveil")
KEYS = {"path", "message_id", "from", "subject", "bytes", "defects", "risk", "references"}
REFERENCE_KEYS = {
    "url", "vector", "part", "span", "verdict", "kind", "score", "kinds", "risk", "reasons", "signals",
    "operator", "action",
}  # fmt: skip


@dataclass
class Ended:
    code: int
    out: str
    raw: bytes
    err: str

    @property
    def records(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]


Mailveil = Callable[..., Ended]


class Standard:
    """A standard stream with bytes behind it."""

    def __init__(self, content: bytes = b"") -> None:
        self.buffer = io.BytesIO(content)

    def isatty(self) -> bool:
        return False


@pytest.fixture
def mailveil(monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]) -> Mailveil:
    def call(*arguments: object, stdin: bytes = b"") -> Ended:
        monkeypatch.setattr(sys, "stdin", Standard(stdin))
        with pytest.raises(SystemExit) as ended:
            run(lambda: invoke([str(each) for each in arguments]))
        out, err = capfdbinary.readouterr()
        assert isinstance(ended.value.code, int)
        return Ended(ended.value.code, out.decode("utf-8", "replace"), out, err.decode("utf-8", "replace"))

    return call


@pytest.fixture
def box(tmp_path: Path) -> Path:
    """A folder with mail of every kind."""
    root = tmp_path / "box"
    for name in (
        "Maildir/cur",
        "Maildir/new",
        "Maildir/tmp",
        "Maildir/.Sent/cur",
        "Maildir/.Sent/new",
        "sub",
    ):
        (root / name).mkdir(parents=True)
    (root / "Maildir/cur/1.host:2,RS").write_bytes(REMOTE)
    (root / "Maildir/new/2.host").write_bytes(PLAIN)
    (root / "Maildir/tmp/3.host").write_bytes(PLAIN)
    (root / "Maildir/.Sent/cur/4.host:2,").write_bytes(PLAIN)
    (root / "Maildir/dovecot.index").write_bytes(b"\0")
    (root / "sub/a.eml").write_bytes(REMOTE)
    (root / "sub/notes.txt").write_bytes(b"notes\r\n\xff")
    (root / "archive.mbox").write_bytes(FROM + PLAIN + b"\n" + FROM + REMOTE.replace(b"\r\n", b"\n") + b"\n")
    (root / "sub/a.eml").chmod(0o640)
    os.utime(root / "sub/a.eml", (1_000_000_000, 1_000_000_001))
    return root


# --- scan ------------------------------------------------------------------------------------------------


def test_scan_json_has_the_keys_that_are_promised(mailveil: Mailveil, box: Path) -> None:
    ended = mailveil("scan", "--json", box / "sub/a.eml")
    assert ended.code == 0
    (record,) = ended.records
    assert set(record) == KEYS
    assert record["path"] == str(box / "sub/a.eml")
    assert (record["message_id"], record["subject"]) == ("<1@shop.example>", "Sale")
    (reference,) = record["references"]
    assert set(reference) == REFERENCE_KEYS
    assert reference["url"] == URL
    start, end = reference["span"]
    assert REMOTE[start:end] == URL.encode()
    assert reference["verdict"] == "tracker"
    assert 0 <= reference["score"] <= 1
    assert (reference["kinds"], reference["risk"]) == (["open"], "medium")
    assert {"signal", "weight", "words"} == set(reference["reasons"][0])


def test_scan_finds_every_message_of_a_folder(mailveil: Mailveil, box: Path) -> None:
    ended = mailveil("scan", "--json", box)
    assert ended.code == 0, ended.err
    assert sorted(record["path"].removeprefix(f"{box}/") for record in ended.records) == [
        "Maildir/.Sent/cur/4.host:2,",
        "Maildir/cur/1.host:2,RS",
        "Maildir/new/2.host",
        "archive.mbox#1",
        "archive.mbox#2",
        "sub/a.eml",
    ]


def test_scan_table_and_summary(mailveil: Mailveil, box: Path) -> None:
    ended = mailveil("scan", box)
    assert ended.code == 0
    assert "3 (3 references)" in ended.out
    assert "with trackers        3 (3 trackers)" in ended.out
    assert "tracker.example (3)" in ended.out
    assert "made anew by the mail server: 1, unfinished delivery: 1, no mail: 1" in ended.out
    assert ended.err == ""


def test_scan_one_message_in_detail(mailveil: Mailveil, box: Path) -> None:
    ended = mailveil("scan", box / "sub/a.eml")
    assert URL in ended.out
    assert "the picture is one pixel" in " ".join(ended.out.split())
    assert "tracker open" in ended.out
    assert "risk" in ended.out


@pytest.mark.parametrize("stdin", [PLAIN, REMOTE])
def test_scan_standard_input(mailveil: Mailveil, stdin: bytes) -> None:
    (record,) = mailveil("scan", "--json", "-", stdin=stdin).records
    assert record["path"] == "-"
    assert record["bytes"] == len(stdin)


def test_scan_mbox_on_standard_input(mailveil: Mailveil, box: Path) -> None:
    ended = mailveil("scan", "--json", "-", stdin=(box / "archive.mbox").read_bytes())
    assert [record["path"] for record in ended.records] == ["-#1", "-#2"]


def test_scan_fail_on(mailveil: Mailveil, box: Path) -> None:
    assert mailveil("scan", "--json", "--fail-on", "tracker", box).code == 1
    assert mailveil("scan", "--json", "--fail-on", "tracker", box / "Maildir/new/2.host").code == 0


def test_what_fail_on_matches() -> None:
    def record(risk: str, *verdicts: str) -> dict[str, Any]:
        return {"risk": risk, "references": [{"verdict": verdict} for verdict in verdicts]}

    assert matches(record("low", "content"), frozenset({"remote"}))
    assert not matches(record("none"), frozenset({"remote"}))
    assert matches(record("medium", "content", "tracker"), frozenset({"tracker"}))
    assert not matches(record("low", "content"), frozenset({"tracker"}))
    assert matches(record("high", "tracker"), widen(["risk=medium"]))
    assert not matches(record("low", "content"), widen(["risk=medium"]))
    assert not matches(record("high", "tracker"), widen([]))


@pytest.mark.parametrize("name", ["nowhere.eml", "sub/notes.txt", "Maildir/dovecot.index"])
def test_scan_of_something_unusable_is_2_and_the_rest_goes_on(
    mailveil: Mailveil, box: Path, name: str
) -> None:
    ended = mailveil("scan", "--json", box / name, box / "sub/a.eml")
    assert ended.code == 2
    assert name in ended.err
    assert len(ended.records) == 1


def test_scan_without_path_is_usage(mailveil: Mailveil) -> None:
    ended = mailveil("scan")
    assert ended.code == 2
    assert "PATH" in ended.err


def test_hostile_mail_cannot_speak_to_the_terminal(mailveil: Mailveil, tmp_path: Path) -> None:
    name = tmp_path / "a\x1b]0;owned\x07.eml"
    name.write_bytes(
        b"From: \x1b[2J\xe2\x80\xae@evil.example\nSubject: [red]\x9b31m\rfake\nContent-Type: text/html\n\n"
        b'<img src="http://evil.example/\x1b[31m\xc2\x9b/[bold]x">\n'
    )
    for arguments in ([name], ["--all", name, name], ["--json", name]):
        ended = mailveil("scan", *arguments)
        assert ended.code == 0
        shown = ended.out.replace("\n", "")
        assert shown.isprintable(), repr(shown)
        assert "[red]" in shown or "--all" in arguments


def test_scan_contacts_nobody(box: Path) -> None:
    """Under strace-like scrutiny by Python itself: no socket is ever made in any process."""
    script = (
        "import sys, socket; sys.addaudithook(lambda event, _: event.startswith('socket.') and sys.exit(9));"
        "from mailveil.__main__ import main; sys.argv[1:] = ['scan', '--json', sys.argv[1]]; main()"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script, str(box)], capture_output=True, check=False, timeout=60
    )
    assert ended.returncode == 0, ended.stderr
    assert URL.encode() in ended.stdout


def test_scan_of_an_empty_pipe_is_no_success(mailveil: Mailveil) -> None:
    ended = mailveil("scan", "--fail-on", "tracker", "-")
    assert ended.code == 2
    assert "mailveil: -: empty" in ended.err


def test_scan_into_a_full_disk_says_so_and_does_not_look_like_a_match(box: Path) -> None:
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(
            [*MAILVEIL, "scan", box / "sub/a.eml"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert ended.returncode == 2
    assert ended.stderr == "mailveil: No space left on device\n"


def test_scan_with_an_unsafe_key_says_so_and_does_not_look_like_a_match(
    mailveil: Mailveil, box: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAILVEIL_STORAGE__DIRECTORY", str(tmp_path))
    (tmp_path / "copies.key").write_bytes(bytes(32))
    (tmp_path / "copies.key").chmod(0o644)
    ended = mailveil("scan", box / "sub/a.eml")
    assert ended.code == 2
    assert "can be read by others" in ended.err
    assert not ended.out


# --- clean -----------------------------------------------------------------------------------------------


def test_clean_message_changes_nothing_but_the_reference(
    mailveil: Mailveil, box: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out.eml"
    ended = mailveil("clean", box / "sub/a.eml", "-o", output)
    assert ended.code == 0, ended.err
    before, after = REMOTE.split(URL.encode())
    cleaned = output.read_bytes()
    assert cleaned.startswith(before)
    assert cleaned.endswith(after)
    assert b"http" not in cleaned
    assert stat.S_IMODE(output.stat().st_mode) == 0o640
    assert output.stat().st_mtime == 1_000_000_001


def test_clean_folder_keeps_names_and_other_files(mailveil: Mailveil, box: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    ended = mailveil("clean", "--json", box, "-o", output, "-j", "2")
    assert ended.code == 0, ended.err
    names = {str(each.relative_to(output)) for each in output.rglob("*") if each.is_file()}
    assert names == {
        "Maildir/cur/1.host:2,RS", "Maildir/new/2.host", "Maildir/.Sent/cur/4.host:2,",
        "sub/a.eml", "sub/notes.txt", "archive.mbox",
    }  # fmt: skip
    assert (output / "Maildir/tmp").is_dir(), "without tmp it would be no Maildir"
    assert (output / "sub/notes.txt").read_bytes() == b"notes\r\n\xff"
    assert (output / "Maildir/new/2.host").read_bytes() == PLAIN
    assert all(b"http" not in (output / name).read_bytes() for name in names)
    with contextlib.closing(mailbox.mbox(output / "archive.mbox")) as archive:
        assert len(archive) == 2
    assert "1 file without mail copied unchanged" in ended.err
    assert {record["changed"] for record in ended.records} == {True, False}
    assert {"path", "output", "changed", "bytes", "output_bytes", "references", "trackers"} <= set(
        ended.records[0]
    )
    assert mailveil("scan", "--fail-on", "remote", output).code == 0


def test_clean_mbox_keeps_every_other_byte(mailveil: Mailveil, box: Path, tmp_path: Path) -> None:
    source = box / "archive.mbox"
    assert mailveil("clean", source, "-o", tmp_path / "out").code == 0
    before, after = source.read_bytes().split(URL.encode())
    cleaned = (tmp_path / "out").read_bytes()
    assert cleaned.startswith(before)
    assert cleaned.endswith(after)


def test_clean_twice_is_clean_once(mailveil: Mailveil, box: Path, tmp_path: Path) -> None:
    mailveil("clean", box, "-o", tmp_path / "once")
    mailveil("clean", tmp_path / "once", "-o", tmp_path / "twice")
    for once in (tmp_path / "once").rglob("*"):
        if once.is_file():
            assert (
                tmp_path / "twice" / once.relative_to(tmp_path / "once")
            ).read_bytes() == once.read_bytes()


def test_clean_pipe(mailveil: Mailveil) -> None:
    for arguments in (["clean"], ["clean", "-", "-o", "-"]):
        ended = mailveil(*arguments, stdin=FROM + REMOTE)
        assert ended.code == 0, ended.err
        assert ended.raw.startswith(FROM + REMOTE.split(URL.encode())[0])
        assert b"http" not in ended.raw
        assert ended.err == ""


def test_clean_pipe_with_nothing_to_do_is_byte_identical(mailveil: Mailveil) -> None:
    assert mailveil("clean", stdin=PLAIN).raw == PLAIN
    assert mailveil("clean", stdin=b"").raw == b""


def test_clean_pipe_names_the_file_that_is_in_the_way(
    mailveil: Mailveil, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = tmp_path / ("x" * 300)  # longer than a name may be
    monkeypatch.setenv("MAILVEIL_STORAGE__DIRECTORY", str(directory))
    ended = mailveil("clean", stdin=REMOTE)
    assert (ended.code, ended.out) == (75, "")
    assert ended.err.startswith(f"mailveil: {directory}")


def test_clean_pipe_is_silent_for_readers_of_mbox_too(mailveil: Mailveil) -> None:
    hidden = b"Content-Type: text/plain\n\ntext\n\nFrom x\n" + REMOTE.replace(b"\r\n", b"\n")
    ended = mailveil("clean", stdin=hidden)
    assert ended.code == 0
    assert b"http" not in ended.raw
    assert ended.raw.startswith(b"Content-Type: text/plain\n\ntext\n\nFrom x\nFrom: News")


@pytest.mark.parametrize(
    "break_it",
    [
        pytest.param({"MAILVEIL_GATEWAY__LISTN": "x"}, id="configuration"),
        pytest.param({"MAILVEIL_GATEWAY__MAX_MESSAGE_BYTES": "1024"}, id="too-large"),
        pytest.param({"MAILVEIL_CONFIG": "/nonexistent"}, id="no-file"),
    ],
)
def test_clean_pipe_in_trouble_says_try_again(
    mailveil: Mailveil, monkeypatch: pytest.MonkeyPatch, break_it: dict[str, str]
) -> None:
    for name, value in break_it.items():
        monkeypatch.setenv(name, value)
    ended = mailveil("clean", stdin=REMOTE + b"x" * 2000)
    assert (ended.code, ended.raw) == (75, b"")
    assert ended.err


def test_clean_pipe_whose_worker_dies_says_try_again(
    mailveil: Mailveil, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mailveil.adapters.workers.WORKER_COMMAND", ("/bin/false",))
    monkeypatch.setattr(
        "mailveil.adapters.workers.WorkerPool.__init__.__kwdefaults__",
        {"processes": 1, "max_bytes": 2 << 30, "timeout_s": 5, "command": ("/bin/false",)},
    )
    ended = mailveil("clean", stdin=REMOTE)
    assert (ended.code, ended.raw) == (75, b"")
    assert "could not be examined: not-started: crashed" in ended.err


def test_clean_names_a_failure_and_goes_on(
    mailveil: Mailveil, monkeypatch: pytest.MonkeyPatch, box: Path, tmp_path: Path
) -> None:
    monkeypatch.setenv("MAILVEIL_GATEWAY__MAX_MESSAGE_BYTES", "1024")
    (box / "sub/large.eml").write_bytes(REMOTE + b"x" * 2000)
    ended = mailveil("clean", "--json", box, "-o", tmp_path / "out")
    assert ended.code == 1
    assert "sub/large.eml: larger than 1,024 bytes" in ended.err
    assert not (tmp_path / "out/sub/large.eml").exists(), "what is not known to be silent is not written"
    assert (tmp_path / "out/sub/a.eml").exists()
    assert [record["path"] for record in ended.records if "error" in record] == [str(box / "sub/large.eml")]


def test_clean_refuses_what_would_endanger_something(mailveil: Mailveil, box: Path, tmp_path: Path) -> None:
    (tmp_path / "there").write_bytes(b"precious")
    (tmp_path / "full").mkdir()
    (tmp_path / "full/x").write_bytes(b"precious")
    (tmp_path / "link").symlink_to(box)
    attempts = [
        (box, box / "sub", "lies inside the input"),
        (box, box, "is the input itself"),
        (box, tmp_path / "link", "is the input itself"),
        (box, box / "out", "lies inside the input"),
        (box, tmp_path, "holds the input"),
        (box / "sub/a.eml", tmp_path / "there", "exists already"),
        (box / "sub/a.eml", tmp_path / "full", "must be a file"),
        (box, tmp_path / "there", "must be a folder"),
        (box, tmp_path / "full", "exists already"),
        (box, tmp_path / "no/where", "there is no folder"),
        (box / "nowhere", tmp_path / "out", "No such file"),
        (box / "sub/notes.txt", tmp_path / "out", "no mail"),
        (box / "sub/a.eml", "-", "only standard input"),
    ]
    for source, output, reason in attempts:
        ended = mailveil("clean", source, "-o", output)
        assert ended.code == 2, (source, output)
        assert reason in ended.err
    assert mailveil("clean", box).code == 2
    assert (tmp_path / "there").read_bytes() == b"precious"
    assert mailveil("clean", box / "sub/a.eml", "-o", tmp_path / "there", "--force").code == 0
    assert b"Subject: Sale" in (tmp_path / "there").read_bytes()
    (tmp_path / "empty").mkdir()
    assert mailveil("clean", box, "-o", tmp_path / "empty").code == 0


def test_clean_hosted(mailveil: Mailveil, box: Path, tmp_path: Path) -> None:
    url = "https://copies.example.org"
    assert (
        mailveil("clean", box / "sub/a.eml", "-o", tmp_path / "out.eml", "--copies-url", url + ":443/").code
        == 0
    )
    cleaned = (tmp_path / "out.eml").read_bytes()
    assert cleaned.count(b'src="https://copies.example.org/c/') == 1
    again = mailveil("clean", tmp_path / "out.eml", "-o", tmp_path / "again.eml", "--copies-url", url)
    assert again.code == 0
    assert (tmp_path / "again.eml").read_bytes() == cleaned, "our own addresses are known by their key"
    key = Path(os.environ["XDG_STATE_HOME"]) / "mailveil/copies.key"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    for wrong in ("copies.example.org", "https://copies.example.org/x", "https://[::1]"):
        assert mailveil("clean", "--copies-url", wrong, "-o", tmp_path / "x", box / "sub/a.eml").code == 2


def test_clean_without_copies_makes_no_state(
    mailveil: Mailveil, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    assert mailveil("clean", stdin=REMOTE).code == 0
    assert not (tmp_path / "state").exists()


def test_clean_fetch_is_refused_where_fetching_is_off(
    mailveil: Mailveil, monkeypatch: pytest.MonkeyPatch, box: Path, tmp_path: Path
) -> None:
    monkeypatch.setenv("MAILVEIL_FETCH__ENABLED", "false")
    ended = mailveil("clean", "--fetch", box / "sub/a.eml", "-o", tmp_path / "out.eml")
    assert ended.code == 2
    assert "fetching is switched off" in ended.err


def test_clean_maildir_of_others_by_its_owner(mailveil: Mailveil, box: Path, tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root may give files away")
    os.chown(box / "sub/a.eml", 65_534, 65_534)
    assert mailveil("clean", box / "sub/a.eml", "-o", tmp_path / "out.eml").code == 0
    assert (tmp_path / "out.eml").stat().st_uid == 65_534


# --- the rest --------------------------------------------------------------------------------------------


def test_version(mailveil: Mailveil) -> None:
    assert mailveil("--version").out == f"mailveil {__version__}\n"


def test_config(mailveil: Mailveil, monkeypatch: pytest.MonkeyPatch) -> None:
    assert mailveil("config", "--default").out == default_text()
    monkeypatch.setenv("MAILVEIL_GATEWAY__LISTEN", "127.0.0.1:2526")
    out = mailveil("config").out
    assert 'listen = "127.0.0.1:2526"' in out
    assert "# environment MAILVEIL_GATEWAY__LISTEN" in out
    assert "[copies]" in out


def test_wrong_configuration_is_refused(mailveil: Mailveil, tmp_path: Path, box: Path) -> None:
    (tmp_path / "m.toml").write_text("[gateway]\nlistn = 1\n")
    ended = mailveil("--config", tmp_path / "m.toml", "scan", box)
    assert ended.code == 2
    assert "m.toml:2: [gateway] listn is no setting; did you mean listen?" in ended.err


def test_unknown_role(mailveil: Mailveil) -> None:
    ended = mailveil("serve", "--role", "gateway,cook")
    assert ended.code == 2
    assert "'cook' is none of gateway, copies, fetcher, console" in ended.err


def test_the_old_name_of_a_role_leads_to_the_new_one(mailveil: Mailveil) -> None:
    ended = mailveil("serve", "--role", "status")
    assert ended.code == 2
    assert "'status' is called 'console' now" in ended.err


def test_check_tells_of_every_listener(mailveil: Mailveil) -> None:
    ended = mailveil("check")
    for name in ("storage:", "next hop:", "gateway:", "copies:", "console:"):
        assert name in ended.out


def test_release_lists_nothing_and_knows_no_stranger(mailveil: Mailveil) -> None:
    assert "No originals are kept" in mailveil("release").out
    ended = mailveil("release", "nonsense")
    assert ended.code == 2
    assert "nonsense" in ended.err


def test_a_trial_goes_to_no_address_that_could_end_a_command(mailveil: Mailveil) -> None:
    for address in ("nobody", "you@example.org\r\nDATA", "<you@example.org>", "you @example.org"):
        ended = mailveil("try", "--server", "127.0.0.1:1", "--to", address)
        assert ended.code == 2
        assert "is no address" in ended.err


def test_recipes_are_printed_for_pasting(mailveil: Mailveil) -> None:
    ended = mailveil("recipes")
    assert ended.code == 0
    assert 'postconf -e "smtpd_milters=' in ended.out
    assert "content_filter=mailveil:" in ended.out


def test_broken_pipe_ends_quietly(box: Path) -> None:
    command = [*MAILVEIL, "scan", "--json", *[str(box)] * 200]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline()
        process.stdout.close()
        complaints = process.stderr.read()
    assert process.returncode == 141
    assert complaints == b""


def test_interrupt_ends_quietly() -> None:
    with subprocess.Popen(
        [*MAILVEIL, "scan", "-"],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # Whoever runs the tests in the background has this signal ignored, and so would the program.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509  # no threads here
    ) as process:
        assert process.stdin is not None
        assert process.stderr is not None
        # More than a pipe holds: once it is written, the program reads; once the pipe is empty, it waits for more.
        process.stdin.write(b"Subject: unfinished\n" + b"X: x\n" * 100_000)
        process.stdin.flush()
        while int.from_bytes(fcntl.ioctl(process.stdin, termios.FIONREAD, bytes(4)), sys.byteorder):
            time.sleep(0.01)
        # Python looks for signals where a read is interrupted, not between two of them.
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        complaints = process.stderr.read()
    assert process.returncode == 130
    assert complaints == b""
