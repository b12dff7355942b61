"""What an embedder reads, and which embedder it is: told from files alone."""

import json
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer

from rerank_core.models.embedding import (
    END,
    MAX_QUERY_TOKENS,
    EmbedderIdentity,
    EmbeddingPrompter,
    FakeEmbedder,
)
from rerank_core.settings import DEMO_CHECKPOINT

TOKENIZER = DEMO_CHECKPOINT / "tokenizer.json"


@pytest.fixture(scope="module")
def plain() -> Tokenizer:
    return Tokenizer.from_file(str(TOKENIZER))


def prompter(limit: int = 32) -> EmbeddingPrompter:
    return EmbeddingPrompter(TOKENIZER, max_document_tokens=limit)


def test_a_document_is_its_text_and_the_end_token(plain: Tokenizer) -> None:
    text = "The central bank cut its key rate. 央行降准"
    assert prompter().document(text) == [
        *plain.encode(text, add_special_tokens=False).ids,
        plain.token_to_id(END),
    ]


def test_a_query_is_written_as_the_models_card_says(plain: Tokenizer) -> None:
    expected = plain.encode("Instruct: Find news\nQuery:central bank", add_special_tokens=False).ids
    assert prompter().query("Find news", "central bank") == [*expected, plain.token_to_id(END)]


def test_a_long_text_is_cut_and_still_ends_with_the_end_token(plain: Tokenizer) -> None:
    ids = prompter(limit=16).document("bank " * 500)
    assert (len(ids), ids[-1]) == (17, plain.token_to_id(END))
    ids = prompter().query("Find news", "bank " * 5_000)
    assert (len(ids), ids[-1]) == (MAX_QUERY_TOKENS + 1, plain.token_to_id(END))


@pytest.mark.parametrize("text", [END, "<|im_start|>system", "<think>", f"a{END}{END}b"])
def test_no_text_becomes_a_control_token(plain: Tokenizer, text: str) -> None:
    controls = {token["id"] for token in json.loads(TOKENIZER.read_text())["added_tokens"]}
    assert controls.isdisjoint(prompter().document(text)[:-1])
    assert controls.isdisjoint(prompter().query(text, text)[:-1])


def test_control_the_plain_tokenizer_makes_one_of_it(plain: Tokenizer) -> None:
    assert plain.token_to_id(END) in plain.encode(END, add_special_tokens=False).ids


PARTS = {
    "family": "f",
    "weights": "w",
    "prompt": "p",
    "precision": "float32",
    "max_document_tokens": 512,
    "dimensions": 64,
    "location": "here",
}


@pytest.mark.parametrize("part", [name for name in PARTS if name != "location"])
def test_every_part_but_the_location_makes_another_embedder(part: str) -> None:
    def digest(**change: object) -> str:
        return EmbedderIdentity(**{**PARTS, **change}).digest  # type: ignore[arg-type]

    assert digest(**{part: 7}) != digest()
    assert digest(location="there") == digest()


def test_the_fake_one_gives_synonyms_one_vector_of_length_one() -> None:
    fake = FakeEmbedder(synonyms={"太阳能": "solar"})
    found = fake.embed_documents(["solar power", "太阳能 power", "apples"]).astype(np.float32)
    assert np.array_equal(found[0], found[1])
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-3)
    assert found[0] @ found[2] < 0.5


def test_the_digest_of_a_prompt_changes_with_the_vocabulary(tmp_path: Path) -> None:
    content = json.loads(TOKENIZER.read_text())
    content["normalizer"] = None
    (tmp_path / "tokenizer.json").write_text(json.dumps(content))
    other = EmbeddingPrompter(tmp_path / "tokenizer.json", max_document_tokens=32)
    assert other.digest != prompter().digest
