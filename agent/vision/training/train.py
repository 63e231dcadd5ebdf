"""Trains a small classifier of bins, and writes it as ONNX with its manifest.

    python train.py DATA --base fastestdet_352.onnx --out DIR [--seed 7] [--epochs 30]

DATA has `images/NAME.jpg` and `labels/NAME.txt` in the form of YOLO (class, middle and size as fractions),
and `classes.txt` beside it. Every box of a class that --ok or --overflow names is one crop. Which pictures
are for testing is settled by their names and the seed, before anything is trained; a picture is on one side
with all its boxes. The network begins as the first layers of FastestDet, which have seen the pictures of
COCO: some thousand crops are too few to learn edges and textures from nothing.
"""
import argparse
import hashlib
import math
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

EDGE = 128
"""Pixels of the input."""
ROOM = 16
"""So many pixels more are read, to be shifted within: what mounting does."""
GROWN = 0.10
"""A bin with what lies around its rim: the box grown by this share of its size on every side."""
BATCH = 64
LAST = "Resize"
"""The first operator of the base that is not a layer of its backbone any more."""


def is_for_test(name, seed):
    """One picture in four, by its name."""
    return hashlib.sha256(f"{seed}:{name}".encode()).digest()[0] % 4 == 0


def crops_of(data, classes, wanted, seed):
    """Crops and their classes: those to learn from, and those to test on."""
    sides = ([], [])
    edge = EDGE + ROOM
    for label in sorted((data / "labels").glob("*.txt")):
        picture = None
        for line in label.read_text().split("\n"):
            fields = line.split()
            if len(fields) != 5 or classes[int(fields[0])] not in wanted:
                continue
            if picture is None:
                picture = Image.open(data / "images" / f"{label.stem}.jpg").convert("RGB")
            x, y, w, h = (float(field) for field in fields[1:])
            half = [size * (0.5 + GROWN) * edge / EDGE for size in (w, h)]
            box = (x - half[0], y - half[1], x + half[0], y + half[1])
            size = picture.width, picture.height, picture.width, picture.height
            box = [min(max(side, 0.0), 1.0) * length for side, length in zip(box, size)]
            if box[2] - box[0] < 12 or box[3] - box[1] < 12:
                continue
            crop = picture.resize((edge, edge), Image.BILINEAR, box=box)
            side = sides[is_for_test(label.stem, seed)]
            blue_first = np.asarray(crop, dtype=np.uint8)[:, :, ::-1]
            side.append((blue_first, wanted[classes[int(fields[0])]]))
    return [(np.stack([c for c, _ in side]), np.array([k for _, k in side])) for side in sides]


def backbone(file):
    """The layers of the base: steps of (operator, inputs, output), weights by name, and its two outputs.

    FastestDet is a ShuffleNet V2 (Ma et al., 2018): its shuffles, five operators each in the file, are the
    even and the odd channels.
    """
    graph = onnx.load(file).graph
    numbers = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    steps, weights, shuffled, wide = [], {}, {}, []
    for node in graph.node:
        kind, out = node.op_type, node.output[0]
        if kind in (LAST, "Pad", "AveragePool"):
            break
        if kind == "Conv":
            fields = {field.name: helper.get_attribute_value(field) for field in node.attribute}
            weights[out] = (numbers[node.input[1]], numbers[node.input[2]])
            steps.append(("Conv", [node.input[0]], out, (fields["strides"][0], fields["group"])))
            if fields["strides"][0] == 2 and node.input[0] not in wide:
                wide.append(node.input[0])
        elif kind in ("Relu", "MaxPool", "Concat"):
            steps.append((kind, list(node.input), out, None))
        elif kind in ("Reshape", "Transpose"):
            shuffled[out] = shuffled.get(node.input[0], node.input[0])
        elif kind == "Gather":
            half = int(numbers.get(node.input[1], constant(graph, node.input[1])))
            steps.append(("Half", [shuffled[node.input[0]]], out, half))
    ends = [step[2] for step in steps if step[0] == "Concat" and not uses(steps, step[2])]
    return steps, weights, [wide[-2], ends[-1]]


