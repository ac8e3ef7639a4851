// The page's data for its charts: read once, and rejected if they have another form.

const KINDS = ["full", "base", "none"];
const LEVELS = ["10th percentile", "25th percentile", "median", "75th percentile", "90th percentile"];

function need(condition, what) {
  if (!condition) {
    throw new Error("the data of the page are damaged: " + what);
  }
}

function isNumbers(values, count) {
  return Array.isArray(values) && values.length === count
    && values.every((one) => one === null || Number.isFinite(one));
}

function isTexts(values) {
  return Array.isArray(values) && values.every((one) => typeof one === "string");
}

function readData(text) {
  const data = JSON.parse(text);
  need(data !== null && Array.isArray(data.runs) && data.runs.length > 0, "runs");
  for (const kind of ["x", "y"]) {
    need(Array.isArray(data[kind]) && data[kind].length > 0, kind);
    data[kind].forEach((one) => need(isTexts([one.key, one.label]), kind));
  }
  need(KINDS.every((kind) => isTexts([data.words[kind], data.colours[kind]])), "words");
  data.runs.forEach(checkRun);
  return data;
}

function checkRun(run) {
  need(typeof run.name === "string", "the name of a run");
  need(Array.isArray(run.curves) && Array.isArray(run.thresholds), run.name);
  for (const part of run.curves) {
    need(Number.isInteger(part.of) && Number.isInteger(part.every) && Number.isInteger(part.drawn), run.name);
    need(isTexts(part.measures), run.name);
    need(Object.values(part.values).every((values) => isNumbers(values, part.drawn)), run.name);
  }
  run.thresholds.forEach((one) => need(typeof one.label === "string" && one.delay_s > 0, run.name));
  if (run.uploads === null) {
    return;
  }
  for (const by of ["ue", "round"]) {
    const shares = run.uploads.shares[by];
    checkGroups(shares, run.name);
    need(KINDS.every((kind) => isNumbers(shares[kind], shares.at.length)), run.name);
    for (const layer of run.uploads.layers) {
      const delays = layer[by];
      checkGroups(delays, run.name);
      need(delays.levels.length === LEVELS.length, run.name);
      need(delays.levels.every((level) => isNumbers(level, delays.at.length)), run.name);
      for (const kind of KINDS.filter((one) => layer.marks !== null)) {
        const marks = layer.marks[kind];
        need(isNumbers(marks.delay_s, marks[by].length) && isNumbers(marks[by], marks.delay_s.length), run.name);
      }
    }
  }
}

function checkGroups(groups, name) {
  need(isTexts(groups.names) && isTexts([groups.axis, groups.note]), name);
  need(isNumbers(groups.at, groups.names.length) && isNumbers(groups.width, groups.names.length), name);
}

// Plotly interprets some HTML in its texts, such as links; the texts of a run are shown literally.
function plain(text) {
  return text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
}

// For arrays that are too long for the arguments of Math.min.
function least(values) {
  return values.reduce((one, other) => Math.min(one, other), Infinity);
}

function most(values) {
  return values.reduce((one, other) => Math.max(one, other), -Infinity);
}

function shortened(text, length) {
  const letters = Array.from(text);
  return letters.length <= length ? text : letters.slice(0, length - 1).join("") + "…";
}

function shown(value) {
  if (value === null) {
    return "not measured";
  }
  if (value !== 0 && Math.abs(value) < 1e-4) {
    return value.toExponential(3);
  }
  return value.toLocaleString("en", { maximumSignificantDigits: 6 });
}
