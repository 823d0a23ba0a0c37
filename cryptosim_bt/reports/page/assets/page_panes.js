"use strict";
// All panes of the run: what is in each, shown together, and read at the bar pointed at.
const PageCharts = (() => {
  const { element, number, percent, Pane } = PagePane;
  const { View, lowerBound } = PageView;
  const { word } = PageWords;
  const LINE_COLOURS = 6;
  const TIP_FILLS = 8;
  const ZOOM_STEP = 1.4;
  // A price that is so many times the lowest one of the run asks for a logarithmic axis.
  const LOG_RANGE = 5;

  class Charts {
    constructor(run) {
      this.run = run;
      this.view = new View(run.bars.values.time, run.facts.bar_seconds);
      this.selection = { current: null };
      // Layers that are switched off, by their id: kept when the panes are made anew. Margin is far
      // from balance and equity, funding is paid three times a day: who wants them switches them on.
      this.hidden = new Set(["margin", "funding_marks"]);
      this.hand = new PageHand.Hand(this);
      // Of years in which the price became many times what it was, a linear axis shows the last one.
      const { low, high } = run.bars.values;
      const [lowest, highest] = [low.reduce((a, b) => Math.min(a, b)), high.reduce((a, b) => Math.max(a, b))];
      this.log = lowest > 0 && highest > LOG_RANGE * lowest;
      this.fitLiquidation = false;
      this.dates = new PageDates.Dates(run.facts.zone);
      this.onRange = () => {};
      const { decimals } = run.facts;
      this.price = (value) => number(value, decimals.price);
      this.money = (value) => number(value, decimals.money);
      this.contracts = (value) => number(value, decimals.contracts);
      this.sortFills();
    }

    /** Note the bar of all that happened, and sort the fills into kinds of marks. */
    sortFills() {
      const { fills, sets, funding, ambiguous } = this.run;
      const onBars = (table) => table.values.time.map((time) => this.onBar(time));
      this.fillTimes = onBars(fills);
      this.fundingTimes = onBars(funding);
      this.ambiguousTimes = onBars(ambiguous);
      const kinds = { entry_long: [], entry_short: [], exit_profit: [], exit_loss: [], liquidated: [] };
      for (let i = 0; i < fills.rows; i++) kinds[kindOf(fills, i)].push(i);
      this.markTables = {};
      for (const [kind, rows] of Object.entries(kinds)) {
        this.markTables[kind] = {
          times: Float64Array.from(rows, (i) => this.fillTimes[i]),
          prices: Float64Array.from(rows, (i) => fills.values.price[i]),
        };
      }
      for (const [kind, time, price] of [
        ["set_born", "born", "average_entry"], ["set_ended", "ended", "exit_price"],
      ]) {
        const rows = Array.from({ length: sets.rows }, (_, i) => i)
          .filter((i) => !Number.isNaN(sets.values[time][i]))
          .sort((a, b) => sets.values[time][a] - sets.values[time][b]);
        this.markTables[kind] = {
          times: Float64Array.from(rows, (i) => this.onBar(sets.values[time][i])),
          prices: Float64Array.from(rows, (i) => sets.values[price][i]),
        };
      }
    }

    /** Return the opening of the bar that a time is in. */
    onBar(time) {
      return this.view.times[this.view.barAt(time)];
    }

    // ------------------------------------------------------------------------------- the panes

    build(parent, navigator) {
      this.panes = this.describe();
      for (const pane of this.panes) {
        pane.view = this.view;
        pane.wall = (seconds) => this.dates.wall(seconds);
      }
      const values = this.panes.filter((pane) => !pane.bare);
      values[0].dates = values[values.length - 1].dates =
        (u, splits, axis, space, step) => this.dates.labels(splits, step);
      this.view.resize(parent.clientWidth - 92);
      for (const pane of this.panes) {
        pane.build(pane.bare ? navigator : parent, this.hidden);
        if (!pane.bare) this.listen(pane);
      }
      this.hand.navigate(navigator, this.panes[this.panes.length - 1].plot);
      this.watcher = new ResizeObserver(() => this.resize());
      // A legend that takes another line leaves less to its plot.
      for (const pane of this.panes) this.watcher.observe(pane.host);
      this.resize();
      this.read(null);
    }

    destroy() {
      this.watcher.disconnect();
      this.hand.letGo();
      for (const pane of this.panes) pane.destroy();
    }

    describe() {
      const { facts } = this.run;
      const panes = [this.pricePane()];
      if (facts.volume) panes.push(this.volumePane());
      const own = Map.groupBy(facts.indicators, (each) => each.panel);
      own.delete("price");
      for (const [name, indicators] of own) {
        panes.push(new Pane({
          name: plain(name), weight: 1.2, least: 76, decimals: 2, layers: this.indicatorLines(indicators),
        }));
      }
      panes.push(this.positionPane(), this.accountPane(), this.drawdownPane());
      for (const pane of panes) pane.layers.unshift(PageLayers.chosen(this.selection, false));
      panes[0].layers.push(PageLayers.chosen(this.selection, true));
      panes.push(this.navigatorPane());
      return panes;
    }

    volumePane() {
      const { bars, facts } = this.run;
      const { unit, decimals } = facts.volume;
      const [base, quote] = facts.symbol.split(":")[0].split("/");
      const counted = { contracts: word("volume_contracts"), base, quote }[unit];
      return new Pane({
        name: "volume", heading: word("volume") + (counted ? ` (${counted})` : ""),
        weight: 1, least: 62, floor: true, decimals, compact: true,
        layers: [PageLayers.volume(bars.values.volume, (value) => number(value, decimals))],
      });
    }

    indicatorLines(indicators, fit) {
      return indicators.map(({ name, panel }, i) => {
        const column = `indicator:${name}`;
        // With the prices as fine as they are; else by its own figures.
        const { decimals } = panel === "price" ? { decimals: this.run.facts.decimals.price } : this.run.bars.about[column];
        return PageLayers.line({
          id: column, name: plain(name).toUpperCase(), values: this.run.bars.values[column],
          colour: `line${i % LINE_COLOURS}`, format: (value) => number(value, decimals), fit,
        });
      });
    }

    pricePane() {
      const { bars, sets, facts } = this.run;
      const format = this.price;
      const leg = (id, colour) => PageLayers.line({
        id, name: id, values: bars.values[id], colour, format, dash: [1.5, 2.5], stepped: true,
        fit: () => "near",
      });
      const liquidation = (id) => PageLayers.line({
        id, name: id, values: bars.values[id], colour: "liquidation", format, stepped: true,
        width: 1.3, opacity: 0.4, fit: () => (this.fitLiquidation ? "whole" : "not"),
      });
      const mark = (id, shape, colour, look = {}) =>
        PageLayers.marks({ id, shape, colour, ...look, ...this.markTables[id] });
      // A reversal's exit and entry are one fill's price: entries stand beside it, exits on it.
      const marks = [
        mark("set_born", "diamond", "set"), mark("set_ended", "diamond", "set", { hollow: true }),
        mark("entry_long", "up", "long", { beside: 1 }),
        mark("entry_short", "down", "short", { beside: -1 }),
        mark("exit_profit", "dot", "profit"), mark("exit_loss", "cross", "loss"),
        mark("liquidated", "star", "liquidation"),
      ].filter((layer) => this.markTables[layer.id].times.length);
      // Runs once all marks have counted theirs.
      const crowd = {
        id: "crowd",
        prepare: () => {
          const total = marks.reduce((sum, layer) => sum + layer.count(), 0);
          for (const layer of marks) layer.crowd(total);
          return null;
        },
        draw() {},
      };
      const onPrice = facts.indicators.filter((each) => each.panel === "price");
      return new Pane({
        name: "price", weight: 5, least: 220, decimals: facts.decimals.price, log: this.log, format,
        onPoint: (u, here) => this.tip(u, here),
        layers: [
          PageLayers.candles(bars, format), ...this.indicatorLines(onPrice, () => "near"),
          leg("long_average", "long"), leg("short_average", "short"),
          ...["liquidation_below", "liquidation_above"].filter((id) => hasAny(bars.values[id])).map(liquidation),
          ...(sets.rows ? [PageLayers.spans(sets, this.view.times[this.view.times.length - 1])] : []),
          ...marks, crowd, ...this.edgeMarks(),
        ],
      });
    }

    /** Ambiguous bars along the top, funding along the bottom of the price. */
    edgeMarks() {
      const ticks = [
        { id: "ambiguous_bars", colour: "ambiguous", times: this.ambiguousTimes, below: false },
        { id: "funding_marks", colour: "funding", times: this.fundingTimes, below: true },
      ];
      return ticks.filter(({ times }) => times.length).map((each) => PageLayers.ticks(each));
    }

    positionPane() {
      const { bars } = this.run;
      const format = this.contracts;
      const held = (side, sign) => PageLayers.area({
        id: `${side}_contracts`, name: `${side}_contracts`, values: bars.values[`${side}_contracts`],
        colour: side, format, base: 0, sign, opacity: 0.75,
      });
      return new Pane({
        name: "position", weight: 1.3, least: 76, floor: true, unsigned: true,
        decimals: this.run.facts.decimals.contracts, format: (value) => format(Math.abs(value)),
        layers: [held("long", 1), held("short", -1),
          PageLayers.level({ id: "nothing", value: 0, colour: "muted", format })],
        note: (bar) => ["long", "short"]
          .map((side) => `${word(`${side}_sets`)} ${bars.values[`${side}_sets`][bar]}`).join("  "),
      });
    }

    accountPane() {
      const { bars, facts } = this.run;
      const { balance, equity, margin } = bars.values;
      const format = this.money;
      return new Pane({
        name: "account", weight: 2, least: 96, decimals: facts.decimals.money, format,
        layers: [
          PageLayers.area({ id: "balance", name: "balance", values: balance, colour: "balance", format }),
          PageLayers.line({ id: "equity", name: "equity", values: equity, colour: "equity", format, width: 1.6 }),
          PageLayers.level({ id: "initial", name: "initial", value: facts.initial_balance, colour: "initial", format }),
          PageLayers.line({ id: "margin", name: "margin", values: margin, colour: "margin", format, stepped: true }),
        ],
        note: (bar) => `${word("margin_use")} ${percent(margin[bar] / equity[bar])}  `
          + `${word("unrealized_pnl")} ${number(equity[bar] - balance[bar], facts.decimals.money, true)}`
          + `  ${word("total_return_now")} ${percent(equity[bar] / facts.initial_balance - 1, true)}`
          + `  (${facts.currency})`,
      });
    }

    drawdownPane() {
      return new Pane({
        name: "drawdown", weight: 1.1, least: 90, floor: true, nothing: [-0.01, 0],
        percent: true, decimals: 4,
        format: (value) => percent(value),
        layers: [PageLayers.area({
          id: "drawdown", name: "", values: this.run.bars.values.drawdown, colour: "loss",
          format: (value) => percent(value), base: 0, opacity: 0.6,
        })],
      });
    }

    /** The strip below: the whole run, whatever part of it the panes show. */
    navigatorPane() {
      const all = new View(this.view.times, this.run.facts.bar_seconds);
      const close = PageLayers.line({
        id: "navigator", name: "", values: this.run.bars.values.close, colour: "muted",
        format: this.price, width: 1,
      });
      const prepare = close.prepare;
      close.prepare = () => {
        if (all.width !== this.view.width) all.resize(this.view.width);
        return prepare(all);
      };
      return new Pane({ name: "navigator", bare: true, extentOfTime: this.view.whole, layers: [close] });
    }

    // ---------------------------------------------------------------------------------- moving

    /** Show a range of time in all panes. */
    show(min, max) {
      this.view.set(min, max);
      this.pending ??= requestAnimationFrame(() => this.update());
    }

    update() {
      this.pending = null;
      for (const pane of this.panes) if (!pane.bare) pane.update();
      this.hand.placeWindow();
      const pointed = this.panes.find((pane) => !pane.bare && pane.plot.over.matches(":hover"));
      this.read(pointed?.plot.cursor.idx ?? null);
      this.onRange();
    }

    resize() {
      const [first] = this.panes;
      for (const pane of this.panes) pane.resize();
      this.view.resize(first.plot.over.clientWidth);
      for (const pane of this.panes) if (pane.bare) pane.update();
      this.update();
    }

    zoom(factor, around = (this.view.min + this.view.max) / 2) {
      const { min, max } = this.view;
      // At the limits nothing may slide.
      const length = Math.max((max - min) * factor, this.view.shortest);
      const scale = length / (max - min);
      this.show(around - (around - min) * scale, around + (max - around) * scale);
    }

    zoomIn() { this.zoom(1 / ZOOM_STEP); }

    zoomOut() { this.zoom(ZOOM_STEP); }

    pan(share) {
      const { min, max } = this.view;
      this.show(min + (max - min) * share, max + (max - min) * share);
    }

    all() { this.show(...this.view.whole); }

    /** Show the last so many seconds of the run. */
    span(seconds) {
      const end = this.view.times[this.view.times.length - 1] + this.run.facts.bar_seconds;
      this.show(end - seconds, end);
    }

    /** Go to a row of a table: its whole life with room on both sides. */
    goTo(place) {
      this.selection.current = place;
      // On a phone the chart may be above what is seen.
      document.getElementById("moment").scrollIntoView({ block: "nearest" });
      const room = Math.max((place.end - place.start) * 0.6, 40 * this.run.facts.bar_seconds);
      this.show(place.start - room, place.end + room);
    }

    // --------------------------------------------------------------------------------- reading

    /** Let a pane be moved, and read where it is pointed at. */
    listen(pane) {
      this.hand.listen(pane);
      const before = pane.onPoint;
      pane.onPoint = (u, here) => {
        before?.(u, here);
        if (here) this.read(u.cursor.idx);
      };
    }

    /** Write the figures of a stretch of bars: those after its last bar. null: the last candle seen. */
    read(index) {
      const slice = this.view.candles;
      const newest = Math.min(lowerBound(this.view.times, this.view.max), slice.stop) - 1;
      if (newest < 0) return;
      const candle = index ?? Math.floor((newest - slice.start) / slice.size);
      const first = slice.start + candle * slice.size;
      const last = Math.min(first + slice.size, slice.stop) - 1;
      for (const pane of this.panes) pane.read(first, last);
      const { time } = this.run.bars.values;
      let text = this.dates.text(time[first]);
      if (last > first) text += ` – ${this.dates.text(time[last])}`;
      if (slice.size > 1) text += ` · ${word("joined", { n: slice.size })}`;
      document.getElementById("moment").textContent = text;
    }

    /** Show what happened in the bars pointed at beside the crosshair: fills, funding, doubts. */
    tip(u, here) {
      const box = document.getElementById("tip");
      const slice = this.view.candles, index = u.cursor.idx;
      if (!here || index === null) return this.hideTip();
      const { time } = this.run.bars.values;
      const first = slice.start + index * slice.size;
      const last = Math.min(first + slice.size, slice.stop) - 1;
      const lines = this.happened(time[first], time[last] + 0.0005);
      box.hidden = !lines.length;
      if (box.hidden) return undefined;
      box.replaceChildren();
      for (const [name, text] of lines) element("div", name, box).textContent = text;
      const chart = document.getElementById("chart").getBoundingClientRect();
      const plot = u.over.getBoundingClientRect();
      const x = plot.left - chart.left + u.cursor.left, y = plot.top - chart.top + u.cursor.top;
      const right = x + box.offsetWidth + 24 > chart.width - 84;
      box.style.left = `${right ? Math.max(4, x - box.offsetWidth - 14) : x + 14}px`;
      box.style.top = `${Math.max(4, Math.min(y + 14, chart.height - box.offsetHeight - 4))}px`;
      return undefined;
    }

    hideTip() {
      document.getElementById("tip").hidden = true;
    }

    /** Return lines about the bars that opened from one time up to another: colour and text. */
    happened(from, end) {
      const { fills, funding, ambiguous } = this.run;
      const rows = (times) => [lowerBound(times, from), lowerBound(times, end)];
      const lines = [];
      const [first, stop] = rows(this.fillTimes);
      for (let i = first; i < Math.min(stop, first + TIP_FILLS); i++) {
        lines.push([fills.text("side", i), this.fillText(i)]);
      }
      if (stop - first > TIP_FILLS) lines.push(["", word("more_fills", { n: stop - first - TIP_FILLS })]);
      const [paid, paidStop] = rows(this.fundingTimes);
      if (paid < paidStop) {
        const sum = funding.values.payment.subarray(paid, paidStop).reduce((all, each) => all + each, 0);
        lines.push(["funding", `${word("funding_marks")} ${this.signedMoney(sum)}`]);
      }
      const [odd, oddStop] = rows(this.ambiguousTimes);
      if (odd < oddStop) {
        const kinds = new Set();
        for (let i = odd; i < oddStop; i++) kinds.add(word(`ambiguous_${ambiguous.text("kind", i)}`));
        lines.push(["ambiguous", `${word("ambiguous_bars")}: ${[...kinds].join(", ")}`]);
      }
      return lines;
    }

    fillText(i) {
      const { fills } = this.run;
      const { contracts, price, group_pnl: pnl } = fills.values;
      const money = fills.text("role", i) === "entry" ? "" : ` · ${this.signedMoney(pnl[i])}`;
      return `${fills.shown("side", i)} ${fills.shown("role", i)} ${this.contracts(contracts[i])} @ `
        + `${this.price(price[i])} · ${fills.text("group", i)}${money}`;
    }

    signedMoney(value) {
      const { decimals, currency } = this.run.facts;
      return `${number(value, decimals.money, true)} ${currency}`;
    }
  }

  function kindOf(fills, i) {
    const role = fills.text("role", i);
    if (role === "entry") return `entry_${fills.text("side", i)}`;
    if (role === "liquidation") return "liquidated";
    return fills.values.group_pnl[i] < 0 ? "exit_loss" : "exit_profit";
  }

  function hasAny(values) {
    return values.some((value) => !Number.isNaN(value));
  }

  /** Return the name of an indicator or panel as it is, though it be a word of ours. */
  function plain(name) {
    return word(name) === name ? name : `${name}\u200b`;
  }

  return { Charts };
})();
