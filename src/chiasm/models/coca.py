"""CoCa: a dual encoder that also writes captions, with one text side for both.

Pictures and texts share a space as in CLIP: the picture's vector is what the first query of an attentional pooler sees,
the text's is that of a class token after it. The vectors of the text's tokens, which do not see the class token, go on
into a decoder that looks at what the pooler's other queries see, and tells what token comes next.

Paper: Yu et al., 2022, arXiv 2205.01917, sections 3.2 and 3.3.
Differs: one pooler gives the vector and the tokens, as in open_clip's code and weights; see `heads.attention_pool`.
Captions are written as open_clip writes them by default: at least 5 tokens with the start token, at most 29 more. Its
grouped beam search of 6 beams in 3 groups, without a penalty for likeness, makes three times the same search of 2
beams; here that is made once, and the means by which texts are compared leave out the start token. The token that fills
texts up is never written, since no caption was learned with it; there, it ends a text that is drawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float, Int64, UInt8
from pydantic import Field
from torch import Tensor

from chiasm.core.errors import InputError
from chiasm.data.tokenizer import Tokenizer
from chiasm.heads import multimodal_decoder
from chiasm.heads.attention_pool import QueriesPool
from chiasm.layers.memory import Memory
from chiasm.models import dual_encoder
from chiasm.models._writing import Draft, Writing
from chiasm.models.dual_encoder import DualEncoder
from chiasm.ops.writing import Step, Stops
from chiasm.trunks.text_with_class import TextWithClass

LEAST_LENGTH, MOST_WRITTEN = 5, 29
NUM_BEAMS = 2


class Config(dual_encoder.Config):
    """What a CoCa is made of; see `dual_encoder.Config` for the picture and the text side.

    The pool of the pictures must be `queries`, the trunk of the texts `text_with_class`.

    Attributes:
        decoder: vectors of a text's tokens and tokens of a picture to the next token.
        start_token: what a caption begins with, as the vocabulary writes it.
        end_token: what it ends with.
    """

    decoder: multimodal_decoder.Config = Field(default=multimodal_decoder.Config())
    start_token: str = "<|startoftext|>"
    end_token: str = "<|endoftext|>"

    def build(self) -> CoCa:
        """A model with random weights.

        Raises:
            InputError: the parts do not go together.
        """
        return CoCa(self)


class Understood(NamedTuple):
    """Pictures and texts after one pass through all parts.

    Attributes:
        pictures, texts: their vectors, of any length.
        logits: of the token after each token of the text, given the picture in the same row.
    """

    pictures: Float[Tensor, "B E"]
    texts: Float[Tensor, "B E"]
    logits: Float[Tensor, "B T V"]


class CoCa(DualEncoder):
    """Pictures and texts in, how well each goes with each out; and captions.

    Raises:
        InputError: the pictures' pool gives no tokens, or the text trunk has no class token.
    """

    tasks = (*DualEncoder.tasks, "caption", "describe")

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        trunk = self.text_trunk
        self.decoder = config.decoder.build(trunk.embed_dim, self.pooler.out_dim, trunk.vocab_size)

    @property
    def pooler(self) -> QueriesPool:
        """What the picture's vector and the tokens for the decoder come from."""
        pool = self.image_encoder.pool
        if not isinstance(pool, QueriesPool):
            raise InputError("a CoCa whose pictures are pooled by queries", "another pool came", "choose queries")
        return pool

    @property
    def text_trunk(self) -> TextWithClass:
        """What the text's vector and those of its tokens come from."""
        trunk = self.text_encoder.trunk
        if not isinstance(trunk, TextWithClass):
            do = "choose the family text_with_class"
            raise InputError("a CoCa whose text trunk has a class token", "another trunk came", do)
        return trunk

    @property
    def writing(self) -> Captions:
        return Captions(self)

    def see(self, images: UInt8[Tensor, "B 3 H W"]) -> Float[Tensor, "B Q D"]:
        """What the queries of the pooler see in pictures of RGB 0 to 255: the first for the vector, others to write."""
        trunk = self.image_encoder.trunk
        return self.pooler.all(trunk(trunk.normalize(images)))

    def understand(self, images: UInt8[Tensor, "B 3 H W"], tokens: Int64[Tensor, "B T"]) -> Understood:
        """Everything that the model is trained by, each part computed once.

        Args:
            images: of RGB 0 to 255.
            tokens: of one text a picture.
        """
        seen, trunk = self.see(images), self.text_trunk
        read = trunk.together(tokens)
        return Understood(
            pictures=self.image_encoder.projection(seen[:, 0]),
            texts=self.text_encoder.projection(trunk.norm(read[:, -1])),
            logits=self.decoder(read[:, :-1], seen[:, 1:]),
        )

    def begin(self, seen: Float[Tensor, "B Q D"]) -> Step:
        """What writes about pictures; every token is computed once, the pictures' keys and values too.

        Args:
            seen: the pictures, as `see` returned them.
        """
        trunk, shown = self.text_trunk, self.decoder.show(seen[:, 1:])
        of_trunk, of_decoder = Memory(), Memory()
        texts = torch.zeros(len(seen), 0, dtype=torch.int64, device=seen.device)

        def step(tokens: Int64[Tensor, "B Q"], rows: Int64[Tensor, " B"] | None) -> Float[Tensor, "B V"]:
            nonlocal shown, texts
            if rows is not None:
                shown, texts = tuple(each.of(rows) for each in shown), texts[rows]
                of_trunk.choose(rows)
                of_decoder.choose(rows)
            num_new = tokens.shape[1]
            texts = torch.cat([texts, tokens], dim=1)
            # Whether a place may be looked at can depend on the token before it, so the whole text is asked.
            real = trunk.seen(texts)[:, -1 - num_new : -1]
            vectors = trunk.unnormed(tokens, of_trunk.after(num_new, real))
            return self.decoder.logits(self.decoder.read(vectors, shown, of_decoder.after(num_new))[:, -1])

        return step


