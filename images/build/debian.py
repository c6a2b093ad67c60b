"""``debian.py IN OUT``: adds Python itself and this image's Debian packages to a CycloneDX file."""  # noqa: INP001  # a program

import json
import platform
import subprocess
import sys
from pathlib import Path

from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

QUERY = ("dpkg-query", "--show", "--showformat", "${Package} ${Version} ${Architecture}\\n")


def debian_packages(listing: str, distribution: str) -> list[Component]:
    """Of lines ``NAME VERSION ARCHITECTURE``."""
    components = []
    for line in listing.splitlines():
        name, version, architecture = line.split()
        purl = PackageURL("deb", "debian", name, version, {"arch": architecture, "distro": distribution})
        components.append(
            Component(name=name, version=version, type=ComponentType.LIBRARY, purl=purl, bom_ref=str(purl))
        )
    return components


def interpreter(version: str) -> Component:
    """CPython, which official images bring without a package."""
    purl = PackageURL("generic", None, "python", version)
    return Component(name="python", version=version, type=ComponentType.PLATFORM, purl=purl, bom_ref=str(purl))


def main(source: Path, target: Path) -> None:
    """Read ``source``, write ``target``."""
    bom = Bom.from_json(json.loads(source.read_text(encoding="utf-8")))
    listing = subprocess.run(QUERY, check=True, capture_output=True, text=True).stdout  # noqa: S603  # dpkg
    release = platform.freedesktop_os_release()
    bom.components.update(debian_packages(listing, f"{release['ID']}-{release['VERSION_ID']}"))
    bom.components.add(interpreter(platform.python_version()))
    JsonV1Dot6(bom).output_to_file(str(target), indent=2)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
