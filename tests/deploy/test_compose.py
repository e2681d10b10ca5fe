"""The compose file: what it wires together fits."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from labeler.study import load_study
from tests.deploy import DEPLOY, dockerfile

FILE = DEPLOY / "compose.yaml"
COMPOSE: dict[str, Any] = yaml.safe_load(FILE.read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
PAGES = ["page-1", "page-2"]
# Of the compose specification, what is used here: a key that is not in it would be refused.
TOP = {"name", "services", "volumes"}
SERVICE = {
    "image", "build", "environment", "volumes", "depends_on", "expose", "ports", "healthcheck", "restart",
    "stop_grace_period", "security_opt", "cap_drop",
}  # fmt: skip
HEALTHCHECK = {"test", "interval", "timeout", "retries", "start_period"}


def test_every_key_is_one_of_the_specification() -> None:
    assert {key for key in COMPOSE if not key.startswith("x-")} == TOP
    assert {key for service in SERVICES.values() for key in service} <= SERVICE
    assert {key for service in SERVICES.values() for key in service.get("healthcheck", {})} <= HEALTHCHECK
    assert {service["restart"] for service in SERVICES.values()} == {"unless-stopped"}


def test_two_pages_are_the_same_but_for_their_names() -> None:
    assert [name for name in SERVICES if name.startswith("page")] == PAGES
    assert SERVICES["page-1"] == SERVICES["page-2"]


def test_the_image_is_built_of_this_checkout() -> None:
    build = SERVICES["page-1"]["build"]
    context = (DEPLOY / build["context"]).resolve()
    assert context == DEPLOY.parent
    assert (context / build["dockerfile"]).is_file()


def test_nothing_is_waited_for_that_does_not_say_when_it_is_there() -> None:
    checked = {name for name, service in SERVICES.items() if "healthcheck" in service}
    if any(one.name == "HEALTHCHECK" for one in dockerfile(DEPLOY / "Dockerfile")):
        checked |= set(PAGES)
    waited = {
        name: one["condition"] for service in SERVICES.values() for name, one in service.get("depends_on", {}).items()
    }
    assert waited == dict.fromkeys(waited, "service_healthy")
    assert set(waited) == checked == {"database", *PAGES}


def test_every_volume_is_declared_and_every_file_is_there() -> None:
    mounted = [volume.split(":") for service in SERVICES.values() for volume in service.get("volumes", [])]
    named = {source for source, *_ in mounted if not source.startswith(".")}
    assert named == set(COMPOSE["volumes"])
    assert all((DEPLOY / source).is_file() for source, *_ in mounted if source.startswith("."))
    assert all(rest[1:] == ["ro"] for source, *rest in mounted if source.startswith("."))
    state = {rest[0] for source, *rest in mounted if source == "state"}
    assert state == {next(one.text for one in dockerfile(DEPLOY / "Dockerfile") if one.name == "VOLUME")}


def test_only_the_proxy_is_reached_from_outside() -> None:
    assert [name for name, service in SERVICES.items() if "ports" in service] == ["proxy"]


def test_no_secret_stands_in_a_file_and_the_one_that_is_needed_is_asked_for() -> None:
    text = FILE.read_text(encoding="utf-8")
    assert set(re.findall(r"\$\{(\w+)", text)) == {"POSTGRES_PASSWORD", "HF_TOKEN", "PORT"}
    asked = "${POSTGRES_PASSWORD:?set POSTGRES_PASSWORD in deploy/.env}"
    assert SERVICES["database"]["environment"]["POSTGRES_PASSWORD"] == asked
    assert SERVICES["page-1"]["environment"]["PGPASSWORD"] == asked


def test_the_study_names_the_database_that_is_there_and_asks_people_to_sign_in() -> None:
    study, database = load_study(DEPLOY / "study.yaml"), SERVICES["database"]["environment"]
    assert study.database == f"postgresql+psycopg://{database['POSTGRES_USER']}@database/{database['POSTGRES_DB']}"
    assert study.auth.kind == "password"


@pytest.mark.parametrize("name", SERVICES)
def test_what_runs_has_a_version(name: str) -> None:
    image = SERVICES[name]["image"]
    assert image == "labeler" or re.fullmatch(r"(postgres|nginx):\d[\d.]*-bookworm", image)


def test_the_proxy_knows_the_pages_by_their_names() -> None:
    config = (DEPLOY / "nginx.conf").read_text(encoding="utf-8")
    assert re.findall(r"server ([\w-]+):7860", config) == PAGES
    port = re.search(r"listen (\d+)", config)
    assert port
    assert SERVICES["proxy"]["ports"] == [f"${{PORT:-8080}}:{port[1]}"]
