"""What must hold of a built image, seen from outside and from within; no cluster is needed."""

from __future__ import annotations

import json
import re
import stat
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

from packaging.utils import canonicalize_name

from images import jail
from images.catalogue import ROOT, SBOM_DIRECTORY

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from images.buildah import Buildah
    from images.catalogue import Image

_PROGRAMS: Final = ("usr/bin", "usr/sbin", "usr/local/bin", "opt/shieldwall/bin", "opt/app/bin")
_UNWANTED: Final = re.compile(
    r"(cc|c\+\+|clang|cpp|g\+\+|gcc|ld|make|pip|pipx|uv|uvx)[0-9.-]*|.*-(gcc|g\+\+|ld)[0-9.-]*"
)
_LEFTOVERS: Final = ("build", "own", "etc/pip.conf", "run/secrets/*", "root/.cache", "root/.config", "tmp/*")
_INSTALLERS: Final = ("ensurepip", "pip", "setuptools", "uv")
_PIN: Final = re.compile(r"^([a-z0-9-]+)==(\S+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Trial:
    """A command, and how it must end."""

    command: tuple[str, ...]
    says: str = ""
    code: int = 0


def _python(program: str, says: str = "", code: int = 0) -> Trial:
    return Trial(("python3", "-c", program), says, code)


_EVERYWHERE: Final = (
    Trial(("touch", "/opt/shieldwall/mark"), "Read-only file system", 1),
    *(Trial(("python3", "-m", module), f"No module named {module}", 1) for module in _INSTALLERS),
)
_ROLES: Final = (
    "import importlib, shieldwall.runtime.__main__ as m; [importlib.import_module(r) for r in m.ROLES.values()]"
)
_ENVOY: Final = (
    "import os; from shieldwall.runtime.proxy.main import envoy_binary as e; os.execl(e(), e(), '--version')"
)
_UNTRAINED: Final = "from digits import client_app as c, task as t; print(c.app, t.evaluate(t.initial_arrays({}), {}))"
_WHERE: Final = "import digits.client_app as c, digits.task as t; print(c.__file__, t.__file__)"
_RUNTIME: Final = (
    Trial(("shieldwall-runtime", "--help"), "usage: shieldwall-runtime {init,proxy,superlink,steward,aggregator", 64),
    Trial(("flower-superlink", "--version"), "Flower version: 1.41"),
    _python(_ROLES),
    _python(_ENVOY, "/1.40."),
)
_TRIALS: Final = {
    "operator": (
        Trial(("shieldwall-operator", "--check", "--config", "/dev/null")),
        Trial(("shieldwall-operator", "--check", "--config", "/nowhere"), "The file cannot be read", 2),
        _python("import shieldwall.control.main"),
    ),
    "runtime": _RUNTIME,
    "digits": (*_RUNTIME, _python(_UNTRAINED, "'accuracy': 0.")),
    "digits-attacker": (
        *_RUNTIME,
        _python(_UNTRAINED, "'accuracy': 0."),
        _python(_WHERE, "/opt/attacker/digits/client_app.py /opt/app/digits/task.py"),
    ),
}


def check(buildah: Buildah, image: Image) -> list[str]:
    """What is wrong with it, a line each. Raises BuildahError when it is not there."""
    config = buildah.config(image.tag)
    with buildah.mounted(image.tag) as files:
        found = chain(_user(config), _labels(config), _programs(files), _rights(files), _secrets(files))
        bills = _sbom(files, image.name) if image.sbom else ()
        return [f"{image.name}: {problem}" for problem in (*found, *bills, *_tried(files, config, image.name))]


def _tried(files: Path, config: dict[str, Any], name: str) -> Iterator[str]:
    for trial in (*_EVERYWHERE, *_TRIALS[name]):
        answer = jail.run(files, config, trial.command)
        if answer.code != trial.code or trial.says not in answer.said:
            wanted = f"{trial.code} and {trial.says!r}"
            yield f"{' '.join(trial.command)} ended with {answer.code}, not {wanted}: {answer.said}"


def _user(config: dict[str, Any]) -> Iterator[str]:
    user, _, group = config.get("User", "").partition(":")
    if not (user.isdigit() and group.isdigit() and int(user) and int(group)):
        yield f"its user is {config.get('User')!r}, not two numbers other than 0"


def _labels(config: dict[str, Any]) -> Iterator[str]:
    for name in ("title", "description", "version", "revision", "licenses"):
        if not config["Labels"].get(f"org.opencontainers.image.{name}"):
            yield f"it has no label {name}"


def _programs(files: Path) -> Iterator[str]:
    for folder in _PROGRAMS:
        for path in (files / folder).glob("*"):
            if _UNWANTED.fullmatch(path.name):
                yield f"it holds {folder}/{path.name}"


def _rights(files: Path) -> Iterator[str]:
    for path in files.rglob("*"):
        mode = path.lstat().st_mode
        if stat.S_ISREG(mode) and mode & (stat.S_ISUID | stat.S_ISGID):
            yield f"/{path.relative_to(files)} is setuid or setgid"
        if stat.S_ISREG(mode) and mode & stat.S_IWOTH:
            yield f"/{path.relative_to(files)} can be written by everybody"


def _secrets(files: Path) -> Iterator[str]:
    for pattern in _LEFTOVERS:
        for path in files.glob(pattern):
            yield f"/{path.relative_to(files)} is left from its build"


def _sbom(files: Path, name: str) -> Iterator[str]:
    bom = json.loads((files / SBOM_DIRECTORY / f"{name}.cdx.json").read_text(encoding="utf-8"))
    listed = {kind: _listed(bom["components"], f"pkg:{kind}/") for kind in ("pypi", "deb")}
    lock = (ROOT / "images" / name / "requirements.lock").read_text(encoding="utf-8")
    if listed["pypi"] != (locked := set(_PIN.findall(lock))):
        yield f"its SBOM and its lock differ in {sorted(listed['pypi'] ^ locked)}"
    if "libc6" not in {package for package, _ in listed["deb"]}:
        yield "its SBOM has no Debian packages"
    if bom["metadata"]["component"]["name"] != "shieldwall":
        yield "its SBOM is not shieldwall's"


def _listed(components: list[dict[str, str]], kind: str) -> set[tuple[str, str]]:
    return {
        (canonicalize_name(each["name"]), each["version"])
        for each in components
        if each.get("purl", "").startswith(kind)
    }
