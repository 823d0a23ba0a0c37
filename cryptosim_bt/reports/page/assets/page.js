"use strict";
// Start: read the data, make chart and lists, and let the switches work.
(() => {
  const { word } = PageWords;
  const { element } = PagePane;
  const DAY = 86400;
  const SPANS = [["span_all", null], ["span_year", 365 * DAY], ["span_quarter", 91 * DAY],
    ["span_month", 30 * DAY], ["span_week", 7 * DAY], ["span_day", DAY]];
  // What stands at the head: source, figure, form, its whole name.
  const HEADLINE = [
    ["summary", "total_return", "percent", "figure.total_return"],
    ["summary", "total_return_usd", "percent", "figure.total_return_usd"],
    ["performance", "holding.total_return", "percent", "figure.buy_and_hold_return"],
    ["performance", "holding.excess_return", "percent", "of.excess_return"],
    ["summary", "max_drawdown", "share", "figure.max_drawdown"],
    ["summary", "sharpe", "ratio", "figure.sharpe"],
    ["performance", "exposure.average_gross", "ratio", "of.exposure.average_gross"],
    ["summary", "win_rate", "share", "figure.win_rate"],
    ["summary", "profit_factor", "ratio", "figure.profit_factor"],
    ["summary", "final_equity", "money", "figure.final_equity"],
  ];
  const LISTS = ["trades", "sets", "orders", "funding"];
  const at = (id) => document.getElementById(id);

  class Page {
    constructor(run) {
      this.run = run;
      this.charts = new PageCharts.Charts(run);
      this.tabs = {
        summary: new PageFigures.Summary(run),
        figures: new PageFigures.Figures(run, this.charts),
      };
      for (const name of LISTS) this.tabs[name] = new PageTables.List(run, this.charts, name);
      this.tab = "trades";
      at("log").setAttribute("aria-pressed", String(this.charts.log));
      this.connect();
      this.build();
    }

    /** Make all that depends on language, theme or scale. */
    build() {
      document.documentElement.lang = PageWords.language;
      this.writeWords();
      this.writeHead();
      if (this.built) this.charts.destroy();
      this.charts.build(at("panes"), at("navigator"));
      this.built = true;
      this.openTab(this.tab);
    }

    writeWords() {
      for (const each of document.querySelectorAll("[data-word]")) each.textContent = word(each.dataset.word);
      for (const each of document.querySelectorAll("[data-title]")) each.title = word(each.dataset.title);
      at("language").textContent = word("language_name");
      at("theme").textContent = word(theme() === "dark" ? "theme_light" : "theme_dark");
      at("synthetic").hidden = !this.run.facts.synthetic;
      for (const name of Object.keys(this.tabs)) {
        const count = LISTS.includes(name) ? ` (${this.run[name].rows.toLocaleString("en-US")})` : "";
        at(`tab-${name}`).textContent = word(`${name}_tab`) + count;
      }
    }

    writeHead() {
      const { facts } = this.run;
      const times = this.charts.view.times;
      at("title").textContent = `${facts.symbol} · ${facts.timeframe}`;
      at("subtitle").textContent = word("period", {
        start: this.charts.dates.text(times[0]),
        end: this.charts.dates.text(times[times.length - 1] + facts.bar_seconds),
        zone: facts.zone,
      });
      at("strategy").textContent = at("strategy").title = facts.strategy;
      const figures = at("figures");
      figures.replaceChildren();
      for (const [source, path, form, name] of HEADLINE) {
        const value = PageFigures.at(facts[source], path);
        // Only an account in coins has a return in the quote currency beside its own.
        if (value === undefined || (path === "total_return_usd" && value === null)) continue;
        const box = element("div", "", figures);
        box.title = PageFigures.label(facts, name);
        element("dt", "", box).textContent = PageFigures.label(facts, `headline.${path}`);
        PageFigures.writeInto(element("dd", "", box), facts, source, path, form);
      }
      const length = times[times.length - 1] - times[0];
      at("spans").replaceChildren();
      for (const [name, seconds] of SPANS.filter(([, each]) => !each || each < length)) {
        const button = element("button", "", at("spans"));
        button.type = "button";
        button.dataset.span = name;
        button.textContent = word(name);
        button.addEventListener("click", () => (seconds ? this.charts.span(seconds) : this.charts.all()));
      }
    }

    openTab(name) {
      this.tab = name;
      for (const each of Object.keys(this.tabs)) at(`tab-${each}`).setAttribute("aria-selected", String(each === name));
      at("list").scrollTop = 0;
      const tab = this.tabs[name];
      at("narrow").hidden = !LISTS.includes(name);
      at("filter").value = tab.filter ?? "";
      at("filter").placeholder = word("filter");
      tab.build(at("list"));
    }

    save() {
      const link = element("a", "");
      link.download = `${this.tab}.csv`;
      link.href = URL.createObjectURL(new Blob([this.tabs[this.tab].csv()], { type: "text/csv" }));
      link.click();
      URL.revokeObjectURL(link.href);
    }

    connect() {
      for (const name of Object.keys(this.tabs)) {
        at(`tab-${name}`).addEventListener("click", () => this.openTab(name));
      }
      at("filter").addEventListener("input", () => this.tabs[this.tab].narrow(at("filter").value));
      at("csv").addEventListener("click", () => this.save());
      at("list").addEventListener("scroll", () => this.tabs[this.tab].draw());
      new ResizeObserver(() => this.tabs[this.tab].draw()).observe(at("list"));
      at("language").addEventListener("click", () => {
        PageWords.language = PageWords.language === "ko" ? "en" : "ko";
        this.build();
      });
      at("theme").addEventListener("click", () => {
        document.documentElement.dataset.theme = theme() === "dark" ? "light" : "dark";
        remember(theme());
        this.build();
      });
      this.toggle("log", (on) => { this.charts.log = on; this.build(); });
      this.toggle("fit", (on) => { this.charts.fitLiquidation = on; this.charts.update(); });
      this.toggle("side", (on) => document.body.classList.toggle("no-tables", !on));
      at("splitter").addEventListener("pointerdown", (down) => {
        const aside = document.querySelector("aside"), width = aside.offsetWidth;
        PageHand.follow(down, (event) => {
          aside.style.width = `${Math.max(240, width + down.clientX - event.clientX)}px`;
        });
      });
      for (const [name, printing] of [["beforeprint", true], ["afterprint", false]]) {
        window.addEventListener(name, () => this.print(printing));
      }
      document.addEventListener("keydown", (event) => this.key(event));
    }

    /** Lay the page out for paper, or for the screen again. */
    print(printing) {
      document.body.classList.toggle("printing", printing);
      this.charts.resize();
      this.tabs[this.tab].draw(true);
    }

    toggle(id, act) {
      at(id).addEventListener("click", () => {
        const on = at(id).getAttribute("aria-pressed") !== "true";
        at(id).setAttribute("aria-pressed", String(on));
        act(on);
      });
    }

    key(event) {
      if (event.ctrlKey || event.metaKey || event.altKey || event.target === at("filter")) return;
      const { charts } = this;
      const inList = document.activeElement === at("list");
      const acts = {
        ArrowLeft: () => charts.pan(-0.2), ArrowRight: () => charts.pan(0.2), Home: () => charts.all(),
        "+": () => charts.zoomIn(), "=": () => charts.zoomIn(), "-": () => charts.zoomOut(),
        ...(inList && {
          ArrowDown: () => this.tabs[this.tab].step(1), ArrowUp: () => this.tabs[this.tab].step(-1),
        }),
      };
      if (!acts[event.key]) return;
      event.preventDefault();
      acts[event.key]();
    }
  }

  function theme() {
    return document.documentElement.dataset.theme;
  }

  // A browser may keep nothing for pages on disk; then the system's theme is taken each time.
  function remember(name) {
    try { localStorage.setItem("cryptosim-theme", name); } catch { /* not kept */ }
  }

  function remembered() {
    try { return localStorage.getItem("cryptosim-theme"); } catch { return null; }
  }

  async function start() {
    const facts = JSON.parse(at("facts").textContent);
    PageWords.language = facts.language;
    const dark = window.matchMedia("(prefers-color-scheme: dark)").matches;
    document.documentElement.dataset.theme = remembered() ?? (dark ? "dark" : "light");
    at("loading").textContent = word("loading");
    try {
      const page = new Page(await PageData.load());
      at("loading").hidden = true;
      requestAnimationFrame(() => setTimeout(() => {
        // For measurements and tests, and for whoever looks into the page by its console.
        window.cryptosim = { page, run: page.run, charts: page.charts, firstPicture: performance.now() };
      }));
    } catch (error) {
      at("loading").className = "failed";
      at("loading").textContent = word("failed") + error.message;
      throw error;
    }
  }

  start();
})();
