"""A sampler -> one ONNX file that takes and gives pictures as files have them: uint8, of any size,
with or without alpha. What is done before and after the network is inside."""

import json
import pathlib
from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import onnxruntime

import gan_jax
from gan_jax import models
from gan_jax.data.images import to_uint8
from gan_jax.inference import inpaint, restore, stylize
from gan_jax.inference.sampler import Sampler
from gan_jax.interop import onnx_ops
from gan_jax.interop.onnx_graph import Graph, Output, Value
from gan_jax.interop.super_resolution import Enlarger
from gan_jax.runtime.files import replace_bytes

FULL, HALF = "model.onnx", "model_fp16.onnx"
SEED = 0  # of the styles that a translator's file holds, one a class
WHITE = 255  # under transparent pixels while they are translated, as Stylizer has it
TRIED = (37, 53)  # H, W of the pictures that files are tried with


class Written(NamedTuple):
    """Attributes:
    graph, outputs: of the file.
    about: what stands in its metadata, as texts.
    """

    graph: Graph
    outputs: dict[str, Output]
    about: dict[str, str]


def save_onnx(sampler: Sampler, folder: pathlib.Path, name: str = "") -> dict[str, float]:
    """Writes model.onnx and model_fp16.onnx, with weights as float16, to `folder` and reads them
    back.

    name: of the model, for the metadata.
    Returns {file: largest difference of a picture to the sampler's, of 255}. Raises ValueError
    where the network uses what is not written as ONNX here.
    """
    written = write(sampler)
    about = written.about | {"gan_jax": gan_jax.__version__, "name": name}
    for file, half in ((FULL, False), (HALF, True)):
        model = written.graph.model(written.outputs, about, half=half)
        replace_bytes(folder / file, model.SerializeToString())
    return {file: difference(sampler, folder / file) for file in (FULL, HALF)}


def write(sampler: Sampler) -> Written:
    """The graph of a sampler, by what its game's command is."""
    kinds = {
        "sample": _generator,
        "stylize": _translator,
        "restore": _restorer,
        "inpaint": _inpainter,
    }
    return kinds[sampler.game.command](sampler)


def _generator(sampler: Sampler) -> Written:
    """z f32 [b, Z] and, with classes, class int64 [b] -> result uint8 [b, H, W, C]."""
    graph, game = Graph(), sampler.game
    (b,) = jax.export.symbolic_shape("b")
    values = [graph.input("z", np.float32, ["b", latent_size(sampler)])]
    specs = [jax.ShapeDtypeStruct((b, latent_size(sampler)), np.float32)]
    if sampler.classes:
        y = graph.input("class", np.int64, ["b"])
        known = np.arange(len(sampler.classes), dtype=np.int32)
        values.append(graph.op("Gather", known, y))  # refuses a number that is no class
        specs.append(jax.ShapeDtypeStruct((b,), np.int32))

    def draw(z, y=None):
        return game.sample(sampler.ema, z, y)

    (made,) = onnx_ops.call(graph, draw, values, specs)
    result = Output(_pixels(graph, _of_signed(graph, made)), np.uint8, ["b", *sampler.shape])
    return Written(graph, {"result": result}, _about(sampler))


def latent_size(sampler: Sampler) -> int:
    """Numbers of a z."""
    game = sampler.game
    return jax.eval_shape(lambda: game.latent(jax.random.key(0), 1)).shape[1]


