// What is on the page: pictures in and out. The network itself is in worker.js.
const $ = (id) => document.getElementById(id);
const GRID = 8; // pictures of one seed
const MOST_DECODED = 100e6; // pixels of a file
const WORDS = {
  sample: ["draws new pictures, one for each seed", "Drawing"],
  stylize: ["redraws your picture in its style", "Drawing"],
  restore: ["makes your picture larger and cleaner", "Working"],
  inpaint: ["fills what you mark in your picture", "Filling"],
};

let model, worker, engine, ready = false, waiting = null, count = 0, last = null;
let picture = null; // {width, height, data}, as it goes into the network
let file = null; // what was chosen, and its name
let name = "result";

const wanted = new URLSearchParams(location.search).get("engine"); // ?engine=wasm

async function begin() {
  try {
    model = await (await fetch("model.json")).json();
  } catch {
    return fail("The page's files can't be read. It needs a web server: python -m http.server, in its folder.");
  }
  document.body.dataset.kind = model.kind;
  document.title = `${model.name} · gan_jax`;
  $("title").textContent = model.name;
  $("about").textContent = `This network ${WORDS[model.kind][0]}.`;
  build();
  if (navigator.serviceWorker) navigator.serviceWorker.register("sw.js").catch(() => {});
  start(wanted);
}

function start(asked) {
  if (worker) worker.terminate();
  ready = false;
  worker = new Worker("worker.js", { type: "module" });
  worker.onmessage = ({ data }) => heard(data);
  worker.onerror = () => fail("This browser can't run the network: it is too old, or refuses WebAssembly.");
  worker.postMessage({ load: model, engine: asked });
}

function heard(data) {
  if (data.loading !== undefined) return progress(data.loading, `Loading the network, ${Math.round(100 * data.loading)} % of ${megabytes(model.bytes)}`);
  if (data.restart) return start(data.restart);
  if (data.ready) return isReady(data.ready);
  if (data.all) return progress(data.done / data.all, `${WORDS[model.kind][1]}: part ${data.done} of ${data.all}${data.left > 1 ? `, about ${Math.ceil(data.left)} s left` : ""}`);
  if (!waiting || data.id !== waiting.id) return;
  const { resolve, reject, again } = waiting;
  waiting = null;
  if (data.error && engine === "webgpu" && !again) return retry(resolve, reject);
  if (data.error) reject(new Error(data.error));
  else resolve(data.result);
}

function isReady(which) {
  engine = which;
  ready = true;
  document.body.dataset.ready = which;
  $("engine").textContent = which === "webgpu" ? ", on the graphics card (WebGPU)" : ", on the processor (WebAssembly)";
  progress(null, "");
  if (last && waiting) worker.postMessage({ ...last, id: waiting.id });
  else act();
}

// The graphics card could not do it: once more, on the processor.
function retry(resolve, reject) {
  waiting = { id: ++count, resolve, reject, again: true };
  progress(0, "Once more, on the processor …");
  start("wasm");
}

function ask(job) {
  last = job;
  return new Promise((resolve, reject) => {
    waiting = { id: ++count, resolve, reject };
    worker.postMessage({ ...job, id: count });
  });
}

function build() {
  const takes = model.kind !== "sample";
  $("picker").hidden = !takes;
  for (const [i, text] of model.classes.entries()) {
    const input = Object.assign(document.createElement("input"), { type: "radio", name: "style", id: `style${i}`, value: i, checked: i === 0 });
    input.addEventListener("change", act);
    const label = Object.assign(document.createElement("label"), { htmlFor: input.id, textContent: text });
    const chip = document.createElement("div");
    chip.append(input, label);
    $("chips").append(chip);
  }
  $("styles").hidden = !model.classes.length;
  $("styles-name").textContent = takes ? "Style" : "Class";
  if (model.kind === "stylize") sizes();
  for (const id of ["seed-field", "another"]) $(id).hidden = takes;
  $("file").addEventListener("change", () => $("file").files[0] && take($("file").files[0]));
  $("controls").addEventListener("submit", (event) => (event.preventDefault(), act(event)));
  $("seed").addEventListener("change", act);
  $("another").addEventListener("click", () => (($("seed").value = (seed() + GRID) % 2 ** 32), act()));
  $("size").addEventListener("change", () => file && take(file));
  $("clear").addEventListener("click", clearMarks);
  if (takes) {
    addEventListener("paste", (event) => event.clipboardData.files[0] && take(event.clipboardData.files[0]));
    addEventListener("dragover", (event) => (event.preventDefault(), document.body.classList.add("over")));
    addEventListener("dragleave", () => document.body.classList.remove("over"));
    addEventListener("drop", (event) => {
      event.preventDefault();
      document.body.classList.remove("over");
      if (event.dataTransfer.files[0]) take(event.dataTransfer.files[0]);
    });
  }
  brush();
}

