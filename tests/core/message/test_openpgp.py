from __future__ import annotations

import bz2
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from containers import CIPHERTEXT, PKESK, SEIPD, armoured, literal, need, packet, partial_packet, run
from mailveil.core.message.edits import splice
from mailveil.core.message.openpgp import (
    OpenPgpKind,
    encode_edits,
    examine_openpgp,
    key_fingerprints,
    open_openpgp,
    read_packets,
    signature_issuers,
)
from mailveil.core.message.types import Defect, Edit, Source

HTML = b'Content-Type: text/html\r\n\r\n<img src="http://tracker.example/x.gif">\r\n'
SKESK = packet(3, b"\4\x09\3\x08" + CIPHERTEXT[:9])


def deflated(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


@pytest.mark.parametrize(
    "data",
    [
        PKESK + SEIPD,
        PKESK + PKESK + SKESK + SEIPD,
        SKESK + packet(9, CIPHERTEXT),
        packet(10, b"PGP") + PKESK + SEIPD,
        PKESK + packet(20, b"\1" + CIPHERTEXT),
        PKESK + partial_packet(18, b"\1" + CIPHERTEXT * 3),
        armoured(PKESK + SEIPD),
        armoured(PKESK + SEIPD, b"Version: GnuPG v2\nComment: read it\n"),
        b"\r\n" + armoured(PKESK + SEIPD).replace(b"\n", b"\r\n") + b"\r\n\r\n",
    ],
)
def test_ciphertext_is_ciphertext(data: bytes) -> None:
    assert examine_openpgp(data) is OpenPgpKind.ENCRYPTED


DISGUISES: dict[str, bytes] = {
    "html": HTML,
    "version only": b"Version: 1\r\n",
    "literal packet": literal(HTML),
    "literal packet after a key": PKESK + literal(HTML),
    "literal packet behind": PKESK + SEIPD + literal(HTML),
    "literal packet before": literal(HTML) + PKESK + SEIPD,
    "compressed packet": packet(8, b"\1" + deflated(literal(HTML))),
    "compressed packet after a key": PKESK + packet(8, b"\2" + zlib.compress(literal(HTML))),
    "html behind": PKESK + SEIPD + HTML,
    "html before": HTML + PKESK + SEIPD,
    "html in the place of ciphertext": PKESK + packet(18, b"\1" + HTML),
    "html amid ciphertext": PKESK + packet(18, b"\1" + CIPHERTEXT + HTML + CIPHERTEXT),
    "no session key": SEIPD,
    "no ciphertext": PKESK,
    "two ciphertexts": PKESK + SEIPD + SEIPD,
    "cut off": (PKESK + SEIPD)[:-1],
    "unknown version": PKESK + packet(18, b"\x77" + CIPHERTEXT),
    "an armour with nothing": armoured(b""),
    "an armour with no packets": armoured(b"hello, world"),
    "an armour without end": armoured(PKESK + SEIPD).split(b"-----END")[0],
    "html behind the armour": armoured(PKESK + SEIPD) + HTML,
    "html before the armour": HTML + armoured(PKESK + SEIPD),
    "html behind its first line": b"-----BEGIN PGP MESSAGE-----\n\n" + HTML,
    "html in the armour's header": armoured(PKESK + SEIPD, b"Comment: <img src=http://tracker.example/>\n"),
    "an unknown armour field": armoured(PKESK + SEIPD, b"X-Thing: y\n"),
    "html in the armour": armoured(PKESK + SEIPD).replace(b"\n\n", b"\n\n<img src=x>\n"),
    "another label": armoured(PKESK + SEIPD, label=b"PUBLIC KEY BLOCK"),
    "two armours": armoured(PKESK + SEIPD) * 2,
    "empty": b"",
}


@pytest.mark.parametrize("name", DISGUISES)
def test_a_disguise_is_no_ciphertext(name: str) -> None:
    assert examine_openpgp(DISGUISES[name]) is not OpenPgpKind.ENCRYPTED


def test_old_lengths_are_read() -> None:
    body = b"\3" + CIPHERTEXT[:100]
    old = bytes((0x80 | 1 << 2, len(body))) + body
    two = bytes((0x80 | 1 << 2 | 1,)) + len(body).to_bytes(2, "big") + body
    four = bytes((0x80 | 1 << 2 | 2,)) + len(body).to_bytes(4, "big") + body
    rest = bytes((0x80 | 9 << 2 | 3,)) + CIPHERTEXT
    packets, whole = read_packets(old + two + four + rest)
    assert whole
    assert [found.tag for found in packets] == [1, 1, 1, 9]
    assert packets[1].body == body
    assert examine_openpgp(old + rest) is OpenPgpKind.ENCRYPTED


@pytest.mark.parametrize(
    "wrapped",
    [
        literal(HTML),
        packet(8, b"\0" + literal(HTML)),
        packet(8, b"\1" + deflated(literal(HTML))),
        packet(8, b"\2" + zlib.compress(literal(HTML))),
        packet(8, b"\3" + bz2.compress(literal(HTML))),
        packet(8, b"\2" + zlib.compress(packet(8, b"\1" + deflated(literal(HTML))))),
        partial_packet(11, b"b\0\0\0\0\0" + HTML * 1)[:0] + literal(HTML),
        packet(4, b"\3" + bytes(12)) + literal(HTML) + packet(2, b"\4" + bytes(20)),
    ],
)
@pytest.mark.parametrize("armour", [False, True])
def test_what_needs_no_key_is_read_and_written_back(wrapped: bytes, armour: bool) -> None:
    data = b"before\n" + armoured(wrapped) + b"after" if armour else wrapped
    within = Source(data)
    ((media_type, source),), defects = open_openpgp(within)
    assert (media_type, source.data, defects) == ("message/rfc822", HTML, [])
    at = HTML.index(b"http")
    out = splice(data, encode_edits(source, [Edit(at, at + 4, b"data")]))
    ((_, again),), _ = open_openpgp(Source(out))
    assert again.data == HTML.replace(b"http", b"data")
    if armour:
        assert out.startswith(b"before\n-----BEGIN PGP MESSAGE-----\n")
        assert out.endswith(b"-----END PGP MESSAGE-----\nafter")


def test_every_block_of_a_text_is_opened() -> None:
    data = (
        b"one\n"
        + armoured(literal(b"first"))
        + b"two\n"
        + armoured(PKESK + SEIPD)
        + armoured(literal(b"last"))
    )
    contents, defects = open_openpgp(Source(data))
    assert ([source.data for _, source in contents], defects) == ([b"first", b"last"], [])
    out = splice(data, [edit for _, source in contents for edit in encode_edits(source, [Edit(0, 0, b"X")])])
    assert [source.data for _, source in open_openpgp(Source(out))[0]] == [b"Xfirst", b"Xlast"]
    assert open_openpgp(Source(armoured(literal(b"a")) * 101))[1] == [Defect.TOO_MANY_PARTS]


def test_bombs_stay_closed() -> None:
    bomb = packet(8, b"\2" + zlib.compress(literal(bytes(5_000_000))))
    assert open_openpgp(Source(bomb), max_bytes=100_000) == ([], [Defect.TOO_LARGE])
    nested = literal(HTML)
    for _ in range(9):
        nested = packet(8, b"\2" + zlib.compress(nested))
    assert open_openpgp(Source(nested)) == ([], [Defect.TOO_DEEP])
    quine = packet(8, b"\3" + b"no bzip2")
    assert open_openpgp(Source(quine)) == ([], [Defect.MALFORMED_CONTAINER])


@pytest.fixture(scope="module")
def gpg(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., bytes]]:
    program = need("gpg")
    folder = tmp_path_factory.mktemp("gpg")
    folder.chmod(0o700)
    (folder / "gpg-agent.conf").write_text("s2k-count 65536\n")

    def call(*arguments: str, stdin: bytes = b"") -> bytes:
        return run(
            program,
            "--batch",
            "--yes",
            "--quiet",
            "--trust-model",
            "always",
            "--passphrase",
            "x",
            "--pinentry-mode",
            "loopback",
            *arguments,
            cwd=folder,
            stdin=stdin,
            GNUPGHOME=str(folder),
        )

    call("--quick-gen-key", "Bob <bob@example.org>", "ed25519", "default", "never")
    call("--quick-add-key", fingerprint(call), "cv25519", "encr")
    yield call
    run(need("gpgconf"), "--kill", "gpg-agent", cwd=folder, GNUPGHOME=str(folder))


