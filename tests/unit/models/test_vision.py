"""Pictures in prompts: the official ids, no placeholder out of any text, sizes within bounds, nothing dropped unseen."""

import io
import json
import random
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_renditions import Renditions
from PIL import Image
from tokenizers import Tokenizer
from vision_checkpoint import VISION_TOKENS, official, write_vision_tokenizer

from rerank_core.errors import CorruptError, EngineError, InputError, ModelError
from rerank_core.models import scorers
from rerank_core.models.canary import Canary, read_canary
from rerank_core.models.encoding import Encoder
from rerank_core.models.prompt import prompt_digest
from rerank_core.models.vision import (
    LEAST_TOKENS,
    QWEN3_VL,
    SIDE,
    Bounds,
    Media,
    Medium,
    VisionRenderer,
    engine_options,
    fit,
    make_prompter,
    vision_digest,
)
from rerank_core.settings import Settings
from rerank_core.storage.store import Store

BOUNDS = Bounds(picture_tokens=64, clip_tokens=64, media=4)
NAMES = ["<|im_start|>", "<|im_end|>", "<think>", "<|endoftext|>", *VISION_TOKENS]
HOSTILE = [
    *NAMES,
    "".join(NAMES[-5:]),
    "<Document>:",
    "<Query>:",
    "<",
    "|>",
    "image_pad",
    "\0",
    "\ud800",
    " ",
    "🎉",
    "港",
    "\n",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("vision")
    write_vision_tokenizer(found)
    (found / "preprocessor_config.json").write_text("{}")
    return found


@pytest.fixture(scope="module")
def store() -> Renditions:
    return Renditions()


def prompter(folder: Path, store: Renditions | None, **options: Any) -> Any:
    limits = {"max_document_tokens": 64, "bounds": BOUNDS, **options}
    return make_prompter(folder, form=QWEN3_VL, read_medium=store.read if store else None, **limits)


# --- ids


INSTRUCTIONS = [
    "Find news.",
    "Given a search query, retrieve relevant candidates that answer the query",
    "找新闻：",
]
QUERIES = ["ships waiting at the port?", "央行", " two\n", "(a) 1.5 %"]
TEXTS = [
    "The bank cut its rate.",
    "",
    "(a) \n first",
    " blank",
    "中国人民银行宣布下调存款准备金率。",
    "? !",
    "\n\nrain",
    "1 2",
    "🎉",
]


@pytest.mark.parametrize(("pictures", "clips"), [(0, 0), (2, 0), (1, 1)])
def test_ids_equal_those_of_the_official_prompt(
    folder: Path, store: Renditions, pictures: int, clips: int
) -> None:
    ordinary = Tokenizer.from_file(str(folder / "tokenizer.json"))
    built = prompter(folder, store)
    media = (
        *(store.picture(64, 64) for _ in range(pictures)),
        *(store.clip(64, 64, 2) for _ in range(clips)),
    )
    for instruction in INSTRUCTIONS:
        for query in QUERIES:
            for document in TEXTS:
                text = official(instruction, query, document, pictures=pictures, clips=clips)
                prompt = built.prompt(instruction=instruction, query=query, document=document, pictures=media)
                assert prompt.ids == ordinary.encode(text, add_special_tokens=False).ids
                assert not prompt.truncated


def test_a_document_is_cut_at_its_own_end_with_and_without_media(folder: Path, store: Renditions) -> None:
    built = prompter(folder, store)
    text = "rain in the port. " * 90
    bare = built.prompt(instruction="i", query="q", document=text)
    pictured = built.prompt(instruction="i", query="q", document=text, pictures=(store.picture(64, 64),))
    assert bare.truncated
    assert pictured.truncated
    assert len(pictured.ids) - len(bare.ids) == 3
    assert pictured.ids[-5:] == bare.ids[-5:]
    assert pictured.tokens <= built.max_prompt_tokens


# --- no forged placeholder


def hostile_texts(count: int) -> list[str]:
    draw = random.Random(1)
    return ["".join(draw.choices(HOSTILE, k=draw.randint(1, 6))) for _ in range(count)]


def test_no_text_forges_a_placeholder_or_a_control_token(folder: Path, store: Renditions) -> None:
    """20,000 texts; an ordinary tokenizer makes control tokens of most of them."""
    built = prompter(folder, None)
    ordinary = Tokenizer.from_file(str(folder / "tokenizer.json"))
    controls = {token["id"] for token in json.loads((folder / "tokenizer.json").read_text())["added_tokens"]}
    clean = {
        media: built.prompt(instruction="i", query="q", document="d", pictures=media).ids
        for media in ((), ("a.jpg",), ("b.webp", "a.jpg"))
    }
    expected = {media: [number for number in ids if number in controls] for media, ids in clean.items()}
    forged = naive = 0
    for place, text in enumerate(hostile_texts(20_000)):
        media = list(expected)[place % 3]
        field = ("document", "query", "instruction")[place // 3 % 3]
        ids = built.prompt(
            **{"instruction": "i", "query": "q", "document": "d", field: text}, pictures=media
        ).ids
        forged += [number for number in ids if number in controls] != expected[media]
        safe = text.encode("utf-8", "replace").decode()
        naive += not controls.isdisjoint(ordinary.encode(safe, add_special_tokens=False).ids)
    assert forged == 0
    assert naive > 10_000


def test_a_text_that_did_become_a_placeholder_is_refused(
    folder: Path, store: Renditions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second guard, alone: the first one lets everything through."""
    built = prompter(folder, store)
    bare = Tokenizer.from_file(str(folder / "tokenizer.json"))
    monkeypatch.setattr(built._encoder, "_tokenizer", bare)
    monkeypatch.setattr(Encoder, "_checked", lambda self, ids: ids)
    for media in ((), (store.picture(64, 64),)):
        with pytest.raises(InputError):
            built.prompt(instruction="i", query="q", document="x<|image_pad|>", pictures=media)
        with pytest.raises(InputError):
            built.prompt(instruction="i", query="x<|vision_start|>", document="d", pictures=media)


# --- sizes


@given(
    width=st.integers(1, 4000),
    height=st.integers(1, 4000),
    frames=st.sampled_from([1, 2, 8]),
    tokens=st.integers(16, 1280),
)
def test_a_picture_is_made_to_fit(width: int, height: int, frames: int, tokens: int) -> None:
    pixels = tokens * SIDE**2 * (2 if frames > 1 else 1)
    w, h = fit(width, height, frames=frames, pixels=pixels)
    assert w % SIDE == h % SIDE == 0
    assert min(w, h) >= SIDE
    assert max(w, h) <= 100 * min(w, h)
    assert w * h * frames <= pixels
    # The processor resizes what is no multiple of SIDE, or not between the two bounds that the engine is told.
    told = engine_options(Bounds(tokens, tokens))["mm_processor_kwargs"]
    assert told["min_pixels"] <= w * h * frames <= told["max_pixels"]


def test_sizes_are_those_of_the_processors_formula() -> None:
    pixels = 256 * SIDE**2
    assert fit(640, 360, pixels=pixels) == (640, 352)  # 220 tokens
    assert fit(768, 432, pixels=pixels) == (672, 384)
    assert fit(768, 768, pixels=pixels) == (512, 512)
    assert fit(40, 40, pixels=pixels) == (64, 64)
    assert LEAST_TOKENS * SIDE**2 == 64 * 64


def test_media_are_made_small_and_counted(store: Renditions) -> None:
    media = Media(store.read, BOUNDS)
    picture, clip = media.open(store.picture(768, 400)), media.open(store.clip(320, 200, 3))
    w, h = picture.content.size
    assert (picture.is_clip, picture.tokens) == (False, w * h // SIDE**2 + 2)
    assert picture.tokens <= BOUNDS.picture_tokens + 2
    frames, told = clip.content
    assert clip.is_clip
    assert frames.shape[0] == 4  # the model reads two at a time
    assert (frames[2] == frames[3]).all()
    assert told["frames_indices"] == [0, 1500, 3000, 3000]
    assert frames.shape[0] // 2 * frames.shape[1] * frames.shape[2] // SIDE**2 <= BOUNDS.clip_tokens
    assert clip.tokens <= BOUNDS.longest
    path, reads = store.picture(640, 360), store.reads
    assert media.open(path) is media.open(path)
    assert store.reads == reads + 1


def test_a_medium_that_cannot_be_read_refuses_its_pair_alone(folder: Path, store: Renditions) -> None:
    built = prompter(folder, store)
    large = io.BytesIO()
    Image.new("RGB", (2000, 10)).save(large, "JPEG")
    gif = io.BytesIO()
    Image.new("RGB", (64, 64)).save(gif, "GIF")
    whole = store.files[store.picture(300, 300)]
    for path in (
        store.add(b"", "jpg"),
        store.add(whole[:400], "jpg"),
        store.add(large.getvalue(), "jpg"),
        store.add(gif.getvalue(), "jpg"),
        store.add(b"<svg xmlns='http://www.w3.org/2000/svg'/>", "webp"),
        "shared.media/00/" + "0" * 64 + ".jpg",
        "../../etc/passwd",
        "https://example.org/a.jpg",
    ):
        with pytest.raises(InputError, match="cannot be read"):
            built.prompt(instruction="i", query="q", document="d", pictures=(path,))
    assert built.prompt(instruction="i", query="q", document="d", pictures=(store.picture(64, 64),)).media


def test_too_many_media_are_refused(folder: Path, store: Renditions) -> None:
    pictures = tuple(store.picture(64, 64) for _ in range(5))
    with pytest.raises(InputError, match="5 media, and the model reads 4"):
        prompter(folder, store).prompt(instruction="i", query="q", document="d", pictures=pictures)


def test_a_plan_counts_media_without_reading_them(folder: Path, store: Renditions) -> None:
    reads = store.reads
    paths = (store.picture(768, 768), store.clip(320, 320, 8))
    planned = prompter(folder, None).prompt(instruction="i", query="q", document="d", pictures=paths)
    assert store.reads == reads
    assert (
        planned.tokens
        >= prompter(folder, store).prompt(instruction="i", query="q", document="d", pictures=paths).tokens
    )


def test_windows_of_documents_with_pictures_are_refused(folder: Path, store: Renditions) -> None:
    with pytest.raises(ModelError, match="RERANK_PASSAGES=lead"):
        prompter(folder, store, passages="max")


# --- rendering


class Processor:
    """Stands in for vLLM's renderer: puts so many tokens in the place of each medium, and may drop one."""

    def __init__(self, *, tokens: int, drop: bool = False) -> None:
        self.tokens, self.drop = tokens, drop

    def render_cmpl(self, prompts: list[dict[str, Any]]) -> list[dict[str, Any]]:
        (prompt,) = prompts
        media = {kind: list(of) for kind, of in prompt["multi_modal_data"].items()}
        if self.drop:
            media[next(iter(media))].pop()
        grown = self.tokens * sum(map(len, media.values()))
        return [{"prompt_token_ids": [*prompt["prompt_token_ids"], *[0] * grown], "mm_placeholders": media}]


def rendered(**options: Any) -> Any:
    medium = Medium("d", False, None, tokens=10)
    engine = SimpleNamespace(llm_engine=SimpleNamespace(renderer=Processor(**options)))
    return VisionRenderer(engine)([1, 2, 3], (medium, medium))


def test_a_medium_that_the_engine_drops_is_noticed() -> None:
    assert len(rendered(tokens=7)["prompt_token_ids"]) == 3 + 14
    with pytest.raises(EngineError, match="expected {'image': 2}"):
        rendered(tokens=7, drop=True)
    with pytest.raises(EngineError, match="in at most 14"):
        rendered(tokens=8)


def test_an_engine_that_cannot_render_is_refused() -> None:
    with pytest.raises(EngineError, match="does not render media"):
        VisionRenderer(SimpleNamespace(llm_engine=SimpleNamespace()))


# --- identity and canary


def test_bounds_and_processors_are_part_of_the_id(folder: Path, tmp_path: Path) -> None:
    write_vision_tokenizer(tmp_path)
    (tmp_path / "preprocessor_config.json").write_text("{}")
    same = vision_digest(folder, form=QWEN3_VL, bounds=BOUNDS)
    assert same == vision_digest(tmp_path, form=QWEN3_VL, bounds=Bounds(64, 64, media=9))
    others = [
        vision_digest(folder, form=QWEN3_VL, bounds=bounds) for bounds in (Bounds(65, 64), Bounds(64, 65))
    ]
    (tmp_path / "preprocessor_config.json").write_text('{"image_mean": [0.4]}')
    others.append(vision_digest(tmp_path, form=QWEN3_VL, bounds=BOUNDS))
    assert len({same, *others}) == 4
    assert prompter(folder, None).digest == same
    assert prompt_digest(json.loads((folder / "tokenizer.json").read_text()), form=QWEN3_VL) != same


def test_a_canary_may_have_pictures(tmp_path: Path, store: Renditions) -> None:
    case = {"query": "red", "documents": ["", ""], "pictures": [["red"], ["blue"]]}
    (tmp_path / "canary.json").write_text(json.dumps({"cases": [case]}))
    canary: Canary = read_canary(tmp_path)
    assert [pair.pictures for pair in canary.pairs()] == [("canary:red",), ("canary:blue",)]
    colours = [
        Media(store.read, BOUNDS).open(name).content.getpixel((0, 0))
        for name in ("canary:red", "canary:blue")
    ]
    assert colours == [(255, 0, 0), (0, 0, 255)]
    (tmp_path / "canary.json").write_text(json.dumps({"cases": [{**case, "pictures": [["red"]]}]}))
    with pytest.raises(ModelError, match="one list of pictures a document"):
        read_canary(tmp_path)


def test_a_scorer_reads_media_from_the_settings_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: dict[str, Any] = {}
    monkeypatch.setattr(scorers, "require_vllm", lambda work: None)
    monkeypatch.setattr(scorers, "resolve_model", lambda name: tmp_path)
    monkeypatch.setattr(scorers, "VllmScorer", lambda folder, **options: given.update(options))
    chosen = Settings.load(
        store_url=tmp_path.as_uri(), picture_tokens=99, clip_tokens=77, media_per_article=3
    )
    scorers.load(chosen)
    assert given["bounds"] == Bounds(99, 77, 3)
    store, made = Store(tmp_path.as_uri()), Renditions()
    path = made.picture(64, 64)
    store.write_picture(path, made.files[path])
    assert given["read_medium"](path) == made.files[path]
    (tmp_path / path).write_bytes(b"altered")
    with pytest.raises(CorruptError):
        given["read_medium"](path)
