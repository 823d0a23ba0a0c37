"use strict";
// The layers of the panes. A layer has: id; label() and swatch(ctx, colours) for the legend; value(bar,
// first) as text, of the stretch of bars that begins with `first`; prepare(view), which returns its range of values; fit(), how the pane takes that range in
// ("whole" if there is none, "near" or "not"); draw(scene).
const PageLayers = (() => {
  const { Extremes, lowerBound } = PageView;
  const { word } = PageWords;
  const HALF_CANDLE = 0.36;
  // Marks on the same spot of so many pixels are drawn once; with more marks they become smaller.
  // The bounds are marks per pixel of width.
  const SPOT = 3, FEW_MARKS = 0.15, SOME_MARKS = 1, MANY_MARKS = 6;
  // Marks beside the price stand so many of their radii from it: off a mark that is on it.
  const BESIDE = 2.4;

  function extent(lows, highs = lows) {
    let low = Infinity, high = -Infinity;
    for (let i = 0; i < lows.length; i++) {
      if (lows[i] < low) low = lows[i];
      if (highs[i] > high) high = highs[i];
    }
    return low <= high ? [low, high] : null;
  }

  function lineSwatch(colour, dash = []) {
    return (ctx, colours) => {
      ctx.strokeStyle = colours[colour];
      ctx.lineWidth = 2;
      ctx.setLineDash(dash);
      ctx.beginPath();
      ctx.moveTo(0, 6);
      ctx.lineTo(12, 6);
      ctx.stroke();
    };
  }

  function boxSwatch(colour) {
    return (ctx, colours) => {
      ctx.fillStyle = colours[colour];
      ctx.fillRect(1, 2, 10, 8);
    };
  }

  /** Candles, joined where there are more than fit. */
  function candles(bars, format) {
    const { open, high, low, close } = bars.values;
    const lows = new Extremes(low), highs = new Extremes(high);
    let range, slice;
    return {
      id: "candles",
      label: () => "",
      swatch: (ctx, colours) => {
        ctx.fillStyle = colours.rise;
        ctx.fillRect(1, 3, 4, 7);
        ctx.fillRect(2.5, 1, 1, 11);
        ctx.fillStyle = colours.fall;
        ctx.fillRect(7, 2, 4, 7);
        ctx.fillRect(8.5, 0, 1, 11);
      },
      value(bar, first = bar) {
        const [lowest, highest] = extent(low.subarray(first, bar + 1), high.subarray(first, bar + 1));
        return [["open", open[first]], ["high", highest], ["low", lowest], ["close", close[bar]]]
          .map(([name, value]) => `${word(name)} ${format(value)}`).join("  ");
      },
      prepare(view) {
        slice = view.candles;
        range = { lows: lows.of(slice).lows, highs: highs.of(slice).highs };
        return extent(range.lows, range.highs);
      },
      draw(scene) {
        const rise = new Path2D(), fall = new Path2D();
        const pixels = scene.x(scene.view.half * 2 * slice.size) - scene.x(0);
        const half = Math.max(Math.round(pixels * HALF_CANDLE), 1);
        const wick = Math.max(1, Math.round(scene.ratio * (pixels > 12 * scene.ratio ? 1.5 : 1)));
        for (let i = 0; i < slice.count; i++) {
          const first = slice.start + i * slice.size;
          const last = Math.min(first + slice.size, slice.stop) - 1;
          const x = Math.round(scene.x(slice.x[i]));
          const top = scene.y(Math.max(open[first], close[last]));
          const bottom = scene.y(Math.min(open[first], close[last]));
          const path = close[last] >= open[first] ? rise : fall;
          const highest = scene.y(range.highs[i]);
          path.rect(x - wick / 2, highest, wick, Math.max(scene.y(range.lows[i]) - highest, 1));
          path.rect(x - half, top, 2 * half, Math.max(bottom - top, 1));
        }
        scene.ctx.fillStyle = scene.colours.rise;
        scene.ctx.fill(rise);
        scene.ctx.fillStyle = scene.colours.fall;
        scene.ctx.fill(fall);
      },
    };
  }

  /** Trace the lows and highs of a slice: of each stretch both, the nearer to the last one first. */
  function trace(scene, slice, { lows, highs }, stepped) {
    const path = new Path2D();
    let before = NaN;
    for (let i = 0; i < slice.count; i++) {
      if (Number.isNaN(lows[i])) { before = NaN; continue; }
      const upward = Number.isNaN(before) || before - lows[i] <= highs[i] - before;
      const [from, to] = upward ? [lows[i], highs[i]] : [highs[i], lows[i]];
      const wide = stepped && slice.size === 1 ? scene.view.half : 0;
      const left = scene.x(slice.x[i] - wide), right = scene.x(slice.x[i] + wide);
      if (Number.isNaN(before)) path.moveTo(left, scene.y(from)); else path.lineTo(left, scene.y(from));
      if (to !== from) path.lineTo(left, scene.y(to));
      if (wide) path.lineTo(right, scene.y(to));
      before = to;
    }
    return path;
  }

  /** A line: an indicator, an average, equity. `stepped`: the value holds until the next bar. */
  function line({ id, name, values, colour, format, dash = [], width = 1.4, opacity = 1, stepped = false, fit }) {
    const extremes = new Extremes(values);
    let range, slice;
    return {
      id, fit,
      label: () => word(name),
      swatch: lineSwatch(colour, dash),
      value: (bar) => format(values[bar]),
      prepare(view) {
        slice = view.points;
        range = extremes.of(slice);
        return extent(range.lows, range.highs);
      },
      draw(scene) {
        const { ctx, ratio } = scene;
        ctx.strokeStyle = scene.colours[colour];
        ctx.lineWidth = width * ratio;
        ctx.lineJoin = "round";
        ctx.globalAlpha = opacity;
        ctx.setLineDash(dash.map((part) => part * ratio));
        ctx.stroke(trace(scene, slice, range, stepped));
        ctx.setLineDash([]);
        ctx.globalAlpha = 1;
      },
    };
  }

  /** A filled area from a base line (a value, or the pane's bottom) to the column. */
  function area({ id, name, values, colour, format, base = null, sign = 1, opacity = 1 }) {
    const extremes = new Extremes(values);
    let range, slice;
    return {
      id,
      label: () => word(name),
      swatch: boxSwatch(colour),
      value: (bar) => format(values[bar]),
      prepare(view) {
        slice = view.points;
        range = extremes.of(slice);
        const found = extent(range.lows, range.highs);
        return found && (sign < 0 ? [-found[1], -found[0]] : found);
      },
      draw(scene) {
        const floor = base === null ? scene.top + scene.height : scene.y(base);
        scene.ctx.fillStyle = scene.colours[colour];
        // What was passed in a stretch is pale, what was held all through it is full.
        const layers = base === null ? [[range.lows, 1]] : [[range.highs, 0.35], [range.lows, 1]];
        for (const [heights, strength] of slice.size === 1 ? [[range.lows, 1]] : layers) {
          scene.ctx.globalAlpha = opacity * strength;
          scene.ctx.fill(steps(scene, slice, heights, sign, floor));
        }
        scene.ctx.globalAlpha = 1;
      },
    };
  }

  function steps(scene, slice, heights, sign, floor) {
    const path = new Path2D();
    for (let i = 0; i < slice.count; i++) {
      // Runs of one height are one box: no seams between neighbours.
      const from = i;
      while (i + 1 < slice.count && heights[i + 1] === heights[from]) i++;
      if (Number.isNaN(heights[from])) continue;
      const left = scene.x(edge(scene, slice, from)), right = scene.x(edge(scene, slice, i + 1));
      const y = scene.y(sign * heights[from]);
      if (y !== floor) path.rect(Math.floor(left), Math.min(y, floor), Math.ceil(right) - Math.floor(left), Math.abs(floor - y));
    }
    return path;
  }

  /** Return the time where a stretch begins. */
  function edge(scene, slice, i) {
    if (i >= slice.count) return scene.view.times[slice.stop - 1] + scene.view.half;
    return scene.view.times[slice.start + i * slice.size] - scene.view.half;
  }

  /** Bars from 0: volume, summed where bars are joined; those without one are counted apart. */
  function volume(values, format) {
    let sums, slice;
    const total = new Float64Array(values.length + 1), blanks = new Uint32Array(values.length + 1);
    for (let i = 0; i < values.length; i++) {
      total[i + 1] = total[i] + (values[i] || 0);
      blanks[i + 1] = blanks[i] + Number.isNaN(values[i]);
    }
    const sum = (first, stop) =>
      (blanks[stop] - blanks[first] === stop - first ? NaN : total[stop] - total[first]);
    return {
      id: "volume",
      label: () => "",
      swatch: boxSwatch("volume"),
      value(bar, first = bar) {
        const lacking = blanks[bar + 1] - blanks[first];
        const note = first < bar && lacking ? ` (${word("volume_missing", { n: lacking })})` : "";
        return format(sum(first, bar + 1)) + note;
      },
      prepare(view) {
        slice = view.candles;
        sums = Float64Array.from({ length: slice.count }, (_, i) => {
          const first = slice.start + i * slice.size;
          return sum(first, Math.min(first + slice.size, slice.stop));
        });
        return extent(sums);
      },
      draw(scene) {
        const path = new Path2D(), floor = scene.y(0);
        const pixels = scene.x(scene.view.half * 2 * slice.size) - scene.x(0);
        const half = Math.max(Math.round(pixels * HALF_CANDLE), 1);
        for (let i = 0; i < slice.count; i++) {
          if (Number.isNaN(sums[i])) continue;
          const y = scene.y(sums[i]);
          path.rect(Math.round(scene.x(slice.x[i])) - half, y, 2 * half, floor - y);
        }
        scene.ctx.fillStyle = scene.colours.volume;
        scene.ctx.fill(path);
      },
    };
  }

  /** A level through the whole pane. */
  function level({ id, name, value, colour, format }) {
    return {
      id,
      label: name ? () => word(name) : null,
      swatch: lineSwatch(colour, [4, 3]),
      value: () => format(value),
      draw(scene) {
        const { ctx, ratio } = scene, y = Math.round(scene.y(value)) + 0.5;
        ctx.strokeStyle = scene.colours[colour];
        ctx.lineWidth = ratio;
        if (name) ctx.setLineDash([4 * ratio, 3 * ratio]);
        ctx.beginPath();
        ctx.moveTo(scene.left, y);
        ctx.lineTo(scene.left + scene.width, y);
        ctx.stroke();
        ctx.setLineDash([]);
      },
    };
  }

  // ------------------------------------------------------------------------------------- marks

  const SHAPES = {
    box: (path, x, y, r) => path.rect(x - r, y - r, 2 * r, 2 * r),
    up: (path, x, y, r) => polygon(path, [[x, y - r], [x + r, y + r], [x - r, y + r]]),
    down: (path, x, y, r) => polygon(path, [[x, y + r], [x + r, y - r], [x - r, y - r]]),
    dot: (path, x, y, r) => { path.moveTo(x + r, y); path.arc(x, y, r, 0, 2 * Math.PI); },
    diamond: (path, x, y, r) =>
      polygon(path, [[x, y - 1.4 * r], [x + 1.4 * r, y], [x, y + 1.4 * r], [x - 1.4 * r, y]]),
    cross: (path, x, y, r) => {
      const [a, b] = [r * 0.45, r * 1.15];
      polygon(path, [[0, -a], [b - a, -b], [b, -b + a], [a, 0], [b, b - a], [b - a, b], [0, a],
        [a - b, b], [-b, b - a], [-a, 0], [-b, a - b], [a - b, -b]]
        .map(([dx, dy]) => [x + dx, y + dy]));
    },
    star: (path, x, y, r) => polygon(path, Array.from({ length: 10 }, (_, i) => {
      const angle = (i * Math.PI) / 5, far = i % 2 ? 0.8 * r : 2 * r;
      return [x + far * Math.sin(angle), y - far * Math.cos(angle)];
    })),
  };

  function polygon(path, corners) {
    corners.forEach(([x, y], i) => (i ? path.lineTo(x, y) : path.moveTo(x, y)));
    path.closePath();
  }

  /** Marks of one kind at sorted times: on their prices, or `beside` them: 1 below, -1 above. */
  function marks({ id, shape, colour, hollow = false, beside = 0, times, prices }) {
    let from = 0, end = 0, around = 0;
    return {
      id,
      label: () => word(id),
      swatch: (ctx, colours) => {
        const path = new Path2D();
        SHAPES[shape](path, 6, 6, shape === "star" ? 2.8 : 3.6);
        paint(ctx, path, colours[colour], colours.halo, hollow, 1);
      },
      count: () => end - from,
      /** Sizes follow the number of all marks that are seen, not of one kind. */
      crowd(total) { around = total; },
      prepare(view) {
        from = lowerBound(times, view.min - view.half);
        end = lowerBound(times, view.max + view.half);
        return null;
      },
      draw(scene) {
        const crowd = around / scene.view.width;
        const size = crowd < FEW_MARKS ? 5.5 : crowd < SOME_MARKS ? 4 : crowd < MANY_MARKS ? 2.6 : 1.3;
        const r = size * scene.ratio, spot = SPOT * scene.ratio;
        const across = Math.ceil(scene.width / spot) + 1;
        const taken = new Uint8Array(across * (Math.ceil(scene.height / spot) + 1));
        const path = new Path2D();
        // Nobody sees the shape of so many, but everybody waits for it.
        const draw = crowd < MANY_MARKS ? SHAPES[shape] : SHAPES.box;
        for (let i = from; i < end; i++) {
          const x = scene.x(times[i]), y = scene.y(prices[i]) + beside * BESIDE * r;
          const column = Math.floor((x - scene.left) / spot), row = Math.floor((y - scene.top) / spot);
          const place = row * across + column;
          if (column >= 0 && column < across && row >= 0 && place < taken.length) {
            if (taken[place]) continue;
            taken[place] = 1;
          }
          draw(path, x, y, r);
        }
        scene.ctx.globalAlpha = crowd < MANY_MARKS ? 1 : 0.45;
        paint(scene.ctx, path, scene.colours[colour], scene.colours.halo, hollow,
          crowd < SOME_MARKS ? scene.ratio : 0);
        scene.ctx.globalAlpha = 1;
      },
    };
  }

  function paint(ctx, path, colour, halo, hollow, width) {
    ctx.lineJoin = "miter";
    if (hollow) {
      ctx.lineWidth = 1.6 * (width || 0.6);
      ctx.strokeStyle = colour;
      ctx.stroke(path);
      return;
    }
    if (width) {
      ctx.lineWidth = 1.5 * width;
      ctx.strokeStyle = halo;
      ctx.stroke(path);
    }
    ctx.fillStyle = colour;
    ctx.fill(path);
  }

  /** Each set as a dashed line at its average entry, from its birth to its end. */
  function spans(sets, lastTime) {
    const { born, ended, average_entry: average } = sets.values;
    return {
      id: "set_span",
      label: () => word("set_span"),
      swatch: lineSwatch("set", [4, 2]),
      prepare: () => null,
      draw(scene) {
        const paths = { long: new Path2D(), short: new Path2D() };
        let count = 0;
        for (let i = 0; i < sets.rows; i++) {
          const end = Number.isNaN(ended[i]) ? lastTime : ended[i];
          if (end < scene.view.min || born[i] > scene.view.max) continue;
          const path = paths[sets.text("side", i)], y = scene.y(average[i]);
          path.moveTo(scene.x(born[i]), y);
          path.lineTo(Math.max(scene.x(end), scene.x(born[i]) + scene.ratio), y);
          count++;
        }
        const { ctx, ratio } = scene;
        // A veil where there are thousands.
        ctx.globalAlpha = Math.min(0.9, 80 / Math.max(count, 1) + 0.08);
        ctx.lineWidth = 1.6 * ratio;
        ctx.setLineDash([6 * ratio, 3 * ratio]);
        for (const side of ["long", "short"]) {
          ctx.strokeStyle = scene.colours[side];
          ctx.stroke(paths[side]);
        }
        ctx.setLineDash([]);
        ctx.globalAlpha = 1;
      },
    };
  }

  /** Ticks at an edge of the pane, at sorted times; those on one pixel are one. */
  function ticks({ id, colour, times, below }) {
    const LENGTH = 9;
    return {
      id,
      label: () => word(id),
      swatch: (ctx, colours) => {
        ctx.fillStyle = colours[colour];
        for (const x of [1, 5, 9]) ctx.fillRect(x, below ? 5 : 0, 2, 7);
      },
      prepare: () => null,
      draw(scene) {
        const { ctx, ratio, view } = scene, length = LENGTH * ratio;
        const from = lowerBound(times, view.min - view.half), end = lowerBound(times, view.max + view.half);
        const top = below ? scene.top + scene.height - length : scene.top;
        ctx.fillStyle = scene.colours[colour];
        ctx.globalAlpha = end - from < FEW_MARKS * view.width ? 1 : 0.4;
        let taken = NaN;
        for (let i = from; i < end; i++) {
          const x = Math.round(scene.x(times[i]) - ratio);
          if (x !== taken) ctx.fillRect(x, top, 2 * ratio, length);
          taken = x;
        }
        ctx.globalAlpha = 1;
      },
    };
  }

  /** The row of a table that was clicked: a band, or `priced` the way from entry to exit. */
  function chosen(selection, priced) {
    return {
      id: "chosen",
      fit: () => "near",
      prepare: () => {
        const prices = priced && selection.current ? [selection.current.from, selection.current.to] : [];
        return extent(prices.filter((price) => !Number.isNaN(price)));
      },
      draw(scene) {
        const it = selection.current;
        if (!it) return;
        const { ctx, ratio } = scene;
        if (!priced) {
          const left = scene.x(it.start - scene.view.half), right = scene.x(it.end + scene.view.half);
          ctx.fillStyle = scene.colours.band;
          ctx.fillRect(left, scene.top, Math.max(right - left, 2), scene.height);
          return;
        }
        ctx.strokeStyle = scene.colours[it.colour];
        ctx.lineWidth = 2 * ratio;
        const ends = [[it.start, it.from]];
        if (!Number.isNaN(it.to)) ends.push([it.end, it.to]);
        ctx.beginPath();
        for (const [time, price] of ends) ctx.lineTo(scene.x(time), scene.y(price));
        ctx.stroke();
        ctx.beginPath();
        for (const [time, price] of ends) {
          ctx.moveTo(scene.x(time) + 9 * ratio, scene.y(price));
          ctx.arc(scene.x(time), scene.y(price), 9 * ratio, 0, 2 * Math.PI);
        }
        ctx.stroke();
      },
    };
  }

  return { area, candles, chosen, level, line, marks, spans, ticks, volume };
})();