def constant(graph, name):
    """A number that an operator makes."""
    for node in graph.node:
        if name in node.output:
            return numpy_helper.to_array(helper.get_attribute_value(node.attribute[0]))
    return 0


def uses(steps, name):
    """Whether a step takes this."""
    return any(name in step[1] for step in steps)


def convolved(x, kernel, offset, stride, group):
    """A convolution with channels last; one channel by one where there are as many groups as channels."""
    pad = kernel.shape[2] // 2
    if group == 1:
        size = ((pad, pad), (pad, pad))
        kernel = kernel.transpose(2, 3, 1, 0)
        dimensions = ("NHWC", "HWIO", "NHWC")
        x = jax.lax.conv_general_dilated(x, kernel, (stride, stride), size, dimension_numbers=dimensions)
        return x + offset
    high, wide = x.shape[1], x.shape[2]
    x = jnp.pad(x, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
    parts = [
        x[:, dy : dy + high : stride, dx : dx + wide : stride] * kernel[:, 0, dy, dx]
        for dy in range(kernel.shape[2])
        for dx in range(kernel.shape[3])
    ]
    return sum(parts) + offset


def scores(weights, pictures, steps, ends):
    """Logits of pictures from 0 to 1, channels last."""
    layers, (dense, bias) = weights
    known = {steps[0][1][0]: pictures}
    for kind, inputs, out, detail in steps:
        x = known[inputs[0]]
        if kind == "Conv":
            known[out] = convolved(x, *layers[out], *detail)
        elif kind == "Relu":
            known[out] = jax.nn.relu(x)
        elif kind == "MaxPool":
            window, step = (1, 3, 3, 1), (1, 2, 2, 1)
            pads = ((0, 0), (1, 1), (1, 1), (0, 0))
            known[out] = jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, window, step, pads)
        elif kind == "Concat":
            known[out] = jnp.concatenate([known[name] for name in inputs], axis=3)
        else:
            known[out] = x[:, :, :, detail::2]
    pooled = jnp.concatenate([known[end].mean(axis=(1, 2)) for end in ends], axis=1)
    return pooled @ dense.T + bias


def loss(weights, pictures, classes, net):
    """Cross entropy with a little doubt, and small weights."""
    count = weights[1][1].shape[0]
    wanted = jax.nn.one_hot(classes, count) * 0.9 + 0.1 / count
    likely = jax.nn.log_softmax(scores(weights, pictures, *net))
    large = sum((kernel**2).sum() for kernel, _ in weights[0].values())
    return -(wanted * likely).sum(axis=1).mean() + 1e-4 * large


def varied(random, pictures):
    """Mirrored, lighter or darker, of another colour, shifted, partly hidden: what weather and mounting do."""
    count = len(pictures)
    out = np.empty((count, EDGE, EDGE, 3), np.float32)
    for n, (dy, dx) in enumerate(random.integers(0, ROOM + 1, (count, 2))):
        out[n] = pictures[n, dy : dy + EDGE, dx : dx + EDGE]
    out /= 255
    mirrored = random.random(count) < 0.5
    out[mirrored] = out[mirrored, :, ::-1]
    contrast = random.uniform(0.7, 1.3, (count, 1, 1, 1)).astype(np.float32)
    light = random.uniform(-0.15, 0.15, (count, 1, 1, 1)).astype(np.float32)
    tint = random.uniform(0.9, 1.1, (count, 1, 1, 3)).astype(np.float32)
    out = np.clip(((out - 0.5) * contrast + 0.5 + light) * tint, 0, 1)
    for n in np.flatnonzero(random.random(count) < 0.3):
        y, x = random.integers(0, EDGE - 40, 2)
        out[n, y : y + 40, x : x + 40] = 0.45
    return out


def middle(pictures):
    """The part that the box says, as it is tested and used."""
    half = ROOM // 2
    return pictures[:, half : half + EDGE, half : half + EDGE].astype(np.float32) / 255