def _translator(sampler: Sampler) -> Written:
    """image uint8 [b, h, w, 3 or 4] and, with classes, style int64 [b] -> result, the same. Colors
    lie on white while they are translated, and the result has the picture's own alpha."""
    graph, game, about = Graph(), sampler.game, _about(sampler)
    image = graph.input("image", np.uint8, ["b", "h", "w", "c"])
    colors, alpha = _apart(graph, image)
    channels = sampler.shape[2]
    if channels == 4:
        flat = graph.op("Concat", colors, alpha, axis=-1)
    else:
        flat = _in_channels(graph, _over_white(graph, colors, alpha), channels)
    b, h, w = jax.export.symbolic_shape(f"b, {sampler.multiple}*m, {sampler.multiple}*n")
    values = [_signed(graph, _padded(graph, flat, sampler.multiple))]
    specs = [jax.ShapeDtypeStruct((b, h, w, channels), np.float32)]
    styles = _styles(sampler)
    if sampler.classes:
        chosen = graph.input("style", np.int64, ["b"])
        values.append(graph.op("Gather", styles, chosen))
        specs.append(jax.ShapeDtypeStruct((b, styles.shape[1]), np.float32))
        about["styles"] = json.dumps(np.round(styles, 6).tolist())

    def restyle(x, style=styles):
        return game.restyle(sampler.ema, x, style)

    (made,) = onnx_ops.call(graph, restyle, values, specs)
    made = _of_signed(graph, _cut(graph, made, image))
    if channels != 4:
        made = _without_white(graph, _three(graph, made, channels), alpha)
        result = graph.op("Concat", _pixels(graph, made), alpha, axis=-1)
    else:
        result = _pixels(graph, made)
    result = _with_channels_of(graph, result, image)
    return Written(graph, {"result": Output(result, np.uint8, ["b", "h", "w", "c"])}, about)


def _restorer(sampler: Sampler) -> Written:
    """image uint8 [b, h, w, 3 or 4] -> result, `scale` times as large. Alpha is enlarged linearly;
    colors are those of the file, clear pixels' too."""
    graph, net, params = Graph(), sampler.game.g, sampler.ema["params"]["g"]
    scale, multiple = models.traits(net).scale, restore.MULTIPLE
    image = graph.input("image", np.uint8, ["b", "h", "w", "c"])
    colors, alpha = _apart(graph, image)
    b, h, w = jax.export.symbolic_shape(f"b, {multiple}*m, {multiple}*n")
    x = graph.cast(_padded(graph, colors, multiple), np.float32)
    x = graph.op("Div", x, np.float32(255))

    def enlarge(x):
        return 255 * jnp.clip(net.apply({"params": params}, x), 0, 1)

    spec = jax.ShapeDtypeStruct((b, h, w, 3), np.float32)
    (made,) = onnx_ops.call(graph, enlarge, [x], [spec])
    made = _pixels(graph, _cut(graph, made, image, scale))
    result = graph.op("Concat", made, _larger(graph, alpha, scale), axis=-1)
    result = _with_channels_of(graph, result, image)
    sides = ["b", f"{scale}*h", f"{scale}*w", "c"]
    about = _about(sampler) | {"scale": str(scale)}
    return Written(graph, {"result": Output(result, np.uint8, sides)}, about)


def _inpainter(sampler: Sampler) -> Written:
    """image uint8 [b, h, w, 3 or 4], mask uint8 [b, h, w], from 128 where it is to be filled ->
    result, the image with what is drawn there, opaque; of a network of fixed size h and w are
    that."""
    graph, game, multiple = Graph(), sampler.game, sampler.multiple
    sides = list(sampler.shape[:2]) if sampler.fixed_size else ["h", "w"]
    image = graph.input("image", np.uint8, ["b", *sides, "c"])
    mask = graph.input("mask", np.uint8, ["b", *sides])
    colors, alpha = _apart(graph, image)
    hole = graph.op("GreaterOrEqual", graph.cast(mask, np.int32), np.int32(128))
    hole = graph.op("Unsqueeze", hole, np.array([3], np.int64))
    seen = graph.op("Where", hole, np.uint8(0), np.uint8(255))
    torn = graph.op("Concat", graph.op("Where", hole, np.uint8(0), colors), seen, axis=-1)
    b, h, w = jax.export.symbolic_shape(f"b, {multiple}*m, {multiple}*n")
    if sampler.fixed_size:
        h, w = sides
    else:
        torn = _padded(graph, torn, multiple)

    def fill(x):
        return game.restyle(sampler.ema, x, jnp.zeros((x.shape[0], 0)))[..., :3]

    spec = jax.ShapeDtypeStruct((b, h, w, 4), np.float32)
    (made,) = onnx_ops.call(graph, fill, [_signed(graph, torn)], [spec])
    drawn = _pixels(graph, _of_signed(graph, _cut(graph, made, image)))
    drawn = graph.op("Where", hole, drawn, colors)
    result = graph.op("Concat", drawn, graph.op("Where", hole, np.uint8(255), alpha), axis=-1)
    result = _with_channels_of(graph, result, image)
    return Written(graph, {"result": Output(result, np.uint8, ["b", *sides, "c"])}, _about(sampler))


