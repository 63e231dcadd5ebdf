"""ONNX Runtime on one thread, as the tests and the benchmark ask it.

    onnx_runtime.py run MODEL              pictures on stdin, the outputs of the network on stdout
    onnx_runtime.py best MODEL EDGE ROUNDS the best time in seconds, and the memory that it took, in KiB
    onnx_runtime.py int8 MODEL OUT         the model with 8-bit weights, activations as they come (dynamic)
    onnx_runtime.py qdq MODEL OUT          the same with activations that were measured before (static)

A picture is width and height (32 bits each) and three planes of floats; the answer to it the number of
outputs, and of each the number of dimensions, the dimensions and the floats. Little endian throughout.
"""
import struct
import sys
import time


def memory(word):
    """A line of what the system says of this process, in KiB."""
    with open("/proc/self/status", encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith(word))


def session(onnxruntime, model):
    """The model, on one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def run(model):
    """Answers pictures until there are no more."""
    import numpy
    import onnxruntime

    network = session(onnxruntime, model)
    name = network.get_inputs()[0].name
    while head := sys.stdin.buffer.read(8):
        width, height = struct.unpack("<II", head)
        numbers = sys.stdin.buffer.read(4 * 3 * width * height)
        picture = numpy.frombuffer(numbers, "<f4").reshape(1, 3, height, width)
        outputs = network.run(None, {name: picture})
        answer = [struct.pack("<I", len(outputs))]
        for output in outputs:
            answer.append(struct.pack(f"<{1 + output.ndim}I", output.ndim, *output.shape))
            answer.append(output.astype("<f4").tobytes())
        sys.stdout.buffer.write(b"".join(answer))
        sys.stdout.buffer.flush()


def best(model, edge, rounds):
    """Times the network alone, on one grey picture."""
    import numpy

    picture = numpy.full((1, 3, edge, edge), 0.4, dtype=numpy.float32)
    before = memory("VmRSS:")
    import onnxruntime

    network = session(onnxruntime, model)
    name = network.get_inputs()[0].name
    least = float("inf")
    for _ in range(rounds + 1):
        start = time.perf_counter()
        network.run(None, {name: picture})
        least = min(least, time.perf_counter() - start)
    print(least, memory("VmHWM:") - before)


def int8(model, out):
    """Weights of 8 bits; activations are quantised while it runs."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    quantize_dynamic(model, out, weight_type=QuantType.QUInt8)


def qdq(model, out):
    """Weights and activations of 8 bits, with ranges measured on noise of three strengths."""
    import numpy
    import onnx
    from onnxruntime.quantization import CalibrationDataReader, quantize_static

    value = onnx.load(model).graph.input[0]
    shape = [dimension.dim_value for dimension in value.type.tensor_type.shape.dim]

    class Noise(CalibrationDataReader):
        """A few pictures of nothing."""

        def __init__(self):
            random = numpy.random.default_rng(7)
            self.left = [random.uniform(0, most, shape) for most in (64, 160, 255)]

        def get_next(self):
            return {value.name: self.left.pop().astype(numpy.float32)} if self.left else None

    quantize_static(model, out, Noise())


def main():
    """Does what the first word says."""
    word, *rest = sys.argv[1:]
    if word == "best":
        best(rest[0], int(rest[1]), int(rest[2]))
    else:
        {"run": run, "int8": int8, "qdq": qdq}[word](*rest)


if __name__ == "__main__":
    main()
