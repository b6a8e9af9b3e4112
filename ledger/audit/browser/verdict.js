// What is asked of a statement, of other leaves, and of evidence.

// ---- Key sets: JWK (RFC 7517; ledger/audit/FORMAT.md section 2) ----

// parseJSON reads RFC 8259 with each object as a list of members, so that a member that
// stands twice is seen, and numbers as they are written.
function parseJSON(text) {
  let at = 0;
  const space = () => { while (/[ \t\r\n]/.test(text[at] || "")) at++; };
  const token = (pattern, what) => {
    pattern.lastIndex = at;
    const m = pattern.exec(text);
    need(m, tell`key set: ${what} at character ${at}`);
    at = pattern.lastIndex;
    return m[0];
  };
  const string = () => {
    const raw = token(/"(?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"/y, tell`no text`);
    return JSON.parse(raw);
  };
  const many = (close, one) => {
    const out = [];
    at++;
    for (space(); text[at] !== close; space()) {
      if (out.length > 0) { need(text[at] === ",", tell`key set: no comma at character ${at}`); at++; space(); }
      out.push(one());
    }
    at++;
    return out;
  };
  const value = (depth) => {
    need(depth > 0, tell`key set: nested too deeply`);
    space();
    switch (text[at]) {
      case "{": return { members: many("}", () => { space(); const name = string(); space(); token(/:/y, tell`no colon`); return [name, value(depth - 1)]; }) };
      case "[": return many("]", () => value(depth - 1));
      case '"': return string();
    }
    const word = token(/true|false|null|-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/y, tell`no value`);
    return { true: true, false: false, null: null }[word] === undefined ? { number: word } : { true: true, false: false, null: null }[word];
  };
  const v = value(32);
  space();
  need(at === text.length, tell`key set: something follows it`);
  return v;
}

// membersOf returns an object's members. Names that are equal but for case are refused,
// as readers differ in which they take.
function membersOf(v, known) {
  need(v && v.members, tell`key set: it is no object`);
  const out = new Map(), seen = new Set();
  for (const [name, value] of v.members) {
    const folded = name.toUpperCase().toLowerCase();
    need(!seen.has(folded), tell`key set: member "${name}" stands twice`);
    need(folded === name || !known.includes(folded), tell`key set: member "${name}" is to be written "${folded}"`);
    seen.add(folded);
    out.set(name, value);
  }
  return out;
}

const ROLES = ["", "gateway", "oracle", "log", "cosigner", "member", "verifier", "registry"];
const JWK = ["kty", "crv", "x", "y", "d", "kid", "alg", "use", "wattmark_name", "wattmark_role", "wattmark_enrolled_leaf", "wattmark_revoked_leaf"];

// parseKeys returns the keys of a set by their ids.
function parseKeys(text) {
  need(text.length <= 16 << 20, tell`key set: over the limit of 16 MiB`);
  const list = membersOf(parseJSON(text), ["keys"]).get("keys"), keys = new Map();
  need(Array.isArray(list), tell`key set: there is no member "keys"`);
  list.forEach((v, i) => {
    const m = membersOf(v, JWK);
    need(!m.has("d"), tell`key set: key ${i} is a private key: it must be kept out of every file that is given away`);
    const word = (n) => { const s = m.has(n) && m.get(n) !== null ? m.get(n) : ""; need(typeof s === "string", tell`key set: key ${i}: ${n} is no text`); return s; };
    const leaf = (n) => {
      const s = m.get(n) ? m.get(n).number : "0";
      need(/^[0-9]{1,20}$/.test(s || "") && BigInt(s) < 1n << 64n, tell`key set: key ${i}: ${n} is no leaf`);
      return BigInt(s);
    };
    const coordinate = (n) => {
      const s = word(n).replace(/-/g, "+").replace(/_/g, "/"), b = /[+/=]/.test(word(n)) ? null : base64(s + "=".repeat((4 - s.length % 4) % 4));
      need(b, tell`key set: key ${i}: ${n} is not base64url`);
      return b;
    };
    const kind = `${word("kty")} ${word("crv")}`, x = coordinate("x");
    let k;
    if (kind === "OKP Ed25519") {
      k = publicKey(EDDSA, x);
    } else if (kind === "EC P-256") {
      const y = coordinate("y");
      need(x.length === 32 && y.length === 32, tell`key set: key ${i}: coordinates are not 32 bytes each`);
      k = publicKey(ES256, joined(Uint8Array.of(4), x, y));
    } else {
      return; // keys of other types are passed over
    }
    need(!word("kid") || word("kid") === k.id, tell`key set: key ${i}: kid "${word("kid")}" does not belong to it, ${k.id} does`);
    need(!word("alg") || word("alg") === (k.alg === EDDSA ? "EdDSA" : "ES256"), tell`key set: key ${i}: alg "${word("alg")}" is not that of the key`);
    need(!word("use") || word("use") === "sig", tell`key set: key ${i}: use "${word("use")}" is not that of a key that signs`);
    need(ROLES.includes(word("wattmark_role")), tell`key set: key ${i}: wattmark_role "${word("wattmark_role")}" is not known`);
    need(!keys.has(k.id), tell`key set: key ${i}: key ${k.id} stands twice`);
    keys.set(k.id, { key: k, name: word("wattmark_name"), role: word("wattmark_role"), enrolled: leaf("wattmark_enrolled_leaf"), revoked: leaf("wattmark_revoked_leaf") });
  });
  return keys;
}

