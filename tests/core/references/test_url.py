"""Which URL a client would contact: the union of browsers, Windows and lenient clients."""

from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailveil.core.references.types import Findings, Scope
from mailveil.core.references.url import is_relative, real_characters, remote, resolve

HTTP_BASE = "http://base.example/dir/page"

CONTACTED = {
    "http://a.example/x": "http://a.example/x",
    "HTTPS://A.Example:443/x": "https://a.example/x",
    " \x00\x1f http://a.example/x \n": "http://a.example/x",
    "ht\ntp:/\t/a.exa\rmple/x": "http://a.example/x",
    "http:\\\\a.example\\x": "http://a.example/x",
    "http:a.example/x": "http://a.example/x",
    "http:/a.example/x": "http://a.example/x",
    "http:////a.example/x": "http://a.example/x",
    "http://user:pw@a.example/x": "http://user:pw@a.example/x",
    "http://münchen.example/ü": "http://xn--mnchen-3ya.example/%C3%BC",
    "http://a。example/": "http://a.example/",
    "http://[::1]:8080/x": "http://[::1]:8080/x",
    "http://0x7f.1/": "http://127.0.0.1/",
    "http://2130706433/": "http://127.0.0.1/",
    "http://a.example:99999/x": "http://a.example:99999/x",
    "http://a exa mple/x": "http://a exa mple/x",
    "http: //a.example/x": "http://a.example/x",
    "http://a\x00b/x": "http://a\x00b/x",
    "http://a/\ud800": "http://a/%EF%BF%BD",
    "ftp://a.example/x": "ftp://a.example/x",
    "ws:a.example": "ws://a.example/",
    "//a.example/x": "https://a.example/x",
    "/\\a.example/x": "https://a.example/x",
    "\\/a.example/x": "https://a.example/x",
    "///a.example/x": "https://a.example/x",
    "\t/\n/a.example/x": "https://a.example/x",
    "\\\\a.example\\share\\x": "file://a.example/share/x",
    "\\\\a.example@SSL\\DavWWWRoot\\x": "file://a.example@SSL/DavWWWRoot/x",
    "\\\\?\\UNC\\a.example\\share": "file://a.example/share",
    "file://a.example/x": "file://a.example/x",
    "file:\\\\a.example\\x": "file://a.example/x",
    "FILE:////a.example/share": "file://a.example/share",
    "file://///a.example/share": "file://a.example/share",
    "file:///\\\\a.example/share": "file://a.example/share",
    "file:///%5C%5Ca.example/share": "file://a.example/share",
    "smb://a.example/x": "smb://a.example/x",
    "gopher://a.example/x": "gopher://a.example/x",
    "ms-word:ofe|u|http://a.example/x": "ms-word:ofe|u|http://a.example/x",
    "search-ms:query=x&crumb=location:\\\\a.example\\s": "search-ms:query=x&crumb=location:\\\\a.example\\s",
    "view-source:http://a.example/x": "http://a.example/x",
    "jar:http://a.example/x!/y": "http://a.example/x!/y",
    "feed://a.example/x": "https://a.example/x",
    "mhtml:http://a.example/x!y": "http://a.example/x!y",
    "mk:@MSITStore:\\\\a.example\\s\\x.chm::/y": "file://a.example/s/x.chm::/y",
    "never-heard-of:x": "never-heard-of:x",
    "www.a.example/x": "http://www.a.example/x",
    # Peeled by lenient clients
    "\u200bhttp://a.example/x": "http://a.example/x",
    "'http://a.example/x'": "http://a.example/x",
    "url(http://a.example/x)": "http://a.example/x",
    "ht\x01tp://a.example/x": "http://a.example/x",
    "http ://a.example/x": "http://a.example/x",
}

NOBODY = [
    "", " ", "#", "#top", "x.png", "/x.png", "../x", "?x=http://a.example", "a/b:c", "cid:x@y", "CID:x",
    "mid:x", "data:image/gif;base64,R0", "da\nta:,", "about:blank", "mailto:a@b", "tel:1", "sms:1",
    "blob:https://x/1", "javascript:x('http://a.example')", "vbscript:x", "geo:1,2", "urn:x:y",
    "tag:x,2000:y", "C:\\x\\y.png", "c:/x", "C|/x", "file:///C:/x", "file:///etc/passwd", "file:x",
    "file:/x", "file://localhost/x", "file://C:/x", "file:////C:/x", "\\\\?\\C:\\x", "\\\\.\\C:\\x", "//",
    "\\\\", "http://", "http://?x", "https:", "mhtml:cid:x!y", "ms-its:C:\\x.chm::/y",
    "a sentence: with colon", "http：／／a.example",
]  # fmt: skip