function sizes() {
  const own = model.side ? [[model.side, `${model.side} pixels, as it was trained`]] : [];
  const others = [128, 256, 512].filter((n) => n > model.side).map((n) => [n, `${n} pixels`]);
  const all = model.side ? [...own, ...others] : [[0, "as it is"], ...others];
  for (const [value, text] of all) $("size").append(new Option(text, value));
  $("size-field").hidden = false;
}

// ---- a picture comes in

async function take(chosen) {
  try {
    say();
    name = (chosen.name || "picture").replace(/\.[^.]*$/, "");
    const image = await createImageBitmap(chosen).catch(() => {
      throw new Error(`${chosen.name || "That"} is no picture that this browser can read. PNG, JPEG and WebP are.`);
    });
    if (image.width * image.height > MOST_DECODED) throw new Error(`${chosen.name} has ${image.width}x${image.height} pixels: more than this page takes. Make it smaller first.`);
    file = chosen;
    const [width, height, why] = fit(image);
    picture = pixels(image, width, height);
    image.close();
    show($("source"), picture);
    $("source").setAttribute("aria-label", `your picture, ${width} by ${height} pixels`);
    $("source-caption").textContent = `yours, ${width}x${height}${why}`;
    $("before").hidden = false;
    $("after").hidden = true;
    if (model.kind === "inpaint") clearMarks(), say("Draw on your picture what is to be filled.");
    else act();
  } catch (error) {
    fail(error.message);
  }
}

// [width, height, why they are not the picture's]
function fit({ width, height }) {
  const side = Number($("size").value);
  let scale = 1, why = "";
  if (model.kind === "stylize" && side && height > side) [scale, why] = [side / height, " after it was made smaller"];
  const most = model.most / (model.kind === "restore" ? model.scale ** 2 : 1);
  if (width * height * scale * scale > most) {
    scale = Math.sqrt(most / (width * height));
    why = `: made smaller from ${width}x${height}, the most that this page takes`;
  }
  return [Math.max(1, Math.floor(width * scale)), Math.max(1, Math.floor(height * scale)), why];
}

function pixels(image, width, height) {
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.imageSmoothingQuality = "high";
  context.drawImage(image, 0, 0, width, height);
  return context.getImageData(0, 0, width, height);
}

function show(canvas, image) {
  [canvas.width, canvas.height] = [image.width, image.height];
  canvas.getContext("2d").putImageData(new ImageData(image.data, image.width, image.height), 0, 0);
}

// ---- a picture goes out

async function act(event) {
  if (!ready || waiting) return;
  const marked = model.kind === "inpaint" && event && event.type === "submit";
  if (model.kind !== "sample" && (!picture || (model.kind === "inpaint" && !marked))) return;
  const style = label();
  const began = performance.now();
  try {
    busy(true);
    if (model.kind === "sample") await drawGrid(style);
    else if (model.kind === "inpaint") await fill();
    else finish(await ask({ image: copy(picture), style }));
    const took = performance.now() - began;
    document.body.dataset.took = Math.round(took);
    progress(null, `Done in ${took < 1000 ? `${Math.round(took)} ms` : `${(took / 1000).toFixed(1)} s`}.`);
  } catch (error) {
    fail(error.message);
  } finally {
    busy(false);
    if (model.kind !== "inpaint" && label() !== style) act(); // chosen meanwhile
  }
}

