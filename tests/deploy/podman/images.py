"""The images that a compose file names: pulled, or made on this machine under the same names where no registry answers.

A stand-in is Debian with the same program from Debian's packages (Python, HAProxy, Prometheus), started with the same
command line and files as the real image. Grafana is not in Debian: without its image the service is left out.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from tests.deploy.podman.engine import ROOT, Engine, EngineError

PYTHON = "docker.io/library/python:3.11-slim"
PULL_S = 60.0
BUILD_S = 600.0
MIRROR = "http://deb.debian.org/debian"
PYTHON_PACKAGES = "python3,python3-venv,python3-pip,ca-certificates"

INSTALL = "RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends"
STAND_INS = {
    "haproxy": f"""
{INSTALL} haproxy && mkdir -p /usr/local/etc/haproxy
USER haproxy
STOPSIGNAL SIGUSR1
CMD ["haproxy", "-W", "-db", "-f", "/usr/local/etc/haproxy/haproxy.cfg"]
""",
    "prometheus": f"""
{INSTALL} prometheus && install -d -o nobody -g nogroup /prometheus
USER nobody
WORKDIR /prometheus
VOLUME /prometheus
ENTRYPOINT ["prometheus"]
""",
}
"""The rest of a Dockerfile that installs a program as its real image has it, by what the image's name holds."""


@dataclass
class Prepared:
    """What there is now: images by how they came, and those that could not be had."""

    made: list[str] = field(default_factory=list)
    pulled: list[str] = field(default_factory=list)
    there: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        parts = [
            f"{verb} {', '.join(names)}"
            for verb, names in (
                ("there already", self.there),
                ("pulled", self.pulled),
                ("stand-ins made from Debian", self.made),
                ("not to be had", self.missing),
            )
            if names
        ]
        return "; ".join(parts)


def prepare(engine: Engine, names: list[str]) -> Prepared:
    """See that images of these names are on this machine, the base of the project's own first."""
    prepared = Prepared()
    for name in dict.fromkeys([PYTHON, *names]):
        if engine.has_image(name):
            prepared.there.append(name)
            continue
        try:
            engine.podman("pull", "--quiet", name, timeout_s=PULL_S)
            prepared.pulled.append(name)
        except EngineError:
            if _stand_in(engine, name):
                prepared.made.append(name)
            else:
                prepared.missing.append(name)
    return prepared


def _stand_in(engine: Engine, name: str) -> bool:
    if name == PYTHON:
        _import_debian(engine)
        return True
    for program, rest in STAND_INS.items():
        if program in name:
            with tempfile.TemporaryDirectory() as folder:
                (Path(folder) / "Dockerfile").write_text(f"FROM {PYTHON}\n{rest}", encoding="utf-8")
                engine.podman(*_build(), "--tag", name, folder, timeout_s=BUILD_S)
            return True
    return False


def _import_debian(engine: Engine) -> None:
    """A small Debian with Python, imported as the image that the Dockerfile begins with."""
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "tree"
        engine.run(
            ["debootstrap", "--variant=minbase", f"--include={PYTHON_PACKAGES}", "bookworm", tree, MIRROR],
            timeout_s=BUILD_S,
        )
        archive = Path(folder) / "tree.tar"
        subprocess.run(["tar", "-C", tree, "-cf", archive, "."], check=True, timeout=120)
        engine.podman("import", archive, PYTHON, timeout_s=120)


def _build() -> list[str]:
    """`podman build` that works without control groups of its own and reaches the package index.

    Certificates that pip trusts on this machine (PIP_CERT) are lent to the build, and do not stay in the image.
    """
    words = ["build", "--isolation", "chroot", "--network", "host", "--format", "docker"]
    certificates = os.environ.get("PIP_CERT")
    if certificates:
        words += ["--volume", f"{certificates}:{certificates}:ro"]
        words += ["--env", f"PIP_CERT={certificates}", "--unsetenv", "PIP_CERT"]
    return words


def build_project(engine: Engine, tag: str) -> None:
    """Build the project's image from the sources as they are."""
    engine.podman(*_build(), "--file", ROOT / "deploy" / "Dockerfile", "--tag", tag, ROOT, timeout_s=BUILD_S)
