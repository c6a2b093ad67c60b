"""What a cluster has besides its components: a binding for its administrators, a default StorageClass."""

from __future__ import annotations

from typing import Any, Final

from .layout import STORAGE_CLASS

PROVISIONER: Final = "e2e.test/local"


def bindings() -> dict[str, Any]:
    """Makes administrators, and the API server towards the kubelet, what their certificates' group says."""
    group = "kubeadm:cluster-admins"
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": group},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": group}],
    }


def storage_class() -> dict[str, Any]:
    """The default class; its volumes are made once a pod is to use them."""
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {
            "name": STORAGE_CLASS,
            "annotations": {"storageclass.kubernetes.io/is-default-class": "true"},
        },
        "provisioner": PROVISIONER,
        "reclaimPolicy": "Delete",
        "volumeBindingMode": "WaitForFirstConsumer",
    }
