// The verifier: one file and a policy in, an answer to each question out, with the codes
// of `wattmark verify --json`. ledger/audit/FORMAT.md section 3 says what each asks.

// VERSION is that of this verifier, and is named in reports.
const VERSION = "1";

const CHECKS = ["signature", "key", "calibration", "time", "inclusion", "quorum", "chain", "disclosure", "rerun"];
const HOLDS = "holds", FALSE = "false", UNCHECKED = "unchecked", NOT_APPLICABLE = "not_applicable";

class Report {
  constructor(file, kind) {
    Object.assign(this, { file, kind, verdicts: CHECKS.map((check) => ({ check, verdict: NOT_APPLICABLE, detail: "" })) });
  }

  set(check, verdict, detail) { Object.assign(this.verdicts.find((v) => v.check === check), { verdict, detail }); }

  answer(check) { return this.verdicts.find((v) => v.check === check).verdict; }

  // malformed marks a file that is not what it claims to be.
  malformed(fault) {
    for (const c of CHECKS) this.set(c, UNCHECKED, tell`the file is damaged`);
    this.set("inclusion", FALSE, fault.said);
    this.fault = fault.kind;
    return this;
  }

  toJSON() {
    const { file, kind, verdicts, subject, tree } = this;
    return { file, kind, verdicts, ...(subject ? { subject } : {}), ...(tree ? { tree } : {}) };
  }
}

function unreadable(file, reason) {
  const r = new Report(file, "unknown");
  for (const c of CHECKS) r.set(c, UNCHECKED, reason);
  return r;
}

// ---- Merkle trees (RFC 9162 section 2.1) ----

const leafHash = (leaf) => sha256(joined(Uint8Array.of(0), leaf));
const nodeHash = (left, right) => sha256(joined(Uint8Array.of(1), left, right));

// rootOf computes the root that an inclusion proof leads to. With the size known exactly
// one length of path is right, which binds the index.
function rootOf(leaf, index, size, path) {
  need(index < size, tell`leaf ${index} is not in a tree of ${size}`, "proof");
  const inner = (index ^ (size - 1n)).toString(2).replace(/^0$/, "").length;
  const border = (index >> BigInt(inner)).toString(2).replace(/0/g, "").length;
  need(path.length === inner + border, tell`a path of ${path.length} hashes instead of ${inner + border}`, "proof");
  return path.reduce((h, p, l) => (l < inner && !((index >> BigInt(l)) & 1n) ? nodeHash(h, p) : nodeHash(p, h)), leaf);
}

// ---- Policies: C2SP tlog-policy (ledger/block/FORMAT.md section 4) ----

function parseVerifierKey(s) {
  const [name, id, b64] = [s.slice(0, s.indexOf("+")), ...s.slice(s.indexOf("+") + 1).split(/\+(.*)/s)];
  const raw = base64(b64 || "");
  need(raw && raw.length > 0 && validName(name), tell`"${s}" is not a verifier key of the form name+id+base64`);
  need(raw[0] === 1 || raw[0] === 4, tell`verifier key "${name}" has signature type ${raw[0]}: 1 and 4 are known`);
  const key = publicKey(EDDSA, raw.subarray(1)), want = hex(sha256(joined(bytesOf(name + "\n"), raw)).subarray(0, 4));
  need(id === want, tell`verifier key "${name}" has id ${id}, which should be ${want}`);
  return { name, cosigner: raw[0] === 4, key, id };
}

function parsePolicy(text) {
  need(text.length <= 256 << 10, tell`policy: over the limit of 256 KiB`);
  const p = { origin: "", logs: [], witnesses: [], groups: [], quorum: "", text };
  const names = new Map([["none", false]]); // defined so far, to true once a member of a group
  text.split("\n").forEach((line, i) => {
    const at = tell`policy line ${i + 1}`;
    need(!/[\x00-\x08\x0b-\x1f\x7f]/.test(line), tell`${at}: control character`);
    const f = line.split(/[ \t]+/).filter((w) => w);
    if (f.length === 0 || f[0].startsWith("#")) return;
    try {
      policyLine(p, f, names);
    } catch (e) {
      throw e instanceof Fault ? new Fault(tell`${at}: ${e.said}`) : e;
    }
  });
  need(p.quorum, tell`policy: there is no quorum line`);
  need(p.logs.length > 0, tell`policy: there is no log line`);
  return p;
}

