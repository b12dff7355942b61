"""The first task: is everything there that the other tasks need?"""

from rerank_airflow.identity import RunIdentity
from rerank_core.errors import DatabaseUnavailable, SettingsError
from rerank_core.settings import Settings


class DoctorFound(SettingsError):
    """Something must be put right before a run can succeed; the message lists it."""


def examine(settings: Settings, identity: RunIdentity) -> dict[str, str]:
    """What each check found, by name.

    Raises DoctorFound with a sentence for each failure, which is never retried; DatabaseUnavailable, which is,
    where the database cannot be reached and so little else could be looked at; InputError where the run would be
    limited to a topic that is not there.
    """
    from rerank_core import pipeline
    from rerank_core.operations.doctor import examine as doctor
    from rerank_core.storage.database import Database

    findings = doctor.examine(settings)
    failed = {finding.name: finding for finding in findings if finding.state == "fail"}
    if failed:
        said = " ".join(f"{name}: {finding.found}; {finding.advice}." for name, finding in failed.items())
        raise (DatabaseUnavailable if "database" in failed else DoctorFound)(said)
    if identity.topics is not None:
        with Database(settings.database_url).transaction(read_only=True) as connection:
            pipeline.check_topics(connection, settings.pipeline, key=identity.key, topics=identity.topics)
    return {finding.name: f"{finding.state}: {finding.found}" for finding in findings}
