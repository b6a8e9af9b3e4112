// The page around the verifier: files and a policy in, verdicts in words out. All text
// from files goes into the page as text, never as markup.

const byId = (id) => document.getElementById(id);
const trust = { policy: null, keys: null, keysText: "" };
let reports = []; // of all files so far: the report, size and SHA-256 of each

const WORDS = {
  holds: ["✓", tell`holds`, "good"], false: ["✕", tell`is false`, "bad"], unchecked: ["?", tell`not checked`, "warn"],
  not_applicable: ["–", tell`does not apply`, "muted"],
};
const QUESTIONS = {
  signature: tell`Signature of the statement`, key: tell`Key enrolled, and valid there`, calibration: tell`Device calibrated`, time: tell`Quality of its clock`,
  inclusion: tell`In the ledger`, quorum: tell`Signed by enough oracles`, chain: tell`Block follows the chain`, disclosure: tell`Value disclosed is the one signed`,
  rerun: tell`Rules give the same again`, release: tell`Firmware’s release`,
};
const KINDS = { evidence: tell`evidence`, "tlog-proof": tell`tlog-proof`, "transparent statement": tell`transparent statement`, unknown: tell`unknown` };

function element(tag, attributes, ...children) {
  const e = document.createElement(tag);
  for (const [k, v] of Object.entries(attributes || {})) e.setAttribute(k, v);
  e.append(...children);
  return e;
}

// say says what was done, and once more after another language.
let told = [[], ""];

function say(sentences, tone = "") {
  told = [sentences, tone];
  byId("said").textContent = sentences.map(spoken).join(" ");
  byId("said").className = `said ${tone}`;
}

const count = (r, answer) => r.verdicts.filter((v) => v.verdict === answer).length;
const files = (n) => (n === 1 ? tell`${n} file` : tell`${n} files`);
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
    say([tell`${name}: ${e.said}. Choose a C2SP tlog-policy or a JWK set; what was in use before is kept.`], "bad");
    return false;
  }
  say([remember() ? tell`${name} is in use, and remembered on this device.` : tell`${name} is in use.`], "good");
  showTrust();
  return true;
}

function showTrust() {
  const p = trust.policy, state = byId("policy-state"), said = [];
  if (p) {
    const logs = p.logs.length === 1 ? tell`${1} log` : tell`${p.logs.length} logs`;
    const cosigners = p.witnesses.length === 1 ? tell`${1} cosigner` : tell`${p.witnesses.length} cosigners`;
    said.push(tell`✓ Ledger ${p.origin}: ${logs}, ${cosigners}, quorum “${p.quorum}”`);
  } else {
    said.push(tell`? No policy yet: who signed for the ledger is not checked`);
  }
  if (trust.keys) said.push(trust.keys.size === 1 ? tell`${1} key of your own` : tell`${trust.keys.size} keys of your own`);
  state.textContent = spoken(said);
  state.className = `state ${p ? "good" : "warn"}`;
  byId("forget").hidden = !p && !trust.keys;
}

// ---- Checking ----

// take checks files one by one. Policies and keys among them are named, and used where
// there are none: a policy that comes with the files is worth no more than they are.
async function take(list) {
  if (list.length === 0) return;
  const started = performance.now(), found = [], problems = [];
  for (const f of list) {
    try {
      if (f.size > MAX_UNPACKED) throw new Fault(tell`it has ${f.size} bytes, over the limit of ${MAX_UNPACKED}`);
      const bytes = f.bytes instanceof Uint8Array ? f.bytes : new Uint8Array(await f.arrayBuffer()), name = f.webkitRelativePath || f.name;
      const inside = await unpack(name, bytes);
      if (inside) found.push(...inside.map((x) => ({ name: `${name}/${x.name}`, bytes: x.bytes }))); else found.push({ name, bytes });
    } catch (e) {
      problems.push(tell`${f.name}: ${e.said || e.message}`);
    }
  }
  const offered = [];
  let shown = performance.now();
  for (const [i, f] of found.entries()) {
    const base = f.name.split("/").pop();
    if (base === "policy" || base.endsWith(".policy") || base.endsWith(".jwks")) { offered.push(base); continue; }
    if (found.length > 1 && !/\.(cose|tlog-proof|evidence)$/.test(base)) { problems.push(tell`${f.name}: passed over, as it is no .cose, .tlog-proof or .evidence`); continue; }
    const r = await Wattmark.verify(f.name, f.bytes, trust);
    reports.push({ report: r, bytes: f.bytes, digest: digestOf(f.bytes), at: new Date() });
    if (performance.now() - shown > 1000) { // say how far it is, and let the page breathe
      say([tell`${i + 1} of ${found.length} files checked`]);
      await new Promise((done) => setTimeout(done));
      shown = performance.now();
    }
  }
  if (offered.length > 0) problems.push(tell`${offered.join(", ")} came with the files and was not used: whom you trust you choose above`);
  show();
  const seconds = new Tenths((performance.now() - started) / 1000);
  say([tell`${files(found.length - offered.length)} in ${seconds} s.`, ...problems.slice(0, 5), ...(problems.length > 5 ? [tell`And ${problems.length - 5} more.`] : [])], problems.length ? "warn" : "");
  if (reports.length > 0) byId("summary").focus();
}

