// The rollout viewer: unpacks the embedded columns, filters them, and shows the list. story.js shows one task.
//
// Of the list only the rows in sight are in the page, so that its length costs nothing. What models wrote becomes text by
// `textContent` alone, with characters that cannot be seen written out: it can neither run nor disguise itself.
"use strict";
const Rollouts = (() => {
  const ROW_PX = 28; // as in report.css
  const SPARE_ROWS = 8;
  const SELECTS = ["phase", "kind", "role", "status", "reason", "dropped"];
  const UNSEEN = /[\p{Cc}\p{Cf}\p{Co}\p{Cn}\p{Cs}\p{Zl}\p{Zp}]/gu;
  const form = document.getElementById("filters");
  const list = document.getElementById("list");
  const rows = document.getElementById("rows");
  const count = document.getElementById("count");
  let table, haystack, matches;

  const visible = (text) =>
    String(text).replace(UNSEEN, (c) => (c === "\n" || c === "\t" ? c : `\\u{${c.codePointAt(0).toString(16)}}`));

  function make(tag, className, text = "") {
    const element = document.createElement(tag);
    element.className = className;
    element.textContent = visible(text);
    return element;
  }

  // A column is a list, or its distinct values and each row's place among them.
  const at = (name, row) => {
    const column = table.rollouts[name];
    return column.codes ? column.values[column.codes[row]] : column[row];
  };
  const figure = (value) => (value === null || value === undefined ? "–" : Number(value).toFixed(2));

  async function unpack(element) {
    const bytes = Uint8Array.from(atob(element.textContent), (c) => c.charCodeAt(0));
    element.remove();
    return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).json();
  }

  function fillSelects() {
    for (const name of SELECTS) {
      const { values } = table.rollouts[name];
      values.forEach((value, code) => {
        const option = make("option", "", value || "–");
        option.value = code;
        form.elements[name].append(option);
      });
    }
  }

  function filtered() {
    const { id, step, prompt } = table.rollouts;
    const wanted = form.elements.search.value.toLowerCase();
    const prompts = prompt.values.map((text) => wanted !== "" && text.toLowerCase().includes(wanted));
    const first = form.elements.from.value === "" ? -Infinity : Number(form.elements.from.value);
    const last = form.elements.to.value === "" ? Infinity : Number(form.elements.to.value);
    const chosen = SELECTS.filter((name) => form.elements[name].value !== "").map((name) => [
      table.rollouts[name].codes,
      Number(form.elements[name].value),
    ]);
    const found = [];
    for (let row = 0; row < id.length; row++) {
      if (step[row] < first || step[row] > last) continue;
      if (!chosen.every(([codes, code]) => codes[row] === code)) continue;
      if (wanted && !haystack[row].includes(wanted) && !prompts[prompt.codes[row]]) continue;
      found.push(row);
    }
    return form.elements.order.value ? found.reverse() : found;
  }

  function show() {
    matches = filtered();
    count.textContent = `${matches.length.toLocaleString("en")} of ${haystack.length.toLocaleString("en")} rollouts`;
    rows.style.height = `${matches.length * ROW_PX}px`;
    list.scrollTop = 0;
    draw();
  }

  function draw() {
    const first = Math.max(0, Math.floor(list.scrollTop / ROW_PX) - SPARE_ROWS);
    const last = Math.min(matches.length, Math.ceil((list.scrollTop + list.clientHeight) / ROW_PX) + SPARE_ROWS);
    rows.replaceChildren(...Array.from({ length: last - first }, (_, i) => rowOf(first + i)));
  }

  function rowOf(place) {
    const row = matches[place];
    const element = make("button", at("story", row) === Story.current() ? "row marked" : "row");
    element.type = "button";
    element.style.top = `${place * ROW_PX}px`;
    element.dataset.story = at("story", row);
    element.append(
      make("span", "", at("id", row)),
      make("span", "", `${at("phase", row) === "self_play" ? "" : "seed "}${at("step", row)}`),
      make("span", `badge ${at("status", row)}`, at("status", row)),
      make("span", "number", figure(at("reward", row))),
      make("span", "number", figure(at("advantage", row))),
      make("span", "text", at("text", row).slice(0, 160)),
    );
    return element;
  }

  async function start() {
    table = await unpack(document.getElementById("rollouts-data"));
    const { id, text } = table.rollouts;
    haystack = id.map((name, row) => `${name}\n${text[row]}`.toLowerCase());
    fillSelects();
    form.addEventListener("input", show);
    form.addEventListener("reset", () => setTimeout(show)); // after the fields are empty
    form.addEventListener("submit", (event) => event.preventDefault());
    list.addEventListener("scroll", () => requestAnimationFrame(draw));
    rows.addEventListener("click", (event) => {
      const row = event.target.closest(".row");
      if (row) Story.open(row.dataset.story);
    });
    window.addEventListener("hashchange", draw);
    Story.start(table);
    show();
  }

  window.addEventListener("DOMContentLoaded", () =>
    start().catch((error) => (count.textContent = `The rollouts cannot be unpacked: ${error.message}; use a newer browser.`)),
  );
  return { make, at, figure };
})();
