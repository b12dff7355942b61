"""Every setting: type, unit in the name, default, one sentence. Environment: RERANK_<NAME>; of secrets see `setting_sources`."""

import os
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict
from pydantic_settings.exceptions import SettingsError as UnreadableValue

from rerank_core import setting_sources
from rerank_core.errors import SettingsError, shown
from rerank_core.setting_values import (
    Cron,
    HttpUrl,
    MilvusUrl,
    Model,
    Positive,
    PositiveFloat,
    PostgresUrl,
    RedisUrl,
    Relation,
    Slug,
    StoreFolder,
)

DEMO_CHECKPOINT = Path(__file__).parent / "demo" / "checkpoint"
USE_MULTILINGUAL = "use-multilingual"  # the embedder of the extra `meaning`, which needs no GPU
DEFAULT_SOURCE = "rerank.source_article"
DEFAULT_MEDIA = "rerank.source_media"


class Settings(BaseSettings):
    """Settings of one pipeline."""

    model_config = SettingsConfigDict(
        env_prefix="RERANK_", frozen=True, extra="ignore", hide_input_in_errors=True
    )

    database_url: PostgresUrl = Field(
        default="postgresql+psycopg2://postgres:@localhost:5432/news",
        repr=False,
        description="Postgres that holds the `rerank` schema, as a SQLAlchemy URL.",
    )
    database_conn_id: str | None = Field(
        default=None,
        description="Airflow connection that gives `database_url`; of type rerank_postgres or postgres.",
    )
    store_url: str = Field(
        default="file:///var/lib/news-rerank",
        repr=False,
        description="Folder of the artifacts, shared by all workers: file:///…, s3://…, gs://… or an absolute path.",
    )
    store_conn_id: str | None = Field(
        default=None, description="Airflow connection that gives `store_url`; of type rerank_store."
    )
    pipeline: Slug = Field(default="news", description="Name that topics, runs and pages are kept under.")
    source_url: PostgresUrl | None = Field(
        default=None,
        repr=False,
        description="Database that holds the article source, when it is not `database_url`.",
    )
    source_conn_id: str | None = Field(
        default=None,
        description="Airflow connection that gives `source_url`; of type rerank_postgres or postgres.",
    )
    source_view: Relation = Field(
        default=DEFAULT_SOURCE,
        description='View or table that articles are claimed from, with or without its schema; a name with capitals is quoted: public."Feed".',
    )
    source_deletes: Literal["hide", "ignore"] = Field(
        default="hide",
        description="Whether articles that are gone from the source leave the page at the next publication.",
    )
    deletes_stop_share: Annotated[float, Field(gt=0, le=1)] = Field(
        default=0.2,
        description="Share of the window's articles that may be gone from the source at once; more stops the run.",
    )
    deletes_stop_articles: Positive = Field(
        default=20,
        description="Fewer articles than this gone at once stop no run, unless the source has none left.",
    )
    lookback_days: Annotated[float, Field(gt=0, le=3_650)] = Field(
        default=7.0, description="Articles ingested longer ago are counted as too late, not claimed."
    )
    freshness_hours: Annotated[float, Field(gt=0, le=87_600)] = Field(
        default=72.0, description="Articles first ingested longer ago leave the page."
    )
    feedback_view: Relation | None = Field(
        default=None,
        description="View that readers' events are claimed from, with no column beyond the seven of an event; none: events come from files alone.",
    )
    feedback_url: PostgresUrl | None = Field(
        default=None,
        repr=False,
        description="Database that holds `feedback_view`, when it is not `database_url`.",
    )
    prepare_without: tuple[
        Literal[
            "decode", "extract", "repair", "normalise", "boilerplate", "language", "flags", "syndication"
        ],
        ...,
    ] = Field(
        default=(),
        description='JSON list of steps of prepare that are left out: "decode", "extract", "repair", "normalise", "boilerplate", "language", "flags", "syndication".',
    )
    boilerplate_rules: Path | None = Field(
        default=None,
        description="File, or folder of *.txt files, with further rules of advertising and boilerplate lines.",
    )
    prepare_workers: Annotated[int, Field(ge=1, le=64)] | None = Field(
        default=None,
        description="Helper processes that prepare more than four batches (of 100 revisions or 8 MiB) side by side; none: one a core, at most 4.",
    )
    prepare_seconds: Annotated[float, Field(gt=0, le=3_600)] = Field(
        default=10.0,
        description="Processor time that the preparation of one article may take; an article that takes more goes to quarantine.",
    )
    prepare_mib: Annotated[int, Field(ge=128, le=65_536)] = Field(
        default=1024,
        description="Memory that the preparation of one article may take; an article that takes more goes to quarantine.",
    )
    media: tuple[Literal["captions", "pictures", "score"], ...] = Field(
        default=(),
        description='JSON list of what articles\' media are used for: "captions" join the text; "pictures" are shown; "score": the model reads them. [] takes none in.',
    )
    media_view: Relation = Field(
        default=DEFAULT_MEDIA,
        description="View or table of articles' pictures and clips, in the database of source_view.",
    )
    media_prefix: StoreFolder = Field(
        default="incoming/",
        description="Folder of the store that media_view's paths lie below; a path that leads elsewhere is not read.",
    )
    media_per_article: Annotated[int, Field(ge=1, le=16)] = Field(
        default=4, description="Media of one article that are used, the first ones; the others are counted."
    )
    media_mib: Annotated[int, Field(ge=1, le=256)] = Field(
        default=32, description="Largest file of one picture or clip that is read."
    )
    light_order: Literal["bm25", "embeddings"] = Field(
        default="bm25",
        description="How pairs that stay unscored are ordered: by words, or by a sentence-embedding model on the CPU.",
    )
    light_model: Model = Field(
        default="sentence-transformers/paraphrase-multilingual-MiniLM-L12-v2",
        description="Sentence-embedding checkpoint of that light order: a local folder, a hub name, or use-multilingual.",
    )
    light_seconds: PositiveFloat = Field(
        default=120.0,
        description="The sentence-embedding model gets this long, its start included; then the light order is BM25.",
    )
    syndication_similarity: Annotated[float, Field(ge=0.5, le=1)] = Field(
        default=0.7,
        description="Least share of their shingles that two near-copies have in common. It may be less if one is the other cut short.",
    )
    syndication_hours: Annotated[float, Field(gt=0, le=87_600)] = Field(
        default=72.0,
        description="A text joins a cluster whose leader was first ingested, and published, at most this long before or after it.",
    )
    preferred_sources: tuple[str, ...] = Field(
        default=(),
        description="JSON list of sources: of a cluster without a correction, the article of the first of these stands on the page; else the earliest.",
    )
    fill_factor: Positive = Field(
        default=10, description="A topic that is not filled yet recalls candidate_limit times this many."
    )
    recall: Literal["bm25", "dense", "milvus", "hybrid", "exhaustive"] = Field(
        default="bm25",
        description="How candidates are found: words, vectors in Postgres or Milvus, words and vectors, or all that is eligible.",
    )
    embedding_model: Model = Field(
        default="Qwen/Qwen3-Embedding-0.6B",
        description="Embedding checkpoint of dense recall: a local folder, a hub name, or use-multilingual, which needs no GPU.",
    )
    milvus_url: MilvusUrl | None = Field(
        default=None,
        repr=False,
        description="Milvus that holds the vectors: http://user:password@host:19530, or a file that ends in .db for the embedded one.",
    )
    milvus_conn_id: str | None = Field(
        default=None, description="Airflow connection that gives `milvus_url`; of type rerank_milvus."
    )
    redis_url: RedisUrl | None = Field(
        default=None,
        repr=False,
        description="Redis that gets a hot copy of the page: redis://, rediss:// or unix://; none means no copy.",
    )
    redis_conn_id: str | None = Field(
        default=None, description="Airflow connection that gives `redis_url`; of type rerank_redis or redis."
    )
    redis_ttl_hours: Annotated[float, Field(gt=0, le=87_600)] = Field(
        default=48.0,
        description="The hot copy expires this long after a run or the clean-up last brought it up to date.",
    )
    redis_timeout_seconds: Annotated[float, Field(gt=0, le=600)] = Field(
        default=8.0, description="A run waits this long for Redis at most, then goes on without it."
    )
    feeds: tuple[Literal["json", "atom"], ...] = Field(
        default=("json", "atom"),
        description='JSON list of the feeds that each topic gets beside its JSON file: "json" (JSON Feed 1.1), "atom"; [] for none.',
    )
    feeds_address: HttpUrl | None = Field(
        default=None,
        description="Public address that subscribers find the feeds under, such as https://news.example/feeds/; none: a feed names no address.",
    )
    min_score: Annotated[float, Field(allow_inf_nan=False)] | None = Field(
        default=None,
        description="Logit that an article needs to be ranked for a topic without a min_score of its own; none: any will do.",
    )
    max_pairs: Positive = Field(
        default=200_000, description="Pairs that one run scores at most; the rest is carried over."
    )
    scoring_minutes: PositiveFloat = Field(
        default=20.0,
        description="A scoring task stops this long after it began; what it left is carried over, and degrades the page.",
    )
    page_deadline_minutes: Annotated[float, Field(ge=0, le=10_080)] = Field(
        default=30.0,
        description="A page that is not out this long after its run began is published without the missing scores; 0: never.",
    )
    gate_empty_share: Annotated[float, Field(ge=0, le=1)] = Field(
        default=0.5,
        description="Share of the topics that may be empty on a page; a run that empties more is blocked. 1 never blocks.",
    )
    silence_days: Annotated[float, Field(ge=0, le=365)] = Field(
        default=14.0,
        description="A source that has stopped is told as silent for so many days after it was first noticed; 0: never.",
    )
    quiet_sources: tuple[str, ...] = Field(
        default=(),
        description='JSON list of sources that may be silent, such as ["Gazette"]: nobody is told.',
    )
    shards: Annotated[int, Field(ge=1, le=1024)] = Field(
        default=1, description="Scoring tasks that the pairs are cut into, by topic."
    )
    model: Model = Field(
        default=str(DEMO_CHECKPOINT),
        description="Reranker checkpoint: a local folder or a hub name; the default is the demonstration one.",
    )
    hub_token: str | None = Field(
        default=None,
        repr=False,
        description="Token that models are fetched from the hub with; none: HF_TOKEN, or no token.",
    )
    hub_conn_id: str | None = Field(
        default=None, description="Airflow connection that gives `hub_token`; of type rerank_hub."
    )
    precision: Literal["auto", "float32", "bfloat16", "float16", "fp8"] = Field(
        default="auto",
        description="Arithmetic of the engine; auto is the checkpoint's own, fp8 narrows it on a GPU.",
    )
    max_document_tokens: Annotated[int, Field(ge=16, le=8000)] = Field(
        default=512, description="Tokens of a document that the model reads; the tail is cut and marked."
    )
    picture_tokens: Annotated[int, Field(ge=16, le=1280)] = Field(
        default=256,
        description="Tokens of a picture that a model of pictures reads, at most; a larger picture is made small.",
    )
    clip_tokens: Annotated[int, Field(ge=16, le=2560)] = Field(
        default=256,
        description="Tokens that a model of pictures reads of all frames of a clip together, at most.",
    )
    passages: Literal["lead", "max"] = Field(
        default="lead",
        description="What is scored of a long document: its lead, or the best of its first 8 windows of max_document_tokens.",
    )
    learning_folder: Path | None = Field(
        default=None,
        description="Folder for checkpoints that are learned from readers, which every scoring host reads; none: nothing is learned.",
    )
    learning_minutes: PositiveFloat = Field(
        default=10.0,
        description="A training holds a device for so long; then scoring tasks that wait get it, and the training goes on after them.",
    )
    learning_qrels: str | None = Field(
        default=None,
        description="Judgements that a learned scorer may not rank worse: a TREC file, or a table with topic, article_id and relevance.",
    )
    learning_schedule: Cron = Field(
        default="0 4 * * 0",
        description="Cron expression of the trainings, in UTC; without `learning_folder` they run by hand alone.",
    )
    compile: Literal["auto", "always", "never"] = Field(
        default="auto",
        description="Compile the model at the engine's start; auto does on a GPU, and on the CPU for 1,000 pairs or more.",
    )
    flush_seconds: PositiveFloat = Field(
        default=2.0, description="Scores are written to the ledger this often."
    )
    kv_cache_gib: PositiveFloat = Field(
        default=1.0, description="Memory of the engine's key-value cache on the CPU."
    )
    gpu_memory_utilization: Annotated[float, Field(gt=0, le=1)] = Field(
        default=0.85, description="Share of the GPU's memory that the engine may take."
    )
    gpu_pool: str = Field(default="gpu", description="Airflow pool that scoring tasks wait in.")
    gpu_queue: str | None = Field(
        default=None, description="Airflow queue of the scoring tasks; none means the default queue."
    )
    schedule: Cron = Field(default="0 * * * *", description="Cron expression of the runs, in UTC.")
    retries: Annotated[int, Field(ge=0)] = Field(
        default=2, description="Times that a stage is tried again after a retryable error."
    )
    retry_seconds: PositiveFloat = Field(default=30.0, description="Pause before the first further try.")
    store_grace_hours: PositiveFloat = Field(
        default=24.0,
        description="A file that nothing names any more stays this long: readers and tries may still hold its path.",
    )
    retention_days: Annotated[float, Field(gt=0, le=36_500)] = Field(
        default=90.0,
        description="Runs, publications, their rows and files are deleted after this time; what the page needs, never.",
    )
    text_retention_days: Annotated[float, Field(gt=0, le=36_500)] = Field(
        default=30.0,
        description="Raw text of articles is deleted this long after it was claimed and prepared.",
    )
    ledger_retention_months: Annotated[int, Field(ge=1, le=1_200)] = Field(
        default=6, description="Whole months of scores that are kept before the current one."
    )
    maintain_schedule: Cron = Field(
        default="30 3 * * *", description="Cron expression of the clean-up, in UTC."
    )

    @property
    def recall_needs_vectors(self) -> bool:
        """Whether documents and queries are embedded before recall."""
        return self.recall in {"dense", "milvus", "hybrid"}

    @property
    def embedding_needs_device(self) -> bool:
        """Whether the task embed waits for a device, as a scoring task does: its embedder is an engine's."""
        return self.recall_needs_vectors and self.embedding_model != USE_MULTILINGUAL

    @field_validator(
        "source_url",
        "database_conn_id",
        "source_conn_id",
        "store_conn_id",
        "redis_conn_id",
        "milvus_conn_id",
        "hub_conn_id",
        "hub_token",
        "feedback_view",
        "feedback_url",
        "boilerplate_rules",
        "prepare_workers",
        "milvus_url",
        "redis_url",
        "feeds_address",
        "min_score",
        "gpu_queue",
        "learning_folder",
        "learning_qrels",
        mode="before",
    )
    @classmethod
    def _unset_where_empty(cls, value: Any) -> Any:
        """An empty value counts as unset only if unset is the default: an empty model must not mean another model's page."""
        return None if value == "" else value

    @classmethod
    def load(cls, *, with_secrets: bool = True, **overrides: Any) -> Self:
        """Read the environment, with what RERANK_AIRFLOW_PIPELINES gives the pipeline on top; `overrides` win.

        Without `with_secrets` no connection and no file of a secret is read, and its setting names nothing that exists.
        Raises SettingsError naming the variable and value, RetryableError if Airflow does not give a connection.
        """
        given = {name: value for name, value in overrides.items() if value is not None}
        pipeline = str(given.get("pipeline") or os.environ.get("RERANK_PIPELINE") or "news")
        own = setting_sources.own_settings(pipeline, known=set(cls.model_fields) - {"pipeline"})
        levels = (("the arguments", given), (f"RERANK_AIRFLOW_PIPELINES, pipeline {pipeline}", own))
        secrets, sources = setting_sources.sourced(levels, read=with_secrets)
        try:
            return cls(**(own | given | secrets))
        except ValidationError as error:
            raise SettingsError(
                f"{setting_sources.wrong(cls, error, sources)}; correct it and start again"
            ) from None
        except UnreadableValue as error:  # of a list or a mapping
            name = "RERANK_" + str(error).partition('field "')[2].partition('"')[0].upper()
            raise SettingsError(
                f"""{name} = {shown(os.environ.get(name))} is not JSON; write it like {name}='["one", "two"]'"""
            ) from None

    def of(self, pipeline: str) -> Self:
        """The settings of this pipeline, beside this one on the same database and store."""
        if pipeline == self.pipeline:
            return self
        return self.load(pipeline=pipeline, database_url=self.database_url, store_url=self.store_url)