// again asks of every file once more, as after another policy.
async function again() {
  for (const x of reports) Object.assign(x, { report: await Wattmark.verify(x.report.file, x.bytes, trust), at: new Date() });
  show();
}

const stateOf = (r) => (count(r, "false") ? ["✕", tell`false`, "bad", 2] : count(r, "unchecked") ? ["?", tell`not all checked`, "warn", 1] : ["✓", tell`holds`, "good", 0]);

// counted is how many questions came to what.
const counted = (total) => tell`${total("holds")} hold, ${total("unchecked")} not checked, ${total("false")} false, ${total("not_applicable")} do not apply`;

function show() {
  const sorted = [...reports].sort((a, b) => stateOf(b.report)[3] - stateOf(a.report)[3]);
  const total = (answer) => reports.reduce((n, x) => n + count(x.report, answer), 0);
  byId("results").hidden = reports.length === 0;
  byId("cross").hidden = reports.length === 0;
  byId("summary").textContent = t`${files(reports.length)}: ${counted(total)}`;
  byId("with").textContent = spoken([
    trust.policy ? tell`Policy for ${trust.policy.origin}, SHA-256 ${policyDigest()}` : tell`Without a policy`,
    ...(trust.keys ? [tell`keys SHA-256 ${digestOf(new TextEncoder().encode(trust.keysText))}`] : []), tell`verifier version ${Wattmark.VERSION}.`]);
  byId("table").hidden = reports.length < 2;
  const rows = [], cards = [];
  sorted.forEach((x, i) => {
    const r = x.report, [sign, word, tone] = stateOf(r);
    rows.push(element("tr", {}, element("th", { scope: "row" }, element("a", { href: `#file-${i}` }, r.file)), element("td", { class: tone }, `${sign} ${spoken(word)}`),
      ...["holds", "unchecked", "false"].map((a) => element("td", { class: "wide" }, String(count(r, a))))));
    if (i < 200) cards.push(card(x, i, sorted.length));
  });
  byId("table").tBodies[0].replaceChildren(...rows);
  byId("reports").replaceChildren(...cards, ...(sorted.length > 200 ? [element("p", { class: "note" }, t`${sorted.length - 200} more files are in the table, CSV and JSON.`)] : []));
}

