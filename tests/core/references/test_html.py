"""HTML: every construct that some client fetches from, and those that nobody does."""

from __future__ import annotations

from itertools import pairwise

import pytest
from grammar import find, replace_all, silence, urls

from mailveil.core.message.text import Text
from mailveil.core.message.types import Defect, Limits, Source
from mailveil.core.references.html import PREFETCH_OFF, find_in_html
from mailveil.core.references.types import (
    BLANK_CSS,
    BLANK_FRAME,
    BLANK_GIF,
    BLANK_URL,
    Findings,
    Media,
    Reference,
    Scope,
    Vector,
)

U = "http://t.example/x"
V = Vector


def findings(markup: str | bytes, **scope: object) -> Findings:
    raw = markup.encode() if isinstance(markup, str) else markup
    found = Findings()
    text = Text(raw.decode("latin-1"), Source(raw), charset="utf-8")
    find_in_html(text, Scope("1", found, **scope))  # type: ignore[arg-type]
    return found


def cleaned(markup: str | bytes, **scope: object) -> bytes:
    """Return the document as it goes out when nothing may be fetched, insertions included."""
    raw = markup.encode() if isinstance(markup, str) else markup
    found = findings(raw, **scope)
    inserted = [Reference("", V.HTML_OTHER, "1", i.source, i.at, i.at, i.text) for i in found.insertions]
    assert all(r.source is i.source for i in inserted for r in found.references if r.source.within is None)
    return replace_all(raw, [*inserted, *found.references])


