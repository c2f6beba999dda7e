/* What the suite's own dialect says of all models of a task together; tasks of which the same is said stand together. */

/** [{plain, members}] of the sentences on the slice's tasks, that of most tasks first. */
function verdictGroups(board, tasks) {
  const inside = new Set(tasks);
  const groups = new Map();
  for (const said of board.verdicts) {
    if (said.task !== null && !inside.has(said.task)) continue;
    if (!groups.has(said.plain)) groups.set(said.plain, []);
    groups.get(said.plain).push(said);
  }
  return [...groups].map(([plain, members]) => ({ plain, members })).sort((a, b) => b.members.length - a.members.length);
}

/** A sentence with the task that it is on. */
function verdictLine(view, said) {
  const task = said.task === null ? null : view.board.tasks[said.task];
  return task ? [linkButton(nameOf(task.name), () => openPanel("task", taskKey(task))), ": ", shown(said.text)] : shown(said.text);
}

/** The section. */
function drawVerdicts(view, body) {
  const groups = verdictGroups(view.board, view.tasks);
  if (!groups.length) return fill(body, EMPTY("Nothing is said of the tasks of this slice."));
  const items = groups.map(({ plain, members }) =>
    members.length === 1
      ? h("li", {}, verdictLine(view, members[0]))
      : h(
          "li",
          {},
          h("strong", {}, plural(members.length, "task")),
          `: ${shown(plain)}`,
          h(
            "details",
            {},
            h("summary", {}, "Each with its numbers"),
            h(
              "ul",
              {},
              members.map((said) => h("li", {}, verdictLine(view, said))),
            ),
          ),
        ),
  );
  return fill(body, h("ul", { class: "verdicts" }, items));
}
