"""Charset names: which Python codec a charset label stands for, and what kind of codec that is."""

from __future__ import annotations

import re
from encodings.aliases import aliases

_NOT_ALPHANUMERIC = re.compile(r"[^a-z0-9]++")

# Codecs in which bytes below 0x80 are not simply ASCII, so that a search in the bytes as they stand sees
# other characters than a client does. Closed lists: a label never makes the interpreter look for a module.
WIDE = frozenset({"utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be", "utf-16", "utf-32"})
SHIFTED = frozenset({
    "utf-7", "hz", "iso2022_kr", "iso2022_jp", "iso2022_jp_1", "iso2022_jp_2", "iso2022_jp_3",
    "iso2022_jp_2004", "iso2022_jp_ext",
})  # fmt: skip
EBCDIC = frozenset({"cp037", "cp273", "cp424", "cp500", "cp875", "cp1026", "cp1140"})

# Codecs whose characters may take two bytes of which the second may be ASCII, or be taken for such by a
# decoder that does not check it; and the bytes that begin such a character.
LEAD_BYTES = {
    "shift_jis": "\x81-\x9f\xe0-\xfc",
    "cp932": "\x81-\x9f\xe0-\xfc",
    "shift_jis_2004": "\x81-\x9f\xe0-\xfc",
    "shift_jisx0213": "\x81-\x9f\xe0-\xfc",
    "gb2312": "\x81-\xfe",
    "gbk": "\x81-\xfe",
    "gb18030": "\x81-\xfe",
    "big5": "\x81-\xfe",
    "big5hkscs": "\x81-\xfe",
    "cp950": "\x81-\xfe",
    "cp949": "\x81-\xfe",
    "euc_kr": "\x81-\xfe",
    "johab": "\x81-\xfe",
    "euc_jp": "\x8e\x8f\xa1-\xfe",
    "euc_jis_2004": "\x8e\x8f\xa1-\xfe",
    "euc_jisx0213": "\x8e\x8f\xa1-\xfe",
}

_SINGLE_BYTE = """
    cp437 cp720 cp737 cp775 cp850 cp852 cp855 cp856 cp857 cp858 cp860 cp861 cp862 cp863 cp865 cp866 cp869
    cp874 cp1006 cp1125 cp1250 cp1251 cp1252 cp1253 cp1254 cp1255 cp1256 cp1257 cp1258 iso8859_2 iso8859_3
    iso8859_4 iso8859_5 iso8859_6 iso8859_7 iso8859_8 iso8859_9 iso8859_10 iso8859_11 iso8859_13 iso8859_14
    iso8859_15 iso8859_16 koi8_r koi8_t koi8_u kz1048 mac_croatian mac_cyrillic mac_greek mac_iceland
    mac_latin2 mac_roman mac_romanian mac_turkish ptcp154 tis_620 hp_roman8 palmos
"""

# Where browsers and mail clients mean more than a label says (WHATWG Encoding section 4.2), and labels that
# are met in mail and unknown to Python; in small letters and without punctuation.
_FURTHER_LABELS = {
    "cp1252": (
        "ascii usascii ansix341968 ansi iso646us iso88591 latin1 l1 cp819 ibm819 iso885911987 8859 "
        "88591 xcp1252 646 xansi iso8859 iso88591windows31latin1 us"
    ),
    "cp1254": "iso88599 latin5",
    "cp874": "iso885911 tis620 windows874 dos874",
    "mac_cyrillic": "xmaccyrillic",
    "mac_roman": "xmacroman macintosh",
    "cp1250": "xcp1250",
    "cp1251": "xcp1251",
    "iso8859_8": "iso88598i iso88598e logical visual",
    "iso8859_6": "iso88596i iso88596e",
    "koi8_r": "koi8 koi",
    "koi8_u": "koi8ru",
    "gbk": "gb2312 gb231280 csgb2312 chinese euccn xgbk isoir58 csiso58gb231280",
    "hz": "hzgb2312 iso2022cn",
    "gb18030": "gb180302000",
    "big5hkscs": "big5 xxbig5 cnbig5 big5hk",
    "cp932": "shiftjis sjis xsjis mskanji windows31j",
    "euc_jp": "xeucjp",
    "iso2022_jp_ext": "iso2022jp csiso2022jp iso2022jp1",
    "cp949": "euckr ksc5601 ksc56011987 ksc56011989 korean windows949 uhc",
    "utf-8": "utf8 unicode11utf8 xunicode20utf8 utf utf8mb4 utf8bom utf8sig",
    "utf-7": "unicode11utf7 csunicode11utf7 unicode20utf7 utf7imap xutf7",
    "utf-16": "unicode ucs2 iso10646ucs2 csunicode utf16",
    "utf-16-le": "unicodefeff utf16le",
    "utf-16-be": "unicodefffe utf16be",
    "utf-32": "ucs4 iso10646ucs4 utf32",
    "utf-32-le": "utf32le",
    "utf-32-be": "utf32be",
    "cp037": "ebcdicus ebcdiccpus ebcdic xebcdic",
    "cp500": "ebcdicinternational500297",
}


def _plain(label: str) -> str:
    return _NOT_ALPHANUMERIC.sub("", label.lower())


def _known_labels() -> dict[str, str]:
    codecs = {*_SINGLE_BYTE.split(), *LEAD_BYTES, *EBCDIC, *SHIFTED, *WIDE, "utf-8"}
    table = {_plain(codec): codec for codec in codecs}
    # The spellings that are met all the time, so that no pattern has to run for them.
    table.update({"utf-8": "utf-8", "UTF-8": "utf-8", "Utf-8": "utf-8", "iso-8859-1": "cp1252"})
    table.update({"ISO-8859-1": "cp1252", "us-ascii": "cp1252", "windows-1252": "cp1252"})
    spelled = {_plain(codec): codec for codec in codecs}
    for alias, codec in aliases.items():
        known = spelled.get(_plain(codec))
        if known is not None:
            table.setdefault(_plain(alias), known)
    for codec, labels in _FURTHER_LABELS.items():
        table.update(dict.fromkeys(labels.split(), codec))
    return table


_LABELS = _known_labels()


def codec_of(label: str) -> str:
    """Return the Python codec that a charset label stands for, ``""`` for an unknown label.

    Where clients read a label as a superset of what it says (``iso-8859-1`` as windows-1252, ``gb2312`` as
    GBK), the superset is returned. Punctuation and case do not count, as in all clients that are lenient
    about names.
    """
    if len(label) > 64:
        return ""
    return _LABELS.get(label) or _LABELS.get(_plain(label), "")


def decode_lossily(data: bytes, codec: str) -> str:
    """Return bytes as characters of a codec that `codec_of` returned, faulty bytes as U+FFFD."""
    if codec == "utf-16":
        codec = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-16-be"
    return data.decode(codec, "replace")
