
// ---- The cross-check: ledger/audit itself, compiled from Go ----

let audit = null;

// load starts the program that is in this page. Nothing is fetched.
async function load() {
  const packed = Uint8Array.from(atob(byId("wasm").textContent), (c) => c.charCodeAt(0));
  const go = new Go(), program = await WebAssembly.instantiate(await inflate(packed, "gzip", 1 << 28), go.importObject);
  go.run(program.instance); // it never returns
  return globalThis.wattmarkAudit;
}

// cross asks the Go verifier about a file, and compares: where the page's own verifier has
// an answer, it must be the same.
function cross(x) {
  const said = audit(x.report.file, x.bytes, trust.policy ? trust.policy.text : "", trust.keysText);
  if (said.startsWith("error: ")) return said.slice(7);
  const go = JSON.parse(said), own = JSON.parse(JSON.stringify(x.report));
  const differ = go.verdicts.filter((v, i) => {
    const o = own.verdicts[i];
    return !o || o.check !== v.check || (o.verdict !== v.verdict && !(x.report.cross && o.verdict === "unchecked"));
  });
  if (differ.length > 0 || own.kind !== go.kind) return tell`the two verifiers differ on ${differ.length ? differ.map((v) => QUESTIONS[v.check]) : tell`what the file is`}`;
  if (x.report.cross) {
    Object.assign(x.report, { verdicts: go.verdicts.map((v) => ({ ...v, detail: heard(v.detail) })), subject: heard(go.subject), tree: go.tree });
  }
  x.report.crossed = true;
  return "";
}

// sayCross says how it went, and once more after another language.
let crossed = ["", "note"];

function sayCross(...said) {
  crossed = said;
  byId("cross-state").textContent = spoken(crossed[0]);
  byId("cross-state").className = crossed[1];
}

redraw.push(() => sayCross(...crossed));

async function crossAll() {
  try {
    if (!audit) {
      sayCross(tell`Starting…`, "note");
      await new Promise((done) => setTimeout(done, 20));
      audit = await load();
    }
    const bad = [];
    for (const x of reports) {
      const wrong = cross(x);
      if (wrong) bad.push(tell`${x.report.file}: ${wrong}`);
    }
    show();
    if (bad.length) sayCross(tell`✕ ${bad.slice(0, 5)}. Trust neither answer: ask wattmark verify, and tell who made this page.`, "bad");
    else sayCross(tell`✓ ${files(reports.length)}: both verifiers agree.`, "good");
  } catch (e) {
    sayCross(tell`✕ The cross-check did not start: ${e.message}. Use wattmark verify instead.`, "bad");
  }
}

byId("cross-run").addEventListener("click", crossAll);