// ---- Statements ----

const OF_MEMBER = ["order", "standing", "dispute", "period-open", "period-close", "restatement", "gc-issue", "gc-split", "gc-transfer", "gc-cancel", "gc-claim",
  "storage-charge", "storage-discharge", "unit-split", "unit-transfer", "unit-retire", "unit-cancel", "first-transfer"].map(TYPE);
const OF_GATEWAY = ["reading", "calibration", "clock-map"].map(TYPE);
const OF_REGISTRY = ["carbon-source", "carbon-project", "unit-issue", "reversal", "authorization", "cadt-commit"].map(TYPE);

// maySign says who signs what. Of a key whose role is not known nothing is said.
function maySign(role, type) {
  if (role === "" || type === TYPE("revocation")) return true;
  return role === (OF_GATEWAY.includes(type) ? "gateway" : OF_MEMBER.includes(type) ? "member" : OF_REGISTRY.includes(type) ? "registry"
    : type === TYPE("verification") ? "verifier" : "oracle");
}

async function askStatement(r, leaf, index, trust, e) {
  let m, c;
  try {
    m = parseStatement(leaf);
    c = parseClaims(m.claimBytes);
  } catch (fault) {
    if (!(fault instanceof Fault)) throw fault;
    r.set("signature", FALSE, tell`not a well-formed statement: ${fault.said}`);
    r.fault = fault.kind;
    return;
  }
  r.subject = c.count > 0n ? tell`${shortType(m.type)}, ${c.issuer}, sequence ${c.boot}-${c.count}` : tell`${shortType(m.type)}, ${c.issuer}`;
  askTime(r, c, m.type);
  if (trust.policy && c.audience !== trust.policy.origin) {
    r.set("signature", FALSE, tell`signed for ledger "${c.audience}", the policy is for "${trust.policy.origin}"`);
    return;
  }
  askCalibration(r, m, c, e);
  askDisclosure(r, m, c, e);
  askRelease(r, c, index, e);
  await askSignature(r, m, index, trust, e);
}

function askTime(r, c, type) {
  const t = c.time, party = ["member", "registry", "verifier"].some((role) => maySign(role, type)), oracle = maySign("oracle", type);
  if (!t && party && !oracle) r.set("time", NOT_APPLICABLE, tell`a statement of a member or a party: the time of its block counts`);
  else if (!t && oracle) r.set("time", NOT_APPLICABLE, tell`a statement of an oracle: block time is the median of their clocks`);
  else if (!t || t.quality === "unsynced") r.set("time", UNCHECKED, tell`the gateway had no clock source: only the order of its statements is claimed`);
  else if (t.quality === "simulated") r.set("time", HOLDS, tell`simulated: a demonstration's clock, not the world's`);
  else if (t.uncertainty > 0n) r.set("time", HOLDS, tell`${t.quality}, claimed within ${(t.uncertainty + 999999n) / 1000000n} ms`);
  else r.set("time", HOLDS, tell`${t.quality}, no bound claimed`);
}

