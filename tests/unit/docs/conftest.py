import pytest

from tests.unit.docs.documented_site import a_documented_site


@pytest.fixture(scope="module")
def documented_site():
    """The site of the samples; whoever changes it makes it anew."""
    with a_documented_site() as site:
        yield site
