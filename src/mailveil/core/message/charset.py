"""Charset: the characters of a text body, in every way that clients may take them from its bytes.

Nearly every charset of mail agrees with ASCII below 0x80. Such a body is searched as latin-1, one character a
byte, whatever the charset. Only where a client may see other ASCII characters than stand there as bytes is
there a further reading, with a map back to the bytes.
"""

from __future__ import annotations

import binascii
import codecs
import re
import sys
from array import array
from collections.abc import Sequence

from mailveil.core.message.charset_names import EBCDIC, LEAD_BYTES, SHIFTED, WIDE, codec_of
from mailveil.core.message.media_type import parse_content_type
from mailveil.core.message.text import Text
from mailveil.core.message.types import Defect, Part, Source

OPENING_BYTES = 4096  # how far clients look for a declaration within the document; most stop after 1024

_BYTE_ORDER_MARKS = (
    (b"\xef\xbb\xbf", "utf-8"),
    (b"\xff\xfe\0\0", "utf-32-le"),
    (b"\0\0\xfe\xff", "utf-32-be"),
    (b"\xff\xfe", "utf-16-le"),
    (b"\xfe\xff", "utf-16-be"),
    (b"+/v8", "utf-7"),
    (b"+/v9", "utf-7"),
    (b"+/v+", "utf-7"),
    (b"+/v/", "utf-7"),
)
_MARKED = frozenset(mark[0] for mark, _ in _BYTE_ORDER_MARKS)
# Of <meta charset>, <meta http-equiv>, @charset and the XML declaration.
_DECLARED = re.compile(rb"[\s=\"':]++([a-z0-9_.:\-]{2,40}+)")
_ESCAPE_SEQUENCE = re.compile(rb"\x1b[$(&.NO]")
_UTF7_RUN = re.compile(rb"[^+]++|\+([A-Za-z0-9+/]*+)-?+")
_SHIFT_RUN = re.compile(rb"[^\x1b\x0e\x0f~\x80-\xff]++|[\x1b\x0e\x0f~\x80-\xff]")
_SURROGATE = re.compile("[\ud800-\udfff]")
# What ends a value or begins markup, or joins the next character to itself: what must not be misjudged.
_DELIMITERS = "\"'<>=\\\\`"
_ESCAPE = 0x1B


def read_texts(source: Source, part: Part) -> tuple[list[Text], list[Defect]]:
    """Return every reading of a decoded body as characters, and what is wrong with its charset.

    The first reading is the latin-1 one, with ``charset`` set to the codec that its characters above U+007F
    are meant in. Total; linear in the length. Sources: RFC 2046 section 4.1.2, WHATWG Encoding and HTML
    section 13.2.3 (byte order mark before label before declaration in the document).
    """
    data = source.data
    defects: list[Defect] = []
    found = dict.fromkeys(_labelled(part, defects))
    marked = _marked(data)
    opening = data[:OPENING_BYTES].lower()
    for word in (b"charset", b"encoding"):
        at = opening.find(word)
        while at >= 0:
            at += len(word)
            declared = _DECLARED.match(opening, at)
            codec = codec_of(declared[1].decode("ascii")) if declared else ""
            # A document whose declaration can be read as ASCII is not in a charset of wide characters.
            if codec and codec not in WIDE:
                found.setdefault(codec)
            at = opening.find(word, at)
    if marked is not None:
        agrees = not found or any(marked.startswith(codec) for codec in found)
        if not agrees and (marked in WIDE or WIDE & found.keys()):
            defects.append(Defect.WRONG_CHARSET)
        found = {marked: None, **found}
    if _ESCAPE in data and _ESCAPE_SEQUENCE.search(data) and not SHIFTED & found.keys():
        found.setdefault("iso2022_jp_ext")
    texts = [Text(data.decode("latin-1"), source, charset=_likeliest(data, found))]
    has_nul = 0 in data
    if has_nul:
        found.update(dict.fromkeys(_wide_by_pattern(data)))
    for codec in found:
        if codec in WIDE or codec in SHIFTED or codec in EBCDIC:
            texts.extend(_decoded(source, codec))
        elif codec in LEAD_BYTES:
            texts.extend(_swallowed(texts[0], codec))
    if has_nul:
        texts.append(_without_nul(source, leading="utf-16-be" in found and "utf-16-le" not in found))
    return texts, defects


