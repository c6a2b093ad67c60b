"""The kinds of objects that a plan holds, as the typed models of the official client."""

from kubernetes.client import (
    V1ConfigMap,
    V1Deployment,
    V1NetworkPolicy,
    V1PersistentVolumeClaim,
    V1PodDisruptionBudget,
    V1Service,
    V1ServiceAccount,
    V1StatefulSet,
)

KubernetesObject = (
    V1ConfigMap
    | V1Deployment
    | V1NetworkPolicy
    | V1PersistentVolumeClaim
    | V1PodDisruptionBudget
    | V1Service
    | V1ServiceAccount
    | V1StatefulSet
)
