"""PyTorch's side of the parity checks: a reference for every network and form, its weights and what it answers.

Reads requests, one JSON a line, and answers each with one JSON a line; python.ts asks. Needs torch, torchvision, timm.
"""

import json
import pathlib
import sys
import warnings

import torch
import torch.nn.functional as F
from torch import nn

from formula import images, labels, value
from references import all_references

STEPS, BATCH = 3, 4


def norms(model):
    return [m for m in model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]


@torch.no_grad()
def randomise(model, side, channels, seed, damped=None):
    """Random weights that keep the variance; running statistics of a batch, then moved a little."""
    g = torch.Generator().manual_seed(seed)
    for name, p in model.named_parameters():
        if p.dim() > 1:
            p.normal_(0, (2 / p[0].numel()) ** 0.5, generator=g)
        elif name.endswith("bias"):
            p.normal_(0, 0.1, generator=g)
        else:
            p.normal_(1, 0.1, generator=g)
        if damped and name.endswith(damped):
            p *= 0.1
    momenta = [m.momentum for m in norms(model)]
    for m in norms(model):
        m.momentum = 1.0
    model.train()
    model(torch.randn(4, channels, side, side, generator=g))
    model.eval()
    for m, momentum in zip(norms(model), momenta):
        m.momentum = momentum
        m.running_mean += 0.1 * m.running_var.sqrt() * torch.randn(m.running_mean.shape, generator=g)
        # A channel that was dead in that batch would be multiplied by 1/√ε.
        m.running_var.clamp_(min=1e-2).mul_(0.8 + 0.5 * torch.rand(m.running_var.shape, generator=g))


def pixels(count, side, channels, dtype):
    return torch.from_numpy(images(count, side, side, channels)).permute(0, 3, 1, 2).to(dtype)


@torch.no_grad()
def logits(model, count, side, channels):
    model.eval()
    return model(pixels(count, side, channels, next(model.parameters()).dtype))


def loss_of(reference, model, x, y):
    out = model(x)
    outputs = list(out) if isinstance(out, tuple) else [out]
    weights = (1.0, *reference.auxiliary)
    assert len(outputs) == len(weights), "as many outputs as weights of the loss"
    return sum(w * F.cross_entropy(o, y) for w, o in zip(weights, outputs))


def train(reference, model, classes, lr=None):
    """Losses of three steps of SGD on one batch, and the learning rate.

    By default the rate at which the first step takes about a tenth of the loss away: with random weights, gradients
    of deep networks are so large that any usual rate would make the second step chaos in any precision.
    """
    model.train()
    x = pixels(BATCH, reference.side, reference.channels, next(model.parameters()).dtype)
    y = torch.tensor(labels(BATCH, classes))
    losses = []
    for _ in range(STEPS):
        loss = loss_of(reference, model, x, y)
        model.zero_grad(set_to_none=True)
        loss.backward()
        learned = [p for p in model.parameters() if p.grad is not None]
        if lr is None:
            lr = float(f"{0.1 * loss.item() / sum(p.grad.square().sum().item() for p in learned):.3g}")
        with torch.no_grad():
            for p in learned:
                p -= lr * p.grad
        losses.append(loss.item())
    model.zero_grad(set_to_none=True)
    return losses, lr


def statistics(reference, model):
    return {n: t.double().clone() for n, t in reference.state(model).items() if "running" in n}


def relative(a, truth):
    a, truth = (torch.as_tensor(v, dtype=torch.float64) for v in (a, truth))
    return ((a - truth).abs().max() / truth.abs().max()).item()


def truth(reference, model, classes):
    """Losses, rate and statistics of training in float64; the model is as it was."""
    state = {n: t.clone() for n, t in model.state_dict().items()}
    losses, lr = train(reference, model.double(), classes)
    after = statistics(reference, model)
    model.float().load_state_dict(state)
    return losses, lr, after


