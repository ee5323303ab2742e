"""CoOp: the words before a class's name, learned as vectors from a few examples; both encoders stay as they are.

Paper: Zhou et al., 2021, "Learning to Prompt for Vision-Language Models" (arXiv 2109.01134), sections 3.2 and 4.1: 16
    vectors drawn from a Gaussian with a deviation of 0.02 (or the 4 of "a photo of a"), SGD with a rate of 0.002 that
    falls with a cosine after a first epoch at 0.00001, 32 pictures a step; 50 epochs with one example of each class,
    100 with up to four, 200 with more.
Differs: pictures are encoded once, without random crops and flips; SGD has a momentum of 0.9, of which the paper says
    nothing. For a model that was trained with a sigmoid the bias is the same for all classes and left out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from chiasm.adapt._context import PromptedClasses
from chiasm.core.config import Config as BaseConfig
from chiasm.core.errors import InputError
from chiasm.core.predictors import NamedClasses
from chiasm.core.seeds import stream
from chiasm.models.text_encoder import OpenText, TextParts
from chiasm.ops.schedules import cosine
from chiasm.ops.zero_shot import SoftmaxOfCosines

_FEW_SHOTS, _MANY_SHOTS = 1, 4
_EPOCHS = (50, 100, 200)


class Config(BaseConfig):
    """Settings of CoOp.

    Attributes:
        num_context: vectors before the name, drawn at random.
        words: begin with these words instead ("a photo of a"); there are as many vectors as they have tokens.
        class_specific: whether each class has vectors of its own.
        epochs: times that every example is learnt from; as the paper has it for the number of examples, if not given.
        batch_size: examples a step.
        lr: rate after the first epoch.
        warmup_lr: rate in the first epoch.
        momentum: of the gradients.
        seed: draws the first vectors and orders the examples.
    """

    num_context: int = Field(default=16, gt=0)
    words: str = ""
    class_specific: bool = False
    epochs: int | None = Field(default=None, gt=0)
    batch_size: int = Field(default=32, gt=0)
    lr: float = Field(default=0.002, gt=0)
    warmup_lr: float = Field(default=1e-5, ge=0)
    momentum: float = Field(default=0.9, ge=0, lt=1)
    seed: int = Field(default=0, ge=0)

    def build(self) -> CoOp:
        return CoOp(self)


@dataclass(frozen=True, slots=True)
class CoOp:
    """Learns what to put before the names."""

    config: Config

    def fit_named(
        self, vectors: Float[np.ndarray, "B D"], labels: Int[np.ndarray, " B"], named: NamedClasses
    ) -> SoftmaxOfCosines:
        """Learn the context, and read the names in it; classes without examples share it unless each has its own.

        Raises:
            InputError: the model's text side cannot be learned through, or a name does not fit beside the context.
        """
        if not isinstance(named.text, OpenText):
            raise InputError("a model whose text side can be learned through", "this one cannot", "try tip-adapter")
        parts = named.text.parts
        prompted = PromptedClasses(parts, named.names, self._beginning(parts, len(named.names))).to(parts.device)
        kind = {"device": parts.device, "dtype": prompted.context.dtype}
        self._train(prompted, torch.from_numpy(vectors).to(**kind), torch.from_numpy(labels), named.text.logit_scale)
        with torch.no_grad():
            found = prompted().double().cpu().numpy()
        return SoftmaxOfCosines(found, named.text.logit_scale)

    def _beginning(self, parts: TextParts, num_classes: int) -> Tensor:
        """The vectors that training starts from."""
        embedding = parts.encoder.trunk.token_embedding
        if self.config.words:
            tokens = torch.tensor(parts.tokenizer.numbers(self.config.words), device=parts.device)
            context = embedding(tokens).detach().clone()
        else:
            drawn = stream(self.config.seed, "coop").normal(0, 0.02, (self.config.num_context, embedding.embedding_dim))
            context = torch.from_numpy(drawn).to(embedding.weight)
        return context.repeat(num_classes, 1, 1) if self.config.class_specific else context

    def _train(
        self,
        prompted: PromptedClasses,
        pictures: Float[Tensor, "B D"],
        labels: Int[Tensor, " B"],
        scale: float,
    ) -> None:
        """Minimise the cross entropy of the examples."""
        config = self.config
        pictures, wanted = functional.normalize(pictures, dim=1), labels.to(pictures.device)
        optimizer = torch.optim.SGD([prompted.context], lr=config.lr, momentum=config.momentum)
        epochs = config.epochs or _usual_epochs(int(torch.bincount(labels).max()))
        num_batches = -(-len(pictures) // config.batch_size)
        for epoch in range(epochs):
            order = torch.from_numpy(stream(config.seed, "coop order", epoch).permutation(len(pictures)))
            for place, rows in enumerate(order.to(pictures.device).split(config.batch_size)):
                done = (epoch - 1 + place / num_batches) / max(epochs - 1, 1)
                optimizer.param_groups[0]["lr"] = cosine(done, config.lr, 0.0) if epoch else config.warmup_lr
                logits = scale * pictures[rows] @ prompted().T
                loss = functional.cross_entropy(logits, wanted[rows])
                # Of the context alone: gradients of the encoder's weights would be computed for nothing.
                (prompted.context.grad,) = torch.autograd.grad(loss, [prompted.context])
                optimizer.step()


def _usual_epochs(shots: int) -> int:
    return _EPOCHS[(shots > _FEW_SHOTS) + (shots > _MANY_SHOTS)]
