"""Measure scorers on a judged corpus in a folder, without a database: corpus.jsonl, queries.jsonl and qrels.tsv.

    corpus.jsonl    {"id": …, "title": …, "text": …, "lang": …}
    queries.jsonl   {"id": …, "text": …, "lang": …}
    qrels.tsv       query_id  doc_id  relevance

The candidates of a query are the best documents of its language by BM25; each scorer orders these.
"""

import io
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np

from rerank_core.errors import EngineError, InputError
from rerank_core.evaluation.evaluate import SEED, Order, Scores
from rerank_core.evaluation.judgements import Judgements, read_file
from rerank_core.models.base import OnChunk, Scorer
from rerank_core.models.embedding import Embedder
from rerank_core.prepare.terms import terms
from rerank_core.recall.bm25 import Bm25
from rerank_core.records import DEFAULT_INSTRUCTION, Pair
from rerank_core.storage import json_lines
from rerank_core.storage.bounded import read_bounded

LARGEST = 128 << 20  # bytes of a file
SAY_PAIRS = 200  # between two reports of progress


@dataclass(frozen=True)
class Text:
    """A document or a query."""

    id: str
    text: str
    lang: str


@dataclass(frozen=True)
class Corpus:
    """The corpus of a folder, in the order of its files."""

    documents: Sequence[Text]
    queries: Sequence[Text]
    judgements: Judgements


def read(folder: Path, *, queries: int | None = None) -> Corpus:
    """The corpus in a folder. Of each language it takes at most `queries` judged queries, drawn with a fixed seed.

    Raises InputError, which names the wrong file and line.
    """
    if not folder.is_dir():
        raise InputError(
            f"corpus {str(folder)!r} is no folder here; name one with corpus.jsonl, queries.jsonl and qrels.tsv"
        )
    documents = _texts(folder / "corpus.jsonl")
    asked = _texts(folder / "queries.jsonl")
    judgements = read_file(folder / "qrels.tsv")
    by_lang: dict[str, list[Text]] = defaultdict(list)
    for query in asked:
        if query.id in judgements:
            by_lang[query.lang].append(query)
    if not by_lang:
        raise InputError(f"{folder}: qrels.tsv judges none of the queries of queries.jsonl")
    rng = np.random.default_rng(SEED)
    drawn = []
    for _, of in sorted(by_lang.items()):
        count = len(of) if queries is None else min(queries, len(of))
        drawn += [of[place] for place in sorted(rng.choice(len(of), count, replace=False).tolist())]
    return Corpus(documents, drawn, {query.id: judgements[query.id] for query in drawn})


def by_bm25(corpus: Corpus, *, candidates: int) -> Order:
    """For each query the best `candidates` documents of its language by BM25. A document without a term of the query is left out."""
    scores: dict[str, dict[str, float]] = {query.id: {} for query in corpus.queries}
    for lang in sorted({query.lang for query in corpus.queries}):
        documents = [document for document in corpus.documents if document.lang == lang]
        index = Bm25([terms(document.text, lang=lang) for document in documents])
        for query in (query for query in corpus.queries if query.lang == lang):
            found = index.scores(terms(query.text, lang=lang))
            best = np.argsort(-found, kind="stable")[:candidates]
            scores[query.id] = {
                documents[place].id: float(found[place]) for place in best.tolist() if found[place] > 0
            }
    return order("BM25", corpus, scores)


def by_scorer(
    corpus: Corpus,
    scorer: Scorer,
    candidates: Scores,
    *,
    name: str,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
    on_chunk: OnChunk = lambda chunk: None,
) -> Order:
    """The candidates of each query in the scorer's order.

    Raises EngineError if the engine fails, InputError if the scorer refuses a pair.
    """
    texts = {document.id: document for document in corpus.documents}
    numbers = {document.id: number for number, document in enumerate(corpus.documents)}
    pairs = [
        Pair(number, numbers[document], date.min, DEFAULT_INSTRUCTION, query.text, texts[document].text)
        for number, query in enumerate(corpus.queries)
        for document in candidates.get(query.id, {})
    ]
    scores: dict[str, dict[str, float]] = {query.id: {} for query in corpus.queries}
    done = said = 0
    for chunk in scorer.score(pairs, flush_seconds=2.0):
        on_chunk(chunk)
        if chunk.refused:
            raise InputError(f"{name}: {len(chunk.refused)} pairs are refused: {chunk.refused[0].reason}")
        for found in chunk.scores:
            query = corpus.queries[found.pair.query_id]
            scores[query.id][corpus.documents[found.pair.document_id].id] = found.logit
        done += len(chunk.scores)
        if done - said >= SAY_PAIRS or done == len(pairs):
            said = done
            on_progress(done, len(pairs))
    if done != len(pairs):
        raise EngineError(f"{name}: {done} of {len(pairs)} pairs were scored")
    return order(name, corpus, scores)


def by_meaning(corpus: Corpus, embedder: Embedder, candidates: Scores) -> Order:
    """The candidates of each query by the cosine of its vector and theirs. Raises EngineError if the embedder fails."""
    wanted = sorted({document for found in candidates.values() for document in found})
    place = {document: number for number, document in enumerate(wanted)}
    texts = {document.id: document.text for document in corpus.documents}
    documents = embedder.embed_documents([texts[document] for document in wanted]).astype(np.float64)
    queries = embedder.embed_queries([(DEFAULT_INSTRUCTION, query.text) for query in corpus.queries])
    scores = {
        query.id: {document: float(documents[place[document]] @ vector) for document in candidates[query.id]}
        for query, vector in zip(corpus.queries, queries.astype(np.float64), strict=True)
    }
    return order("meaning", corpus, scores)


def order(name: str, corpus: Corpus, scores: Scores) -> Order:
    """These scores with the corpus's judgements and languages."""
    return Order(
        name, scores, corpus.judgements, {document.id: document.lang for document in corpus.documents}
    )


def _texts(file: Path) -> list[Text]:
    content = io.BytesIO(read_bounded(file, most=LARGEST, what=str(file)))
    found = []
    for number, line in enumerate(content, start=1):
        if not line.strip():
            continue
        try:
            row = json_lines.read_object(line)
            parts = [str(row[name]) for name in ("title", "text") if row.get(name)]
            text = Text(str(row["id"]), "\n\n".join(parts), str(row["lang"]))
            for part in (text.id, text.text, text.lang):
                part.encode()
        except (ValueError, KeyError) as error:
            why = "" if isinstance(error, KeyError) else f": {error}"
            raise InputError(f"{file}, line {number}: not an object with id, text and lang{why}") from None
        found.append(text)
    if len({text.id for text in found}) != len(found):
        raise InputError(f"{file}: an id occurs twice")
    return found