# "$" stands for a remote address. Every one of these has exactly one reference, to it.
FETCHED: list[tuple[str, Vector]] = [
    # Elements and attributes that load
    ("<img src='$'>", V.IMG_SRC),
    ("<img src=$>", V.IMG_SRC),
    ("<IMG SRC=\"$\">", V.IMG_SRC),
    ("<image src='$'>", V.IMG_SRC),
    ("<img alt='a>b' src='$'>", V.IMG_SRC),
    ("<img srcset='$ 2x'>", V.IMG_SRCSET),
    ("<img srcset='$'>", V.IMG_SRCSET),
    ("<img srcset='cid:a 1x, $ 2x'>", V.IMG_SRCSET),
    ("<img srcset='$,'>", V.IMG_SRCSET),
    ("<img srcset='a 1x $ 2x'>", V.IMG_SRCSET),
    ("<img srcset='cid:a,$ 2x'>", V.IMG_SRCSET),
    ("<img srcset='cid:a (b,c) 1x,$ 640w 480h'>", V.IMG_SRCSET),
    ("<img srcset='data:image/gif;base64,R0lGODlhAQABAAAAACw= 1x, $ 2x'>", V.IMG_SRCSET),
    ("<img lowsrc='$'>", V.IMG_LOWSRC),
    ("<img dynsrc='$'>", V.IMG_DYNSRC),
    ("<picture><source srcset='$ 100w' media='(min-width:1px)'></picture>", V.SOURCE_SRCSET),
    ("<source src='$'>", V.SOURCE_SRC),
    ("<input type=image src='$'>", V.INPUT_SRC),
    ("<input src='$'>", V.INPUT_SRC),
    ("<body background='$'>", V.BACKGROUND),
    ("<table background='$'>", V.BACKGROUND),
    ("<td width=1 background=$>", V.BACKGROUND),
    ("<TD BACKGROUND=\"$\">", V.BACKGROUND),
    ("<tr background='$'>", V.BACKGROUND),
    ("<th background='$'>", V.BACKGROUND),
    ("<div background='$'>", V.BACKGROUND),
    ("<any background='$'>", V.BACKGROUND),
    ("<video src='$'></video>", V.VIDEO_SRC),
    ("<video poster='$'></video>", V.VIDEO_POSTER),
    ("<audio src='$'></audio>", V.AUDIO_SRC),
    ("<track src='$'>", V.TRACK_SRC),
    ("<bgsound src='$'>", V.BGSOUND_SRC),
    ("<embed src='$'>", V.EMBED_SRC),
    ("<embed code='$'>", V.APPLET_CODE),
    ("<object data='$'></object>", V.OBJECT_DATA),
    ("<object classid='$'></object>", V.OBJECT_DATA),
    ("<object codebase='$'></object>", V.OBJECT_DATA),
    ("<object archive='a.jar $'></object>", V.OBJECT_DATA),
    ("<object code='$'></object>", V.APPLET_CODE),
    ("<object><param name=movie value='$'></object>", V.PARAM_VALUE),
    ("<param name=anything value='$'>", V.PARAM_VALUE),
    ("<param name=flashvars value='autoplay=1&amp;file=$'>", V.PARAM_VALUE),
    ("<applet code='$'></applet>", V.APPLET_CODE),
    ("<applet archive='a.jar,$'></applet>", V.APPLET_CODE),
    ("<applet codebase='$'></applet>", V.OBJECT_DATA),
    ("<applet object='x' src='$'></applet>", V.HTML_OTHER),
    ("<iframe src='$'></iframe>", V.IFRAME_SRC),
    ("<frameset><frame src='$'></frameset>", V.FRAME_SRC),
    ("<iframe srcdoc=\"&lt;img src='$'&gt;\"></iframe>", V.IMG_SRC),
    ("<iframe srcdoc='<img src=$>'></iframe>", V.IMG_SRC),
    ("<iframe srcdoc='<iframe srcdoc=&quot;<img src=$>&quot;>'></iframe>", V.IMG_SRC),
    ("<portal src='$'></portal>", V.PORTAL_SRC),
    ("<fencedframe src='$'></fencedframe>", V.PORTAL_SRC),
    ("<webview src='$'></webview>", V.PORTAL_SRC),
    ("<layer src='$'></layer>", V.FRAME_SRC),
    ("<ilayer src='$'></ilayer>", V.IFRAME_SRC),
    ("<xml id=x src='$'></xml>", V.HTML_OTHER),
    ("<import src='$'>", V.HTML_OTHER),
    ("<import implementation='$'>", V.HTML_OTHER),
    ("<command icon='$'>", V.HTML_OTHER),
    ("<html manifest='$'>", V.HTML_MANIFEST),
    ("<script src='$'></script>", V.SCRIPT_SRC),
    ("<unknown src='$'>", V.HTML_OTHER),
    ("<unknown href='$'>", V.HTML_OTHER),
    ("<unknown srcset='$ 1x'>", V.HTML_OTHER),
    ("<unknown poster='$'>", V.VIDEO_POSTER),
    ("<unknown lowsrc='$'>", V.IMG_LOWSRC),
    # Links of every relation
    ("<link rel=stylesheet href='$'>", V.LINK_STYLESHEET),
    ("<link rel='alternate stylesheet' href='$'>", V.LINK_STYLESHEET),
    ("<link href='$' type='text/css' rel=\"StyleSheet\">", V.LINK_STYLESHEET),
    ("<link rel='shortcut icon' href='$'>", V.LINK_ICON),
    ("<link rel=icon href='$'>", V.LINK_ICON),
    ("<link rel=apple-touch-icon href='$'>", V.LINK_ICON),
    ("<link rel=apple-touch-icon-precomposed href='$'>", V.LINK_ICON),
    ("<link rel=mask-icon href='$'>", V.LINK_ICON),
    ("<link rel=preload as=image href='$'>", V.LINK_PRELOAD),
    ("<link rel=preload as=image imagesrcset='$ 2x'>", V.LINK_PRELOAD),
    ("<link rel=modulepreload href='$'>", V.LINK_PRELOAD),
    ("<link rel=prefetch href='$'>", V.LINK_PREFETCH),
    ("<link rel=prerender href='$'>", V.LINK_PREFETCH),
    ("<link rel=next href='$'>", V.LINK_PREFETCH),
    ("<link rel=prev href='$'>", V.LINK_PREFETCH),
    ("<link rel=preconnect href='$'>", V.LINK_PRECONNECT),
    ("<link rel=dns-prefetch href='$'>", V.LINK_DNS_PREFETCH),
    ("<link rel=manifest href='$'>", V.LINK_MANIFEST),
    ("<link rel=search href='$'>", V.LINK_OTHER),
    ("<link rel=pingback href='$'>", V.LINK_OTHER),
    ("<link rel=alternate href='$'>", V.LINK_OTHER),
    ("<link rel=import href='$'>", V.LINK_OTHER),
    ("<link rel='File-List' href='$'>", V.LINK_OTHER),
    ("<link href='$'>", V.LINK_OTHER),
    ("<link rel=canonical xlink:href='$'>", V.LINK_OTHER),
    ("<link itemprop=image href='$'>", V.MICRODATA_IMAGE),
    # What meta says
    ("<meta http-equiv=refresh content='0;url=$'>", V.META_REFRESH),
    ("<meta http-equiv=refresh content='0; URL=$'>", V.META_REFRESH),
    ("<meta http-equiv=refresh content=\"5; url='$'\">", V.META_REFRESH),
    ("<meta http-equiv=refresh content='5,$'>", V.META_REFRESH),
    ("<meta http-equiv=refresh content='0 $'>", V.META_REFRESH),
    ("<meta http-equiv=refresh content='1.5;$'>", V.META_REFRESH),
    ("<meta http-equiv=refresh content='$'>", V.META_REFRESH),
    ("<meta http-equiv=refresh content='url=$'>", V.META_REFRESH),
    ("<meta http-equiv=refresh content='0;x=y;url=$'>", V.META_REFRESH),
    ("<meta content='0;url=$' http-equiv=REFRESH>", V.META_REFRESH),
    ("<meta http-equiv=refresh content=0;url=$>", V.META_REFRESH),
    ("<meta http-equiv='&#114;efresh' content='0;url=$'>", V.META_REFRESH),
    ("<meta http-equiv=Link content='<$>; rel=stylesheet'>", V.LINK_OTHER),
    ("<meta http-equiv=content-base content='$'>", V.BASE_HREF),
    ("<meta property='og:image' content='$'>", V.META_IMAGE),
    ("<meta property='og:image:secure_url' content='$'>", V.META_IMAGE),
    ("<meta name='twitter:image' content='$'>", V.META_IMAGE),
    ("<meta name='msapplication-TileImage' content='$'>", V.META_IMAGE),
    ("<meta name='msapplication-task' content='name=x;action-uri=$'>", V.META_IMAGE),
    ("<meta itemprop=image content='$'>", V.MICRODATA_IMAGE),
    ("<meta itemprop='thumbnailUrl' content='$'>", V.MICRODATA_IMAGE),
    ("<base href='$'>", V.BASE_HREF),
    ("<a href='#' ping='$'>", V.A_PING),
    ("<area href='#' ping='$'>", V.A_PING),
    # SVG and MathML in HTML
    ("<svg><image href='$'/></svg>", V.SVG_IMAGE),
    ("<svg><image xlink:href='$'/></svg>", V.SVG_IMAGE),
    ("<svg><image x:href='$'/></svg>", V.SVG_IMAGE),
    ("<svg><use href='$#a'/></svg>", V.SVG_USE),
    ("<svg><feImage xlink:href='$'/></svg>", V.SVG_FEIMAGE),
    ("<svg><pattern href='$'/></svg>", V.SVG_HREF),
    ("<svg><linearGradient xlink:href='$'/></svg>", V.SVG_HREF),
    ("<svg><textPath href='$'/></svg>", V.SVG_HREF),
    ("<svg><script href='$'/></svg>", V.SCRIPT_SRC),
    ("<svg><image><set attributeName=href to='$'/></image></svg>", V.SVG_ANIMATE),
    ("<svg><animate attributeName='xlink:href' values='a;$'/></svg>", V.SVG_ANIMATE),
    ("<svg><animate attributeName=href from='$'/></svg>", V.SVG_ANIMATE),
    ("<svg><animate attributeName=fill to='url($)'/></svg>", V.CSS_URL),
    ("<svg><rect fill='url($)'/></svg>", V.CSS_URL),
    ("<svg><rect filter='url($#f)'/></svg>", V.CSS_URL),
    ("<svg><a fill='url($)'><rect/></a></svg>", V.CSS_URL),
    ("<svg><g mask='url(&quot;$&quot;)'/></svg>", V.CSS_URL),
    ("<svg><path marker-end='url($)'/></svg>", V.CSS_URL),
    ("<svg><rect cursor='url($), auto'/></svg>", V.CSS_URL),
    ("<svg><style>rect{fill:url($)}</style></svg>", V.CSS_URL),
    ("<svg><style>&#64;import '$';</style></svg>", V.CSS_IMPORT),
    ("<svg><style><b/>@import '$';</style></svg>", V.CSS_IMPORT),
    ("<svg><style><![CDATA[@import '$';]]></style></svg>", V.CSS_IMPORT),
    ("<svg xml:base='$'></svg>", V.XML_BASE),
    ("<svg:image xlink:href='$'/>", V.SVG_IMAGE),
    ("<math><mi href='$'>x</mi></math>", V.MATHML_HREF),
    ("<math><mglyph src='$'/></math>", V.MATHML_HREF),
    ("<math altimg='$'></math>", V.MATHML_HREF),
    ("<math><mrow xlink:href='$'/></math>", V.MATHML_HREF),
    # CSS
    ("<p style='background:url($)'>", V.CSS_URL),
    ("<p style=\"background:url('$')\">", V.CSS_URL),
    ("<p style='background:url(&quot;$&quot;)'>", V.CSS_URL),
    ("<p style='background&#58;url&#40;$)'>", V.CSS_URL),
    ("<p style=background:url($)>", V.CSS_URL),
    ("<a style='background:url($)' href='#'>x</a>", V.CSS_URL),
    ("<p style='b\\61 ckground:u\\72l($)'>", V.CSS_URL),
    ("<p style='--x:\"$\"'>", V.CSS_URL),
    ("<style>p{background:url($)}</style>", V.CSS_URL),
    ("<style>@import '$';</style>", V.CSS_IMPORT),
    ("<STYLE TYPE='text/css'><!-- @import url($); --></STYLE>", V.CSS_IMPORT),
    ("<style>@font-face{font-family:x;src:url($)}</style>", V.CSS_FONT),
    ("<style>@import '$'", V.CSS_IMPORT),
    ("<noscript><style>@import '$';</style></noscript>", V.CSS_IMPORT),
    # VML and Office
    ("<v:imagedata src='$'/>", V.VML_SRC),
    ("<v:imagedata o:href='$'/>", V.VML_SRC),
    ("<v:fill src='$'/>", V.VML_SRC),
    ("<v:fill type=frame o:href='$'/>", V.VML_SRC),
    ("<v:stroke src='$'/>", V.VML_SRC),
    ("<v:image src='$'/>", V.VML_SRC),
    ("<v:background src='$'/>", V.VML_SRC),
    ("<x:anything src='$'/>", V.VML_SRC),
    ("<v:textbox style='background:url($)'>", V.CSS_URL),
    ("<v:shape style='width:1px;behavior:url($)'>", V.CSS_BEHAVIOR),
    # AMP
    ("<amp-img src='$'></amp-img>", V.AMP_SRC),
    ("<amp-anim srcset='$ 2x'></amp-anim>", V.AMP_SRC),
    ("<amp-video poster='$'></amp-video>", V.AMP_SRC),
    ("<amp-list src='$'></amp-list>", V.AMP_SRC),
    ("<amp-pixel src='$'></amp-pixel>", V.AMP_SRC),
    ("<amp-analytics config='$'></amp-analytics>", V.AMP_SRC),
    ("<amp-img [src]='$'></amp-img>", V.AMP_SRC),
    ("<amp-audio artwork='$'></amp-audio>", V.AMP_SRC),
    # Instructions
    ("<?import namespace=t implementation='$'>", V.HTML_OTHER),
    ("<?xml-stylesheet href='$'?>", V.XML_STYLESHEET),
    # JSON-LD
    ('<script type="application/ld+json">{"@type":"X","image":"$"}</script>', V.JSON_LD_IMAGE),
    # data: documents
    ("<iframe src='data:text/html,<img src=$>'></iframe>", V.IMG_SRC),
    ("<iframe src='data:text/html,%3Cimg src=$%3E'></iframe>", V.IMG_SRC),
    ("<link rel=stylesheet href='data:text/css,@import%20%27$%27'>", V.CSS_IMPORT),
    # Comments that some parser takes for markup
    ("<!--[if mso]><img src='$'><![endif]-->", V.IMG_SRC),
    ("<!--[if gte vml 1]><v:imagedata src='$'/><![endif]-->", V.VML_SRC),
    ("<!--[if !mso]><!--><img src='$'><!--<![endif]-->", V.IMG_SRC),
    ("<!--[if !mso]><!-- --><img src='$'><!--<![endif]-->", V.IMG_SRC),
    ("<![if !mso]><img src='$'><![endif]>", V.IMG_SRC),
    ("<!--[IF MSO]><img src='$'><![ENDIF]-->", V.IMG_SRC),
    ("<!-- [if mso]><img src='$'><![endif]-->", V.IMG_SRC),
    ("<!--[if a]><!--[if b]><img src='$'><![endif]--><![endif]-->", V.IMG_SRC),
    ("<!--[if mso]><style>p{background:url($)}</style><![endif]-->", V.CSS_URL),
    ("<!--[if mso]><p>a</p><td background='$'><![endif]-->", V.BACKGROUND),
    ("<!--[if mso]><p>a</p><![endif]--><img src='$'>", V.IMG_SRC),
    ("<!--[if mso]><p>a--></p><img src='$'><![endif]-->", V.IMG_SRC),
    ("<!--><img src='$'>-->", V.IMG_SRC),
    ("<!---><img src='$'>-->", V.IMG_SRC),
    ("<!-- a --!><img src='$'>-->", V.IMG_SRC),
    ("<!-- a -- ><img src='$'>-->", V.IMG_SRC),
    ("<!-- never ends <img src='$'>", V.IMG_SRC),
    ("<!- a ><img src='$'>", V.IMG_SRC),
    ("<! a <img src='$'>", V.IMG_SRC),
    ("<!DOCTYPE html <img src='$'>", V.IMG_SRC),
    ("<? a <img src='$'> ?>", V.IMG_SRC),
    ("</ a <img src='$'>", V.IMG_SRC),
    ("<![CDATA[ <img src='$'> ]]>", V.IMG_SRC),
    ("<svg><![CDATA[ > <!-- ]]> <img src='$'> --></svg>", V.IMG_SRC),
    ("<!-- <!-- --><img src='$'> -->", V.IMG_SRC),
    ("<title><!--</title><img src='$'>-->", V.IMG_SRC),
    ("<style><!--</style><!--[if mso]><img src='$'><![endif]-->", V.IMG_SRC),
    ("<script><!--<script> </script> <!-- </script> <img src='$'> --></script>", V.IMG_SRC),
    # Raw text that some parser takes for markup
    ("<title><img src='$'>", V.IMG_SRC),
    ("<svg><title><img src='$'></title></svg>", V.IMG_SRC),
    ("<svg><style><img src='$'></style></svg>", V.IMG_SRC),
    ("<svg><style><!-- </style><img src='$'> --></svg>", V.IMG_SRC),
    ("<textarea><img src='$'></textarea>", V.IMG_SRC),
    ("<noscript><img src='$'></noscript>", V.IMG_SRC),
    ("<noscript><!-- </noscript><img src='$'> -->", V.IMG_SRC),
    ("<noembed><img src='$'></noembed>", V.IMG_SRC),
    ("<noframes><img src='$'></noframes>", V.IMG_SRC),
    ("<xmp><img src='$'></xmp>", V.IMG_SRC),
    ("<iframe><img src='$'></iframe>", V.IMG_SRC),
    ("<plaintext><img src='$'>", V.IMG_SRC),
    ("<template><img src='$'></template>", V.IMG_SRC),
    ("<select><option><img src='$'></select>", V.IMG_SRC),
    # Tags that parsers read differently
    ("<img/src='$'>", V.IMG_SRC),
    ("<img\tsrc='$'>", V.IMG_SRC),
    ("<img\nsrc\n=\n'$'\n>", V.IMG_SRC),
    ("<img src = '$' / >", V.IMG_SRC),
    ("<img alt=''src='$'>", V.IMG_SRC),
    ("<img\"src='$'>", V.IMG_SRC),
    ("<img src=`$`>", V.IMG_SRC),
    ("<img src='$'", V.IMG_SRC),
    ("<img src='$", V.IMG_SRC),
    ("<img src=$", V.IMG_SRC),
    ("<img src=\"$>", V.IMG_SRC),
    ("<<img src='$'>", V.IMG_SRC),
    ("<a <img src='$'>", V.IMG_SRC),
    ("<a title=\"foo> text <img src='$'>", V.IMG_SRC),
    ("<a title=\"foo> <img alt=\"a>b\" src='$'>", V.IMG_SRC),
    ("<a title='1'q=\"> <b y=\">  <img src='$'> <i z=\">", V.IMG_SRC),
    ("<!--[if mso]><a x='1'q=\"> <b y=\">  <img src='$'> <i z=\"><![endif]-->", V.IMG_SRC),
    ("<img alt=it's src='$' title=\"y\">", V.IMG_SRC),
    ("<img =x src='$'>", V.IMG_SRC),
    ("<i\0mg src='$'>", V.IMG_SRC),
    ("<img s\0rc='$'>", V.IMG_SRC),
    ("<\0img src='$'>", V.IMG_SRC),
    ("<img\x0bsrc='$'>", V.IMG_SRC),
    ("<img\xa0src='$'>", V.IMG_SRC),
    ("</a title='><img src=$>", V.IMG_SRC),
    ("<td \" ><img src='$'>", V.IMG_SRC),
    ("<p class='a\" id='b'><img src='$'>", V.IMG_SRC),
]  # fmt: skip


