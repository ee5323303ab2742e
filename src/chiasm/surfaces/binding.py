"""Binding text to parts: how a task's typed signature becomes something that can be typed in a shell.

Tasks ask for parts (an `Encoder`, a `Source`); a person gives words (a path, `world:test`). `bind` wraps a function so
that every such parameter takes a word, and opens the part when the function is called.
"""

from __future__ import annotations

import functools
import inspect
import itertools
import re
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import parse_qsl

from pydantic import Field, create_model

from chiasm.core.config import Config
from chiasm.core.errors import InputError, UnknownNameError
from chiasm.core.example import Judged, Source, Splits
from chiasm.core.explaining import Explainer, HeatPainter, PatchPainter
from chiasm.core.files import expanded
from chiasm.core.places import cache_folder
from chiasm.core.predictors import Answerer, AnyLearner, Captioner, Encoder, Learner, MapPainter, Matcher
from chiasm.core.registry import Registry
from chiasm.data.prompts import ClassNames, Templates, open_names, open_templates
from chiasm.data.vector_store import VectorStore
from chiasm.evaluate import Pages

RAW_PIXELS = "raw-pixels"
"""Names the encoder without a model, the baseline below which a model has learnt nothing."""


AUTO = "auto"
"""Names the usual place for what can be made again."""


@dataclass(frozen=True, slots=True)
class Opener:
    """How a kind of part is opened from a word.

    Attributes:
        open: word to part; of several parts, words to parts.
        default: the word that is meant when none is given; None where the parameter must be given.
        beside: the parameter that an optional part goes with: its default word is meant only where that is given, so
            that a function can tell a part that came from one that goes without saying.
    """

    open: Callable[[Any], Any]
    default: str | None = None
    beside: str | None = None


def bind(function: Callable[..., Any], given: Mapping[Any, Any], words: Sequence[str] = ()) -> Callable[..., Any]:
    """A function of the same name and help whose parts are words.

    Args:
        function: a task, evaluation or recipe with annotations that resolve.
        given: parts that the surface itself supplies (a progress bar), by annotation; they vanish from the signature.
        words: the command line, from which the family of a trunk is read before its settings are.

    Raises:
        UnknownNameError: there is no such family.
    """
    hints, signature, doc, shared = _spread(function)
    openers: dict[str, Opener] = {}
    supplied: dict[str, Any] = {}
    tools: dict[str, Callable[[], Any]] = {}
    settings: dict[str, Config] = {}
    parameters = []
    for name, parameter in signature.parameters.items():
        hint = hints[name]
        if hint in given:
            supplied[name] = given[hint]
            continue
        if _without_none(hint)[0] in TOOLS:
            tools[name] = TOOLS[_without_none(hint)[0]]
            continue
        if _has_families(hint):
            parameters.append(_of_family(parameter, hint, words))
            continue
        if isinstance(parameter.default, Config) and parameter.default.model_fields_set:
            settings[name] = parameter.default
            parameters.append(parameter.replace(annotation=_usual(parameter.default)))
            continue
        part, optional = _without_none(hint)
        part, several = _without_sequence(part)
        opener = OPENERS.get(part)
        if opener is None:
            missing = name in shared and parameter.default is None
            parameters.append(parameter.replace(annotation=hint | None if missing else hint))
            continue
        openers[name] = _each(opener) if several else opener
        unsaid = opener.default is None or (optional and opener.beside in hints)
        default = parameter.default if unsaid else opener.default
        kind: Any = Sequence[str] if several else str
        parameters.append(parameter.replace(annotation=kind | None if optional else kind, default=default))

    # A part with a default word may stand before parameters that must be given. Settings have many options: last.
    parameters.sort(key=_place)
    typed = signature.replace(parameters=parameters)

    @functools.wraps(function)
    def bound(*args: Any, **kwargs: Any) -> Any:
        arguments = typed.bind(*args, **kwargs)
        arguments.apply_defaults()
        arguments.arguments.update(_opened(openers, arguments.arguments))
        for name, usual in settings.items():
            given_here = arguments.arguments[name]
            changes = {field: getattr(given_here, field) for field in given_here.model_fields_set}
            arguments.arguments[name] = usual.model_copy(update=changes)
        for name in shared & arguments.arguments.keys():
            if arguments.arguments[name] is None:
                del arguments.arguments[name]
        made = {name: make() for name, make in tools.items()}
        return function(**arguments.arguments, **supplied, **made)

    bound.__doc__ = doc
    bound.__dict__["__signature__"] = typed
    bound.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return bound


