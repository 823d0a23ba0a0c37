"use strict";
// The lists beside the chart: trades, sets, orders, funding. Only the rows that are seen are elements.
const PageTables = (() => {
  const { element, number } = PagePane;
  const { label } = PageFigures;
  const { word } = PageWords;
  const ROW = 24, HEAD = 28, SPARE = 6;
  // Rows of a list that are printed: a hundred pages.
  const MOST_PRINTED = 3500;
  // Widths by kind of column, and of some by their name.
  const WIDTHS = { time: "112px", text: "64px", word: "64px", count: "60px", contracts: "74px",
    price: "84px", money: "104px", rate: "76px" };
  const WIDE = { exit_reason: "92px", side: "44px", group: "60px", set: "52px", role: "80px",
    reason: "200px", action: "56px" };

  // When a row began and ended and at which prices; where nothing was filled, its own price holds.
  const PLACES = {
    trades: { start: "entry_time", end: "exit_time", from: "entry_price", to: "exit_price" },
    sets: { start: "born", end: "ended", from: "average_entry", to: "exit_price" },
    orders: { start: "created", end: "ended", from: "price", to: "fill_price" },
    funding: { start: "time", end: "time", from: "price", to: "price" },
  };
  // Columns of money won or lost.
  const RESULTS = ["net_pnl", "payment"];

  // Of a filter: a column, a sign, what it is compared with.
  const COMPARISON = /([^\s<>=!,][^<>=!,]*?)\s*(<=|>=|!=|=|<|>)\s*([^\s,]+)/g;

  function plain(text, space = "") {
    return text.toLowerCase().replace(/\s+/g, space);
  }

  function compare(a, b, sign) {
    switch (sign) {
      case "<": return a < b;
      case "<=": return a <= b;
      case ">": return a > b;
      case ">=": return a >= b;
      case "!=": return a !== b;
      default: return a === b;
    }
  }

  class List {
    constructor(run, charts, name) {
      Object.assign(this, { run, charts, name, table: run[name] });
      this.order = Int32Array.from({ length: this.table.rows }, (_, i) => i);
      this.sorted = { column: null, down: false };
      this.chosen = -1;
      this.filter = "";
    }

    /** Keep the rows that pass a filter: words of any column, comparisons of one (`PnL < 0`). */
    narrow(text) {
      this.filter = text;
      const tests = this.tests(text);
      const rows = Array.from({ length: this.table.rows }, (_, i) => i);
      this.order = Int32Array.from(rows.filter((row) => tests.every((test) => test(row))));
      this.arrange();
      this.build(this.parent);
      this.parent.scrollTop = 0;
    }

    /** Return a test of a row for each condition of a filter. */
    tests(text) {
      const { names } = this.table;
      const called = (heading) => heading && names.find((name) => [name, this.heading(name)]
        .some((each) => plain(each).startsWith(plain(heading))));
      const tests = [];
      const rest = text.replace(COMPARISON, (whole, before, sign, wanted) => {
        // "long PnL < 0": the last words that are a heading.
        const words = before.split(/\s+/);
        const from = words.findIndex((_, i) => called(words.slice(i).join(" ")));
        if (from < 0) return whole;
        const name = called(words.slice(from).join(" "));
        tests.push((row) => (this.isNumber(name)
          ? compare(this.number(name, row), Number(wanted.replace("%", "")), sign)
          : this.texts(name, row).some((each) => each && compare(each, plain(wanted), sign))));
        return `${words.slice(0, from).join(" ")} `;
      });
      for (const each of plain(rest, " ").split(/[ ,]+/).filter(Boolean)) {
        tests.push((row) => names.some((name) => this.texts(name, row).some((it) => it.includes(each))));
      }
      return tests;
    }

    /** Return what a cell may be found by: what it shows, a word in English too. */
    texts(name, row) {
      const shown = plain(this.cell(name, row));
      return this.table.about[name].kind === "word" ? [shown, plain(this.table.text(name, row))] : [shown];
    }

    /** Return a number as its column shows it: a rate in percent. */
    number(name, row) {
      return this.table.values[name][row] * (this.table.about[name].kind === "rate" ? 100 : 1);
    }

    heading(name) {
      return label(this.run.facts, `head.${name}`);
    }

    /** Return the rows that are shown as CSV, in their order: figures as numbers, times of the zone. */
    csv() {
      const quoted = (text) => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
      const { names } = this.table;
      const cell = (name, row) => {
        const value = this.table.values[name][row];
        if (Number.isNaN(value)) return "";
        return this.isNumber(name) ? String(value) : this.cell(name, row);
      };
      const lines = Array.from(this.order, (row) => names.map((name) => quoted(cell(name, row))).join(","));
      return `\ufeff${[names.map((name) => quoted(this.heading(name))).join(","), ...lines].join("\r\n")}\r\n`;
    }

    build(parent) {
      this.parent = parent;
      parent.replaceChildren();
      document.getElementById("shown").textContent = this.order.length === this.table.rows ? ""
        : word("rows_shown", { n: this.order.length, total: this.table.rows });
      if (!this.order.length) {
        element("p", "empty", parent).textContent = word("no_rows");
        return;
      }
      this.columns = this.table.names
        .map((name) => WIDE[name] ?? WIDTHS[this.table.about[name].kind]).join(" ");
      const head = element("div", "row head", parent);
      head.style.gridTemplateColumns = this.columns;
      for (const name of this.table.names) {
        const button = element("button", this.isNumber(name) ? "number" : "", head);
        const arrow = this.sorted.column === name ? (this.sorted.down ? " ▼" : " ▲") : "";
        button.type = "button";
        button.dataset.column = name;
        button.textContent = this.heading(name) + arrow;
        button.title = button.textContent;
        button.addEventListener("click", () => this.sort(name));
      }
      this.body = element("div", "", parent);
      this.body.style.height = `${this.order.length * ROW}px`;
      this.draw(true);
    }

    isNumber(name) {
      return !["text", "time", "word"].includes(this.table.about[name].kind);
    }

    /** Sort by a column; once more: the other way round. Blanks stay last. */
    sort(name) {
      this.sorted = { column: name, down: this.sorted.column === name && !this.sorted.down };
      this.arrange();
      const { scrollLeft } = this.parent;
      this.build(this.parent);
      this.parent.scrollTo(scrollLeft, 0);
    }

    /** Put the rows in the order chosen. */
    arrange() {
      const { column: name, down } = this.sorted;
      if (name === null) return;
      const { levels } = this.table.about[name];
      let values = this.table.values[name];
      if (levels) {
        const ranks = levels.map((_, i) => i)
          .sort((a, b) => levels[a].localeCompare(levels[b], "en", { numeric: true }));
        const rank = new Float64Array(levels.length);
        ranks.forEach((code, i) => { rank[code] = i; });
        values = values.map((code) => (Number.isNaN(code) ? NaN : rank[code]));
      }
      const sign = down ? -1 : 1;
      this.order.sort((a, b) => {
        const [x, y] = [values[a], values[b]];
        if (Number.isNaN(x) || Number.isNaN(y)) return Number.isNaN(x) - Number.isNaN(y) || a - b;
        return sign * (x - y) || a - b;
      });
    }

    /** Make the rows that are seen; those that are there already stay, unless `again`. */
    draw(again = false) {
      if (!this.order.length) return;
      const all = document.body.classList.contains("printing");
      const first = all ? 0 : Math.max(0, Math.floor((this.parent.scrollTop - HEAD) / ROW) - SPARE);
      const count = all ? MOST_PRINTED : Math.ceil(this.parent.clientHeight / ROW) + 2 * SPARE;
      if (!again && first === this.first && count === this.count) return;
      Object.assign(this, { first, count });
      const rows = [];
      for (let place = first; place < Math.min(first + count, this.order.length); place++) {
        rows.push(this.row(place));
      }
      this.body.replaceChildren(...rows);
    }

    row(place) {
      const index = this.order[place];
      const row = element("div", "row body");
      row.style.gridTemplateColumns = this.columns;
      row.style.top = `${HEAD + place * ROW}px`;
      row.dataset.row = index;
      row.setAttribute("aria-selected", String(index === this.chosen));
      row.addEventListener("click", () => this.choose(place));
      for (const name of this.table.names) {
        const cell = element("span", this.isNumber(name) ? "number" : "", row);
        cell.textContent = this.cell(name, index);
        const value = this.table.values[name][index];
        if (name === "side") cell.classList.add(this.table.text(name, index));
        if (RESULTS.includes(name) && value) cell.classList.add(value > 0 ? "profit" : "loss");
      }
      return row;
    }

    cell(name, index) {
      const { kind } = this.table.about[name];
      const value = this.table.values[name][index];
      if (Number.isNaN(value)) return "";
      if (kind === "time") return this.charts.dates.text(value);
      if (kind === "text") return this.table.text(name, index);
      if (kind === "word") return this.table.shown(name, index);
      if (kind === "rate") return `${number(value * 100, 4, true)}%`;
      return number(value, this.run.facts.decimals[kind], RESULTS.includes(name));
    }

    /** Mark a row and let the chart go there. */
    choose(place) {
      const index = this.order[place];
      this.chosen = index;
      this.draw(true);
      const { charts } = this;
      const [start, end, from, to] = ["start", "end", "from", "to"]
        .map((name) => this.table.values[PLACES[this.name][name]][index]);
      charts.goTo({
        start: charts.onBar(start),
        end: Number.isNaN(end) ? charts.view.times[charts.view.times.length - 1] : charts.onBar(end),
        from, to: this.name === "orders" && Number.isNaN(to) ? from : to, colour: this.colour(index),
      });
    }

    /** Return the colour in which a row is shown in the chart: of what it won, else of its side. */
    colour(index) {
      const { values } = this.table;
      const won = RESULTS.find((name) => values[name]);
      if (!won) return this.table.text("side", index);
      return values[won][index] > 0 ? "profit" : "loss";
    }

    /** Go to the next row up or down. */
    step(by) {
      const now = this.order.indexOf(this.chosen);
      const place = Math.max(0, Math.min(this.order.length - 1, now < 0 ? 0 : now + by));
      const top = place * ROW, { parent } = this;
      if (top < parent.scrollTop) parent.scrollTop = top;
      const low = top + HEAD + ROW - parent.clientHeight;
      if (low > parent.scrollTop) parent.scrollTop = low;
      if (this.order.length) this.choose(place);
    }
  }

  return { List };
})();
