"""Zero-shot evaluation of a CLIP ViT-B/32 with random weights: chiasm cold and warm against TTI-Eval's way, in one run.

    python benchmarks/zeroshot.py --photos imagenet-sample-images/ [--images 500] [--templates 80] [--rounds 1]
                                  [--contenders "one by one" cold warm]

`--photos` holds JPEGs called `ID_CLASS.jpg` (imagenet-sample-images has one of each class of ImageNet). They are put
into one folder per class; all classes are asked about with so many of the 80 templates for ImageNet. Model and
tokenizer are made on the spot. Contenders run in turn in processes of their own, on all cores:

    one by one   processor and model of transformers: picture by picture, and all sentences of a class at a time
    in batches   the same model in the way of CLIP_benchmark: pictures from a loader with workers, 64 at a time; the
                 sentences of a class as rows of 77 tokens, as open_clip's tokenizer makes them
    cold         `chiasm.evaluate.zeroshot` with an empty cache
    warm         the same again, with what the cold run left

Seconds are those from the loaded model to the accuracy, then those of all cores together, which a busy machine distorts
least, then those of the whole process: Python, libraries and weights included. Ratios are against the first contender,
and how many of its answers the others give is told.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from chiasm.data.prompts import SETS, prompts
from chiasm.surfaces.cli import WAITING

ONE_BY_ONE, IN_BATCHES, COLD, WARM = "one by one", "in batches", "cold", "warm"
AIMS = {COLD: 3.0, WARM: 50.0}
SPECIALS = ("<|startoftext|>", "<|endoftext|>")


def library(name: str) -> Any:
    """A library that chiasm itself does without."""
    return importlib.import_module(name)


def class_folders(photos: Path, num_images: int, folder: Path) -> None:
    """Links to the first pictures, each in the folder of its class."""
    for file in sorted(photos.glob("*.jpg"))[:num_images]:
        place = folder / file.stem.partition("_")[2]
        place.mkdir(parents=True, exist_ok=True)
        (place / file.name).symlink_to(file.resolve())


def sentences_of(folder: Path, num_templates: int) -> list[tuple[str, ...]]:
    """The sentences about each class, in the order of the classes."""
    names = sorted(place.name for place in folder.iterdir())
    return [prompts(name, SETS["imagenet"][:num_templates]) for name in names]


def make_model(folder: Path, sentences: list[tuple[str, ...]]) -> None:
    """A CLIP of the published size, with byte pairs in which common words are one token, as in the published ones."""
    import torch
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE(end_of_word_suffix="</w>", continuing_subword_prefix=""))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.WhitespaceSplit(),
            pre_tokenizers.Punctuation(),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=20_000,
        initial_alphabet=alphabet,
        end_of_word_suffix="</w>",
        continuing_subword_prefix="",
        show_progress=False,
    )
    tokenizer.train_from_iterator((text for own in sentences for text in own), trainer)
    model = json.loads(tokenizer.to_str())["model"]
    words = model["vocab"]
    for token in (*sorted(letter + "</w>" for letter in alphabet), *SPECIALS):
        words.setdefault(token, len(words))
    transformers = library("transformers")
    folder.mkdir()
    (folder / "vocab.json").write_text(json.dumps(words), encoding="utf-8")
    merges = [" ".join(pair) for pair in model["merges"]]
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *merges, ""]), encoding="utf-8")
    start, end = (words[token] for token in SPECIALS)
    torch.manual_seed(0)
    text = {"bos_token_id": start, "eos_token_id": end, "pad_token_id": end}
    transformers.CLIPModel(transformers.CLIPConfig(text_config=text)).save_pretrained(folder)
    transformers.CLIPTokenizer.from_pretrained(folder).save_pretrained(folder)
    transformers.CLIPImageProcessorPil().save_pretrained(folder)


class Peer:
    """The model of transformers with its processors."""

    def __init__(self, model: Path) -> None:
        transformers = library("transformers")
        self._model = transformers.CLIPModel.from_pretrained(model).eval()
        self._pictures = transformers.CLIPImageProcessorPil.from_pretrained(model)
        self._words = transformers.CLIPTokenizer.from_pretrained(model)

    def pixels(self, file: Path) -> Any:
        """A picture as the model takes it."""
        from PIL import Image

        return self._pictures(images=Image.open(file).convert("RGB"), return_tensors="pt").pixel_values

    def see(self, pixels: Any) -> np.ndarray:
        """Unit vectors of pictures."""
        vectors = self._model.get_image_features(pixel_values=pixels).pooler_output
        return (vectors / vectors.norm(dim=1, keepdim=True)).numpy()

    def read(self, sentences: tuple[str, ...], **tokens: Any) -> np.ndarray:
        """Unit vector of a class."""
        rows = self._words(list(sentences), return_tensors="pt", **tokens)
        vectors = self._model.get_text_features(**rows).pooler_output
        mean = (vectors / vectors.norm(dim=1, keepdim=True)).mean(dim=0)
        return (mean / mean.norm()).numpy()


def labelled(data: Path) -> list[tuple[Path, int]]:
    """All pictures with the numbers of their classes."""
    return [(file, label) for label, place in enumerate(sorted(data.iterdir())) for file in sorted(place.iterdir())]


def judged(found: np.ndarray, classes: list[np.ndarray], labels: list[int]) -> dict[str, Any]:
    """What a contender answers."""
    answers = (found @ np.stack(classes).T).argmax(axis=1)
    return {"accuracy": float((answers == np.array(labels)).mean()), "answers": answers.tolist()}


def run_one_by_one(model: Path, data: Path, num_templates: int, _: Path) -> Callable[[], dict[str, Any]]:
    """The way of TTI-Eval's evaluators, with several templates: a loop over pictures, a loop over classes."""
    import torch

    peer, pictures = Peer(model), labelled(data)

    def evaluate() -> dict[str, Any]:
        with torch.inference_mode():
            found = [peer.see(peer.pixels(file))[0] for file, _ in pictures]
            classes = [peer.read(own, padding=True) for own in sentences_of(data, num_templates)]
        return judged(np.stack(found), classes, [label for _, label in pictures])

    return evaluate