// packOf returns the pack of a reading if it is open, or disclosed in the file.
function packOf(m, e) {
  if (m.type !== TYPE("reading")) return null;
  if (!m.hidden) return attempt(() => parsePack(m.payload));
  for (const d of e ? e.disclosures : []) {
    const c = same(sha256(d), m.payload) && attempt(() => parseCommitted(d)), p = c && attempt(() => parsePack(c.pack));
    if (p) return p;
  }
  return null;
}

function askDisclosure(r, m, c, e) {
  const read = (pack, how) => {
    try {
      const n = parsePack(pack).records.length;
      r.set("disclosure", HOLDS, how(n === 1 ? tell`${n} record` : tell`${n} records`));
    } catch (fault) {
      if (!(fault instanceof Fault)) throw fault;
      r.set("disclosure", FALSE, fault.said);
    }
  };
  if (!m.hidden) {
    if (m.type === TYPE("reading")) read(m.payload, (n) => tell`an open pack of ${n}`);
    return;
  }
  for (const d of e ? e.disclosures : []) {
    const committed = same(sha256(d), m.payload) && attempt(() => parseCommitted(d));
    if (committed) return read(committed.pack, (n) => tell`a committed pack of ${n}, disclosed`);
  }
  const by = e ? forgottenPoint(e, c.subject) : null;
  if (by !== null) r.set("disclosure", UNCHECKED, tell`forgotten by entry ${by}: nobody has the pack of ${c.subject} any more`);
  else r.set("disclosure", NOT_APPLICABLE, tell`the pack of ${c.subject} is committed and not disclosed here`);
}

function askCalibration(r, m, c, e) {
  if (m.type !== TYPE("reading")) return;
  const pack = packOf(m, e);
  if (!pack) return r.set("calibration", NOT_APPLICABLE, tell`what the pack says of calibrations is not disclosed here`);
  const covered = [], undone = [];
  for (const record of pack.records) {
    const named = calibrated(record);
    if (!named) continue;
    const ours = named.channel.startsWith(pack.base), channel = ours ? named.channel.slice(pack.base.length) : named.channel;
    const k = calibrationIn(e, named.identity);
    if (!k) return r.set("calibration", UNCHECKED, tell`channel "${channel}" names calibration ${named.identity.slice(0, 16)}, which is not in the file: give the evidence`);
    if (!ours || k.subject !== c.subject || k.type !== TYPE("calibration") || !k.said.channels.includes(channel)) {
      return r.set("calibration", FALSE, tell`channel "${channel}" names leaf ${k.index}, which is no calibration of it`);
    }
    if (k.said.undoes) undone.push(tell`${channel} by leaf ${k.index}`);
    else covered.push(tell`${channel} by leaf ${k.index} (${k.said.method}, ${new Date(Number(k.said.time))})`);
  }
  if (covered.length > 0) r.set("calibration", HOLDS, tell`calibrated: ${covered}`);
  else if (undone.length > 0) r.set("calibration", NOT_APPLICABLE, tell`its calibration was undone, ${undone}: its readings are measured, not calibrated`);
  else r.set("calibration", NOT_APPLICABLE, tell`no calibration record covers this device: its readings are measured, not calibrated`);
}

function askRelease(r, c, index, e) {
  if (!c.firmware) return;
  const digest = hex(c.firmware), v = { check: "release", verdict: UNCHECKED, detail: tell`signed on firmware ${digest}: give the evidence to be told of its release` };
  r.verdicts.push(v);
  if (!e) return;
  v.detail = tell`signed on firmware ${digest}, and its release is not in the file: the ledger has none, or the evidence is of before it`;
  for (const l of e.leaves) {
    const rel = l.statement && releaseOf(l.statement);
    if (!rel || rel.root !== digest) continue;
    v.detail = tell`release ${rel.version} for ${rel.board} of ${rel.origin}, commit ${rel.commit.slice(0, 12)}, logged by leaf ${l.index}`;
    v.verdict = l.index > index ? FALSE : HOLDS;
    if (v.verdict === FALSE) v.detail = tell`${v.detail}: after it was used`;
    return;
  }
}

