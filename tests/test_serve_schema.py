"""Whatever a request looks like, the API answers as its OpenAPI document says, and never with a server error."""

from __future__ import annotations

import contextlib
from collections import Counter

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance

from services import Running

pytestmark = pytest.mark.slow

CHECKS = [not_a_server_error, content_type_conformance, response_schema_conformance]
N_EXAMPLES = 12  # of valid and as many of invalid requests, for each operation


@pytest.mark.filterwarnings("ignore:Do not use the `random` module")  # schemathesis does
def test_the_api_keeps_its_promises(served: Running) -> None:
    api = schemathesis.openapi.from_url(f"{served.address}/v1/openapi.json")
    seen: Counter[str] = Counter()
    for found in api.exclude(path="/v1/events").get_all_operations():  # which has no end
        operation = found.ok()
        for mode in (schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE):

            @given(case=operation.as_strategy(generation_mode=mode))
            @settings(max_examples=N_EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), database=None)
            def ask(case: schemathesis.Case) -> None:
                seen[case.operation.label] += 1
                case.validate_response(case.call(timeout=60), checks=CHECKS)

            with contextlib.suppress(Unsatisfiable):  # nothing can be wrong about a request without parameters
                ask()
    assert seen["POST /v1/jobs"] >= 2 * N_EXAMPLES
    assert len(seen) > 15
