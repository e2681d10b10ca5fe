"""What the finders find, and what they leave alone."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

import pytest

from labeler.errors import StudyError
from labeler.redaction import finder_of, finders, version_of
from labeler.redaction.patterns import card_is_valid, iban_is_valid

# Keys in these shapes that open nothing, put together here so that scanners of repositories find none.
SECRETS = {
    "amazon": "AKIA" + "IOSFODNN7EXAMPLE",
    "github": "ghp_" + "a1B2" * 9,
    "github, fine": "github_pat_" + "A1b2" * 10,
    "gitlab": "glpat-" + "x9Y8" * 5,
    "hugging face": "hf_" + "aBcD1" * 7,
    "openai": "sk-" + "proj-" + "Ab1_" * 8,
    "anthropic": "sk-ant-" + "api03-" + "Zz9-" * 8,
    "slack": "xoxb-" + "123456789012-abcdef",
    "google": "AIza" + "Sy0_-" * 7,
    "stripe": "sk_" + "live_" + "1a2B" * 5,
    "sendgrid": "SG." + "ab12" * 5 + "." + "cd34" * 5,
    "npm": "npm_" + "a1b2" * 9,
    "web token": "eyJhbGciOiJI" + ".eyJzdWIiOiIx" + ".c2lnbmF0dXJl",
    "private key": "-----BEGIN RSA " + "PRIVATE KEY-----\nMIIB\nAQ==\n-----END RSA " + "PRIVATE KEY-----",
}
PERSONAL = {
    "jane.doe+tag@sub.example.co.uk": "EMAIL",
    "+1 (415) 555-2671": "PHONE",
    "+49 30 901820": "PHONE",
    "078-05-1120": "SSN",
    "4111 1111 1111 1111": "CREDIT_CARD",
    "8.8.8.8": "IP_ADDRESS",
    "DE89 3704 0044 0532 0130 00": "IBAN",
    "GB29NWBK60161331926819": "IBAN",
}
HARMLESS = [
    "It listens on 127.0.0.1:8000 and 0.0.0.0.",
    "The card 4111 1111 1111 1112 has a wrong check digit.",
    "DE00 3704 0044 0532 0130 00 is no account.",
    "password = get_password(user)",
    "The password is important, and the secret ingredient is butter.",
    "token: str = settings.token",
    "Read https://example.org/path?x=1 and sk-learn.",
    "3.14159265358979, 1,234,567.89 and 550e8400-e29b-41d4-a716-446655440000",
    "",
]


def found_in(text: str, finder: str = "datafog") -> list[tuple[str, str]]:
    spans = finder_of(finder).find(text)  # type: ignore[arg-type]
    return [(span.kind, text[span.start : span.end]) for span in spans]


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> NoReturn:
        raise AssertionError("a finder must not use the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.mark.parametrize("name", SECRETS)
def test_secrets_are_found_whole(name: str) -> None:
    secret = SECRETS[name]
    assert ("SECRET", secret) in found_in(f"Here é😀 it is:\n{secret}\nand on.")


@pytest.mark.parametrize(("value", "kind"), PERSONAL.items())
@pytest.mark.parametrize("finder", ["datafog", "presidio"])
def test_personal_data_is_found_at_its_place_in_code_points(
    value: str, kind: str, finder: str, no_network: None
) -> None:
    assert (kind, value) in found_in(f"Grüße 😀 an {value} , bis bald.", finder)


def test_of_a_private_key_that_is_cut_off_all_that_follows_is_taken() -> None:
    text = "Look:\n-----BEGIN " + "PRIVATE KEY-----\nMIIB"
    assert ("SECRET", text.removeprefix("Look:\n")) in found_in(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("postgres://bob:hunter2@db.internal/x", "hunter2"),
        ('password: "tr0ub4dor&3"', "tr0ub4dor&3"),
        ("my password is correct4horse", "correct4horse"),
        ("API_KEY=9f8e7d6c5b4a", "9f8e7d6c5b4a"),
    ],
)
def test_of_a_named_secret_the_value_is_found(text: str, value: str) -> None:
    assert ("SECRET", value) in found_in(text)


@pytest.mark.parametrize("text", HARMLESS)
def test_what_is_nobodys_is_left_alone(text: str) -> None:
    wanted = {"EMAIL", "PHONE", "SSN", "CREDIT_CARD", "IBAN", "IP_ADDRESS", "SECRET"}
    assert [one for one in found_in(text) if one[0] in wanted] == []


def test_presidio_finds_what_datafog_does_and_more(no_network: None) -> None:
    text = "Mail jane@x.org; PESEL 44051401359; pay to 1BoatSLRHtKNngkdXEeobR76b53LETtpyT."
    found = set(found_in(text, "presidio"))
    assert set(found_in(text)) < found
    assert {("NATIONAL_ID", "44051401359"), ("CRYPTO", "1BoatSLRHtKNngkdXEeobR76b53LETtpyT")} <= found


def test_versions_name_all_that_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    assert finder_of("datafog").version == version_of("datafog")
    assert version_of("presidio").startswith(version_of("datafog"))
    before = version_of("datafog")
    monkeypatch.setattr(finders, "VERSION", 99)
    assert version_of("datafog") != before


def test_a_finder_that_is_not_installed_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> str:
        raise finders.PackageNotFoundError(name)

    monkeypatch.setattr(finders, "version", missing)
    with pytest.raises(StudyError, match="datafog is not installed"):
        version_of("datafog")


def test_without_presidio_nothing_of_it_is_loaded() -> None:
    program = "import sys; from labeler.redaction import finder_of; finder_of('datafog').find('x'); print(sorted(m for m in ('spacy', 'presidio_analyzer') if m in sys.modules))"  # noqa: E501
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=Path.cwd())
    assert done.stdout.strip() == "[]"


def test_check_digits() -> None:
    assert card_is_valid("4111-1111-1111-1111")
    assert not card_is_valid("4111-1111-1111-1110")
    assert iban_is_valid("FR14 2004 1010 0505 0001 3M02 606")
    assert not iban_is_valid("FR14 2004 1010 0505 0001 3M02 607")
    assert not iban_is_valid("GB00")
