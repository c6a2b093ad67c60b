import pytest
from kubernetes.client import (
    V1ConfigMapProjection,
    V1ConfigMapVolumeSource,
    V1EmptyDirVolumeSource,
    V1HostPathVolumeSource,
    V1KeyToPath,
    V1PersistentVolumeClaimVolumeSource,
    V1ProjectedVolumeSource,
    V1SecretProjection,
    V1SecretVolumeSource,
    V1VolumeProjection,
)

from shieldwall.local.cluster.projection import File
from shieldwall.local.cluster.users import OneUser
from shieldwall.local.cluster.volumes import (
    Contents,
    Directories,
    UnsupportedVolumeError,
    materialise,
    projected_files,
)

LEAF = {"secret_name": "leaf"}
CONTENTS = Contents({"policy": {"policy.json": b"{}"}}, {"leaf": {"tls.crt": b"c", "tls.key": b"k", "ca.crt": b"a"}})


def test_a_secret_shows_only_the_keys_that_are_named(make):
    items = [V1KeyToPath(key="tls.crt", path="tls.crt"), V1KeyToPath(key="tls.key", path="key", mode=0o400)]
    source = V1SecretVolumeSource(**LEAF, items=items, default_mode=0o440)
    files = projected_files(make.volume("tls", secret=source), CONTENTS)
    assert files == {"tls.crt": File(b"c", 0o440), "key": File(b"k", 0o400)}


def test_a_projected_volume_joins_its_sources(make):
    sources = [
        V1VolumeProjection(config_map=V1ConfigMapProjection(name="policy")),
        V1VolumeProjection(secret=V1SecretProjection(name="leaf", items=[V1KeyToPath(key="ca.crt", path="ca.crt")])),
    ]
    files = projected_files(make.volume("all", projected=V1ProjectedVolumeSource(sources=sources)), CONTENTS)
    assert files == {"policy.json": File(b"{}"), "ca.crt": File(b"a")}


@pytest.mark.parametrize(
    "source",
    [
        {"config_map": V1ConfigMapVolumeSource(name="nobody")},
        {"secret": V1SecretVolumeSource(**LEAF, items=[V1KeyToPath(key="no", path="no")])},
        {"host_path": V1HostPathVolumeSource(path="/")},
    ],
)
def test_what_cannot_be_made_is_refused(make, source):
    with pytest.raises(UnsupportedVolumeError, match="'v'"):
        projected_files(make.volume("v", **source), CONTENTS)


def test_claims_outlive_pods_and_the_users_own_data_is_never_touched(make, tmp_path, now):
    directories = Directories(tmp_path / "pods", tmp_path / "claims", tmp_path / "data")
    brought = tmp_path / "data" / "berlin"
    brought.mkdir(parents=True)
    own = make.volume("data", persistent_volume_claim=V1PersistentVolumeClaimVolumeSource(claim_name="berlin"))
    state = make.volume("state", persistent_volume_claim=V1PersistentVolumeClaimVolumeSource(claim_name="state-x-0"))
    memory = make.volume("home", empty_dir=V1EmptyDirVolumeSource())
    assert directories.brought(own) == directories.of("x-0", own) == brought
    assert directories.brought(state) is None
    assert directories.of("x-0", state) == tmp_path / "claims" / "state-x-0"
    assert directories.of("x-0", memory) == tmp_path / "pods" / "x-0" / "home"
    assert not materialise(directories.of("x-0", state), state, CONTENTS, OneUser(""), now)
    assert directories.of("x-0", state).stat().st_mode & 0o777 == 0o700