def _labelled(part: Part, defects: list[Defect]) -> list[str]:
    """Return the codecs that the Content-Type field names, all of them if it does so more than once."""
    label = part.parameters.get("charset", "")
    labels = [label] if label else []
    values = [field.value for field in part.fields if field.name == "content-type"]
    if len(values) > 1 or (values and values[0].lower().count("charset") > 1):
        for value in (*values[:3], values[-1]):
            labels.extend(parse_content_type(value).parameters.readings("charset"))
    found: list[str] = []
    for name in labels:
        codec = codec_of(name)
        if codec:
            found.append(codec)
        elif Defect.UNKNOWN_CHARSET not in defects:
            defects.append(Defect.UNKNOWN_CHARSET)
    return found


def _marked(data: bytes) -> str | None:
    """Return the codec that a byte order mark at the beginning names."""
    if data[:1] and data[0] in _MARKED:
        for mark, codec in _BYTE_ORDER_MARKS:
            if data.startswith(mark):
                return codec
    return None


def _likeliest(data: bytes, found: dict[str, None]) -> str:
    """Return the codec in which the characters above U+007F of the latin-1 reading are meant."""
    for codec in found:
        if codec not in WIDE and codec not in SHIFTED and codec not in EBCDIC:
            return codec
    if data.isascii():
        return "utf-8"
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return "cp1252"
    return "utf-8"


