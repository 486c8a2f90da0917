// The network, beside the page so that this stays usable: loads runtime and model, runs pictures.
const here = (name) => new URL(name, self.location.href).href;
const ENGINES = {
  webgpu: { script: "ort.webgpu.min.mjs", glue: "ort-wasm-simd-threaded.asyncify.mjs", wasm: "ort-wasm-simd-threaded.asyncify.wasm.gz" },
  wasm: { script: "ort.wasm.min.mjs", glue: "ort-wasm-simd-threaded.mjs", wasm: "ort-wasm-simd-threaded.wasm.gz" },
};
const OVERLAP = 32; // pixels that neighboring tiles share

let ort, session, model, engine;

self.onmessage = async ({ data }) => {
  try {
    if (data.load) await load(data.load, data.engine);
    else self.postMessage({ id: data.id, result: await run(data) });
  } catch (error) {
    self.postMessage({ id: data.id, error: inWords(error) });
  }
};

function inWords(error) {
  const text = String(error && error.message ? error.message : error);
  if (/alloc|memory|out of bounds/i.test(text)) return "The picture is too large for this browser's memory. Try a smaller one.";
  return `It could not be done: ${text.split("\n")[0].slice(0, 200)}`;
}

async function load(about, wanted) {
  model = about;
  const asked = wanted || ((await hasWebGPU()) ? "webgpu" : "wasm");
  try {
    await start(asked);
  } catch (error) {
    if (asked === "wasm") throw error;
    self.postMessage({ restart: "wasm" }); // a second runtime does not fit into one worker
    return;
  }
  engine = asked;
  self.postMessage({ ready: engine });
}

async function hasWebGPU() {
  try {
    return Boolean(self.navigator.gpu && (await self.navigator.gpu.requestAdapter()));
  } catch {
    return false;
  }
}

async function start(name) {
  const { script, glue, wasm } = ENGINES[name];
  ort = await import(here(script));
  ort.env.wasm.numThreads = self.crossOriginIsolated ? Math.min(4, self.navigator.hardwareConcurrency || 1) : 1;
  ort.env.wasm.wasmPaths = { mjs: here(glue), wasm: here(wasm) };
  ort.env.wasm.wasmBinary = await unpacked(await fetched(wasm));
  ort.env.logLevel = "error";
  const bytes = await fetched("model.onnx", (share) => self.postMessage({ loading: share }));
  const providers = name === "webgpu" ? ["webgpu", "wasm"] : ["wasm"];
  session = await ort.InferenceSession.create(new Uint8Array(bytes), { executionProviders: providers, graphOptimizationLevel: "all" });
  if ("caches" in self) { // for a page that is opened without a network
    const cache = await caches.open("gan-jax");
    await cache.addAll([script, glue, wasm, "model.onnx"].map(here)).catch(() => {});
  }
}

async function fetched(name, progress) {
  const answer = await fetch(here(name));
  if (!answer.ok) throw new Error(`${name} is not there (${answer.status})`);
  const whole = Number(answer.headers.get("Content-Length"));
  if (!progress || !whole || !answer.body) return answer.arrayBuffer();
  const parts = [];
  let have = 0;
  for (const reader = answer.body.getReader(); ; ) {
    const { done, value } = await reader.read();
    if (done) break;
    parts.push(value);
    have += value.length;
    progress(Math.min(1, have / whole));
  }
  return new Blob(parts).arrayBuffer();
}

// A server may have unpacked it on the way.
async function unpacked(bytes) {
  const [first, second] = new Uint8Array(bytes, 0, 2);
  if (first !== 0x1f || second !== 0x8b) return bytes;
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).arrayBuffer();
}

async function run(job) {
  if (model.kind === "sample") return drawn(job);
  if (model.kind === "restore") return enlarged(job.image);
  return whole(job.image, job.style, job.mask);
}

