"""A vocabulary of one's own: byte pairs learned from the texts that a model is trained on.

Paper: Sennrich, Haddow, Birch, 2015, arXiv 1508.07909, section 3.2; bytes as the alphabet, so that no text is unknown:
Radford et al., "Language Models are Unsupervised Multitask Learners", 2019, section 2.2.
Differs: letters are made small first, as CLIP does (arXiv 2103.00020, section 2.4).
"""

from __future__ import annotations

from collections.abc import Iterable

from chiasm.core.marks import END, MARKS, START


def learn_vocabulary(texts: Iterable[str], size: int) -> str:
    """Byte pairs of texts, as JSON that the library `tokenizers` reads; the same for the same texts.

    Args:
        texts: of the kind that shall be read.
        size: most tokens; fewer come where the texts have no more to tell. At least 256 bytes and the marks are there.
    """
    # Imported late: whoever trains without texts needs none.
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

    found = Tokenizer(models.BPE())
    found.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    found.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    found.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        min_frequency=2,
        special_tokens=list(MARKS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    found.train_from_iterator(texts, trainer)
    ends = [(mark, found.token_to_id(mark)) for mark in (START, END)]
    found.post_processor = processors.TemplateProcessing(single=f"{START} $A {END}", special_tokens=ends)
    return found.to_str()