def _opened(openers: Mapping[str, Opener], words: Mapping[str, Any]) -> dict[str, Any]:
    """The parts that words name, by parameter; None where there is no word and none goes without saying."""
    parts: dict[str, Any] = {}
    for name, opener in openers.items():
        word = words[name]
        if word is None and opener.beside is not None and words.get(opener.beside) is not None:
            word = opener.default
        parts[name] = None if word is None else opener.open(word)
    return parts


def takes(function: Callable[..., Any], kind: Any) -> bool:
    """Whether a function asks for a kind of part."""
    return kind in _spread(function)[0].values()


def _spread(function: Callable[..., Any]) -> tuple[dict[str, Any], inspect.Signature, str, frozenset[str]]:
    """Hints, signature and docstring of a function in which `**run: Unpack[Run]` is an option for each key of `Run`.

    Also the names of these options; one that is not given is not passed on.
    """
    hints, signature = typing.get_type_hints(function, include_extras=True), inspect.signature(function)
    doc, parameters = inspect.cleandoc(function.__doc__ or ""), list(signature.parameters.values())
    if not parameters or parameters[-1].kind is not inspect.Parameter.VAR_KEYWORD:
        return hints, signature, doc, frozenset()
    rest = parameters.pop().name
    (options,) = typing.get_args(hints.pop(rest))
    own = typing.get_type_hints(options, include_extras=True)
    option = inspect.Parameter.KEYWORD_ONLY
    parameters += [inspect.Parameter(name, option, default=False if own[name] is bool else None) for name in own]
    _, entries = inspect.cleandoc(options.__doc__).split("Attributes:\n")
    doc = re.sub(rf"^ +{rest}: .*$", lambda _: entries, doc, flags=re.MULTILINE)
    return {**hints, **own}, signature.replace(parameters=parameters), doc, frozenset(own)


def _place(parameter: inspect.Parameter) -> tuple[Any, ...]:
    kind = parameter.annotation
    many = isinstance(kind, type) and issubclass(kind, Config)
    return parameter.kind, parameter.default is not inspect.Parameter.empty, many


def _has_families(hint: Any) -> bool:
    """Whether settings are of one of several families, and the hint does not say of which (`TrunkConfig`)."""
    field = hint.model_fields.get("family") if isinstance(hint, type) and issubclass(hint, Config) else None
    return field is not None and field.is_required()


def _of_family(parameter: inspect.Parameter, base: type[Config], words: Sequence[str]) -> inspect.Parameter:
    """The parameter with the settings of the family that the words name, as usual where it is not its own default.

    Each family has settings of its own, so which one it is must be known before they can be read.
    """
    option = f"--{parameter.name}.family"
    named = [after for word, after in itertools.pairwise([*words, ""]) if word == option]
    named += [word.removeprefix(f"{option}=") for word in words if word.startswith(f"{option}=")]
    if not named or named[-1] == parameter.default.family:
        return parameter.replace(annotation=type(parameter.default))
    registry = Registry("chiasm.trunks", "trunk")
    known = [name for name in registry.names() if issubclass(registry.config(name), base)]
    if named[-1] not in known:
        raise UnknownNameError("family of trunks", named[-1], known)
    family = registry.config(named[-1])
    return parameter.replace(annotation=family, default=family())


def _usual(settings: Config) -> type[Config]:
    """The class of some settings, with these as its defaults.

    Where a function has defaults of its own, whoever gives one setting must keep the others, and help must tell them.
    """
    kind = type(settings)
    fields: dict[str, Any] = {}
    for name in settings.model_fields_set:
        field = kind.model_fields[name]
        hint = Annotated[(field.annotation, *field.metadata, Field(discriminator=field.discriminator))]
        fields[name] = (hint, getattr(settings, name))
    return create_model(kind.__name__, __base__=kind, __module__=kind.__module__, __doc__=kind.__doc__, **fields)


def _without_none(hint: Any) -> tuple[Any, bool]:
    """`X | None` to (X, True); anything else to (itself, False)."""
    members = typing.get_args(hint)
    if typing.get_origin(hint) in (typing.Union, types.UnionType) and len(members) == 2 and type(None) in members:
        return next(member for member in members if member is not type(None)), True
    return hint, False


