"use strict";
// The lists beside the chart: trades, sets, summary. Only the rows that are seen are elements.
const PageTables = (() => {
  const { element, number, percent } = PagePane;
  const { word } = PageWords;
  const ROW = 24, HEAD = 28, SPARE = 6;
  // Widths by kind of column, and of some by their name.
  const WIDTHS = { time: "112px", text: "64px", count: "60px", contracts: "74px", price: "84px",
    money: "104px" };
  const WIDE = { exit_reason: "92px", side: "44px", group: "60px", set: "52px" };

  // The summary's figures in their order, and how each is written.
  const FIGURES = [
    ["total_return", "percent"], ["total_return_usd", "percent"], ["annual_return", "percent"],
    ["buy_and_hold_return", "percent"], ["max_drawdown", "share"], ["sharpe", "ratio"],
    ["sortino", "ratio"], ["trades", "count"], ["wins", "count"], ["losses", "count"],
    ["win_rate", "share"], ["profit_factor", "ratio"], ["initial_balance", "money"],
    ["final_balance", "money"], ["final_equity", "money"], ["unrealized_pnl", "signed"],
    ["fees_paid", "money"], ["funding_paid", "money"], ["liquidations", "count"],
    ["shortfall", "money"], ["min_liquidation_distance", "share"], ["fills", "count"],
    ["orders_expired", "count"], ["open_sets", "count"], ["bars_traded", "count"], ["version", "text"],
  ];
  const HELP = ["zoom", "move", "all", "find"];

  /** Return a figure of the summary as text. */
  function figureText(facts, name, form) {
    const value = facts.summary[name];
    if (value === null) return "–";
    switch (form) {
      case "percent": return percent(value, true);
      case "share": return percent(value);
      case "ratio": return number(value, 2);
      case "money": return number(value, facts.decimals.money);
      case "signed": return number(value, facts.decimals.money, true);
      case "count": return number(value, 0);
      default: return String(value);
    }
  }

  function label(facts, name) {
    const quote = facts.symbol.split(":")[0].split("/")[1] ?? "";
    return word(name, { currency: facts.currency, quote });
  }

  class List {
    constructor(run, charts, name) {
      Object.assign(this, { run, charts, name, table: run[name] });
      this.order = Int32Array.from({ length: this.table.rows }, (_, i) => i);
      this.sorted = { column: null, down: false };
      this.chosen = -1;
    }

    build(parent) {
      this.parent = parent;
      parent.replaceChildren();
      if (!this.table.rows) {
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
        button.textContent = label(this.run.facts, `head.${name}`) + arrow;
        button.title = button.textContent;
        button.addEventListener("click", () => this.sort(name));
      }
      this.body = element("div", "", parent);
      this.body.style.height = `${this.table.rows * ROW}px`;
      this.draw();
    }

    isNumber(name) {
      return !["text", "time"].includes(this.table.about[name].kind);
    }

    /** Sort by a column; once more: the other way round. Blanks stay last. */
    sort(name) {
      const down = this.sorted.column === name && !this.sorted.down;
      this.sorted = { column: name, down };
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
      const { scrollLeft } = this.parent;
      this.build(this.parent);
      this.parent.scrollTo(scrollLeft, 0);
    }

    /** Make the rows that are seen. */
    draw() {
      if (!this.table.rows) return;
      const first = Math.max(0, Math.floor((this.parent.scrollTop - HEAD) / ROW) - SPARE);
      const count = Math.ceil(this.parent.clientHeight / ROW) + 2 * SPARE;
      const rows = [];
      for (let place = first; place < Math.min(first + count, this.table.rows); place++) {
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
        if (name === "net_pnl" && value) cell.classList.add(value > 0 ? "profit" : "loss");
      }
      return row;
    }

    cell(name, index) {
      const { kind } = this.table.about[name];
      const value = this.table.values[name][index];
      if (Number.isNaN(value)) return "";
      if (kind === "time") return this.charts.dates.text(value);
      if (name === "status") return word(`status_${this.table.text(name, index)}`);
      if (name === "group" || name === "set") return this.table.text(name, index);
      if (kind === "text") return word(this.table.text(name, index));
      return number(value, this.run.facts.decimals[kind], name === "net_pnl");
    }

    /** Mark a row and let the chart go there. */
    choose(place) {
      const index = this.order[place];
      this.chosen = index;
      this.draw();
      const { values } = this.table;
      const { time } = this.run.bars.values;
      const sets = this.name === "sets";
      const [start, end, from, to] = sets
        ? [values.born, values.ended, values.average_entry, values.exit_price]
        : [values.entry_time, values.exit_time, values.entry_price, values.exit_price];
      const bar = (at) => time[this.charts.view.barAt(at)];
      this.charts.goTo({
        start: bar(start[index]),
        end: Number.isNaN(end[index]) ? time[time.length - 1] : bar(end[index]),
        from: from[index], to: to[index], profit: values.net_pnl[index] > 0,
      });
    }

    /** Go to the next row up or down. */
    step(by) {
      const now = this.order.indexOf(this.chosen);
      const place = Math.max(0, Math.min(this.table.rows - 1, now < 0 ? 0 : now + by));
      const top = place * ROW, { parent } = this;
      if (top < parent.scrollTop) parent.scrollTop = top;
      const low = top + HEAD + ROW - parent.clientHeight;
      if (low > parent.scrollTop) parent.scrollTop = low;
      if (this.table.rows) this.choose(place);
    }
  }

  /** The figures of the run, and how the chart is used. */
  class Summary {
    constructor(run) {
      this.run = run;
    }

    build(parent) {
      const { facts } = this.run;
      parent.replaceChildren();
      const figures = element("dl", "facts", parent);
      for (const [name, form] of FIGURES) {
        if (!Object.hasOwn(facts.summary, name)) continue;
        element("dt", "", figures).textContent = label(facts, `figure.${name}`);
        const value = element("dd", "", figures);
        value.dataset.figure = name;
        value.textContent = figureText(facts, name, form);
      }
      const help = element("dl", "facts help", parent);
      element("dt", "", help).textContent = word("head.handling");
      element("dd", "", help);
      for (const name of HELP) {
        element("dt", "", help).textContent = word(`help.${name}`);
        element("dd", "", help).textContent = word(`help.${name}_how`);
      }
    }

    draw() {}

    step() {}
  }

  return { List, Summary, figureText, label };
})();
