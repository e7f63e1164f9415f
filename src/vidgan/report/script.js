// Reads values off the charts: the page is complete without it.
"use strict";
for (const svg of document.querySelectorAll(".chart svg")) {
  const [x, y] = [svg.dataset.x, svg.dataset.y].map((text) => {
    const [low, high, begin, end] = text.split(" ").map(Number);
    return (place) => low + ((place - begin) / (end - begin)) * (high - low);
  });
  const [top, bottom] = svg.dataset.y.split(" ").slice(2).map(Number).reverse();
  const curves = [...svg.querySelectorAll(".curve")].map((curve) => [
    ...[...curve.querySelectorAll("polyline")].flatMap((line) => [...line.points].map((p) => [p.x, p.y])),
    ...[...curve.querySelectorAll("circle")].map((dot) => [dot.cx.baseVal.value, dot.cy.baseVal.value]),
  ]);
  const numbers = [...svg.closest("figure").querySelectorAll(".legend b")];
  const title = svg.closest("figure").querySelector("h4");
  const before = [title, ...numbers].map((element) => element.textContent);
  const cursor = document.createElementNS("http://www.w3.org/2000/svg", "line");
  cursor.setAttribute("class", "cursor");
  const show = (value) => value.toLocaleString("en", { maximumSignificantDigits: 3 }).replace("-", "−");
  svg.addEventListener("pointermove", (event) => {
    const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse()).x;
    const near = curves.map((points) =>
      points.reduce((best, p) => (!best || Math.abs(p[0] - at) < Math.abs(best[0] - at) ? p : best), null));
    const first = near.find(Boolean);
    if (!first) return;
    for (const [name, value] of [["x1", first[0]], ["x2", first[0]], ["y1", top], ["y2", bottom]])
      cursor.setAttribute(name, value);
    svg.append(cursor);
    title.textContent = `${before[0]} at step ${Math.round(x(first[0])).toLocaleString("en")}`;
    near.forEach((p, i) => { if (p) numbers[i].textContent = show(y(p[1])); });
  });
  svg.addEventListener("pointerleave", () => {
    cursor.remove();
    [title, ...numbers].forEach((element, i) => { element.textContent = before[i]; });
  });
}
addEventListener("beforeprint", () => {
  for (const details of document.querySelectorAll("details")) details.open = true;
});