def _about(sampler: Sampler) -> dict[str, str]:
    return {
        "kind": sampler.game.command,
        "classes": json.dumps(list(sampler.classes)),
        "shape": json.dumps(list(sampler.shape)),
    }


def _styles(sampler: Sampler) -> np.ndarray:
    """f32 [classes, S]: a style of each class, or the only one."""
    n = max(1, len(sampler.classes))
    y = np.arange(n, dtype=np.int32) if sampler.classes else None
    return np.asarray(sampler.styles_from_noise(SEED, y, n), np.float32)


def _last(graph: Graph, x: Value, start: int, stop: Value | int) -> Value:
    """x[..., start:stop]."""
    stop = np.array([stop], np.int64) if isinstance(stop, int) else stop
    return graph.op("Slice", x, np.array([start], np.int64), stop, np.array([3], np.int64))


def _apart(graph: Graph, image: Value) -> tuple[Value, Value]:
    """(colors, alpha) of uint8 [b, h, w, 3 or 4]; without alpha it is 255."""
    sides = graph.op("Concat", graph.op("Shape", image, end=3), np.array([1], np.int64), axis=0)
    opaque = graph.op("Expand", np.uint8(255), sides)
    both = graph.op("Concat", image, opaque, axis=-1)
    return _last(graph, both, 0, 3), _last(graph, both, 3, 4)


def _with_channels_of(graph: Graph, result: Value, image: Value) -> Value:
    return _last(graph, result, 0, graph.side(image, 3))


def _over_white(graph: Graph, colors: Value, alpha: Value) -> Value:
    """As data.images.composite: int32 of 0 to 255."""
    colors, alpha = (graph.cast(x, np.int32) for x in (colors, alpha))
    behind = graph.op("Mul", graph.op("Sub", np.int32(255), alpha), np.int32(WHITE))
    total = graph.op("Add", graph.op("Mul", colors, alpha), behind)
    return graph.op("Div", graph.op("Add", total, np.int32(127)), np.int32(255))


def _without_white(graph: Graph, made: Value, alpha: Value) -> Value:
    """Floats of 0 to 255 that lie on white -> what the picture's own pixels are, as Stylizer takes
    its background out again."""
    share = graph.op("Div", graph.cast(alpha, np.float32), np.float32(255))
    behind = graph.op("Mul", graph.op("Sub", np.float32(1), share), np.float32(WHITE))
    own = graph.op("Sub", made, behind)
    own = graph.op("Div", own, graph.op("Max", share, np.float32(1 / 255)))
    return graph.op("Where", graph.op("Greater", share, np.float32(0)), own, made)


def _in_channels(graph: Graph, colors: Value, channels: int) -> Value:
    """int32 [b, h, w, 3] -> the network's channels, as data.images.in_channels."""
    if channels == 3:
        return colors
    luma = np.array([[0.299], [0.587], [0.114]], np.float32)
    gray = graph.op("MatMul", graph.cast(colors, np.float32), luma)
    return graph.cast(graph.op("Round", gray), np.int32)


def _three(graph: Graph, made: Value, channels: int) -> Value:
    """Gray three times, rounded as Stylizer has it."""
    if channels == 3:
        return made
    made = graph.op("Round", made)
    return graph.op("Concat", made, made, made, axis=-1)


def _padded(graph: Graph, x: Value, multiple: int) -> Value:
    """As tiling.pad_symmetric."""
    for axis in (1, 2):
        side, m = graph.side(x, axis), np.array([multiple], np.int64)
        more = graph.op("Mod", graph.op("Neg", side), m)
        first, one = np.zeros(1, np.int64), np.ones(1, np.int64)
        whole = graph.op("Squeeze", graph.op("Add", side, more), first)
        twice = graph.op("Mul", side, np.array([2], np.int64))
        place = graph.op("Mod", graph.op("Range", np.int64(0), whole, np.int64(1)), twice)
        back = graph.op("Sub", graph.op("Sub", twice, one), place)
        x = graph.op("Gather", x, graph.op("Min", place, back), axis=axis)
    return x


def _cut(graph: Graph, x: Value, image: Value, scale: int = 1) -> Value:
    """x [b, *, *, C] to `scale` times the image's sides."""
    sides = graph.op("Shape", image, start=1, end=3)
    stops = graph.op("Mul", sides, np.array([scale, scale], np.int64))
    return graph.op("Slice", x, np.zeros(2, np.int64), stops, np.array([1, 2], np.int64))


