"""XML documents: what SVG, XHTML and other documents would fetch, document types and entities included."""

from itertools import pairwise
from time import process_time
from xml.etree import ElementTree
from xml.parsers import expat

import pytest
from grammar import find, silence, urls
from hypothesis import given
from hypothesis import strategies as st

from mailveil.core.message.text import Text
from mailveil.core.message.types import Source
from mailveil.core.references.types import Findings, Scope, Vector
from mailveil.core.references.xml import find_in_xml

SVG = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
XHTML = 'xmlns="http://www.w3.org/1999/xhtml"'
U = "http://a.example/x"

FETCHED = {
    "image": f"<svg {SVG}><image href='{U}'/></svg>",
    "image, xlink": f"<svg {SVG}><image xlink:href='{U}'/></svg>",
    "image, any prefix": f"<svg {SVG} xmlns:y='http://www.w3.org/1999/xlink'><image y:href='{U}'/></svg>",
    "prefixed image": f"<s:svg xmlns:s='http://www.w3.org/2000/svg'><s:image href='{U}'/></s:svg>",
    "use": f"<svg {SVG}><use href='{U}'/></svg>",
    "feImage": f"<svg {SVG}><filter id='f'><feImage href='{U}'/></filter></svg>",
    "gradient": f"<svg {SVG}><linearGradient xlink:href='{U}'/></svg>",
    "set": f"<svg {SVG}><image><set attributeName='href' to='{U}'/></image></svg>",
    "values": f"<svg {SVG}><image><animate attributeName='href' values='#a;{U}'/></image></svg>",
    "fill": f"<svg {SVG}><rect fill='url({U})'/></svg>",
    "style": f"<svg {SVG}><rect style='fill:url({U})'/></svg>",
    "sheet": f"<svg {SVG}><style>@import '{U}';</style></svg>",
    "sheet in CDATA": f"<svg {SVG}><style><![CDATA[a>b{{fill:url({U})}}]]></style></svg>",
    "sheet with references": f"<svg {SVG}><style>a&gt;b{{fill:&#117;rl({U})}}</style></svg>",
    "prefixed sheet": (
        f"<s:svg xmlns:s='http://www.w3.org/2000/svg'><s:style>@import '{U}';</s:style></s:svg>"
    ),
    "foreign object": f"<svg {SVG}><foreignObject><img {XHTML} src='{U}'/></foreignObject></svg>",
    "reference in the value": f"<svg {SVG}><image href='&#x68;ttp://a.example/x'/></svg>",
    "XHTML": f"<html {XHTML}><body><img src='{U}'/></body></html>",
    "prefixed XHTML": f"<h:html xmlns:h='http://www.w3.org/1999/xhtml'><h:object data='{U}'/></h:html>",
    "instruction": f"<?xml version='1.0'?><?xml-stylesheet type='text/css' href='{U}'?><order/>",
    "instruction in SVG": f'<?xml-stylesheet href="{U}"?><svg {SVG}/>',
    "external subset": f"<!DOCTYPE order SYSTEM '{U}'><order/>",
    "public subset": f"<!DOCTYPE order PUBLIC '-//W3C//DTD XHTML 1.0 Strict//EN' '{U}'><order/>",
    "external entity": f"<!DOCTYPE order [<!ENTITY e SYSTEM '{U}'>]><order>&e;</order>",
    "parameter entity": f"<!DOCTYPE order [<!ENTITY % e PUBLIC 'y' '{U}'> %e;]><order/>",
    "entity in an entity": (
        f"<!DOCTYPE order [<!ENTITY % e \"<!ENTITY f SYSTEM '{U}'>\"> %e;]><order>&f;</order>"
    ),
    "hidden in an entity": (
        f"<!DOCTYPE order [<!ENTITY % e \"&#60;!ENTITY f SYSTEM '{U}'>\"> %e;]><order>&f;</order>"
    ),
    "default value": (f"<!DOCTYPE svg [<!ATTLIST image href CDATA #FIXED '{U}'>]><svg {SVG}><image/></svg>"),
    "internal entity": f"<!DOCTYPE svg [<!ENTITY e '{U}'>]><svg {SVG}><image href='&e;'/></svg>",
    "entity in two parts": (
        f"<!DOCTYPE svg [<!ENTITY a 'ht'><!ENTITY b '&a;tp://a.example'>]><svg {SVG}>"
        f"<image href='&b;/x'/></svg>"
    ),
    "entity in a style": (
        f"<!DOCTYPE svg [<!ENTITY e 'url({U})'>]><svg {SVG}><rect style='fill:&e;'/></svg>"
    ),
    "entity with markup": f"<!DOCTYPE svg [<!ENTITY e \"&#60;image href='{U}'/>\">]><svg {SVG}>&e;</svg>",
    "entity in a namespace": (
        f"<!DOCTYPE s:a [<!ENTITY e 'http://www.w3.org/2000/svg'>]>"
        f"<s:a xmlns:s='&e;'><s:style>@import '{U}';</s:style></s:a>"
    ),
    "XInclude": f"<order xmlns:i='http://www.w3.org/2001/XInclude'><i:include href='{U}'/></order>",
    "XSLT import": (
        f"<xsl:stylesheet xmlns:xsl='http://www.w3.org/1999/XSL/Transform'><xsl:import href='{U}'/>"
        f"</xsl:stylesheet>"
    ),
    "XSLT document": (
        f"<xsl:stylesheet xmlns:xsl='http://www.w3.org/1999/XSL/Transform'>"
        f"<xsl:copy-of select='document(\"{U}\")'/>"
        "</xsl:stylesheet>"
    ),
    "base": f"<svg {SVG} xml:base='{U}'><image href='#y'/></svg>",
}


