// The page: it shows what comes by the WebSocket, and says which pictures it has shown.
"use strict";

const STALE_MS = 1500; // without a decision for so long, none is shown
const SLOWEST_RETRY_MS = 2000;
const NOTICE_MS = 8000;
const WHY = {
  no_events: "No events",
  few_events: "Few events",
  noise: "Noise",
  unknown_movement: "Unknown movement",
};

const at = (id) => document.getElementById(id);
const canvas = at("picture");
const context = canvas.getContext("2d", { alpha: false });
const dark = matchMedia("(prefers-color-scheme: dark)");

let socket = null;
let hello = null;
let rows = []; // of #bars: {item, bar, share}
let heard_ms = 0; // when the last decision came
let retry_ms = 250;
let last_status = null;
let notice_timer = 0;

function readable(label) {
  const words = label.replaceAll("_", " ");
  return words.charAt(0).toUpperCase() + words.slice(1);
}

function colour(index) {
  const colours = dark.matches ? hello.colours_on_dark : hello.colours_on_light;
  return colours[index % colours.length];
}

// Decisions

function greet(said) {
  hello = said;
  at("about").textContent = `${hello.source} · ${hello.model}`;
  at("controls").hidden = !hello.control;
  rows = hello.classes.map((label) => {
    const item = document.createElement("li");
    const [name, track, bar, share] = ["name", "track", "bar", "share"].map((kind) => {
      const part = document.createElement("span");
      part.className = kind;
      return part;
    });
    name.textContent = name.title = readable(label);
    track.append(bar);
    item.append(name, track, share);
    return { item, bar, share };
  });
  at("bars").replaceChildren(...rows.map((row) => row.item));
  paint();
  decideNothing("–", "");
}

function paint() {
  rows.forEach((row, index) => row.item.style.setProperty("--colour", colour(index)));
}

function show(text, detail, index) {
  const label = at("label");
  if (label.textContent !== text) label.textContent = text;
  label.toggleAttribute("data-none", index < 0);
  if (index >= 0) label.style.setProperty("--colour", colour(index));
  at("detail").textContent = detail;
  document.title = index < 0 ? "livesnn" : `${text} – livesnn`;
  rows.forEach((row, each) => row.item.toggleAttribute("aria-current", each === index));
}

function decideNothing(text, detail) {
  heard_ms = 0;
  show(text, detail, -1);
  for (const row of rows) {
    row.bar.style.transform = "scaleX(0)";
    row.share.textContent = "";
  }
}

function decide(row) {
  if (row.silence_s !== null) {
    decideNothing("No events", `for ${Math.floor(row.silence_s)} s`);
    return;
  }
  heard_ms = performance.now();
  hello.classes.forEach((label, index) => {
    const probability = row.probabilities[label];
    rows[index].bar.style.transform = `scaleX(${probability})`;
    rows[index].share.textContent = `${Math.round(100 * probability)} %`;
  });
  const percent = `${Math.round(100 * row.confidence)} %`;
  if (row.decision === null) {
    const likeliest = hello.classes.reduce((one, other) => (row.probabilities[other] > row.probabilities[one] ? other : one));
    show(WHY[row.reason] ?? "Not sure", `likeliest: ${readable(likeliest)}, ${percent}`, -1);
  } else {
    show(readable(row.decision), `${percent} sure`, hello.classes.indexOf(row.decision));
  }
}

// Measurements

function short(count) {
  for (const [size, unit] of [[1e9, " G"], [1e6, " M"], [1e3, " k"]]) {
    if (count >= size) return `${(count / size).toPrecision(3)}${unit}`;
  }
  return `${Math.round(count)}`;
}

