// Entries that evidence needs besides readings: who holds which key, what calibrated a
// device, what oracles agreed on. ledger/entry/FORMAT.md section 6 has their layouts.

const TYPE = (name) => `application/vnd.wattmark.${name}+cose`;
const shortType = (type) => type.replace(/^application\/vnd\.wattmark\./, "").replace(/\+cose$/, "");

// ---- Keys ----

// keyID is the first 16 bytes of SHA-256 of a key's SubjectPublicKeyInfo (RFC 8410, RFC 5480).
const SPKI_ED25519 = Uint8Array.of(0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00);
const SPKI_P256 = Uint8Array.of(0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01,
  0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00);

function publicKey(alg, raw) {
  alg = Number(alg);
  if (alg === EDDSA) {
    const fault = edKeyFault(raw);
    need(!fault, fault);
    return { alg, raw, id: hex(sha256(joined(SPKI_ED25519, raw)).subarray(0, 16)) };
  }
  need(alg === ES256, tell`${alg} is not an algorithm keys are registered with`);
  need(ecPoint(raw), tell`a P-256 public key is an uncompressed point of 65 bytes on the curve`);
  return { alg, raw, id: hex(sha256(joined(SPKI_P256, raw)).subarray(0, 16)) };
}

// opens says whether a statement is signed by a key that it names.
const opens = async (m, key) => m.kid === key.id && m.alg === key.alg && verifyRaw(key, m.signed, m.signature);

// ---- What begins and ends a key ----

function checkGateway(name) {
  need(/^[a-z0-9][a-z0-9-]{0,62}$/.test(name), tell`a gateway's name is 1 to 63 lower-case letters, digits and hyphens, not "${name}"`);
}

const readPoint = (r) => {
  const p = r.map(tell`metering point`, { 1: readText, 2: readText, 3: (s, what) => s.list(what, 4096, readChannel) });
  checkText(tell`metering point`, p[1], 128);
  need(p[2] === "open" || p[2] === "committed", tell`metering point "${p[1]}" has mode "${p[2]}" instead of open or committed`);
  need(p[3].length <= 256, tell`metering point "${p[1]}" has more than 256 channels`);
  let last = new Uint8Array();
  for (const c of p[3]) {
    need(comesBefore(last, bytesOf(c[1])), tell`channels of "${p[1]}" are not in order of their names`);
    last = bytesOf(c[1]);
  }
  return p[1];
};

const readChannel = (r) => {
  const c = r.map(tell`channel`, { 1: readText, 2: readText, 3: readText, 4: readDecimal, 5: readDecimal, 6: readDecimal });
  checkText(tell`channel`, c[1], 255);
  if (c[2]) checkText(tell`unit`, c[2], 16);
  need(c[3] === "counter" || c[3] === "gauge", tell`channel "${c[1]}" has kind "${c[3]}" instead of counter or gauge`);
  need(compare(c[4], c[5]) <= 0, tell`channel "${c[1]}" has an empty range`);
  need(c[6].mantissa >= 0n, tell`channel "${c[1]}" may change by less than nothing`);
  return c;
};

function checkPoints(points) {
  need(points.length >= 1 && points.length <= 64, tell`an enrolment has ${points.length} metering points instead of 1 to 64`);
  need(new Set(points).size === points.length, tell`a metering point stands twice in one enrolment`);
}

const readPoints = (r, what) => r.list(what, 4096, readPoint);

function parseEnrolment(b) {
  return whole(tell`enrolment`, b, (r) => {
    const e = r.map(tell`enrolment`, { 1: readInt, 2: readBytes, 3: readText, 4: readPoints });
    checkGateway(e[3]);
    need(e[2].length <= 128, tell`a key of ${e[2].length} bytes, over the limit of 128`);
    checkPoints(e[4]);
    return { alg: e[1], key: e[2], gateway: e[3] };
  });
}

const carried = (what, b) => whole(what, b, (r) => {
  const v = r.map(what, { 1: readBytes })[1];
  need(v.length > 0 && v.length <= 60000, tell`a ${what} carries a request of ${v.length} bytes instead of 1 to 60000`);
  return v;
});

const optionalText = (most) => (r, what) => { const s = r.text(what); checkText(what, s, most); return s; };