function policyLine(p, f, names) {
  const keys = () => [...p.logs, ...p.witnesses];
  const add = (list, k) => {
    need(list.length < 256, tell`more than 256 keys of a kind`);
    need(list.every((o) => o.key.id !== k.key.id), tell`a line with the same key stands before`);
    need(keys().every((o) => o.name !== k.name || o.id !== k.id), tell`another key of the name "${k.name}" has the id ${k.id} too`);
    list.push(k);
  };
  if (f[0] === "log" && (f.length === 2 || f.length === 3)) {
    const k = parseVerifierKey(f[1]);
    need(!k.cosigner, tell`"${k.name}" is a cosigner's key, not a log's`);
    need(p.logs.length === 0 || k.name === p.origin, tell`log "${k.name}": this policy is for the origin "${p.origin}"`);
    add(p.logs, k);
    p.origin = k.name;
  } else if (f[0] === "witness" && (f.length === 3 || f.length === 4)) {
    const k = parseVerifierKey(f[2]);
    need(!names.has(f[1]), tell`the name "${f[1]}" is defined before`);
    need(k.cosigner, tell`"${k.name}" is a log's key, not a cosigner's`);
    add(p.witnesses, { ...k, label: f[1] });
    names.set(f[1], false);
  } else if (f[0] === "group" && f.length >= 4) {
    const [, name, want, ...members] = f;
    need(!names.has(name), tell`the name "${name}" is defined before`);
    need(p.groups.length < 256, tell`more than 256 groups`);
    for (const m of members) {
      need(names.has(m) && m !== "none", tell`group member "${m}" is not defined on a line before`);
      need(!names.get(m), tell`"${m}" is a member of a group already`);
      names.set(m, true);
    }
    const k = want === "all" ? members.length : want === "any" ? 1 : /^[1-9][0-9]{0,8}$/.test(want) ? Number(want) : 0;
    need(k >= 1 && k <= members.length, tell`a threshold of "${want}" among ${members.length} members`);
    names.set(name, false);
    p.groups.push({ name, need: k, members });
  } else if (f[0] === "quorum" && f.length === 2) {
    need(!p.quorum, tell`a second quorum line`);
    need(names.has(f[1]), tell`quorum "${f[1]}" is not defined on a line before`);
    p.quorum = f[1];
  } else {
    fail(tell`"${f[0]}" with ${f.length} words is not a line of a policy`);
  }
}

// fulfils says of the cosigners' key ids why they do not make up what the policy calls
// name, or "".
function fulfils(p, name, signed) {
  if (name === "none") return "";
  const done = new Set(p.witnesses.filter((w) => signed.has(w.key.id)).map((w) => w.label)), have = done.size;
  for (const g of p.groups) if (g.members.filter((m) => done.has(m)).length >= g.need) done.add(g.name);
  return done.has(name) ? "" : tell`policy is not satisfied: ${have} of ${p.witnesses.length} witnesses signed, which is no quorum`;
}

// oraclesOf is what the policy calls the ledger's oracles, who issue receipts.
const oraclesOf = (p) => (p.groups.some((g) => g.name === "oracles") ? "oracles" : p.quorum);

// ---- Checkpoints and cosignatures: C2SP signed-note, tlog-checkpoint, tlog-cosignature ----

const SIGNATURE = "\u2014 ";

