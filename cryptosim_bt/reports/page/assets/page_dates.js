"use strict";
// Times as text in the run's zone.
const PageDates = (() => {
  class Dates {
    constructor(zone) {
      this.format = new Intl.DateTimeFormat("en-GB", {
        timeZone: zone, year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit",
        minute: "2-digit", hourCycle: "h23",
      });
    }

    parts(seconds) {
      const found = {};
      for (const { type, value } of this.format.formatToParts(seconds * 1000)) found[type] = value;
      return found;
    }

    /** Return the zone's time as if it were the browser's own, which is what uPlot reckons in. */
    wall(seconds) {
      const { year, month, day, hour, minute } = this.parts(seconds);
      return new Date(year, month - 1, day, hour, minute, seconds % 60);
    }

    text(seconds) {
      if (Number.isNaN(seconds)) return "";
      const { year, month, day, hour, minute } = this.parts(seconds);
      return `${year}-${month}-${day} ${hour}:${minute}`;
    }

    /** Labels of the time axis: what changes above, what it belongs to below. */
    labels(splits, step) {
      let before = "";
      return splits.map((seconds) => {
        const { year, month, day, hour, minute } = this.parts(seconds);
        let [label, below] = [`${hour}:${minute}`, `${year}-${month}-${day}`];
        if (step >= 86400 * 360) return year;
        if (step >= 86400 * 28) [label, below] = [`${year}-${month}`, ""];
        else if (step >= 86400) [label, below] = [`${month}-${day}`, year];
        const again = below === before;
        before = below;
        return again || !below ? label : `${label}\n${below}`;
      });
    }
  }

  return { Dates };
})();
