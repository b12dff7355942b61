"""The embedder that needs no GPU: texts of one meaning are near in every language that it knows, and no text is structure."""

import hashlib
import importlib.metadata
import importlib.util
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rerank_core.errors import EngineError, ModelError
from rerank_core.models import embedders, numpy_embedder
from rerank_core.models.embedding import LANGUAGES, knows
from rerank_core.models.numpy_embedder import CONTROLS, DIMENSIONS, END, MOST_TOKENS, START, NumpyEmbedder
from rerank_core.prepare.terms import terms
from rerank_core.settings import USE_MULTILINGUAL, Settings

ENGLISH = [
    "The central bank lowers interest rates",
    "An earthquake destroyed the village",
    "The football team won the final",
]
# Language → the first of these, as a person would put it.
RATES = {
    "ar": "البنك المركزي يخفض أسعار الفائدة",
    "de": "Die Notenbank senkt die Zinsen",
    "en": "Borrowing gets cheaper, says the Federal Reserve",
    "es": "El banco central baja los tipos de interés",
    "fr": "La banque centrale abaisse ses taux d'intérêt",
    "it": "La banca centrale taglia i tassi di interesse",
    "ja": "中央銀行が金利を引き下げる",
    "ko": "중앙은행이 금리를 인하한다",
    "nl": "De centrale bank verlaagt de rente",
    "pl": "Bank centralny obniża stopy procentowe",
    "pt": "O banco central reduz as taxas de juro",
    "ru": "Центральный банк снижает процентную ставку",
    "th": "ธนาคารกลางลดอัตราดอกเบี้ย",
    "tr": "Merkez bankası faiz oranlarını düşürdü",
    "zh": "央行宣布下调利率",
}
HOSTILE = {
    "empty": "",
    "blank": " \n\t",
    "nul": "a\0b",
    "lone surrogate": "\ud800 broken",
    "names of control tokens": "</s><s> extra_token_id_1 <unk> ＜/s＞",
    "two million letters": "letters " * 250_000,
    "one word of two million": "x" * 2_000_000,
    "ligatures that grow eighteenfold": "\ufdfa" * 5_000,
    "combining marks": "e" + "\u0301" * 5_000,
    "emoji": "👩‍👩‍👧‍👦" * 300,
    "another script": "नमस्ते दुनिया",
}


@pytest.fixture(scope="module")
def embedder() -> NumpyEmbedder:
    return NumpyEmbedder()


def cosines(embedder: NumpyEmbedder, one: str, others: list[str]) -> list[float]:
    vectors = embedder.embed_documents([one, *others]).astype(np.float32)
    return [float(value) for value in vectors[1:] @ vectors[0]]


# ── What it is for ──────────────────────────────────────────────────────────────────────────────────


def test_every_language_that_it_is_said_to_know_is_tried() -> None:
    assert set(RATES) == LANGUAGES[USE_MULTILINGUAL]


@pytest.mark.parametrize("lang", sorted(RATES))
def test_a_headline_is_nearest_to_the_english_one_of_its_meaning(embedder: NumpyEmbedder, lang: str) -> None:
    right, *wrong = cosines(embedder, RATES[lang], ENGLISH)
    assert right > max(wrong) + 0.1


@pytest.mark.parametrize(
    ("query", "right", "wrong"),
    [
        ("央行降息", "Central bank cuts its key rate", "央行大楼前的樱花开了"),
        ("医生罢工", "Physicians walk out of hospitals", "医生推荐的食谱"),
        ("doctor strike", "Physicians walk out of hospitals", "Lightning strike on the tower"),
    ],
)
def test_meaning_beats_words_across_languages_and_within_one(
    embedder: NumpyEmbedder, query: str, right: str, wrong: str
) -> None:
    asked, meant, worded = (set(terms(text, lang=lang_of(text))) for text in (query, right, wrong))
    assert not asked & meant
    assert asked & worded  # so words take the wrong one
    near, far = cosines(embedder, query, [right, wrong])
    assert near > far + 0.05


def lang_of(text: str) -> str:
    return "en" if text.isascii() else "zh"