// askSignature finds the key, says how it is known, and verifies under it.
async function askSignature(r, m, index, trust, e) {
  const p = trust.policy, sealing = p && [...p.logs, ...p.witnesses].some((k) => k.key.id === m.kid);
  const found = await findKey(m.kid, trust, e), k = found || { role: "" };
  if (!found) r.set("signature", UNCHECKED, tell`key ${m.kid} is not known: give a key set`);
  else if (await opens(m, k.key)) r.set("signature", HOLDS, tell`${k.key.alg === EDDSA ? "EdDSA" : "ES256"} of key ${m.kid}`);
  else r.set("signature", FALSE, tell`signature does not verify under key ${m.kid}`);
  const key = (verdict, detail) => r.set("key", verdict, detail);
  if (sealing || k.role === "cosigner" || k.role === "log") key(FALSE, tell`key ${m.kid} signs checkpoints and receipts, and no statements`);
  else if (!found) key(UNCHECKED, tell`key ${m.kid} is not known`);
  else if (!maySign(k.role, m.type)) key(FALSE, tell`key ${m.kid} is of the role "${k.role}", whose keys sign no ${shortType(m.type)}`);
  else if (k.enrolled > 0n && index <= k.enrolled) key(FALSE, tell`the statement is leaf ${index}, its key was enrolled by leaf ${k.enrolled}`);
  else if (k.revoked > 0n && index > k.revoked) key(FALSE, tell`the statement is leaf ${index}, its key was revoked by leaf ${k.revoked}`);
  else key(HOLDS, k.name ? tell`${k.from}, of "${k.name}"` : k.from);
}

// findKey looks into the verifier's own set first. What the set does not say of the key's
// life the evidence may.
async function findKey(kid, trust, e) {
  const logged = e ? await keyIn(e, kid) : null, own = trust.keys && trust.keys.get(kid);
  if (own) {
    return { ...own, enrolled: own.enrolled || (logged ? logged.enrolled : 0n), revoked: own.revoked || (logged ? logged.revoked : 0n), from: tell`listed in the key set` };
  }
  if (!logged || !logged.key) return null;
  return { ...logged, from: logged.role === "oracle" ? tell`named by the charter` : tell`enrolled by leaf ${logged.enrolled}, and not revoked before by any leaf in the file` };
}

// ---- Leaves ----

async function askLeaf(r, leaf, index, trust, e) {
  const p = trust.policy, tried = (check, read) => {
    try {
      return read();
    } catch (fault) {
      if (!(fault instanceof Fault)) throw fault;
      r.set(check, FALSE, fault.said);
      r.fault = fault.kind;
      return null;
    }
  };
  switch (kindOf(leaf)) {
    case "statement":
      return askStatement(r, leaf, index, trust, e);
    case "header": {
      const h = tried("chain", () => parseHeader(leaf));
      if (!h) return;
      r.subject = tell`header of block ${h.height} of ${h.origin}`;
      if (h.size !== index) r.set("chain", FALSE, tell`the header says it is leaf ${h.size}, the proof says ${index}`);
      else if (p && h.origin !== p.origin) r.set("chain", FALSE, tell`a header of ledger "${h.origin}", the policy is for "${p.origin}"`);
      else r.set("chain", HOLDS, tell`it closes block ${h.height}, leaves ${h.first} to ${h.size}`);
      return;
    }
    case "charter": {
      const c = tried("chain", () => parseCharter(leaf));
      if (!c) return;
      r.subject = tell`charter of ${c.origin}`;
      if (index !== 0n) r.set("chain", FALSE, tell`a charter is leaf 0, the proof says ${index}`);
      else if (p && c.origin !== p.origin) r.set("chain", FALSE, tell`the charter of ledger "${c.origin}", the policy is for "${p.origin}"`);
      else r.set("chain", HOLDS, tell`the ledger begins with it`);
      return;
    }
    case "outcome": {
      const o = tried("rerun", () => parseOutcome(leaf));
      if (!o) return;
      r.subject = tell`outcome ${o.kind}: ${o.code} ${o.detail}`;
      r.set("rerun", UNCHECKED, tell`re-running a rule needs the blocks before it: wattmark ledger audit does it`);
      if (e && restsOnRules(e)) return askCross(r);
      if (o.body && o.kind !== "cleared" && o.kind !== "settled") r.set("rerun", UNCHECKED, tell`what it rests on is not in the file: wattmark carbon prove puts it into one`);
      const about = e && o.kind === "flagged" && leafOf(e, o.leaf);
      if (about) {
        await askStatement(r, about.leaf, o.leaf, trust, e);
        const by = about.statement && about.statement.hidden ? attempt(() => forgottenPoint(e, parseClaims(about.statement.claimBytes).subject)) : null;
        if (by !== null) r.set("rerun", UNCHECKED, tell`forgotten by entry ${by}: nobody has the readings any more`);
        r.subject = tell`flag ${o.code} ${o.detail} of ${r.subject}`;
      }
      return;
    }
  }
  r.set("inclusion", FALSE, tell`the leaf is nothing that a ledger holds`);
}

