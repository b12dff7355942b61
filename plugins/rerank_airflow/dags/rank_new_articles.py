"""Rank newly ingested articles for every topic, and publish the page.

| task | what it does | what it leaves |
|---|---|---|
| **doctor** | checks database, store, scorer and clock, and says what to do | |
| **page_deadline** | makes the DAG `publish_overdue_rankings` publish the page if it is late, whatever the other tasks do | |
| **extract** | claims the article revisions that no run has claimed yet | raw text |
| **prepare** | turns HTML into clean text; equal texts become one document | documents |
| **embed** | makes the vectors that dense recall compares, in pool `gpu` if the embedder needs a device; does nothing for other strategies | vectors |
| **recall** | picks each topic's best candidates, and cuts the pairs into shards | pairs |
| **rerank** | scores the pairs that the ledger lacks, one task a shard, in pool `gpu` | scores |
| **degrade** | orders the unscored pairs without the model; skipped if every pair has a score | light order |
| **publish** | writes the Parquet file and moves the page to it in one transaction; red, with a degraded page, if the gate finds the scores wrong | the page, asset `rankings` |
| **announce** | tells of each move of the page that nobody was told of; skipped if there is none | asset `rankings_current` |
| **observe** | records latency, errors and score drift, and which sources are silent | metrics |
| **verdict** | does nothing; its state makes the dag run red if `publish` is, while announce and observe go on | |

**Clear** a dag run, or any task of it, as often as you like. The run keeps its window, topics and candidates, finds its
scores in the ledger, and publishes the same rows as a new version.
**Trigger** needs no input: the run then ranks up to now. The form can also *approve* a run that the gate has blocked.
On a good day every task is green, but for **degrade**, which is skipped.
"""

from datetime import timedelta

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, CronPartitionTimetable

from rerank_airflow.defaults import DOCTOR_MINUTES, FIRST, RANKING, new_dag
from rerank_airflow.form import FORM
from rerank_airflow.operators.announce import AnnounceOperator
from rerank_airflow.operators.doctor import DoctorOperator
from rerank_airflow.operators.overdue import PageDeadlineOperator
from rerank_airflow.operators.stages import (
    DegradeOperator,
    EmbedOperator,
    ObserveOperator,
    PublishOperator,
    RecallOperator,
    RerankOperator,
    StageOperator,
)
from rerank_airflow.placement import embedding_args, scoring_args
from rerank_airflow.settings import AirflowSettings, public_settings_of
from rerank_airflow.signals import late


def ranking_dag(pipeline: str) -> DAG:
    """The DAG of one pipeline."""
    with new_dag(
        RANKING,
        pipeline,
        description=f"Ranks newly ingested articles for every topic of the pipeline {pipeline}.",
        doc_md=__doc__,
        schedule=CronPartitionTimetable(public_settings_of(pipeline).schedule, timezone="UTC", run_offset=-1),
        max_active_runs=AirflowSettings.load().active_runs,  # waiting for a GPU must not stop the next page
        deadline=late.alert(pipeline),
        params=FORM,
    ) as dag:
        # No deadline covers the doctor, so it has little time.
        doctor = DoctorOperator(
            task_id="doctor", pipeline=pipeline, execution_timeout=timedelta(minutes=DOCTOR_MINUTES)
        )
        page_deadline = PageDeadlineOperator(
            task_id="page_deadline",
            pipeline=pipeline,
            weight_rule="absolute",
            priority_weight=FIRST,  # no crowd of other tasks delays it
        )
        extract = StageOperator(task_id="extract", pipeline=pipeline)
        prepare = StageOperator(task_id="prepare", pipeline=pipeline)
        embed = EmbedOperator(task_id="embed", pipeline=pipeline, **embedding_args(pipeline))
        recall = RecallOperator(task_id="recall", pipeline=pipeline, trigger_rule="all_done_min_one_success")
        rerank = RerankOperator.partial(
            task_id="rerank",
            pipeline=pipeline,
            map_index_template="shard {{ task.shard.shard }}: {{ task.shard.pairs }} pairs, {{ task.shard.topics }} topics",
            **scoring_args(pipeline),
        ).expand(shard=recall.output)
        degrade = DegradeOperator(
            task_id="degrade", pipeline=pipeline, trigger_rule="all_done_min_one_success"
        )
        publish = PublishOperator(
            task_id="publish", pipeline=pipeline, trigger_rule="none_failed_min_one_success"
        )
        announce = AnnounceOperator(task_id="announce", pipeline=pipeline, trigger_rule="all_done")
        observe = ObserveOperator(task_id="observe", pipeline=pipeline, trigger_rule="all_done")
        verdict = EmptyOperator(task_id="verdict")

        doctor >> [page_deadline, extract]
        extract >> prepare >> embed
        [prepare, embed] >> recall >> rerank  # also if embed failed: words then recall what has no vector
        [recall, rerank] >> degrade  # also if shards failed or there are none, but not if recall failed
        [recall, degrade] >> publish  # also if degrade skipped itself
        # Also if the gate made publish red; both skip themselves if nothing was published.
        publish >> [announce, observe]
        publish >> verdict  # a dag run has the state of its last tasks: this one makes it red if publish is
    return dag