function card(x, i, of) {
  const r = x.report, [sign, word, tone] = stateOf(r);
  // A file that does not read is told of once, not nine times.
  const alike = (v) => v.verdict === "unchecked" && r.verdicts.filter((o) => o.verdict === v.verdict && String(o.detail) === String(v.detail)).length > 5;
  const rest = r.verdicts.find(alike);
  const lines = r.verdicts.filter((v) => !alike(v)).map((v) => [QUESTIONS[v.check], v]);
  if (rest) lines.push([lines.length ? tell`All else` : tell`Everything`, rest]);
  const list = element("ul", { class: "verdicts" }, ...lines.map(([what, v]) => {
    const [s, w, tone] = WORDS[v.verdict];
    return element("li", {}, element("span", { class: tone, "aria-hidden": "true" }, s),
      element("p", {}, element("span", { class: "what" }, spoken(what)), " ", element("span", { class: `word ${tone}` }, spoken(w))),
      element("p", { class: "note", ...foreign(v.detail) }, spoken(v.detail)));
  }));
  const raw = element("details", {}, element("summary", {}, t`Raw values`),
    element("pre", {}, JSON.stringify(r, null, 2)),
    element("p", { class: "note" }, t`SHA-256 ${x.digest}, ${x.bytes.length} bytes`),
    element("pre", {}, `${Wattmark.hex(x.bytes.subarray(0, 512)).replace(/(..)/g, "$1 ")}${x.bytes.length > 512 ? "…" : ""}`));
  const damaged = {
    truncated: tell`The file ends too early: it was cut off on its way. Get it again.`,
    version: tell`The file is of a later version than this page knows: get a newer verifier.`,
    form: tell`The file does not read: its bytes were changed, or it is something else.`,
  }[r.fault];
  return element("article", { class: "card", id: `file-${i}`, "aria-label": r.file },
    element("h3", {}, element("span", { class: tone }, `${sign} `), r.file),
    element("p", { class: "note" }, spoken(KINDS[r.kind]), ...(r.subject ? [": ", element("span", foreign(r.subject), spoken(r.subject))] : []), ...(r.crossed ? [t`; cross-checked`] : [])),
    ...(damaged ? [element("p", { class: "bad" }, spoken(damaged))] : []),
    element("p", { class: tone }, spoken(counted((answer) => count(r, answer)))),
    ...(of > 5 ? [element("details", {}, element("summary", {}, t`Verdicts: ${word}`), list)] : [list]),
    ...(r.tree ? [element("details", {}, element("summary", {}, t`What it rests on, down to the readings`), element("ul", { class: "tree" }, tree(r.tree)))] : []), raw);
}

// tree is what a claim rests on, each thing with the leaf it stands at.
function tree(n) {
  const facts = [n.leaf !== undefined && t`leaf ${String(n.leaf)}`, n.signer && t`signed by ${n.signer}`, n.quality, n.uncertainty && t`uncertain by ${n.uncertainty}`].filter((s) => s);
  const what = heard(n.what);
  return element("li", {}, element("span", foreign(what), spoken(what)), ...(facts.length ? [" ", element("span", { class: "muted" }, facts.join(", "))] : []), ...(n.rests_on ? [element("ul", { class: "tree" }, ...n.rests_on.map(tree))] : []));
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
    say([tell`What was pasted is neither a tlog-proof nor base64. Paste all of it, or choose the file.`], "bad");
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
  byId("tools").hidden = byId("languages").hidden = false;
  redraw.push(showTrust, show, () => say(...told));
  useLanguage(preferred());
  if (byId("cross-here")) byId("cross-here").hidden = location.protocol === "file:";
  try {
    for (const kept of ["wattmark-policy", "wattmark-keys"].map((k) => localStorage.getItem(k))) if (kept) useTrust(tell`What you chose here before`, kept);
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
        return say([tell`${f.name} is no text. Choose a C2SP tlog-policy or a JWK set.`], "bad");
      }
      if (useTrust(f.name, text)) await again();
    }));
  }
  byId("policy-use").addEventListener("click", async () => { if (useTrust(tell`What you pasted`, byId("policy-text").value)) await again(); });
  byId("forget").addEventListener("click", async () => { Object.assign(trust, { policy: null, keys: null, keysText: "" }); remember(); showTrust(); await again(); say([tell`Policy and keys are forgotten on this device.`]); });
  byId("file-use").addEventListener("click", () => { const f = pasted(byId("file-text").value); if (f) take([f]); });
  byId("print").addEventListener("click", () => { for (const d of document.querySelectorAll("article > details:first-of-type")) d.open = reports.length > 5; print(); });
  byId("csv").addEventListener("click", () => save("verification.csv", "text/csv", asCSV()));
  byId("json").addEventListener("click", () => save("verification.json", "application/json", asJSON()));
  byId("clear").addEventListener("click", () => { reports = []; show(); say([]); });
  addEventListener("dragover", (e) => { e.preventDefault(); byId("drop").classList.add("over"); });
  addEventListener("dragleave", () => byId("drop").classList.remove("over"));
  addEventListener("drop", async (e) => { e.preventDefault(); byId("drop").classList.remove("over"); await take(await dropped(e.dataTransfer)); });
  addEventListener("hashchange", fromLink);
  fromLink();
}

