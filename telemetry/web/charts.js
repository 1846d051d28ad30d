// Draws each figure when it comes near the window: a long report opens at once.
"use strict";
(() => {
  const figures = JSON.parse(document.getElementById("figures").textContent);
  const places = [...document.querySelectorAll(".chart")];
  const watch = new IntersectionObserver(
    (seen) => {
      for (const { target, isIntersecting } of seen) {
        if (!isIntersecting) continue;
        watch.unobserve(target);
        const { data, layout } = figures[places.indexOf(target)];
        Plotly.newPlot(target, data, layout, { displaylogo: false, responsive: true });
      }
    },
    { rootMargin: "800px" },
  );
  places.forEach((place) => watch.observe(place));
})();
