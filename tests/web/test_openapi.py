"""The description of the API: kept in the tree, complete, and true."""

from __future__ import annotations

from pathlib import Path

import httpx

from scripts.export_openapi import TARGET, render
from tests.web.conftest import World
from web.api.errors import PROBLEM_MEDIA_TYPE


def test_description_in_the_tree_is_fresh() -> None:
    assert TARGET.read_bytes() == render(), "run: python -m scripts.export_openapi"


async def test_description_is_served_as_it_is_in_the_tree(client: httpx.AsyncClient) -> None:
    import orjson

    served = (await client.get("/api/openapi.json")).json()
    assert served == orjson.loads(TARGET.read_bytes())


def test_every_operation_is_typed_and_says_what_it_needs(world: World) -> None:
    schema = world.app.openapi()
    assert "HTTPValidationError" not in str(schema)
    names = []
    for path, operations in schema["paths"].items():
        for operation in operations.values():
            names.append(operation["operationId"])
            assert operation["summary"]
            assert operation["description"]
            is_open = path == "/health"
            assert (operation.get("security") == []) == is_open
            assert ("401" in operation["responses"]) != is_open
            for status, response in operation["responses"].items():
                assert response["content"], (path, status)
                if int(status) >= 400:
                    reference = {"$ref": "#/components/schemas/Problem"}
                    assert response["content"] == {PROBLEM_MEDIA_TYPE: {"schema": reference}}
                elif "application/json" in response["content"]:
                    assert response["content"]["application/json"]["schema"], (path, status)
    assert len(names) == len(set(names))
    assert schema["security"] == [{"key": []}]


def test_reference_names_every_path(world: World) -> None:
    text = (Path(__file__).parents[2] / "docs/reference/api.md").read_text()
    for path, operations in world.app.openapi()["paths"].items():
        for method in operations:
            assert f"`{method.upper()} {path}`" in text