@pytest.mark.parametrize(("markup", "vector"), FETCHED, ids=[markup for markup, _ in FETCHED])
def test_what_is_fetched_is_found_and_silenced(markup: str, vector: Vector) -> None:
    markup = markup.replace("$", U)
    found = find(find_in_html, markup)
    assert {reference.url.partition("#")[0] for reference in found} == {U}
    assert {reference.vector for reference in found} == {vector}
    silent = silence(find_in_html, markup)
    assert find(find_in_html, silent) == []


SILENT = [
    "",
    "just text",
    "<p>text & more &lt;img src=http://t.example/x></p>",
    "a < b <3 <> </> < img src='http://t.example/x'>",
    "<a title=\"<img src='http://t.example/x'>\">",
    "<a title='<img src=http://t.example/x>'>",
    "<!-- <img src='http://t.example/x'> -->",
    "<!-- ---- <img src='http://t.example/x'> -->",
    "<!-- <p>x</p> <img src='http://t.example/x'> - -->",
    "<!----><!-- --><!-- [x] -->",
    "<a href='http://t.example/x'>x</a>",
    "<area href='http://t.example/x'>",
    "<svg><a href='http://t.example/x'/><a xlink:href='http://t.example/x'/></svg>",
    "<v:roundrect href='http://t.example/x' fillcolor='#fff'></v:roundrect>",
    "<v:rect href='http://t.example/x'></v:rect>",
    "<form action='http://t.example/x'><button formaction='http://t.example/x'></form>",
    "<td href='http://t.example/x'>",
    "<img longdesc='http://t.example/x' usemap='http://t.example/x#m'>",
    "<blockquote cite='http://t.example/x'>",
    "<object usemap='http://t.example/x' classid='clsid:D27CDB6E-AE6D-11cf-96B8-444553540000'></object>",
    "<embed pluginspage='http://t.example/x'>",
    "<param name=bgcolor value='#ffffff'><param name=wmode value=transparent>",
    "<img data-src='http://t.example/x' data-original=http://t.example/x>",
    "<link data-href='http://t.example/x'>",
    "<link rel=stylesheet href='cid:a@b'>",
    "<head profile='http://t.example/x'>",
    "<html xmlns='http://t.example/x' xmlns:v='urn:schemas-microsoft-com:vml'>",
    '<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0//EN" "http://www.w3.org/TR/xhtml1/DTD/xhtml1.dtd">',
    "<?xml version='1.0' encoding='utf-8'?>",
    '<?xml:namespace prefix = o ns = "urn:schemas-microsoft-com:office:office" />',
    '<?import namespace="v" implementation="#default#VML" />',
    "<img src='cid:a@b'><img src='x.png'><img src='data:image/gif;base64,R0lGODlhAQABAAAAACw='><img src=''>",
    "<img src='mailto:a@b'><img src='about:blank'><img src='javascript:x'><img src='#'><img src>",
    "<img src='C:\\x.png'><img src='file:///C:/x.png'>",
    "<body bgcolor=#ffffff text=#000000 link=blue onload='x()'>",
    "<p style='color:red;font-family:&quot;Arial&quot;;width:calc(1px)'>",
    "<style>p{color:red} @media (max-width:600px){a{color:blue}}</style>",
    "<svg><rect fill='url(#a)'/><use href='#a'/><animate attributeName=x values='1;2;3'/></svg>",
    "<meta http-equiv=refresh content=300>",
    "<meta http-equiv=refresh content='0;url=#x'>",
    "<meta http-equiv='X-UA-Compatible' content='IE=edge'>",
    "<meta http-equiv=Content-Type content='text/html; charset=utf-8'>",
    "<meta name='msapplication-TileColor' content='#ffffff'>",
    "<meta property='og:url' content='http://t.example/x'>",
    "<script>fetch('http://t.example/x')</script>",
    "<script type=text/javascript>document.write('//t.example/x')</script>",
    '<script type="application/ld+json">{"url":"http://t.example/x"}</script>',
    "<b onclick='x' onerror=\"fetch('http://t.example/x')\">",
    "<iframe srcdoc='<p>x</p>'></iframe><iframe srcdoc></iframe>",
    "<td src3D='http://t.example/x'><img src=3D\"http://t.example/x\">",
    "<amp-img [src]='state.image'></amp-img>",
    "<base target=_blank><base href=''><base href='cid:x'>",
    "<link rel=canonical>",
    "<img srcset='a 1x, b 2x, cid:c'>",
]


