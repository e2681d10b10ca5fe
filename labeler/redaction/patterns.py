"""What general finders miss: secrets of well-known services, private keys, passwords beside their name, and IBANs.

Shapes are those that the services document themselves (prefix and length), so that plain words are not taken for keys.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import ip_address

from labeler.core.redaction import Span

_SECRETS = re.compile(
    r"""
      -----BEGIN[ ][A-Z ]*PRIVATE[ ]KEY-----.*?(?:-----END[ ][A-Z ]*PRIVATE[ ]KEY-----|\Z)
    | \b(?:AKIA|ASIA)[0-9A-Z]{16}\b                              # Amazon
    | \bgh[pousr]_[A-Za-z0-9]{36,255}\b                          # GitHub
    | \bgithub_pat_[A-Za-z0-9_]{22,255}\b
    | \bglpat-[A-Za-z0-9_-]{20,}                                 # GitLab
    | \bhf_[A-Za-z0-9]{30,}\b                                    # Hugging Face
    | \bsk-(?:ant-|proj-|svcacct-|or-)?[A-Za-z0-9_-]{20,}        # OpenAI, Anthropic, OpenRouter
    | \bxox[abeoprs]-[A-Za-z0-9-]{10,}                           # Slack
    | \bAIza[0-9A-Za-z_-]{35}                                    # Google
    | \b(?:sk|rk|pk)_(?:live|test)_[0-9A-Za-z]{16,}              # Stripe
    | \bSG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}               # SendGrid
    | \bnpm_[A-Za-z0-9]{36}\b
    | \bpypi-[A-Za-z0-9_-]{50,}
    | \beyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}   # a JSON web token
    """,
    re.VERBOSE | re.DOTALL,
)
# Of an address with a password in it the password goes; of "password: x" the x, if it can be none of a program's words.
_IN_ADDRESS = re.compile(r"\b[a-z][a-z0-9+.-]*://[^\s/:@]+:(?P<value>[^\s/@]{3,})@", re.IGNORECASE)
_NAMED = re.compile(
    r"""\b(?:pass(?:word|wd|phrase)?|pwd|secret|api[_-]?key|access[_-]?token|auth[_-]?token)
        (?:\s+is)?\s*[:=]?\s*["'`]?(?P<value>[^\s"'`<>(){}\[\],;]{8,128})""",
    re.IGNORECASE | re.VERBOSE,
)
_IBAN = re.compile(r"\b[A-Z]{2}\d{2}(?:[ ]?[A-Z0-9]{4}){2,7}(?:[ ]?[A-Z0-9]{1,3})?\b")
_IBAN_LENGTHS = range(15, 35)


def find_in(text: str) -> Iterator[Span]:
    """Every hit of these patterns; some may overlap."""
    for found in _SECRETS.finditer(text):
        yield Span(*found.span(), "SECRET")
    for found in _IN_ADDRESS.finditer(text):
        yield Span(*found.span("value"), "SECRET")
    for found in _NAMED.finditer(text):
        if _looks_secret(found["value"]):
            yield Span(*found.span("value"), "SECRET")
    for found in _IBAN.finditer(text):
        if iban_is_valid(found[0]):
            yield Span(*found.span(), "IBAN")


def _looks_secret(value: str) -> bool:
    """Letters and digits mixed: a word is none, and neither is a plain number."""
    return any(map(str.isdigit, value)) and any(map(str.isalpha, value))


def iban_is_valid(text: str) -> bool:
    """Whether the check digits are right (ISO 13616: modulo 97)."""
    plain = text.replace(" ", "")
    if len(plain) not in _IBAN_LENGTHS:
        return False
    return int("".join(str(int(character, 36)) for character in plain[4:] + plain[:4])) % 97 == 1


def card_is_valid(text: str) -> bool:
    """Whether the last digit of a card number is right (Luhn)."""
    digits = [int(character) for character in text if character.isdigit()]
    doubled = [digit if place % 2 == 0 else sum(divmod(2 * digit, 10)) for place, digit in enumerate(reversed(digits))]
    return sum(doubled) % 10 == 0


def address_is_personal(text: str) -> bool:
    """Whether an IP address can be somebody's: this machine's own and the unspecified one are nobody's."""
    try:
        address = ip_address(text)
    except ValueError:
        return False
    return not (address.is_loopback or address.is_unspecified)
