"""The finders: datafog and our own patterns, or presidio as well. Each is a pure function of a text."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from typing import Literal

from labeler.core.redaction import Span
from labeler.errors import StudyError
from labeler.redaction import patterns

FinderName = Literal["datafog", "presidio"]
# Grows when a pattern of ours or a check below changes: texts are then looked at again.
VERSION = 1

# What every finder is asked for; a study chooses among the kinds. Presidio's names are brought to datafog's.
_DATAFOG = ["EMAIL", "PHONE", "SSN", "CREDIT_CARD", "IP_ADDRESS", "DATE", "ZIP_CODE"]
_PRESIDIO = {
    "EMAIL_ADDRESS": "EMAIL",
    "PHONE_NUMBER": "PHONE",
    "US_SSN": "SSN",
    "CREDIT_CARD": "CREDIT_CARD",
    "IBAN_CODE": "IBAN",
    "IP_ADDRESS": "IP_ADDRESS",
    "CRYPTO": "CRYPTO",
    "MEDICAL_LICENSE": "MEDICAL_LICENSE",
}
# Identity numbers with check digits; those without are any number.
_IDENTITY = (
    *("EsNieRecognizer", "EsNifRecognizer", "FiPersonalIdentityCodeRecognizer", "InAadhaarRecognizer"),
    *("ItFiscalCodeRecognizer", "PlPeselRecognizer", "SePersonnummerRecognizer", "SgFinRecognizer"),
    *("TrNationalIdRecognizer", "ZaIdNumberRecognizer"),
)
_PRESIDIO_SCORE = 0.5


@dataclass(frozen=True, slots=True)
class Finder:
    """``version`` names everything that decides what is found; ``find`` gives every hit, in order; some
    may overlap."""

    version: str
    find: Callable[[str], tuple[Span, ...]]


def version_of(name: FinderName) -> str:
    """The version of a finder, without loading it.

    Raises:
        StudyError: it is not installed.
    """
    parts = [f"labeler {VERSION}", _package("datafog")]
    if name == "presidio":
        parts += [_package("presidio-analyzer"), _package("spacy")]
    return ", ".join(parts)


def _package(name: str) -> str:
    try:
        return f"{name} {version(name)}"
    except PackageNotFoundError as error:
        hint = "pip install 'labeler[presidio]'" if name != "datafog" else "install labeler again"
        raise StudyError(f"key 'redaction.finder': {name} is not installed; {hint}") from error


@lru_cache(maxsize=2)
def finder_of(name: FinderName) -> Finder:
    """A finder by its name; loaded once in a process.

    Raises:
        StudyError: it is not installed.
    """
    named = version_of(name)
    sources = [_datafog(), patterns.find_in, *([_presidio()] if name == "presidio" else [])]

    def find(text: str) -> tuple[Span, ...]:
        return tuple(sorted({span for source in sources for span in source(text)}))

    return Finder(named, find)


_CHECKS: dict[str, Callable[[str], bool]] = {
    "CREDIT_CARD": patterns.card_is_valid,
    "IP_ADDRESS": patterns.address_is_personal,
}


def _datafog() -> Callable[[str], Iterator[Span]]:
    from datafog import scan  # noqa: PLC0415 - takes a third of a second

    def find(text: str) -> Iterator[Span]:
        for entity in scan(text, engine="regex", entity_types=_DATAFOG).entities:
            check = _CHECKS.get(entity.type)
            if check is None or check(entity.text):
                yield Span(entity.start, entity.end, entity.type)

    return find


def _presidio() -> Callable[[str], Iterator[Span]]:
    """Presidio's pattern recognisers, on a pipeline without a model and without a network."""
    import spacy  # noqa: PLC0415 - an extra, and slow to load
    from presidio_analyzer import AnalyzerEngine, RecognizerRegistry, predefined_recognizers  # noqa: PLC0415
    from presidio_analyzer.nlp_engine import SpacyNlpEngine  # noqa: PLC0415
    from tldextract import TLDExtract  # noqa: PLC0415

    # Left alone, the list of public suffixes would be fetched at the first address.
    suffixes = TLDExtract(suffix_list_urls=(), cache_dir=None)

    class OfflineEmailRecognizer(predefined_recognizers.EmailRecognizer):
        def validate_result(self, pattern_text: str) -> bool:
            return bool(suffixes(pattern_text).fqdn)

    engine = SpacyNlpEngine()
    engine.nlp = {"en": spacy.blank("en")}  # type: ignore[assignment]
    recognizers = RecognizerRegistry()
    recognizers.load_predefined_recognizers(languages=["en"], nlp_engine=engine)
    recognizers.remove_recognizer("EmailRecognizer")
    recognizers.add_recognizer(OfflineEmailRecognizer(supported_language="en"))
    kinds = dict(_PRESIDIO)
    for name in _IDENTITY:
        recognizer = getattr(predefined_recognizers, name)(supported_language="en")
        recognizers.add_recognizer(recognizer)
        kinds |= dict.fromkeys(recognizer.supported_entities, "NATIONAL_ID")
    analyzer = AnalyzerEngine(registry=recognizers, nlp_engine=engine, supported_languages=["en"])

    def find(text: str) -> Iterator[Span]:
        for result in analyzer.analyze(text, language="en", entities=list(kinds), score_threshold=_PRESIDIO_SCORE):
            kind = kinds[result.entity_type]
            check = _CHECKS.get(kind)
            if check is None or check(text[result.start : result.end]):
                yield Span(result.start, result.end, kind)

    return find