@pytest.mark.parametrize("markup", SILENT)
def test_what_nobody_fetches_is_left_alone(markup: str) -> None:
    assert find(find_in_html, markup) == []
    assert findings(markup).defects == []


INERT = [
    ("<img src='$'>", BLANK_GIF, Media.IMAGE),
    ("<td background='$'>", BLANK_GIF, Media.IMAGE),
    ("<img srcset='$ 1x'>", BLANK_GIF, Media.IMAGE),
    ("<video src='$'>", BLANK_URL, Media.VIDEO),
    ("<source src='$' type='audio/ogg'>", BLANK_URL, Media.AUDIO),
    ("<source src='$' type='video/ogg'>", BLANK_URL, Media.VIDEO),
    ("<amp-img src='$'>", BLANK_URL, Media.IMAGE),
    ("<link rel=stylesheet href='$'>", BLANK_CSS, Media.STYLESHEET),
    ("<link rel=icon href='$'>", BLANK_URL, None),
    ("<iframe src='$'>", BLANK_FRAME, None),
    ("<script src='$'>", BLANK_URL, None),
    ("<a ping='$'>", BLANK_URL, None),
    ("<base href='$'>", "", None),
    ("<base href=$>", '""', None),
    ("<meta http-equiv=refresh content='0;url=$'>", "", None),
    ("<meta http-equiv=refresh content=0;url=$>", '""', None),
    ("<meta http-equiv=x-dns-prefetch-control content=on>", "off", None),
    ("<v:fill src='$'>", BLANK_GIF, Media.IMAGE),
]


