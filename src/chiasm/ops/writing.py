"""Writing texts token by token: the most probable token each time, beam search, or drawn from the most probable ones.

Nothing here knows a model: whoever writes gives a function that takes the new tokens of each text and tells the logits
of the next one. Rows of a batch do not influence each other.

Paper: Holtzman et al., 2019, arXiv 1904.09751, section 3.1 (nucleus); Wu et al., 2016, arXiv 1609.08144, section 7
(beams).
Differs: beams are compared by their mean log-probability to the power of `length_penalty` (as transformers does), not
by the formula of the paper; nothing is drawn from one generator for a batch: every text has one of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

Step = Callable[[Int64[Tensor, "B Q"], Int64[Tensor, " B"] | None], Float[Tensor, "B V"]]
"""New tokens of each text to the logits of the next one.

The first call gets the beginnings of the texts, and for each the picture that it is about; the later ones get a token
each, and for each the text of the call before that it goes on from. None: every row is about its own.
"""

NEVER = -1e9
"""Added to the score of what must not be chosen; finite, so that sums of several stay comparable."""


@dataclass(frozen=True, slots=True)
class Stops:
    """When a text ends.

    Attributes:
        end: numbers of the tokens that end a text.
        max_tokens: most tokens that are written, the end token counted.
        min_tokens: before so many were written no end token is.
        banned: tokens that are never written.
    """

    end: tuple[int, ...]
    max_tokens: int
    min_tokens: int = 0
    banned: tuple[int, ...] = ()

    def allowed(self, scores: Float[Tensor, "B V"], num_written: int) -> Float[Tensor, "B V"]:
        """The scores, minus infinity where a token must not come now."""
        never = self.banned + (self.end if num_written < self.min_tokens else ())
        if not never:
            return scores
        scores = scores.clone()
        scores[:, list(never)] = -torch.inf
        return scores

    def ends(self, tokens: Int64[Tensor, "*B"]) -> Bool[Tensor, "*B"]:
        """Which tokens end their text."""
        return torch.isin(tokens, torch.tensor(self.end, device=tokens.device))


class Written(NamedTuple):
    """Texts as they were written.

    Attributes:
        tokens: of each text, without its beginning and its end token.
        log_probs: sum over the tokens of each text, its end token counted.
        scores: what texts were chosen by: the same, or of beams that sum by the length.
        ended: whether each text came to its end token.
    """

    tokens: tuple[tuple[int, ...], ...]
    log_probs: tuple[float, ...]
    scores: tuple[float, ...]
    ended: tuple[bool, ...]


@torch.inference_mode()
def greedy(step: Step, beginnings: Int64[Tensor, "B Q"], stops: Stops) -> Written:
    """Take the most probable token each time.

    Args:
        step: asks the model.
        beginnings: of the texts, all of one length.
        stops: when a text ends.
    """
    return _one_by_one(step, beginnings, stops, lambda scores: scores.argmax(dim=1))


@torch.inference_mode()
def nucleus(
    step: Step,
    beginnings: Int64[Tensor, "B Q"],
    stops: Stops,
    seeds: Sequence[int],
    top_p: float = 0.9,
    temperature: float = 1.0,
) -> Written:
    """Draw each token from the fewest most probable ones that hold `top_p` of the probability.

    Args:
        step: asks the model.
        beginnings: of the texts, all of one length.
        stops: when a text ends.
        seeds: of each text; what is drawn for it does not depend on the others.
        top_p: share of the probability, above 0, at most 1.
        temperature: logits are divided by it.
    """
    draws = [torch.Generator().manual_seed(seed) for seed in seeds]

    def choose(scores: Float[Tensor, "B V"]) -> Int64[Tensor, " B"]:
        shares, order = (scores / temperature).softmax(dim=1).sort(dim=1, descending=True, stable=True)
        before = shares.cumsum(dim=1) - shares
        kept = torch.where(before < top_p, shares, 0.0).cumsum(dim=1)
        points = torch.stack([torch.rand((), generator=draw, dtype=torch.float64) for draw in draws]).to(kept.device)
        places = (kept.double() <= points.unsqueeze(1) * kept[:, -1:].double()).sum(dim=1, keepdim=True)
        return order.gather(1, places.clamp(max=order.shape[1] - 1)).squeeze(1)

    return _one_by_one(step, beginnings, stops, choose)


@torch.inference_mode()
def log_likelihoods(
    step: Step, beginnings: Int64[Tensor, "B Q"], texts: Sequence[Sequence[int]], rows: Int64[Tensor, " B"]
) -> Float[Tensor, " B"]:
    """Sums of the log-probabilities of the tokens of texts that are there already, in float64.

    Args:
        step: asks the model.
        beginnings: of the texts, all of one length, one for each text.
        texts: the tokens after them, at least one each; an end token counts where it stands.
        rows: the picture of each text, as the first call of a `Step` takes it.
    """
    lengths = torch.tensor([len(text) for text in texts])
    wanted = torch.zeros(len(texts), int(lengths.max()), dtype=torch.int64)
    for row, text in zip(wanted, texts, strict=True):
        row[: len(text)] = torch.tensor(text)
    wanted, lengths = wanted.to(beginnings.device), lengths.to(beginnings.device)
    sums = torch.zeros(len(texts), dtype=torch.float64, device=beginnings.device)
    new, going = beginnings, rows
    for place, token in enumerate(wanted.unbind(1)):
        shares = step(new, going).float().log_softmax(dim=1)
        sums += torch.where(place < lengths, shares.gather(1, token.unsqueeze(1)).squeeze(1).double(), 0.0)
        new, going = token.unsqueeze(1), None
    return sums


def _one_by_one(
    step: Step,
    beginnings: Int64[Tensor, "B Q"],
    stops: Stops,
    choose: Callable[[Float[Tensor, "B V"]], Int64[Tensor, " B"]],
) -> Written:
    """Write texts of which one is kept each time."""
    new, open_ = beginnings, torch.ones(len(beginnings), dtype=torch.bool, device=beginnings.device)
    log_probs = torch.zeros(len(beginnings), dtype=torch.float64, device=beginnings.device)
    written: list[Tensor] = []
    for num_written in range(stops.max_tokens):
        shares = step(new, None).float().log_softmax(dim=1)
        chosen = choose(stops.allowed(shares, num_written))
        log_probs += torch.where(open_, shares.gather(1, chosen.unsqueeze(1)).squeeze(1).double(), 0.0)
        # What comes after the end is not looked at, but something must stand there.
        written.append(torch.where(open_, chosen, -1))
        open_ &= ~stops.ends(chosen)
        if not open_.any():
            break
        new = chosen.unsqueeze(1)
    scores = tuple(log_probs.tolist())
    rows = torch.stack(written, dim=1) if written else beginnings.new_zeros(len(beginnings), 0)
    return Written(tuple(_before_end(row, stops) for row in rows.tolist()), scores, scores, tuple((~open_).tolist()))


def _before_end(row: Sequence[int], stops: Stops) -> tuple[int, ...]:
    """The tokens of a text without its end token and what comes after it."""
    found: list[int] = []
    for token in row:
        if token in stops.end or token < 0:
            break
        found.append(token)
    return tuple(found)


@torch.inference_mode()
def beams(
    step: Step, beginnings: Int64[Tensor, "B Q"], stops: Stops, num_beams: int = 3, length_penalty: float = 1.0
) -> Written:
    """Keep the most probable beginnings of each text and take the best of those that ended.

    Args:
        step: asks the model; its rows are the beams of the first text, then those of the second, and so on.
        beginnings: of the texts, all of one length.
        stops: when a text ends.
        num_beams: beginnings that are kept of each text.
        length_penalty: sums of log-probabilities are divided by the number of tokens to this power; above 0 favours
            long texts.
    """
    search = _BeamSearch(len(beginnings), num_beams, length_penalty, stops, beginnings.device)
    new: Tensor = beginnings.repeat_interleave(num_beams, dim=0)
    rows: Tensor = torch.arange(len(beginnings), device=beginnings.device).repeat_interleave(num_beams)
    for num_written in range(stops.max_tokens):
        shares = step(new, rows).float().log_softmax(dim=1)
        new, rows = search.advance(stops.allowed(shares, num_written), num_written)
        if search.is_over(num_written + 1):
            break
    return search.best()


class _BeamSearch:
    """The beams of a batch: those that go on, and those that ended."""

    def __init__(
        self, num_texts: int, num_beams: int, length_penalty: float, stops: Stops, device: torch.device
    ) -> None:
        self._stops, self._penalty, self._num_beams = stops, length_penalty, num_beams
        self._scores = torch.full((num_texts, num_beams), NEVER, device=device)
        # All beams of a text begin alike: only one of them may count.
        self._scores[:, 0] = 0.0
        self._tokens = torch.zeros(num_texts, num_beams, 0, dtype=torch.int64, device=device)
        self._ended_scores = torch.full((num_texts, num_beams), NEVER, device=device)
        self._ended_tokens = self._tokens
        self._has_ended = torch.zeros(num_texts, num_beams, dtype=torch.bool, device=device)
        self._may_improve = torch.ones(num_texts, 1, dtype=torch.bool, device=device)
        self._last = False

    def advance(
        self, shares: Float[Tensor, "_ V"], num_written: int
    ) -> tuple[Int64[Tensor, "_ 1"], Int64[Tensor, " _"]]:
        """Take the next token of every beam; the new tokens, and the row that each beam goes on from."""
        num_texts, num_beams, vocab = len(self._scores), self._num_beams, shares.shape[1]
        sums = (shares.unflatten(0, (num_texts, num_beams)) + self._scores.unsqueeze(2)).flatten(1)
        # Enough that as many go on even if one of every beam ends.
        num_kept = (1 + max(len(self._stops.end), 1)) * num_beams
        scores, places = sums.topk(min(num_kept, sums.shape[1]), dim=1)
        source, token = places // vocab, places % vocab
        tokens = torch.cat([_picked(self._tokens, source), token.unsqueeze(2)], dim=2)
        ends = self._stops.ends(token) | (num_written + 1 >= self._stops.max_tokens)
        self._last = bool(ends.all())
        self._end(scores, tokens, ends, num_written + 1)
        self._scores, going = (scores + NEVER * ends).topk(num_beams, dim=1)
        self._tokens = _picked(tokens, going)
        first_rows = num_beams * torch.arange(num_texts, device=token.device).unsqueeze(1)
        rows = source.gather(1, going) + first_rows
        return token.gather(1, going).flatten().unsqueeze(1), rows.flatten()

    def _end(
        self, scores: Float[Tensor, "B M"], tokens: Int64[Tensor, "B M T"], ends: Bool[Tensor, "B M"], length: int
    ) -> None:
        """Put beams that ended among those that did, where they are better.

        Only the best `num_beams` of the candidates count: a worse one that ends would not have been kept either.
        """
        among_best = torch.arange(scores.shape[1], device=scores.device) < self._num_beams
        counts = ends & among_best
        judged = scores / length**self._penalty + NEVER * ~counts + NEVER * ~self._may_improve
        padded = torch.cat([self._ended_tokens, self._ended_tokens.new_full((*self._ended_scores.shape, 1), -1)], dim=2)
        everything = torch.cat([padded, tokens], dim=1)
        self._ended_scores, best = torch.cat([self._ended_scores, judged], dim=1).topk(self._num_beams, dim=1)
        self._ended_tokens = _picked(everything, best)
        self._has_ended = torch.cat([self._has_ended, counts], dim=1).gather(1, best)

    def is_over(self, num_written: int) -> bool:
        """Whether no beam that goes on can become better than the worst of those that ended."""
        possible = self._scores[:, :1] / num_written**self._penalty
        worst = torch.where(self._has_ended, self._ended_scores.amin(dim=1, keepdim=True), NEVER)
        self._may_improve &= (possible > worst).any(dim=1, keepdim=True)
        return self._last or not bool(self._may_improve.any())

    def best(self) -> Written:
        """The best text of each that ended; one always did, at the latest by its length."""
        rows, scores = self._ended_tokens[:, 0].tolist(), self._ended_scores[:, 0]
        # What fills up ended rows is no token.
        kept = [[token for token in row if token >= 0] for row in rows]
        lengths = torch.tensor([len(row) for row in kept], device=scores.device)
        sums = scores * lengths**self._penalty
        ended = tuple(bool(row) and row[-1] in self._stops.end for row in kept)
        texts = tuple(_before_end(row, self._stops) for row in kept)
        return Written(texts, tuple(sums.tolist()), tuple(scores.tolist()), ended)


def _picked(values: Int64[Tensor, "B M T"], places: Int64[Tensor, "B Q"]) -> Int64[Tensor, "B Q T"]:
    """Some of the rows of each text."""
    return values.gather(1, places.unsqueeze(2).expand(-1, -1, values.shape[2]))
