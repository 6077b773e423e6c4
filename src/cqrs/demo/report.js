// One cursor over all charts: pointer or arrow keys choose a slot of time, the tip shows its figures.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const tip = document.getElementById("tip");
  const charts = [...document.querySelectorAll("svg")];
  const left = data.left, right = data.right;
  let chosen = 0;

  const cell = (row, tag, text) => { row.appendChild(document.createElement(tag)).textContent = text; };

  function show(slot, chart, clientX, clientY) {
    chosen = Math.min(Math.max(slot, 0), data.slots.length - 1);
    const x = left + (right - left) * (chosen + 0.5) / data.slots.length;
    for (const cursor of document.querySelectorAll(".cursor")) {
      cursor.setAttribute("x1", x);
      cursor.setAttribute("x2", x);
      cursor.classList.add("on");
    }
    const { at, rows } = data.slots[chosen];
    const table = document.createElement("table");
    const head = table.insertRow();
    for (const name of [at, "with", "without"]) cell(head, "th", name);
    rows.forEach((values, index) => {
      const row = table.insertRow();
      cell(row, "td", data.rows[index]);
      for (const value of values) cell(row, "td", value);
    });
    tip.replaceChildren(table);
    tip.style.display = "block";
    const box = chart.getBoundingClientRect();
    const px = clientX ?? box.left + x / 1000 * box.width;
    const py = clientY ?? box.top;
    const room = tip.getBoundingClientRect();
    tip.style.left = (px + 18 + room.width > innerWidth ? px - room.width - 18 : px + 18) + "px";
    tip.style.top = Math.max(8, Math.min(py, innerHeight - room.height - 8)) + "px";
  }

  function hide() {
    tip.style.display = "none";
    for (const cursor of document.querySelectorAll(".cursor")) cursor.classList.remove("on");
  }

  for (const chart of charts) {
    chart.addEventListener("pointermove", (event) => {
      const box = chart.getBoundingClientRect();
      const x = (event.clientX - box.left) / box.width * 1000;
      show(Math.floor((x - left) / (right - left) * data.slots.length), chart, event.clientX, event.clientY);
    });
    chart.addEventListener("pointerleave", hide);
    chart.addEventListener("blur", hide);
    chart.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (step) { event.preventDefault(); show(chosen + step, chart); }
      if (event.key === "Escape") hide();
    });
  }
})();
