
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
  if (differ.length > 0 || own.kind !== go.kind) return `the two verifiers differ on ${differ.map((v) => QUESTIONS[v.check]).join(", ") || "what the file is"}`;
  if (x.report.cross) Object.assign(x.report, { verdicts: go.verdicts, subject: go.subject, tree: go.tree });
  x.report.crossed = true;
  return "";
}

async function crossAll() {
  const state = byId("cross-state");
  try {
    if (!audit) {
      state.textContent = "Starting…";
      await new Promise((done) => setTimeout(done, 20));
      audit = await load();
    }
    const bad = [];
    for (const x of reports) {
      const wrong = cross(x);
      if (wrong) bad.push(`${x.report.file}: ${wrong}`);
    }
    show();
    state.className = bad.length ? "bad" : "good";
    state.textContent = bad.length
      ? `✕ ${bad.slice(0, 5).join("; ")}. Trust neither answer: ask wattmark verify, and tell who made this page.`
      : `✓ ${plural(reports.length, "file", "files")}: both verifiers agree.`;
  } catch (e) {
    state.className = "bad";
    state.textContent = `✕ The cross-check did not start: ${e.message}. Use wattmark verify instead.`;
  }
}

byId("cross-run").addEventListener("click", crossAll);
