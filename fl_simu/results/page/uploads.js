// For one run: what the BS accepted, and how long uploads took, by UE or by round.

function startUploads(data) {
  const runs = data.runs.filter((run) => run.uploads !== null);
  document.getElementById("uploads").hidden = runs.length === 0;
  document.getElementById("uploads-runs").hidden = runs.length < 2;
  if (runs.length === 0) {
    return () => undefined;
  }
  const chosen = { run: runs[0], by: "ue", layer: "" };
  const log = document.getElementById("delays-log");
  const show = () => {
    drawShares(data, chosen);
    drawDelays(data, chosen, log.checked);
  };
  const anew = () => {
    log.checked = isWide(heightsOf(chosen));
    show();
  };
  const offerLayers = () => {
    const layers = chosen.run.uploads.layers.map((layer) => ({ key: layer.name, label: layer.name }));
    if (!layers.some((layer) => layer.key === chosen.layer)) {
      chosen.layer = layers.length > 0 ? layers[0].key : "";
    }
    offer("uploads-layer", layers, chosen.layer, (key) => {
      chosen.layer = key;
      anew();
    });
  };
  list("uploads-run", runs.map((run, at) => ({ key: String(at), label: run.name })), (key) => {
    chosen.run = runs[Number(key)];
    offerLayers();
    anew();
  });
  log.addEventListener("change", show);
  const ways = [{ key: "ue", label: "by UE" }, { key: "round", label: "by round" }];
  offer("uploads-by", ways, chosen.by, (key) => {
    chosen.by = key;
    anew();
  });
  offerLayers();
  anew();
  return show;
}

function groupAxis(groups) {
  const axis = axisLook(groups.axis);
  const last = groups.at.length - 1;
  if (last >= 0) {
    axis.range = [groups.at[0] - groups.width[0] / 2 - 0.2, groups.at[last] + groups.width[last] / 2 + 0.2];
    // There are no UEs and rounds between whole numbers.
    Object.assign(axis, axis.range[1] - axis.range[0] <= 20 ? { dtick: 1 } : {});
  }
  return axis;
}

function drawShares(data, chosen) {
  const groups = chosen.run.uploads.shares[chosen.by];
  const unit = chosen.by === "ue" ? "UE" : "round";
  const traces = KINDS.map((kind) => ({
    type: "bar",
    x: groups.at,
    y: groups[kind],
    width: groups.width,
    name: data.words[kind],
    marker: {
      color: data.colours[kind],
      pattern: { shape: kind === "none" ? "/" : "", fillmode: "overlay", size: 6 },
      line: { width: 0 },
    },
    hoverinfo: "text",
    hovertext: groups.names.map((name, at) => [
      `<b>${name}</b>`,
      ...KINDS.map((one) => `${data.words[one]}: ${shown(groups[one][at])}`),
    ].join("<br>")),
  }));
  const layout = { barmode: "stack", bargap: 0, xaxis: groupAxis(groups), yaxis: axisLook(`uploads of a ${unit}`) };
  layout.yaxis.rangemode = "tozero";
  layout.legend = { orientation: "h", x: 0, y: 1.02, yanchor: "bottom", traceorder: "normal" };
  draw("shares", traces, layout, `Uploads accepted, by ${unit}, of ${chosen.run.name}`);
  tell("shares-note", [groups.note]);
}

function layerOf(chosen) {
  return chosen.run.uploads.layers.find((one) => one.name === chosen.layer);
}

// All drawn delays.
function heightsOf(chosen) {
  const layer = layerOf(chosen);
  if (layer === undefined) {
    return [];
  }
  const levels = layer[chosen.by].levels;
  const each = layer.marks === null ? [] : KINDS.flatMap((kind) => layer.marks[kind].delay_s);
  return [...levels[0], ...levels[4], ...each, ...chosen.run.thresholds.map((one) => one.delay_s)];
}

// Whether the small delays could not be distinguished on a linear axis.
function isWide(heights) {
  const above = heights.filter((value) => value > 0);
  return most(above) > 30 * least(above);
}