function parseEnrolmentRequest(b) {
  return whole(tell`enrolment request`, b, (r) => {
    const device = (s) => {
      const d = s.map(tell`device`, { 1: readText, "?2": optionalText(64), "?3": optionalText(64), "?4": optionalText(128) });
      checkText(tell`a device's model`, d[1], 64);
      return d;
    };
    const e = r.map(tell`enrolment request`, {
      1: readInt, 2: readBytes, 3: readText, 4: readPoints, 5: (s, what) => s.list(what, 64, device),
      "?6": optionalText(64), "?7": optionalText(64), "?8": readBytes, "?9": readBytes,
    });
    checkGateway(e[3]);
    need(e[2].length <= 128, tell`a key of ${e[2].length} bytes, over the limit of 128`);
    if (e[8]) {
      need(e[8].length === 16, tell`a key id of ${e[8].length} bytes instead of 16`);
      need(e[4].length === 0, tell`a key that replaces another takes over its metering points and names none`);
    } else {
      checkPoints(e[4]);
    }
    need(!e[9] || e[9].length === 32, tell`a TLS key that has not 32 bytes`);
    return { alg: e[1], key: e[2], gateway: e[3], replaces: e[8] };
  });
}

// openRequest reads a key's wish to be enrolled, or a rotation around one, and verifies
// that the key has signed for itself.
async function openRequest(b, origin) {
  need(b.length <= 60000, tell`a request of ${b.length} bytes, over the limit of 60000`);
  let m = parseStatement(b), outer = null;
  if (m.type === TYPE("rotation")) {
    bareClaims(m, origin);
    outer = m;
    m = parseStatement(carried(tell`rotation`, outer.payload));
  }
  need(m.type === TYPE("enrolment-request"), tell`a statement of type "${m.type}"`);
  bareClaims(m, origin);
  const said = parseEnrolmentRequest(m.payload), key = publicKey(said.alg, said.key);
  need(await opens(m, key), tell`the key has not signed the request`, "signature");
  need(said.replaces ? outer && outer.kid === hex(said.replaces) : !outer, tell`the key that is replaced has not signed it`);
  return { key, gateway: said.gateway, ends: outer ? outer.kid : "" };
}

function bareClaims(m, origin) {
  need(m.contentType === "application/cbor", tell`content type "${m.contentType}"`);
  const c = parseClaims(m.claimBytes);
  need(c.audience === origin, tell`it is for another ledger, "${c.audience}"`);
  need(!c.subject && !c.uptime && !c.count && !c.previous && !c.time && !c.skipped, tell`it has claims besides issuer, ledger and time`);
}

// keyChange is what a statement says of gateways' keys: that one begins, that one ends,
// or both; null of other statements and of what does not read.
async function keyChange(m) {
  try {
    switch (m.type) {
      case TYPE("enrolment"): {
        const e = parseEnrolment(m.payload);
        return { begins: publicKey(e.alg, e.key), gateway: e.gateway, proven: false, ends: "" };
      }
      case TYPE("proven-enrolment"): {
        const r = await openRequest(carried(tell`proven enrolment`, m.payload), parseClaims(m.claimBytes).audience);
        return { begins: r.key, gateway: r.gateway, proven: true, ends: r.ends };
      }
      case TYPE("revocation"): {
        const v = whole(tell`revocation`, m.payload, (r) => r.map(tell`revocation`, { 1: readBytes, 2: readText }));
        need(v[1].length === 16, tell`a key id of ${v[1].length} bytes instead of 16`);
        checkText(tell`reason`, v[2], 255);
        return { begins: null, proven: false, ends: hex(v[1]) };
      }
    }
  } catch (e) {
    if (!(e instanceof Fault)) throw e;
  }
  return null;
}

// ---- Calibrations ----

// parseCalibration returns the channels that a calibration covers, and what it undoes.
function parseCalibration(b) {
  return whole(tell`calibration`, b, (r) => {
    const factors = (s, what) => {
      need(s.count(ARRAY, 3, what) === 3, tell`${what}: three factors`);
      const ratio = readDecimal(s, what), sign = s.integer(what);
      readDecimal(s, what);
      need(ratio.mantissa > 0n && (sign === 1n || sign === -1n), tell`${what}: a ratio not above 0, or a sign that is not 1 or -1`);
    };
    const correction = (s) => {
      const k = s.map(tell`correction`, { 1: readText, 2: factors, 3: factors, 4: readDecimal });
      need(k[1].length > 0 && k[1].length <= 255, tell`a channel's name of too many bytes`);
      checkSenML(k[1], true);
      need(k[4].mantissa >= 0n, tell`channel "${k[1]}" is uncertain by less than nothing`);
      return k[1];
    };
    const reference = (s, what) => {
      const v = s.map(what, { "?1": optionalText(64), 2: readText, "?3": optionalText(64), "?4": optionalText(64) });
      checkText(tell`the reference's model`, v[2], 64);
      return v;
    };
    const c = r.map(tell`calibration`, {
      1: readText, 2: readText, "?3": optionalText(64), 4: (s, what) => s.list(what, 64, correction), 5: readText, "?6": reference,
      7: readText, 8: readInt, "?9": readHash, "?10": readHash,
    });
    for (const [key, most] of [[1, 64], [2, 64], [5, 64], [7, 128]]) checkText(tell`a calibration's text`, c[key], most);
    need(c[4].length > 0 && c[4].every((k, i) => i === 0 || k > c[4][i - 1]), tell`channels of a calibration are not in order of their names`);
    need(c[8] >= 0n && c[8] <= MAX_TIME, tell`time ${c[8]} ms is out of range`);
    return { channels: c[4], method: c[5], time: c[8], undoes: c[10] };
  });
}

