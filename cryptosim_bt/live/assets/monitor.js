// Shows /data, asked for every two seconds. The token stays behind the # of the address, which no
// request holds; it goes out in a header alone.
"use strict";

const PAUSE_MS = 2000;
const token = new URLSearchParams(location.hash.slice(1)).get("token") || "";
const headers = token ? { Authorization: `Bearer ${token}` } : {};
const $ = (id) => document.getElementById(id);
let words = {};
let language = localStorage.getItem("language") || document.documentElement.lang;
let last = null;
const plots = {};

const say = (key) => words[language]?.[key] ?? key;
const number = (value, digits = 8) => value == null ? "–" : value.toLocaleString("en", { maximumFractionDigits: digits });
const money = (value) => value == null ? "–" : value.toFixed(8);
const percent = (value) => value == null ? "–" : `${value > 0 ? "+" : ""}${(100 * value).toFixed(2)} %`;
const clock = (text) => {
  if (!text) return "–";
  const at = new Date(text);
  const two = (part) => String(part).padStart(2, "0");
  return `${two(at.getMonth() + 1)}-${two(at.getDate())} ${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
};
// Without the date where that is today's.
const timeOf = (text, now) => clock(text).slice(0, 5) === clock(now).slice(0, 5) ? clock(text).slice(6) : clock(text);
const sign = (value) => value > 0 ? "profit" : value < 0 ? "loss" : "";

function element(tag, text, className) {
  const made = document.createElement(tag);
  made.textContent = text;
  if (className) made.className = className;
  return made;
}

// A cell is a text, or [text, class].
function table(id, head, rows) {
  const cells = (tag, row) => {
    const line = document.createElement("tr");
    line.append(...row.map((cell) => Array.isArray(cell) ? element(tag, ...cell) : element(tag, cell)));
    return line;
  };
  const shown = rows.map((row) => cells("td", row));
  $(id).replaceChildren(...rows.length ? [cells("th", head.map(say)), ...shown] : [element("caption", say("none"), "muted")]);
}

const side = (name) => [say(name), name];

function showTables(view) {
  table("legs", ["side", "contracts", "average"], Object.entries(view.legs).filter(([, leg]) => leg.contracts)
    .map(([name, leg]) => [side(name), number(leg.contracts), number(leg.average, 2)]));
  table("groups", ["group", "side", "contracts", "average", "pnl", "take_profit", "distance"], view.groups.map((each) => [
    each.name, side(each.side), number(each.contracts), number(each.average, 2), [money(each.pnl), sign(each.pnl)],
    each.take_profit ? number(each.take_profit.price, 2) : [say("none"), "loss"], percent(each.distance)]));
  table("orders", ["role", "side", "at", "contracts", "filled"], view.open_orders.map((each) => [
    say(each.role), side(each.side), number(each.price, 2), number(each.contracts), number(each.filled)]));
  table("sets", ["group", "side", "contracts", "average", "born", "ended", "pnl"], view.sets.map((each) => [
    each.name, side(each.side), number(each.contracts), number(each.average, 2), timeOf(each.born, view.time),
    each.ended ? timeOf(each.ended, view.time) : "–", [money(each.pnl), sign(each.pnl)]]));
  table("fills", ["time", "action", "side", "contracts", "at", "pnl", "fee"], view.last_fills.map((each) => [
    timeOf(each.time, view.time), say(each.opens ? "opens" : "closes") + (each.ours ? "" : ` · ${say("foreign")}`), side(each.side),
    number(each.contracts), number(each.price, 2), each.opens ? "–" : [money(each.pnl), sign(each.pnl)], money(each.fee)]));
}

function showAccount(view) {
  const gain = view.equity / view.initial_balance - 1;
  const tiles = [["equity", money(view.equity)], ["return", percent(gain), sign(gain)], ["balance", money(view.balance)],
    ["realized", money(view.realized_pnl), sign(view.realized_pnl)], ["fees", money(view.fees)],
    ["funding", money(view.funding), sign(view.funding)], ["price", number(view.price, 2)]];
  $("account").replaceChildren(...tiles.map(([key, text, className]) => {
    const tile = document.createElement("div");
    const value = element("b", text, className);
    if (!["return", "price"].includes(key)) value.append(element("small", ` ${view.currency}`));
    tile.append(element("span", say(key)), value);
    return tile;
  }));
}

function showHealth(view) {
  const { health } = view;
  const rows = [["as_of", clock(view.time)], ["last_bar", clock(health.last_bar)], ["signal", health.signal ?? "–"],
    ["reconciled", clock(health.reconciled)], ["answer", health.answer_ms == null ? "–" : `${number(health.answer_ms, 0)} ms`],
    ["foreign_orders", String(health.foreign_orders)], ["running_since", clock(health.running)], ["started", clock(health.started)]];
  $("health").replaceChildren(...rows.flatMap(([key, text]) => [element("dt", say(key)), element("dd", text)]));
  $("alarms").replaceChildren(...view.alarms.map((alarm) => {
    const line = document.createElement("li");
    line.append(element("time", clock(alarm.time)), alarm.text);
    return line;
  }));
  const state = health.stopped ? "stopped" : view.silent ? "silent" : "running";
  $("state").textContent = state === "silent" ? `${say(state)} ${clock(view.written)}` : say(state);
  $("state").className = `badge ${state === "running" ? "good" : "bad"}`;
}

// -------------------------------------------------------------------------------------- charts
function plot(id, series, values, hooks) {
  const place = $(id);
  const style = getComputedStyle(document.documentElement);
  const grid = { stroke: style.getPropertyValue("--grid"), width: 1 };
  const axis = { stroke: style.getPropertyValue("--muted"), grid, ticks: grid };
  const size = { width: place.clientWidth, height: place.clientHeight };
  if (!plots[id]) {
    place.replaceChildren();
    const days = values[0].at(-1) - values[0][0] > 172_800;
    const x = { ...axis, size: 30, values: (_, ticks) => ticks.map((tick) => days ? clock(tick * 1000).slice(0, 5) : clock(tick * 1000).slice(6, 11)) };
    const y = { ...axis, size: 76, values: (_, ticks) => ticks.map((tick) => number(tick, 6)) };
    plots[id] = new uPlot({ ...size, legend: { show: false }, axes: [x, y], series: [{}, ...series], hooks, cursor: { y: false } }, values, place);
  } else {
    const chart = plots[id];
    if (chart.width !== size.width || chart.height !== size.height) chart.setSize(size);
    // The same bars: whoever has zoomed in stays there.
    if (chart.data[0].at(-1) === values[0].at(-1)) chart.redraw(false);
    else chart.setData(values);
  }
}

function drawFills(chart) {
  const style = getComputedStyle(document.documentElement);
  const { ctx } = chart;
  const radius = 5 * devicePixelRatio;
  ctx.save();
  ctx.beginPath();
  ctx.rect(chart.bbox.left, chart.bbox.top, chart.bbox.width, chart.bbox.height);
  ctx.clip();
  for (const fill of last.last_fills) {
    const x = chart.valToPos(fill.time_ms / 1000, "x", true);
    const y = chart.valToPos(fill.price, "y", true);
    const up = (fill.side === "long") === fill.opens ? 1 : -1;  // bought or sold
    ctx.fillStyle = ctx.strokeStyle = style.getPropertyValue(`--${fill.side}`);
    ctx.beginPath();
    ctx.moveTo(x, y - up * radius);
    ctx.lineTo(x - radius, y + up * radius);
    ctx.lineTo(x + radius, y + up * radius);
    ctx.closePath();
    ctx.lineWidth = devicePixelRatio;
    if (fill.opens) ctx.fill(); else ctx.stroke();
  }
  ctx.restore();
}

function showCharts(view) {
  const style = getComputedStyle(document.documentElement);
  const stroke = (name) => style.getPropertyValue(name);
  const times = view.bars.map((bar) => bar[0] / 1000);
  plot("price-chart", [{ stroke: stroke("--muted"), width: 1.5, points: { show: false } }],
    [times, view.bars.map((bar) => bar[1])], { draw: [drawFills] });
  plot("equity-chart", [{ stroke: stroke("--long"), width: 2, points: { show: false } }],
    [times, view.bars.map((bar) => bar[2])]);
}

// -------------------------------------------------------------------------------------- the page
function notice(text) {
  $("notice").textContent = text;
  $("notice").hidden = !text;
}

function show(view) {
  last = view;
  document.documentElement.lang = language;
  for (const each of document.querySelectorAll("[data-word]")) each.textContent = say(each.dataset.word);
  document.querySelector("main").hidden = "waiting" in view;
  if ("waiting" in view) {
    notice(view.waiting);
    return;
  }
  notice("");
  document.title = `${view.symbol} · ${say("title")}`;
  $("symbol").textContent = view.symbol;
  $("mode").textContent = view.mode;
  for (const id of ["stop", "flatten"]) $(id).hidden = !token || Boolean(view.health.stopped);
  showAccount(view);
  showTables(view);
  showHealth(view);
  showCharts(view);
  const log = $("log");
  const atEnd = log.scrollTop + log.clientHeight >= log.scrollHeight - 20;
  log.textContent = view.log.join("\n");
  if (atEnd) log.scrollTop = log.scrollHeight;
}

async function look() {
  try {
    const answer = await fetch("data", { headers });
    if (answer.status === 401) notice(say("needs_token"));
    else show(await answer.json());
  } catch (error) {
    $("state").className = "badge bad";
    $("state").textContent = say("lost");
    console.error(error);
  }
  setTimeout(look, PAUSE_MS);
}

async function end(word) {
  if (!confirm(say(`sure_${word}`))) return;
  const answer = await fetch(`end/${word}`, { method: "POST", headers });
  const said = answer.ok ? (await answer.json()).running ? "asked" : "not_running" : "refused";
  alert(say(said));
}

async function begin() {
  words = await (await fetch("assets/words.json")).json();
  if (!words[language]) language = "en";
  for (const word of ["stop", "flatten"]) $(word).addEventListener("click", () => end(word));
  $("language").addEventListener("click", () => {
    language = language === "ko" ? "en" : "ko";
    localStorage.setItem("language", language);
    if (last) show(last);
  });
  addEventListener("resize", () => last && !("waiting" in last) && showCharts(last));
  look();
}

begin();