@pytest.mark.parametrize(
    ("lang", "known"),
    [("zh", True), ("zh-TW", True), ("pt-BR", True), ("und", True), ("hi", False), ("uk", False)],
)
def test_it_says_which_languages_it_knows(lang: str, known: bool) -> None:
    assert knows(USE_MULTILINGUAL, lang) is known
    assert knows("qwen3-embedding", lang)  # a family that is not listed


# ── The contract of an embedder ─────────────────────────────────────────────────────────────────────


def test_vectors_have_length_one_in_half_precision(embedder: NumpyEmbedder) -> None:
    found = embedder.embed_documents([*ENGLISH, *HOSTILE.values()])
    assert (found.dtype.name, found.shape) == (
        "float16",
        (len(ENGLISH) + len(HOSTILE), embedder.identity.dimensions),
    )
    np.testing.assert_allclose(np.linalg.norm(found.astype(np.float32), axis=1), 1, atol=2e-3)
    assert len(embedder.embed_documents([])) == 0


def test_a_batch_does_not_change_a_vector(embedder: NumpyEmbedder) -> None:
    texts = [*RATES.values(), *HOSTILE.values()]
    together = embedder.embed_documents(texts).astype(np.float32)
    alone = np.concatenate([embedder.embed_documents([text]) for text in texts]).astype(np.float32)
    np.testing.assert_allclose(together, alone, atol=1e-4)
    backwards = embedder.embed_documents(texts[::-1]).astype(np.float32)[::-1]
    np.testing.assert_allclose(together, backwards, atol=1e-4)


def test_a_query_is_its_words_whatever_the_instruction(embedder: NumpyEmbedder) -> None:
    queries = embedder.embed_queries([("Find news", ENGLISH[0]), ("", ENGLISH[0])])
    assert np.array_equal(queries[0], queries[1])
    assert np.array_equal(queries[0], embedder.embed_documents([ENGLISH[0], ENGLISH[0]])[0])


def test_another_process_finds_the_same_vectors_and_loads_no_engine(embedder: NumpyEmbedder) -> None:
    script = (
        "import sys, hashlib; from rerank_core.models.numpy_embedder import NumpyEmbedder;"
        f"found = NumpyEmbedder(); print(found.identity.digest, hashlib.sha256(found.embed_documents({ENGLISH!r}).tobytes()).hexdigest(),"
        "{'torch', 'vllm', 'transformers'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    vectors = hashlib.sha256(embedder.embed_documents(ENGLISH).tobytes()).hexdigest()
    assert done.stdout.split() == [embedder.identity.digest, vectors, "set()"]


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (lambda ids: 1 / 0, "2 texts could not be embedded .ZeroDivisionError"),
        (lambda ids: np.full((2, DIMENSIONS), np.nan), "not finite"),
        (lambda ids: np.zeros((2, DIMENSIONS)), "all zero"),
    ],
)
def test_after_a_failed_step_it_is_finished(
    monkeypatch: pytest.MonkeyPatch, broken: Callable[[Any], Any], said: str
) -> None:
    found = NumpyEmbedder()
    monkeypatch.setattr(found._backend, "encode", broken)
    with pytest.raises(EngineError, match=said):
        found.embed_documents(["a", "b"])
    with pytest.raises(EngineError, match="is finished"):
        found.embed_documents(["a"])
    found.close()


# ── What it reads ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", HOSTILE)
def test_no_text_becomes_a_control_token_or_is_read_beyond_the_limit(
    embedder: NumpyEmbedder, name: str
) -> None:
    first, *middle, last = embedder.ids(HOSTILE[name])
    assert (first, last) == (START, END)
    assert not CONTROLS & set(middle)
    assert len(middle) <= MOST_TOKENS


@pytest.mark.parametrize("text", ["</s>", "a <s> b", "extra_token_id_2", "＜/s＞"])
def test_control_the_packages_own_tokenizer_makes_one_of_it(embedder: NumpyEmbedder, text: str) -> None:
    assert CONTROLS & set(embedder._tokenizer.encode(text, add_bos=False, add_eos=False))


