"""What the components are told agrees with one another, and stays in the cluster's directory."""

from __future__ import annotations

import tomllib
from ipaddress import IPv4Network
from pathlib import Path

import pytest
from cluster import containerd, dns, kubeadm, node, objects, start
from cluster.layout import Layout

CRI = "io.containerd.grpc.v1.cri"


@pytest.fixture
def layout(tmp_path):
    return Layout(tmp_path / 'a "quoted" name')


@pytest.fixture
def runtime(layout):
    return tomllib.loads(containerd.configuration(layout))


def test_containerd_keeps_everything_in_the_directory(layout, runtime):
    opt = runtime["plugins"]["io.containerd.internal.v1.opt"]["path"]
    for path in (runtime["root"], runtime["grpc"]["address"], opt, runtime["plugins"][CRI]["cni"]["conf_dir"]):
        assert Path(path).is_relative_to(layout.state)


def test_the_sandbox_is_the_image_that_is_imported(tmp_path, runtime, monkeypatch):
    written = {}
    monkeypatch.setattr(containerd, "write_image", lambda path, name, *_: written.update({name: path}))
    containerd.write_pause(tmp_path)
    assert list(written) == [runtime["plugins"][CRI]["sandbox_image"]]


def test_cluster_dns_is_the_image_that_is_imported(layout):
    _, cluster = kubeadm.configuration(layout, "v1.34.4")
    assert f"{cluster['dns']['imageRepository']}/coredns:{cluster['dns']['imageTag']}" == dns.IMAGE


def test_kubeadm_is_told_its_version_and_never_asks(layout):
    _, cluster = kubeadm.configuration(layout, "v9.8.7")
    assert cluster["kubernetesVersion"] == "v9.8.7"


def test_kubelet_and_runtime_agree(layout, runtime):
    kubelet = node.kubelet_configuration(layout)
    assert kubelet["containerRuntimeEndpoint"] == f"unix://{runtime['grpc']['address']}"
    assert kubelet["cgroupDriver"] == "cgroupfs"
    options = runtime["plugins"][CRI]["containerd"]["runtimes"]["runc"]["options"]
    assert options["SystemdCgroup"] is False


def test_pods_cgroups_are_below_the_one_that_is_removed(layout):
    assert node.kubelet_configuration(layout)["cgroupRoot"] == f"/{layout.name}"


def test_images_are_never_deleted_since_nothing_pulls_them(layout):
    kubelet = node.kubelet_configuration(layout)
    assert kubelet["imageGCHighThresholdPercent"] == 100
    assert kubelet["evictionHard"]["imagefs.available"] == "1%"


def test_the_kubelet_changes_no_setting_of_the_machine(layout):
    assert node.kubelet_configuration(layout)["protectKernelDefaults"] is True


def test_pods_are_routed_and_have_addresses_of_the_pods_network():
    routed, *_ = plugins = containerd.networking(Layout(Path("/x")))["plugins"]
    assert [each["type"] for each in plugins] == ["ptp", "portmap"]
    (((subnet,),),) = [[each.values() for each in some] for some in routed["ipam"]["ranges"]]
    assert IPv4Network(subnet) == IPv4Network("10.244.0.0/24")
    assert routed["ipMasq"] is False  # policies see whom a packet comes from


def test_the_dns_pods_forward_to_nobody(layout):
    files = dns.resolvers(layout)
    assert files["pods-resolv.conf"] == f"nameserver {layout.node}\n"
    assert files["node-resolv.conf"].startswith("nameserver 10.96.0.10\n")
    assert node.kubelet_configuration(layout)["clusterDNS"] == ["10.96.0.10"]


def test_the_default_class_waits_for_a_pod_and_deletes():
    body = objects.storage_class()
    assert body["metadata"]["annotations"] == {"storageclass.kubernetes.io/is-default-class": "true"}
    assert (body["volumeBindingMode"], body["reclaimPolicy"]) == ("WaitForFirstConsumer", "Delete")


def test_keys_are_read_by_their_owner_alone(tmp_path):
    layout = Layout(tmp_path / "cluster")
    start.write_files(layout)
    assert layout.state.stat().st_mode & 0o077 == 0
