import pytest
from images.catalogue import ROOT


@pytest.fixture(scope="session")
def root():
    return ROOT