def fingerprint(gpg: Callable[..., bytes]) -> str:
    listed = gpg("--with-colons", "--list-keys", "bob@example.org").decode()
    return next(line.split(":")[9] for line in listed.splitlines() if line.startswith("fpr"))


@pytest.mark.parametrize(
    ("arguments", "kind"),
    [
        ("-e -r bob@example.org", OpenPgpKind.ENCRYPTED),
        ("-a -e -r bob@example.org", OpenPgpKind.ENCRYPTED),
        ("-a -s -e -r bob@example.org", OpenPgpKind.ENCRYPTED),
        ("-c --s2k-count 1024", OpenPgpKind.ENCRYPTED),
        ("--store", OpenPgpKind.LITERAL),
        ("-a --store", OpenPgpKind.LITERAL),
        ("-s -z 0", OpenPgpKind.SIGNED),
        ("-s", OpenPgpKind.COMPRESSED),
        ("-a -b", OpenPgpKind.SIGNATURE),
        ("-b", OpenPgpKind.SIGNATURE),
        ("--clearsign", OpenPgpKind.CLEARTEXT),
        ("-a --export", OpenPgpKind.KEY),
    ],
)
def test_what_gnupg_makes(arguments: str, kind: OpenPgpKind, gpg: Callable[..., bytes]) -> None:
    options = arguments.split()
    if "--store" in options:
        options += ["-z", "0"]
    data = gpg(*options, stdin=HTML * 300)
    assert examine_openpgp(data) is kind
    contents, _ = open_openpgp(Source(data))
    readable = kind in (OpenPgpKind.LITERAL, OpenPgpKind.SIGNED, OpenPgpKind.COMPRESSED)
    assert [source.data for _, source in contents] == ([HTML * 300] if readable else [])
    if kind in (OpenPgpKind.SIGNATURE, OpenPgpKind.CLEARTEXT, OpenPgpKind.SIGNED):
        assert signature_issuers(data)[0].upper() in fingerprint(gpg)
    if kind is OpenPgpKind.KEY:
        assert key_fingerprints(data)[0].upper() == fingerprint(gpg)
        assert len(key_fingerprints(data)) == 2