@pytest.mark.parametrize("document", FETCHED.values(), ids=FETCHED.keys())
def test_a_document_that_fetches_is_found_and_silenced(document: str) -> None:
    assert set(urls(find_in_xml, document)) == {U}
    silent = silence(find_in_xml, document)
    assert find(find_in_xml, silent) == []
    expat.ParserCreate().Parse(silent, True)  # still well-formed


SILENT = {
    "drawing": f"<svg {SVG}><defs><g id='y'/></defs><use xlink:href='#y' fill='url(#z)'/></svg>",
    "link": f"<svg {SVG}><a xlink:href='{U}'><text>x</text></a></svg>",
    "invoice": f"<Invoice xmlns='urn:oasis:names:x' xmlns:xsi='http://www.w3.org/2001/XMLSchema-instance' "
    f"xsi:schemaLocation='urn:y {U}.xsd'><URI>{U}</URI><File href='{U}'/></Invoice>",
    "transform of a neighbour": "<?xml-stylesheet type='text/xsl' href='invoice.xsl'?><invoice/>",
    "known document type": "<!DOCTYPE svg PUBLIC '-//W3C//DTD SVG 1.1//EN' "
    f"'http://www.w3.org/Graphics/SVG/1.1/DTD/svg11.dtd'><svg {SVG}/>",
    "property list": (
        "<!DOCTYPE plist PUBLIC '-//Apple//DTD PLIST 1.0//EN' "
        "'http://www.apple.com/DTDs/PropertyList-1.0.dtd'><plist/>"
    ),
    "namespaces as entities": (
        "<!DOCTYPE svg [<!ENTITY n 'http://www.w3.org/2000/svg'><!ENTITY i 'http://ns.example/ai/'>]>"
        "<svg xmlns='&n;' xmlns:i='&i;'><g i:x='y'/></svg>"
    ),
}


@pytest.mark.parametrize("document", SILENT.values(), ids=SILENT.keys())
def test_a_document_that_fetches_nothing_is_left_alone(document: str) -> None:
    assert find(find_in_xml, document) == []


@pytest.mark.parametrize(
    ("name", "vector"),
    [
        ("image", Vector.SVG_IMAGE),
        ("XInclude", Vector.XINCLUDE),
        ("XSLT import", Vector.XML_STYLESHEET),
        ("instruction", Vector.XML_STYLESHEET),
        ("external subset", Vector.XML_ENTITY),
        ("sheet", Vector.CSS_IMPORT),
        ("base", Vector.XML_BASE),
    ],
)
def test_each_place_has_its_vector(name: str, vector: Vector) -> None:
    assert [reference.vector for reference in find(find_in_xml, FETCHED[name])] == [vector]


def test_only_the_value_of_the_entity_reference_is_replaced() -> None:
    document = FETCHED["internal entity"]
    (reference,) = find(find_in_xml, document)
    assert document[reference.start : reference.end] == "&e;"


