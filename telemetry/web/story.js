// One task's story: references → proposal → verdict → attempts → reward → advantage. Opened by a click or by #story=ID.
"use strict";
const Story = (() => {
  const { make, at, figure } = Rollouts;
  const place = document.getElementById("story");
  const MARK = "#story=";
  let rowsOf, tasksOf, tasks, lostOf, lost;

  function start(table) {
    tasks = table.tasks;
    tasksOf = grouped(tasks.task_id);
    lost = table.untold;
    lostOf = grouped(lost.story);
    const { values, codes } = table.rollouts.story;
    rowsOf = grouped(codes.map((code) => values[code]));
    window.addEventListener("hashchange", read);
    read();
  }

  function grouped(names) {
    const rows = new Map();
    names.forEach((name, row) => (rows.has(name) ? rows.get(name).push(row) : rows.set(name, [row])));
    return rows;
  }

  const current = () => (location.hash.startsWith(MARK) ? decodeURIComponent(location.hash.slice(MARK.length)) : null);
  const read = () => current() !== null && tell(current());

  // The address tells it, so that it can be linked and the browser can go back.
  const open = (id) => (location.hash = MARK + encodeURIComponent(id));

  function tell(id) {
    const rows = rowsOf.get(id) ?? [];
    const proposals = rows.filter((row) => at("role", row) === "propose");
    const attempts = rows.filter((row) => at("role", row) === "solve");
    place.replaceChildren(
      make("h3", "", id),
      ...(rows.length ? [] : [make("p", "lead", "This task is not among the rollouts of this report.")]),
      ...proposals.flatMap(proposal),
      ...task(id),
      ...byStep(attempts),
      ...untold(id),
    );
    place.scrollTop = 0;
  }

  function proposal(row) {
    const references = at("references", row).split(" ").filter(Boolean);
    const chips = make("p", "chips");
    chips.append(...references.map(reference));
    return [
      make("h4", "", "References"),
      references.length ? chips : make("p", "lead", "None were shown, or the run does not say which."),
      make("h4", "", `Proposal · ${when(row)}`),
      prompt(row),
      make("pre", "", at("text", row)),
      verdict(row),
      facts({ "solve rate": figure(at("solve_rate", row)), ...earned(row) }),
    ];
  }

  function reference(id) {
    const chip = make(rowsOf.has(id) ? "button" : "span", "chip", id);
    const [known] = tasksOf.get(id) ?? [];
    if (known !== undefined) chip.title = tasks.program[known];
    chip.addEventListener("click", () => rowsOf.has(id) && open(id));
    return chip;
  }

  function task(id) {
    const rows = tasksOf.get(id) ?? [];
    if (!rows.length) return [];
    const first = rows[0];
    return [
      make("h4", "", `Task · ${tasks.kind[first]} · ${tasks.origin[first]}`),
      make("pre", "", tasks.program[first]),
      pairs(tasks.pairs[first]),
      facts({ difficulty: figure(tasks.difficulty[first]) }),
    ];
  }

  function pairs(text) {
    if (!text.endsWith("]")) return make("pre", "", text); // cut, being too long
    const element = make("table", "");
    for (const [input, output] of JSON.parse(text)) {
      const line = make("tr", "");
      line.append(make("td", "", input), make("td", "", "→"), make("td", "", output));
      element.append(line);
    }
    return element;
  }

  function byStep(attempts) {
    const steps = grouped(attempts.map((row) => at("step", row)));
    return [...steps].flatMap(([step, places]) => {
      const rows = places.map((number) => attempts[number]);
      const right = rows.filter((row) => at("status", row) === "right").length;
      return [make("h4", "", `Attempts · ${when(rows[0])} · ${right} of ${rows.length} right`), prompt(rows[0]), ...rows.map(attempt)];
    });
  }

  function attempt(row) {
    const element = make("div", "attempt");
    const more = { tokens: at("num_tokens", row), "mean logprob": figure(at("mean_logprob", row)) };
    element.append(make("pre", "", at("text", row)), verdict(row), facts({ ...earned(row), ...more }));
    return element;
  }

  // What was dropped before a batch was made of it: the ledger has its name and the reason, and nothing else is kept of it.
  function untold(id) {
    const rows = lostOf.get(id) ?? [];
    const reasons = grouped(rows.map((row) => lost.reason[row]));
    return [...reasons].flatMap(([reason, places]) => [
      make("h4", "", `Dropped · ${reason}`),
      make("p", "lead", places.map((place) => lost.id[rows[place]]).join(", ")),
    ]);
  }

  const when = (row) => `${at("phase", row) === "seeding" ? "seeding " : "step "}${at("step", row)} · version ${at("version", row)}`;

  function earned(row) {
    const untrained = at("trained", row) === false || at("reward", row) === null;
    const why = at("dropped", row) ? `not trained on: ${at("dropped", row)}` : "not trained on"; // older runs do not say why
    return { reward: figure(at("reward", row)), advantage: untrained ? `– (${why})` : figure(at("advantage", row)) };
  }

  function prompt(row) {
    const element = make("details", "");
    element.append(make("summary", "", "prompt"), make("pre", "", at("prompt", row)));
    return element;
  }

  function verdict(row) {
    const element = make("p", "");
    element.append(make("span", `badge ${at("status", row)}`, at("status", row)), ` ${at("reason", row) ?? ""}`);
    return element;
  }

  function facts(values) {
    const element = make("p", "facts");
    for (const [name, value] of Object.entries(values)) element.append(make("span", "", `${name} ${value}`));
    return element;
  }

  return { start, open, current };
})();