def train(learn, weights, net, seed, epochs):
    """Adam (Kingma and Ba, 2015) with a rate that rises for an epoch and falls to nothing along a cosine."""
    tree = jax.tree_util.tree_map
    mean = square = tree(jnp.zeros_like, weights)

    @jax.jit
    def step(weights, mean, square, pictures, classes, rate, n):
        value, slope = jax.value_and_grad(loss)(weights, pictures, classes, net)
        mean = tree(lambda m, g: 0.9 * m + 0.1 * g, mean, slope)
        square = tree(lambda s, g: 0.999 * s + 0.001 * g * g, square, slope)
        true = lambda m, s: (m / (1 - 0.9**n)) / (jnp.sqrt(s / (1 - 0.999**n)) + 1e-8)
        weights = tree(lambda w, m, s: w - rate * true(m, s), weights, mean, square)
        return weights, mean, square, value

    random = np.random.default_rng(seed)
    n, batches = 0, len(learn[0]) // BATCH
    for epoch in range(epochs):
        order, sum_ = random.permutation(len(learn[0])), 0.0
        for batch in range(batches):
            some = order[batch * BATCH : (batch + 1) * BATCH]
            n += 1
            rate = 1e-3 * min(n / batches, 1) * (1 + math.cos(math.pi * n / (epochs * batches))) / 2
            pictures = varied(random, learn[0][some])
            step_of = (pictures, learn[1][some], rate, n)
            weights, mean, square, value = step(weights, mean, square, *step_of)
            sum_ += float(value)
        print(f"epoch {epoch + 1}: loss {sum_ / batches:.3f}", flush=True)
    return weights


def wilson(right, of):
    """The interval that holds the true share in 95 of 100 cases (Wilson, 1927)."""
    if of == 0:
        return 0.0, 1.0
    z, share = 1.96, right / of
    centre = (share + z * z / (2 * of)) / (1 + z * z / of)
    half = z / (1 + z * z / of) * math.sqrt(share * (1 - share) / of + z * z / (4 * of * of))
    return centre - half, centre + half


def said_of(weights, pictures, net):
    """How sure the network is of each class."""
    run = jax.jit(lambda some: jax.nn.softmax(scores(weights, some, *net)))
    parts = [np.asarray(run(middle(pictures[n : n + 64]))) for n in range(0, len(pictures), 64)]
    return np.concatenate(parts)


def judge(sure, test, names):
    """Prints how often it is right on what it has not seen."""
    said = sure.argmax(1)
    right = int((said == test[1]).sum())
    low, high = wilson(right, len(said))
    print(f"accuracy {right}/{len(said)} = {right / len(said):.3f}, 95 % between {low:.3f} and {high:.3f}")
    for n, name in enumerate(names):
        hit = int(((said == n) & (test[1] == n)).sum())
        precision, recall = (said == n).sum(), (test[1] == n).sum()
        for word, of in (("precision", int(precision)), ("recall", int(recall))):
            low, high = wilson(hit, of)
            print(f"  {name}: {word} {hit}/{of}, 95 % between {low:.3f} and {high:.3f}")
    for least in (0.7, 0.8, 0.9):
        clear = sure.max(1) >= least
        right, of = int((said == test[1])[clear].sum()), int(clear.sum())
        low, high = wilson(right, of)
        print(f"  where it is {least:.0%} sure: {right}/{of} right, 95 % between {low:.3f} and {high:.3f}")


