"""What was recalled: why the run has no pair of the topic and the article's text, or how the pair was found."""

from rerank_core.observe.explanation import Answer, Case, Facts, Found, fact
from rerank_core.prepare.language import language
from rerank_core.recall.filters import has_term
from rerank_core.recall.window import takes_language


def what_was_recalled(case: Case) -> Found:
    """How the article was recalled; the answer is the filter, limit or budget that kept it away."""
    if case.own_pairs.num_rows:
        return Found(_recall_facts(case), None)
    if case.act is not None and case.act.kind == "pin":
        return Found(fact("recalled", "no"), None)
    facts = fact("recalled", None if case.frozen.left_out else "no")
    return Found(facts, _why_filtered(case) or _why_not_looked_at(case) or _why_not_chosen(case))


def _recall_facts(case: Case) -> Facts:
    pair, pairs = case.own_pair, case.topic_pairs
    light, found_by = pair["light_score"], pair.get("recalled_by")
    better = int((pairs.column("light_score").to_numpy() > light).sum())
    return (
        *fact("recalled", "as a candidate of this run" if pair["work"] else "scored by an earlier run"),
        *fact(
            "recalled by",
            None if found_by is None else f"{found_by}, place {pair.get('recall_rank')} in its best search",
        ),
        *fact("BM25", f"{light:.2f}, {better} of the topic's {pairs.num_rows} pairs have more"),
    )


def _why_filtered(case: Case) -> Answer | None:
    lang, wanted = case.member["lang"], case.topic.languages
    if not takes_language(case.topic, lang):
        return Answer("other_language", f"It is in {lang}, and the topic takes {', '.join(wanted)} only.")
    for term in case.topic.must:
        if _has(case, term) is False:
            return Answer("lacks_must", f"Its text lacks {term!r}, which the topic demands.")
    for term in case.topic.must_not:
        if _has(case, term):
            return Answer("has_must_not", f"Its text has {term!r}, which the topic excludes.")
    return None


def _has(case: Case, term: str) -> bool | None:
    """Whether the scored text has the term, as recall filters; None if the text is gone."""
    row = case.one("explain.text", document_id=case.member["scored_document_id"])
    return None if row is None else has_term(row["text"], term)


def _why_not_looked_at(case: Case) -> Answer | None:
    frozen, topic, lang = case.frozen, case.topic, case.member["lang"]
    if not frozen.selected:
        return Answer(
            "topic_not_selected",
            f"Run {case.run.run_id} was limited to other topics, and it had no score for this one.",
        )
    if case.member["claimed_hour"] is None and not frozen.filling and not case.run.rescore:
        return Answer(
            "searched_before",
            "An earlier run claimed it and did not choose it for this topic. The topic is filled, so no later run"
            " looks at it again.",
        )
    query_language = language(topic.query, claimed=None).code
    if frozen.not_recalled_language and lang not in (query_language, *topic.queries):
        return Answer(
            "no_query_in_language",
            f"It is in {lang}. The topic has no query in this language, and the recall strategy finds words only.",
        )
    return None


def _why_not_chosen(case: Case) -> Answer:
    left_out = case.frozen.left_out
    if left_out and not case.frozen.not_recalled:
        return Answer(
            "over_budget",
            f"It was recalled, and left out over the run's budget, as {left_out} of the topic's candidates were."
            " A later run takes it up.",
        )
    limit = f"{case.topic.candidate_limit} for each hour of ingestion"
    if left_out:
        return Answer(
            "not_recalled_or_over_budget",
            f"It was not among the topic's candidates ({limit}), or it is one of the {left_out} that were left out over"
            " the run's budget.",
        )
    return Answer("not_recalled", f"It was not among the best documents that the topic takes ({limit}).")