function measure(status) {
  const latency = status.latency_ms;
  at("latency").textContent = latency === null ? "–" : `${latency.p50.toFixed(1)} ms`;
  at("latency-more").textContent = latency === null ? "a recording has none" : `p99 ${latency.p99.toFixed(1)} ms`;
  if (last_status !== null && status.seconds > last_status.seconds) {
    const rate = (status.events - last_status.events) / (status.seconds - last_status.seconds);
    at("rate").textContent = `${short(rate)}/s`;
  }
  at("rate-more").textContent = `${short(status.events)} in all`;
  const share = status.events ? (100 * status.dropped) / (status.events + status.dropped) : 0;
  at("lost").textContent = short(status.dropped);
  at("lost-more").textContent = status.dropped ? `${share.toFixed(1)} % of all events` : "of all events";
  const recording = status.recording;
  at("record").textContent = recording === null ? "Record" : "Stop recording";
  at("record").setAttribute("aria-pressed", recording !== null);
  at("recording").textContent =
    recording === null ? "" : `${recording.path}: ${recording.seconds.toFixed(0)} s, ${short(recording.events)} events`;
  last_status = status;
}

function notice(text) {
  at("notice").textContent = text;
  at("notice").hidden = false;
  clearTimeout(notice_timer);
  notice_timer = setTimeout(() => (at("notice").hidden = true), NOTICE_MS);
}

// Pictures: the newest one is drawn, and all that came are said to be shown. A hidden page draws none, and gets none.

let newest = null;
let undrawn = [];
let drawing = false;
let widest = 0; // of the pictures so far: that of the sensor

function receivePicture(buffer) {
  newest = buffer;
  undrawn.push(new DataView(buffer).getUint32(0, true));
  drawSoon();
}

function drawSoon() {
  if (!drawing && undrawn.length && !document.hidden) {
    drawing = true;
    requestAnimationFrame(draw);
  }
}

async function draw() {
  const from = socket;
  const numbers = undrawn;
  undrawn = [];
  try {
    const picture = await createImageBitmap(new Blob([new Uint8Array(newest, 4)], { type: "image/jpeg" }));
    if (canvas.width !== picture.width || canvas.height !== picture.height) {
      canvas.width = picture.width;
      canvas.height = picture.height;
    }
    widest = Math.max(widest, picture.width);
    canvas.classList.toggle("reduced", picture.width < widest);
    context.drawImage(picture, 0, 0);
    picture.close();
    at("no-picture").hidden = true;
  } finally {
    drawing = false;
    if (from === socket && from.readyState === WebSocket.OPEN) {
      for (const number of numbers) from.send(JSON.stringify({ shown: number }));
    }
    drawSoon();
  }
}

// The connection

function state(name, text) {
  at("connection").dataset.state = document.body.dataset.state = name;
  at("connection").textContent = text;
  at("record").disabled = at("reset").disabled = name !== "live";
}

function receive(said) {
  if ("decision" in said) decide(said);
  if ("hello" in said) {
    greet(said.hello);
    retry_ms = 250;
    state("live", "Live");
  }
  if ("status" in said) measure(said.status);
  if ("quiet" in said) decideNothing("No decision", "nothing comes from the source");
  if ("notice" in said) notice(said.notice);
  if ("error" in said) notice(said.error);
  if ("summary" in said) notice("The source has ended.");
}

function connect() {
  const address = new URL("live" + location.search, location.href);
  address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
  socket = new WebSocket(address);
  socket.binaryType = "arraybuffer";
  socket.onmessage = ({ data }) => (typeof data === "string" ? receive(JSON.parse(data)) : receivePicture(data));
  socket.onclose = () => {
    state("lost", "No connection");
    if (hello !== null) decideNothing("No connection", "livesnn serve has ended, or can't be reached");
    undrawn = [];
    last_status = null;
    setTimeout(connect, retry_ms);
    retry_ms = Math.min(2 * retry_ms, SLOWEST_RETRY_MS);
  };
}

const ask = (what) => socket.send(JSON.stringify({ do: what }));
at("reset").onclick = () => ask("reset");
at("record").onclick = () => ask(at("record").getAttribute("aria-pressed") === "true" ? "stop" : "record");
dark.addEventListener("change", () => hello !== null && paint());
document.addEventListener("visibilitychange", drawSoon);
setInterval(() => {
  if (heard_ms && performance.now() - heard_ms > STALE_MS) decideNothing("No decision", "nothing comes from livesnn");
}, 250);
connect();
