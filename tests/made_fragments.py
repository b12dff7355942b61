"""Fragments of HTML that are made at random, with the words that a reader sees in them, and what must hold of each."""

from itertools import count
from random import Random

from rerank_core.prepare import fragment

CLASSES = (
    "share shareable sharedaddy share-text newsletter newsletter-content related related-content related-story-text sidebar"
    " widget widget-content meta metabox author author-note author-bio byline caption image-caption gallery-caption"
    " wp-caption-text timestamp tags comment comments comment-body footer footer-note nav navigation-history banner cookie"
    " overlay breadcrumb embed embed-text social social-post rating message message-body post-message outbrain taboola"
    " viewport attachment attachment-large slide slideshow-slide consent elementor-widget-text-editor textwidget"
).split()
WRAPPERS = (
    "p div span b i em font center label q main article aside header footer address section blockquote ul ol li dl dt dd"
    " table tr td th pre figure figcaption h1 h3 a sup sub small nobr bdi details summary form button unknown o:p"
).split()
STEMS = {
    "tram": "tram",
    "линия": "линия",
    "电车线路": "电车线路",
    "दिल्ली": "दिल्ली",
    "کتاب‌ها": "کتاب‌ها",
    "İstanbul": "İstanbul",
    "กรุงเทพ": "กรุงเทพ",
    "서울": "서울",
    "R&amp;D": "R&D",
    "caf&eacute;": "café",
    "na&#239;f": "naïf",
    "&#x5317;京": "北京",
    "a&lt;b": "a<b",
}
NOISE = (
    "<br>",
    "<hr/>",
    "<img src='data:image/png;base64,AAAA'>",
    "<img alt='a > b'>",
    "<!-- a comment -->",
    "<!-->",
    "<!--->",
    "<!---->",
    "<!-- hidden --!>",
    "<!-- hidden <b> -- > hidden -->",
    "<!doctype html>",
    '<?xml version="1.0"?>',
    "<![if !IE]>",
    "<!--[if IE]> hidden <![endif]-->",
    "<script>var hidden = 1</script>",
    "<SCRIPT>var hidden = '<b>'</SCRIPT>",
    "<script src='x'>if (hidden < 1) {}</script >",
    "<style>p {hidden: 1}</style>",
    "<nav>hidden</nav>",
    "<NAV>hidden <nav>hidden</nav></NAV>",
    "<select><option>hidden</select>",
    "<svg><title>hidden</title></svg>",
    "<span style='display: none'>hidden</span>",
    "<p hidden>hidden<p>",
    "<p hidden>hidden<div></div>",
    "</p>",
    "</div>",
    "</td></tr>",
    "</ul>",
    "</table>",
    "<wbr>",
    "<iframe src=x></iframe>",
    "<script/>",
    "<>",
    " < ",
    " & ",
    "&#0;",
    "</>",
    "\0",
    "\x01",
)
ATTRIBUTES = (
    " class='col hidden md:block'",
    " title='the hidden cost: it may display: none'",
    " data-x=hidden",
    " aria-hidden=true",
    " id=x",
    " title='a > b'",
    ' title="it\'s"',
    " data-x",
    "\n lang = en",
    " /",
)


def made(random: Random) -> tuple[str, list[str]]:
    """A fragment, and its visible words in order. No word of it contains "hidden"."""
    numbers = count(1)
    words: list[str] = []
    lists: list[str] = []

    def piece(depth: int) -> str:
        kind = random.randint(0, 5)
        if kind == 0:
            return random.choice(NOISE)
        if kind < 3 or depth > 6:
            stem = random.choice(sorted(STEMS))
            number = next(numbers)
            words.append(f"{STEMS[stem]}x{number}z")
            return f" {stem}x{number}z "
        name = random.choice(WRAPPERS)
        if name in ("ul", "ol"):
            lists.append(name)
        elif name == "a" and lists:
            name = "b"  # a list that is all links would go
        attributes = random.choice(("", f' class="{random.choice(CLASSES)}"', random.choice(ATTRIBUTES)))
        inner = "".join(piece(depth + 1) for _ in range(random.randint(0, 4)))
        close = f"</{name}>" if random.randint(0, 4) else ""
        return f"<{name}{attributes}>{inner}{close}"

    raw = "<p>" + "".join(piece(0) for _ in range(random.randint(1, 6))) + "</p>"
    return raw, words


def check(raw: str, words: list[str]) -> None:
    """Raise AssertionError if the text of a fragment lacks one of its words, or has what it hides."""
    found = fragment.read(raw)
    check_text(found.text, words)
    assert not found.restored, "letters were missing, and were put back"


def check_text(text: str, words: list[str]) -> None:
    """Raise AssertionError if a text lacks one of these words, in their order, or has what its fragment hides."""
    at = 0
    for word in words:
        found = text.find(word, at)
        assert found >= 0, f"{word!r} is lost, of {words}, in {text!r}"
        at = found + len(word)
    assert "hidden" not in text, f"it shows what is hidden: {text!r}"
