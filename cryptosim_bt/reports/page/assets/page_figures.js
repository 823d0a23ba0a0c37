"use strict";
// The figures beside the chart: those of summary.json, and all of performance.json as tables.
const PageFigures = (() => {
  const { element, number, percent } = PagePane;
  const { word } = PageWords;

  // The summary's figures in their order, and how each is written.
  const FIGURES = [
    ["total_return", "percent"], ["total_return_usd", "percent"], ["annual_return", "percent"],
    ["buy_and_hold_return", "percent"], ["max_drawdown", "share"], ["sharpe", "ratio"],
    ["sortino", "ratio"], ["trades", "count"], ["wins", "count"], ["losses", "count"],
    ["win_rate", "share"], ["profit_factor", "ratio"], ["initial_balance", "money"],
    ["final_balance", "money"], ["final_equity", "money"], ["unrealized_pnl", "signed"],
    ["fees_paid", "money"], ["funding_paid", "money"], ["funding_late", "count"],
    ["liquidations", "count"], ["shortfall", "money"], ["min_liquidation_distance", "share"], ["fills", "count"],
    ["orders_expired", "count"], ["open_sets", "count"], ["open_contracts.long", "contracts"],
    ["open_contracts.short", "contracts"], ["ambiguous_bars.total", "count"],
    ["bars_traded", "count"],
  ];
  const HELP = ["zoom", "move", "all", "find", "layers"];

  // The tables of performance.json: names and forms of their figures (docs/metrics.md).
  const ACCOUNT = [
    ["total_return", "percent"], ["annual_return", "percent"], ["max_drawdown", "share"],
    ["longest_drawdown_bars", "count"], ["annual_volatility", "share"], ["sharpe", "ratio"],
    ["sortino", "ratio"], ["calmar", "ratio"], ["ulcer_index", "share"],
    ["excess_return", "percent"], ["beta", "ratio"], ["correlation", "ratio"],
  ];
  const HOLDING_TIMES = [
    ["average_holding_hours", "hours"], ["median_holding_hours", "hours"],
    ["shortest_holding_hours", "hours"], ["longest_holding_hours", "hours"],
  ];
  const WINS_AND_LOSSES = [
    ["net_pnl", "signed"], ["expectancy", "signed"], ["average_win", "signed"],
    ["average_loss", "signed"], ["payoff_ratio", "ratio"], ["largest_win", "signed"],
    ["largest_loss", "signed"],
  ];
  const TRADES = [
    ["trades", "count"], ["wins", "count"], ["losses", "count"], ["win_rate", "share"],
    ["profit_factor", "ratio"], ["gross_pnl", "signed"], ["fees", "money"],
    ["funding_paid", "money"], ...WINS_AND_LOSSES, ["longest_win_streak", "count"],
    ["longest_loss_streak", "count"], ...HOLDING_TIMES, ["net_pnl_in_coin", "coin"],
    ["net_pnl_in_quote", "quote"], ["expectancy_in_coin", "coin"], ["expectancy_in_quote", "quote"],
  ];
  const SETS = [
    ["made", "count"], ["closed", "count"], ["open", "count"], ["wins", "count"],
    ["win_rate", "share"], ...WINS_AND_LOSSES, ...HOLDING_TIMES,
  ];
  const MARKET = [
    ["time_in_market.any", "share"], ["time_in_market.long", "share"],
    ["time_in_market.short", "share"], ["time_in_market.both", "share"],
    ["exposure.average_gross", "ratio"], ["exposure.max_gross", "ratio"],
    ["exposure.average_net", "ratio"], ["exposure.average_long", "ratio"],
    ["exposure.average_short", "ratio"], ["margin_use.average", "share"], ["margin_use.max", "share"],
  ];
  const MONTH = [
    ["return_in_coin", "percent"], ["return_in_quote", "percent"], ["holding_return", "percent"],
    ["max_drawdown", "share"], ["trades.trades", "count"], ["trades.win_rate", "share"],
    ["trades.net_pnl", "signed"],
  ];

  /** Return a figure as text; a dash where it has no value. */
  function written(facts, value, form) {
    if (value === null || value === undefined) return "–";
    switch (form) {
      case "percent": return percent(value, true);
      case "share": return percent(value);
      case "ratio": return number(value, 2);
      case "hours": return number(value, 1);
      case "money": return number(value, facts.decimals.money);
      case "signed": return number(value, facts.decimals.money, true);
      case "coin": return number(value, 8, true);
      case "quote": return number(value, 2, true);
      case "contracts": return number(value, facts.decimals.contracts);
      case "count": return number(value, 0);
      default: return String(value);
    }
  }

  function label(facts, name) {
    const [base, quote = ""] = facts.symbol.split(":")[0].split("/");
    return word(name, { currency: facts.currency, base, quote });
  }

  /** Return what stands at a path like "trades.long.wins"; undefined where there is nothing. */
  function at(values, path) {
    return path.split(".").reduce((found, name) => found?.[name], values);
  }

  function writeInto(place, facts, source, path, form) {
    const value = at(facts[source], path);
    place.textContent = written(facts, value, form);
    place.dataset.figure = path;
    place.dataset.source = source;
    if (["percent", "signed", "coin", "quote"].includes(form) && value) {
      place.classList.add(value > 0 ? "profit" : "loss");
    }
  }

  /** The figures of summary.json, and how the chart is used. */
  class Summary {
    constructor(run) {
      this.run = run;
    }

    build(parent) {
      const { facts } = this.run;
      parent.replaceChildren();
      const figures = element("dl", "facts", parent);
      // Why entries were refused is known only where some were.
      const refused = Object.keys(facts.summary.entries_refused ?? {})
        .map((reason) => [`entries_refused.${reason}`, "count"]);
      for (const [name, form] of [...FIGURES, ...refused, ["version", "text"]]) {
        if (at(facts.summary, name) === undefined) continue;
        element("dt", "", figures).textContent = label(facts, `figure.${name}`);
        writeInto(element("dd", "", figures), facts, "summary", name, form);
      }
      element("h2", "", parent).textContent = word("head.handling");
      const help = element("dl", "facts help", parent);
      for (const name of HELP) {
        element("dt", "", help).textContent = word(`help.${name}`);
        element("dd", "", help).textContent = word(`help.${name}_how`);
      }
    }

    draw() {}

    step() {}
  }

  /** All figures of performance.json but the sets one by one. */
  class Figures {
    constructor(run, charts) {
      Object.assign(this, { run, charts });
    }

    build(parent) {
      this.parent = parent;
      parent.replaceChildren();
      const { by_exit_reason: reasons, by_month: months } = this.run.facts.performance;
      const parts = (names, block) =>
        names.map((name) => [this.label(`part.${name}`), `${block}.${name}`]);
      const accounts = ["in_coin", "in_quote", "holding"].map((name) => [this.label(`part.${name}`), name]);
      this.table("account", accounts, ACCOUNT);
      this.table("market", [["", ""]], MARKET);
      const sides = ["all", "long", "short"];
      this.table("trades", parts([...sides, "in_positions", "in_sets"], "trades"), TRADES);
      this.table("by_exit_reason", parts(Object.keys(reasons), "by_exit_reason"), TRADES);
      this.table("sets", parts(sides, "sets"), SETS);
      this.months(Object.keys(months));
      element("p", "footnote", parent).textContent = this.label("figures_note");
    }

    label(name) {
      return label(this.run.facts, name);
    }

    /** Make a table: a row for each figure, a column for each part of the run. */
    table(name, columns, figures) {
      if (!columns.length) return;
      const body = this.frame(name, columns.map(([heading]) => heading));
      const { facts } = this.run;
      for (const [figure, form] of figures) {
        const row = element("tr", "", body);
        element("th", "", row).textContent = this.label(`of.${figure}`);
        for (const [, part] of columns) {
          const path = part ? `${part}.${figure}` : figure, cell = element("td", "", row);
          // Some are of one part only, as beta is of holding.
          if (at(facts.performance, path) !== undefined) writeInto(cell, facts, "performance", path, form);
        }
      }
    }

    /** Make the table of months, one a row; a click shows the month. */
    months(names) {
      const { facts } = this.run;
      const body = this.frame("by_month", MONTH.map(([figure]) => this.label(`of.${figure}`)));
      for (const name of names) {
        const row = element("tr", "month", body);
        row.dataset.month = name;
        row.addEventListener("click", () => this.charts.show(...this.spanOf(name)));
        element("th", "", row).textContent = name;
        for (const [figure, form] of MONTH) {
          const cell = element("td", "", row);
          writeInto(cell, facts, "performance", `by_month.${name}.${figure}`, form);
        }
      }
    }

    /** Return the times between which the bars of a month of the run's zone opened. */
    spanOf(month) {
      const { dates, view: { times, half } } = this.charts;
      const first = PageView.firstWhere(times, (time) => dates.text(time).slice(0, 7) >= month);
      const stop = PageView.firstWhere(times, (time) => dates.text(time).slice(0, 7) > month);
      return [times[first] - half, times[stop - 1] + half];
    }

    frame(name, headings) {
      element("h2", "", this.parent).textContent = word(`section.${name}`);
      const made = element("table", "figures", element("div", "wide", this.parent));
      const head = element("tr", "", element("thead", "", made));
      element("th", "", head);
      for (const heading of headings) element("th", "", head).textContent = heading;
      if (headings.every((heading) => !heading)) made.tHead.remove();
      return element("tbody", "", made);
    }

    draw() {}

    step() {}
  }

  return { Figures, Summary, at, label, writeInto };
})();
