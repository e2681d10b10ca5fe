"""On a published card, computed parts are replaced and people's words stay."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from labeler.errors import HubError
from labeler.hub import DatasetRepo, card, push
from tests.hub.conftest import REPO
from tests.hub.packages import dpo, manifest_of, votes, write_package
from tests.hub_server import Change, HubServer

FIRST = {("dpo", "train", 0): dpo("a", "b"), ("votes", "train", 0): votes("v1")}
LATER = {("dpo", "train", 0): dpo("a", "b", "c"), ("dpo", "test", 0): dpo("d")}


@pytest.fixture
def package(tmp_path: Path) -> Path:
    return write_package(tmp_path / "package", FIRST)


@pytest.fixture
def later(tmp_path: Path) -> Path:
    return write_package(tmp_path / "later", LATER, position=1200)


def published_card(hub: HubServer) -> str:
    return hub.files(REPO)["README.md"].decode()


def write_card(hub: HubServer, text: str) -> None:
    change = Change("by hand", put={"README.md": hub.state.regular(text.encode())})
    hub.state.commit(REPO, "main", change, "colleague")


def test_the_first_card_is_the_packages_own(hub: HubServer, repo: DatasetRepo, package: Path) -> None:
    push(package, repo)
    assert published_card(hub) == (package / "README.md").read_text()


def test_words_written_on_the_hub_survive_and_computed_ones_are_replaced(
    hub: HubServer, repo: DatasetRepo, package: Path, later: Path
) -> None:
    push(package, repo)
    written = published_card(hub).replace("Write here what no program can know.", "Collected at the fair of Ulm.")
    write_card(hub, written.replace("# Votes", "# Somebody's own title inside the computed part"))
    push(later, repo)
    now = published_card(hub)
    assert "Collected at the fair of Ulm." in now
    assert "Write here" not in now
    assert "Somebody's own title" not in now
    assert "4 rows." in now
    assert now.count(card.START) == now.count(card.END) == 1


def test_front_matter_is_that_of_the_new_rows_and_keeps_keys_that_only_people_set(
    hub: HubServer, repo: DatasetRepo, package: Path, later: Path
) -> None:
    push(package, repo)
    write_card(hub, published_card(hub).replace("license: cc-by-4.0", "license: mit\nannotations: careful"))
    push(later, repo)
    front = yaml.safe_load(published_card(hub).split("---\n")[1])
    assert front["license"] == "cc-by-4.0"
    assert front["annotations"] == "careful"
    assert [config["config_name"] for config in front["configs"]] == ["dpo"]


def test_tags_that_a_person_added_on_the_hub_stay_behind_ours() -> None:
    ours, theirs = "---\ntags:\n- rlhf\n- dpo\n---\n", "---\ntags:\n- dpo\n- medicine\n---\n"
    front = yaml.safe_load(card.merged(ours, theirs).split("---\n")[1])
    assert front["tags"] == ["rlhf", "dpo", "medicine"]


def test_a_card_written_before_the_first_push_is_kept_whole(hub: HubServer, repo: DatasetRepo, package: Path) -> None:
    hub.state.create(REPO, private=True)
    write_card(hub, "---\nlicense: mit\n---\n\n# Our study\n\nWe ask kind questions.\n")
    push(package, repo)
    now = published_card(hub)
    assert "# Our study\n\nWe ask kind questions." in now
    assert "3 rows." in now


def test_the_card_tells_what_changed_since_the_last_push(
    hub: HubServer, repo: DatasetRepo, package: Path, later: Path, tmp_path: Path
) -> None:
    push(package, repo)
    assert "Since the last push" not in published_card(hub)
    push(later, repo)
    now = published_card(hub)
    assert "The log moved from position 10 to 1,200." in now
    assert "| dpo/train | 2 | 3 | +1 |" in now
    assert "| dpo/test | 0 | 1 | +1 |" in now
    assert "| votes/train | 1 | 0 | -1 |" in now
    push(write_package(tmp_path / "last", FIRST, position=1300), repo)
    last = published_card(hub)
    assert last.count("Since the last push") == 1
    assert "from position 1,200 to 1,300" in last


def test_the_card_is_the_same_however_often_the_push_had_to_start_over(package: Path, later: Path) -> None:
    before, now = manifest_of(package), manifest_of(later)
    since = card.since_last_push(before, now)
    once = card.merged((later / "README.md").read_text(), (package / "README.md").read_text(), since)
    assert card.merged((later / "README.md").read_text(), once, since) == once


def test_a_published_card_that_cannot_be_read_is_named(
    hub: HubServer, repo: DatasetRepo, package: Path, later: Path
) -> None:
    push(package, repo)
    write_card(hub, "---\nlicense: [mit\n---\n\nHello\n")
    with pytest.raises(HubError, match=r"the card of tester/votes or of the package cannot be used: README.md"):
        push(later, repo)


def test_a_local_card_without_markers_is_published_with_the_changes_below() -> None:
    assert card.merged("Hello\n", "", "## Since") == "Hello\n\n## Since\n"
