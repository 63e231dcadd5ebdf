"""The best time of ONNX Runtime for one network on one thread, in seconds: MODEL EDGE ROUNDS."""
import sys
import time

import numpy
import onnxruntime

model, edge, rounds = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
options.inter_op_num_threads = 1
session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
name = session.get_inputs()[0].name
picture = numpy.full((1, 3, edge, edge), 0.4, dtype=numpy.float32)
best = float("inf")
for _ in range(rounds + 1):
    start = time.perf_counter()
    session.run(None, {name: picture})
    best = min(best, time.perf_counter() - start)
print(best)
