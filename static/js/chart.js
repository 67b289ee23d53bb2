// Stacked bars by day from a JSON block: nano-USD by model. The hover reads every series; the table stays beside it.
(() => {
  "use strict";
  const NANO = 1e9;
  const dollars = (nano) => {
    const value = nano / NANO;
    if (value > 0 && value < 0.0001) return "<$0.0001";
    const places = value !== 0 && Math.abs(value) < 1 ? 4 : 2;
    return `$${value.toLocaleString("en-US", { minimumFractionDigits: 2, maximumFractionDigits: places })}`;
  };
  const colour = (index, isOther) => {
    const name = isOther ? "--series-other" : `--series-${(index % 7) + 1}`;
    return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  };
  const text = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  const draw = (figure) => {
    const data = JSON.parse(document.getElementById(figure.dataset.chart).textContent);
    figure.replaceChildren();
    const xs = data.days.map((day) => Date.parse(`${day}T00:00:00Z`) / 1000);
    const stacked = [];
    let below = xs.map(() => 0);
    for (const series of data.series) {
      below = below.map((sum, i) => sum + series.values[i]);
      stacked.push(below);
    }
    // The tallest stack is drawn first, each lower one over it.
    const order = data.series.map((_, i) => i).reverse();
    const axis = { stroke: text("--muted"), font: "12px system-ui, sans-serif", grid: { stroke: text("--line"), width: 1 }, ticks: { show: false } };
    new uPlot({
      width: figure.clientWidth,
      height: figure.clientWidth < 500 ? 220 : 260,
      tzDate: (stamp) => uPlot.tzDate(new Date(stamp * 1e3), "Etc/UTC"),
      cursor: { points: { show: false }, drag: { x: false, y: false } },
      scales: { x: { time: true, range: (u, min, max) => [min - 43200, max + 43200] }, y: { range: (u, min, max) => [0, max > 0 ? max * 1.08 : NANO] } },
      axes: [
        { ...axis, grid: { show: false }, space: 64, values: (u, splits) => splits.map((stamp) => new Date(stamp * 1e3).toISOString().slice(5, 10)) },
        { ...axis, size: 68, label: data.unit, labelSize: 18, labelFont: "12px system-ui, sans-serif", values: (u, splits) => splits.map(dollars) },
      ],
      series: [
        { value: (u, stamp) => (stamp == null ? `${data.days[0]} – ${data.days.at(-1)}` : new Date(stamp * 1e3).toISOString().slice(0, 10)), label: figure.dataset.day || "UTC" },
        ...order.map((i) => ({
          label: data.series[i].name === "other" ? figure.dataset.other || "other" : data.series[i].name,
          fill: colour(i, data.series[i].name === "other"),
          stroke: colour(i, data.series[i].name === "other"),
          width: 0,
          points: { show: false },
          paths: uPlot.paths.bars({ size: [0.7, 36] }),
          value: (u, v, s, index) => dollars(index == null ? data.series[i].values.reduce((a, b) => a + b, 0) : data.series[i].values[index]),
        })),
      ],
    }, [xs, ...order.map((i) => stacked[i])], figure);
    // Drawn from the tallest down, but read from the dearest on.
    const [, ...lines] = figure.querySelectorAll(".u-legend .u-series");
    lines.reverse().forEach((line) => line.parentNode.append(line));
  };

  const all = [...document.querySelectorAll("[data-chart]")];
  const redraw = () => all.forEach(draw);
  redraw();
  let timer;
  addEventListener("resize", () => { clearTimeout(timer); timer = setTimeout(redraw, 150); });
  document.addEventListener("theme-changed", redraw);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
})();