def _wide_by_pattern(data: bytes) -> list[str]:
    """Return the wide codec that the places of NULs in the first bytes speak for."""
    sample = data[:OPENING_BYTES]
    quarter = max(len(sample) // 8, 1)
    even, odd = sample[0::2].count(0), sample[1::2].count(0)
    found = []
    if odd >= quarter and odd > even:
        found.append("utf-16-le")
    if even >= quarter and even > odd:
        found.append("utf-16-be")
    return found


def _decoded(source: Source, codec: str) -> list[Text]:
    """Return the readings in a codec that is no superset of ASCII: two if it leaves the byte order open."""
    data = source.data
    if codec in ("utf-16", "utf-32"):
        marked = _marked(data)
        if marked is not None and marked.startswith(codec):
            return []  # read by its mark
        return [text for order in ("-le", "-be") for text in _decoded(source, codec + order)]
    if codec in EBCDIC:
        return [Text(data.decode(codec, "replace"), source, encoding=codec)]
    if codec in WIDE:
        return [_decode_wide(source, codec)]
    characters, starts, ends = _decode_utf7(data) if codec == "utf-7" else _decode_shifted(data, codec)
    return [Text(characters, source, starts=starts, ends=ends, encoding=codec)]


def _decode_wide(source: Source, codec: str) -> Text:
    """Decode UTF-16 or UTF-32: every character is a unit of two or four bytes, a surrogate one for itself."""
    data = source.data
    width = 4 if "32" in codec else 2
    length = len(data) // width
    data = data[: length * width]
    characters = data.decode(codec, "replace")
    if len(characters) != length:
        units = array("I" if width == 4 else "H", data)
        if codec.endswith("be") == (sys.byteorder == "little"):
            units.byteswap()
        characters = "".join([chr(unit) if unit < 0x110000 else "\ufffd" for unit in units])
        characters = _SURROGATE.sub("\ufffd", characters)
    starts = range(0, length * width, width)
    return Text(
        characters, source, starts=starts, ends=range(width, length * width + 1, width), encoding=codec
    )


def _decode_utf7(data: bytes) -> tuple[str, Sequence[int], Sequence[int]]:
    """Decode UTF-7 (RFC 2152). All characters of a shifted run stand for the whole run.

    A replacement within a run would become a part of it, so that what is replaced is always the run.
    """
    pieces: list[str] = []
    starts, ends = array("I"), array("I")
    for run in _UTF7_RUN.finditer(data):
        start, end = run.span()
        letters = run[1]
        if letters is None:
            pieces.append(run[0].decode("latin-1"))
            starts.extend(range(start, end))
            ends.extend(range(start + 1, end + 1))
            continue
        if not letters:
            shifted = "+"
        else:
            whole = letters[: len(letters) - 1] if len(letters) % 4 == 1 else letters
            units = binascii.a2b_base64(whole + b"=" * (-len(whole) % 4))
            shifted = units[: len(units) & ~1].decode("utf-16-be", "replace")
        pieces.append(shifted)
        starts.extend([start] * len(shifted))
        ends.extend([end] * len(shifted))
    return "".join(pieces), starts, ends


def _decode_shifted(data: bytes, codec: str) -> tuple[str, Sequence[int], Sequence[int]]:
    """Decode ISO 2022 and HZ. Bytes that only shift belong to no character: no edit takes them out."""
    decoder = codecs.getincrementaldecoder(codec)("replace")
    initial = decoder.getstate()
    pieces: list[str] = []
    starts, ends = array("I"), array("I")
    begin = 0
    escaped = tilde = False
    for run in _SHIFT_RUN.finditer(data):
        first, last = run.span()
        shifts = data[first] in b"\x1b\x0e\x0f~" or data[first] >= 0x80
        if not shifts and not escaped and decoder.getstate() == initial:
            pieces.append(run[0].decode("ascii"))
            starts.extend(range(first, last))
            ends.extend(range(first + 1, last + 1))
            begin = last
            continue
        for at in range(first, last):
            byte = data[at]
            characters = _next_characters(decoder, data[at : at + 1])
            if characters:
                pieces.append(characters)
                starts.extend([begin] * len(characters))
                ends.extend([at + 1] * len(characters))
                begin = at + 1
                escaped = tilde = False
            elif byte == _ESCAPE:
                escaped = True
            elif byte in (0x0E, 0x0F) or tilde or (escaped and 0x30 <= byte <= 0x7E):
                # The last byte of what shifts.
                begin = at + 1
                escaped = tilde = False
            else:
                tilde = codec == "hz" and byte == 0x7E
    rest = _next_characters(decoder, b"", final=True)
    pieces.append(rest)
    starts.extend([min(begin, len(data))] * len(rest))
    ends.extend([len(data)] * len(rest))
    return "".join(pieces), starts, ends


def _next_characters(decoder: codecs.IncrementalDecoder, data: bytes, *, final: bool = False) -> str:
    """Decode the next byte; the library's decoders give up on an escape sequence of more than eight bytes."""
    try:
        return decoder.decode(data, final)
    except UnicodeError:
        decoder.reset()
        return "\ufffd"


def _swallowed(text: Text, codec: str) -> list[Text]:
    """Return the reading in which a lead byte takes the ASCII delimiter after it for its second byte.

    Decoders differ about it, and the backslash and the backtick are good second bytes in some charsets.
    """
    characters = text.text
    if characters.isascii():
        return []
    lead = LEAD_BYTES[codec]
    pairs = re.compile(
        f"(?:[^{lead}]++|[{lead}](?:[^{_DELIMITERS}]|\\Z))*+([{lead}][{_DELIMITERS}])", re.DOTALL
    )
    found = pairs.match(characters)
    if found is None:
        return []
    pieces: list[str] = []
    at = 0
    while found is not None:
        pieces.append(characters[at : found.start(1)])
        pieces.append("\xb7\xb7")
        at = found.end()
        found = pairs.match(characters, at)
    pieces.append(characters[at:])
    return [Text("".join(pieces), text.source, charset=text.charset)]


def _without_nul(source: Source, *, leading: bool) -> Text:
    """Return the reading of clients that drop NULs. A NUL belongs to the character before it, or after it."""
    data = source.data
    starts = array("I")
    for run in re.finditer(rb"[^\0]++", data):
        starts.extend(range(*run.span()))
    if leading:
        ends = array("I", (start + 1 for start in starts))
        starts = array("I", [0]) + ends[:-1] if ends else ends
    else:
        ends = starts[1:]
        if starts:
            ends.append(len(data))
    return Text(data.replace(b"\0", b"").decode("latin-1"), source, starts=starts, ends=ends)
