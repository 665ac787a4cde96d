// Keeps a page current: asks for the same page again and changes only what differs, so that scroll, focus,
// selection and open details stay. Every page works without it.
(function () {
  "use strict";
  var EVERY = 5000;
  var PATIENCE = 15000;
  var mark = document.getElementById("live");
  var words = mark.querySelector(".live-words");
  var state = "live";
  var timer = 0;
  var drawn = document.getElementById("content").dataset.drawn;

  function paused() {
    try { return sessionStorage.getItem("modelward-paused") === "1"; } catch (error) { return false; }
  }

  function show(next) {
    state = next;
    mark.dataset.state = next;
    words.textContent = next === "live" ? "Live" : next === "paused" ? "Paused" : "Connection lost, last updated " + drawn + " UTC";
    mark.title = next === "live" ? "Updates every 5 seconds. Press to pause." : next === "paused" ? "Press to go on updating." : "Press to try again.";
  }

  // Makes `here` like `there`, keeping the nodes that are the same kind.
  function morph(here, there) {
    if (here.isEqualNode(there)) return;
    if (here.nodeType !== there.nodeType || here.nodeName !== there.nodeName || here.id !== there.id) {
      here.replaceWith(document.importNode(there, true));
      return;
    }
    if (here.nodeType !== Node.ELEMENT_NODE) {
      here.nodeValue = there.nodeValue;
      return;
    }
    var kept = here.nodeName === "DETAILS" ? "open" : "";
    Array.from(here.attributes).forEach(function (attribute) {
      if (attribute.name !== kept && !there.hasAttribute(attribute.name)) here.removeAttribute(attribute.name);
    });
    Array.from(there.attributes).forEach(function (attribute) {
      if (attribute.name !== kept && here.getAttribute(attribute.name) !== attribute.value) here.setAttribute(attribute.name, attribute.value);
    });
    var mine = Array.from(here.childNodes);
    var theirs = Array.from(there.childNodes);
    theirs.forEach(function (child, index) {
      if (index < mine.length) morph(mine[index], child);
      else here.appendChild(document.importNode(child, true));
    });
    mine.slice(theirs.length).forEach(function (child) { child.remove(); });
  }

  // A form that is being filled in is not to be changed under the hand.
  function busy() {
    var active = document.activeElement;
    return Boolean(active && active.closest("main") && active.matches("input, select, textarea"));
  }

  function schedule() {
    clearTimeout(timer);
    if (state === "live" && !document.hidden) timer = setTimeout(update, EVERY);
  }

  function update() {
    clearTimeout(timer);
    if (busy()) { schedule(); return; }
    var control = new AbortController();
    var limit = setTimeout(function () { control.abort(); }, PATIENCE);
    // The header says that nobody did this: it does not keep a session from ending.
    fetch(location.href, { credentials: "same-origin", redirect: "error", cache: "no-store", signal: control.signal, headers: { Accept: "text/html", "X-Modelward-Background": "1" } })
      .then(function (response) {
        // The session is over: the page itself leads to the login, and back.
        if (response.status === 401) { location.reload(); return new Promise(function () {}); }
        if (response.status >= 500 || response.status === 403) throw new Error(String(response.status));
        return response.text();
      })
      .then(function (text) {
        clearTimeout(limit);
        var fresh = new DOMParser().parseFromString(text, "text/html");
        var main = fresh.getElementById("content");
        if (!main) throw new Error("no content");
        if (!busy()) {
          morph(document.getElementById("content"), main);
          var bar = fresh.querySelector(".top nav");
          if (bar) morph(document.querySelector(".top nav"), bar);
          document.getElementById("clock").textContent = fresh.getElementById("clock").textContent;
          document.title = fresh.title;
          drawn = main.dataset.drawn;
        }
        if (state !== "paused") show("live");
        schedule();
      })
      .catch(function () {
        clearTimeout(limit);
        show("lost");
      });
  }

  mark.hidden = false;
  show(paused() ? "paused" : "live");
  mark.addEventListener("click", function () {
    var pause = state === "live";
    try { sessionStorage.setItem("modelward-paused", pause ? "1" : ""); } catch (error) { /* kept for this page only */ }
    if (pause) { clearTimeout(timer); show("paused"); } else { show("live"); update(); }
  });
  document.addEventListener("visibilitychange", function () {
    if (!document.hidden && state === "live") update();
    else clearTimeout(timer);
  });

  // A filter applies when a choice is made; text applies with Enter or its button.
  document.addEventListener("change", function (event) {
    var form = event.target.closest && event.target.closest("form.filter");
    if (form && event.target.matches("select, input[type=checkbox]")) form.requestSubmit();
  });
  schedule();
})();
