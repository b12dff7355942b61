"""A small sentence-embedding model on the CPU: vectors of queries and texts, for the light order.

The model works in a process of its own, which is killed when its time is up. Whatever the process does (hang in an import
or a download, run out of memory, crash), the caller gets an answer or an error in time.

The model is the embedder `use-multilingual`, or a checkpoint of sentence-transformers. Weights of a checkpoint must be
safetensors, and its modules those that only compute. No code of a checkpoint runs. No text becomes a control token,
because their names are removed from the text first.

    python -m rerank_core.models.sentences MODEL FOLDER     reads FOLDER/texts.json, writes FOLDER/vectors.npz
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rerank_core.errors import EngineError, ModelError, RerankError
from rerank_core.models.encoding import read_tokenizer, sanitise
from rerank_core.models.numpy_embedder import NumpyEmbedder
from rerank_core.models.weights import read_json, refuse_remote_code, resolve_model, weight_files
from rerank_core.settings import USE_MULTILINGUAL

MAX_TOKENS = 256  # that the model reads of a text, at most
MAX_CHARACTERS = 4_000  # of a text; more than MAX_TOKENS take up
BATCH = 32  # texts that are embedded at a time
REFUSED = 3  # exit code if the last line of the process says what is wrong with the checkpoint

# The modules that a checkpoint may have. Others load pickles, or a function that the checkpoint names.
MODULES = re.compile(r"sentence_transformers\.(?:\w+\.)*(?:Transformer|Pooling|Normalize)")

Vectors = npt.NDArray[np.float32]  # shape (texts, dimensions), one vector of length 1 a row


def vectors(
    *, model: str, queries: Sequence[str], documents: Sequence[str], seconds: float
) -> tuple[Vectors, Vectors]:
    """The vectors of the queries and of the documents, in their order.

    Raises ModelError if the model must not be used, EngineError if it fails or takes longer than `seconds`.
    """
    with tempfile.TemporaryDirectory(prefix="rerank-light-") as name:
        folder = Path(name)
        texts = {"queries": [*map(_cut, queries)], "documents": [*map(_cut, documents)]}
        (folder / "texts.json").write_text(json.dumps(texts), encoding="utf-8")
        with (folder / "log").open("wb") as log:
            try:
                done = subprocess.run(
                    _command(model, folder),
                    stdout=log,
                    stderr=log,
                    env=_environment(model),
                    timeout=seconds,
                    check=False,
                )
            except subprocess.TimeoutExpired:
                raise EngineError(
                    f"light model {model!r} took longer than {seconds:g} s; raise RERANK_LIGHT_SECONDS, or take a"
                    " smaller model"
                ) from None
        if done.returncode:
            lines = (folder / "log").read_text(encoding="utf-8", errors="replace").strip().splitlines()
            if done.returncode == REFUSED and lines:
                raise ModelError(lines[-1])
            raise EngineError(
                f"light model {model!r} failed with exit code {done.returncode}:"
                f" {lines[-1][:300] if lines else 'it printed nothing'}; correct RERANK_LIGHT_MODEL, or set"
                " RERANK_LIGHT_ORDER=bm25"
            )
        with np.load(folder / "vectors.npz") as file:
            found = file["queries"], file["documents"]
    if not all(np.isfinite(part).all() for part in found):
        raise EngineError(f"light model {model!r} gives vectors that are not finite; take another checkpoint")
    return found


def _cut(text: str) -> str:
    return sanitise(text)[:MAX_CHARACTERS]


def _command(model: str, folder: Path) -> list[str]:
    return [sys.executable, "-P", "-m", __name__, model, str(folder)]


def _environment(model: str) -> Mapping[str, str]:
    """The environment of this process without the pipeline's secrets, and without a GPU, which the scorer needs."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("RERANK_", "AIRFLOW_"))}
    kept |= {"CUDA_VISIBLE_DEVICES": "", "TOKENIZERS_PARALLELISM": "false", "HF_HUB_DISABLE_TELEMETRY": "1"}
    return kept | ({"HF_HUB_OFFLINE": "1"} if Path(model).expanduser().is_dir() else {})


