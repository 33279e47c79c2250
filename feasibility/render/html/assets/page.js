// Draws the plots and makes the tables sortable. All texts come from the data block and become
// text nodes, never HTML.
"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const root = document.documentElement;
  root.classList.add("js");
  // Without a script, details are open. They are closed before the first layout, to save time.
  document.querySelectorAll("details").forEach((each) => { each.open = false; });

  const element = (name, text = "", attributes = {}) => {
    const made = document.createElement(name);
    made.textContent = text;
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    return made;
  };

  const css = (name) => getComputedStyle(root).getPropertyValue(`--${name}`).trim();
  const alpha = (colour, share) => Chart.helpers.color(colour).alpha(share).rgbString();
  const PALETTE_SIZE = 10;
  const AREA = "area", BARS = "bars", INTERVALS = "intervals", POINTS = "points";

  function dataset(plot, series, colour, rank) {
    const isBar = series.form === BARS || series.form === INTERVALS;
    const values = plot.places
      ? series.values.map((value, index) => ({ x: plot.places[index], y: value }))
      : series.values;
    const base = { label: series.name, data: values, texts: series.texts, order: rank };
    if (isBar) {
      return {
        ...base, type: "bar", pointStyle: "rectRounded", backgroundColor: alpha(colour, series.form === INTERVALS ? 0.55 : 0.85),
        borderWidth: 0, borderRadius: 2, grouped: series.form === BARS && !plot.is_stacked,
        minBarLength: series.form === INTERVALS ? 3 : 0, maxBarThickness: series.form === INTERVALS ? 14 : plot.is_horizontal ? 26 : 400,
        categoryPercentage: plot.is_horizontal ? 0.8 : 1, barPercentage: plot.is_horizontal ? 0.9 : 0.96,
      };
    }
    if (series.form === AREA) {
      return {
        ...base, type: "line", fill: "origin", backgroundColor: alpha(colour, 0.22), borderColor: colour,
        borderWidth: 1.5, pointRadius: 0, pointHoverRadius: 4, pointBackgroundColor: colour, tension: 0,
      };
    }
    const many = values.length > 60;
    const isLimit = plot.is_horizontal && series.colour === "bad";
    return {
      ...base, type: "line", showLine: false, clip: 10, borderColor: colour, backgroundColor: colour,
      pointStyle: isLimit ? "line" : "circle", pointRotation: 90, pointBorderWidth: isLimit ? 2.5 : 1,
      pointRadius: isLimit ? 9 : many ? 2.5 : 4, pointHoverRadius: isLimit ? 11 : 6,
    };
  }

  function datasets(plot) {
    let next = 0;
    const list = plot.series.map((series, index) => {
      const colour = css(series.colour || `c${next++ % PALETTE_SIZE}`);
      return dataset(plot, series, colour, series.form === POINTS ? -1 : index);
    });
    for (const guide of plot.guides || []) {
      list.push({
        label: guide.text, type: "line", isGuide: true, pointStyle: "line", pointRadius: 0, pointHitRadius: 0, fill: false,
        borderColor: css("faint"), borderDash: [6, 4], borderWidth: 1.5, order: 99,
        data: guide.points.map(([x, y]) => ({ x, y })),
      });
    }
    return list;
  }

  // Bands and lines of the marks, and the names of points.
  const marksPlugin = {
    id: "marks",
    beforeDatasetsDraw(chart) {
      const { ctx, chartArea: area, scales } = chart;
      const plot = chart.config.options.plot;
      ctx.save();
      ctx.font = `11px ${Chart.defaults.font.family}`;
      (plot.marks || []).forEach((mark, index) => {
        const at = scales[mark.axis].getPixelForValue(mark.at);
        ctx.fillStyle = css("faint-text");
        if (mark.until !== null) {
          const until = scales[mark.axis].getPixelForValue(mark.until);
          if (index % 2) {
            ctx.fillStyle = css("band");
            ctx.fillRect(at, area.top, until - at, area.bottom - area.top);
            ctx.fillStyle = css("faint-text");
          }
          if (ctx.measureText(mark.text).width + 6 < until - at) {
            ctx.textAlign = "center";
            ctx.textBaseline = "top";
            ctx.fillText(mark.text, (at + until) / 2, area.top + 3);
          }
        }
      });
      ctx.restore();
    },
    afterDatasetsDraw(chart) {
      const { ctx, chartArea: area, scales } = chart;
      const plot = chart.config.options.plot;
      ctx.save();
      ctx.font = `11px ${Chart.defaults.font.family}`;
      let row = 0;
      const used = [];
      for (const mark of plot.marks || []) {
        if (mark.until !== null) continue;
        const at = scales[mark.axis].getPixelForValue(mark.at);
        ctx.strokeStyle = ctx.fillStyle = css("faint-text");
        ctx.setLineDash([4, 3]);
        ctx.beginPath();
        if (mark.axis === "x") {
          if (at < area.left || at > area.right) continue;
          ctx.moveTo(at, area.top);
          ctx.lineTo(at, area.bottom);
          const isRight = at > (area.left + area.right) / 2;
          ctx.textAlign = isRight ? "right" : "left";
          ctx.textBaseline = "top";
          ctx.fillText(mark.text, at + (isRight ? -4 : 4), area.top + 3 + 13 * row++);
        } else {
          if (at < area.top || at > area.bottom) continue;
          ctx.moveTo(area.left, at);
          ctx.lineTo(area.right, at);
          const isCurve = plot.series[0].form === AREA;
          ctx.textAlign = isCurve ? "left" : "right";
          ctx.textBaseline = "middle";
          const y = [at - 8, at + 8].find((each) => used.every((other) => Math.abs(each - other) > 11));
          if (y !== undefined) {
            ctx.fillText(mark.text, isCurve ? area.left + 4 : area.right - 3, y);
            used.push(y);
          }
        }
        ctx.stroke();
      }
      if (plot.shows_labels) {
        ctx.setLineDash([]);
        ctx.fillStyle = css("text");
        ctx.textBaseline = "middle";
        const named = [];
        chart.data.datasets.forEach((set, number) => {
          if (set.isGuide) return;
          chart.getDatasetMeta(number).data.forEach((point, index) => {
            if (point.skip) return;
            const isRight = point.x > area.left + (area.right - area.left) * 0.65;
            const y = [point.y, point.y + 13, point.y - 13, point.y + 26].find((each) =>
              named.every(([left, top]) => Math.abs(each - top) > 11 || Math.abs(point.x - left) > 120));
            if (y === undefined) return;
            named.push([point.x, y]);
            ctx.textAlign = isRight ? "right" : "left";
            ctx.fillText(plot.labels[index], point.x + (isRight ? -9 : 9), y);
          });
        });
      }
      ctx.restore();
    },
  };

  function ends(plot) {
    const found = plot.series.flatMap((series) => series.values).flat().filter((value) => value > 0);
    const marked = (plot.marks || []).map((mark) => mark.at).filter((value) => value > 0);
    const all = plot.is_horizontal ? found.concat(marked) : found;
    return [Math.min(...all) / 1.4, Math.max(...all) * 1.4];
  }

  function scaleOf(axis, limits, colours, fromZero = true) {
    const scale = {
      title: { display: Boolean(axis.title), text: axis.title, color: colours.faint },
      ticks: { color: colours.faint, maxRotation: 0, autoSkipPadding: 12 },
      grid: { color: (context) => (context.tick?.label === "" ? "transparent" : colours.line) },
      border: { color: colours.line },
    };
    if (!axis.is_log) return { ...scale, type: "linear", beginAtZero: fromZero };
    const [min, max] = limits;
    const isWide = max / min > 1000;
    scale.ticks.callback = (value) => {
      const digits = value / 10 ** Math.floor(Math.log10(value) + 1e-9);
      const shown = isWide ? [1] : max / min > 30 ? [1, 3] : [1, 1.5, 2, 3, 5, 7];
      return shown.some((each) => Math.abs(each - digits) < 1e-6) ? String(Number(value.toPrecision(3))) : "";
    };
    scale.ticks.autoSkip = false;
    return { ...scale, type: "logarithmic", min, max };
  }

  function options(plot) {
    const colours = { faint: css("faint-text"), line: css("line") };
    const onlyPoints = plot.series.every((series) => series.form === POINTS);
    const value = scaleOf(plot.value_axis, ends(plot), colours, !onlyPoints);
    if (onlyPoints && !plot.value_axis.is_log) {
      value.grace = "8%";
      if (plot.series.some((series) => series.values.includes(0))) value.min = 0;
    }
    const axis = plot.place_axis;
    let place;
    if (plot.places) {
      const positive = plot.places.filter((each) => each > 0);
      place = scaleOf(axis, [Math.min(...positive) / 1.6, Math.max(...positive) * 1.6], colours);
      if (!axis.is_log) {
        const first = Math.min(...plot.places), last = Math.max(...plot.places);
        const isCurve = plot.series[0].form === AREA;
        const room = isCurve ? 0 : (last - first) * 0.05;
        Object.assign(place, { beginAtZero: false, min: first - room, max: last + room });
        place.ticks.callback = (each) => String(Number(each.toPrecision(4)));
        place.ticks.includeBounds = false;
      }
    } else {
      place = { ...scaleOf({ title: axis.title }, null, colours), type: "category", offset: true };
      place.ticks.autoSkip = !plot.is_horizontal;
      place.ticks.callback = function (value) {
        const label = this.getLabelForValue(value), limit = this.chart.width < 420 ? 18 : 34;
        return label.length > limit ? `${label.slice(0, limit - 1)}…` : label;
      };
      place.grid = { display: false };
    }
    value.stacked = place.stacked = Boolean(plot.is_stacked);
    const isIndexed = !plot.places || plot.series[0].form === AREA;
    return {
      plot, animation: false, responsive: true, maintainAspectRatio: false,
      indexAxis: plot.is_horizontal ? "y" : "x",
      devicePixelRatio: root.classList.contains("printing") ? 2 : undefined,
      interaction: { mode: isIndexed ? "index" : "nearest", intersect: false, axis: plot.is_horizontal ? "y" : isIndexed ? "x" : "xy" },
      layout: { padding: { right: 24 } },
      scales: plot.is_horizontal ? { x: value, y: place } : { x: place, y: value },
      plugins: {
        legend: {
          display: plot.series.length > 1 || Boolean(plot.guides), position: "bottom",
          labels: { color: css("text"), usePointStyle: true, boxHeight: 8, padding: 12, font: { size: 12 } },
        },
        tooltip: {
          filter: (item) => !item.dataset.isGuide && Boolean(item.dataset.texts[item.dataIndex]),
          callbacks: {
            title: (items) => (items.length ? plot.labels[items[0].dataIndex] : ""),
            label: (item) => `${item.dataset.label}: ${item.dataset.texts[item.dataIndex]}`,
          },
        },
      },
    };
  }

  Chart.defaults.font.family = getComputedStyle(document.body).fontFamily;
  const boxes = [...document.querySelectorAll(".plot")];
  const charts = new Map();

  function draw(box) {
    const plot = data.plots[boxes.indexOf(box)];
    charts.get(box)?.destroy();
    if (plot.is_horizontal) {
      const groups = plot.series.filter((series) => series.form === BARS).length;
      const bars = plot.is_stacked ? 1 : Math.max(1, groups);
      const legend = Math.ceil(plot.series.length / 3) * 26;
      const height = Math.max(180, plot.labels.length * Math.max(26, 16 * bars + 8) + 70 + legend);
      box.querySelector(".canvas-box").style.height = `${height}px`;
    }
    const chart = new Chart(box.querySelector("canvas"), {
      data: { labels: plot.places ? undefined : plot.labels, datasets: datasets(plot) },
      options: options(plot), plugins: [marksPlugin],
    });
    charts.set(box, chart);
  }

  // Arrow keys move the hover text from position to position.
  function readWithKeys(box) {
    const canvas = box.querySelector("canvas"), plot = data.plots[boxes.indexOf(box)];
    let at = -1;
    canvas.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
      if (!step) return;
      event.preventDefault();
      at = Math.min(Math.max(at + step, 0), plot.labels.length - 1);
      const chart = charts.get(box);
      const active = plot.series.flatMap((series, datasetIndex) =>
        series.values[at] === null ? [] : [{ datasetIndex, index: at }]);
      chart.setActiveElements(active);
      chart.tooltip.setActiveElements(active, { x: 0, y: 0 });
      chart.update();
      const texts = active.map(({ datasetIndex }) =>
        `${plot.series[datasetIndex].name} ${plot.series[datasetIndex].texts[at]}`);
      box.querySelector(".reading").textContent = `${plot.labels[at]}: ${texts.join(", ")}`;
    });
  }

  const seen = new IntersectionObserver((entries) => {
    for (const { isIntersecting, target } of entries) {
      if (!isIntersecting) continue;
      seen.unobserve(target);
      if (!charts.has(target)) draw(target);
    }
  }, { rootMargin: "300px" });
  for (const box of boxes) {
    seen.observe(box);
    readWithKeys(box);
  }
  const redraw = () => [...charts.keys()].forEach(draw);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);

  const PAGE = 25, PRINTED_ROWS = 1000;
  const SVG = "http://www.w3.org/2000/svg", AXIS_END = 9999;

  function shape(parent, name, attributes) {
    const made = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    parent.append(made);
    return made;
  }

  function drawSpan(cell, [low, likely, high, limit]) {
    const box = shape(cell, "svg", { class: "span", viewBox: `0 0 ${AXIS_END} 100`, preserveAspectRatio: "none", "aria-hidden": "true" });
    const line = (kind, x, y1, y2) => shape(box, "line", { class: kind, x1: x, x2: x, y1, y2 });
    shape(box, "line", { class: "axis", x1: 0, x2: AXIS_END, y1: 50, y2: 50 });
    shape(box, "rect", { class: "interval", x: low, width: Math.max((high ?? AXIS_END) - low, 80), y: 25, height: 50 });
    if (likely !== null) line("likely", likely, 15, 85);
    if (limit !== null) line("limit", limit, 0, 100);
  }

  const decoded = (cell) => {
    const [text, key = null, tone = null, span = null] = Array.isArray(cell) ? cell : [cell];
    return { text, key: key ?? span?.[1] ?? span?.[0] ?? null, tone, span, lower: text.toLowerCase() };
  };

  function compared(a, b) {
    if (a.key !== null && b.key !== null) return a.key - b.key;
    if (a.key !== null || b.key !== null) return a.key === null ? 1 : -1;
    return a.text.localeCompare(b.text, "en", { numeric: true });
  }

  const printers = [];

  function makeTable(box, table) {
    const columns = table.columns.map((column) => ({ ...column, cells: column.cells.map(decoded) }));
    const cellOf = (row, index) => columns[index].cells[columns[index].rows[row]];
    const all = columns[0].rows.map((_, row) => row);
    const body = box.querySelector("tbody"), heads = [...box.querySelectorAll("th")];
    const state = { sorted: null, isDown: false, text: "", choice: "", page: 0, printing: false };

    const search = element("input", "", { type: "search", placeholder: "Filter", "aria-label": "Filter rows" });
    const choice = element("select", "", { "aria-label": "Show rows with" });
    const count = element("span", "", { class: "count", "aria-live": "polite" });
    const back = element("button", "Previous", { type: "button" });
    const next = element("button", "Next", { type: "button" });
    const tools = element("div", "", { class: "tools" });

    function matching() {
      const rows = all.filter((row) =>
        (!state.choice || cellOf(row, table.choice).text === state.choice) &&
        (!state.text || columns.some((_, index) => cellOf(row, index).lower.includes(state.text))));
      if (state.sorted === null) return rows;
      const sign = state.isDown ? -1 : 1;
      return rows.sort((a, b) => sign * compared(cellOf(a, state.sorted), cellOf(b, state.sorted)) || a - b);
    }

    function show() {
      const rows = matching(), size = state.printing ? PRINTED_ROWS : PAGE;
      const last = Math.max(Math.ceil(rows.length / size) - 1, 0);
      state.page = state.printing ? 0 : Math.min(state.page, last);
      const from = state.page * size, shown = rows.slice(from, from + size);
      body.replaceChildren(...shown.map((row) => {
        const line = element("tr");
        columns.forEach(({ align, title }, index) => {
          const cell = cellOf(row, index);
          const made = element("td", cell.text, { class: `${align} tone-${cell.tone ?? "plain"}`, "data-title": title });
          if (cell.span) drawSpan(made, cell.span);
          line.append(made);
        });
        return line;
      }));
      count.textContent = rows.length
        ? `${from + 1} to ${from + shown.length} of ${rows.length}` : "no rows match";
      back.disabled = state.page === 0;
      next.disabled = state.page === last;
    }

    heads.forEach((head, index) => {
      const button = element("button", head.textContent, { type: "button" });
      button.addEventListener("click", () => {
        state.isDown = state.sorted === index && !state.isDown;
        state.sorted = index;
        state.page = 0;
        heads.forEach((each) => each.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", state.isDown ? "descending" : "ascending");
        show();
      });
      head.replaceChildren(button);
    });
    search.addEventListener("input", () => {
      Object.assign(state, { text: search.value.trim().toLowerCase(), page: 0 });
      show();
    });
    choice.addEventListener("change", () => {
      Object.assign(state, { choice: choice.value, page: 0 });
      show();
    });
    back.addEventListener("click", () => { state.page -= 1; show(); });
    next.addEventListener("click", () => { state.page += 1; show(); });

    tools.append(search);
    if (table.choice !== null) {
      const values = [...new Set(columns[table.choice].cells.map((cell) => cell.text))];
      choice.append(element("option", `every ${columns[table.choice].title}`, { value: "" }));
      choice.append(...values.map((value) => element("option", value, { value })));
      tools.append(choice);
    }
    tools.append(count);
    if (all.length > PAGE) tools.append(back, next);
    if (all.length > 3) box.querySelector(".scroll").before(tools);
    // Print has all devices, but only the nodes of the current table page.
    if (table.choice !== null) printers.push((printing) => { state.printing = printing; show(); });
    show();
  }

  document.querySelectorAll(".data-table").forEach((box, index) => makeTable(box, data.tables[index]));

  addEventListener("beforeprint", () => {
    root.classList.add("printing");
    printers.forEach((print) => print(true));
    boxes.forEach(draw);
  });
  addEventListener("afterprint", () => {
    root.classList.remove("printing");
    printers.forEach((print) => print(false));
    redraw();
  });
})();