// ---- *.evidence (ledger/audit/FORMAT.md section 1) ----

function parseEvidence(b) {
  need(b.length <= 256 << 20, tell`evidence: over the limit of 256 MiB`);
  return whole(tell`evidence`, b, (r) => {
    const path = (s, what) => (s.null() ? [] : s.list(what, 131072, (t) => readHash(t, tell`path`)));
    const triple = (what) => (s) => {
      need(s.count(ARRAY, 3, what) === 3, tell`${what} has 3 parts`);
      return { index: s.unsigned(tell`index`), leaf: s.bytesOrNull(tell`leaf`), path: path(s, tell`path`) };
    };
    const v = r.map(tell`evidence`, {
      1: (s, what) => { const n = s.unsigned(what); need(n === 1n || n === 2n, tell`evidence: version ${n} is not known`, "version"); return n; },
      2: readUint, 3: (s, what) => s.bytesOrNull(what), 4: (s, what) => s.list(what, 131072, triple(tell`a leaf`)),
      "?5": (s, what) => s.list(what, 131072, (t) => t.bytesOrNull(tell`disclosure`)), "?6": (s, what) => s.list(what, 2, triple(tell`a line`)),
    });
    need((v[1] === 2n) === (v[6] !== undefined), tell`evidence: version ${v[1]} is not known`, "version");
    const e = { claim: v[2], checkpoint: v[3], leaves: v[4], disclosures: v[5] || [], lines: v[6] || [] };
    need(e.leaves.every((l, i) => i === 0 || l.index > e.leaves[i - 1].index), tell`evidence: leaves are not in order of their indices`);
    need(leafOf(e, e.claim), tell`evidence: the claimed leaf ${e.claim} is not among the leaves`);
    for (const l of e.leaves) {
      l.kind = kindOf(l.leaf);
      l.statement = l.kind === "statement" ? attempt(() => parseStatement(l.leaf)) : null;
      l.outcome = l.kind === "outcome" ? attempt(() => parseOutcome(l.leaf)) : null;
    }
    return e;
  });
}

const leafOf = (e, index) => e.leaves.find((l) => l.index === index);
const adoptions = (e) => e.leaves.filter((l) => l.outcome && l.outcome.kind === "adopted");

// restsOnRules says whether a file shows what an outcome of the market or of carbon
// accounting rests on: computing that again is for the rules, which are in the cross-check.
function restsOnRules(e) {
  const o = leafOf(e, e.claim).outcome;
  if (!o || !o.body) return false;
  return o.kind === "settled" ? e.lines.length > 0 : o.kind !== "cleared" && leafOf(e, 0n) !== undefined;
}

const CROSS = tell`needs the rules: press the button of the cross-check, or use wattmark verify`;

function askCross(r) {
  for (const c of ["signature", "key", "calibration", "time", "disclosure", "rerun"]) r.set(c, UNCHECKED, CROSS);
  r.cross = true;
}