@pytest.mark.parametrize(("value", "url"), CONTACTED.items())
def test_a_value_that_reaches_someone_is_resolved(value: str, url: str) -> None:
    assert resolve(value) == url


@pytest.mark.parametrize("value", NOBODY)
def test_a_value_that_reaches_nobody_is_local(value: str) -> None:
    assert resolve(value) is None


@pytest.mark.parametrize(
    ("value", "url"),
    {
        "x.png": "http://base.example/dir/x.png",
        "": "http://base.example/dir/page",
        "?q": "http://base.example/dir/page?q",
        "//other.example/x": "http://other.example/x",
        "http:x": "http://base.example/dir/x",
        "https:x.example": "https://x.example/",
        "\\\\other.example\\x": "file://other.example/x",
        "/x\ud800": "http://base.example/x%EF%BF%BD",
        "#x": "http://base.example/dir/page#x",
        "cid:x": None,
        "C:\\x": None,
        "data:,": None,
    }.items(),
)
def test_a_remote_base_makes_relative_values_remote(value: str, url: str | None) -> None:
    assert resolve(value, HTTP_BASE) == url


@pytest.mark.parametrize("base", ["", "cid:x", "data:text/html,", "about:blank", "file:///C:/x/", "x/y"])
def test_a_local_base_keeps_relative_values_local(base: str) -> None:
    assert resolve("x.png", base) is None


def test_a_share_as_base_reaches_its_host() -> None:
    assert resolve("x.png", "file://host/share/") == "file://host/share/x.png"
    assert resolve("//other/x", "file://host/share/") == "file://other/x"
    assert resolve("x.png", "\\\\host\\share\\") == "file://host/share/x.png"


def test_relative_values_are_told_from_others() -> None:
    assert is_relative("x.png")
    assert is_relative("")
    assert not is_relative("#x")
    assert not is_relative("http://a.example/")
    assert not is_relative("cid:x")


def test_only_the_exact_address_of_a_copy_is_ours() -> None:
    copy = "https://copies.example:8443/c/token"
    scope = Scope(part="1", findings=Findings(), ours=lambda url: url == copy)
    assert remote(copy, scope) is None
    assert remote(f" {copy}\n", scope) is None
    for other in ("https:\\\\copies.example:8443/c/token", "https://copies.example:8443/c/../c/token"):
        assert remote(other, scope) == copy
    assert remote("https://copies.example:8443@evil.example/c/token", scope) is not None


def test_bytes_are_read_in_their_charset() -> None:
    value = "http://a/ü".encode().decode("latin-1")
    assert real_characters(value, "utf-8") == "http://a/ü"
    assert real_characters("\xfc", "utf-8") == "\xfc"
    assert real_characters(value, "no-such-charset") == value
    assert real_characters("\u20ac\xc3", "utf-8") == "\u20ac\xc3"
    assert real_characters("\xa4", "iso-8859-15") == "€"


url_like = st.one_of(
    st.text(),
    st.text(alphabet="htpsfile:/\\.@#?% \t\n\x00xC|'\"(\ud800ü", max_size=40),
    st.sampled_from(list(CONTACTED) + NOBODY),
)


@given(url_like, url_like)
def test_any_characters_have_an_answer(value: str, base: str) -> None:
    for url in (resolve(value), resolve(value, base), resolve(base, value)):
        assert url is None or url.encode()


@given(url_like)
def test_what_is_remote_stays_remote(value: str) -> None:
    url = resolve(value)
    assert url is None or resolve(url) is not None


@pytest.mark.parametrize(
    "piece", ["jar:", "\\", "/", "url(", "'", "\x00", "%5c", "a", "file:", "http://", "\u200b"]
)
def test_long_values_are_read_in_linear_time(piece: str) -> None:
    for value in (piece * 100_000, f"//{piece * 100_000}", f"x{piece * 100_000}"):
        started = process_time()
        resolve(value)
        resolve(value, HTTP_BASE)
        assert process_time() - started < 0.5
