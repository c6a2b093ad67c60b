"""The bundle is the same wherever it is built, is what Flower would build, and holds no code."""

from __future__ import annotations

import hashlib
import io
import subprocess
import sys
import zipfile

import pytest
from flwr.common.config import flatten_dict, get_fab_config
from hypothesis import given, settings
from hypothesis import strategies as st

from shieldwall.runtime.fab import CLIENT_APP, SERVER_APP, build_fab, fab_sha256, project_file

NUMBERS = st.integers(-(2**53), 2**53) | st.floats(allow_nan=False)
VALUES = st.booleans() | NUMBERS | st.text(max_size=20)
BUILD = (
    "import sys; from shieldwall.contract.policy import RuntimePolicy; from shieldwall.runtime import fab;"
    "print(fab.fab_sha256(RuntimePolicy.from_json(sys.stdin.read())))"
)


def with_config(policy, config):
    return policy.model_copy(update={"app": policy.app.model_copy(update={"config": config})})


def contents(bundle):
    with zipfile.ZipFile(io.BytesIO(bundle)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_clients_build_the_very_same_bytes(world):
    assert build_fab(world.policy().for_clients()) == build_fab(world.policy())
    assert fab_sha256(world.policy()) == hashlib.sha256(build_fab(world.policy())).hexdigest()


def test_another_process_builds_the_same_bytes(world):
    copy = world.policy().for_clients().to_json()
    command = [sys.executable, "-c", BUILD]
    result = subprocess.run(command, input=copy, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == fab_sha256(world.policy())


def test_the_bytes_depend_on_no_compressor(world):
    with zipfile.ZipFile(io.BytesIO(build_fab(world.policy()))) as archive:
        assert {entry.compress_type for entry in archive.infolist()} == {zipfile.ZIP_STORED}


@pytest.mark.filterwarnings("ignore:GitWildMatchPattern:DeprecationWarning")
def test_flower_would_build_the_same_files(world):
    from flwr.cli.build import build_fab_from_files

    theirs, _ = build_fab_from_files({"pyproject.toml": project_file(world.policy())})
    assert contents(build_fab(world.policy())) == contents(theirs)


def test_it_names_our_apps_and_holds_nothing_else(world):
    bundle = build_fab(world.policy())
    assert sorted(contents(bundle)) == [".info/CONTENT", "pyproject.toml"]
    app = get_fab_config(bundle)["tool"]["flwr"]["app"]
    assert app["components"] == {"serverapp": SERVER_APP, "clientapp": CLIENT_APP}


def test_the_order_of_the_configuration_does_not_matter(world):
    one, other = ({"a": 1, "b": 2}, {"b": 2, "a": 1})
    assert build_fab(with_config(world.policy(), one)) == build_fab(with_config(world.policy(), other))


@settings(deadline=None, max_examples=50)
@given(config=st.dictionaries(st.text(max_size=8), VALUES, max_size=5))
def test_flower_reads_the_configuration_back(world, config):
    bundle = build_fab(with_config(world.policy(), config))
    assert flatten_dict(get_fab_config(bundle)["tool"]["flwr"]["app"]["config"]) == config
