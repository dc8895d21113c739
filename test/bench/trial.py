"""One trial of PyTorch or onnxruntime in a process of its own: `python trial.py REQUEST` prints one line of JSON.

trial.ts is the same for dlcourse and says what a request and an answer hold. Modules of test/parity must be on the
path. What is not needed is not imported: memory is counted above what the libraries take when they are loaded.
"""

import json
import pathlib
import resource
import statistics
import sys
import time

import numpy as np

from formula import images, labels

WARM_UP, FEWEST = 2, 3


def resident():
    """Bytes now and at most: VmRSS and VmHWM on Linux, elsewhere the peak for both."""
    try:
        with open("/proc/self/status") as status:
            fields = dict(line.split(":", 1) for line in status)
        return [1024 * int(fields[name].split()[0]) for name in ("VmRSS", "VmHWM")]
    except OSError:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
        return [peak, peak]


def loaded():
    """Bytes that the process takes when its libraries are loaded; the peak is counted from here on."""
    try:
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")
    except OSError:
        pass
    return resident()[0]


def waited():
    """Seconds that threads of this process were ready and had no processor; NaN where nobody counts."""
    try:
        threads = pathlib.Path("/proc/self/task").iterdir()
        return sum(int((thread / "schedstat").read_text().split()[1]) for thread in threads) / 1e9
    except OSError:
        return float("nan")


def measured(step, seconds):
    for _ in range(WARM_UP):
        step()
    times, before, begin = [], waited(), time.perf_counter()
    while len(times) < FEWEST or time.perf_counter() - begin < seconds:
        start = time.perf_counter()
        step()
        times.append(time.perf_counter() - start)
    disturbed = (waited() - before) / (time.perf_counter() - begin)
    known = {} if disturbed != disturbed else {"disturbed": disturbed}
    return {"seconds": statistics.median(times)} | known


def training_step(reference, model, run, x, batch, classes):
    import torch

    from reference import loss_of

    y = torch.tensor(labels(batch, classes))
    # A learning rate of 0 keeps the weights, so that every repeat computes the same.
    optimizer = torch.optim.SGD(model.parameters(), lr=0, momentum=0.9, weight_decay=5e-4)

    def step():
        loss = loss_of(reference, run, x, y)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def torch_trial(network, form, input, classes, batch, mode, threads, seconds, contender, layout):
    import torch

    from references import all_references

    reference = all_references()[network, form]
    torch.set_num_threads(threads)
    start = loaded()
    model = reference.build(classes, input[0]).train(mode == "train")
    x = torch.from_numpy(images(batch, *input)).permute(0, 3, 1, 2)
    if layout == "nhwc":
        model = model.to(memory_format=torch.channels_last)
    else:
        x = x.contiguous()
    run = model
    if contender == "torch_compile":
        # As its documentation advises for inference: weights are constants, norms folded.
        torch._inductor.config.freezing = mode != "train"
        run = torch.compile(model)
    if mode == "train":
        answer = measured(training_step(reference, model, run, x, batch, classes), seconds)
    else:
        with torch.inference_mode():
            answer = measured(lambda: run(x), seconds)
    return answer | {"memoryBytes": resident()[1] - start, "version": torch.__version__,
                     "parameters": sum(p.numel() for p in model.parameters())}


def export(network, form, input, classes, batch, file):
    """Writes the network as ONNX; onnxruntime's trials have a process without PyTorch."""
    import torch

    from references import all_references

    model = all_references()[network, form].build(classes, input[0]).eval()
    x = torch.from_numpy(images(batch, *input)).permute(0, 3, 1, 2).contiguous()
    torch.onnx.export(model, (x,), file, dynamo=False, input_names=["x"], output_names=["y"])
    return {"parameters": sum(p.numel() for p in model.parameters())}


def onnxruntime_trial(input, batch, threads, seconds, file):
    import onnxruntime

    start = loaded()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    x = {"x": np.ascontiguousarray(images(batch, *input).transpose(0, 3, 1, 2))}
    answer = measured(lambda: session.run(None, x), seconds)
    return answer | {"memoryBytes": resident()[1] - start, "version": onnxruntime.__version__}


def main():
    request = json.loads(sys.argv[1])
    trial = {"export": export, "onnxruntime": onnxruntime_trial}.get(request["contender"], torch_trial)
    known = trial.__code__.co_varnames[: trial.__code__.co_argcount]
    try:
        answer = trial(**{name: value for name, value in request.items() if name in known})
    except Exception as error:
        lines = str(error).strip().splitlines() or ["no message"]
        answer = {"error": f"{type(error).__name__}: {lines[0]}"}
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
