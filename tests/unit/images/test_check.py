"""`python -m images check` sees what is wrong with an image; the files of one are made up here."""

import json

import pytest
from images import check
from images.catalogue import CATALOGUE, SBOM_DIRECTORY
from images.jail import Answer

(RUNTIME,) = (image for image in CATALOGUE if image.name == "runtime")


@pytest.fixture
def files(tmp_path, root):
    for folder in ("usr/bin", "etc", "run/secrets", "tmp", SBOM_DIRECTORY):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "usr/bin/python3").touch()
    pins = check._PIN.findall((root / "images/runtime/requirements.lock").read_text())
    components = [{"name": n, "version": v, "purl": f"pkg:pypi/{n}@{v}"} for n, v in pins]
    components.append({"name": "libc6", "version": "2", "purl": "pkg:deb/debian/libc6@2?arch=amd64"})
    bom = {"metadata": {"component": {"name": "shieldwall"}}, "components": components}
    (tmp_path / SBOM_DIRECTORY / "runtime.cdx.json").write_text(json.dumps(bom))
    return tmp_path


@pytest.fixture
def config():
    labels = {f"org.opencontainers.image.{name}": "x" for name in ("title", "description", "version", "revision")}
    return {"User": "65533:65532", "Env": [], "Labels": labels | {"org.opencontainers.image.licenses": "x"}}


@pytest.fixture
def problems(files, config, monkeypatch):
    """What is found, where every command ends as it should."""
    monkeypatch.setattr(check, "_tried", lambda *_: iter(()))

    class Shelf:
        def config(self, tag):
            return config

        def mounted(self, tag):
            return self

        def __enter__(self):
            return files

        def __exit__(self, *_):
            return None

    return lambda: check.check(Shelf(), RUNTIME)


def test_a_sound_image_has_no_problem(problems):
    assert problems() == []


@pytest.mark.parametrize("user", ["", "root", "0:0", "65532", "65532:0", "0:65532", "nobody:nogroup"])
def test_a_user_who_is_not_two_numbers_or_root(problems, config, user):
    config["User"] = user
    assert len(problems()) == 1


@pytest.mark.parametrize("program", ["gcc", "cc", "x86_64-linux-gnu-gcc-12", "pip", "pip3.11", "uv", "make", "ld"])
def test_a_compiler_or_an_installer(problems, files, program):
    (files / "usr/bin" / program).touch()
    assert problems() == [f"runtime: it holds usr/bin/{program}"]


@pytest.mark.parametrize("mode", [0o4755, 0o2755, 0o666])
def test_files_with_rights(problems, files, mode):
    (files / "usr/bin/python3").chmod(mode)
    assert len(problems()) == 1


@pytest.mark.parametrize("path", ["etc/pip.conf", "run/secrets/ca.crt", "tmp/pip", "build", "own"])
def test_what_a_build_left(problems, files, path):
    (files / path).touch()
    assert problems() == [f"runtime: /{path} is left from its build"]


@pytest.mark.parametrize("gone", ["flwr", "libc6"])
def test_an_sbom_that_does_not_tell_all(problems, files, gone):
    path = files / SBOM_DIRECTORY / "runtime.cdx.json"
    bom = json.loads(path.read_text())
    bom["components"] = [each for each in bom["components"] if each["name"] != gone]
    path.write_text(json.dumps(bom))
    assert len(problems()) == 1


def test_a_missing_label(problems, config):
    config["Labels"]["org.opencontainers.image.version"] = ""
    assert problems() == ["runtime: it has no label version"]


@pytest.mark.parametrize("answer", [Answer(1, "Flower version: 1.41"), Answer(0, "something else")])
def test_a_command_that_ends_otherwise(files, config, monkeypatch, answer):
    monkeypatch.setattr(check.jail, "run", lambda *_: answer)
    monkeypatch.setattr(check, "_EVERYWHERE", ())
    monkeypatch.setattr(check, "_TRIALS", {"runtime": (check.Trial(("flower-superlink",), "Flower version: 1.41"),)})
    assert len(list(check._tried(files, config, "runtime"))) == 1