function finish(result) {
  show($("result"), result);
  const style = model.kind === "stylize" && model.classes[label()];
  $("result").setAttribute("aria-label", `the result${style ? ` in the style ${style}` : ""}, ${result.width} by ${result.height} pixels`);
  $("result-caption").textContent = `${style || "the result"}, ${result.width}x${result.height}`;
  $("after").hidden = false;
  $("result").toBlob((blob) => {
    URL.revokeObjectURL($("save").href);
    $("save").href = URL.createObjectURL(blob);
    $("save").download = `${name}_${style || model.name}.png`;
    document.body.dataset.results = Number(document.body.dataset.results || 0) + 1;
  });
}

async function drawGrid(style) {
  const first = seed();
  const draws = Array.from({ length: GRID }, (_, i) => normal((first + i) % 2 ** 32, model.z));
  const made = await ask({ z: Float32Array.from(draws.flat()), count: GRID, label: style });
  $("grid").replaceChildren();
  for (const [i, image] of made.entries()) {
    const canvas = document.createElement("canvas");
    show(canvas, image);
    const blob = await new Promise((done) => canvas.toBlob(done));
    const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(blob), download: `${model.name}_${first + i}.png` });
    const what = `picture of seed ${first + i}${model.classes.length ? `, ${model.classes[style]}` : ""}`;
    link.title = `save ${what}`;
    link.append(Object.assign(document.createElement("img"), { src: link.href, alt: what }));
    $("grid").append(link);
  }
  $("grid").hidden = false;
  document.body.dataset.results = Number(document.body.dataset.results || 0) + 1;
}

// Standard normal numbers of a seed (mulberry32, Box and Muller): not those of Python's.
function normal(seed, count) {
  let state = seed >>> 0;
  const uniform = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
  for (let i = 0; i < 8; i++) uniform(); // neighboring seeds begin alike
  return Array.from({ length: count }, () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform()));
}

// ---- holes

function brush() {
  if (model.kind !== "inpaint") return;
  for (const id of ["brush-field", "clear", "go", "marks"]) $(id).hidden = false;
  const marks = $("marks");
  marks.tabIndex = 0;
  marks.setAttribute("role", "application");
  marks.setAttribute("aria-label", "mark what to fill: draw with a finger or the mouse; or move with the arrow keys and mark with the space bar");
  let at = null, down = false, place = [0.5, 0.5];
  const where = (event) => {
    const box = marks.getBoundingClientRect();
    return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
  };
  const stroke = (to) => {
    const context = marks.getContext("2d");
    context.strokeStyle = "#ff2d87";
    context.lineWidth = (Number($("brush").value) * marks.width) / Math.max(marks.getBoundingClientRect().width, 1);
    context.lineCap = context.lineJoin = "round";
    context.beginPath();
    const [x, y] = at || to;
    context.moveTo(x * marks.width, y * marks.height);
    context.lineTo(to[0] * marks.width + 0.01, to[1] * marks.height);
    context.stroke();
    at = to;
  };
  marks.addEventListener("pointerdown", (event) => {
    marks.setPointerCapture(event.pointerId);
    [down, at] = [true, null];
    stroke(where(event));
  });
  marks.addEventListener("pointermove", (event) => down && stroke(where(event)));
  for (const end of ["pointerup", "pointercancel"]) marks.addEventListener(end, () => (down = false));
  marks.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (!step && event.key !== " ") return;
    event.preventDefault();
    if (step) {
      place = place.map((x, i) => Math.min(1, Math.max(0, x + 0.02 * step[i])));
      say(`at ${Math.round(100 * place[0])} % from the left, ${Math.round(100 * place[1])} % from the top`);
    } else [at] = [null], stroke(place);
  });
}

function clearMarks() {
  if (picture) [$("marks").width, $("marks").height] = [picture.width, picture.height];
}

