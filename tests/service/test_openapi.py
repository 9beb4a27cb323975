"""The description of REST: kept as a file, whole, and kept to under odd requests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from resight.core.version import VERSION
from resight.service.access.roles import ROLES
from resight.service.application import ROUTES, bare_application
from resight.service.settings import ServiceSettings
from tests.service.conftest import API, Serve

KEPT = Path(__file__).resolve().parents[2] / "docs" / "openapi.json"


def test_the_description_is_the_file_that_is_kept() -> None:
    if not KEPT.exists():
        pytest.skip("docs/ is not here")
    told = bare_application(None).openapi()
    assert json.loads(KEPT.read_text()) == told, "REST changed: look at the difference, then run docs/openapi.py"
    there = {(method.upper(), path) for path, methods in told["paths"].items() for method in methods}
    assert there == {(route.method, route.path) for route in ROUTES if route.is_api}
    assert told["info"]["version"] == VERSION
    operations = [operation for methods in told["paths"].values() for operation in methods.values()]
    assert all(operation["description"] for operation in operations)
    assert sum(operation["security"] == [] for operation in operations) == 2
    properties = [name for shape in told["components"]["schemas"].items() if "Out" in shape[0] for name in shape[1]]
    assert "embedding" not in json.dumps(properties)


EXAMPLES = 40  # of each route and role
# Work that goes on after the answer, and lines of JSON, which schemathesis cannot write.
NOT_ASKED = [f"{API}/{path}" for path in ("jobs/reembed", "jobs/compact", "jobs/verify", "export", "entries/lines")]


@pytest.mark.slow
@pytest.mark.parametrize("role", ROLES)
def test_odd_requests_are_answered_as_described(serve: Serve, role: str) -> None:
    """Asks every route what schemathesis makes up, and lets it check the answers: status, shape, key, methods. Not that
    all that fits the description is accepted: `give either crop or embedding` is beyond it."""
    schemathesis = pytest.importorskip("schemathesis", reason="schemathesis is not installed: pip install schemathesis")
    import hypothesis
    from schemathesis.checks import load_all_checks
    from schemathesis.core.failures import FailureGroup
    from schemathesis.specs.openapi.checks import positive_data_acceptance as accepted

    load_all_checks()
    service = serve(ServiceSettings(searches_a_minute=1e6, requests_a_minute=1e6, failures_a_minute=1e6))
    schema = schemathesis.openapi.from_dict(bare_application(None).openapi())
    problems: list[Any] = []
    asked = 0
    for found in schema.get_all_operations():
        operation = found.ok()
        if operation.path in NOT_ASKED:
            continue

        @hypothesis.settings(
            max_examples=EXAMPLES,
            deadline=None,
            database=None,
            derandomize=True,
            phases=[hypothesis.Phase.generate],
            suppress_health_check=list(hypothesis.HealthCheck),
        )
        @hypothesis.given(case=operation.as_strategy())
        def check(case: Any) -> None:
            nonlocal asked
            asked += 1
            told = {**(case.headers or {}), "Authorization": f"Bearer {service.keys[role]}"}
            case.call_and_validate(base_url=service.url, headers=told, excluded_checks=[accepted])

        try:
            check()
        except FailureGroup as error:
            problems.append((operation.label, [str(each)[:500] for each in error.exceptions]))
    assert problems == []
    assert asked > 10 * EXAMPLES