@pytest.mark.parametrize(("markup", "inert", "media"), INERT)
def test_what_stands_where_nothing_is_fetched(markup: str, inert: str, media: Media | None) -> None:
    (reference,) = find(find_in_html, markup.replace("$", U))
    assert (reference.inert, reference.media) == (inert, media)


def test_only_the_value_is_replaced() -> None:
    markup = f"<TD  Background = \"{U}&amp;a\"  x='y' ><img SRC={U} alt=a>"
    markup += f'<p style="background: url( {U} ) no-repeat">'
    expected = markup.replace(U + "&amp;a", BLANK_GIF).replace(U, BLANK_GIF)
    assert silence(find_in_html, markup) == expected.encode()


def test_every_candidate_of_a_srcset_is_a_reference_of_its_own() -> None:
    markup = "<img srcset='http://a.example/1&amp;2 1x,http://b.example/ 2x, http://c.example/ 100w'>"
    found = find(find_in_html, markup)
    assert [r.url for r in found] == ["http://a.example/1&2", "http://b.example/", "http://c.example/"]
    assert (
        silence(find_in_html, markup).decode()
        == f"<img srcset='{BLANK_GIF} 1x,{BLANK_GIF} 2x, {BLANK_GIF} 100w'>"
    )


@pytest.mark.parametrize(
    ("value", "url"),
    [
        ("http://t.example/?a=1&amp;b=2", "http://t.example/?a=1&b=2"),
        ("http://t.example/?a=1&ampb=2", "http://t.example/?a=1&ampb=2"),
        ("http://t.example/?a&copy=1", "http://t.example/?a&copy=1"),
        ("http://t.example/?a&copy", "http://t.example/?a%C2%A9"),
        ("&#104;ttp://t.example/", "http://t.example/"),
        ("&#x68;ttp&colon;&#47&#47t.example/", "http://t.example/"),
        ("h&Tab;ttp&colon;&sol;&sol;t.example/", "http://t.example/"),
        ("ht\ntp:/\t/t.example/", "http://t.example/"),
        ("  http://t.example/ ", "http://t.example/"),
        ("//t.example/a", "https://t.example/a"),
        ("\\\\t.example\\a", "file://t.example/a"),
        ("&#92;&#92;t.example&#92;a", "file://t.example/a"),
        ("http:\\\\t.example\\a", "http://t.example/a"),
        ("HTTPS://T.EXAMPLE/", "https://t.example/"),
        ("http://t.example/ä", "http://t.example/%C3%A4"),
        ("http://t.example/&auml;", "http://t.example/%C3%A4"),
        ("ftp://t.example/a", "ftp://t.example/a"),
        ("http://u:p@t.example/", "http://u:p@t.example/"),
        ("http://[::1]/", "http://[::1]/"),
        ("&#00000000000000000000104;ttp://t.example/", "http://t.example/"),
        ("//t.example/&#99999999999999999999999;", "https://t.example/%EF%BF%BD"),
    ],
)
def test_values_are_decoded(value: str, url: str) -> None:
    (reference,) = find(find_in_html, f'<img src="{value}">')
    assert reference.url == url


