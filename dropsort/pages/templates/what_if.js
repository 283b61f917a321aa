// The threshold what-if: moves the cursor and shows what that threshold would classify, from the embedded counts.
(function () {
  "use strict";
  var counted = document.getElementById("counts");
  var slider = document.getElementById("slider"), cursor = document.getElementById("cursor");
  if (!counted || !slider || !cursor) return; // without captures there is nothing to show
  var data = JSON.parse(counted.textContent);
  document.querySelectorAll(".script").forEach(function (part) { part.classList.remove("script"); });
  var bins = 1000, counts = new Array(bins).fill(0), above = [0], sums = [0];
  data.bins.forEach(function (pair) { counts[pair[0]] = pair[1]; });
  for (var i = bins - 1, n = 0, s = 0; i >= 0; i--) {
    n += counts[i]; s += counts[i] * (i + 0.5) / bins; above.push(n); sums.push(s);
  }
  function show() {
    var edge = Math.round(slider.value * 1), classified = above[bins - edge], share = classified / data.total;
    var set = function (id, text) { document.getElementById(id).textContent = text; };
    set("at", (edge / bins).toFixed(3));
    set("classified", (100 * share).toFixed(1) + "%");
    set("review", (data.total - classified).toLocaleString("en"));
    var load = (1 - share) * data.perDay;
    set("load", data.perDay === null ? "–" : load === 0 ? "0" : load < 0.05 ? "< 0.1" : load < 10 ? load.toFixed(1) : Math.round(load).toLocaleString("en"));
    set("estimated", classified ? (100 * sums[bins - edge] / classified).toFixed(1) + "%" : "–");
    slider.setAttribute("aria-valuetext", (edge / bins).toFixed(3));
    var d = cursor.dataset, x = +d.left + edge / bins * (d.right - d.left), y = +d.bottom - share * (d.bottom - d.top);
    cursor.querySelector("path").setAttribute("d", "M" + x + " " + d.top + "V" + d.bottom);
    cursor.querySelector("circle").setAttribute("cx", x);
    cursor.querySelector("circle").setAttribute("cy", y);
  }
  slider.addEventListener("input", show);
  show();
})();
