"""Whole command lines on small models: proposals, recorded baselines, exit codes, bad input."""

from __future__ import annotations

import json
import subprocess
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from feasibility.budget.git_revision import revision_of
from feasibility.errors import RevisionError
from feasibility.json_documents import read_document
from feasibility.records.budget import Snapshot
from tests.cli import Result, cli
from tests.test_startup import modules_after
from tests.tiny_models import mlp

__all__ = ["cli"]

Cli = Callable[..., Result]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty project with a cache of its own; commands run inside it."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in ("GITHUB_STEP_SUMMARY", "GIT_DIR", "GIT_INDEX_FILE", "GIT_WORK_TREE"):
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "project"
    (folder / "models").mkdir(parents=True)
    (folder / ".git").mkdir()
    monkeypatch.chdir(folder)
    return folder


def git(folder: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=A", "-c", "user.email=a@example.com", "-c", "core.hooksPath=/")
    command = ["git", *identity, "-C", str(folder), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def repository(project: Path) -> Path:
    """The project as a repository with one model of 32 KiB committed."""
    (project / ".git").rmdir()
    git(project, "init", "-q", "-b", "main")
    mlp(project / "models" / "a.onnx", width=64, layers=2)
    write_budget(project, 'file_size = "+5%"')
    git(project, "add", "-A")
    git(project, "commit", "-qm", "one")
    return project


def write_budget(folder: Path, *lines: str, model: str = "models/*.onnx") -> None:
    text = "\n".join(("[[budget]]", f'model = "{model}"', *lines))
    (folder / "feasibility.toml").write_text(text + "\n")


def test_init_proposes_what_check_then_keeps(project: Path, cli: Cli) -> None:
    """A measurement with headroom, valid TOML, a baseline, and no path of this machine."""
    mlp(project / "models" / "a.onnx")
    assert cli("budget", "init", "models/a.onnx", "-q").code == 0
    text = (project / "feasibility.toml").read_text()
    (budget,) = tomllib.loads(text)["budget"]
    assert set(budget) >= {"model", "file_size", "peak", "floor", "allocated_peak", "latency"}
    assert budget["latency"] == "+25%"
    assert "+ 25 %" in text
    baseline = project / "profiles/models/a.onnx.json"
    assert str(project) not in baseline.read_text()
    figures = read_document(baseline, Snapshot).figures
    assert list(figures) == sorted(figures)
    assert figures["peak"] == max(figures["load_peak"], figures["inference_peak"])
    again = cli("budget", "check", "-q", "--json")
    assert again.code == 0
    report = json.loads(again.out)
    assert {line["outcome"] for line in report["models"][0]["lines"]} == {"pass"}


def test_update_leaves_alone_what_has_not_changed(project: Path, cli: Cli) -> None:
    """A second call writes nothing, so that a commit has no noise in it."""
    mlp(project / "models" / "a.onnx")
    write_budget(project, 'file_size = "+5%"')
    assert cli("budget", "update", "-q").out.endswith("a.onnx.json: written\n")
    first = (project / "profiles/models/a.onnx.json").read_bytes()
    assert cli("budget", "update", "-q").out.endswith("a.onnx.json: up to date\n")
    assert (project / "profiles/models/a.onnx.json").read_bytes() == first


def test_a_bigger_model_breaks_its_budget_and_says_what_grew(repository: Path, cli: Cli) -> None:
    """Exit code 1, the initializers that came, and files in every format that was asked for."""
    mlp(repository / "models" / "a.onnx", width=64, layers=3)
    names = ("github", "gitlab", "junit", "sarif", "markdown", "json")
    formats = [part for name in names for part in ("--format", f"{name}=out/{name}")]
    (repository / "out").mkdir()
    found = cli("budget", "check", "--static", "--against", "HEAD", "-q", *formats)
    assert found.code == 1
    assert "BROKEN" in found.out
    assert "initializer w2" in found.out
    assert all((repository / "out" / name).stat().st_size for name in names)
    assert git(repository, "worktree", "list").count("\n") == 1


def test_the_same_model_is_within_its_budget(repository: Path, cli: Cli) -> None:
    found = cli("budget", "check", "--against", "main", "-q")
    assert (found.code, found.err) == (0, "")
    assert "1 model within budget; baseline: main (" in found.out


def test_a_model_that_the_revision_does_not_have_is_new(repository: Path, cli: Cli) -> None:
    mlp(repository / "models" / "b.onnx")
    found = cli("budget", "check", "models/b.onnx", "--against", "HEAD", "-q", "--static")
    assert found.code == 0
    assert "the model is new: HEAD does not contain it" in found.out


def test_external_data_of_the_revision_comes_along(repository: Path) -> None:
    """A model is measured with the weights that it had then."""
    import onnx

    path = repository / "models" / "a.onnx"
    onnx.save_model(
        onnx.load_model(path),
        path,
        save_as_external_data=True,
        location="a.data",
        size_threshold=0,
    )
    git(repository, "add", "-A")
    git(repository, "commit", "-qm", "external")
    (repository / "models" / "a.data").unlink()
    with revision_of(repository, "HEAD") as found:
        model = found.model("models/a.onnx")
        assert model is not None
        assert model.with_name("a.data").stat().st_size > 0


def test_a_shallow_clone_says_how_to_fetch(repository: Path, tmp_path: Path) -> None:
    (repository / "more").write_text("x")
    git(repository, "add", "more")
    git(repository, "commit", "-qm", "two")
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "-q", "--depth=1", f"file://{repository}", str(clone))
    with pytest.raises(RevisionError) as caught, revision_of(clone, "origin/stable"):
        pass
    assert "shallow" in caught.value.why
    assert "git fetch --depth=1 origin +refs/heads/stable" in caught.value.hint


def test_a_hook_of_git_does_not_mislead(
    repository: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Inside one, git is told of a repository and an index by its environment."""
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "index"))
    found = cli("budget", "check", "--static", "--against", "HEAD", "-q")
    assert (found.code, found.err) == (0, "")


def test_an_unknown_revision_is_one_message(repository: Path, cli: Cli) -> None:
    found = cli("budget", "check", "--against", "--output=x", "-q")
    assert found.code == 2
    assert "git does not know this revision" in found.err


def test_outside_a_repository_is_one_message(
    project: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(project.parent))
    mlp(project / "models" / "a.onnx")
    write_budget(project, 'file_size = "+5%"')
    found = cli("budget", "check", "--against", "HEAD", "-q")
    assert found.code == 2
    assert "not a git repository" in found.err


def test_a_pointer_in_the_revision_says_how_to_fetch_it(repository: Path, cli: Cli) -> None:
    path = repository / "models" / "a.onnx"
    path.write_bytes(POINTER)
    git(repository, "commit", "-qam", "pointer")
    mlp(path, width=64, layers=2)
    found = cli("budget", "check", "--static", "--against", "HEAD", "-q")
    assert found.code == 2
    revision = git(repository, "rev-parse", "HEAD").strip()[:12]
    assert found.err == (
        "error: Cannot read models/a.onnx of HEAD: it is a Git LFS pointer, a text file that "
        "stands for the model\n"
        f"hint: fetch the files of that revision first: git lfs fetch origin {revision}\n"
    )


POINTER = (
    b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 123456\n"
)


def test_a_git_lfs_pointer_says_how_to_fetch_the_model(project: Path, cli: Cli) -> None:
    """And the other models are checked all the same."""
    mlp(project / "models" / "a.onnx")
    (project / "models" / "b.onnx").write_bytes(POINTER)
    write_budget(project, 'file_size = "1MiB"')
    for extra in ((), ("--static",)):
        found = cli("budget", "check", "-q", *extra)
        assert found.code == 2
        assert found.err == (
            f"error: Cannot read model '{project}/models/b.onnx': it is a Git LFS pointer, a text "
            "file that stands for the model\n"
            "hint: fetch the model itself: run `git lfs pull` in its repository, or download the "
            "file again\n"
        )
        assert "could not be checked" in found.out


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b'<<<<<<< HEAD\n{"schema": "feasibility/baseline/1"}\n=======\n', "conflict markers"),
        (b'{"schema": "feasibility/baseline/2"}', "written by a newer feasibility"),
        (b'{"schema": "feasibility/baseline/1", "tool', "not a document of this tool"),
        (b'{"schema": "feasibility/profile/1"}', "not feasibility/baseline/1"),
    ],
)
def test_a_damaged_baseline_is_one_message(
    project: Path, cli: Cli, content: bytes, why: str
) -> None:
    mlp(project / "models" / "a.onnx")
    write_budget(project, 'file_size = "+5%"')
    path = project / "profiles/models/a.onnx.json"
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    found = cli("budget", "check", "-q", "--static")
    assert found.code == 2
    assert why in found.err
    assert "budget update" in found.err


def test_a_limit_without_a_baseline_fails_only_if_strict(project: Path, cli: Cli) -> None:
    mlp(project / "models" / "a.onnx")
    write_budget(project, 'file_size = "+5%"')
    assert cli("budget", "check", "-q", "--static").code == 0
    found = cli("budget", "check", "-q", "--static", "--strict")
    assert found.code == 1
    assert "`feasibility budget update` records one" in found.out


def test_readings_answer_the_next_check(
    project: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same bytes under the same conditions are not run again; other bytes are."""
    path = mlp(project / "models" / "a.onnx")
    write_budget(project, 'peak = "100MiB"')
    assert cli("budget", "check", "-q").code == 0
    with monkeypatch.context() as patch:
        patch.setattr(
            "feasibility.budget.model_under_test.ModelUnderTest.take",
            lambda self, need: pytest.fail("run again"),
        )
        found = cli("budget", "check", "-q", "--json")
    assert json.loads(found.out)["models"][0]["source"] == "cached"
    mlp(path, layers=3)
    found = cli("budget", "check", "-q", "--json")
    assert json.loads(found.out)["models"][0]["source"] == "measured"


def test_a_cached_check_imports_neither_the_runtime_nor_onnx(project: Path, cli: Cli) -> None:
    """Twenty models that have not changed are answered in less time than that would take."""
    mlp(project / "models" / "a.onnx")
    write_budget(project, 'peak = "100MiB"', 'latency = "10s"')
    assert cli("budget", "check", "-q").code == 0
    code, modules = modules_after("budget", "check", "-q")
    assert code == 0
    assert modules.intersection({"numpy", "onnx", "onnxruntime", "memray"}) == set()


def test_a_verdict_can_be_required(project: Path, cli: Cli) -> None:
    """A small model fits a board; the whole profile is measured once."""
    mlp(project / "models" / "a.onnx")
    write_budget(project, 'devices = { rpi_4b = "fits" }')
    found = cli("budget", "check", "-q", "--json")
    (line,) = json.loads(found.out)["models"][0]["lines"]
    assert (line["metric"], line["outcome"]) == ("devices.rpi_4b", "pass")


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("--format", "xml"), "Cannot write the format 'xml'"),
        (("--format", "junit", "--json"), "Cannot write junit and json to stdout"),
        (("--config", "none.toml"), "Cannot read budget file none.toml"),
        (("models/c.onnx",), "no budget of"),
    ],
)
def test_wrong_usage_is_one_message(
    project: Path, cli: Cli, args: tuple[str, ...], message: str
) -> None:
    mlp(project / "models" / "a.onnx")
    write_budget(project, 'file_size = "1MiB"')
    found = cli("budget", "check", *args)
    assert (found.code, found.out) == (2, "")
    assert message in found.err


def test_init_refuses_to_replace_a_budget_file(project: Path, cli: Cli) -> None:
    """Before it measures anything."""
    mlp(project / "models" / "a.onnx")
    write_budget(project, 'file_size = "1MiB"')
    found = cli("budget", "init", "models/a.onnx")
    assert found.code == 2
    assert "the file exists" in found.err


def test_the_job_summary_is_written_where_github_asks_for_it(
    project: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    summary = project / "summary.md"
    summary.write_text("before\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    mlp(project / "models" / "a.onnx")
    write_budget(project, 'file_size = "1B"')
    found = cli("budget", "check", "--static", "-q", "--format", "github")
    assert found.code == 1
    assert "\n::error file=feasibility.toml,line=3,title=" in found.out
    assert summary.read_text().startswith("before\n<!-- feasibility-budget -->\n")
