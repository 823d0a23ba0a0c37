"use strict";
// What part of the run is seen, and its bars joined so that there are no more of them than pixels.
const PageView = (() => {
  // Each level of the pyramid joins so many entries of the one below.
  const STEP = 16;
  // Pixels that a candle and a point of a line take at least.
  const CANDLE_PIXELS = 4, POINT_PIXELS = 1;
  const FEWEST_BARS = 8;
  // What may be seen beside the first and the last bar, as a share of what is seen.
  const ROOM = 0.01;

  /** Return the first position whose value passes; from it on, all values of the array do. */
  function firstWhere(values, passes) {
    let low = 0, high = values.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (passes(values[middle])) high = middle; else low = middle + 1;
    }
    return low;
  }

  /** Return the first position whose value is not below `wanted` in a sorted array. */
  function lowerBound(values, wanted) {
    return firstWhere(values, (value) => value >= wanted);
  }

  /** Lowest and highest of any stretch of a column: a pyramid, built when first asked. */
  class Extremes {
    constructor(values) {
      this.levels = [{ size: 1, lows: values, highs: values }];
    }

    level(index) {
      while (this.levels.length <= index) {
        const below = this.levels[this.levels.length - 1];
        const count = Math.ceil(below.lows.length / STEP);
        const lows = new Float64Array(count), highs = new Float64Array(count);
        for (let i = 0; i < count; i++) {
          const end = Math.min((i + 1) * STEP, below.lows.length);
          scan(below, i * STEP, end, i, lows, highs);
        }
        this.levels.push({ size: below.size * STEP, lows, highs });
      }
      return this.levels[index];
    }

    /** Return lows and highs of the stretches of a slice; NaN where all is blank. */
    of(slice) {
      let index = 0;
      while (STEP ** (index + 1) <= slice.size) index++;
      const level = this.level(index);
      const entries = slice.size / level.size, start = slice.start / level.size;
      const lows = new Float64Array(slice.count), highs = new Float64Array(slice.count);
      for (let i = 0; i < slice.count; i++) {
        const from = start + i * entries;
        scan(level, from, Math.min(from + entries, level.lows.length), i, lows, highs);
      }
      return { lows, highs };
    }
  }

  function scan(level, from, end, to, lows, highs) {
    let low = Infinity, high = -Infinity;
    for (let i = from; i < end; i++) {
      if (level.lows[i] < low) low = level.lows[i];
      if (level.highs[i] > high) high = level.highs[i];
    }
    lows[to] = low === Infinity ? NaN : low;
    highs[to] = high === -Infinity ? NaN : high;
  }

  /** The range of time that is seen, and its slices. All times are seconds since 1970. */
  class View {
    constructor(times, barSeconds) {
      this.times = times;
      this.half = barSeconds / 2;
      this.shortest = FEWEST_BARS * barSeconds;
      this.whole = this.bounds(times[times.length - 1] - times[0]);
      this.width = 1000;
      this.set(...this.whole);
    }

    /** Return how far a range of so many seconds may go: the bars, with a little room beside them. */
    bounds(length) {
      const room = Math.max(length * ROOM, 4 * this.half);
      return [this.times[0] - room, this.times[this.times.length - 1] + room];
    }

    /** Show a range, kept within the run; it keeps its length where it can. */
    set(min, max) {
      const wanted = Math.max(max - min, this.shortest);
      const [first, last] = wanted < this.whole[1] - this.whole[0] ? this.bounds(wanted) : this.whole;
      const length = Math.min(wanted, last - first);
      const middle = (min + max) / 2;
      this.min = Math.min(Math.max(middle - length / 2, first), last - length);
      this.max = this.min + length;
      this.candles = this.slice(CANDLE_PIXELS);
      this.points = this.slice(POINT_PIXELS);
    }

    /** Show the range in so many pixels. */
    resize(width) {
      this.width = Math.max(width, 50);
      this.set(this.min, this.max);
    }

    /** Join bars so that each stretch has so many pixels; a stretch more at either end. */
    slice(pixels) {
      const from = lowerBound(this.times, this.min), end = lowerBound(this.times, this.max);
      let size = 1;
      while ((end - from) / size > this.width / pixels) size *= 2;
      const start = Math.max(0, (Math.floor(from / size) - 1) * size);
      const stop = Math.min(this.times.length, (Math.ceil(end / size) + 1) * size);
      const count = Math.ceil((stop - start) / size);
      const x = new Float64Array(count);
      for (let i = 0; i < count; i++) {
        const first = start + i * size;
        x[i] = (this.times[first] + this.times[Math.min(first + size, stop) - 1]) / 2;
      }
      return { start, stop, size, count, x };
    }

    /** Return the number of the bar at a time: the last that opened no later. */
    barAt(time) {
      return Math.max(0, lowerBound(this.times, time + 0.0005) - 1);
    }
  }

  return { Extremes, View, firstWhere, lowerBound };
})();