def rounding(reference, model, classes, losses, lr, after):
    """How far float32 is from the truth at most.

    On which side of a ReLU a value near 0 falls is luck: float32 runs twenty times, with weights a unit in the last
    place apart. (Of six runs the worst may be a quarter of that.)
    """
    state = {n: t.clone() for n, t in model.state_dict().items()}
    error = 0
    for run in range(20):
        model.load_state_dict(state)
        g = torch.Generator().manual_seed(run)
        with torch.no_grad():
            for p in model.parameters() if run > 0 else ():
                p *= 1 + 2**-23 * torch.randint(-1, 2, p.shape, generator=g)
        rough, _ = train(reference, model, classes, lr)
        moved = statistics(reference, model)
        error = max([error, relative(rough, losses)] + [relative(moved[n], t) for n, t in after.items()])
    model.load_state_dict(state)
    return error


# What the last answer was about, for the question how exact it can be.
last = ()


def answer(table, network, form, folder, batch):
    """Writes weights.pth (a state_dict) and after.pth (statistics after training in float64); returns the rest."""
    global last
    r, folder = table[network, form], pathlib.Path(folder)
    model = r.build(r.classes)
    randomise(model, r.full if r.full < 64 else max(r.side, 64), r.channels, r.seed, r.damped)
    torch.save(r.state(model), folder / "weights.pth")
    rough = logits(model, batch, r.full, r.channels)
    out = logits(model.double(), batch, r.full, r.channels)
    losses, lr, after = truth(r, model.float(), r.classes)
    last = (r, model, r.classes, losses, lr, after)
    torch.save({n: t.float() for n, t in after.items()}, folder / "after.pth")
    return {"source": r.source, "layout": r.layout, "side": r.side, "full": r.full, "channels": r.channels,
            "classes": r.classes, "logits": out.flatten().tolist(), "logitsError": relative(rough, out),
            "losses": losses, "lr": lr, "torch": torch.__version__}


def last_rounding(table):
    """How far PyTorch's own float32 is off in the training of the last answer."""
    return {"error": rounding(*last)}


def golden(table, network, form, trained):
    """Small answers in float64: weights by formula, ten classes; logits in evaluation, losses of three steps."""
    r = table[network, form]
    model = r.build(10)
    with torch.no_grad():
        for key, tensor in r.state(model).items():
            tensor.copy_(torch.from_numpy(value(key, tuple(tensor.shape))))
    nine = lambda values: [float(f"{v:.9g}") for v in values]
    entry = {"network": network, "form": form, "source": r.source, "layout": r.layout,
             "input": [r.side, r.side, r.channels]}
    if trained:
        losses, lr, after = truth(r, model, 10)
        error = rounding(r, model, 10, losses, lr, after)
        entry["steps"] = {"losses": nine(losses), "lr": lr, "error": float(f"{error:.1e}")}
    return entry | {"logits": nine(logits(model.double(), 2, r.side, r.channels).flatten().tolist())}


def shapes(table, network, form):
    """Names and shapes of the state_dict; no memory is taken for it."""
    r = table[network, form]
    with torch.device("meta"):
        return {"layout": r.layout, "shapes": {n: list(t.shape) for n, t in r.state(r.build(r.classes)).items()}}


def export(table, network, form, classes, side, folder):
    """Writes the network with the weights of weights.pth as model.pt (TorchScript) and model.onnx."""
    r, folder = table[network, form], pathlib.Path(folder)
    model = r.build(classes, side).eval()
    state = torch.load(folder / "weights.pth", weights_only=True)
    counted = lambda name: name.endswith("num_batches_tracked")
    model.load_state_dict({n: t if counted(n) else state[r.key(n)] for n, t in model.state_dict().items()})
    x = torch.zeros(1, r.channels, side, side)
    # TorchScript is what loads without the network's code; that it is deprecated is known.
    warnings.simplefilter("ignore")
    torch.jit.freeze(torch.jit.trace(model, x)).save(str(folder / "model.pt"))
    torch.onnx.export(model, (x,), str(folder / "model.onnx"), dynamo=False, input_names=["x"], output_names=["y"])
    return {"torch": torch.__version__}


def main():
    torch.set_num_threads(1)
    table = all_references()
    asks = {"answer": answer, "rounding": last_rounding, "golden": golden, "shapes": shapes, "export": export}
    for line in sys.stdin:
        request = json.loads(line)
        asked = request.pop("asked")
        reply = list(table) if asked == "list" else asks[asked](table, **request)
        print(json.dumps(reply), flush=True)


if __name__ == "__main__":
    main()
