"""The runs with faults set the functions' environment themselves: it must contain every variable that they read."""

from dataclasses import fields

import pytest

from retail_pulse.runtime.settings import ProcessSettings, ReprocessSettings, SubmitSettings
from tests.faults import campaign


@pytest.mark.parametrize("model", [SubmitSettings, ProcessSettings, ReprocessSettings])
def test_the_environment_of_the_runs_with_faults_has_every_variable_that_a_function_reads(model: type) -> None:
    # The campaign knows its table and its queue only once the stack is up.
    written = campaign._ENVIRONMENT.keys() | {"TABLE_NAME", "QUEUE_URL"}
    assert {field.name.upper() for field in fields(model)} <= written
