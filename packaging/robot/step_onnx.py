"""A model folder's model.onnx without livesnn, on numpy and onnxruntime.

python step_onnx.py MODEL.onnx EVENTS.npz

EVENTS.npz is what `livesnn convert RECORDING EVENTS.npz` writes: t (µs), x, y, p (True: brighter), width, height.
"""

import json
import sys

import numpy as np
import onnxruntime

session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
card = json.loads(session.get_modelmeta().custom_metadata_map["livesnn"])
spec, classes, temperature = card["input"], card["classes"], card["temperature"]
width, height, frame_us = spec["width"], spec["height"], spec["slice"]["delta_t_us"]
assert frame_us, "a frame of so many events ends with the last of them: see livesnn/events/frames.py"

with np.load(sys.argv[2]) as file:
    t, x, y, p = (file[name].astype(np.int64) for name in "txyp")
    sensor_width, sensor_height = int(file["width"]), int(file["height"])

assert np.diff(t).max() < spec["window"] * frame_us, "livesnn begins anew, from zero state, after such a silence"

# Where an event falls: channel 0 darker, 1 brighter, then row and column. A sensor of another shape than the input is
# cut to it around its middle first.
cut_width = min(sensor_width, sensor_height * width // height)
cut_height = min(sensor_height, sensor_width * height // width)
x, y = x - (sensor_width - cut_width) // 2, y - (sensor_height - cut_height) // 2
seen = (x >= 0) & (x < cut_width) & (y >= 0) & (y < cut_height)
start, end, sensor_width, sensor_height = t[0], t[-1], cut_width, cut_height
t, x, y, p = t[seen], x[seen], y[seen], p[seen]
cell = (p * height + y * height // sensor_height) * width + x * width // sensor_width
number = (t - start) // frame_us  # of the frame
gain = 1.0  # counts are scaled by area to those of the sensor that the model was trained with
if spec["cell_pixels"]:
    gain = spec["cell_pixels"] * width * height / (sensor_width * sensor_height)

# The state is zero at the start and the caller's to keep; the graph clips the counts at count_max and scales them.
state = {each.name: np.zeros(each.shape, np.float32) for each in session.get_inputs()[1:]}
outputs = []
for frame in range(int((end - start) // frame_us)):  # the last one isn't whole
    counts = np.bincount(cell[number == frame], minlength=2 * height * width)
    counts = np.rint(counts * gain).reshape(2, -1)
    if spec.get("without_flicker"):  # each channel's lower median: what a light that flickers adds to all of it
        counts -= np.minimum(counts, np.sort(counts)[:, [(height * width - 1) // 2]])
    counts = np.minimum(counts, 255).astype(np.uint8).reshape(1, 2, height, width)
    output, *following = session.run(None, {"frame": counts, **state})
    state = dict(zip(state, following, strict=True))
    outputs = [*outputs, output[0]][-spec["window"] :]
    if (frame + 1) % spec["window"] == 0:
        mean = np.mean(outputs, axis=0) / temperature  # of membranes; of a read-out "spikes" see decide.py
        likely = np.exp(mean - mean.max())
        likely /= likely.sum()
        print(f"{(frame + 1) * frame_us / 1e6:.2f} s: {classes[likely.argmax()]} {likely.max():.3f}")
