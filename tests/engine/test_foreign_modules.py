"""An engine starts beside modules that answer an onlooker with an error."""

import sys
from collections.abc import Callable
from types import ModuleType, SimpleNamespace

import pytest
from engine.pairs import all_scores, make_pairs

from rerank_core.models import vllm as scorer_module
from rerank_core.models.vllm import VllmScorer

pytestmark = [pytest.mark.engine, pytest.mark.filterwarnings("ignore")]


class Proxy:
    """As flask's `current_app`: nothing may be asked of it outside a request."""

    @property
    def __dict__(self) -> dict[str, object]:  # type: ignore[override]
        raise RuntimeError("Working outside of application context.")


@pytest.fixture
def foreign(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("web_framework")
    module.current_app = Proxy()  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "web_framework", module)


def test_an_engine_starts_beside_a_proxy(build: Callable[..., VllmScorer], foreign: None) -> None:
    assert len(all_scores(build(), make_pairs())) == len(make_pairs())


def test_without_its_own_view_of_the_modules_vllm_trips_over_the_proxy(
    foreign: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vllm.triton_utils import dispatcher

    def kernel() -> None: ...

    monkeypatch.setattr(dispatcher, "sys", SimpleNamespace(modules=sys.modules))
    with pytest.raises(RuntimeError, match="application context"):
        dispatcher._rebind_kernels([(kernel, None)])
    scorer_module.keep_to_own_modules()
    dispatcher._rebind_kernels([(kernel, None)])