async function verifyEvidence(name, b, trust) {
  const r = new Report(name, "evidence");
  let e;
  try {
    e = parseEvidence(b);
  } catch (fault) {
    if (!(fault instanceof Fault)) throw fault;
    return r.malformed(fault);
  }
  const c = await askCheckpoint(r, e.checkpoint, trust.policy), claim = leafOf(e, e.claim);
  if (!c) {
    await askLeaf(r, claim.leaf, e.claim, trust, null);
    return r;
  }
  for (const l of e.leaves) {
    if (askInclusion(r, l.leaf, l.index, l.path, c)) continue;
    if (restsOnRules(e) && claim.outcome.kind !== "settled") askCross(r);
    return r;
  }
  r.set("inclusion", HOLDS, tell`leaf ${e.claim} and ${e.leaves.length - 1} leaves it rests on, of a tree of ${c.size}`);
  await askLeaf(r, claim.leaf, e.claim, trust, e);
  askChain(r, e);
  const hidden = new Set(e.leaves.filter((l) => l.statement && l.statement.hidden).map((l) => hex(l.statement.payload)));
  if (e.disclosures.some((d) => !hidden.has(hex(sha256(d))))) r.set("disclosure", FALSE, tell`a pack in the file is not the one whose hash was signed`);
  await askNeeded(r, e);
  return r;
}

function askChain(r, e) {
  let prev = null, prevHash = null, closed = false;
  for (const l of e.leaves.filter((x) => x.kind === "header")) {
    let h;
    try {
      h = parseHeader(l.leaf);
      need(h.size === l.index, tell`the header of block ${h.height} says it is leaf ${h.size} and is leaf ${l.index}`);
      if (prev && prev.height + 1n === h.height) {
        need(h.origin === prev.origin, tell`block ${h.height} is of ledger "${h.origin}", not "${prev.origin}"`);
        need(same(h.prev, prevHash), tell`block ${h.height} does not name the header of block ${prev.height}`);
        need(h.first === prev.size + 1n, tell`block ${h.height} starts at leaf ${h.first}, not ${prev.size + 1n}`);
        need(h.time >= prev.time, tell`block ${h.height} is older than block ${prev.height}`);
      }
    } catch (fault) {
      if (!(fault instanceof Fault)) throw fault;
      return r.set("chain", FALSE, fault.said);
    }
    if (h.first <= e.claim && e.claim <= h.size) {
      closed = true;
      r.set("chain", HOLDS, tell`in block ${h.height}, closed by leaf ${h.size}`);
    }
    [prev, prevHash] = [h, leafHash(l.leaf)];
  }
  if (!closed) r.set("chain", UNCHECKED, tell`the file does not hold the header of the claim's block`);
}

// askNeeded refuses leaves that the claim does not rest on. What a file is about stands in
// it unsigned; as it holds nothing else, it cannot be made to be about another leaf.
async function askNeeded(r, e) {
  if (restsOnRules(e)) return r.set("inclusion", UNCHECKED, tell`all ${e.leaves.length} leaves are in the tree; whether the claim rests on each ${CROSS}`);
  const claim = leafOf(e, e.claim), flagged = claim.outcome && claim.outcome.kind === "flagged";
  const at = flagged ? claim.outcome.leaf : e.claim, about = leafOf(e, at), m = about ? about.statement : null;
  const c = m && attempt(() => parseClaims(m.claimBytes)), pack = m && packOf(m, e);
  const named = new Set((pack ? pack.records : []).map(calibrated).filter((k) => k).map((k) => k.identity));
  const forgets = (o) => m && m.hidden && c && o.code === "forget" && o.detail === c.subject;
  const agreed = new Set(), sets = new Set(e.leaves.filter((l) => l.statement && oracleSetOf(l.statement)).map((l) => voice(l.statement)));
  for (const l of e.leaves) {
    let ok = l.index === e.claim || l.index === at || l.kind === "header" || (l.kind === "charter" && m);
    const s = l.statement, o = l.outcome;
    if (s && m) {
      const change = await keyChange(s);
      if (change && (change.ends === m.kid || (change.begins && change.begins.id === m.kid))) {
        ok = true;
        agreed.add(hex(sha256(s.payload)));
      }
      const rel = c && c.firmware && releaseOf(s), set = oracleSetOf(s);
      ok = ok || (s.type === TYPE("calibration") && named.has(hex(sha256(s.signed)))) || (rel && rel.root === hex(c.firmware));
      if (set) ok = ok || e.leaves.some((x) => x.statement && set.some((k) => { const key = attempt(() => publicKey(k.alg, k.key)); return key && key.id === x.statement.kid; }));
      else ok = ok || adoptions(e).some((a) => forgets(a.outcome) && voice(s) === hex(a.outcome.hash));
    } else if (o && o.kind === "adopted") {
      ok = ok || agreed.has(hex(o.hash)) || (m && ((o.code === "oracles" && sets.has(hex(o.hash))) || forgets(o)));
    }
    if (!ok) return r.set("inclusion", FALSE, tell`leaf ${l.index} is in the file and the claim, leaf ${e.claim}, does not rest on it`);
  }
}

