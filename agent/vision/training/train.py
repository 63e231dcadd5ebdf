"""Trains a small classifier of bins, and writes it as ONNX with its manifest.

    python train.py DATA --out DIR [--seed 7] [--epochs 40]

DATA has `images/NAME.jpg` and `labels/NAME.txt` in the form of YOLO (class, middle and size as fractions),
and `classes.txt` beside it. Every box of a class that --ok or --overflow names is one crop. Which pictures
are for testing is settled by their names and the seed, before anything is trained; a picture is on one side
with all its boxes.
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

EDGE = 96
"""Pixels of the input."""
WIDTHS = [16, 32, 64, 96]
"""Channels after each convolution, each of which halves the picture."""
GROWN = 0.10
"""A bin with what lies around its rim: the box grown by this share of its size on every side."""
BATCH = 64


def is_for_test(name, seed):
    """One picture in four, by its name."""
    return hashlib.sha256(f"{seed}:{name}".encode()).digest()[0] % 4 == 0


def crops_of(data, classes, wanted, seed):
    """Crops and their classes: those to learn from, and those to test on."""
    sides = ([], [])
    for label in sorted((data / "labels").glob("*.txt")):
        picture = None
        for line in label.read_text().split("\n"):
            fields = line.split()
            if len(fields) != 5 or classes[int(fields[0])] not in wanted:
                continue
            if picture is None:
                picture = Image.open(data / "images" / f"{label.stem}.jpg").convert("RGB")
            x, y, w, h = (float(field) for field in fields[1:])
            half = (w * (0.5 + GROWN), h * (0.5 + GROWN))
            box = (x - half[0], y - half[1], x + half[0], y + half[1])
            size = picture.width, picture.height, picture.width, picture.height
            box = [min(max(edge, 0.0), 1.0) * length for edge, length in zip(box, size)]
            if box[2] - box[0] < 12 or box[3] - box[1] < 12:
                continue
            crop = picture.resize((EDGE, EDGE), Image.BILINEAR, box=box)
            side = sides[is_for_test(label.stem, seed)]
            side.append((np.asarray(crop, dtype=np.uint8), wanted[classes[int(fields[0])]]))
    return [(np.stack([c for c, _ in side]), np.array([k for _, k in side])) for side in sides]


def start(key, classes):
    """Random weights (He et al., 2015)."""
    layers, before = [], 3
    for width in WIDTHS:
        key, own = jax.random.split(key)
        scale = math.sqrt(2 / (9 * before))
        layers.append((jax.random.normal(own, (width, before, 3, 3)) * scale, jnp.zeros(width)))
        before = width
    key, own = jax.random.split(key)
    return layers, (jax.random.normal(own, (classes, before)) * 0.05, jnp.zeros(classes))


def scores(weights, pictures):
    """Logits of pictures from 0 to 1, channels first."""
    layers, (dense, bias) = weights
    for kernel, offset in layers:
        pictures = jax.lax.conv_general_dilated(
            pictures, kernel, (2, 2), ((1, 1), (1, 1)), dimension_numbers=("NCHW", "OIHW", "NCHW")
        )
        pictures = jax.nn.relu(pictures + offset[None, :, None, None])
    return pictures.mean(axis=(2, 3)) @ dense.T + bias


def loss(weights, pictures, classes, count):
    """Cross entropy with a little doubt, and small weights."""
    wanted = jax.nn.one_hot(classes, count) * 0.9 + 0.1 / count
    likely = jax.nn.log_softmax(scores(weights, pictures))
    large = sum((kernel**2).sum() for kernel, _ in weights[0])
    return -(wanted * likely).sum(axis=1).mean() + 2e-4 * large


def varied(random, pictures):
    """Mirrored, lighter or darker, shifted: what weather and mounting do."""
    out = pictures.astype(np.float32) / 255
    mirrored = random.random(len(out)) < 0.5
    out[mirrored] = out[mirrored, :, ::-1]
    contrast = random.uniform(0.7, 1.3, (len(out), 1, 1, 1)).astype(np.float32)
    light = random.uniform(-0.15, 0.15, (len(out), 1, 1, 1)).astype(np.float32)
    out = np.clip((out - 0.5) * contrast + 0.5 + light, 0, 1)
    for n, (dx, dy) in enumerate(random.integers(-8, 9, (len(out), 2))):
        out[n] = np.roll(out[n], (dy, dx), axis=(0, 1))
    return out.transpose(0, 3, 1, 2)


def train(learn, seed, epochs, count):
    """Adam (Kingma and Ba, 2015) with a rate that falls to nothing along a cosine."""
    weights = start(jax.random.PRNGKey(seed), count)
    zeros = jax.tree_util.tree_map(jnp.zeros_like, weights)

    @jax.jit
    def step(weights, mean, square, pictures, classes, rate, n):
        value, slope = jax.value_and_grad(loss)(weights, pictures, classes, count)
        tree = jax.tree_util.tree_map
        mean = tree(lambda m, g: 0.9 * m + 0.1 * g, mean, slope)
        square = tree(lambda s, g: 0.999 * s + 0.001 * g * g, square, slope)
        true = lambda m, s: (m / (1 - 0.9**n)) / (jnp.sqrt(s / (1 - 0.999**n)) + 1e-8)
        weights = tree(lambda w, m, s: w - rate * true(m, s), weights, mean, square)
        return weights, mean, square, value

    random = np.random.default_rng(seed)
    mean, square, n = zeros, zeros, 0
    batches = len(learn[0]) // BATCH
    for epoch in range(epochs):
        order = random.permutation(len(learn[0]))
        for batch in range(batches):
            some = order[batch * BATCH : (batch + 1) * BATCH]
            n += 1
            rate = 2e-3 * (1 + math.cos(math.pi * n / (epochs * batches))) / 2
            pictures = varied(random, learn[0][some])
            step_of = (pictures, learn[1][some], rate, n)
            weights, mean, square, value = step(weights, mean, square, *step_of)
        print(f"epoch {epoch + 1}: loss {float(value):.3f}", flush=True)
    return weights


def wilson(right, of):
    """The interval that holds the true share in 95 of 100 cases (Wilson, 1927)."""
    if of == 0:
        return 0.0, 1.0
    z, share = 1.96, right / of
    middle = (share + z * z / (2 * of)) / (1 + z * z / of)
    half = z / (1 + z * z / of) * math.sqrt(share * (1 - share) / of + z * z / (4 * of * of))
    return middle - half, middle + half


def judge(weights, test, names):
    """Prints how often it is right on what it has not seen."""
    pictures = test[0].astype(np.float32).transpose(0, 3, 1, 2) / 255
    said = np.concatenate(
        [np.asarray(scores(weights, pictures[n : n + 256])).argmax(1) for n in range(0, len(pictures), 256)]
    )
    right = int((said == test[1]).sum())
    low, high = wilson(right, len(said))
    print(f"accuracy {right}/{len(said)} = {right / len(said):.3f}, 95 % between {low:.3f} and {high:.3f}")
    for n, name in enumerate(names):
        hit = int(((said == n) & (test[1] == n)).sum())
        precision, recall = (said == n).sum(), (test[1] == n).sum()
        for word, of in (("precision", int(precision)), ("recall", int(recall))):
            low, high = wilson(hit, of)
            print(f"  {name}: {word} {hit}/{of}, 95 % between {low:.3f} and {high:.3f}")


def export(weights, names, folder):
    """The ONNX file and its manifest."""
    layers, (dense, bias) = weights
    nodes, tensors, last = [], [], "picture"

    def tensor(name, values):
        tensors.append(numpy_helper.from_array(np.asarray(values, dtype=np.float32), name))
        return name

    for n, (kernel, offset) in enumerate(layers):
        inputs = [last, tensor(f"kernel{n}", kernel), tensor(f"offset{n}", offset)]
        nodes.append(helper.make_node("Conv", inputs, [f"conv{n}"], strides=[2, 2], pads=[1, 1, 1, 1]))
        nodes.append(helper.make_node("Relu", [f"conv{n}"], [f"relu{n}"]))
        last = f"relu{n}"
    nodes.append(helper.make_node("GlobalAveragePool", [last], ["pooled"]))
    nodes.append(helper.make_node("Flatten", ["pooled"], ["flat"]))
    inputs = ["flat", tensor("dense", dense), tensor("bias", bias)]
    nodes.append(helper.make_node("Gemm", inputs, ["logits"], transB=1))
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "bins",
        [value("picture", TensorProto.FLOAT, [1, 3, EDGE, EDGE])],
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
        f'fit = "stretch"\ncolour = "rgb"\nstd = [255.0, 255.0, 255.0]\nclasses = [{classes}]\n'
        'logits = true\nscore_min = 0.5\nlicence = "that of the pictures it was trained on"\n'
    )
    print(f"{file}: {file.stat().st_size} bytes, sha256 {sha256}")


def main():
    """Reads the command line, and does it."""
    words = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    words.add_argument("data", type=pathlib.Path)
    words.add_argument("--out", type=pathlib.Path, required=True)
    words.add_argument("--seed", type=int, default=7)
    words.add_argument("--epochs", type=int, default=40)
    words.add_argument("--ok", default="garbage_bin", help="the class of bins that do not overflow")
    words.add_argument("--overflow", default="overflow", help="the class of those that do")
    args = words.parse_args()
    classes = (args.data.parent / "classes.txt").read_text().split()
    names = ["ok", "overflow"]
    learn, test = crops_of(args.data, classes, {args.ok: 0, args.overflow: 1}, args.seed)
    print(f"{len(learn[0])} crops to learn from, {len(test[0])} to test on; seed {args.seed}")
    weights = train(learn, args.seed, args.epochs, len(names))
    judge(weights, test, names)
    export(weights, names, args.out)


if __name__ == "__main__":
    main()
