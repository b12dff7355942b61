"""A secret that no message may show, in every place of every setting where somebody may put one."""

import traceback

from pydantic_settings import BaseSettings

from rerank_core.airflow_settings import AirflowSettings
from rerank_core.setting_sources import file_variables
from rerank_core.settings import Settings

CANARY = "hunter2"

# Values that are right for some setting and wrong for others; each is tried on every setting.
FORMS = (
    f"postgresql+psycopg2://ada:{CANARY}@127.0.0.1:9/news",
    f"postgresql://ada:sesame@127.0.0.1:9/news?password={CANARY}",
    f"postgresql://ada:ses@{CANARY}@127.0.0.1:9/news",
    f"postgresql://ada:sesame@127.0.0.1:{CANARY}/news",
    f"mysql://ada:{CANARY}@127.0.0.1/news",
    f"s3://KEY:{CANARY}@bucket/folder?nonsense=1",
    f"s3:/KEY:{CANARY}@bucket/folder",
    f"s3://bucket/folder?secret_key={CANARY}",
    f"redis://:{CANARY}@127.0.0.1:9/0",
    f"redis://ada:9#{CANARY}@127.0.0.1/0",
    f"rediss://ada:9/{CANARY}@127.0.0.1/0",
    f"unix://ada:{CANARY}@",
    f"http://ada:{CANARY}@127.0.0.1:9",
    f"http://{CANARY}@127.0.0.1:port",
    f"https://hf_{CANARY}@hub.example/owner/name",
    f"ada:{CANARY}@127.0.0.1:9/news",
    f'{{"env": {{"PASSWORD": "{CANARY}"}}}}',
    f'{{"env": {{"PASSWORD": "{CANARY}"}}',
    f'["redis://:{CANARY}@127.0.0.1"]',
    f'{{"news": {{"database_url": "mysql://ada:{CANARY}@127.0.0.1/news"}}}}',
    f'{{"news": {{"database_url": "postgresql://ada:{CANARY}@127.0.0.1/news", "pasword": "{CANARY}"}}}}',
    f'{{"news": "postgresql://ada:{CANARY}@127.0.0.1/news"}}',
)


def variables() -> list[str]:
    """The variable of every setting, as the settings themselves name their fields."""
    groups: tuple[type[BaseSettings], ...] = (Settings, AirflowSettings)
    return [
        f"{group.model_config['env_prefix']}{name}".upper() for group in groups for name in group.model_fields
    ]


# Variables that hold passwords by their nature: not even the repr of the settings shows them.
SECRET = {
    "RERANK_DATABASE_URL",
    "RERANK_SOURCE_URL",
    "RERANK_STORE_URL",
    "RERANK_REDIS_URL",
    "RERANK_MILVUS_URL",
    "RERANK_HUB_TOKEN",
    "RERANK_AIRFLOW_PIPELINES",
    "RERANK_AIRFLOW_EXECUTOR_CONFIG",
}


# Variables with the path of a file that holds the value of one of these; somebody may put the value there itself.
FILES = tuple(file_variables())


def told(error: BaseException) -> str:
    """All that somebody sees of an error: its message, and the traceback that Airflow keeps in its log."""
    return f"{error}{error!r}" + "".join(traceback.format_exception(error))
