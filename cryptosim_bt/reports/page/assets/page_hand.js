"use strict";
// The hand on the charts: wheel, drag, two fingers, double click, and the strip below.
const PageHand = (() => {
  // What a wheel's turn and a drag of two fingers may do at once.
  const WHEEL = 0.0022, WHEEL_MOST = 200, WHEEL_LINE = 33, SIDEWAYS = 1500;
  const CLICK_PIXELS = 4;

  class Hand {
    constructor(charts) {
      this.charts = charts;
    }

    /** Let a pane be zoomed and moved. */
    listen(pane) {
      const { plot } = pane, { charts } = this;
      plot.over.addEventListener("wheel", (event) => {
        event.preventDefault();
        const lines = event.deltaMode === 1 ? WHEEL_LINE : 1;
        if (Math.abs(event.deltaX) > Math.abs(event.deltaY)) charts.pan((event.deltaX * lines) / SIDEWAYS);
        else {
          const turn = Math.max(-WHEEL_MOST, Math.min(WHEEL_MOST, event.deltaY * lines));
          charts.zoom(Math.exp(turn * WHEEL), timeAt(plot, event));
        }
      }, { passive: false });
      plot.over.addEventListener("dblclick", () => charts.all());
      const fingers = new Map();
      plot.over.addEventListener("pointerdown", (down) => {
        if (down.pointerType !== "touch") {
          if (down.button === 0) this.drag(pane, down);
          return;
        }
        fingers.set(down.pointerId, down);
        if (fingers.size === 1) this.drag(pane, down, () => fingers.size === 1);
        follow(down, (event) => {
          const before = [...fingers.values()];
          fingers.set(down.pointerId, event);
          if (before.length === 2) this.pinch(plot, before, [...fingers.values()]);
        }, () => fingers.delete(down.pointerId));
      });
      plot.over.addEventListener("mouseleave", () => {
        charts.read(null);
        charts.hideTip();
      });
    }

    /** Move with the pointer; with Shift, choose a stretch. */
    drag(pane, down, holds = () => true) {
      const { plot, host } = pane, { charts } = this;
      const start = timeAt(plot, down);
      const left = down.clientX - plot.over.getBoundingClientRect().left;
      let before = down.clientX;
      host.classList.toggle("dragging", !down.shiftKey);
      follow(down, (event) => {
        const moved = event.clientX - down.clientX;
        if (down.shiftKey) {
          plot.setSelect({
            left: Math.min(left, left + moved), width: Math.abs(moved), top: 0,
            height: plot.over.clientHeight,
          }, false);
        } else {
          if (holds()) charts.pan((before - event.clientX) / plot.over.clientWidth);
          before = event.clientX;
        }
      }, (event) => {
        host.classList.remove("dragging");
        if (!down.shiftKey) return;
        plot.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
        const end = timeAt(plot, event);
        if (Math.abs(event.clientX - down.clientX) > CLICK_PIXELS) {
          charts.show(Math.min(start, end), Math.max(start, end));
        }
      });
    }

    /** Keep the two times under the two fingers. */
    pinch(plot, before, now) {
      const { left, width } = plot.over.getBoundingClientRect();
      const apart = ([one, other]) => Math.max(Math.abs(one.clientX - other.clientX), 20);
      const middle = ([one, other]) => (one.clientX + other.clientX) / 2;
      const { min, max } = this.charts.view;
      const around = min + ((middle(before) - left) / width) * (max - min);
      this.charts.zoom(apart(before) / apart(now), around);
      this.charts.pan((middle(before) - middle(now)) / width);
    }

    /** The strip below: drag its window, or an end of it; click beside it to go there. */
    navigate(strip, plot) {
      const { charts } = this;
      this.over = plot.over;
      this.windowAt = strip.querySelector(".window");
      const [left, right] = this.windowAt.children;
      this.stopNavigating = new AbortController();
      strip.addEventListener("pointerdown", (down) => {
        const [first, last] = charts.view.whole;
        const perPixel = (last - first) / this.over.clientWidth;
        if (down.target !== this.windowAt && down.target !== left && down.target !== right) {
          const time = first + (down.clientX - this.over.getBoundingClientRect().left) * perPixel;
          const half = (charts.view.max - charts.view.min) / 2;
          charts.show(time - half, time + half);
        }
        const { min, max } = charts.view;
        follow(down, (event) => {
          const shift = (event.clientX - down.clientX) * perPixel;
          const from = down.target === right ? min : min + shift;
          const to = down.target === left ? max : max + shift;
          if (to - from > charts.view.shortest) charts.show(from, to);
        });
      }, { signal: this.stopNavigating.signal });
      this.placeWindow();
    }

    placeWindow() {
      const { view } = this.charts, [first, last] = view.whole;
      const perSecond = this.over.clientWidth / (last - first);
      this.windowAt.style.left = `${this.over.offsetLeft + (view.min - first) * perSecond}px`;
      this.windowAt.style.width = `${(view.max - view.min) * perSecond}px`;
    }

    letGo() {
      this.stopNavigating.abort();
    }
  }

  function timeAt(plot, event) {
    return plot.posToVal(event.clientX - plot.over.getBoundingClientRect().left, "x");
  }

  /** Follow one pointer until it is let go. */
  function follow(down, move, end = () => {}) {
    if (down.pointerType !== "touch") down.preventDefault();
    const stop = new AbortController();
    const { signal } = stop;
    const mine = (act) => (event) => { if (event.pointerId === down.pointerId) act(event); };
    window.addEventListener("pointermove", mine(move), { signal });
    for (const name of ["pointerup", "pointercancel"]) {
      window.addEventListener(name, mine((event) => { stop.abort(); end(event); }), { signal });
    }
  }

  return { Hand, follow };
})();