// splitNote takes a note apart into its text and signature lines.
function splitNote(b) {
  need(b.length <= 64 << 10, tell`checkpoint: over the limit of 64 KiB`);
  const note = attempt(() => utf8(b)), split = note === null ? -1 : note.lastIndexOf("\n\n");
  need(note !== null && !/[\x00-\x09\x0b-\x1f]/.test(note), tell`checkpoint: malformed note`);
  need(split >= 0 && note.endsWith("\n") && note.length > split + 2, tell`checkpoint: truncated, or without a blank line before its signatures`, "truncated");
  const lines = note.slice(split + 2, -1).split("\n");
  need(lines.length <= 100, tell`checkpoint: more than 100 signatures`);
  return {
    text: note.slice(0, split + 1),
    lines: lines.map((line) => {
      need(line.startsWith(SIGNATURE), tell`checkpoint: malformed signature line`);
      const rest = line.slice(SIGNATURE.length), space = rest.indexOf(" ");
      const name = space < 0 ? rest : rest.slice(0, space), b64 = space < 0 ? "" : rest.slice(space + 1), raw = base64(b64, false);
      need(raw && raw.length >= 5 && name && !/[+\p{White_Space}]/u.test(name), tell`checkpoint: malformed signature line`);
      return { name, b64, id: hex(raw.subarray(0, 4)), sig: raw.subarray(4), raw };
    }),
  };
}

function parseCheckpoint(text) {
  const lines = text.split("\n");
  need(lines.length === 4 && lines[3] === "", tell`checkpoint: it has three lines`);
  need(validName(lines[0]), tell`checkpoint: "${lines[0]}" is not an origin`);
  need(/^(0|[1-9][0-9]{0,18})$/.test(lines[1]) && BigInt(lines[1]) <= 1n << 60n, tell`checkpoint: "${lines[1]}" is no tree size`);
  const root = base64(lines[2]);
  need(root && root.length === 32, tell`checkpoint: "${lines[2]}" is not the base64 of a SHA-256`);
  return { origin: lines[0], size: BigInt(lines[1]), root };
}

// signedBy says whether a line's signature of a note's text is a key's.
async function signedBy(k, text, sig) {
  if (!k.cosigner) return verifyRaw(k.key, bytesOf(text), sig);
  if (sig.length !== 72 || sig[0] & 0x80) return false;
  return verifyRaw(k.key, bytesOf(`cosignature/v1\ntime ${bigEndian(sig.subarray(0, 8))}\n${text}`), sig.subarray(8));
}

// openCheckpoint verifies the signatures of known keys. A wrong one of a known key fails
// the whole; unknown ones are passed over.
async function openCheckpoint(b, p) {
  const { text, lines } = splitNote(b), known = [...p.logs, ...p.witnesses], by = [];
  for (const l of lines) {
    const k = known.find((o) => o.name === l.name && o.id === l.id);
    if (!k || by.includes(k)) continue;
    need(await signedBy(k, text, l.sig), tell`signature does not verify: checkpoint signature of "${l.name}" is wrong`, "signature");
    need(base64(l.b64), tell`checkpoint: the signature line of "${l.name}" is not strict base64`);
    by.push(k);
  }
  need(by.length > 0, tell`policy is not satisfied: checkpoint carries no signature of a key in the policy`, "quorum");
  const c = parseCheckpoint(text);
  need(c.origin === p.origin, tell`the checkpoint is of ledger "${c.origin}", the policy is for "${p.origin}"`, "quorum");
  return { ...c, by, text, lines };
}

const MAX_STRANGE = 16; // strangers' signatures that are tried with the policy's keys

// renamedLine finds a signature that a key of the policy made and that stands under the
// checkpoint as another's, and returns whose it is, or "".
async function renamedLine(c, p) {
  const known = [...p.logs, ...p.witnesses];
  let tried = 0;
  for (const l of c.lines) {
    if (known.some((k) => k.name === l.name && k.id === l.id)) continue;
    if (++tried > MAX_STRANGE) return "";
    for (const k of known) {
      if (k.cosigner !== (l.sig.length === 72) || c.by.includes(k)) continue;
      if (k.name === l.name && nearlyAlike(parseInt(k.id, 16), parseInt(l.id, 16))) return k.name;
      if (await signedBy(k, c.text, l.sig)) return k.name;
    }
  }
  return "";
}