class Captions(Writing[Tensor]):
    """The side of a CoCa that writes captions.

    Args:
        model: the whole model.
    """

    gives_vectors = True
    answers = False

    def __init__(self, model: CoCa) -> None:
        self._model = model

    def tokenizer(self, vocabulary: str) -> Tokenizer:
        return self._model.text_encoder.tokenizer(vocabulary)

    def see(self, images: UInt8[Tensor, "B 3 H W"]) -> Float[Tensor, "B Q D"]:
        return self._model.see(images)

    def some(self, seen: Float[Tensor, "B Q D"], rows: Int64[Tensor, " _"]) -> Float[Tensor, "_ Q D"]:
        return seen[rows]

    def vectors(self, seen: Float[Tensor, "B Q D"]) -> Float[Tensor, "B E"]:
        return self._model.image_encoder.projection(seen[:, 0])

    def caption(self, seen: Float[Tensor, "B Q D"], tokenizer: Tokenizer, beginning: str = "") -> Draft:
        """Begin a caption of each picture.

        Args:
            seen: the pictures.
            tokenizer: as `tokenizer` made it.
            beginning: words that every caption goes on from, after the start token.

        Raises:
            InputError: they leave no room, or the vocabulary has no such start or end token.
        """
        config = self._model.config
        start = (tokenizer.number(config.start_token), *tokenizer.numbers(beginning))
        context_length = self._model.text_trunk.context_length
        if len(start) > context_length:
            came = f"it has {len(start) - 1}"
            raise InputError(f"a beginning of at most {context_length - 1} tokens", came, "shorten it")
        stops = Stops(
            end=(tokenizer.number(config.end_token),),
            # The last token that is written is not read again.
            max_tokens=min(MOST_WRITTEN, context_length + 1 - len(start)),
            min_tokens=max(0, LEAST_LENGTH - len(start)),
            banned=(config.text.tokenizer.padding,),
        )
        beginnings = torch.tensor([start], device=seen.device).expand(len(seen), -1)
        return Draft(self._model.begin(seen), beginnings, stops, NUM_BEAMS)

    def answer(self, seen: Float[Tensor, "B Q D"], tokenizer: Tokenizer, questions: Sequence[str]) -> Draft:
        """Never: it was not made to answer.

        Raises:
            InputError: always.
        """
        raise InputError("a model that answers questions", "this one writes captions alone", "choose another model")