def test_gnupg_reads_what_is_written_back(gpg: Callable[..., bytes], tmp_path: Path) -> None:
    for options in (["-a", "-s"], ["-s"]):
        data = gpg(*options, stdin=HTML)
        ((_, source),), _ = open_openpgp(Source(data))
        out = splice(data, encode_edits(source, [Edit(0, 0, b"X-Clean: yes\r\n")]))
        assert gpg("-d", stdin=out) == b"X-Clean: yes\r\n" + HTML


PIECES = st.lists(
    st.sampled_from(
        [
            PKESK,
            SEIPD,
            literal(HTML),
            armoured(PKESK),
            b"-----BEGIN PGP MESSAGE-----\n\n",
            b"\n\n",
            b"-----END PGP MESSAGE-----",
            packet(8, b"\1" + deflated(literal(HTML))),
            b"\xa3",
            b"\xe0",
            b"\xc0",
            packet(2, b"\4\0\0\0\0\xff" + bytes(9)),
            packet(2, b"\4"),
            packet(11, b"b"),
            b"\xff\xff",
        ]
    )
    | st.binary(max_size=9),
    max_size=12,
).map(b"".join)


@settings(max_examples=250)
@given(PIECES)
def test_any_bytes_give_an_answer(data: bytes) -> None:
    kind = examine_openpgp(data)
    contents, _ = open_openpgp(Source(data), max_bytes=10_000)
    if kind is OpenPgpKind.ENCRYPTED:
        assert contents == []
    for _, source in contents:
        splice(data, encode_edits(source, [Edit(0, 1, b"")]))
    signature_issuers(data)
    key_fingerprints(data)


@pytest.mark.parametrize(
    "piece",
    [
        b"-----BEGIN PGP ",
        b"-----BEGIN PGP MESSAGE-----\n",
        b"\xcb\0",
        b"\xcb\xe0x",
        b"\xc8\1\0",
        b"-----END PGP ",
        b"\n",
        b"\xc2\x05\4\0\0\0\0",
    ],
)
def test_time_is_linear(piece: bytes) -> None:
    data = piece * (300_000 // len(piece))
    start = time.perf_counter()
    for tried in (data, armoured(PKESK) + data, b"-----BEGIN PGP MESSAGE-----\n" + data):
        examine_openpgp(tried)
        open_openpgp(Source(tried))
        signature_issuers(tried)
    assert time.perf_counter() - start < 1.5