def test_attributes_describe_the_element_to_the_judge() -> None:
    markup = f"<img SRC='{U}' width=1 HEIGHT='1' alt='a &amp; b' width=2 hidden>"
    (reference,) = find(find_in_html, markup)
    assert reference.element == "img"
    assert reference.attributes == {"src": U, "width": "1", "height": "1", "alt": "a & b", "hidden": ""}
    many = "<img src='" + U + "' " + " ".join(f"a{n}='{'x' * 3000}'" for n in range(100)) + ">"
    (reference,) = find(find_in_html, many)
    assert len(reference.attributes) == 40
    assert max(map(len, reference.attributes.values())) == 2000


def test_both_of_two_attributes_of_one_name_are_replaced() -> None:
    markup = "<img src='http://a.example/' src='http://b.example/'>"
    assert urls(find_in_html, markup) == ["http://a.example/", "http://b.example/"]


def test_references_stand_in_order_and_never_overlap() -> None:
    markup = f"<p <img src='{U}' <img src=\"{U} <b style='a:url({U})'> <!--[if x]><img src={U}"
    found = find(find_in_html, markup)
    assert found
    for one, other in pairwise(found):
        assert one.end <= other.start
        assert one.start < other.start


# Base


def test_a_base_makes_every_relative_reference_remote() -> None:
    markup = "<img src=a.png><base href='http://b.example/c/'><td background='d.png'><p style='b:url(e)'>"
    assert urls(find_in_html, markup) == [
        "http://b.example/c/a.png", "http://b.example/c/", "http://b.example/c/d.png", "http://b.example/c/e",
    ]  # fmt: skip
    silent = silence(find_in_html, markup)
    assert b"<base href=''>" in silent
    assert find(find_in_html, silent) == []


