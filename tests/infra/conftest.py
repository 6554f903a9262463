"""The template, read and transformed once for all tests of this folder."""

import pytest

from tests.infra import sam


@pytest.fixture(scope="session")
def template() -> sam.Body:
    """The template as it is written. Tests that change it copy it first."""
    return sam.read()


@pytest.fixture(scope="session")
def transformed(template: sam.Body) -> sam.Body:
    """The resources that CloudFormation receives."""
    return sam.transform(template)


@pytest.fixture(scope="session")
def functions(template: sam.Body) -> dict[str, sam.Body]:
    """Logical ids and properties of the functions, without what Globals adds."""
    return sam.of_type(template["Resources"], sam.FUNCTION)