// nearlyAlike says whether two key ids differ in at most one letter of their base64.
const nearlyAlike = (a, b) => [0x3f << 26, 0x3f << 20, 0x3f << 14, 0x3f << 8, 0x3f << 2, 3].filter((mask) => (a ^ b) & mask).length <= 1;

// checkpoint answers quorum, and returns the checkpoint if its signatures are right, even
// where they are too few.
async function askCheckpoint(r, b, p) {
  if (!p) {
    r.set("inclusion", UNCHECKED, tell`no policy: give one`);
    r.set("quorum", UNCHECKED, tell`no policy: give one`);
    return null;
  }
  let c;
  try {
    c = await openCheckpoint(b, p);
    need(c.by.some((k) => !k.cosigner), tell`policy is not satisfied: no log of the policy signed the checkpoint`, "quorum");
  } catch (e) {
    if (!(e instanceof Fault)) throw e;
    r.set("quorum", FALSE, e.said);
    r.set("inclusion", UNCHECKED, tell`the checkpoint does not verify`);
    return null;
  }
  const witnesses = c.by.filter((k) => k.cosigner), lacks = fulfils(p, p.quorum, new Set(witnesses.map((k) => k.key.id)));
  const renamed = lacks ? "" : await renamedLine(c, p);
  if (lacks) r.set("quorum", FALSE, lacks);
  else if (renamed) r.set("quorum", FALSE, tell`a line under the checkpoint is signed by "${renamed}" and names another key`);
  else r.set("quorum", HOLDS, tell`checkpoint of ${c.size} leaves signed by ${c.by.length - witnesses.length} log and ${witnesses.length} cosigners of the policy`);
  return c;
}

function askInclusion(r, leaf, index, path, c) {
  try {
    const root = rootOf(leafHash(leaf), index, c.size, path);
    need(same(root, c.root), tell`the leaf is not at index ${index} of the checkpoint's tree`, "proof");
  } catch (e) {
    if (!(e instanceof Fault)) throw e;
    r.set("inclusion", FALSE, tell`proof does not verify: ${e.said}`);
    return false;
  }
  r.set("inclusion", HOLDS, tell`leaf ${index} of a tree of ${c.size}`);
  return true;
}

// ---- *.tlog-proof: C2SP tlog-proof ----

function parseLogProof(b) {
  need(b.length <= 256 << 10, tell`tlog-proof: over the limit of 256 KiB`);
  // The head is ASCII, and the checkpoint is kept as bytes.
  const ascii = Array.from(b, (x) => String.fromCharCode(x)).join(""), end = ascii.indexOf("\n\n");
  const lines = ascii.slice(0, end < 0 ? undefined : end).split("\n"), magic = "c2sp.org/tlog-proof@v1";
  need(lines[0] === magic || !lines[0].startsWith("c2sp.org/tlog-proof@"), tell`tlog-proof: version ${lines[0].slice(20)} is not known`, "version");
  need(lines[0] === magic, tell`tlog-proof: it starts with "${magic}"`);
  need(end >= 0, tell`tlog-proof: truncated before the empty line and the checkpoint`, "truncated");
  lines.shift();
  const p = { extra: new Uint8Array(), checkpoint: b.subarray(end + 2) };
  if (lines.length > 0 && lines[0].startsWith("extra ")) {
    p.extra = base64(lines.shift().slice(6));
    need(p.extra && p.extra.length > 0, tell`tlog-proof: the extra line is not base64`);
  }
  need(lines.length > 0 && lines[0].startsWith("index "), tell`tlog-proof: there is no index line`);
  const index = lines.shift().slice(6);
  need(/^(0|[1-9][0-9]{0,18})$/.test(index) && BigInt(index) < I63, tell`tlog-proof: "${index}" is no index`);
  p.index = BigInt(index);
  need(lines.length <= 64, tell`tlog-proof: a path of ${lines.length} hashes`);
  p.path = lines.map((l) => {
    const h = base64(l);
    need(h && h.length === 32, tell`tlog-proof: a line of the path is not the base64 of a SHA-256`);
    return h;
  });
  return p;
}