function drawDelays(data, chosen, isLog) {
  const layer = layerOf(chosen);
  const thresholds = chosen.run.thresholds;
  if (layer === undefined) {
    draw("delays", [], { xaxis: axisLook(""), yaxis: axisLook("delay [s]") }, "No upload arrived");
    tell("delays-note", ["No upload arrived."]);
    return;
  }
  const groups = layer[chosen.by];
  const axis = groupAxis(groups);
  const traces = [
    ...band(groups, 0, 4, "10th to 90th percentile", 0.18),
    ...band(groups, 1, 3, "25th to 75th percentile", 0.3),
    median(groups),
    ...marks(data, layer, chosen.by),
    ...thresholds.map((one, at) => deadline(one, at, axis.range)),
  ];
  const layout = { xaxis: axis, yaxis: axisLook(`delay of the ${layer.name} [s]`) };
  Object.assign(layout.yaxis, isLog ? logLook(heightsOf(chosen)) : { type: "linear", rangemode: "tozero" });
  const way = chosen.by === "ue" ? "by UE" : "by round";
  draw("delays", traces, layout, `Delays of the ${layer.name}, ${way}, of ${chosen.run.name}`);
  tell("delays-note", [groups.note, layer.note]);
}

// One rectangle per group, between two percentiles.
function band(groups, low, high, name, opacity) {
  const x = [];
  const y = [];
  groups.at.forEach((at, place) => {
    const [left, right] = [at - groups.width[place] / 2, at + groups.width[place] / 2];
    const [below, above] = [groups.levels[low][place], groups.levels[high][place]];
    if (below !== null) {
      x.push(left, right, right, left, left, null);
      y.push(below, below, above, above, below, null);
    }
  });
  const shade = { fill: "toself", fillcolor: colourOf("text"), opacity, line: { width: 0 } };
  return [{ type: "scatter", mode: "lines", x, y, name, hoverinfo: "skip", ...shade }];
}

function median(groups) {
  const trace = { type: "scatter", mode: "lines", name: "median", hoverinfo: "text", x: [], y: [], hovertext: [] };
  groups.at.forEach((at, place) => {
    const half = groups.width[place] / 2;
    const text = [
      `<b>${groups.names[place]}</b>`,
      ...LEVELS.map((level, row) => `${level}: ${shown(groups.levels[row][place])} s`),
    ].join("<br>");
    trace.x.push(at - half, at, at + half, null);
    trace.y.push(...Array(3).fill(groups.levels[2][place]), null);
    trace.hovertext.push(text, text, text, "");
  });
  trace.line = { color: colourOf("text"), width: 2.5 };
  return trace;
}

function marks(data, layer, by) {
  if (layer.marks === null) {
    return [];
  }
  return KINDS.map((kind) => ({
    type: "scatter",
    mode: "markers",
    x: layer.marks[kind][by],
    y: layer.marks[kind].delay_s,
    name: data.words[kind],
    hoverinfo: "text",
    hovertext: layer.marks[kind].names.map((name, at) => (
      `<b>${name}</b><br>${data.words[kind]}<br>${shown(layer.marks[kind].delay_s[at])} s`
    )),
    marker: { color: data.colours[kind], size: 7, opacity: 0.85, symbol: kind === "none" ? "x" : "circle" },
  }));
}

// A dashed line. Its label is at one of three places in turn, so that labels of adjacent lines do not overlap.
function deadline(threshold, at, range) {
  const places = [0.02, 0.35, 0.68].map((share) => range[0] + share * (range[1] - range[0]));
  const words = places.map((place, one) => (
    one === at % 3 ? plain(`${shortened(threshold.label, 40)}: ${shown(threshold.delay_s)} s`) : ""
  ));
  return {
    type: "scatter",
    mode: "lines+text",
    x: [range[0], ...places, range[1]],
    y: Array(5).fill(threshold.delay_s),
    text: ["", ...words, ""],
    textposition: "top right",
    textfont: { color: colourOf("text") },
    line: { color: colourOf("text"), width: 1.5, dash: "dash" },
    showlegend: false,
    hoverinfo: "skip",
  };
}
