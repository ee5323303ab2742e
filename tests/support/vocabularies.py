"""Small tokenizers, trained on the spot as the real ones were."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

START, END = "<|startoftext|>", "<|endoftext|>"
SENTENCE = "a photo of the red green blue circle square cat dog big small many don't they'll naïve café"

# Texts that find out what a tokenizer does with what people and the web write.
NASTY = [
    "a photo of a cat",
    "",
    "   ",
    "Hello   World\n\tline",
    "don't  WON'T they'll I'd",
    "café naïve Ünïcödé",
    "cafe\u0301 in two parts",
    "emoji 😀 and a family 👩\u200d👩\u200d👧",
    "html &amp; &lt;b&gt; &quot;x&quot; &#39; &amp;amp;",
    "<b>tag &amp; more</b>",
    "“curly” \u2018quotes\u2019 „low‟ don\u2019t",
    "ﬁne ﬂow ﬆ ǆ ŉ",
    "Ｆｕｌｌ\u3000ｗｉｄｔｈ",
    "日本語のテキスト",
    "Straße İstanbul",
    "a\u00a0b\u2009c\u200bd",
    "tab\x07bell\x1b[31mred\x1b[0m \ufeffmark",
    "1234 5.6 7,8 ½",
    "under_score-hyphen!!??...",
    "line\r\nbreak\u2028sep\x85next",
    "a red circle " * 200,
    "z" * 300,
]


def clip_tokenizer() -> Tokenizer:
    """Byte pairs over whole words, as CLIP's, with its two special tokens at the end; always the same."""
    return Tokenizer.from_str(_clip_vocabulary())


@cache
def _clip_vocabulary() -> str:
    tokenizer = Tokenizer(models.BPE(end_of_word_suffix="</w>", continuing_subword_prefix="", unk_token=END))
    blanks = normalizers.Replace(Regex(r"\s+"), " ")
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFC(), blanks, normalizers.Lowercase()])
    pieces = r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
    split = pre_tokenizers.Split(Regex(pieces), behavior="removed", invert=True)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(add_prefix_space=False)])
    tokenizer.decoder = decoders.BPEDecoder(suffix="</w>")
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=600, initial_alphabet=alphabet, end_of_word_suffix="</w>", continuing_subword_prefix=""
    )
    tokenizer.train_from_iterator([SENTENCE] * 4, trainer)
    # Letters that end a word are tokens of their own, as in the real vocabulary.
    state = json.loads(tokenizer.to_str())
    words = state["model"]["vocab"]
    for token in (*sorted(letter + "</w>" for letter in alphabet), START, END):
        words.setdefault(token, len(words))
    finished = Tokenizer.from_str(json.dumps(state))
    finished.add_special_tokens([START, END])
    specials = [(START, words[START]), (END, words[END])]
    finished.post_processor = processors.TemplateProcessing(single=f"{START} $A {END}", special_tokens=specials)
    return finished.to_str()


def clip_files(folder: Path) -> dict[str, int]:
    """The same as the older two files, `vocab.json` and `merges.txt`; returns the numbers of its tokens."""
    model = json.loads(clip_tokenizer().to_str())["model"]
    (folder / "vocab.json").write_text(json.dumps(model["vocab"]), encoding="utf-8")
    merges = [" ".join(pair) for pair in model["merges"]]
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *merges, ""]), encoding="utf-8")
    return model["vocab"]


def gemma_files() -> tuple[dict[str, int], list[tuple[str, str]]]:
    """Vocabulary and merges like Gemma's: bytes for what has no token, blanks that are letters."""
    letters = sorted(set(SENTENCE.replace(" ", "\u2581")))
    tokens = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", *(f"<0x{byte:02X}>" for byte in range(256)), *letters]
    merges = [("e", "d"), ("r", "ed"), ("\u2581", "red"), ("a", "\u2581"), ("c", "a"), ("ca", "t")]
    return {token: number for number, token in enumerate([*tokens, *map("".join, merges)])}, merges


def bert_files(folder: Path) -> dict[str, int]:
    """Word pieces like BERT's as `vocab.txt`, with BLIP's two tokens at the end; returns the numbers of its tokens."""
    letters = sorted(set("abcdefghijklmnopqrstuvwxyz0123456789'?!.,-&;<>/"))
    words = f"{SENTENCE} picture of what is it two yes no ##s ##ing colour".replace("naïve", "naive").split()
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *(f"##{letter}" for letter in letters)]
    lines = list(dict.fromkeys([*tokens, *words, "[DEC]", "[ENC]"]))
    (folder / "vocab.txt").write_text("\n".join([*lines, ""]), encoding="utf-8")
    return {line: number for number, line in enumerate(lines)}