@pytest.mark.parametrize(
    "script",
    [
        "<script>alert(1)</script>",
        "<script type='text/javascript'>alert(1)</script>",
        "<s:script>alert(1)</s:script>",
    ],
)
def test_scripts_of_attached_drawings_become_inert_and_stay_well_formed(script: str) -> None:
    document = f"<svg {SVG} xmlns:s='http://www.w3.org/2000/svg'>{script}</svg>"
    silent = silence(find_in_xml, document, attached=True)
    root = ElementTree.fromstring(silent)
    assert [child.get("type") for child in root] == ["text/inert"]
    assert find(find_in_xml, silent, attached=True) == []


@pytest.mark.parametrize("href", ["#style", "data:text/xml,%3Cxsl:stylesheet/%3E"])
def test_a_transformation_that_comes_along_is_not_run(href: str) -> None:
    document = (
        f"<?xml-stylesheet type='text/xsl' href='{href}'?>"
        "<order xmlns:xsl='http://www.w3.org/1999/XSL/Transform'><xsl:stylesheet id='style'/></order>"
    )
    silent = silence(find_in_xml, document)
    assert href.encode() not in silent
    assert find(find_in_xml, silent) == []


def test_an_element_is_inserted_into_xhtml_only() -> None:
    def insertions(document: str) -> int:
        findings = Findings()
        find_in_xml(Text(document, Source(document.encode())), Scope("1", findings))
        return len(findings.insertions)

    assert insertions(f"<svg {SVG}><a xlink:href='{U}'/></svg>") == 0
    assert insertions(f"<html {XHTML}><head/><body><a href='{U}'/></body></html>") == 1


def test_entities_that_grow_without_bound_are_emptied() -> None:
    names = [f"e{i}" for i in range(40)]
    entities = "".join(f"<!ENTITY {a} '{f'&{b};' * 10}'>" for a, b in pairwise(names))
    document = f"<!DOCTYPE svg [{entities}<!ENTITY e39 '{U}'>]><svg {SVG}><image href='&e0;'/></svg>"
    started = process_time()
    silent = silence(find_in_xml, document)
    assert process_time() - started < 1
    assert b"a.example" not in silent


pieces = st.lists(
    st.sampled_from([
        "<svg ", "<image ", "href=", "'", '"', ">", "/>", "<!DOCTYPE svg [", "<!ENTITY e ", "<!ENTITY % p ",
        "SYSTEM ", "]>", "&e;", "%p;", "&#60;", "<style>", "</style>", "@import ", "url(", ")", "<![CDATA[",
        "]]>", "<!--", "-->", "<?xml-stylesheet ", "?>", "xmlns:s=", "http://www.w3.org/2000/svg",
        "<s:style>", "<s:script>", "type=", " ", "<!ATTLIST a href CDATA ", "data:image/svg+xml,", "é",
        "\0", "xml:base=", "xlink:", "#", "xsl/transform", "document(",
    ]),
    max_size=25,
).map("".join)  # fmt: skip


@given(pieces, st.booleans())
def test_replacing_silences_in_a_few_passes(document: str, attached: bool) -> None:
    raw = document.encode()
    for _ in range(4):
        raw = silence(find_in_xml, raw, attached=attached)
    assert silence(find_in_xml, raw, attached=attached) == raw


@pytest.mark.parametrize(
    "piece", ["<!DOCTYPE ", "<!DOCTYPE a [<!ENTITY a '", "<!ENTITY a 'b'>", "&e;", "<?xml-stylesheet ",
    "<?xml-stylesheet href='", "xmlns:", "xmlns:a='", "<s:", "<s:style>", "<script>", "<!--", "<![CDATA[",
    "<a b='", "document('", "%p;", "&"],
)  # fmt: skip
def test_hostile_documents_take_linear_time(piece: str) -> None:
    start = "<!DOCTYPE svg [<!ENTITY e 'http://a.example'>"
    for head in ("", start, start + "]><svg xmlns:s='http://www.w3.org/2000/svg' xmlns:x='xsl/transform'>"):
        raw = (head + piece * (100_000 // len(piece))).encode()
        started = process_time()
        find(find_in_xml, raw, attached=True)
        assert process_time() - started < 2
