/* Live mode: `harness serve` is asked for its version every two seconds; a new one is fetched and drawn in place. */

const EVERY_MS = 2000;

/** Begin to ask. `replace(raw)` takes a new payload. */
function watchServer(replace) {
  const note = byId("live");
  let version = null;
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
        const first = version === null;
        if (!first) replace(await get("/data.json"));
        version = found;
        updated = clock();
        if (!first) say(`Updated at ${updated}.`);
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