def export(weights, net, names, folder):
    """The ONNX file and its manifest."""
    layers, (dense, bias) = weights
    steps, ends = net
    nodes, tensors = [], []

    def tensor(name, values, kind=np.float32):
        tensors.append(numpy_helper.from_array(np.asarray(values, dtype=kind), name))
        return name

    channels = {steps[0][1][0]: 3}
    for kind, inputs, out, detail in steps:
        if kind == "Conv":
            kernel, offset = layers[out]
            inputs = [inputs[0], tensor(f"{out}.k", kernel), tensor(f"{out}.o", offset)]
            (stride, group), pad = detail, kernel.shape[2] // 2
            fields = {"strides": [stride] * 2, "pads": [pad] * 4, "group": group}
            nodes.append(helper.make_node("Conv", inputs, [out], **fields))
            channels[out] = kernel.shape[0]
        elif kind == "MaxPool":
            fields = {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}
            nodes.append(helper.make_node(kind, inputs, [out], **fields))
            channels[out] = channels[inputs[0]]
        elif kind == "Half":
            some = range(detail, channels[inputs[0]], 2)
            wanted = tensor(f"{out}.c", list(some), np.int64)
            nodes.append(helper.make_node("Gather", [inputs[0], wanted], [out], axis=1))
            channels[out] = len(some)
        else:
            fields = {"axis": 1} if kind == "Concat" else {}
            nodes.append(helper.make_node(kind, inputs, [out], **fields))
            channels[out] = sum(channels[name] for name in inputs)
    for n, end in enumerate(ends):
        nodes.append(helper.make_node("GlobalAveragePool", [end], [f"pooled{n}"]))
    nodes.append(helper.make_node("Concat", [f"pooled{n}" for n in range(len(ends))], ["pooled"], axis=1))
    nodes.append(helper.make_node("Flatten", ["pooled"], ["flat"]))
    inputs = ["flat", tensor("dense", dense), tensor("bias", bias)]
    nodes.append(helper.make_node("Gemm", inputs, ["logits"], transB=1))
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "bins",
        [value(steps[0][1][0], TensorProto.FLOAT, [1, 3, EDGE, EDGE])],
        [value("logits", TensorProto.FLOAT, [1, len(names)])],
        tensors,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    model.ir_version = 8
    onnx.checker.check_model(model)
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "bins.onnx"
    onnx.save(model, file)
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    classes = ", ".join(f'"{name}"' for name in names)
    (folder / "bins.toml").write_text(
        f'file = "bins.onnx"\nsha256 = "{sha256}"\nfamily = "classifier"\ninput = [{EDGE}, {EDGE}]\n'
        f'fit = "stretch"\ncolour = "bgr"\nstd = [255.0, 255.0, 255.0]\nclasses = [{classes}]\n'
        'logits = true\nscore_min = 0.5\n'
        'licence = "BSD-3-Clause (FastestDet), and that of the pictures it was trained on"\n'
    )
    print(f"{file}: {file.stat().st_size} bytes, sha256 {sha256}")


def main():
    """Reads the command line, and does it."""
    words = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    words.add_argument("data", type=pathlib.Path)
    words.add_argument("--base", type=pathlib.Path, required=True, help="FastestDet.onnx, as config/models says")
    words.add_argument("--out", type=pathlib.Path, required=True)
    words.add_argument("--seed", type=int, default=7)
    words.add_argument("--epochs", type=int, default=30)
    words.add_argument("--ok", default="garbage_bin", help="the class of bins that do not overflow")
    words.add_argument("--overflow", default="overflow", help="the class of those that do")
    args = words.parse_args()
    classes = (args.data.parent / "classes.txt").read_text().split()
    names = ["ok", "overflow"]
    learn, test = crops_of(args.data, classes, {args.ok: 0, args.overflow: 1}, args.seed)
    print(f"{len(learn[0])} crops to learn from, {len(test[0])} to test on; seed {args.seed}", flush=True)
    steps, layers, ends = backbone(args.base)
    net = (steps, ends)
    wide = sum(layers_out(steps, layers, end) for end in ends)
    dense = np.random.default_rng(args.seed).normal(0, 0.02, (len(names), wide)).astype(np.float32)
    weights = ({name: tuple(map(jnp.asarray, pair)) for name, pair in layers.items()}, (dense, np.zeros(len(names), np.float32)))
    weights = train(learn, weights, net, args.seed, args.epochs)
    judge(said_of(weights, test[0], net), test, names)
    export(weights, net, names, args.out)


def layers_out(steps, layers, end):
    """How many channels this has."""
    kind, inputs, _, _ = next(step for step in steps if step[2] == end)
    if kind == "Conv":
        return layers[end][0].shape[0]
    return sum(layers_out(steps, layers, name) for name in inputs) // (2 if kind == "Half" else 1)


if __name__ == "__main__":
    main()
