"""The OpenAPI document: published as it is generated, complete, and shown without a CDN."""

import html
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import yaml
from django.urls import URLPattern, get_resolver
from drf_spectacular.validation import validate_schema

from servicedesk.api.schema import DeskGenerator
from servicedesk.tests import contract
from tickets.api.filters import FILTER_PARAMETERS, TicketFilters

pytestmark = pytest.mark.once

PUBLISHED = Path(__file__).parent.parent.parent / "docs" / "openapi.yaml"
NOT_DESCRIBED = {"api/schema/", "api/schema/live/", "api/docs/"}
NO_BODY = {"204"}


def described():
    """The document that the desk serves, through its real views."""
    return contract.document()


def test_the_published_document_is_the_generated_one():
    published = yaml.safe_load(PUBLISHED.read_text())
    assert published == described(), 'run "make schema"'


def test_the_document_is_valid_openapi():
    validate_schema(DeskGenerator().get_schema(request=None, public=True))
    assert described()["openapi"].startswith("3.1")


def test_every_route_and_method_is_described():
    for entry in get_resolver().url_patterns:
        route = str(entry.pattern)
        if not isinstance(entry, URLPattern) or not route.startswith(("api/", "health/")):
            continue
        if route in NOT_DESCRIBED:
            continue
        path = contract.paths()[contract.shape_of(f"/{route}")]
        view = entry.callback
        # A ViewSet's route knows its methods; an APIView has them as functions.
        actions = getattr(view, "actions", None)
        if actions is None:
            kind = getattr(view, "cls", None)
            actions = [m for m in ("get", "post", "put", "patch", "delete") if hasattr(kind, m)]
        methods = {method for method in actions if method != "head"} or {"get"}
        assert set(described()["paths"][path]) == methods, route


def test_nothing_is_described_that_is_not_there():
    routes = {contract.shape_of(f"/{entry.pattern}") for entry in get_resolver().url_patterns}
    assert set(contract.paths()) <= routes


def test_every_operation_has_a_text_and_a_success_with_a_shape():
    ids = []
    for path, operations in described()["paths"].items():
        for method, operation in operations.items():
            assert operation.get("description") or operation.get("summary"), (method, path)
            ids.append(operation["operationId"])
            good = {s: a for s, a in operation["responses"].items() if s.startswith("2")}
            assert good, (method, path)
            for status, answer in good.items():
                assert bool(answer.get("content")) == (status not in NO_BODY), (method, path)
    assert len(ids) == len(set(ids))


def test_objects_are_closed_but_for_problems():
    for name, schema in described()["components"]["schemas"].items():
        if schema.get("type") == "object" and "properties" in schema:
            assert (schema.get("additionalProperties") is False) == (name != "Problem"), name


def test_every_filter_is_described():
    assert {parameter.name for parameter in FILTER_PARAMETERS} == set(TicketFilters.base_filters)


def test_every_reference_leads_somewhere():
    text = PUBLISHED.read_text()
    for reference in set(re.findall(r"'(#/[^']+)'", text)):
        assert contract.resolved({"$ref": reference})


def test_the_document_is_served_with_and_without_a_slash(anonymous, settings):
    for path in ("/api/schema/", "/api/schema"):
        response = anonymous.get(path)
        assert response.status_code == 200
        assert yaml.safe_load(response.content) == described()
    as_json = anonymous.get("/api/schema/", HTTP_ACCEPT="application/json")
    assert as_json.status_code == 200
    assert as_json.json()["paths"].keys() == described()["paths"].keys()


def test_the_docs_page_and_all_it_loads_come_from_the_desk(anonymous):
    page = anonymous.get("/api/docs/")
    assert page.status_code == 200
    assert page["Content-Type"].startswith("text/html")
    text = page.content.decode()
    assert not re.findall(r"""(?:src|href)=["'](?:https?:)?//""", text)
    assets = re.findall(r"""(?:src|href)=["']([^"'#]+)["']""", text)
    assert len([asset for asset in assets if "swagger-ui" in asset]) >= 3
    for asset in assets:
        response = anonymous.get(html.unescape(asset))
        assert response.status_code == 200, asset
        assert response.getvalue()
        assert response["X-Content-Type-Options"] == "nosniff"
    script = next(asset for asset in assets if "script=" in asset)
    assert '"/api/schema/"' in anonymous.get(html.unescape(script)).content.decode()


def test_the_document_is_the_same_for_many_threads_at_once(monkeypatch):
    monkeypatch.setattr(DeskGenerator, "_made", {})
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: DeskGenerator().get_schema(), range(8)))
    assert made[0]["paths"]
    assert all(document is made[0] for document in made)