async function verifyLogProof(name, b, trust) {
  const r = new Report(name, "tlog-proof");
  let p;
  try {
    p = parseLogProof(b);
  } catch (e) {
    if (!(e instanceof Fault)) throw e;
    return r.malformed(e);
  }
  if (p.extra.length === 0) return unreadable(name, tell`the proof has no extra line, so its leaf is not known`);
  const c = await askCheckpoint(r, p.checkpoint, trust.policy);
  if (c) askInclusion(r, p.extra, p.index, p.path, c);
  await askLeaf(r, p.extra, p.index, trust, null);
  return r;
}

// ---- *.cose: statements with COSE Receipts (RFC 9942) ----

function detachReceipts(b) {
  need(b.length <= MAX_MESSAGE + 64 * 2400, tell`transparent statement: over its limit of bytes`);
  need(b.length > 0 && b[0] === 0xd2, tell`transparent statement: no COSE_Sign1 tag`, b.length ? "form" : "truncated");
  return whole(tell`transparent statement`, b.subarray(1), (r) => {
    need(r.count(ARRAY, 4, tell`statement`) === 4, tell`a COSE_Sign1 has 4 elements`);
    const protectedBytes = r.bytesOrNull(tell`protected header`);
    const list = r.map(tell`unprotected header`, { 394: (s, what) => s.list(what, 64, (t) => t.bytesOrNull(tell`receipt`)) })[394];
    need(list.length > 0, tell`transparent statement: it carries 0 receipts`);
    const from = r.at;
    r.bytesOrNull(tell`payload`);
    r.bytesOrNull(tell`signature`);
    return { // as it was logged: with an empty unprotected header
      statement: joined(Uint8Array.of(0xd2, 0x84), encodeBytes(protectedBytes), Uint8Array.of(0xa0), r.b.subarray(from, r.at)),
      receipts: list.map(parseReceipt),
    };
  });
}

function parseReceipt(b) {
  need(b.length > 0 && b[0] === 0xd2, tell`receipt: no COSE_Sign1 tag`);
  return whole(tell`receipt`, b.subarray(1), (r) => {
    need(r.count(ARRAY, 4, tell`receipt`) === 4, tell`a receipt has 4 elements`);
    const head = whole(tell`receipt's protected header`, r.bytes(tell`protected header`), (s) => {
      const label = (what, want) => need(s.integer(what) === want, tell`receipt: ${what} is missing`);
      need(s.count(MAP, 4, tell`protected header`) === 4, tell`receipt: it has 4 protected labels`);
      label(tell`algorithm`, 1n);
      const alg = s.integer(tell`algorithm`);
      label(tell`key id`, 4n);
      const kid = s.bytes(tell`key id`);
      label(tell`data structure`, 395n);
      const vds = s.integer(tell`data structure`);
      label(tell`size`, -65537n);
      const size = s.unsigned(tell`size`);
      need(alg === -8n && vds === 1n && kid.length === 16, tell`receipt: not an Ed25519 receipt of an RFC9162_SHA256 log`);
      return { kid: hex(kid), kidBytes: kid, size };
    });
    const proofs = r.map(tell`receipt's unprotected header`, { 396: (s, what) => s.map(what, { "-1": (t) => t.list(tell`inclusion proofs`, 1, (q) => q.bytes(tell`inclusion proof`)) }) })[396][-1];
    need(r.null(), tell`receipt: the root is not detached`);
    const signature = r.bytes(tell`signature`);
    need(signature.length === 64 && proofs.length === 1, tell`receipt: not one inclusion proof and a signature of 64 bytes`);
    const proof = whole(tell`inclusion proof`, proofs[0], (s) => {
      need(s.count(ARRAY, 3, tell`inclusion proof`) === 3, tell`an inclusion proof has 3 parts`);
      return { size: s.unsigned(tell`size`), index: s.unsigned(tell`index`), path: s.list(tell`path`, 64, (t) => readHash(t, tell`path`)) };
    });
    need(proof.size === head.size, tell`receipt: the proof is for size ${proof.size}, the signature for ${head.size}`, "proof");
    return { ...proof, kid: head.kid, kidBytes: head.kidBytes, signature };
  });
}

