// The page around the verifier: files and a policy in, verdicts in words out. All text
// from files goes into the page as text, never as markup.

const byId = (id) => document.getElementById(id);
const trust = { policy: null, keys: null, keysText: "" };
let reports = []; // of all files so far: the report, size and SHA-256 of each

const WORDS = {
  holds: ["✓", "holds", "good"], false: ["✕", "is false", "bad"], unchecked: ["?", "not checked", "warn"], not_applicable: ["–", "does not apply", "muted"],
};
const QUESTIONS = {
  signature: "Signature of the statement", key: "Key enrolled, and valid there", calibration: "Device calibrated", time: "Quality of its clock",
  inclusion: "In the ledger", quorum: "Signed by enough oracles", chain: "Block follows the chain", disclosure: "Value disclosed is the one signed",
  rerun: "Rules give the same again", release: "Firmware’s release",
};

function element(tag, attributes, ...children) {
  const e = document.createElement(tag);
  for (const [k, v] of Object.entries(attributes || {})) e.setAttribute(k, v);
  e.append(...children);
  return e;
}

const say = (text, tone = "") => { byId("said").textContent = text; byId("said").className = `said ${tone}`; };
const count = (r, answer) => r.verdicts.filter((v) => v.verdict === answer).length;
const plural = (n, one, many) => `${n} ${n === 1 ? one : many}`;
const digestOf = (b) => Wattmark.hex(Wattmark.sha256(b));
const textOf = (b) => new TextDecoder("utf-8", { fatal: true }).decode(b);

// ---- Whom to trust ----

// remember keeps policy and keys on this device, where the browser lets a page keep things.
function remember() {
  try {
    for (const [k, v] of [["wattmark-policy", trust.policy && trust.policy.text], ["wattmark-keys", trust.keysText]]) {
      if (v) localStorage.setItem(k, v); else localStorage.removeItem(k);
    }
    return true;
  } catch {
    return false;
  }
}

function useTrust(name, text) {
  try {
    if (text.trim().startsWith("{")) {
      trust.keys = Wattmark.parseKeys(text);
      trust.keysText = text;
    } else {
      trust.policy = Wattmark.parsePolicy(text);
    }
  } catch (e) {
    if (!(e instanceof Wattmark.Fault)) throw e;
    say(`${name}: ${e.message}. Choose a C2SP tlog-policy or a JWK set; what was in use before is kept.`, "bad");
    return false;
  }
  say(`${name} is in use${remember() ? ", and remembered on this device" : ""}.`, "good");
  showTrust();
  return true;
}

function showTrust() {
  const p = trust.policy, state = byId("policy-state");
  state.textContent = p
    ? `✓ Ledger ${p.origin}: ${plural(p.logs.length, "log", "logs")}, ${plural(p.witnesses.length, "cosigner", "cosigners")}, quorum “${p.quorum}”${trust.keys ? `; ${plural(trust.keys.size, "key", "keys")} of your own` : ""}`
    : `? No policy yet: who signed for the ledger is not checked${trust.keys ? `; ${plural(trust.keys.size, "key", "keys")} of your own` : ""}`;
  state.className = `state ${p ? "good" : "warn"}`;
  byId("forget").hidden = !p && !trust.keys;
}

// ---- Checking ----

