// All runs over one x axis: rounds, time, bits, or a meter's total.

function startCurves(data) {
  const chosen = { x: data.x[0].key, y: data.y[0].key };
  const log = document.getElementById("curves-log");
  const show = () => drawCurves(data, chosen, log.checked);
  const anew = () => {
    offerLog(log, pointsOf(data, chosen));
    show();
  };
  list("curves-y", data.y, (key) => {
    chosen.y = key;
    anew();
  });
  offer("curves-x", data.x, chosen.x, (key) => {
    chosen.x = key;
    anew();
  });
  log.addEventListener("change", show);
  anew();
  return show;
}

// For each run, the points that have both numbers, and how they were thinned.
function pointsOf(data, chosen) {
  return data.runs.map((run) => {
    const part = run.curves.find((one) => one.measures.includes(chosen.y) && chosen.x in one.values);
    if (part === undefined) {
      return { run, x: [], y: [], round: [], every: 1, of: 0, drawn: 0 };
    }
    const [x, y, round] = [chosen.x, chosen.y, "round"].map((key) => part.values[key]);
    const known = x.map((value, at) => at).filter((at) => x[at] !== null && y[at] !== null);
    const [xs, ys, rounds] = [x, y, round].map((values) => known.map((at) => values[at]));
    return { run, x: xs, y: ys, round: rounds, every: part.every, of: part.of, drawn: part.drawn };
  });
}

// A logarithmic axis helps if one run ends far beyond another and would leave it no room.
function offerLog(box, points) {
  const ends = points.filter((one) => one.x.length > 0).map((one) => one.x[one.x.length - 1]);
  box.disabled = !points.some((one) => one.x.some((value) => value > 0));
  box.checked = !box.disabled && most(ends) > 3 * least(ends) && least(ends) > 0;
}

function drawCurves(data, chosen, isLog) {
  const [x, y] = ["x", "y"].map((kind) => data[kind].find((one) => one.key === chosen[kind]).label);
  const points = pointsOf(data, chosen);
  const few = points.every((one) => one.x.length <= 60);
  const traces = points.map((one, at) => {
    // After the last colour comes the text colour, which is black or white.
    const colours = [...data.lines, colourOf("text")];
    const style = { color: colours[at % colours.length], width: 2 };
    style.dash = DASHES[Math.floor(at / colours.length) % DASHES.length];
    return {
      type: "scatter",
      mode: few || one.x.length === 1 ? "lines+markers" : "lines",
      x: one.x,
      y: one.y,
      name: plain(shortened(one.run.name, 40)),
      line: style,
      showlegend: true,
      hoverinfo: "text",
      hovertext: one.x.map((value, place) => [
        `<b>${plain(one.run.name)}</b>`,
        `round ${shown(one.round[place])}`,
        `${plain(y)}: ${shown(one.y[place])}`,
        ...(chosen.x === "round" ? [] : [`${plain(x)}: ${shown(value)}`]),
      ].join("<br>")),
    };
  });
  const layout = { xaxis: axisLook(plain(x)), yaxis: axisLook(plain(y)) };
  // Runs hidden in the legend stay hidden; a zoom stays on its axis.
  layout.uirevision = "runs";
  Object.assign(layout.xaxis, isLog ? logLook(points.flatMap((one) => one.x)) : { type: "linear" });
  layout.xaxis.uirevision = chosen.x + isLog;
  layout.yaxis.uirevision = chosen.y;
  const names = data.runs.map((run) => run.name).join(", ");
  draw("curves", traces, layout, `${y} over ${x} of ${names}`);
  tell("curves-note", points.map((one) => curveNote(one, isLog)));
}

function curveNote(one, isLog) {
  const told = [];
  if (one.x.length === 0) {
    told.push("nothing to show");
  } else if (one.every > 1) {
    told.push(`every ${ordinal(one.every)} round is drawn (${one.drawn} of ${one.of} that have a value)`);
  }
  const hidden = isLog ? one.x.filter((value) => value <= 0).length : 0;
  if (hidden > 0) {
    told.push(`${hidden} points at 0 have no place on a logarithmic axis`);
  }
  return told.length > 0 ? `${one.run.name}: ${told.join("; ")}` : "";
}

function ordinal(number) {
  const ending = { 1: "st", 2: "nd", 3: "rd" }[number % 10];
  const isTeen = Math.floor(number / 10) % 10 === 1;
  return number + (ending === undefined || isTeen ? "th" : ending);
}
