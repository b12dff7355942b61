"""`rerank maintain` says if the pipeline does not exist."""

from command_line import Rerank


def test_a_clean_up_of_a_pipeline_that_is_not_there_says_so(page: Rerank) -> None:
    said = "pipeline 'new' has no topics and no runs"
    assert said in page("maintain", "--dry-run", "--pipeline", "new").out
    assert said not in page("maintain", "--dry-run").out
