/* Numbers, dates and names as people read them. */

const NONE = "–";
const HIDDEN = /[\u0000-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]/u;
const HIDDEN_ALL = new RegExp(HIDDEN.source, "gu");

/** Text as shown: what cannot be seen or turns the direction is written out as [U+202E], a line end as a space. */
function shown(value) {
  const plain = value === null || value === undefined ? "" : String(value);
  if (!HIDDEN.test(plain)) return plain;
  return plain.replace(HIDDEN_ALL, (sign) =>
    sign === "\n" || sign === "\t" ? " " : `[U+${sign.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}]`,
  );
}

/** Three significant digits: 0.610, 12.8, 1,240; – for none, ∞ for infinity. */
function digits(value, count = 3) {
  if (value === null || value === undefined || Number.isNaN(value)) return NONE;
  if (!Number.isFinite(value)) return value > 0 ? "∞" : "−∞";
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 1e7 || size < 1e-5)
    return value
      .toExponential(count - 1)
      .replace("e+", "e")
      .replace("-", "−");
  const places = Math.max(0, count - 1 - Math.floor(Math.log10(size) + 1e-12));
  const plain = value.toFixed(places); // toLocaleString is twenty times slower
  const parted = size >= 1000 ? plain.replace(/\B(?=(\d{3})+(?!\d))/g, ",") : plain;
  return value < 0 ? parted.replace("-", "−") : parted;
}

/** Digits after the point as asked: 12.8. */
function fixed(value, places) {
  if (value === null || value === undefined || Number.isNaN(value)) return NONE;
  return Number.isFinite(value) ? value.toFixed(places).replace("-", "−") : "∞";
}

/** A count as it is. */
const whole = (value) => (Number.isFinite(value) ? value.toLocaleString("en-US") : NONE);

/** A share as 61.2 %. */
const percent = (share, places = 1) => (Number.isFinite(share) ? `${fixed(100 * share, places)} %` : NONE);

/** A share of forecasts that are not the model's own: 12.5 %, < 0.1 %. */
const fallbackText = (share) => (share > 0 && share < 0.0005 ? "< 0.1 %" : percent(share));

/** Seconds as people say them: 0.0063 s, 12.8 s, 4.2 min, 3.1 h. */
function seconds(value) {
  if (!Number.isFinite(value)) return NONE;
  if (value < 120) return `${digits(value, 2)} s`;
  return value < 7200 ? `${digits(value / 60, 2)} min` : `${digits(value / 3600, 2)} h`;
}

/** Megabytes: 812 MB, 3.4 GB. */
const megabytes = (value) => (Number.isFinite(value) ? (value < 1000 ? `${Math.round(value)} MB` : `${digits(value / 1024, 2)} GB`) : NONE);

/** A count of parameters: 8.4 M, 1.2 B. */
function parameters(count) {
  if (!Number.isFinite(count)) return NONE;
  for (const [size, unit] of [
    [1e9, "B"],
    [1e6, "M"],
    [1e3, "k"],
  ])
    if (count >= size) return `${digits(count / size, 2)} ${unit}`;
  return String(count);
}

/** p as 0.032, or < 0.001. */
const pValue = (p) => (Number.isNaN(p) ? NONE : p < 0.001 ? "< 0.001" : p.toFixed(3));

/** The day of an ISO time, "" when it is none. */
const day = (iso) => (/^\d{4}-\d\d-\d\d/.test(iso) ? iso.slice(0, 10) : "");

/** 1 task, 2 tasks. */
const plural = (count, one, many = `${one}s`) => `${count.toLocaleString("en-US")} ${count === 1 ? one : many}`;

/** What the geometric mean of a score over the baseline's is called: nMASE, n(mean MASE). */
const relative = (label) => `n${label.includes(" ") ? `(${label})` : label}`;

/** a, b and c. */
function listed(names) {
  return names.length < 2 ? names.join("") : `${names.slice(0, -1).join(", ")} and ${names[names.length - 1]}`;
}

/** Text cut in the middle of a sentence or a picture, which cannot cut it themselves. */
const cut = (value, most = 60) => (value.length > most ? `${[...value.slice(0, most)].join("")}…` : value);

/** "0.55 to 0.68", or "" without an interval. */
const between = (low, high) => (Number.isFinite(low) && Number.isFinite(high) ? `${digits(low)} to\u00a0${digits(high)}` : "");

/** A field of CSV that no spreadsheet runs. */
function csvField(value) {
  const plain = /^[=+\-@\t\r]/.test(value) && !/^[-+]?[\d.]+(e[-+]?\d+)?$/i.test(value) ? `'${value}` : value;
  return /[",\r\n]/.test(plain) ? `"${plain.replaceAll('"', '""')}"` : plain;
}

/** Rows of text as CSV. */
const toCsv = (rows) => rows.map((row) => row.map(csvField).join(",")).join("\r\n") + "\r\n";

/** Rows of text as a Markdown table; the first is the head. */
function toMarkdown(rows) {
  const safe = (value) => value.replace(/[\\|`*_<>[\]]/g, "\\$&").replace(/\s+/g, " ");
  const line = (row) => `| ${row.map(safe).join(" | ")} |`;
  return [line(rows[0]), `|${rows[0].map(() => "---").join("|")}|`, ...rows.slice(1).map(line)].join("\n") + "\n";
}
