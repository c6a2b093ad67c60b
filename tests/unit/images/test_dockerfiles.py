"""What the Dockerfiles promise, read from their instructions."""

import re
import shlex
import tomllib
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
from images.catalogue import CATALOGUE, ROOT

from shieldwall import __version__
from shieldwall.control.plan import container, pod

OWN = [image for image in CATALOGUE if image.sbom]
LABELS = {"title", "description", "version", "revision", "licenses"}


def instructions(image):
    text = (ROOT / image.dockerfile).read_text()
    lines = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#")).replace("\\\n", " ")
    return [tuple(line.split(maxsplit=1)) for line in lines.splitlines() if line.strip()]


def stages(image):
    found = []
    for word, rest in instructions(image):
        if word == "FROM":
            found.append((rest, []))
        elif found:
            found[-1][1].append((word, rest))
    return found


def lineage(image):
    """The instructions that the final image is made of, and those of the stages below it."""
    named = {head.split(" AS ")[1]: (head.split(" AS ")[0], body) for head, body in stages(image) if " AS " in head}
    base, body = stages(image)[-1]
    while base in named:
        base, below = named[base]
        body = below + body
    return body


def given(image, word):
    return [rest for name, rest in lineage(image) if name == word]


def environment(image):
    return dict(each.split("=", 1) for rest in given(image, "ENV") for each in shlex.split(rest))


@pytest.fixture(params=OWN, ids=lambda image: image.name)
def own(request):
    return request.param


@pytest.fixture(params=CATALOGUE, ids=lambda image: image.name)
def each(request):
    return request.param


def test_a_base_of_ones_own_is_the_first_argument(own):
    assert instructions(own)[0] == ("ARG", "BASE=docker.io/library/python:3.11-slim-bookworm")
    assert {head.split(" AS ")[0] for head, _ in stages(own)} == {"${BASE}", "dependencies"}


def test_it_runs_as_the_numbers_that_pods_run_as(own):
    users = {"operator": "65532:65532", "runtime": f"{container.FLOWER_USER}:{pod._GROUP}"}
    assert given(own, "USER") == [users[own.name]]
    assert lineage(own)[-1][0] == "ENTRYPOINT"


def test_the_chart_runs_the_operator_as_the_same_numbers(root):
    helpers = (root / "charts/shieldwall/templates/_helpers.tpl").read_text()
    assert "runAsUser: 65532\nrunAsGroup: 65532\n" in helpers


def test_nobody_goes_back_to_root(each):
    users = given(each, "USER")
    assert all(re.fullmatch(r"[1-9]\d*:[1-9]\d*", user) for user in users)
    assert users or each.parent


def test_the_entry_point_is_a_command_of_the_package(own, root):
    scripts = tomllib.loads((root / "pyproject.toml").read_text())["project"]["scripts"]
    (entry,) = given(own, "ENTRYPOINT")
    assert entry == f'["shieldwall-{own.name}"]'
    assert f"shieldwall-{own.name}" in scripts