// take checks files one by one. Policies and keys among them are named, and used where
// there are none: a policy that comes with the files is worth no more than they are.
async function take(list) {
  if (list.length === 0) return;
  const started = performance.now(), files = [], problems = [];
  for (const f of list) {
    try {
      if (f.size > MAX_UNPACKED) throw new Error(`it has ${f.size} bytes, over the limit of ${MAX_UNPACKED}`);
      const bytes = f.bytes instanceof Uint8Array ? f.bytes : new Uint8Array(await f.arrayBuffer()), name = f.webkitRelativePath || f.name;
      const inside = await unpack(name, bytes);
      if (inside) files.push(...inside.map((x) => ({ name: `${name}/${x.name}`, bytes: x.bytes }))); else files.push({ name, bytes });
    } catch (e) {
      problems.push(`${f.name}: ${e.message}`);
    }
  }
  const offered = [];
  let shown = performance.now();
  for (const [i, f] of files.entries()) {
    const base = f.name.split("/").pop();
    if (base === "policy" || base.endsWith(".policy") || base.endsWith(".jwks")) { offered.push(base); continue; }
    if (files.length > 1 && !/\.(cose|tlog-proof|evidence)$/.test(base)) { problems.push(`${f.name}: passed over, as it is no .cose, .tlog-proof or .evidence`); continue; }
    const r = await Wattmark.verify(f.name, f.bytes, trust);
    reports.push({ report: r, bytes: f.bytes, digest: digestOf(f.bytes), at: new Date() });
    if (performance.now() - shown > 1000) { // say how far it is, and let the page breathe
      say(`${i + 1} of ${files.length} files checked`);
      await new Promise((done) => setTimeout(done));
      shown = performance.now();
    }
  }
  if (offered.length > 0) problems.push(`${offered.join(", ")} came with the files and was not used: whom you trust you choose above`);
  show();
  const n = files.length - offered.length;
  say([`${plural(n, "file", "files")} in ${((performance.now() - started) / 1000).toFixed(1)} s.`, ...problems.slice(0, 5), problems.length > 5 ? `And ${problems.length - 5} more.` : ""].join(" "), problems.length ? "warn" : "");
  if (reports.length > 0) byId("summary").focus();
}

// again asks of every file once more, as after another policy.
async function again() {
  for (const x of reports) Object.assign(x, { report: await Wattmark.verify(x.report.file, x.bytes, trust), at: new Date() });
  show();
}

const stateOf = (r) => (count(r, "false") ? ["✕", "false", "bad", 2] : count(r, "unchecked") ? ["?", "not all checked", "warn", 1] : ["✓", "holds", "good", 0]);

function show() {
  const sorted = [...reports].sort((a, b) => stateOf(b.report)[3] - stateOf(a.report)[3]);
  const total = (answer) => reports.reduce((n, x) => n + count(x.report, answer), 0);
  byId("results").hidden = reports.length === 0;
  byId("cross").hidden = reports.length === 0;
  byId("summary").textContent = `${plural(reports.length, "file", "files")}: ${total("holds")} hold, ${total("unchecked")} not checked, ${total("false")} false, ${total("not_applicable")} do not apply`;
  byId("with").textContent = `${trust.policy ? `Policy for ${trust.policy.origin}, SHA-256 ${digestOf(new TextEncoder().encode(trust.policy.text))}` : "Without a policy"}${trust.keys ? `; keys SHA-256 ${digestOf(new TextEncoder().encode(trust.keysText))}` : ""}; verifier version ${Wattmark.VERSION}.`;
  byId("table").hidden = reports.length < 2;
  const rows = [], cards = [];
  sorted.forEach((x, i) => {
    const r = x.report, [sign, word, tone] = stateOf(r);
    rows.push(element("tr", {}, element("th", { scope: "row" }, element("a", { href: `#file-${i}` }, r.file)), element("td", { class: tone }, `${sign} ${word}`),
      ...["holds", "unchecked", "false"].map((a) => element("td", { class: "wide" }, String(count(r, a))))));
    if (i < 200) cards.push(card(x, i, sorted.length));
  });
  byId("table").tBodies[0].replaceChildren(...rows);
  byId("reports").replaceChildren(...cards, ...(sorted.length > 200 ? [element("p", { class: "note" }, `${sorted.length - 200} more files are in the table, CSV and JSON.`)] : []));
}