def _without_sequence(hint: Any) -> tuple[Any, bool]:
    """`Sequence[X]` of a part X to (X, True); anything else to (itself, False)."""
    members = typing.get_args(hint)
    if typing.get_origin(hint) is Sequence and members[0] in OPENERS:
        return members[0], True
    return hint, False


def _each(opener: Opener) -> Opener:
    """Opens every one of several words."""
    return Opener(lambda words: tuple(map(opener.open, words)))


def _open_encoder(word: str) -> Encoder:
    if word == RAW_PIXELS and not Path(word).exists():
        from chiasm.evaluate import RawPixels

        return RawPixels()
    from chiasm.serve.encoder import open_encoder

    return open_encoder(word)


def _open_explainer(word: str) -> Explainer:
    if word == RAW_PIXELS and not Path(word).exists():
        raise InputError("a model to explain", f"{word} is none", "name a trained one")
    from chiasm.serve.explain import open_explainer

    return open_explainer(word)


def _open_writer(word: str) -> Any:
    if word == RAW_PIXELS and not Path(word).exists():
        raise InputError("a model that writes about pictures", f"{word} is none", "name a trained one")
    from chiasm.serve.writer import open_writer

    return open_writer(word)


def _open_matcher(word: str) -> Matcher:
    if word == RAW_PIXELS and not Path(word).exists():
        raise InputError("a model that reads text", f"{word} is none", "name a trained one")
    from chiasm.serve.matcher import open_matcher

    return open_matcher(word)


def _open_source(word: str) -> Source:
    from chiasm.data.open import open_source

    return open_source(word)


def _open_judged(word: str) -> Source:
    from chiasm.data.open import open_judged

    return open_judged(word)


def _open_splits(word: str) -> Splits:
    from chiasm.data.open import open_splits

    return open_splits(word)


def _open_learner(word: str) -> AnyLearner:
    name, question, query = word.partition("?")
    try:
        settings = parse_qsl(query, keep_blank_values=True, strict_parsing=bool(question))
    except ValueError:
        raise InputError(
            "settings as name=value", f"{query!r} came in {word}", "write for example coop?epochs=20"
        ) from None
    kind = Registry("chiasm.adapt", "learner").config(name)
    return kind.parse(_with_lists(kind, settings), f"the learner {name}").build()


def _with_lists(kind: type[Config], settings: Sequence[tuple[str, str]]) -> dict[str, str | list[str]]:
    """Settings by their names; a list is what stands between commas, or behind the same name several times."""
    found: dict[str, str | list[str]] = dict(settings)
    for name, field in kind.model_fields.items():
        if name in found and typing.get_origin(field.annotation) is tuple:
            found[name] = [part for key, value in settings if key == name for part in value.split(",")]
    return found


def _open_store(word: str) -> VectorStore:
    return VectorStore(cache_folder() if word == AUTO else expanded(word))


OPENERS: dict[Any, Opener] = {
    Encoder: Opener(_open_encoder),
    Explainer: Opener(_open_explainer),
    Captioner: Opener(_open_writer),
    Answerer: Opener(_open_writer),
    Matcher: Opener(_open_matcher),
    Source: Opener(_open_source),
    Judged: Opener(_open_judged),
    Splits: Opener(_open_splits),
    VectorStore: Opener(_open_store, default=AUTO),
    Learner: Opener(_open_learner, default="logistic", beside="examples"),
    AnyLearner: Opener(_open_learner, default="logistic", beside="examples"),
    ClassNames: Opener(open_names),
    Templates: Opener(open_templates),
}


def _painter() -> HeatPainter:
    from chiasm.report.overlay import HeatOverlay

    return HeatOverlay()


def _sheets() -> PatchPainter:
    from chiasm.report.patches import PatchSheets

    return PatchSheets()


def _maps() -> MapPainter:
    from chiasm.report.maps import MapPages

    return MapPages()


def _pages() -> Pages:
    from chiasm.report.evaluation import EvaluationPages

    return EvaluationPages(datetime.now().astimezone().strftime("%Y-%m-%d %H:%M"))


TOOLS: dict[Any, Callable[[], Any]] = {
    HeatPainter: _painter,
    PatchPainter: _sheets,
    MapPainter: _maps,
    Pages: _pages,
}
"""Parts of which there is one kind, so that no word asks for them; made when the function is called."""