async function drawn({ z, count, label }) {
  const inputs = { z: new ort.Tensor("float32", z, [count, z.length / count]) };
  if (model.classes.length) inputs.class = new ort.Tensor("int64", new BigInt64Array(count).fill(BigInt(label)), [count]);
  const { result } = await session.run(inputs);
  const [, height, width, channels] = result.dims;
  return Array.from({ length: count }, (_, i) => {
    const size = height * width * channels;
    return { width, height, data: rgba(result.data.subarray(i * size, (i + 1) * size), channels) };
  });
}

function rgba(pixels, channels) {
  if (channels === 4) return new Uint8ClampedArray(pixels);
  const found = new Uint8ClampedArray((pixels.length / channels) * 4).fill(255);
  for (let i = 0, j = 0; i < pixels.length; i += channels, j += 4) {
    for (let c = 0; c < 3; c++) found[j + c] = pixels[i + (channels === 1 ? 0 : c)];
  }
  return found;
}

// image: {width, height, data: RGBA}; mask: a byte a pixel, 255 where it is to be filled.
async function whole(image, style, mask) {
  const sides = [1, image.height, image.width];
  const inputs = { image: new ort.Tensor("uint8", new Uint8Array(image.data.buffer), [...sides, 4]) };
  if (model.kind === "stylize" && model.classes.length) inputs.style = new ort.Tensor("int64", BigInt64Array.of(BigInt(style)), [1]);
  if (model.kind === "inpaint") inputs.mask = new ort.Tensor("uint8", mask, sides);
  const { result } = await session.run(inputs);
  return { width: result.dims[2], height: result.dims[1], data: new Uint8ClampedArray(result.data) };
}

// In tiles that overlap, each blended into what is there already.
async function enlarged(image) {
  const { width, height } = image;
  const scale = model.scale;
  if (width * height <= model.tile * model.tile) return whole(image);
  const [tall, wide] = [Math.min(model.tile, height), Math.min(model.tile, width)];
  const [rows, columns] = [starts(height, tall), starts(width, wide)];
  const made = { width: width * scale, height: height * scale, data: new Uint8ClampedArray(width * height * scale * scale * 4) };
  const began = performance.now();
  let done = 0;
  for (const [i, top] of rows.entries()) {
    for (const [j, left] of columns.entries()) {
      const tile = await whole(cut(image, left, top, wide, tall));
      const down = i ? rows[i - 1] + tall - top : 0;
      const across = j ? columns[j - 1] + wide - left : 0;
      blend(made, tile, left * scale, top * scale, rise(across * scale, tile.width), rise(down * scale, tile.height));
      done += 1;
      const all = rows.length * columns.length;
      self.postMessage({ done, all, left: ((performance.now() - began) / done) * (all - done) / 1000 });
    }
  }
  return made;
}

function starts(size, side) {
  const count = size <= side ? 1 : Math.ceil((size - OVERLAP) / (side - OVERLAP));
  return Array.from({ length: count }, (_, i) => Math.round((i * (size - side)) / Math.max(1, count - 1)));
}

// Weights along an axis: 0 to 1 over the middle half of what is shared with the tile before.
function rise(shared, length) {
  return Float32Array.from({ length }, (_, i) => (shared ? Math.min(1, Math.max(0, (i + 0.5 - shared / 4) / (shared / 2))) : 1));
}

function cut(image, left, top, width, height) {
  const data = new Uint8ClampedArray(width * height * 4);
  for (let y = 0; y < height; y++) {
    const from = ((top + y) * image.width + left) * 4;
    data.set(image.data.subarray(from, from + width * 4), y * width * 4);
  }
  return { width, height, data };
}

function blend(made, tile, left, top, across, down) {
  for (let y = 0; y < tile.height; y++) {
    let to = ((top + y) * made.width + left) * 4;
    let from = y * tile.width * 4;
    for (let x = 0; x < tile.width; x++, to += 4, from += 4) {
      const share = across[x] * down[y];
      for (let c = 0; c < 4; c++) made.data[to + c] += share * (tile.data[from + c] - made.data[to + c]);
    }
  }
}
