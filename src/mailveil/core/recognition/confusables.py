"""Confusables: letters of other scripts that look like ASCII letters and digits, as a table.

Taken from the Unicode Consortium's confusables (UTS #39, https://www.unicode.org/Public/security/), those that a
domain name can hold and that have a look of one ASCII character; letters with marks lose their marks by themselves.
"""

from __future__ import annotations

import unicodedata
from typing import Final

_ALIKE: Final = {
    "2": "ᒿ",
    "3": "𑣊𖼻",
    "6": "б𑣕",
    "7": "𑣆",
    "8": "ȣ৪੪𐌚",
    "9": "৭੧୨൭𑣌𑣖",
    "a": "ɑαа",
    "b": "ᑲᖯƅьɓƀ",
    "c": "сᴄⲥꮯ𐐽",
    "d": "ԁᑯꓒđɖɗ",
    "e": "еҽꬲєɛ",
    "f": "քẝꞙꬵƒ",
    "g": "ƍɡցᶃɠ",
    "h": "һհħɦ",
    "i": "ıɩɪιіӏꙇꭵ𑣃ɨ",
    "j": "ϳј",
    "k": "кκĸƙ",
    "l": "ǀ۱ᛁⵏꓲ𐊊𐌉𖼨łƚɫɭ",
    "m": "мᴍɱ",
    "n": "ոռпηŋɲɳ",
    "o": "οσоօ۵०੦૦௦౦೦ഠ൦๐໐ဝ၀ჿᴏᴑⲟꬽ𐐬𐓪𑣈𑣗øɵө",
    "p": "ρрⲣþƥ",
    "q": "ԛգզʠ",
    "r": "гᴦⲅꭇꭈꮁɼɽ",
    "s": "ƽѕꜱꮪ𐑈𑣁ʂ",
    "t": "тτŧƭ",
    "u": "ʋυսᴜꞟꭎꭒ𐓶𑣘",
    "v": "νѵᴠꮩ𑜆𑣀",
    "w": "ɯѡԝաᴡꮃ𑜊𑜎𑜏ωш",
    "x": "хᕁᕽχ",
    "y": "ɣʏγуүყᶌỿꭚ𑣜ƴ",
    "z": "ᴢꮓ𑣄ƶʐ",
    "ae": "æ",
    "oe": "œ",
    "ss": "ß",
}
_TO_ASCII: Final = str.maketrans({each: plain for plain, alike in _ALIKE.items() for each in alike})


def plain_letters(text: str) -> str:
    """Return a text in lower case with ASCII letters in place of those that look like them, without marks."""
    if text.isascii():
        return text.lower()
    taken_apart = unicodedata.normalize("NFKD", text.lower())
    kept = "".join(each for each in taken_apart if unicodedata.category(each) not in ("Mn", "Me", "Cf"))
    return kept.translate(_TO_ASCII).lower()