def check(folder: Path) -> Path:
    """The folder of the transformer within a checkpoint. Raises ModelError if the checkpoint must not be loaded."""
    modules = _read_json(folder / "modules.json")
    if (
        not isinstance(modules, list)
        or not modules
        or not all(isinstance(module, dict) for module in modules)
    ):
        raise ModelError(
            f"{folder / 'modules.json'} lists no modules; take a sentence-transformers checkpoint"
        )
    for module in modules:
        if not MODULES.fullmatch(str(module.get("type"))):
            raise ModelError(
                f"{folder / 'modules.json'}: module {module.get('type')!r} is refused; take a checkpoint of"
                " Transformer, Pooling and Normalize"
            )
    inside = (folder / str(modules[0].get("path") or "")).resolve()
    if not inside.is_relative_to(folder.resolve()):
        raise ModelError(f"{folder / 'modules.json'} points outside the folder; copy the checkpoint again")
    weight_files(inside)
    for file in sorted(inside.glob("*.json")):
        content = _read_json(file) if file.name.endswith("config.json") else {}
        refuse_remote_code(file, content)
        if isinstance(content, dict) and any(content.get(name) for name in ("model_args", "model_kwargs")):
            raise ModelError(
                f"{file} sets how weights are loaded (model_args): refused; remove model_args and model_kwargs"
            )
    return inside


def _read_json(file: Path) -> Any:
    return read_json(file, missing="this is no sentence-transformers checkpoint")


def control_tokens(tokenizer_file: Path) -> re.Pattern[str]:
    """A pattern that matches the name of any control token, in any case.

    Raises ModelError if the tokenizer cannot be read.
    """
    added = read_tokenizer(tokenizer_file).get("added_tokens") or []
    names = sorted(
        {str(token["content"]) for token in added if token["content"].strip()}, key=len, reverse=True
    )
    return re.compile("|".join(map(re.escape, names)) or r"(?!)", re.IGNORECASE)


def without(text: str, names: re.Pattern[str]) -> str:
    """The text without these names, even if only normalisation makes such a name of it."""
    folded = unicodedata.normalize("NFKC", text)
    return names.sub(" ", folded) if names.search(folded) else text


def embed(model: str, texts: Mapping[str, Sequence[str]]) -> dict[str, Vectors]:
    """The vectors of the texts under "queries" and "documents". Raises ModelError if the model must not be loaded."""
    if model == USE_MULTILINGUAL:
        embedder = NumpyEmbedder()
        return {kind: embedder.embed_documents(texts[kind]).astype(np.float32) for kind in texts}
    folder = resolve_model(model, setting="RERANK_LIGHT_MODEL")
    names = control_tokens(check(folder) / "tokenizer.json")
    try:
        from sentence_transformers import SentenceTransformer
    except ModuleNotFoundError:
        raise ModelError("sentence-transformers is not installed; install news-rerank[embeddings]") from None
    encoder = SentenceTransformer(
        str(folder),
        device="cpu",
        trust_remote_code=False,
        local_files_only=True,
        model_kwargs={"use_safetensors": True},
    )
    encoder.max_seq_length = min(encoder.max_seq_length or MAX_TOKENS, MAX_TOKENS)
    ways: dict[str, Any] = {"queries": encoder.encode_query, "documents": encoder.encode_document}
    return {
        kind: np.asarray(
            way(
                [without(text, names) for text in texts[kind]],
                batch_size=BATCH,
                convert_to_numpy=True,
                normalize_embeddings=True,
                show_progress_bar=False,
            ),
            dtype=np.float32,
        )
        for kind, way in ways.items()
    }


def main(model: str, folder: str) -> int:
    """The main function of the model's process; returns its exit code."""
    texts = json.loads((Path(folder) / "texts.json").read_text(encoding="utf-8"))
    try:
        found = embed(model, texts)
        np.savez(Path(folder) / "vectors.npz", queries=found["queries"], documents=found["documents"])
    except RerankError as error:
        print(error, file=sys.stderr, flush=True)
        return REFUSED
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
