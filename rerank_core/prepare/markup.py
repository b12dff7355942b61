"""Markup: the tags of a raw text, and whether they are tags at all.

Newsrooms write "<script> tags are safe" and mean the letters. So a name in angle brackets is markup only if an element of
HTML has this name, and one of these holds: the tag closes, has an attribute, is void, touches another tag, or ends a
paragraph as its optional end tag may be left out (`<p>`, `<li>`).

Every pattern here reads a text once, from left to right: no text makes it quadratic.
"""

import html
import re
from collections.abc import Iterator

# A tag. A quotation mark is a delimiter only after an equals sign; elsewhere it is a letter of an attribute's name.
TAG = re.compile(
    r"<(?P<close>/?)(?P<name>[a-zA-Z][\w:.-]*+)"
    r"(?P<attributes>(?:[\s/](?:[^<>\"'=]++|=\s*+(?:\"[^\"]*+\"|'[^']*+')|[\"'=])*+)?+)>"
)
# The rest of a text that was cut within a tag.
CUT_TAG = re.compile(r"<[a-zA-Z][\w:.-]*+\s[^<>=]*+=[^<>]*+\Z")

VOID = frozenset("area base br col embed hr img input link meta param source track wbr".split())
BREAKING = frozenset("br hr wbr".split())  # void elements that say something without an attribute
END_IS_OPTIONAL = frozenset(
    "body colgroup dd dt html li optgroup option p rb rp rt rtc tbody td tfoot th thead tr".split()
)
RAW = frozenset("iframe noembed noframes script style textarea title".split())  # markup within them is text
BLOCK = frozenset(
    "address article aside blockquote body br button caption center dd details dialog dir div dl dt fieldset figcaption"
    " figure footer form frame frameset h1 h2 h3 h4 h5 h6 header hgroup hr html legend li listing main marquee menu"
    " nav ol optgroup option p plaintext pre search section summary table tbody td tfoot th thead tr ul xmp"
    # of NITF, the format of newswires
    " block body.content body.head byline dateline hedline hl1 hl2 nitf tagline".split()
)
INLINE = frozenset(
    "a abbr acronym audio b bdi bdo big canvas cite code data datalist del dfn em font head i iframe ins kbd label map"
    " mark math meter noembed noframes nobr noscript object output picture portal progress q rb rp rt rtc ruby s samp"
    " script select slot small span strike strong style sub sup svg template textarea time title tt u var video"
    " applet basefont colgroup bgsound blink font frame image isindex keygen multicol nextid spacer".split()
)
ELEMENTS = BLOCK | INLINE | VOID

_PAGE = re.compile(r"<(?:html|head|body)[\s>]", re.IGNORECASE)
# What a page has around its article, and a fragment in the frame of a page has not.
_FURNITURE = re.compile(
    r"<(?:title|link|meta|script|style|nav|header|footer|aside|form|iframe)[\s/>]", re.IGNORECASE
)
_NESTED_ESCAPE = re.compile(r"&(?:amp;)+(?=#?\w{1,32};)")
_ENTITY = re.compile(r"&#?[0-9A-Za-z]{1,32};")
_CDATA = re.compile(r"<!\[(?i:CDATA)\[")
_DATA_URI = re.compile(r"data:[\w/+.;=-]{0,100};base64,[A-Za-z0-9+/=\s%_-]*+", re.IGNORECASE)
_LONG_VALUE = re.compile(  # of an attribute: no text of an article
    r"""=\s*+(?:(["'])data:.*?\1|data:[^\s>"']*+|"[^"<]{2000,}+"|'[^'<]{2000,}+')""",
    re.IGNORECASE | re.DOTALL,
)
_PAYLOAD = re.compile(r"<(?:(script|style|svg|template|noscript)(?=[\s/>])|!--)", re.IGNORECASE)


def is_markup(text: str) -> bool:
    """Whether tags of a text are markup; if not, the text is plain and its angle brackets are letters."""
    if "<" not in text:
        return False
    return (
        any(map(_is_markup, TAG.finditer(text))) or _has_comment(text) or _has_doctype(text) or _is_cut(text)
    )


def _is_markup(tag: re.Match[str]) -> bool:
    name = tag["name"].lower()
    if name not in ELEMENTS:
        return False
    attributes = tag["attributes"]
    if tag["close"]:
        return not attributes.strip()
    if "=" in attributes or attributes.endswith("/") or name in BREAKING:
        return True
    text, end = tag.string, tag.end()
    if name in RAW:
        return False
    if text.startswith("<", end) and (touched := TAG.match(text, end)):
        return touched["name"].lower() in ELEMENTS
    after = text[end : end + 1]
    touches_word = bool(after) and not after.isspace() and after not in ".,;:!?)]\u2019\u201d…"
    return name in END_IS_OPTIONAL and (touches_word or _begins_line(text, tag.start()))


def _begins_line(text: str, at: int) -> bool:
    """Whether a tag stands at the start of a line, or behind the end of a sentence."""
    before = text[max(0, at - 8) : at].rstrip(" \t")
    return not before or before[-1] in '\r\n.!?。！？…"”’」'


def _has_comment(text: str) -> bool:
    start = text.find("<!--")
    return start >= 0 and text.find("-->", start + len("<!--")) >= 0


def _has_doctype(text: str) -> bool:
    return re.match(r"\s*<!doctype\s[^<>]*>", text, re.IGNORECASE) is not None


def _is_cut(text: str) -> bool:
    at = text.rfind("<")
    cut = CUT_TAG.match(text, at)
    return cut is not None and cut[0][1:].split(None, 1)[0].lower() in ELEMENTS


def is_page(markup: str) -> bool:
    """Whether markup is a page, with navigation around its article; a fragment in the frame of a page is none."""
    return _PAGE.search(markup) is not None and _FURNITURE.search(markup) is not None


def without_marks(text: str) -> str:
    """The text without the marks of CDATA sections; what is between them stays."""
    text = text.replace("]]>", "")
    return _CDATA.sub("", text) if "<![" in text else text


def resolved(text: str) -> str:
    """Plain text with its entities resolved, also if they were escaped again and again (`&amp;amp;lt;`)."""
    return html.unescape(_NESTED_ESCAPE.sub("&", text))


def resolved_again(text: str) -> str:
    """A text whose entities were escaped once more than its markup; only entities with a semicolon are resolved.

    A text that has angle brackets was not escaped once more.
    """
    if "&" not in text or "<" in text:
        return text
    return _ENTITY.sub(lambda entity: html.unescape(entity[0]), _NESTED_ESCAPE.sub("&", text))


def readable(text: str, characters: int) -> tuple[str, bool]:
    """The part of a raw text that is read, at most so many characters; and whether text was cut off.

    A text that is longer loses inline images, long values of attributes, comments, scripts, styles and drawings first,
    because the article may be behind them.
    """
    if len(text) <= characters:
        return text, False
    text = "".join(_without_payloads(_DATA_URI.sub("", _LONG_VALUE.sub("=''", text))))
    return text[:characters], len(text) > characters


def _without_payloads(text: str) -> Iterator[str]:
    """The pieces of a text outside of comments, scripts, styles and drawings. One that never ends ends the text."""
    at = 0
    while opened := _PAYLOAD.search(text, at):
        yield text[at : opened.start()]
        end = rf"</{opened[1]}\s*>" if opened[1] else "-->"
        closed = re.compile(end, re.IGNORECASE).search(text, opened.end())
        if closed is None:
            return
        at = closed.end()
    yield text[at:]
