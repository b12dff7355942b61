"""What a browser finds in a view."""

from html.parser import HTMLParser

PREFIX = "/news-rerank"
ROUTES = (
    "/",
    "/article",
    "/compare",
    "/dag-run",
    "/feedback",
    "/health",
    "/parquet",
    "/picture",
    "/preview",
    "/rankings",
    "/run",
    "/runs",
    "/scorers",
    "/static/ui.css",
    "/topic",
)
OUR_TAGS = set(
    "html head meta title link script body a header nav div form input select option button main h1 h2 h3 section span time b"
    " p ul ol li table thead tbody tr th td abbr bdi label dl dt dd code pre figure figcaption svg line text rect polyline"
    " circle polygon details summary fieldset legend i textarea img".split()
)


class Reader(HTMLParser):
    """What a browser would find in a view: tags, attributes, text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def offences(text: str) -> list[str]:
    """What a page has that ours never have."""
    wrong = []
    for tag, attributes in Reader(text).tags:
        is_foreign = tag == "img" and not (attributes.get("src") or "").startswith(f"{PREFIX}/picture?")
        if tag not in OUR_TAGS or is_foreign:
            wrong.append(f"<{tag}>")
        wrong += [
            f"{tag} {name}" for name in attributes if name.startswith("on") or name in {"style", "srcdoc"}
        ]
        if tag == "script" and not (attributes.get("src") or "").startswith(f"{PREFIX}/static/"):
            wrong.append("script of its own")
        for name in ("href", "src", "action"):
            address = attributes.get(name)
            if address and not address.startswith(("/", "http://", "https://", "#")):
                wrong.append(f"{tag} {name}={address}")
        if attributes.get("target") == "_blank" and "noopener" not in (attributes.get("rel") or ""):
            wrong.append("a window with an opener")
        if tag == "a" and (attributes.get("href") or "").startswith("http") and not attributes.get("rel"):
            wrong.append("a link out without rel")
    return wrong
