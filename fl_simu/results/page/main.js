// Starts the charts, and redraws them when the page turns dark or is printed.

function start() {
  const data = readData(document.getElementById("chart-data").textContent);
  document.getElementById("charts").hidden = false;
  const charts = [startCurves(data), startUploads(data)];
  const again = () => charts.forEach((show) => show());
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", again);
  addEventListener("beforeprint", () => {
    document.documentElement.classList.add("printing");
    again();
    document.querySelectorAll("details").forEach((one) => one.setAttribute("open", ""));
  });
  addEventListener("afterprint", () => {
    document.documentElement.classList.remove("printing");
    again();
  });
}

try {
  start();
} catch (error) {
  const place = document.getElementById("chart-error");
  place.textContent = "The curves cannot be drawn: " + error.message;
  place.hidden = false;
  throw error;
}
