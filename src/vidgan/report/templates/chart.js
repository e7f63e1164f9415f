// Reads values off a chart, by pointer or by arrow keys.
"use strict";
const readable = (svg) => {
  const [x, y] = [svg.dataset.x, svg.dataset.y].map((text) => {
    const [low, high, begin, end] = text.split(" ").map(Number);
    return (place) => low + ((place - begin) / (end - begin)) * (high - low);
  });
  const [bottom, top] = svg.dataset.y.split(" ").slice(2).map(Number);
  const curves = [...svg.querySelectorAll(".curve")].map((curve) => [
    ...[...curve.querySelectorAll("polyline")].flatMap((line) => [...line.points].map((p) => [p.x, p.y])),
    ...[...curve.querySelectorAll("circle")].map((dot) => [dot.cx.baseVal.value, dot.cy.baseVal.value]),
  ]);
  const places = [...new Set(curves.flat().map((p) => p[0]))].sort((a, b) => a - b);
  if (!places.length) return;
  const numbers = [...svg.closest("figure").querySelectorAll(".legend b")];
  const title = svg.closest("figure").querySelector("h4");
  const before = [title, ...numbers].map((element) => element.textContent);
  const cursor = document.createElementNS("http://www.w3.org/2000/svg", "line");
  cursor.setAttribute("class", "cursor");
  const nearest = (values, at) => values.reduce((best, v) => (Math.abs(v - at) < Math.abs(best - at) ? v : best));
  const show = (value) => value.toLocaleString("en", { maximumSignificantDigits: 3 }).replace("-", "−");
  let chosen = null;
  const move = (at) => {
    chosen = nearest(places, at);
    for (const [name, value] of [["x1", chosen], ["x2", chosen], ["y1", top], ["y2", bottom]])
      cursor.setAttribute(name, value);
    svg.append(cursor);
    title.textContent = `${before[0]} at step ${Math.round(x(chosen)).toLocaleString("en")}`;
    curves.forEach((points, i) => {
      if (!points.length) return;
      const own = nearest(points.map((p) => p[0]), chosen);
      numbers[i].textContent = show(y(points.find((p) => p[0] === own)[1]));
    });
  };
  const leave = () => {
    chosen = null;
    cursor.remove();
    [title, ...numbers].forEach((element, i) => { element.textContent = before[i]; });
  };
  svg.addEventListener("pointermove", (event) =>
    move(new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse()).x));
  svg.addEventListener("pointerleave", leave);
  svg.addEventListener("blur", leave);
  svg.tabIndex = 0;
  svg.addEventListener("keydown", (event) => {
    const i = chosen === null ? places.length : places.indexOf(chosen);
    const to = { ArrowLeft: i - 1, ArrowRight: i + 1, Home: 0, End: places.length - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    move(places[Math.min(Math.max(to, 0), places.length - 1)]);
  });
};
