"""The fast recipe in PyTorch, for comparison: `python fast_torch.py REQUEST` prints one line of JSON for each epoch.

A request holds `data` (the folder of CIFAR-10's binary files), `epochs` (of the schedule), `stop` (epochs that are
trained), `seed`, `threads` and `layout` (nchw or nhwc). Modules of test/parity must be on the path. An answer holds the
seconds of an epoch; the last one also the accuracy on the test images and the seconds that the test took.
"""

import json
import pathlib
import sys
import time

import numpy as np
import torch
import torch.nn.functional as F

from references import all_references

BATCH, LR, MOMENTUM, DECAY, BIAS, SMOOTHING = 1000, 11.5, 0.85, 0.0153, 64, 0.2
RISE, FIRST, LAST, SHIFT = 0.23, 0.2, 0.07, 2


def pictures(folder, files):
    rows = np.concatenate([np.fromfile(folder / name, np.uint8).reshape(-1, 3073) for name in files])
    return torch.from_numpy(rows[:, 1:].reshape(-1, 3, 32, 32).copy()).float() / 255, torch.from_numpy(rows[:, 0]).long()


def whiten(conv, images):
    """Eigenvectors of the second moments of 2×2 patches over the root of their eigenvalues, and the negatives."""
    patches = images[:5000].unfold(2, 2, 1).unfold(3, 2, 1).permute(0, 2, 3, 1, 4, 5).reshape(-1, 12).double()
    values, vectors = torch.linalg.eigh(patches.T @ patches / len(patches))
    filters = (vectors / (values + 5e-4).sqrt()).flip(1).T.reshape(12, 3, 2, 2).float()
    conv.weight.data.copy_(torch.cat([filters, -filters]))
    conv.weight.requires_grad_(False)
    torch.nn.init.zeros_(conv.bias)


def augmented(images, epoch, mirrored, generator):
    """Shifts over a reflected border; half of the pictures are mirrored, and the others in the next epoch."""
    n = len(images)
    padded = F.pad(images, (SHIFT,) * 4, "reflect")
    windows = padded.unfold(2, 32, 1).unfold(3, 32, 1)
    shift = torch.randint(2 * SHIFT + 1, (2, n), generator=generator)
    out = windows[torch.arange(n), :, shift[0], shift[1]]
    flip = mirrored if epoch % 2 == 0 else ~mirrored
    return torch.where(flip[:, None, None, None], out.flip(3), out)


def optimizer(model):
    """Rates and decays are stated for a thousand steps of 1024 pictures, apart from momentum."""
    lr = LR * (BATCH / 1024) / (1 + 1 / (1 - MOMENTUM))
    learned = [(n, p) for n, p in model.named_parameters() if p.requires_grad]
    biases = [p for n, p in learned if "norm" in n]
    others = [p for n, p in learned if "norm" not in n]
    groups = [{"params": biases, "lr": lr * BIAS, "weight_decay": DECAY / LR / BIAS},
              {"params": others, "lr": lr, "weight_decay": DECAY / LR}]
    return torch.optim.SGD(groups, momentum=MOMENTUM, nesterov=True)


def factor(step, steps):
    return float(np.interp(step, [0, RISE * steps, steps], [FIRST, 1, LAST]))


def views(images):
    """Six: as they are, moved by a pixel to the upper left and to the lower right, and the mirror images of the three."""
    padded = F.pad(images, (1,) * 4, "reflect")
    for first in (1, 2, 0):
        moved = padded[:, :, first : first + 32, first : first + 32]
        yield from (moved, moved.flip(3))


@torch.no_grad()
def accuracy(model, images, labels, layout):
    model.eval()
    hits = 0
    for x, y in zip(images.split(1000), labels.split(1000)):
        answer = sum(model(view.contiguous(memory_format=layout)).softmax(1) for view in views(x))
        hits += (answer.argmax(1) == y).sum().item()
    return hits / len(images)


def main():
    request = json.loads(sys.argv[1])
    epochs, seed, folder = request["epochs"], request["seed"], pathlib.Path(request["data"])
    layout = torch.channels_last if request["layout"] == "nhwc" else torch.contiguous_format
    torch.set_num_threads(request["threads"])
    x, y = pictures(folder, [f"data_batch_{i}.bin" for i in range(1, 6)])
    x_test, y_test = pictures(folder, ["test_batch.bin"])
    mean, std = (f(x, (0, 2, 3))[None, :, None, None] for f in (torch.mean, torch.std))
    x, x_test = (x - mean) / std, (x_test - mean) / std

    torch.manual_seed(seed)
    model = all_references()["airbench94", "cifar"].make(10)
    for name, p in model.named_parameters():
        if p.dim() == 4 and name != "whiten.weight":
            torch.nn.init.dirac_(p[: p.shape[1]])
    whiten(model.whiten, x)
    model.to(memory_format=layout)
    sgd = optimizer(model)
    rates = [group["lr"] for group in sgd.param_groups]
    generator = torch.Generator().manual_seed(seed)
    mirrored = torch.rand(len(x), generator=generator) < 0.5
    slow = {n: t.clone() for n, t in model.state_dict().items() if t.is_floating_point()}
    per_epoch = len(x) // BATCH
    steps, step = epochs * per_epoch, 0
    for epoch in range(request["stop"]):
        begin = time.perf_counter()
        model.train()
        order = torch.randperm(len(x), generator=generator)
        shown = augmented(x, epoch, mirrored, generator)
        for batch in order[: per_epoch * BATCH].split(BATCH):
            for group, rate in zip(sgd.param_groups, rates):
                group["lr"] = rate * factor(step, steps)
            out = model(shown[batch].contiguous(memory_format=layout))
            loss = F.cross_entropy(out, y[batch], label_smoothing=SMOOTHING)
            sgd.zero_grad(set_to_none=True)
            loss.backward()
            sgd.step()
            step += 1
            if step % 5 == 0 or step == steps:
                keep = 0.95**5 * (step / steps) ** 3
                with torch.no_grad():
                    for name, fast in model.state_dict().items():
                        if name in slow:
                            slow[name].mul_(keep).add_(fast, alpha=1 - keep)
                            fast.copy_(slow[name])
        answer = {"epoch": epoch + 1, "seconds": time.perf_counter() - begin, "loss": loss.item()}
        if epoch + 1 == epochs:
            begin = time.perf_counter()
            answer["accuracy"] = accuracy(model, x_test, y_test, layout)
            answer["testSeconds"] = time.perf_counter() - begin
        print(json.dumps(answer | {"version": torch.__version__}), flush=True)


if __name__ == "__main__":
    main()