function card(x, i, of) {
  const r = x.report, [sign, word, tone] = stateOf(r);
  // A file that does not read is told of once, not nine times.
  const alike = (v) => v.verdict === "unchecked" && r.verdicts.filter((o) => o.verdict === v.verdict && o.detail === v.detail).length > 5;
  const rest = r.verdicts.find(alike);
  const lines = r.verdicts.filter((v) => !alike(v)).map((v) => [QUESTIONS[v.check], v]);
  if (rest) lines.push([lines.length ? "All else" : "Everything", rest]);
  const list = element("ul", { class: "verdicts" }, ...lines.map(([what, v]) => {
    const [s, w, t] = WORDS[v.verdict];
    return element("li", {}, element("span", { class: t, "aria-hidden": "true" }, s),
      element("p", {}, element("span", { class: "what" }, what), " ", element("span", { class: `word ${t}` }, w)),
      element("p", { class: "note" }, v.detail));
  }));
  const raw = element("details", {}, element("summary", {}, "Raw values"),
    element("pre", {}, JSON.stringify(r, null, 2)),
    element("p", { class: "note" }, `SHA-256 ${x.digest}, ${x.bytes.length} bytes`),
    element("pre", {}, `${Wattmark.hex(x.bytes.subarray(0, 512)).replace(/(..)/g, "$1 ")}${x.bytes.length > 512 ? "…" : ""}`));
  const damaged = { truncated: "The file ends too early: it was cut off on its way. Get it again.", version: "The file is of a later version than this page knows: get a newer verifier.", form: "The file does not read: its bytes were changed, or it is something else." }[r.fault];
  return element("article", { class: "card", id: `file-${i}`, "aria-label": r.file },
    element("h3", {}, element("span", { class: tone }, `${sign} `), r.file),
    element("p", { class: "note" }, `${r.kind}${r.subject ? `: ${r.subject}` : ""}${r.crossed ? "; cross-checked" : ""}`),
    ...(damaged ? [element("p", { class: "bad" }, damaged)] : []),
    element("p", { class: tone }, `${count(r, "holds")} hold, ${count(r, "unchecked")} not checked, ${count(r, "false")} false, ${count(r, "not_applicable")} do not apply`),
    ...(of > 5 ? [element("details", {}, element("summary", {}, `Verdicts: ${word}`), list)] : [list]), ...(r.tree ? [element("details", {}, element("summary", {}, "What it rests on, down to the readings"), element("ul", { class: "tree" }, tree(r.tree)))] : []), raw);
}

// tree is what a claim rests on, each thing with the leaf it stands at.
function tree(n) {
  const facts = [n.leaf === undefined ? "" : `leaf ${n.leaf}`, n.signer && `signed by ${n.signer}`, n.quality, n.uncertainty && `uncertain by ${n.uncertainty}`].filter((s) => s);
  const say = [n.what, ...(facts.length ? [" ", element("span", { class: "muted" }, facts.join(", "))] : [])];
  return element("li", {}, ...say, ...(n.rests_on ? [element("ul", { class: "tree" }, ...n.rests_on.map(tree))] : []));
}

// ---- Reports ----

