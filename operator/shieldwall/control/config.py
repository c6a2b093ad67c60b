"""The operator's own configuration: the file that its installation writes.

Like the API: names are camelCase, unknown fields are refused, values are never converted, and everything that is wrong
is said at once, with the field.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal

from pydantic import Field, ValidationError
from pydantic.alias_generators import to_camel
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from shieldwall.control.api.fields import LABEL, SUBDOMAIN, ApiModel, ObjectName
from shieldwall.control.api.plain import Fault, plain_json, show
from shieldwall.control.api.problems import Problem, problems_of
from shieldwall.control.api.schema import properties_at, structural
from shieldwall.control.api.translate import sentence
from shieldwall.control.config_sections import ContainerSizes, Dns, Labels, LeaderElection, RuntimeImage
from shieldwall.control.plan.settings import DnsPeer, PlanSettings

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

DEFAULT_PATH: Final = Path("/etc/shieldwall/operator.yaml")
_PLAN: Final = PlanSettings()
Namespace = Annotated[str, Field(min_length=1, max_length=63, pattern=LABEL)]


class InvalidConfigError(ValueError):
    """The configuration is not valid; ``problems`` holds everything that is wrong with it, sorted by field."""

    def __init__(self, path: Path | None, problems: tuple[Problem, ...]) -> None:
        self.path = path
        self.problems = tuple(sorted(set(problems), key=lambda problem: problem.order))
        lines = (
            f"{problem.field}: {problem.message}" if problem.field else problem.message for problem in self.problems
        )
        head = (f"{path}:",) if path is not None else ()
        super().__init__("\n".join([*head, *lines]))


class OperatorConfig(ApiModel):
    """What the operator goes by besides the trainings themselves. Every field has a default."""

    watch_namespaces: Annotated[tuple[Namespace, ...], Field(max_length=256)] = ()
    """Namespaces whose trainings it runs; all when empty."""
    operator_namespace: Namespace = _PLAN.operator_namespace
    """Its own namespace, with the Lease and the root CA."""
    operator_labels: Labels = Field(default_factory=lambda: dict(_PLAN.operator_labels))
    """Labels of its pods: only those may speak to stewards."""
    root_secret: ObjectName = "shieldwall-root-ca"  # noqa: S105  # a name
    """Secret of the root CA, in its own namespace; made when it is not there."""
    trust_domain: Annotated[str, Field(min_length=1, max_length=253, pattern=SUBDOMAIN)] = _PLAN.trust_domain
    """Of the SPIFFE identities in certificates."""
    cluster_domain: Annotated[str, Field(min_length=1, max_length=253, pattern=SUBDOMAIN)] = _PLAN.cluster_domain
    """Of the cluster's DNS."""
    runtime_image: RuntimeImage = RuntimeImage()
    """The image of the containers without user code."""
    monitoring_namespace_labels: Labels = Field(default_factory=lambda: dict(_PLAN.monitoring_namespace_labels))
    """Labels of the namespaces from which the metrics of trainings may be read."""
    dns: Dns = Dns()
    """Where pods may ask for names."""
    resources: ContainerSizes = ContainerSizes()
    """Resources of the containers of trainings."""
    leader_election: LeaderElection = LeaderElection()
    """Which of several replicas acts."""
    workers: Annotated[int, Field(ge=1, le=256)] = 16
    """Trainings worked on at a time."""
    requests_in_flight: Annotated[int, Field(ge=1, le=512)] = 16
    """Requests to the API server at a time."""
    relist_seconds: Annotated[int, Field(ge=1, le=86_400)] = 480
    """Seconds between two full lists, which repair what watches lost."""
    metrics_port: Annotated[int, Field(ge=0, le=65_535)] = 8080
    """Port of /metrics, /healthz and /readyz; 0 takes a free one."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """The least important lines that are logged."""
    log_format: Literal["text", "json"] = "json"
    """Lines for people or for machines."""

    @classmethod
    def read(cls, path: Path = DEFAULT_PATH) -> OperatorConfig:
        """The configuration in a YAML file; raises InvalidConfigError with every problem at once, and nothing else."""
        try:
            document = _load(path)
            return cls.parse(document)
        except InvalidConfigError as error:
            raise InvalidConfigError(path, error.problems) from error

    @classmethod
    def parse(cls, document: object) -> OperatorConfig:
        """The configuration that ``document``, as a YAML reader gives it, holds; raises InvalidConfigError."""
        plain, faults = plain_json({} if document is None else document)
        if not isinstance(plain, dict):
            raise _invalid(faults or (Fault((), f"A configuration is a map of fields; this is {show(plain)}."),))
        try:
            config = cls.model_validate_json(json.dumps(plain))
        except ValidationError as error:
            shape = (_fault(each) for each in error.errors(include_url=False))
            raise _invalid(faults + tuple(shape)) from error
        if faults:
            raise _invalid(faults)
        return config

    def plan_settings(self) -> PlanSettings:
        """In the words of the plan."""
        return PlanSettings(
            trust_domain=self.trust_domain,
            cluster_domain=self.cluster_domain,
            runtime_image=self.runtime_image.name,
            runtime_image_pull_policy=self.runtime_image.pull_policy.value,
            image_pull_secrets=self.runtime_image.pull_secrets,
            operator_namespace=self.operator_namespace,
            operator_labels=self.operator_labels,
            monitoring_namespace_labels=self.monitoring_namespace_labels,
            dns=DnsPeer(self.dns.namespace_labels, self.dns.pod_labels, self.dns.cidrs),
            proxy_resources=self.resources.proxy.settings(),
            superlink_resources=self.resources.superlink.settings(),
            steward_resources=self.resources.steward.settings(),
            supernode_resources=self.resources.supernode.settings(),
            init_resources=self.resources.init.settings(),
            user_resources=self.resources.user.settings(),
        )


def _load(path: Path) -> object:
    yaml = YAML(typ="safe", pure=True)  # the C parser reads YAML 1.1, in which ``no`` is false
    yaml.allow_duplicate_keys = False
    try:
        document: object = yaml.load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise _invalid((Fault((), f"The file cannot be read: {error.strerror}."),)) from error
    except UnicodeDecodeError as error:
        raise _invalid((Fault((), "The file is not UTF-8 text."),)) from error
    except MarkedYAMLError as error:
        line = f"Line {error.problem_mark.line + 1}: " if error.problem_mark is not None else ""
        raise _invalid((Fault((), f"{line}{error.problem or 'this is not YAML'}."),)) from error
    except (YAMLError, ValueError, TypeError, AttributeError, KeyError, OverflowError, RecursionError) as error:
        # Impossible dates, tags and keys end in all of these inside the parser.
        said = " ".join(str(error).split())
        raise _invalid((Fault((), f"The file is not YAML: {said}."),)) from error
    return document


def _fault(error: ErrorDetails) -> Fault:
    """One error of pydantic. It names a field by its alias, but one that was left out by its attribute."""
    at = error["loc"]
    siblings = properties_at(structural(OperatorConfig), at[:-1])
    last = at[-1]
    if last == "[key]":
        at = at[:-1]
    elif isinstance(last, str) and error["type"] != "extra_forbidden" and to_camel(last) in siblings:
        at = (*at[:-1], to_camel(last))
    return Fault(at, sentence(error, siblings))


def _invalid(faults: tuple[Fault, ...]) -> InvalidConfigError:
    return InvalidConfigError(None, problems_of(faults))
