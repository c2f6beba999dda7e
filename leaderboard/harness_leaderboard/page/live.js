/* Live mode: `harness serve` is asked for its version every two seconds; a new one is fetched and drawn in place. */

const EVERY_MS = 2000;

/** A payload as text, without when and how it was made: equal where nothing has changed. */
const withoutTime = (raw) => JSON.stringify({ ...raw, made: null });

/** Begin to ask. `raw` is the payload that the page came with; `replace(raw)` takes a new one. */
function watchServer(raw, replace) {
  const note = byId("live");
  let version = null;
  let held = withoutTime(raw);
  let updated = "";
  const clock = () => new Date().toTimeString().slice(0, 8);
  const get = async (path) => {
    const answer = await fetch(path, { cache: "no-store" });
    if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
    return answer.json();
  };
  const ask = async () => {
    try {
      const found = String((await get("/version")).version);
      if (version === null || found !== version) {
        // Also at first: the database may have changed between the page and its first question.
        const fresh = await get("/data.json");
        version = found;
        updated = clock();
        if (withoutTime(fresh) !== held) {
          held = withoutTime(fresh);
          replace(fresh);
          say(`Updated at ${updated}.`);
        }
      }
      note.textContent = `live · updated ${updated}`;
      note.classList.remove("gone");
    } catch {
      note.textContent = `the server does not answer; what you see is from ${updated || "its start"}`;
      note.classList.add("gone");
    }
    setTimeout(ask, EVERY_MS);
  };
  note.hidden = false;
  ask();
}