// receiptRoot returns the root that a receipt vouches for under a key.
async function receiptRoot(x, key, leaf) {
  const root = rootOf(leaf, x.index, x.size, x.path);
  const header = joined(Uint8Array.of(0xa4, 0x01, 0x27, 0x04, 0x50), hexBytes(key.id), Uint8Array.of(0x19, 0x01, 0x8b, 0x01, 0x3a, 0x00, 0x01, 0x00, 0x00), encodeUint(x.size));
  need(await verifyRaw(key, sigStructure(header, root), x.signature), tell`signature does not verify: receipt of key ${key.id} for size ${x.size}`, "signature");
  return root;
}

const hexBytes = (s) => Uint8Array.from(s.match(/../g), (x) => parseInt(x, 16));

async function verifyTransparent(name, b, trust) {
  const r = new Report(name, "transparent statement");
  let t;
  try {
    t = detachReceipts(b);
  } catch (e) {
    if (!(e instanceof Fault)) throw e;
    return r.malformed(e);
  }
  const index = t.receipts[0].index, other = t.receipts.find((x) => x.index !== index);
  if (other) {
    r.set("inclusion", FALSE, tell`receipts name the leaves ${index} and ${other.index}`);
    return r;
  }
  await askReceipts(r, t.receipts, leafHash(t.statement), trust.policy);
  await askStatement(r, t.statement, index, trust, null);
  return r;
}

async function askReceipts(r, receipts, leaf, p) {
  if (!p) {
    r.set("inclusion", UNCHECKED, tell`no policy: give one`);
    r.set("quorum", UNCHECKED, tell`no policy: give one`);
    return;
  }
  const signed = new Set(), strange = [];
  let tree = null;
  const wrong = (detail) => {
    r.set("inclusion", FALSE, detail);
    r.set("quorum", UNCHECKED, tell`a receipt is wrong`);
  };
  for (const x of receipts) {
    const k = p.witnesses.find((w) => w.key.id === x.kid);
    if (!k) { strange.push(x); continue; }
    let root;
    try {
      root = await receiptRoot(x, k.key, leaf);
    } catch (e) {
      if (!(e instanceof Fault)) throw e;
      return wrong(tell`receipt of "${k.name}": ${e.said}`);
    }
    if (tree && (tree.size !== x.size || !same(tree.root, root))) return wrong(tell`the receipts are for different trees, of ${tree.size} and of ${x.size} leaves`);
    tree = { size: x.size, root };
    signed.add(x.kid);
  }
  for (const x of strange.slice(0, MAX_STRANGE)) {
    for (const k of p.witnesses.filter((w) => !signed.has(w.key.id))) {
      const made = await receiptRoot(x, k.key, leaf).catch((e) => { if (!(e instanceof Fault)) throw e; return null; });
      if (made) return wrong(tell`signature does not verify: a receipt is signed by "${k.name}" and names another key`);
    }
  }
  if (!tree) r.set("inclusion", FALSE, tell`none of the ${receipts.length} receipts is of an oracle in the policy`);
  else r.set("inclusion", HOLDS, tell`leaf ${receipts[0].index} of a tree of ${tree.size}`);
  const lacks = fulfils(p, oraclesOf(p), signed);
  if (lacks) return r.set("quorum", FALSE, lacks);
  const own = tell`receipts of ${signed.size} oracles of the policy`, detail = strange.length ? tell`${own}, and ${strange.length} of others, passed over` : own;
  if (fulfils(p, p.quorum, signed)) r.set("quorum", UNCHECKED, tell`${detail}; no receipt shows that the policy's witnesses signed: ask for the tlog-proof or the evidence`);
  else r.set("quorum", HOLDS, detail);
}