def _larger(graph: Graph, alpha: Value, scale: int) -> Value:
    """uint8 [b, h, w, 1], enlarged linearly."""
    x = graph.op("Transpose", graph.cast(alpha, np.float32), perm=[0, 3, 1, 2])
    times = np.array([1, 1, scale, scale], np.float32)
    x = graph.op("Resize", x, None, times, mode="linear")
    return _pixels(graph, graph.op("Transpose", x, perm=[0, 2, 3, 1]))


def _signed(graph: Graph, x: Value) -> Value:
    """0 to 255 -> [-1, 1]."""
    x = graph.op("Div", graph.cast(x, np.float32), np.float32(127.5))
    return graph.op("Sub", x, np.float32(1))


def _of_signed(graph: Graph, x: Value) -> Value:
    """[-1, 1], what lies outside clipped, -> floats of 0 to 255."""
    x = graph.op("Clip", x, np.float32(-1), np.float32(1))
    return graph.op("Mul", graph.op("Add", x, np.float32(1)), np.float32(127.5))


def _pixels(graph: Graph, x: Value) -> Value:
    """Floats -> uint8, as data.images.rounded."""
    x = graph.op("Clip", graph.op("Round", x), np.float32(0), np.float32(255))
    return graph.cast(x, np.uint8)


def difference(sampler: Sampler, file: pathlib.Path) -> float:
    """The largest difference of a picture by the file to the sampler's own, of 255: of noise, of
    sides that are no multiples of anything."""
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    inputs = example(sampler)
    (made,) = session.run(None, inputs)
    return float(np.abs(made.astype(int) - expected(sampler, inputs).astype(int)).max())


def example(sampler: Sampler) -> dict[str, np.ndarray]:
    """Inputs of the file, two rows."""
    draw, n = np.random.default_rng(0), 2
    labels = np.arange(n) % max(1, len(sampler.classes))
    if not sampler.game.translates:
        z = np.asarray(sampler.latents(range(n)))
        return {"z": z} | ({"class": labels} if sampler.classes else {})
    size = sampler.shape[:2] if sampler.fixed_size else TRIED
    image = draw.integers(0, 256, (n, *size, 4), np.uint8)
    match sampler.game.command:
        case "restore":
            return {"image": image[..., :3]}
        case "inpaint":
            mask = np.zeros((n, *size), np.uint8)
            mask[:, size[0] // 4 : size[0] // 2, size[1] // 3 : size[1] // 2] = 255
            return {"image": image[..., :3], "mask": mask}
    return {"image": image} | ({"style": labels} if sampler.classes else {})


def expected(sampler: Sampler, inputs: Mapping[str, np.ndarray]) -> np.ndarray:
    """What the sampler itself makes of them, uint8 [n, ...]."""
    of: dict[str, Callable] = {
        "sample": _sampled,
        "stylize": _stylized,
        "restore": _restored,
        "inpaint": _filled,
    }
    return of[sampler.game.command](sampler, **{f"{k}_": x for k, x in inputs.items()})


def _sampled(sampler, z_, class_=None):
    return to_uint8(sampler(z_, None if class_ is None else class_.astype(np.int32)))


def _stylized(sampler, image_, style_=None):
    stylizer, looks = stylize.Stylizer(sampler), []
    for row in range(len(image_)):
        names = [] if style_ is None else [sampler.classes[style_[row]]]
        looks += stylizer.looks(names, SEED)
    return np.stack([stylizer(x[None], look)[0] for x, look in zip(image_, looks, strict=True)])


def _restored(sampler, image_):
    enlarger = Enlarger(sampler.game.g, sampler.ema["params"]["g"])
    return restore.Restorer(enlarger, sampler.step, scale=models.traits(enlarger.net).scale)(image_)


def _filled(sampler, image_, mask_):
    inpainter = inpaint.Inpainter(sampler, inpaint.Holes())
    rows = zip(image_, mask_ >= 128, strict=True)
    made = [(inpainter.drawn(x, missing, sampler), x, missing) for x, missing in rows]
    return np.stack([np.where(missing[..., None], drawn, x) for drawn, x, missing in made])