// As in Python the network sees the holes and as much again around them, reduced where that is large.
async function fill() {
  const { width, height } = picture;
  const seen = $("marks").getContext("2d").getImageData(0, 0, width, height).data;
  const marked = new Uint8Array(width * height);
  let [left, top, right, bottom, some] = [width, height, 0, 0, 0];
  for (let y = 0, i = 0; y < height; y++) {
    for (let x = 0; x < width; x++, i++) {
      if (seen[4 * i + 3] < 128 && picture.data[4 * i + 3] === 255) continue;
      marked[i] = 255;
      some += 1;
      [left, top, right, bottom] = [Math.min(left, x), Math.min(top, y), Math.max(right, x + 1), Math.max(bottom, y + 1)];
    }
  }
  if (!some) throw new Error("Nothing is marked yet: draw on your picture what is to be filled.");
  if (some === marked.length) throw new Error("All of it is marked, and nothing left to go by.");
  const longer = Math.max(right - left, bottom - top);
  const around = Math.max(16, longer);
  const least = model.fixed ? Math.max(...model.fixed, longer + 2 * around) : 0; // a square then
  [left, right] = span(left, right, around, least, width);
  [top, bottom] = span(top, bottom, around, least, height);
  const [wide, tall] = [right - left, bottom - top];
  const scale = Math.min(1, model.window / Math.max(wide, tall));
  const [h, w] = model.fixed || [tall, wide].map((n) => Math.max(1, Math.round(n * scale)));
  const source = new OffscreenCanvas(width, height);
  source.getContext("2d").putImageData(picture, 0, 0);
  const part = new OffscreenCanvas(w, h);
  part.getContext("2d").imageSmoothingQuality = "high";
  part.getContext("2d").drawImage(source, left, top, wide, tall, 0, 0, w, h);
  const mask = new Uint8Array(w * h);
  for (let y = 0; y < Math.max(h, tall); y++) { // of every pixel of the larger, one in the other
    for (let x = 0; x < Math.max(w, wide); x++) {
      const [i, j] = [Math.floor((y * tall) / Math.max(h, tall)), Math.floor((x * wide) / Math.max(w, wide))];
      const [k, l] = [Math.floor((y * h) / Math.max(h, tall)), Math.floor((x * w) / Math.max(w, wide))];
      if (marked[(top + i) * width + left + j]) mask[k * w + l] = 255;
    }
  }
  const made = await ask({ image: copy(part.getContext("2d").getImageData(0, 0, w, h)), mask });
  const drawn = new OffscreenCanvas(w, h);
  drawn.getContext("2d").putImageData(new ImageData(made.data, w, h), 0, 0);
  const back = new OffscreenCanvas(wide, tall);
  back.getContext("2d").drawImage(drawn, 0, 0, wide, tall);
  const fresh = back.getContext("2d").getImageData(0, 0, wide, tall).data;
  const result = copy(picture);
  for (let y = 0; y < tall; y++) {
    for (let x = 0; x < wide; x++) {
      const to = (top + y) * width + left + x;
      if (marked[to]) result.data.set(fresh.subarray(4 * (y * wide + x), 4 * (y * wide + x) + 4), 4 * to);
    }
  }
  finish(result);
}

// Where the network looks along an axis: around what is marked, at least so many pixels, in the picture.
function span(start, stop, around, least, size) {
  const more = Math.max(around, Math.ceil((least - (stop - start)) / 2));
  const length = Math.min(size, stop - start + 2 * more);
  const first = least ? Math.min(Math.max(0, start - more), size - length) : Math.max(0, start - more);
  return [first, least ? first + length : Math.min(size, stop + more)];
}

// ---- small things

const copy = ({ width, height, data }) => ({ width, height, data: new Uint8ClampedArray(data) });
const seed = () => Math.max(0, Math.floor(Number($("seed").value) || 0)) % 2 ** 32;
const label = () => Number(document.querySelector("input[name=style]:checked")?.value ?? 0);
const megabytes = (bytes) => `${(bytes / 1e6).toFixed(1)} MB`;

function busy(is) {
  document.body.classList.toggle("busy", is);
  for (const id of ["go", "another", "clear"]) $(id).disabled = is;
  if (is) progress(undefined, `${WORDS[model.kind][1]} …`);
}

// share: of the work that is done; undefined: nobody knows; null: nothing is going on.
function progress(share, text) {
  $("progress").hidden = share === null;
  if (share === undefined) $("progress").removeAttribute("value");
  else if (share !== null) $("progress").value = share;
  say(text);
}

function say(text = "") {
  $("status").textContent = text;
  $("error").hidden = true;
}

function fail(text) {
  progress(null, "");
  $("error").textContent = text;
  $("error").hidden = false;
}

begin();