def test_a_base_stays_where_links_depend_on_it() -> None:
    markup = (
        "<base href='http://b.example/'><a href='c.html'>x</a><img src='d.png'><img src=''><iframe src=\"\">"
    )
    found = findings(markup)
    assert [r.vector for r in found.references] == [V.IMG_SRC, V.IMG_SRC, V.IFRAME_SRC]
    assert found.linked == {"http://b.example/c.html"}
    assert len(found.insertions) == 1
    out = cleaned(markup)
    assert b"<base href='http://b.example/'><a href='c.html'>x</a>" in out
    assert cleaned(out) == out


def test_the_first_base_wins_and_all_go() -> None:
    markup = "<base href='http://a.example/'><base href=http://b.example/><img src=c>"
    found = find(find_in_html, markup)
    assert [r.url for r in found] == ["http://a.example/", "http://b.example/", "http://a.example/c"]


def test_the_base_of_the_part_counts_too() -> None:
    assert urls(find_in_html, "<img src=a>", base="http://b.example/") == ["http://b.example/a"]
    assert urls(find_in_html, "<base href='/c/'><img src=a>", base="http://b.example/") == [
        "http://b.example/c/", "http://b.example/c/a",
    ]  # fmt: skip


def test_descriptors_are_no_relative_addresses() -> None:
    markup = "<img srcset='a 1x, b 2x'>"
    assert urls(find_in_html, markup, base="http://b.example/") == [
        "http://b.example/a",
        "http://b.example/b",
    ]


# Links and the prefetching of their host names

LINK = "<a href='http://l.example/'>x</a>"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", LINK),
        ("<html><head>", "</head><body>" + LINK),
        ("<html>\n<HEAD lang=en>", "<title>x</title></head><body>" + LINK),
        ("<!DOCTYPE html>", LINK),
        ("<!doctype html>\n<html>", "<body>" + LINK),
        ("<?xml version='1.0'?>", LINK),
        ("<?xml version='1.0'?><!DOCTYPE html><!-- <head> --><html><head>", "</head>" + LINK),
        ("\ufeff", LINK),
        ("\ufeff<!DOCTYPE html>", LINK),
        ("", LINK + "<html><head></head></html>"),
        ("<html><head><!-- x -->".replace("<!-- x -->", ""), "<!--<head>--></head>" + LINK),
        ("<head>", "<iframe srcdoc=\"<a href='http://l.example/'>\"></iframe>"),
        ("<head>", "<!--[if mso]>" + LINK + "<![endif]-->"),
        ("<head>", "<area href='//l.example/'>"),
        ("<head>", "<meta http-equiv=x-dns-prefetch-control content=on>" + LINK),
        ("<head>", LINK + "<meta http-equiv=x-dns-prefetch-control content=off>"),
    ],
)  # fmt: skip
def test_prefetching_is_turned_off_where_there_are_links(before: str, after: str) -> None:
    found = findings(before + after)
    assert [i.at for i in found.insertions] == [len(before.encode())]
    out = cleaned(before + after)
    assert out.startswith((before + PREFETCH_OFF).encode())
    assert cleaned(out) == out


@pytest.mark.parametrize(
    "markup",
    [
        "<head></head><p>x</p>",
        "<a href='mailto:a@b'>x</a><a href='#x'>y</a><a href='tel:1'>z</a><a name=x></a>",
        "<head><meta http-equiv=x-dns-prefetch-control content=off>" + LINK,
        "<meta content='OFF' http-equiv='X-DNS-Prefetch-Control'>" + LINK,
        "<!-- " + LINK + " -->",
    ],
)
def test_otherwise_nothing_is_inserted(markup: str) -> None:
    assert findings(markup).insertions == []


def test_links_are_noted() -> None:
    markup = (
        "<a href='http://a.example/?x&amp;y'>1</a><a class=b href=\"http://b.example\">2</a>"
        "<map><area href=//c.example/></map>"
        "<form action='http://d.example/'></form><a\nhref = http://e.example/ >5</a><v:rect href='http://f.example/'>"
    )
    assert findings(markup).linked == {
        "http://a.example/?x&y", "http://b.example/", "https://c.example/", "http://d.example/", "http://e.example/",
        "http://f.example/",
    }  # fmt: skip