def test_a_text_is_split_as_sentencepiece_splits_it(embedder: NumpyEmbedder) -> None:
    sentencepiece = pytest.importorskip("sentencepiece")
    whole = sentencepiece.SentencePieceProcessor(
        model_file=str(numpy_embedder._resources() / numpy_embedder.VOCABULARY)
    )
    for text in [*ENGLISH, *RATES.values(), "नमस्ते दुनिया", "Ｆｕｌｌ　width ﬁgures ½", "a\u200bb  c"]:
        assert embedder.ids(text)[1:-1] == whole.encode(text), text


def test_of_a_long_text_the_beginning_is_read(embedder: NumpyEmbedder) -> None:
    lead = " ".join(ENGLISH) + " " + "Ministers met again to talk about it. " * 40
    other, same = lead + "A tail about something else.", lead + "No such tail."
    assert len(embedder.ids(lead)) == MOST_TOKENS + 2
    assert np.array_equal(*embedder.embed_documents([other, same]))
    assert np.array_equal(
        embedder.embed_documents(["letters " * 250_000])[0], embedder.embed_documents(["letters " * 500])[0]
    )
    short = NumpyEmbedder(max_document_tokens=16)
    assert short.ids(lead)[:-1] == embedder.ids(lead)[:17]


# ── Which embedder it is ────────────────────────────────────────────────────────────────────────────


def test_the_settings_name_it(embedder: NumpyEmbedder) -> None:
    chosen = Settings.load(embedding_model=USE_MULTILINGUAL)
    identity = embedders.identity(chosen)
    assert identity == embedder.identity
    assert (identity.family, identity.location) == (USE_MULTILINGUAL, USE_MULTILINGUAL)
    assert (identity.precision, identity.dimensions) == ("float32", DIMENSIONS)
    assert embedders.load(chosen).identity == identity


def test_a_token_limit_above_its_own_makes_no_other_embedder() -> None:
    own, above, below = (
        numpy_embedder.identify(max_document_tokens=limit) for limit in (MOST_TOKENS, 512, MOST_TOKENS - 1)
    )
    assert own.digest == above.digest != below.digest
    assert below.max_document_tokens == MOST_TOKENS - 1


@pytest.fixture
def copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the package's files, which is what the product then finds."""
    package = numpy_embedder._resources()
    for name in (numpy_embedder.WEIGHTS, numpy_embedder.VOCABULARY):
        (tmp_path / name).write_bytes((package / name).read_bytes())
    monkeypatch.setattr(numpy_embedder, "_resources", lambda: tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", [numpy_embedder.WEIGHTS, numpy_embedder.VOCABULARY])
def test_other_files_make_another_embedder(copied: Path, embedder: NumpyEmbedder, name: str) -> None:
    assert numpy_embedder.identify(max_document_tokens=MOST_TOKENS) == embedder.identity
    with (copied / name).open("ab") as file:
        file.write(b"\0")
    assert numpy_embedder.identify(max_document_tokens=MOST_TOKENS).digest != embedder.identity.digest


def test_another_version_of_the_package_makes_another_embedder(
    monkeypatch: pytest.MonkeyPatch, embedder: NumpyEmbedder
) -> None:
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "0.2.2")
    assert numpy_embedder.identify(max_document_tokens=MOST_TOKENS).digest != embedder.identity.digest


@pytest.mark.parametrize("name", [numpy_embedder.WEIGHTS, numpy_embedder.VOCABULARY])
def test_a_damaged_file_is_an_error_that_says_what_to_do(copied: Path, name: str) -> None:
    (copied / name).write_bytes(b"not what it was")
    with pytest.raises(ModelError, match="cannot be loaded .*; install it again"):
        NumpyEmbedder()


def test_without_the_package_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    for what in (NumpyEmbedder, lambda: embedders.identity(Settings.load(embedding_model=USE_MULTILINGUAL))):
        with pytest.raises(ModelError, match=r"is not installed here; pip install 'news-rerank\[meaning\]'"):
            what()


def test_a_package_without_its_files_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Found:
        submodule_search_locations = (str(tmp_path),)

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: Found)
    with pytest.raises(ModelError, match="lacks weights.npz, sp.model; install"):
        NumpyEmbedder()
