// Shared by all charts: the colours, which follow the page's, and the controls above the charts.

const DASHES = ["solid", "dash", "dashdot", "dot"];
// On paper a chart is as wide as the page of an A4 sheet.
const PAPER_WIDTH = 660;

function colourOf(name) {
  return getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();
}

function isPrinting() {
  return document.documentElement.classList.contains("printing");
}

function axisLook(title) {
  return {
    title: { text: title },
    gridcolor: colourOf("grid"),
    linecolor: colourOf("line"),
    zerolinecolor: colourOf("line"),
    automargin: true,
    exponentformat: "SI",
  };
}

// A logarithmic axis with plain numbers: 1, 2 and 5 of each power of ten, or only 1 if there are many powers.
function logLook(values) {
  const above = values.filter((value) => value > 0);
  const [first, last] = [Math.floor(Math.log10(least(above))), Math.ceil(Math.log10(most(above)))];
  const ticks = [];
  for (let power = first; power <= last && above.length > 0; power += 1) {
    (last - first > 4 ? [1] : [1, 2, 5]).forEach((digit) => ticks.push(digit * 10 ** power));
  }
  return { type: "log", tickvals: ticks, ticktext: ticks.map(brief) };
}

function brief(value) {
  const place = Math.min(4, Math.floor(Math.log10(value) / 3 + 1e-9));
  return place < 1 ? String(Number(value.toPrecision(1))) : Math.round(value / 1000 ** place) + "kMGT"[place - 1];
}

function draw(id, traces, layout, label) {
  const text = colourOf("text");
  const common = {
    autosize: true,
    width: isPrinting() ? PAPER_WIDTH : undefined,
    height: 450,
    margin: { l: 70, r: 20, t: 64, b: 60 },
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { color: text, family: "system-ui, sans-serif", size: 13 },
    hovermode: "closest",
    hoverlabel: { namelength: -1, align: "left", bgcolor: colourOf("raised"), font: { color: text } },
    modebar: { bgcolor: "rgba(0,0,0,0)", color: colourOf("soft"), activecolor: text },
    legend: { orientation: "h", x: 0, y: 1.02, yanchor: "bottom" },
  };
  const options = {
    responsive: true,
    displaylogo: false,
    // Plotly 4 has a button that sends the chart to its maker's server.
    showSendToCloud: false,
    plotlyServerURL: "",
    modeBarButtonsToRemove: ["sendChartToCloud", "sendDataToCloud", "select2d", "lasso2d", "autoScale2d"],
    toImageButtonOptions: { format: "svg", filename: id },
  };
  const place = document.getElementById(id);
  place.setAttribute("aria-label", label);
  Plotly.react(place, traces, Object.assign(common, layout), options);
}

// A group of buttons of which one is pressed; `choose` gets the key of the clicked button.
function offer(id, options, chosen, choose) {
  const holder = document.getElementById(id);
  holder.replaceChildren(...options.map((option) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = option.label;
    button.dataset.key = option.key;
    button.setAttribute("aria-pressed", String(option.key === chosen));
    button.addEventListener("click", () => {
      for (const other of holder.children) {
        other.setAttribute("aria-pressed", String(other === button));
      }
      choose(option.key);
    });
    return button;
  }));
  holder.hidden = options.length < 2;
}

function list(id, options, choose) {
  const select = document.getElementById(id);
  select.replaceChildren(...options.map((option) => new Option(option.label, option.key)));
  select.addEventListener("change", () => choose(select.value));
}

function tell(id, lines) {
  document.getElementById(id).textContent = lines.filter((line) => line !== "").join("\n");
}
