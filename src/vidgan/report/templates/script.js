// The page is complete without this.
{% include "chart.js" %}
document.querySelectorAll(".chart svg").forEach(readable);
addEventListener("beforeprint", () => {
  for (const details of document.querySelectorAll("details")) details.open = true;
});