// keyIn finds a key in the history that evidence holds: the charter's oracles and those of
// later sets, and enrolments whose own signature verifies under one of them.
async function keyIn(e, kid) {
  const oracles = new Map(), found = { key: null, name: "", role: "gateway", enrolled: 0n, revoked: 0n };
  const admit = (o) => { const k = attempt(() => publicKey(o.alg, o.key)); if (k) oracles.set(k.id, { key: k, name: o.name, role: "oracle", enrolled: 0n, revoked: 0n }); };
  const adopted = new Map(adoptions(e).filter((l) => l.outcome.code === "revocation").map((l) => [hex(l.outcome.hash), l.index]));
  const sets = new Set(adoptions(e).filter((l) => l.outcome.code === "oracles").map((l) => hex(l.outcome.hash)));
  for (const l of e.leaves) if (l.statement && sets.has(voice(l.statement))) (oracleSetOf(l.statement) || []).forEach(admit);
  for (const l of e.leaves) {
    if (l.kind === "charter" && l.index === 0n) (attempt(() => parseCharter(l.leaf)) || { oracles: [] }).oracles.forEach(admit);
    const m = l.statement, change = m && await keyChange(m);
    if (!change) continue;
    const oracle = oracles.get(m.kid);
    if (oracle && change.begins && change.begins.id === kid && await opens(m, oracle.key)) {
      Object.assign(found, { key: change.begins, name: change.gateway, enrolled: l.index });
    }
    const stated = adopted.get(hex(sha256(m.payload)));
    if (change.ends === kid && (change.proven || m.kid === kid || (stated !== undefined && l.index < stated))) found.revoked = l.index;
  }
  return oracles.get(kid) || found;
}

// calibrationIn finds a calibration by its identity: the SHA-256 of what it signs.
function calibrationIn(e, identity) {
  for (const l of e ? e.leaves : []) {
    const m = l.statement;
    if (!m || hex(sha256(m.signed)) !== identity) continue;
    const c = attempt(() => parseClaims(m.claimBytes));
    if (c) return { type: m.type, subject: c.subject, index: l.index, said: attempt(() => parseCalibration(m.payload)) || { channels: [] } };
  }
  return null;
}

// forgottenPoint returns by which entry a metering point was forgotten, or null.
function forgottenPoint(e, subject) {
  for (const a of adoptions(e).filter((l) => l.outcome.code === "forget" && l.outcome.detail === subject)) {
    const voices = e.leaves.filter((l) => l.statement && l.index < a.index && voice(l.statement) === hex(a.outcome.hash));
    if (voices.length > 0) return voices[voices.length - 1].index;
  }
  return null;
}

// ---- The front door ----

// verify answers every question about one file. Its kind is told by the name's ending,
// else by the first bytes.
async function verify(name, b, trust) {
  const starts = (s) => b.length >= s.length && bytesOf(s).every((x, i) => x === b[i]);
  if (name.endsWith(".tlog-proof") || starts("c2sp.org/tlog-proof@")) return verifyLogProof(name, b, trust);
  if (name.endsWith(".evidence")) return verifyEvidence(name, b, trust);
  if (name.endsWith(".cose") || b[0] === 0xd2) return verifyTransparent(name, b, trust);
  if (b.length > 0 && b[0] >> 5 === MAP) return verifyEvidence(name, b, trust);
  return unreadable(name, tell`neither a *.cose, a *.tlog-proof nor an *.evidence file`);
}
