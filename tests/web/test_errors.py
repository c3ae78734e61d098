"""One status for every error of the tree, and a line in the reference for each."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from iris.base.errors import IrisError, StoreError
from web.api.errors import STATUS_OF, problem_of


def _tree(kind: type[IrisError]) -> list[type[IrisError]]:
    return [kind, *(found for child in kind.__subclasses__() for found in _tree(child))]


TREE = [kind for kind in _tree(IrisError) if kind.__module__ == "iris.base.errors"]


@pytest.mark.parametrize("kind", TREE, ids=lambda kind: kind.code)
def test_every_error_is_a_problem_with_its_code(kind: type[IrisError]) -> None:
    assert kind in STATUS_OF
    response = problem_of(kind("cannot open rtsp://u:CANARY@h/a"))
    body = orjson.loads(response.body)
    assert (response.status_code, body["code"], body["status"]) == (STATUS_OF[kind], kind.code, STATUS_OF[kind])
    assert body["detail"] == "cannot open rtsp://***@h/a"
    assert response.media_type == "application/problem+json"
    assert ("retry-after" in response.headers) == (response.status_code == 503)


def test_error_of_elsewhere_is_answered_as_its_parent() -> None:
    class LocalError(StoreError):
        """Not in the tree's module."""

    assert problem_of(LocalError("x")).status_code == STATUS_OF[StoreError]


def test_reference_names_every_code() -> None:
    text = (Path(__file__).parents[2] / "docs/reference/errors.md").read_text()
    others = ["unauthorized", "cross_site", "content_too_large", "internal_error", "bad_request", "method_not_allowed",
              "precondition_failed", "range_not_satisfiable"]  # fmt: skip
    for code in [kind.code for kind in TREE] + others:
        assert f"`{code}`" in text
