// Runs before the first paint, so that a chosen theme never flashes the other one.
(function () {
  "use strict";
  var root = document.documentElement;
  root.classList.add("js");
  function stored() {
    try { return localStorage.getItem("modelward-theme"); } catch (error) { return null; }
  }
  function apply(theme) {
    if (theme === "dark" || theme === "light") root.dataset.theme = theme;
    else delete root.dataset.theme;
  }
  apply(stored());
  addEventListener("storage", function (event) {
    if (event.key === "modelward-theme") apply(event.newValue);
  });
  document.addEventListener("DOMContentLoaded", function () {
    var button = document.getElementById("theme");
    if (!button) return;
    button.hidden = false;
    button.addEventListener("click", function () {
      var dark = root.dataset.theme
        ? root.dataset.theme === "dark"
        : matchMedia("(prefers-color-scheme: dark)").matches;
      var next = dark ? "light" : "dark";
      apply(next);
      try { localStorage.setItem("modelward-theme", next); } catch (error) { /* kept for this page only */ }
    });
  });
})();
