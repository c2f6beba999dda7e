/* Everything that is drawn, computed once for a slice and a score: all sections read it, none computes it again. */

/** Remembers the numbers of slices and their certainty, as going back to a slice should cost nothing. */
class Memory {
  constructor(board) {
    this.board = board;
    this.kept = new Map();
  }

  /** What `make` gives for this key, made once; the oldest are forgotten. */
  of(key, make) {
    if (!this.kept.has(key)) {
      if (this.kept.size > 60) this.kept.delete(this.kept.keys().next().value);
      this.kept.set(key, make());
    }
    return this.kept.get(key);
  }

  numbers(tasks) {
    return this.of(`n${tasks}`, () => sliceNumbers(this.board, tasks));
  }

  certainty(score, tasks) {
    return this.of(`c${score}:${tasks}`, () => certainty(this.board, score, tasks));
  }

  best(score, tasks) {
    return this.of(`b${score}:${tasks}`, () => bestOf(this.board, score, tasks, this.numbers(tasks)));
  }

  influence(score, tasks) {
    return this.of(`i${score}:${tasks}`, () => influenceOf(this.board, score, tasks, this.numbers(tasks).pool));
  }
}

/**
 * The view of a state.
 * @returns {object} tasks [T], numbers (see sliceNumbers), values [M] of the score, low, high, apart, places, letters, order, shown, focus
 */
function makeView(board, state, memory) {
  const tasks = tasksOf(board, state.slice);
  const numbersNow = memory.numbers(tasks);
  const sure = memory.certainty(state.score, tasks);
  const values = numbersNow.n[state.score];
  const order = memory.of(`o${state.score}:${tasks}`, () => orderBy(board, values));
  const scored = order.filter((i) => !Number.isNaN(values[i]));
  const measured = Uint8Array.from(values, (_, i) => (Number.isNaN(sure.low[i]) ? 0 : 1));
  const ranked = scored.filter((i) => numbersNow.pool[i]);
  const [best, worst] = placeRanges(
    sure.apart,
    numbersNow.pool.map((there, i) => there & measured[i]),
  );
  const view = {
    board,
    state,
    memory,
    tasks,
    numbers: numbersNow,
    values,
    other: numbersNow.n[1 - state.score],
    label: cut(shown(board.scores[state.score].label)),
    words: sliceWords(state.slice),
    units: sure.units,
    low: sure.low,
    high: sure.high,
    apart: sure.apart,
    order,
    ranked,
    place: placesBy(values, numbersNow.pool),
    bestPlace: best,
    worstPlace: worst,
    letters: memory.of(`l${state.score}:${tasks}`, () =>
      lettersOf(
        sure.apart,
        scored.filter((i) => measured[i]),
        board.models.length,
        board.statistics.lettered,
      ),
    ),
    disagreement: disagreementOf(values, numbersNow.rank[state.score], numbersNow.full, board.statistics),
  };
  view.passing = order.filter((i) => (!board.shown || board.shown.has(i)) && passes(board.models[i], state));
  view.focus = focusOf(view, board.statistics.most.best, board.statistics.most.own);
  return view;
}

/** Models for a picture: the best that pass the filters and the best own ones, in order. */
function focusOf(view, most, own) {
  const scored = view.passing.filter((i) => !Number.isNaN(view.values[i]));
  // A model with few of the tasks may look best by luck, so those with all come first.
  const whole = scored.filter((i) => view.numbers.pool[i]).slice(0, most);
  const mine = scored.filter((i) => view.board.models[i].own).slice(0, own);
  const chosen = new Set([...whole, ...mine]);
  for (const i of scored) if (chosen.size < Math.min(most, 3)) chosen.add(i);
  return scored.filter((i) => chosen.has(i));
}

/** The best model of some tasks, its interval and who cannot be told apart from it; null where nobody has a score. */
function bestOf(board, score, tasks, found) {
  const [m, r] = [board.models.length, board.tasks.length];
  const values = found.n[score];
  const ranked = orderBy(board, values).filter((i) => found.pool[i] && !Number.isNaN(values[i]));
  if (!ranked.length) return null;
  const units = unitsOf(board, tasks);
  const answer = { model: ranked[0], value: values[ranked[0]], low: NaN, high: NaN, close: null, ranked, units };
  if (!units.kind) return answer;
  const resampler = new Resampler(board.logs[score], tasks, m, r, units, board.statistics);
  [answer.low, answer.high] = resampler.interval(ranked[0]);
  if (Number.isNaN(answer.low)) return answer;
  answer.close = ranked.slice(1).filter((j) => resampler.sign(ranked[0], j) <= 0);
  return answer;
}

/** Names for axes of pictures: shown labels, with the source where two are equal, and a number where that is not enough; cut to 60 signs. */
function distinctNames(board, chosen) {
  const plain = chosen.map((i) => cut(shown(board.models[i].label)));
  const often = new Map();
  for (const name of plain) often.set(name, (often.get(name) || 0) + 1);
  const seen = new Map();
  return plain.map((name, k) => {
    const full = often.get(name) > 1 ? `${name} [${cut(shown(board.models[chosen[k]].source), 20)}]` : name;
    seen.set(full, (seen.get(full) || 0) + 1);
    return seen.get(full) === 1 ? full : `${full} #${seen.get(full)}`;
  });
}

/** The families in words, "19 dataset families": those in which one of these models has a ratio. */
function unitWords(view, models) {
  const { board, tasks, state } = view;
  const r = board.tasks.length;
  const there = tasks.filter((j) => models.some((i) => !Number.isNaN(board.logs[state.score][i * r + j])));
  return plural(new Set(there.map((j) => board.tasks[j].family)).size, "dataset family", "dataset families");
}

/** Tasks of the slice that some model has done. */
function tasksDone({ board, tasks }) {
  const r = board.tasks.length;
  return tasks.filter((j) => board.models.some((_, i) => board.status[i * r + j] === OK));
}

/** Whether all models that have results have them on the same tasks of the slice. */
function alike(view) {
  const { board } = view;
  const r = board.tasks.length;
  const done = tasksDone(view);
  const some = board.models.map((_, i) => i).filter((i) => view.numbers.counts[i].done);
  return some.length > 0 && some.every((i) => done.every((j) => board.status[i * r + j] === OK));
}
