"""BLIP as it is trained: finds texts by pictures, tells whether they belong together, and writes captions.

The text side that reads and the one that writes share all but their tokens' attention to each other.

Paper: Li et al., 2022, arXiv 2201.12086, sections 3.1 and 3.2.
"""

from __future__ import annotations

from chiasm.core.features import Features
from chiasm.heads import med_writer
from chiasm.models import blip_matcher
from chiasm.models._writing import Writing
from chiasm.models.blip_captioner import Captioning, HowCaptionsRun
from chiasm.trunks.med import Settings


class Config(HowCaptionsRun, blip_matcher.Config):
    """What the whole is made of: a matcher, whose text side also writes, and how captions begin and end."""

    def build(self) -> Blip:
        """A model with random weights.

        Raises:
            InputError: the text side cannot look at the pictures, or the two sides end in vectors of different widths.
        """
        return Blip(self)


class Blip(blip_matcher.BlipMatcher):
    """Pictures and texts in, how well each goes with each out; and captions."""

    tasks = (*blip_matcher.BlipMatcher.tasks, "caption", "describe")

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self._captions = config
        shared = {name: getattr(config.text.trunk, name) for name in Settings.model_fields}
        self.writer = med_writer.Config(**shared).build(self.image_encoder.trunk.embed_dim)
        self.writer.trunk.share(self.reader)

    @property
    def writing(self) -> Writing[Features]:
        return Captioning(self.image_encoder, self.writer, self._captions)
