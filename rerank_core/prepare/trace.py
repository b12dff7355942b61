"""Trace: what each step of prepare does to one article, line by line."""

from collections.abc import Iterator, Mapping, Sequence
from difflib import SequenceMatcher

from rerank_core.errors import RerankError
from rerank_core.prepare import captions
from rerank_core.prepare.cleaning import LINE_STEPS, STEPS, Cleaning, Tally
from rerank_core.prepare.documents import Unpreparable, assembled, cleaned, to_document
from rerank_core.prepare.fragment import letters

MAX_CHANGES = 12  # lines that are shown for one step and field
CONTEXT = 24  # characters that are shown on either side of a change within a line


Steps = dict[str, list[str]]  # step → a line for each change, in order; no line: the step changed nothing


def trace(
    *,
    title: str | None,
    summary: str | None,
    body: str | None,
    lang: str | None,
    cleaning: Cleaning,
    told: Sequence[captions.Told] | None = None,
) -> tuple[Steps, bytes | None]:
    """What each step does to an article, and the digest of the document; None if the article goes to quarantine."""
    texts = {"title": title or "", "summary": summary or "", "body": body or ""}
    tallies = {field: Tally() for field in texts}
    steps: Steps = {}
    for name in STEPS:
        did: list[str] = []
        for field, before in texts.items():
            if field == "title" and name not in LINE_STEPS:
                continue
            try:
                texts[field] = cleaned(field, before, cleaning=cleaning, tally=tallies[field], steps=(name,))
            except RerankError:  # a setting is at fault, not the article
                raise
            except Exception as error:
                return steps | _unreadable(error, name), None
            did += (f"{field}: {line}" for line in _told(name, before, texts[field]))
        steps[name] = did
    steps["letters"] = list(_letters(texts, tallies))
    try:
        document = to_document(
            title=title, summary=summary, body=body, lang=lang, cleaning=cleaning, told=told
        )
    except Unpreparable as reason:
        return steps | {"quarantine": [str(reason)]}, None
    except RerankError:
        raise
    except Exception as error:
        return steps | _unreadable(error, "its preparation"), None
    if told is not None:
        lines = captions.lines(told, body, text=assembled(**texts), lang=document.lang, cleaning=cleaning)
        steps["captions"] = lines.splitlines()
    parts = [field for field, text in texts.items() if text]
    if texts["summary"] and assembled(**texts) == assembled(**{**texts, "summary": ""}):
        parts.remove("summary")  # the title or the body repeats it
    claim = f"; the source claims {lang}" if lang else "; the source claims no language"
    confidence = "" if document.lang_confidence is None else f", confidence {document.lang_confidence:.2f}"
    steps |= {
        "assembly": [f"{', '.join(parts)}: {len(document.text):,} characters"],
        "language": [f"{document.lang}{confidence}{claim}"],
        "flags": list(document.flags),
        "digest": [document.digest.hex()],
    }
    return steps, document.digest


def _letters(texts: Mapping[str, str], tallies: Mapping[str, Tally]) -> Iterator[str]:
    """For each field, how many letters of its visible text came in, and how many came out."""
    for field, tally in tallies.items():
        if tally.letters_in or texts[field]:
            notes = [f"{field}: {tally.letters_in:,} in, {letters(texts[field]):,} out"]
            if tally.raw_cut:
                notes.append("the end of the raw text was not read")
            if tally.restored:
                notes.append("missing letters were put back")
            if tally.pages_without_article:
                notes.append("the page has navigation and no article")
            yield "; ".join(notes)


def _unreadable(error: Exception, where: str) -> Steps:
    """The last step of an article that breaks a parser."""
    return {"quarantine": [f"unreadable: {type(error).__name__} in {where}"]}


def _told(name: str, before: str, after: str) -> Iterator[str]:
    """What a step did to a text, in a few lines."""
    if before == after:
        return
    if name == "extract" and "<" in before:
        yield f"{len(before):,} characters of markup → {len(after):,} of text, a line a block"
        return
    changes = list(_changes(before.split("\n"), after.split("\n")))
    yield from changes[:MAX_CHANGES]
    if len(changes) > MAX_CHANGES:
        yield f"… and {len(changes) - MAX_CHANGES:,} more lines"


def _changes(before: list[str], after: list[str]) -> Iterator[str]:
    for what, start, stop, begin, end in SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        if what == "replace" and stop - start == end - begin:
            for old, new in zip(before[start:stop], after[begin:end], strict=True):
                yield _within(old, new)
        elif what != "equal":
            yield from (f"− {_visible(line)}" for line in before[start:stop])
            yield from (f"+ {_visible(line)}" for line in after[begin:end])


def _within(old: str, new: str) -> str:
    """The words of a line that changed, before and after."""
    shorter = min(len(old), len(new))
    start = next((at for at in range(shorter) if old[at] != new[at]), shorter)
    end = next((at for at in range(shorter - start) if old[-1 - at] != new[-1 - at]), shorter - start)
    left = next((at + 1 for at in range(start - 1, -1, -1) if old[at].isspace()), 0)
    right = next((end - at for at in range(end) if old[len(old) - end + at].isspace()), 0)
    left, right = max(left, start - CONTEXT), max(right, end - CONTEXT)
    return f"{_visible(old[left : len(old) - right])} → {_visible(new[left : len(new) - right])}"


def _visible(text: str) -> str:
    """The text in quotation marks, its odd spaces and invisible characters as code points."""
    shown = "".join(
        character
        if character == " " or (character.isprintable() and not character.isspace())
        else f"\\u{ord(character):04x}"
        for character in text
    )
    return f"“{shown}”"