function save(name, type, text) {
  const url = URL.createObjectURL(new Blob([text], { type }));
  element("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60000);
}

const policyDigest = () => (trust.policy ? digestOf(new TextEncoder().encode(trust.policy.text)) : "");

// asJSON is what was checked, with what, and what each question came to.
const asJSON = () => JSON.stringify({
  kind: "wattmark-verification", verifier: Wattmark.VERSION, ledger: trust.policy ? trust.policy.origin : "", policy_sha256: policyDigest(),
  keys_sha256: trust.keys ? digestOf(new TextEncoder().encode(trust.keysText)) : "",
  files: reports.map((x) => ({ ...JSON.parse(JSON.stringify(x.report)), sha256: x.digest, bytes: x.bytes.length, checked: x.at.toISOString() })),
}, null, 2) + "\n";

// asCSV has a line a verdict (RFC 4180); text that a spreadsheet would run is escaped.
function asCSV() {
  const cell = (s) => `"${(/^[=+\-@\t\r]/.test(s) ? "'" : "") + String(s).replace(/"/g, '""')}"`;
  const lines = [["file", "sha256", "bytes", "kind", "subject", "check", "verdict", "detail", "policy_sha256", "verifier", "checked"]];
  for (const x of reports) {
    const r = x.report;
    for (const v of r.verdicts) lines.push([r.file, x.digest, x.bytes.length, r.kind, r.subject || "", v.check, v.verdict, v.detail, policyDigest(), Wattmark.VERSION, x.at.toISOString()]);
  }
  return lines.map((l) => l.map(cell).join(",") + "\r\n").join("");
}

// ---- What people do ----

// dropped lists the files of a drop, folders with what is in them.
async function dropped(transfer) {
  const entries = [...transfer.items].map((i) => i.webkitGetAsEntry && i.webkitGetAsEntry()).filter((e) => e);
  if (entries.every((e) => e.isFile)) return [...transfer.files];
  const out = [];
  const walk = async (e) => {
    if (out.length >= MAX_FILES) return;
    if (e.isFile) {
      const f = await new Promise((ok, no) => e.file(ok, no));
      out.push({ name: e.fullPath.slice(1), size: f.size, arrayBuffer: () => f.arrayBuffer() });
      return;
    }
    const reader = e.createReader();
    for (let some; (some = await new Promise((ok, no) => reader.readEntries(ok, no))).length > 0; ) for (const x of some) await walk(x);
  };
  for (const e of entries) await walk(e);
  return out;
}

// pasted reads a proof as it is, or any file in base64.
function pasted(text) {
  const s = text.trim().replace(/\s+/g, "").replace(/-/g, "+").replace(/_/g, "/");
  if (text.trimStart().startsWith("c2sp.org/tlog-proof@")) return { name: "pasted.tlog-proof", bytes: new TextEncoder().encode(text.trimStart().replace(/\r\n/g, "\n").replace(/\n*$/, "\n")), size: 0 };
  try {
    return { name: "pasted", bytes: Uint8Array.from(atob(s), (c) => c.charCodeAt(0)), size: 0 };
  } catch {
    say("What was pasted is neither a tlog-proof nor base64. Paste all of it, or choose the file.", "bad");
    return null;
  }
}

// fromLink takes a file out of the address: #NAME:BASE64URL. A fragment is never sent.
function fromLink() {
  const m = /^#([A-Za-z0-9._-]{1,100}):([A-Za-z0-9_-]+)$/.exec(location.hash);
  const f = m && pasted(m[2]);
  if (f) take([{ ...f, name: m[1] }]);
}

function start() {
  byId("tools").hidden = false;
  if (byId("cross-here")) byId("cross-here").hidden = location.protocol === "file:";
  try {
    for (const kept of ["wattmark-policy", "wattmark-keys"].map((k) => localStorage.getItem(k))) if (kept) useTrust("What you chose here before", kept);
  } catch {
    // A browser that keeps nothing for this page.
  }
  showTrust();
  const chosen = async (input, use) => { const list = [...input.files]; await use(list); input.value = ""; };
  byId("files").addEventListener("change", (e) => chosen(e.target, take));
  byId("folder").addEventListener("change", (e) => chosen(e.target, take));
  for (const id of ["policy-file", "keys-file"]) {
    byId(id).addEventListener("change", (e) => chosen(e.target, async ([f]) => {
      if (!f) return;
      let text;
      try {
        text = textOf(new Uint8Array(await f.arrayBuffer()));
      } catch {
        return say(`${f.name} is no text. Choose a C2SP tlog-policy or a JWK set.`, "bad");
      }
      if (useTrust(f.name, text)) await again();
    }));
  }
  byId("policy-use").addEventListener("click", async () => { if (useTrust("What you pasted", byId("policy-text").value)) await again(); });
  byId("forget").addEventListener("click", async () => { Object.assign(trust, { policy: null, keys: null, keysText: "" }); remember(); showTrust(); await again(); say("Policy and keys are forgotten on this device."); });
  byId("file-use").addEventListener("click", () => { const f = pasted(byId("file-text").value); if (f) take([f]); });
  byId("print").addEventListener("click", () => { for (const d of document.querySelectorAll("article > details:first-of-type")) d.open = reports.length > 5; print(); });
  byId("csv").addEventListener("click", () => save("verification.csv", "text/csv", asCSV()));
  byId("json").addEventListener("click", () => save("verification.json", "application/json", asJSON()));
  byId("clear").addEventListener("click", () => { reports = []; show(); say(""); });
  addEventListener("dragover", (e) => { e.preventDefault(); byId("drop").classList.add("over"); });
  addEventListener("dragleave", () => byId("drop").classList.remove("over"));
  addEventListener("drop", async (e) => { e.preventDefault(); byId("drop").classList.remove("over"); await take(await dropped(e.dataTransfer)); });
  addEventListener("hashchange", fromLink);
  fromLink();
}

start();
