"""A whole step of pretraining: chiasm against lightly, lightly-train and transformers, same trunk, photos and crops.

    python benchmarks/pretrain.py --photos FOLDER [--peer-python env/bin/python] [--rounds 2]

ViT-Ti/16 at 224 px in float32 with random weights. Every contender is a process of its own on all cores and all take
turns; the best round of each counts. Seconds are those between one step of the optimiser and the next, so that a step
is everything: photos decoded and augmented, forward, backward, optimiser, teacher. "Data ready" is the same with one
batch over and over. The peers run under `--peer-python`; one whose library is missing is named and left out.

    chiasm DINO         `recipes.dino`, 2 views of 224 px and 6 of 96 px, as many prototypes as the recipe takes
    lightly             the loop of its documentation: DINOTransform, DINOProjectionHead, DINOLoss, a DataLoader
    lightly-train       its `pretrain(method="dino")` as it comes, with the same areas, views and prototypes
    chiasm MAE          `recipes.mae`, its decoder fitted to the trunk
    chiasm MAE 512x8    the same with the paper's decoder
    transformers        ViTMAEForPreTraining with the paper's decoder; torchvision's transforms, a plain loop
    transformers small  the same with the decoder that chiasm's recipe takes

The peers of DINO share one trunk, transformers' ViTModel. Peers' loaders have two processes. The ceiling is the speed
of this machine's matrix products in float32, alone; a contender's share of it counts the operations of chiasm's model
of the same sizes.
"""

from __future__ import annotations

import argparse
import copy
import importlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.optimizer import register_optimizer_step_post_hook
from torch.utils.data import DataLoader
from torch.utils.flop_counter import FlopCounterMode

IMAGE_PX, LOCAL_PX, PATCH_PX, NUM_LOCAL = 224, 96, 16, 6
GLOBAL_AREAS, LOCAL_AREAS, MAE_AREAS = (0.4, 1.0), (0.05, 0.4), (0.2, 1.0)
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
WIDTH, DEPTH, HEADS = 192, 12, 3
PAPER_DECODER, FITTED_DECODER = (512, 8, 16), (256, 4, 8)
WARM_STEPS = 2
PEER_WORKERS = 2


@dataclass(frozen=True)
class Job:
    """What a contender is told.

    Attributes:
        photos: a folder of JPEGs.
        batch_size: photos of a step.
        steps: of the optimiser, the first few of which do not count.
        data_ready: whether one batch comes over and over.
        prototypes: of the DINO head.
    """

    photos: Path
    batch_size: int
    steps: int
    data_ready: bool
    prototypes: int


def library(name: str) -> Any:
    """A library of the peers, which need not be installed here."""
    return importlib.import_module(name)


