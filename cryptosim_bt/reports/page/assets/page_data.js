"use strict";
// The run's tables, unpacked: see cryptosim_bt/packed.py for how they are packed.
const PageData = (() => {
  /** Take the text out of a script element; the element goes, its text would be held in memory. */
  function takeText(id) {
    const element = document.getElementById(id);
    const text = element.textContent;
    element.remove();
    return text;
  }

  async function inflate(text) {
    const packed = Uint8Array.fromBase64
      ? Uint8Array.fromBase64(text)
      : Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Uint8Array(await new Response(stream).arrayBuffer());
  }

  /** Reads columns one after the other out of a block of bytes. */
  class Reader {
    constructor(bytes) {
      this.bytes = bytes;
      this.offset = 0;
    }

    /** Sum up differences; each is folded (0, -1, 1, -2 ... as 0, 1, 2, 3 ...), byte by byte. */
    steps(count, first, scale) {
      const bytes = this.bytes;
      const [b0, b1, b2, b3] = [0, 1, 2, 3].map((byte) => this.offset + byte * count);
      const values = new Float64Array(count);
      let sum = first;
      for (let i = 0; i < count; i++) {
        const folded =
          bytes[b0 + i] | (bytes[b1 + i] << 8) | (bytes[b2 + i] << 16) | (bytes[b3 + i] << 24);
        sum += (folded >>> 1) ^ -(folded & 1);
        values[i] = sum / scale;
      }
      this.offset += 4 * count;
      return values;
    }

    doubles(count) {
      const turned = new Uint8Array(8 * count);
      for (let byte = 0; byte < 8; byte++) {
        const start = this.offset + byte * count;
        for (let i = 0; i < count; i++) turned[8 * i + byte] = this.bytes[start + i];
      }
      this.offset += 8 * count;
      return new Float64Array(turned.buffer);
    }

    column(about, rows) {
      const values = about.form === "steps"
        ? this.steps(rows, about.first, 10 ** about.decimals)
        : this.doubles(rows);
      const bounds = this.steps(about.blanks, 0, 1);
      for (let i = 0; i < bounds.length; i += 2) values.fill(NaN, bounds[i], bounds[i + 1]);
      return values;
    }
  }

  /** A table: `values` and `about` by column; texts are numbers of `about[name].levels`. */
  class Table {
    constructor(facts, bytes) {
      const reader = new Reader(bytes);
      this.rows = facts.rows;
      this.names = facts.columns.map((about) => about.name);
      this.values = {};
      this.about = {};
      for (const about of facts.columns) {
        this.about[about.name] = about;
        this.values[about.name] = reader.column(about, facts.rows);
      }
    }

    /** Return the text at a row, "" where there is none. */
    text(name, row) {
      return this.about[name].levels[this.values[name][row]] ?? "";
    }

    /** Return the same in words of the language chosen. */
    shown(name, row) {
      return this.about[name].words[PageWords.language][this.values[name][row]] ?? "";
    }
  }

  async function load() {
    const facts = JSON.parse(takeText("facts"));
    const names = Object.keys(facts.tables);
    const blocks = await Promise.all(names.map((name) => inflate(takeText(`table-${name}`))));
    const run = { facts };
    names.forEach((name, i) => { run[name] = new Table(facts.tables[name], blocks[i]); });
    addDrawdown(run);
    return run;
  }

  /** Equity below its highest so far, as a fraction: 0 or negative. */
  function addDrawdown(run) {
    const equity = run.bars.values.equity;
    const drawdown = new Float64Array(equity.length);
    let peak = run.facts.initial_balance;
    for (let i = 0; i < equity.length; i++) {
      if (equity[i] > peak) peak = equity[i];
      drawdown[i] = equity[i] / peak - 1;
    }
    run.bars.values.drawdown = drawdown;
  }

  return { load };
})();
