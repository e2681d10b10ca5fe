"""The image: what its file says can be done, and its steps do it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from typer.main import get_command

from labeler.cli import app
from tests.deploy import DEPLOY, Instruction, dockerfile, stages
from tests.house import ROOT, tracked

FILES = [DEPLOY / "Dockerfile", DEPLOY / "space" / "Dockerfile"]
KNOWN = {"FROM", "WORKDIR", "COPY", "RUN", "ENV", "USER", "VOLUME", "EXPOSE", "HEALTHCHECK", "ENTRYPOINT", "CMD"}
OUTSIDE = ("apt-get", "useradd", "--require-hashes")  # needs root, or the network


def of(path: Path, name: str) -> list[Instruction]:
    return [one for one in dockerfile(path) if one.name == name]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.parent.name)
def test_every_instruction_is_one_and_stages_are_named_before_they_are_used(path: Path) -> None:
    instructions = dockerfile(path)
    assert {one.name for one in instructions} <= KNOWN
    assert instructions[0].name == "FROM"
    named = {one.words[2] for one in of(path, "FROM") if len(one.words) == 3}
    used = {flag.partition("=")[2] for one in of(path, "COPY") for flag in one.words if flag.startswith("--from=")}
    assert used == named == {"build"}
    assert {one.words[0] for one in of(path, "FROM")} == {"python:3.12-slim-bookworm"}  # a version, never `latest`


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.parent.name)
def test_what_is_installed_is_what_is_pinned_by_hash_as_everywhere(path: Path) -> None:
    (pinned, own) = (one.text for one in of(path, "RUN") if "pip install" in one.text)
    set_up = (ROOT / "scripts" / "setup").read_text(encoding="utf-8")
    for flag in ("--require-hashes", "--no-deps", "--only-binary :all:"):
        assert flag in pinned
        assert flag in set_up
    assert "--no-index --no-deps --no-build-isolation" in own
    named = re.findall(r"-r (\S+)", pinned)
    assert named == [f"requirements/{part}.txt" for part in ("core", "local", "weights", "extras")]
    assert [name for name in named if not (ROOT / name).is_file()] == []


def test_both_images_are_built_by_the_same_steps() -> None:
    first, second = (stages(dockerfile(path))[0] for path in FILES)
    assert first == second


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.parent.name)
def test_nobody_runs_it_as_root(path: Path) -> None:
    last = stages(dockerfile(path))[-1]
    names = [one.name for one in last]
    (user,) = (one.text for one in last if one.name == "USER")
    assert user == "1000"
    assert names.index("USER") < names.index("CMD")
    assert "USER" not in names[names.index("USER") + 1 :]


def test_a_checkout_has_all_that_is_copied_and_the_rest_is_ignored() -> None:
    sources = {name for one in of(FILES[0], "COPY") if "--from" not in one.text for name in one.operands[:-1]}
    ignored = (DEPLOY / "Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()
    kept = {line[1:] for line in ignored if line.startswith("!")}
    assert sources == kept
    assert all((ROOT / name).exists() for name in sources)
    assert "*" in ignored  # no log, no key and no package of whoever builds it


def test_what_it_runs_is_a_command_with_options_that_it_has() -> None:
    (entry,), (command,) = of(FILES[0], "ENTRYPOINT"), of(FILES[0], "CMD")
    assert entry.words == ["labeler"]
    name, *arguments = command.words
    options = {one for parameter in get_command(app).commands[name].params for one in parameter.opts}  # type: ignore[attr-defined]
    assert {word for word in arguments if word.startswith("--")} <= options
    assert arguments[arguments.index("--port") + 1] in of(FILES[0], "EXPOSE")[0].words


# ── its steps, done ──


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that stands for the root of the image, with the steps of its file done in it one by one.

    Paths lead there instead of to this machine's root. What is pinned is not installed again: this environment, which
    is made of the same pins, lends it.
    """
    root = tmp_path_factory.mktemp("image")
    work = root
    for step in dockerfile(FILES[0]):
        if step.name == "WORKDIR":
            work = root / step.text.lstrip("/")
            work.mkdir(parents=True, exist_ok=True)
        elif step.name == "COPY" and "--from" not in step.text:
            copy(step, work)
        elif step.name == "RUN" and not any(word in step.text for word in OUTSIDE):
            run(inside(step.text, root), work)
            lend(root)
    return root


def inside(text: str, root: Path) -> str:
    return re.sub(r"(?<![\w./])/(opt|src|state|etc/labeler)\b", rf"{root}/\1", text)


def copy(step: Instruction, work: Path) -> None:
    """As COPY does: files into a folder, and of a folder what is in it; of a checkout what is tracked."""
    *sources, target = step.operands
    for source in sources:
        for path in tracked(source):
            name = path.name if len(sources) > 1 else path.relative_to(ROOT / source)
            place = work / target / name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(path.read_bytes())


def run(line: str, work: Path) -> None:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["sh", "-c", line], cwd=work, env={"PATH": path, "HOME": str(work)}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, (line, done.stdout, done.stderr)


def lend(root: Path) -> None:
    for site in (root / "opt" / "labeler" / "lib").glob("python3*/site-packages"):
        (site / "lent.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")


def test_its_steps_end_with_a_labeler_that_runs_from_its_own_files(built: Path) -> None:
    ask = "import labeler, sys; print(labeler.__file__, file=sys.stdout)"
    for command in (["labeler", "--version"], ["labeler", "serve", "--help"], ["python", "-c", ask]):
        program = built / "opt/labeler/bin" / command[0]
        done = subprocess.run(
            [program, *command[1:]], cwd=built / "state", env={}, capture_output=True, text=True, check=True
        )
    assert done.stdout.startswith(str(built / "opt/labeler/lib"))


def test_it_holds_no_file_that_is_not_tracked(built: Path) -> None:
    names = {path.relative_to(built / "src/labeler") for path in (built / "src/labeler").rglob("*") if path.is_file()}
    assert names == {path.relative_to(ROOT / "labeler") for path in tracked("labeler")}


def test_where_keys_are_kept_is_for_its_user_alone() -> None:
    (line,) = (one.text for one in of(FILES[0], "RUN") if "useradd" in one.text)
    assert "install -d -o labeler -g labeler -m 700 /state" in line
    assert [one.text for one in of(FILES[0], "WORKDIR")][-1] == "/state" == of(FILES[0], "VOLUME")[0].text