@pytest.mark.parametrize("content", ["on", "ON", "", " on "])
def test_turning_prefetching_on_is_turned_off(content: str) -> None:
    (reference,) = find(find_in_html, f"<meta http-equiv='x-dns-prefetch-control' content='{content}'>")
    assert reference.vector is V.META_DNS_PREFETCH
    assert reference.inert == "off"


# Documents that a browser opens on its own


@pytest.mark.parametrize(
    ("markup", "vectors"),
    [
        ("<script>fetch('//t.example/')</script>", [V.SCRIPT_INLINE]),
        ("<SCRIPT TYPE=module>import '//t.example/'</SCRIPT>", [V.SCRIPT_INLINE]),
        ("<script type='text/javascript; charset=utf-8'>x()</script>", [V.SCRIPT_INLINE]),
        ("<script language=VBScript>x()</script>", [V.SCRIPT_INLINE]),
        ("<script type=speculationrules>{}</script>", [V.SCRIPT_INLINE]),
        ("<script src='http://t.example/x'></script>", [V.SCRIPT_INLINE, V.SCRIPT_SRC]),
        ("<script src='data:text/javascript,x()'></script>", [V.SCRIPT_INLINE]),
        ("<svg><script>x()</script></svg>", [V.SCRIPT_INLINE]),
        ("<body onload='x()'>", [V.EVENT_HANDLER]),
        ("<p onclick=x()>", [V.EVENT_HANDLER]),
        ("<svg onload=\"fetch('//t.example')\">", [V.EVENT_HANDLER]),
        ("<img src=x onerror='a'onload='b'>", [V.EVENT_HANDLER, V.EVENT_HANDLER]),
        ("<iframe src='javascript:x()'></iframe>", [V.EVENT_HANDLER]),
        ("<iframe src='java\nscript:x()'></iframe>", [V.EVENT_HANDLER]),
        ("<iframe srcdoc='<script>x()</script>'></iframe>", [V.SCRIPT_INLINE]),
        ("<iframe srcdoc=\"<b onclick='x()'>\"></iframe>", [V.EVENT_HANDLER]),
        ("<meta http-equiv=refresh content='0;url=javascript:x()'>", [V.EVENT_HANDLER]),
    ],
)
def test_scripts_of_attached_documents_are_made_inert(markup: str, vectors: list[Vector]) -> None:
    found = find(find_in_html, markup, attached=True)
    assert [r.vector for r in found] == vectors
    silent = silence(find_in_html, markup, attached=True)
    assert find(find_in_html, silent, attached=True) == []
    # A frame is given nothing to make a document of, whoever shows it.
    shown = [r.vector for r in find(find_in_html, markup) if "<iframe src" not in markup]
    assert not any(vector is not V.SCRIPT_SRC for vector in shown)


def test_an_inert_script_is_data_to_browsers() -> None:
    assert (
        silence(find_in_html, "<script>x()</script>", attached=True)
        == b"<script type=text/inert>x()</script>"
    )


@pytest.mark.parametrize(
    "markup",
    [
        "<script type='text/template'><p></script>",
        "<script type='application/json'>{}</script>",
        "<p onclick=''>",
        "<p on='x' one>",
        "<a href='javascript:x()'>x</a>",
    ],
)
def test_what_does_not_run_is_left_alone(markup: str) -> None:
    assert silence(find_in_html, markup, attached=True) == markup.encode()


# Bounds


def test_a_document_nested_too_deeply_is_emptied() -> None:
    from html import escape

    markup = f"<img src={U}>"
    for _ in range(9):
        markup = f'<iframe srcdoc="{escape(markup)}"></iframe>'
    (reference,) = find(find_in_html, markup)
    assert reference.vector is V.IFRAME_SRC
    silent = silence(find_in_html, markup)
    assert find(find_in_html, silent) == []
    assert b"t.example" not in silent


def test_too_many_references_end_the_search() -> None:
    found = findings("<img src=//t.example>" * 50, limits=Limits(max_references=20))
    assert found.defects == [Defect.TOO_MANY_REFERENCES]
    assert len(found.references) == 20


def test_our_own_copies_are_left_alone() -> None:
    ours = "https://copies.example/c/token"
    markup = f"<img src='{ours}'><img srcset='{ours} 1x, {ours}x 2x'><td background={ours}>"
    assert urls(find_in_html, markup, ours=lambda url: url == ours) == [ours + "x"]


def test_replacements_are_written_in_the_charset_of_the_text() -> None:
    markup = f"<head><img src='{U}'><a href='http://l.example/'>"
    raw = markup.encode("utf-16-le")
    starts = list(range(0, len(raw), 2))
    text = Text(markup, Source(raw), starts=starts, ends=[s + 2 for s in starts], encoding="utf-16-le")
    found = Findings()
    find_in_html(text, Scope("1", found))
    (reference,) = found.references
    assert raw[reference.start : reference.end].decode("utf-16-le") == U
    assert (reference.encoding, found.insertions[0].encoding) == ("utf-16-le", "utf-16-le")
    assert found.insertions[0].at == 12
