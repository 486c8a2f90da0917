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
from gan_jax.inference import onnx_pictures as pictures
from gan_jax.inference.sampler import Sampler
from gan_jax.interop import onnx_ops
from gan_jax.interop.onnx_graph import Graph, Output
from gan_jax.interop.super_resolution import Enlarger
from gan_jax.runtime.files import replace_bytes

FULL, HALF = "model.onnx", "model_fp16.onnx"
SEED = 0  # of the styles that a translator's file holds, one a class
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
    result = Output(
        pictures.pixels(graph, pictures.of_signed(graph, made)),
        np.uint8,
        ["b", *sampler.shape],
    )
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
    colors, alpha = pictures.apart(graph, image)
    channels = sampler.shape[2]
    if channels == 4:
        flat = graph.op("Concat", colors, alpha, axis=-1)
    else:
        flat = pictures.in_channels(graph, pictures.over_white(graph, colors, alpha), channels)
    b, h, w = jax.export.symbolic_shape(f"b, {sampler.multiple}*m, {sampler.multiple}*n")
    values = [pictures.signed(graph, pictures.padded(graph, flat, sampler.multiple))]
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
    made = pictures.of_signed(graph, pictures.cut(graph, made, image))
    if channels != 4:
        made = pictures.without_white(graph, pictures.three(graph, made, channels), alpha)
        result = graph.op("Concat", pictures.pixels(graph, made), alpha, axis=-1)
    else:
        result = pictures.pixels(graph, made)
    result = pictures.with_channels_of(graph, result, image)
    return Written(graph, {"result": Output(result, np.uint8, ["b", "h", "w", "c"])}, about)


def _restorer(sampler: Sampler) -> Written:
    """image uint8 [b, h, w, 3 or 4] -> result, `scale` times as large. Alpha is enlarged linearly;
    colors are those of the file, clear pixels' too."""
    graph, net, params = Graph(), sampler.game.g, sampler.ema["params"]["g"]
    scale, multiple = models.traits(net).scale, restore.MULTIPLE
    image = graph.input("image", np.uint8, ["b", "h", "w", "c"])
    colors, alpha = pictures.apart(graph, image)
    b, h, w = jax.export.symbolic_shape(f"b, {multiple}*m, {multiple}*n")
    x = graph.cast(pictures.padded(graph, colors, multiple), np.float32)
    x = graph.op("Div", x, np.float32(255))

    def enlarge(x):
        return 255 * jnp.clip(net.apply({"params": params}, x), 0, 1)

    spec = jax.ShapeDtypeStruct((b, h, w, 3), np.float32)
    (made,) = onnx_ops.call(graph, enlarge, [x], [spec])
    made = pictures.pixels(graph, pictures.cut(graph, made, image, scale))
    result = graph.op("Concat", made, pictures.larger(graph, alpha, scale), axis=-1)
    result = pictures.with_channels_of(graph, result, image)
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
    colors, alpha = pictures.apart(graph, image)
    hole = graph.op("GreaterOrEqual", graph.cast(mask, np.int32), np.int32(128))
    hole = graph.op("Unsqueeze", hole, np.array([3], np.int64))
    seen = graph.op("Where", hole, np.uint8(0), np.uint8(255))
    torn = graph.op("Concat", graph.op("Where", hole, np.uint8(0), colors), seen, axis=-1)
    b, h, w = jax.export.symbolic_shape(f"b, {multiple}*m, {multiple}*n")
    if sampler.fixed_size:
        h, w = sides
    else:
        torn = pictures.padded(graph, torn, multiple)

    def fill(x):
        return game.restyle(sampler.ema, x, jnp.zeros((x.shape[0], 0)))[..., :3]

    spec = jax.ShapeDtypeStruct((b, h, w, 4), np.float32)
    (made,) = onnx_ops.call(graph, fill, [pictures.signed(graph, torn)], [spec])
    drawn = pictures.pixels(graph, pictures.of_signed(graph, pictures.cut(graph, made, image)))
    drawn = graph.op("Where", hole, drawn, colors)
    result = graph.op("Concat", drawn, graph.op("Where", hole, np.uint8(255), alpha), axis=-1)
    result = pictures.with_channels_of(graph, result, image)
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