// calibrated reads a record that names a calibration: its channel and the identity.
function calibrated(record) {
  if (!record.name.endsWith(".calibration") || !/^[0-9a-f]{64}$/.test(record.text)) return null;
  return { channel: record.name.slice(0, -".calibration".length), identity: record.text };
}

// ---- What oracles agree on ----

// parseMotion also reads the oracle set of a motion for one.
function parseMotion(b) {
  const v = whole(tell`motion`, b, (r) => r.map(tell`motion`, { 1: readText, 2: readUint, 3: readBytes }));
  checkText(tell`kind of a motion`, v[1], 64);
  need(v[3].length > 0 && v[3].length <= 60000, tell`a motion has a body of ${v[3].length} bytes`);
  return { kind: v[1], body: v[3], hash: hex(sha256(b)) }; // there is one encoding: that of b
}

function parseOracleSet(b) {
  return whole(tell`oracle set`, b, (r) => {
    const s = r.map(tell`oracle set`, {
      1: readHash, 2: readUint, 3: readUint, 4: (q, what) => q.list(what, 4096, (t) => readOracle(t, tell`oracle`)),
      5: (q, what) => q.list(what, 4096, readText), 6: readUint,
    });
    checkOracles(s[4], s[2], s[3]);
    const n = BigInt(s[5].length);
    need(n <= 32n && s[6] <= n && (s[6] === 0n) === (n === 0n) && new Set(s[5]).size === s[5].length, tell`the witnesses of an oracle set`);
    s[5].forEach((w) => checkText(tell`witness's key`, w, 512));
    return s[4];
  });
}

const attempt = (f) => {
  try {
    return f();
  } catch (e) {
    if (!(e instanceof Fault)) throw e;
    return null;
  }
};

// voice is the hash of the motion that a statement puts forward or agrees to, or "".
function voice(m) {
  if (m.type === TYPE("motion")) return (attempt(() => parseMotion(m.payload)) || { hash: "" }).hash;
  if (m.type !== TYPE("consent")) return "";
  const c = attempt(() => whole(tell`consent`, m.payload, (r) => r.map(tell`consent`, { 1: readHash })));
  return c ? hex(c[1]) : "";
}

// oracleSetOf returns the oracles that a motion would set, or null.
function oracleSetOf(m) {
  if (m.type !== TYPE("motion")) return null;
  return attempt(() => {
    const k = parseMotion(m.payload);
    return k.kind === "oracles" ? parseOracleSet(k.body) : null;
  });
}

// ---- Releases of firmware ----

// releaseOf reads the manifest (a C2SP signed note) of a statement of a release, or null.
function releaseOf(m) {
  if (m.type !== TYPE("release") || m.contentType !== "application/cbor") return null;
  return attempt(() => {
    const note = whole(tell`release`, m.payload, (r) => r.map(tell`release`, { 1: readBytes }))[1];
    need(note.length <= 4096, tell`a manifest over the limit of 4096 bytes`);
    const text = utf8(note), end = text.indexOf("\n\n");
    need(end >= 0 && end + 2 < text.length, tell`a manifest has an empty line and signatures`);
    const lines = text.slice(0, end).split("\n");
    const names = ["origin", "board", "version", "commit", "root", "size", "kernel", "after"];
    need(lines.length === 9 && lines[0] === "wattmark release v1", tell`no manifest of a release`);
    const v = {};
    names.forEach((name, i) => {
      need(lines[i + 1].startsWith(name + " "), tell`line ${i + 2} of a release starts with "${name} "`);
      v[name] = lines[i + 1].slice(name.length + 1);
    });
    for (const n of ["version", "size", "after"]) need(/^(0|[1-9][0-9]{0,17})$/.test(v[n]), tell`${n} of a release is no number`);
    keyName(tell`origin`, v.origin);
    checkGateway(v.board);
    checkText(tell`kernel release`, v.kernel, 64);
    const root = base64(v.root);
    need(root && root.length === 32 && /^[0-9a-f]{40}$/.test(v.commit) && !/\s/u.test(v.kernel), tell`a release's root, commit or kernel`);
    const [version, after, size] = [v.version, v.after, v.size].map(BigInt);
    need(version > 0n && version <= 1n << 31n && after < version && size > 0n && size <= 500n << 20n, tell`a release's version or size is out of range`);
    return { ...v, root: hex(root) };
  });
}
