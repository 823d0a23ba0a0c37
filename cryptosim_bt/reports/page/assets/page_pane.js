"use strict";
// A pane: a uPlot chart (axes, grid, crosshair, shared time) with layers of ours drawn into it.
const PagePane = (() => {
  const AXIS_WIDTH = 84, AXIS_HEIGHT = 34;
  // Half a date with its year: the first one stands around the left edge.
  const LEFT = 33;
  // Pixels from one value of an axis to the next: a low pane has them closer, to show two.
  const VALUE_SPACE = 20, VALUE_SPACE_LEAST = 11;
  // Width of a character of a figure, points and commas among them, in widths of a 0.
  const CHARACTER = 0.88;
  // On a narrow screen (a phone held upright).
  const NARROW = 600, NARROW_AXIS_WIDTH = 66;
  // A line beside the candles widens the axis by this share of their range at most, either way.
  const NEAR = 0.5;
  // As many as a browser writes.
  const MOST_DECIMALS = 20;

  /** Colours of the theme by name, as the style sheet has them. */
  function colours() {
    const style = getComputedStyle(document.documentElement);
    return new Proxy({}, { get: (_, name) => style.getPropertyValue(`--${name}`).trim() });
  }

  /** What a layer draws with: the canvas, and where times and values stand on it. */
  class Scene {
    constructor(u, pane) {
      const { left, top, width, height } = u.bbox;
      Object.assign(this, { ctx: u.ctx, left, top, width, height, ratio: uPlot.pxRatio });
      this.view = pane.view;
      this.colours = pane.colours;
      const [x, y] = [u.scales.x, u.scales.y];
      const across = width / (x.max - x.min);
      this.x = (time) => left + (time - x.min) * across;
      // What is 0 or less has no place on a logarithmic axis: it runs out below it.
      const turn = pane.log ? (value) => Math.log(Math.max(value, y.min / 2)) : (value) => value;
      const up = height / (turn(y.max) - turn(y.min));
      this.y = (value) => top + height - (turn(value) - turn(y.min)) * up;
    }
  }

  class Pane {
    /**
     * Options: name (a word or an indicator's), view, decimals or format, weight (share of the
     * height), least (pixels), floor (0 is always seen), nothing (the range where all is 0), dates (time axis below), wall (time of the run's zone), log,
     * heading (what the legend begins with, if not the name), compact (12M and not 12,000,000).
     */
    constructor(options) {
      Object.assign(this, { weight: 1, least: 70, layers: [], format: null, nothing: [0, 1], ...options });
    }

    /** Make the elements and the chart in a parent. */
    build(parent, hidden) {
      this.hidden = hidden;
      this.colours = colours();
      this.axisWidth = parent.clientWidth < NARROW ? NARROW_AXIS_WIDTH : AXIS_WIDTH;
      this.root = element("div", "pane", parent);
      this.root.style.flex = `${this.weight} 0 ${this.least}px`;
      this.root.dataset.pane = this.name;
      if (!this.bare) this.buildLegend();
      this.host = element("div", "plot", this.root);
      this.level = element("div", "level", this.host);
      this.level.hidden = true;
      this.scan();
      this.plot = new uPlot(this.options(), [this.view.candles.x, this.empty()], this.host);
    }

    buildLegend() {
      const legend = element("div", "legend", this.root);
      this.root.style.minHeight = `${this.least}px`;
      element("span", "name", legend).textContent = this.heading ?? PageWords.word(this.name);
      this.keys = new Map();
      this.most = new Map();
      for (const layer of this.layers.filter((each) => each.label)) {
        const key = element("button", "key", legend);
        key.type = "button";
        key.dataset.layer = layer.id;
        key.append(swatch(layer, this.colours));
        element("span", "", key).textContent = layer.label();
        key.setAttribute("aria-pressed", String(!this.hidden.has(layer.id)));
        key.addEventListener("click", () => this.toggle(layer.id, key));
        if (layer.value) this.keys.set(layer, element("b", "", key));
      }
      if (this.note) this.noteAt = element("b", "name", legend);
    }

    toggle(id, key) {
      if (!this.hidden.delete(id)) this.hidden.add(id);
      key.setAttribute("aria-pressed", String(!this.hidden.has(id)));
      this.update();
    }

    shown() {
      return this.layers.filter((layer) => !this.hidden.has(layer.id));
    }

    empty() {
      return new Float64Array(this.view.candles.count);
    }

    options() {
      const muted = this.colours.muted;
      const grid = { stroke: this.colours.grid, width: 1 };
      const font = "11px system-ui, sans-serif";
      const time = {
        stroke: muted, grid, font, size: this.dates ? AXIS_HEIGHT : 0, ticks: { show: false },
        values: this.dates ? this.dates : () => [], space: 80, gap: 3,
      };
      const value = {
        side: 1, stroke: muted, grid, font, size: this.bare ? 0 : this.axisWidth, gap: 6,
        ticks: { show: !this.bare, stroke: this.colours.grid, size: 4 },
        space: (u, axis, low, high, height) =>
          Math.max(VALUE_SPACE_LEAST, Math.min(VALUE_SPACE, height / 3)),
        show: !this.bare,
        values: (u, splits, axis, space, step) => {
          // A logarithmic axis has no one step: its values are told apart by the least.
          const gaps = splits.slice(1).map((at, i) => at - splits[i]);
          const least = this.log && gaps.length ? Math.min(...gaps) : step;
          return splits.map((at) => this.axisText(at, least));
        },
        ...(this.log && { splits: (u, axis, low, high) => logSplits(low, high), filter: (u, splits) => splits }),
      };
      return {
        width: Math.max(this.host.clientWidth, 60), height: Math.max(this.host.clientHeight, 30),
        padding: this.bare ? [2, this.axisWidth, 2, LEFT] : [6, 0, this.dates ? 0 : 4, LEFT],
        legend: { show: false },
        tzDate: this.wall,
        scales: {
          x: { time: true, auto: false, min: this.limits[0], max: this.limits[1] },
          y: { auto: false, min: this.lowest, max: this.highest, distr: this.log ? 3 : 1 },
        },
        axes: [{ ...time, show: !this.bare }, value],
        series: [{}, { show: true, paths: () => null, points: { show: false } }],
        cursor: {
          show: !this.bare, points: { show: false }, drag: { x: false, y: false },
          sync: { key: "run", scales: ["x", null] },
        },
        hooks: { drawAxes: [(u) => this.draw(u)], setCursor: [(u) => this.pointed(u)] },
      };
    }

    /** The range of time in the pane: that of the view, or all of it (the navigator). */
    get limits() {
      return this.extentOfTime ?? [this.view.min, this.view.max];
    }

    axisText(value, step) {
      if (value === null) return "";
      if (this.compact) return compact.format(value);
      if (this.percent) [value, step] = [value * 100, step * 100];
      const decimals = step > 0 ? Math.max(0, -Math.floor(Math.log10(step) + 1e-9)) : this.decimals;
      return number(this.unsigned ? Math.abs(value) : value, Math.min(decimals, MOST_DECIMALS))
        + (this.percent ? "%" : "");
    }

    text(value) {
      return this.format ? this.format(value) : number(value, this.decimals);
    }

    /** Let the layers gather what they draw, and find the range of values. */
    scan() {
      // A logarithmic axis is reckoned in logarithms: what is 0 or less is infinitely far below.
      const [turn, back] = this.log
        ? [(value) => (value > 0 ? Math.log(value) : -Infinity), Math.exp] : [(value) => value, (value) => value];
      let [low, high] = this.floor ? [0, 0] : [Infinity, -Infinity];
      const near = [];
      for (const layer of this.shown()) {
        const extent = layer.prepare?.(this.view)?.map(turn), fit = layer.fit?.() ?? "whole";
        if (!extent || fit === "not") continue;
        if (fit === "near") { near.push(extent); continue; }
        if (extent[0] > -Infinity) low = Math.min(low, extent[0]);
        if (extent[1] > -Infinity) high = Math.max(high, extent[1]);
      }
      // A line that is far from the candles may widen the axis, but not flatten them.
      const reach = low <= high ? (high - low) * NEAR : Infinity;
      const [lowest, highest] = reach < Infinity ? [low - reach, high + reach] : [-Infinity, Infinity];
      for (const extent of near) {
        low = Math.min(low, Math.max(extent[0], lowest));
        high = Math.max(high, Math.min(extent[1], highest));
      }
      if (!(low <= high && Number.isFinite(low))) [low, high] = [0, 1];
      const room = high > low ? (high - low) * 0.06 : Math.abs(high) * 0.01 || 1;
      this.lowest = back(this.floor && low === 0 ? low : low - room);
      this.highest = back(this.floor && high === 0 ? high : high + room);
      if (this.floor && low === 0 && high === 0) [this.lowest, this.highest] = this.nothing;
    }

    /** Draw again after the view or the layers changed. */
    update() {
      this.scan();
      const { plot } = this;
      const [min, max] = this.limits;
      plot.batch(() => {
        plot.setData([this.view.candles.x, this.empty()], false);
        plot.setScale("x", { min, max });
        plot.setScale("y", { min: this.lowest, max: this.highest });
      });
    }

    resize() {
      const { clientWidth: width, clientHeight: height } = this.host;
      if (width > 0 && height > 0) this.plot.setSize({ width, height });
    }

    draw(u) {
      const scene = new Scene(u, this);
      const { ctx } = scene;
      // A window may leave a pane no room at all.
      if (scene.width <= 0 || scene.height <= 0) return;
      ctx.save();
      ctx.beginPath();
      ctx.rect(scene.left, scene.top, scene.width, scene.height);
      ctx.clip();
      for (const layer of this.shown()) layer.draw(scene);
      ctx.restore();
    }

    /** Show the value at the crosshair beside the axis. */
    pointed(u) {
      const { top } = u.cursor;
      const here = u.over.matches(":hover") && top >= 0;
      this.level.hidden = !here;
      if (here) {
        this.level.textContent = this.text(u.posToVal(top, "y"));
        this.level.style.top = `${top + u.over.offsetTop}px`;
      }
      this.onPoint?.(u, here);
    }

    /** Write the figures of a stretch of bars into the legend: mostly those after its last bar. */
    read(first, last) {
      if (this.bare) return;
      for (const [layer, place] of this.keys) {
        const text = layer.value(last, first);
        place.textContent = text;
        // Room once taken is kept: names beside it would jump with every bar.
        this.most.set(place, Math.max(this.most.get(place) ?? 0, text.length));
        place.style.minWidth = `${this.most.get(place) * CHARACTER}ch`;
      }
      if (this.noteAt) this.noteAt.textContent = this.note(last);
    }

    destroy() {
      this.plot.destroy();
      this.root.remove();
    }
  }

  /** Return round values of a logarithmic axis: 1, 2, 5 of each power of ten, or closer ones. */
  function logSplits(low, high) {
    const first = Math.floor(Math.log10(low)), last = Math.ceil(Math.log10(high));
    const within = (values) => values.filter((value) => value >= low && value <= high);
    const powers = Array.from({ length: last - first + 1 }, (_, i) => first + i);
    const found = within(powers.flatMap((power) => [1, 2, 5].map((each) => Number(`${each}e${power}`))));
    if (found.length >= 3) return found;
    const rough = (high - low) / 4, size = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].find((each) => each * size >= rough) * size;
    return within(Array.from({ length: 10 }, (_, i) => (Math.ceil(low / step) + i) * step));
  }

  function element(tag, name, parent) {
    const made = document.createElement(tag);
    if (name) made.className = name;
    parent?.append(made);
    return made;
  }

  const formats = new Map();
  const compact = new Intl.NumberFormat("en-US", { notation: "compact", maximumFractionDigits: 2 });

  /** Return a number with its thousands apart; a dash where there is none. */
  function number(value, decimals, sign = false) {
    if (value === null || value === undefined || Number.isNaN(value)) return "–";
    const key = `${decimals}${sign}`;
    if (!formats.has(key)) {
      formats.set(key, new Intl.NumberFormat("en-US", {
        minimumFractionDigits: decimals, maximumFractionDigits: decimals,
        signDisplay: sign ? "exceptZero" : "negative",
      }));
    }
    return formats.get(key).format(value);
  }

  function percent(value, sign = false) {
    return value === null || Number.isNaN(value) ? "–" : `${number(value * 100, 2, sign)}%`;
  }

  /** Return a small picture of a layer's mark for the legend. */
  function swatch(layer, palette) {
    const made = document.createElement("canvas");
    const ratio = window.devicePixelRatio || 1;
    made.width = made.height = 12 * ratio;
    made.style.width = made.style.height = "12px";
    const ctx = made.getContext("2d");
    ctx.scale(ratio, ratio);
    layer.swatch(ctx, palette);
    return made;
  }

  return { Pane, element, number, percent };
})();