def test_python_writes_nothing_and_imports_nothing_from_where_it_stands(own):
    assert environment(own).items() >= {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONSAFEPATH": "1"}.items()
    assert environment(own)["PATH"].startswith("/opt/shieldwall/bin:/")


def test_it_is_labelled_with_the_release(own):
    labels = {part.split("=")[0] for rest in given(own, "LABEL") for part in shlex.split(rest)}
    assert {f"org.opencontainers.image.{name}" for name in LABELS} <= labels
    assert f"VERSION={__version__}" in given(own, "ARG")


def test_no_installer_and_no_setuid_file_is_left(own):
    commands = " ".join(given(own, "RUN"))
    assert "rm -rf /tmp/pip" in commands
    assert {"/usr/lib/python3*/ensurepip", "/usr/share/python-wheels"} <= set(commands.split())
    assert "-perm /6000 -exec chmod a-s" in commands
    assert "--without-pip /opt/shieldwall" in commands


def test_nothing_is_compiled_or_installed_from_debian(each):
    words = " ".join(rest for name, rest in instructions(each) if name == "RUN")
    assert not re.search(r"\b(apt|apt-get|dpkg -i|gcc|build-essential|curl|wget)\b", words)


def test_what_comes_from_an_index_is_a_wheel_with_a_hash(each):
    for name, rest in instructions(each):
        for command in rest.split("&&") if name == "RUN" else ():
            if re.search(r"/pip\b.* install\b", command) and "--no-index" not in command:
                assert {"--require-hashes", "--no-deps"} <= set(command.split())
                assert "--only-binary :all:" in command


def test_an_index_of_ones_own_is_a_secret(each):
    for name, rest in instructions(each):
        if "pip.conf" in rest or "ca.crt" in rest:
            assert name == "RUN"
            assert "--mount=type=secret,id=pip.conf " in rest
            assert "--mount=type=secret,id=ca.crt " in rest


def test_our_own_wheel_is_the_last_layer(own):
    copies = [rest for name, rest in lineage(own) if name == "COPY"]
    assert copies == [f"images/{own.name}/requirements.lock /opt/shieldwall/", "--from=own /own /"]
    layers = [name for name, _ in lineage(own) if name in {"COPY", "RUN"}]
    assert layers == ["COPY", "RUN", "RUN", "COPY"]


def sources(image):
    for name, rest in instructions(image):
        if name == "COPY" and not rest.startswith("--from="):
            yield from (Path(image.context) / source for source in rest.split()[:-1])


def test_a_change_of_any_file_that_is_copied_builds_the_image_again(each, root):
    inputs = [Path(path) for path in (*each.inputs, each.dockerfile)]
    for source in sources(each):
        assert (root / source).exists()
        assert any(source.is_relative_to(path) for path in inputs)
    assert any(Path(each.dockerfile).is_relative_to(path) for path in map(Path, each.inputs))


def allowed(ignore, path):
    """By Docker's rules: the last pattern that matches the path or a folder above it wins."""
    verdict = True
    for line in ignore.read_text().splitlines():
        if not line or line.startswith("#"):
            continue
        pattern = line.removeprefix("!").strip("/")
        candidates = [path, *list(path.parents)[:-1]]
        if pattern.startswith("**/"):
            hit = any(fnmatchcase(part, pattern[3:]) for part in path.parts)
        else:
            hit = any(fnmatchcase(str(candidate), pattern) for candidate in candidates)
        verdict = line.startswith("!") if hit else verdict
    return verdict


@pytest.mark.parametrize("folder", [".", "examples/digits"])
def test_no_secret_history_or_environment_gets_into_a_context(folder, root):
    ignore = root / folder / ".dockerignore"
    for name in (".git/config", ".venv/bin/python", ".env", "id_rsa", "kubeconfig", "demo/report.json", "tests/x.py"):
        assert not allowed(ignore, Path(name))
    assert not allowed(ignore, Path("operator/shieldwall/__pycache__/x.pyc"))


@pytest.mark.parametrize(
    "image", [image for image in CATALOGUE if image.name != "digits-attacker"], ids=lambda i: i.name
)
def test_what_is_copied_gets_into_the_context(image, root):
    ignore = root / image.context / ".dockerignore"
    for source in sources(image):
        assert allowed(ignore, source.relative_to(image.context))


def test_the_attack_is_in_the_users_app_alone(root):
    (attacker,) = (image for image in CATALOGUE if image.name == "digits-attacker")
    assert [name for name, _ in lineage(attacker)] == ["COPY", "ENV", "LABEL"]
    files = {str(path.relative_to(root / attacker.context)) for path in (root / attacker.context).rglob("*.py")}
    assert files == {"digits/__init__.py", "digits/client_app.py"}


def test_images_are_called_what_the_chart_and_the_example_ask_for(root):
    tags = {image.name: image.tag for image in CATALOGUE}
    chart = (root / "charts/shieldwall/values.yaml").read_text()
    for name in ("operator", "runtime"):
        assert f"repository: shieldwall/{name}\n" in chart
        assert tags[name] == f"docker.io/shieldwall/{name}:{__version__}"
    assert f"appVersion: {__version__}\n" in (root / "charts/shieldwall/Chart.yaml").read_text()
    assert f"image: {tags['digits']}\n" in (root / "examples/digits/training.yaml").read_text()