def files_of(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg"))


def chiasm_trunk() -> Any:
    from chiasm.layers.patch import Linear
    from chiasm.trunks import vit

    return vit.Config(size="tiny", image_size=IMAGE_PX, patch_size=PATCH_PX, stem=Linear())


def chiasm_method(name: str, prototypes: int) -> Any:
    """The objective's settings for a contender of ours."""
    from chiasm.heads import masked_decoder
    from chiasm.heads import prototypes as heads
    from chiasm.objectives import dino, mae
    from chiasm.objectives._crops import Crops

    if name == "chiasm DINO":
        crops = Crops(num_local=NUM_LOCAL, local_size_px=LOCAL_PX)
        return dino.Config(crops=crops, head=heads.Config(num_prototypes=prototypes))
    width, depth, num_heads = PAPER_DECODER if "512" in name else FITTED_DECODER
    return mae.Config(decoder=masked_decoder.Config(embed_dim=width, depth=depth, num_heads=num_heads))


def run_chiasm(name: str, job: Job) -> None:
    """A recipe from the photos; or its engine on one batch over and over."""
    from chiasm.data.open import open_source
    from chiasm.recipes import dino, mae

    run, usual = (dino.dino, dino.ENGINE) if "DINO" in name else (mae.mae, mae.ENGINE)
    quiet = {"num_probes": 0, "log_every": 10_000, "checkpoint_minutes": 10_000.0, "precision": "fp32"}
    settings = usual.model_copy(update={"batch_size": job.batch_size, **quiet})
    objective = chiasm_method(name, job.prototypes)
    source = open_source(str(job.photos))
    with tempfile.TemporaryDirectory() as folder:
        if job.data_ready:
            on_one_batch(objective, settings, source, job, Path(folder))
        else:
            out = Path(folder) / "run"
            run(source, out, trunk=chiasm_trunk(), objective=objective, engine=settings, steps=job.steps)


def on_one_batch(objective: Any, settings: Any, source: Any, job: Job, folder: Path) -> None:
    from chiasm.data.skipped import Skipped
    from chiasm.data.views import ViewLoader
    from chiasm.engine.budget import Steps
    from chiasm.engine.loop import Engine

    built = objective.build(chiasm_trunk().build())
    loader = ViewLoader(source, built.views(), job.batch_size, seed=0, num_threads=1, skipped=Skipped())
    batch = loader.batch(0)

    class Same:
        def iterate(self, first_step: int) -> Iterator[Any]:
            del first_step
            while True:
                yield batch

    print(json.dumps({"gflops": operations(built, batch) / job.batch_size}), flush=True)
    batches: Any = Same()
    Engine(settings, Steps(job.steps), folder).fit(built, batches, resume=False)


def operations(objective: Any, batch: Any) -> float:
    """Gigaflops of one step, counted by PyTorch, with fused attention, which it cannot count on a CPU, written out."""
    from chiasm.layers import attention

    fused, counter = attention.fused_attention, FlopCounterMode(display=False)
    attention.fused_attention = attention.explicit_attention
    with counter:
        objective(batch, 0.0).total.backward()
    attention.fused_attention = fused
    objective.zero_grad()
    return counter.get_total_flops() / 1e9


class Photos:
    """A data set for the peers' DataLoader: what a transform makes of each photo."""

    def __init__(self, folder: Path, transform: Callable[[Any], Any]) -> None:
        self.files = files_of(folder)
        self.transform = transform

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> Any:
        from PIL import Image

        return self.transform(Image.open(self.files[index]).convert("RGB"))


def peer_batches(job: Job, transform: Callable[[Any], Any]) -> Iterator[Any]:
    """Batches without end, made by a DataLoader; or the first of them over and over."""
    data: Any = Photos(job.photos, transform)
    loader = DataLoader(data, job.batch_size, shuffle=True, drop_last=True, num_workers=PEER_WORKERS)
    if job.data_ready:
        batch = next(iter(loader))
        while True:
            yield batch
    while True:
        yield from loader


class PeerTrunk(nn.Module):
    """ViT-Ti of transformers; pictures of any size in, tokens out."""

    def __init__(self) -> None:
        super().__init__()
        transformers = library("transformers")
        shape = {"hidden_size": WIDTH, "num_hidden_layers": DEPTH, "num_attention_heads": HEADS}
        config = transformers.ViTConfig(**shape, intermediate_size=4 * WIDTH, image_size=IMAGE_PX, patch_size=PATCH_PX)
        self.inner = transformers.ViTModel(config, add_pooling_layer=False)

    def forward(self, images: Tensor) -> Tensor:
        other_size = images.shape[-1] != IMAGE_PX
        return self.inner(images, interpolate_pos_encoding=other_size).last_hidden_state


class WrappedTrunk(nn.Module):
    """The same as lightly-train asks for it."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = PeerTrunk()

    def get_model(self) -> nn.Module:
        return self.trunk

    def feature_dim(self) -> int:
        return WIDTH

    def architecture_info(self) -> dict[str, str]:
        return {"model_type": "transformer", "norm_type": "layernorm"}

    def forward_features(self, x: Tensor) -> dict[str, Tensor]:
        tokens, side = self.trunk(x), x.shape[-1] // PATCH_PX
        patches = tokens[:, 1:].transpose(1, 2).unflatten(2, (side, side))
        return {"features": patches, "cls_token": tokens[:, 0]}

    def forward_pool(self, x: dict[str, Tensor]) -> dict[str, Tensor]:
        return {"pooled_features": x["cls_token"][..., None, None]}


def run_lightly(job: Job) -> None:
    """The loop of lightly's example of DINO: one view after the other, two moving averages."""
    heads, utils = library("lightly.models.modules"), library("lightly.models.utils")
    transform = library("lightly.transforms.dino_transform").DINOTransform(
        global_crop_size=IMAGE_PX, local_crop_size=LOCAL_PX, n_local_views=NUM_LOCAL
    )
    loss_of = library("lightly.loss").DINOLoss(output_dim=job.prototypes, warmup_teacher_temp_epochs=5)
    student, head = PeerTrunk(), heads.DINOProjectionHead(WIDTH, 2048, 256, job.prototypes, freeze_last_layer=1)
    teacher, teacher_head = copy.deepcopy(student), heads.DINOProjectionHead(WIDTH, 2048, 256, job.prototypes)
    for part in (teacher, teacher_head):
        utils.deactivate_requires_grad(part)
    optimizer = torch.optim.AdamW([*student.parameters(), *head.parameters()], lr=1e-4)
    batches = peer_batches(job, transform)
    for _ in range(job.steps):
        utils.update_momentum(student, teacher, m=0.99)
        utils.update_momentum(head, teacher_head, m=0.99)
        views = next(batches)
        with torch.no_grad():
            taught = [teacher_head(teacher(view)[:, 0]) for view in views[:2]]
        scores = [head(student(view)[:, 0]) for view in views]
        loss = loss_of(taught, scores, epoch=0)
        loss.backward()
        head.cancel_last_layer_gradients(current_epoch=0)
        optimizer.step()
        optimizer.zero_grad()


def run_lightly_train(job: Job) -> None:
    """Its command as a function, around the peers' trunk."""
    if job.data_ready:
        raise SystemExit("it takes photos alone")
    os.environ["LIGHTLY_TRAIN_EVENTS_DISABLED"] = "1"

    def areas(pair: tuple[float, float]) -> dict[str, float]:
        return {"min_scale": pair[0], "max_scale": pair[1]}

    with tempfile.TemporaryDirectory() as folder:
        epochs = -(-job.steps * job.batch_size // len(files_of(job.photos)))
        library("lightly_train").pretrain(
            out=folder + "/run",
            data=str(job.photos),
            model=WrappedTrunk(),
            method="dino",
            method_args={"output_dim": job.prototypes},
            epochs=epochs,
            batch_size=job.batch_size,
            num_workers=PEER_WORKERS,
            accelerator="cpu",
            trainer_args={"max_steps": job.steps},
            transform_args={
                "image_size": (IMAGE_PX, IMAGE_PX),
                "random_resize": areas(GLOBAL_AREAS),
                "local_view": {
                    "num_views": NUM_LOCAL,
                    "view_size": (LOCAL_PX, LOCAL_PX),
                    "random_resize": areas(LOCAL_AREAS),
                },
            },
        )


def run_transformers(decoder: tuple[int, int, int], job: Job) -> None:
    """A plain loop; transforms as in transformers' example of MAE pretraining."""
    transformers, transforms = library("transformers"), library("torchvision.transforms")
    width, depth, num_heads = decoder
    config = transformers.ViTMAEConfig(
        hidden_size=WIDTH,
        num_hidden_layers=DEPTH,
        num_attention_heads=HEADS,
        intermediate_size=4 * WIDTH,
        image_size=IMAGE_PX,
        patch_size=PATCH_PX,
        decoder_hidden_size=width,
        decoder_num_hidden_layers=depth,
        decoder_num_attention_heads=num_heads,
        decoder_intermediate_size=4 * width,
        norm_pix_loss=True,
    )
    model = transformers.ViTMAEForPreTraining(config).train()
    bicubic = transforms.InterpolationMode.BICUBIC
    transform = transforms.Compose(
        [
            transforms.RandomResizedCrop(IMAGE_PX, scale=MAE_AREAS, interpolation=bicubic),
            transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
            transforms.Normalize(MEAN, STD),
        ]
    )
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, betas=(0.9, 0.95), weight_decay=0.05)
    batches = peer_batches(job, transform)
    for _ in range(job.steps):
        model(pixel_values=next(batches)).loss.backward()
        optimizer.step()
        optimizer.zero_grad()


CONTENDERS: dict[str, Callable[[Job], None]] = {
    "chiasm DINO": lambda job: run_chiasm("chiasm DINO", job),
    "lightly": run_lightly,
    "lightly-train": run_lightly_train,
    "chiasm MAE": lambda job: run_chiasm("chiasm MAE", job),
    "chiasm MAE 512x8": lambda job: run_chiasm("chiasm MAE 512x8", job),
    "transformers": lambda job: run_transformers(PAPER_DECODER, job),
    "transformers small": lambda job: run_transformers(FITTED_DECODER, job),
}
OPERATIONS_OF = {
    "lightly": "chiasm DINO",
    "lightly-train": "chiasm DINO",
    "transformers": "chiasm MAE 512x8",
    "transformers small": "chiasm MAE",
}
DINO, MAE = (
    ("chiasm DINO", "lightly", "lightly-train"),
    ("chiasm MAE", "chiasm MAE 512x8", "transformers", "transformers small"),
)


def work(contender: str, job: Job) -> None:
    """Photos a second of one contender, told as JSON; runs in a process of its own."""
    torch.manual_seed(0)
    moments: list[float] = []
    register_optimizer_step_post_hook(lambda *_: moments.append(time.perf_counter()))
    CONTENDERS[contender](job)
    spent = moments[-1] - moments[WARM_STEPS - 1]
    print(json.dumps({"rate": (len(moments) - WARM_STEPS) * job.batch_size / spent}))


def ceiling() -> float:
    """Gigaflops a second of the fastest of some matrix products in float32, best of five each."""
    best = 0.0
    for tokens, width, wider in ((3152, WIDTH, 4 * WIDTH), (4096, 384, 1536), (4096, 1024, 4096)):
        one, other = torch.randn(tokens, width), torch.randn(wider, width)
        for _ in range(5):
            start = time.perf_counter()
            torch.nn.functional.linear(one, other)
            best = max(best, 2 * tokens * width * wider / (time.perf_counter() - start) / 1e9)
    return best


def measured(options: argparse.Namespace, contender: str, data_ready: bool) -> dict[str, float] | str:
    """What one run in another process tells, or the last line of its complaint."""
    python = sys.executable if contender.startswith("chiasm") else options.peer_python
    words = ["--worker", contender, "--photos", str(options.photos), "--batch-size", str(options.batch_size)]
    words += ["--steps", str(options.steps), "--prototypes", str(options.prototypes)]
    # Sleeping instead of spinning threads for all, as the command chiasm has it.
    environment = {"OMP_WAIT_POLICY": "PASSIVE", "NO_ALBUMENTATIONS_UPDATE": "1", **os.environ}
    command = [python, __file__, *words, *(["--data-ready"] if data_ready else [])]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        return (done.stderr.strip().splitlines() or ["it failed"])[-1]
    answer: dict[str, float] = {}
    for line in done.stdout.splitlines():
        if line.startswith("{"):
            answer |= json.loads(line)
    return answer


def show(names: Sequence[str], best: dict[str, float], gflops: dict[str, float], limit: float) -> None:
    for name in names:
        if name not in best:
            continue
        share = best[name] * gflops.get(OPERATIONS_OF.get(name, name), 0.0) / limit
        ours = (one for one in names if one.startswith("chiasm") and one in best and one != name)
        versus = ", ".join(f"{one} is {best[one] / best[name]:.2f} x" for one in ours)
        print(f"  {name:20s}{best[name]:8.2f} photos/s {share:5.0%} of the ceiling   {versus}")


def compare(options: argparse.Namespace, data_ready: bool, gflops: dict[str, float]) -> None:
    """All contenders in turn, the best of several rounds of each, as a table."""
    names = [name for name in CONTENDERS if not options.only or name in options.only]
    best: dict[str, float] = {}
    left_out: dict[str, str] = {}
    limit = 0.0
    for _ in range(options.rounds):
        limit = max(limit, ceiling())
        for name in names:
            answer = measured(options, name, data_ready)
            if isinstance(answer, str):
                left_out[name] = answer
                continue
            best[name] = max(answer["rate"], best.get(name, 0.0))
            if "gflops" in answer:
                gflops[name] = answer["gflops"]
    print(f"{'data ready' if data_ready else 'from photos'}; ceiling {limit:.0f} GFLOP/s")
    for group in (DINO, MAE):
        show(group, best, gflops, limit)
    for name, why in left_out.items():
        print(f"  {name} is left out: {why}")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--photos", type=Path, required=True, help="a folder of JPEGs")
    parser.add_argument("--peer-python", default=sys.executable)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--steps", type=int, default=6, help=f"of which {WARM_STEPS} do not count")
    parser.add_argument("--prototypes", type=int, default=1024, help="what the recipe takes for up to 20,000 photos")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--only", nargs="*", choices=list(CONTENDERS), help="these contenders alone")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    parser.add_argument("--data-ready", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        job = Job(options.photos, options.batch_size, options.steps, options.data_ready, options.prototypes)
        work(options.worker, job)
        return
    print(f"ViT-Ti/{PATCH_PX}, {len(files_of(options.photos))} photos, batches of {options.batch_size}")
    gflops: dict[str, float] = {}
    for data_ready in (True, False):
        compare(options, data_ready, gflops)


if __name__ == "__main__":
    main()