def run_in_batches(model: Path, data: Path, num_templates: int, _: Path) -> Callable[[], dict[str, Any]]:
    """The way of CLIP_benchmark: a loader of pictures, a loop over classes, rows of one length."""
    import torch
    from torch.utils.data import DataLoader

    peer, pictures = Peer(model), labelled(data)

    def collated(files: list[Path]) -> Any:
        return torch.cat([peer.pixels(file) for file in files])

    def evaluate() -> dict[str, Any]:
        files = [file for file, _ in pictures]
        loader = DataLoader(files, batch_size=64, num_workers=os.cpu_count() or 1, collate_fn=collated)  # pyright: ignore[reportArgumentType]
        with torch.inference_mode():
            found = np.concatenate([peer.see(pixels) for pixels in loader])
            rows = {"padding": "max_length", "max_length": 77, "truncation": True}
            classes = [peer.read(own, **rows) for own in sentences_of(data, num_templates)]
        return judged(found, classes, [label for _, label in pictures])

    return evaluate


def run_chiasm(model: Path, data: Path, num_templates: int, cache: Path) -> Callable[[], dict[str, Any]]:
    """The evaluation that `chiasm evaluate zeroshot` calls."""
    from chiasm.data.open import open_judged
    from chiasm.data.vector_store import VectorStore
    from chiasm.evaluate.zeroshot import answers_in_words, zeroshot
    from chiasm.serve.encoder import open_encoder

    encoder, store = open_encoder(str(model)), VectorStore(cache)
    templates = SETS["imagenet"][:num_templates]

    def evaluate() -> dict[str, Any]:
        source = open_judged(str(data))
        found = zeroshot([encoder], data=[source], templates=templates, cache=store)
        # Untimed for the one who measures: the answers, from what was just kept.
        return {"accuracy": found.results[0].scores.accuracy.value, "later": lambda: answers_of(source)}

    def answers_of(source: Any) -> list[int]:
        from chiasm.data.remembered import Remembered

        found = answers_in_words(Remembered(encoder, store), source, None, templates)
        return found.probabilities.argmax(axis=1).tolist()

    return evaluate


CONTENDERS = {ONE_BY_ONE: run_one_by_one, IN_BATCHES: run_in_batches, COLD: run_chiasm, WARM: run_chiasm}


def work(contender: str, model: str, data: str, num_templates: str, cache: str) -> None:
    """One contender's run, told as JSON; runs in a process of its own."""
    evaluate = CONTENDERS[contender](Path(model), Path(data), int(num_templates), Path(cache))
    start, cores = time.perf_counter(), time.process_time()
    answer = evaluate()
    answer |= {"seconds": time.perf_counter() - start, "core_seconds": time.process_time() - cores}
    later = answer.pop("later", None)
    if later is not None:
        answer["answers"] = later()
    print(json.dumps(answer))


def started(contender: str, *words: str) -> dict[str, Any]:
    """Run a contender; its answer and the seconds of its whole process."""
    environment = {**WAITING, **os.environ}
    line = [sys.executable, __file__, "--worker", contender, *words]
    start = time.perf_counter()
    done = subprocess.run(line, capture_output=True, text=True, env=environment, check=False)
    whole = time.perf_counter() - start
    if done.returncode:
        raise SystemExit((done.stderr.strip().splitlines() or [f"{contender} failed"])[-1])
    return {**json.loads(done.stdout.splitlines()[-1]), "whole": whole}


def run(options: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        data, model = scratch / "data", scratch / "model"
        class_folders(options.photos, options.images, data)
        sentences = sentences_of(data, options.templates)
        make_model(model, sentences)
        print(f"{options.images} pictures, {len(sentences)} classes x {options.templates} templates")
        best: dict[str, dict[str, Any]] = {}
        for number in range(options.rounds):
            for name in options.contenders:
                cache = scratch / f"cache-{number}"
                answer = started(name, str(model), str(data), str(options.templates), str(cache))
                if name not in best or answer["seconds"] < best[name]["seconds"]:
                    best[name] = answer
        report(best)


def report(best: dict[str, dict[str, Any]]) -> None:
    """Seconds, ratios and whether the answers are the same."""
    reference = next(iter(best.values()))
    for name, answer in best.items():
        same = np.mean(np.array(answer["answers"]) == np.array(reference["answers"]))
        ratio, of_cores = (reference[what] / answer[what] for what in ("seconds", "core_seconds"))
        aim = f", aim {AIMS[name]:.0f} x" if name in AIMS else ""
        print(
            f"  {name:12s}{answer['seconds']:9.2f} s {ratio:7.1f} x {answer['core_seconds']:9.2f} core-seconds "
            f"{of_cores:7.1f} x{aim}   whole {answer['whole']:.1f} s   "
            f"accuracy {answer['accuracy']:.4f}, same answers {same:.1%}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--photos", type=Path, help="a folder of JPEGs called ID_CLASS.jpg")
    parser.add_argument("--images", type=int, default=500)
    parser.add_argument("--templates", type=int, default=80)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--contenders", nargs="+", choices=CONTENDERS, default=list(CONTENDERS), metavar="NAME")
    parser.add_argument("--worker", nargs=5, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        work(*options.worker)
    elif options.photos is None:
        raise SystemExit("--photos is needed: a folder of JPEGs called ID_CLASS.jpg")
    else:
        run(options)


if __name__ == "__main__":
    main()
