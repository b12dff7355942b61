"""Who may do what in the database: the script that makes the roles, for a superuser to read and apply.

Prevents a frontend that is broken into, or a worker that goes wrong, from altering the page: frontends select
four views, and the role that runs the pipeline moves the pointer only through functions that check the rules.
"""

import re
from dataclasses import dataclass, fields

from rerank_core.errors import InputError
from rerank_core.setting_values import relation_names
from rerank_core.settings import DEFAULT_MEDIA
from rerank_core.storage.database import sql_folder

LONGEST_NAME = 63  # bytes; Postgres would cut a longer one without a word


@dataclass(frozen=True, kw_only=True)
class Roles:
    """Names of the four roles."""

    owner: str = "rerank_owner"  # owns the schema; migrations run as it
    source: str = "rerank_source"  # reads the article source
    writer: str = "rerank_writer"  # runs the pipeline
    frontend: str = "rerank_frontend"  # reads the views


def script(roles: Roles, *, source_view: str, media_view: str = DEFAULT_MEDIA, shared: bool = False) -> str:
    """SQL that makes the roles and their rights; safe to repeat.

    `shared` leaves the rights that PUBLIC has in the whole database as they are. Raises InputError for a name that
    cannot be a role's.
    """
    names = {field.name: getattr(roles, field.name) for field in fields(roles)}
    for option, name in names.items():
        _check(option, name)
    if len(set(names.values())) < len(names):
        raise InputError(f"the roles {', '.join(names.values())} are not four; give each a name of its own")
    values = {"exclusive": "-- " if shared else ""}
    for option, name in names.items():
        values |= {option: identifier(name), f"{option}_text": literal(name)}
    for option, name in (("view", source_view), ("media", media_view)):
        relation = ".".join(identifier(part) for part in relation_names(name))
        values |= {option: relation, f"{option}_text": literal(relation)}
    template = (sql_folder() / "roles.sql").read_text(encoding="utf-8")
    return re.sub(r"\{(\w+)\}", lambda found: values[found[1]], template)


def identifier(name: str) -> str:
    """The name as SQL writes one that may hold anything."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """The text as an SQL constant, whatever the server makes of backslashes."""
    quoted = text.replace("'", "''")
    return "E'" + quoted.replace("\\", "\\\\") + "'" if "\\" in quoted else f"'{quoted}'"


def _check(option: str, name: str) -> None:
    wrong = None
    if not 0 < len(name.encode("utf-8", "surrogatepass")) <= LONGEST_NAME:
        wrong = f"is not of 1 to {LONGEST_NAME} bytes"
    elif any(
        ord(sign) < 32 or ord(sign) == 127 or 0xD800 <= ord(sign) <= 0xDFFF or sign == "$" for sign in name
    ):
        wrong = "holds a control character or $"
    elif name.lower() in {"public", "none"} or name.lower().startswith("pg_"):
        wrong = "is a name that Postgres keeps for itself"
    if wrong:
        raise InputError(f"--{option} {name!r} {wrong}; choose another name")
