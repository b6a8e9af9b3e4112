// What bytes say: CBOR, statements, claims, packs and the leaves of a ledger. Each reader
// takes exactly one encoding of each thing and throws a Fault for all others.

// A Sentence is something said, with what it is about. As text, and in reports, it is
// English. Whoever shows it may say it in another language by its key, in which {0} stands
// for the first of what it is about; these may be sentences too, or lists.
class Sentence {
  constructor(parts, about) { Object.assign(this, { parts, about }); }

  get key() { return this.parts.reduce((s, part, i) => `${s}{${i - 1}}${part}`); }

  toString() { return this.parts.reduce((s, part, i) => s + inEnglish(this.about[i - 1]) + part); }

  toJSON() { return String(this); }
}

const tell = (parts, ...about) => new Sentence(parts, about);

const inEnglish = (x) => (Array.isArray(x) ? x.join("; ") : x instanceof Date ? x.toISOString().slice(0, 10) : String(x));

// Fault is what is wrong with a file: a Sentence. Its kind tells a file that ends too early
// ("truncated") and one of a later format ("version") from all that is malformed.
class Fault extends Error {
  constructor(said, kind = "form") {
    super(String(said));
    Object.assign(this, { said, kind });
  }
}

const fail = (said, kind) => { throw new Fault(said, kind); };
const need = (ok, said, kind) => { if (!ok) fail(said, kind); };

// ---- Bytes and text ----

const hex = (b) => Array.from(b, (x) => x.toString(16).padStart(2, "0")).join("");
const same = (a, b) => a.length === b.length && a.every((x, i) => x === b[i]);
const bytesOf = (text) => new TextEncoder().encode(text);
const utf8 = (b) => {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(b);
  } catch {
    return fail(tell`text is not UTF-8`);
  }
};
const joined = (...parts) => {
  const out = new Uint8Array(parts.reduce((n, p) => n + p.length, 0));
  let at = 0;
  for (const p of parts) { out.set(p, at); at += p.length; }
  return out;
};

function toBase64(b) {
  let s = "";
  for (let i = 0; i < b.length; i += 4096) s += String.fromCharCode(...b.subarray(i, i + 4096));
  return btoa(s);
}

// base64 reads RFC 4648 section 4 with padding, and null of anything else. Strict is the
// one form: bits behind the end are zero (section 3.5).
function base64(s, strict = true) {
  if (!/^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/.test(s)) return null;
  const b = Uint8Array.from(atob(s), (c) => c.charCodeAt(0));
  return strict && toBase64(b) !== s ? null : b;
}

// checkText checks a string from outside: 1 to most bytes, no control character.
function checkText(what, s, most) {
  const n = bytesOf(s).length;
  need(n > 0 && n <= most, tell`${what} has ${n} bytes instead of 1 to ${most}`);
  need(!/[\x00-\x1f\x7f]/.test(s), tell`${what} holds a control character`);
}

// validName says whether s can name a key or a ledger (C2SP signed-note).
const validName = (s) => s !== "" && bytesOf(s).length <= 255 && !/[+\p{White_Space}\p{Cc}]/u.test(s);

function keyName(what, s) {
  need(!/[+\p{White_Space}]/u.test(s), tell`${what} "${s}" holds a space or a plus sign`);
  checkText(what, s, 255);
}

// ---- Deterministic CBOR (RFC 8949 section 4.2.1) ----

const UINT = 0, NINT = 1, BYTES = 2, TEXT = 3, ARRAY = 4, MAP = 5, TAG = 6;
const I63 = 1n << 63n;

// Reader goes over CBOR item by item. Every length is definite, every number in its
// shortest form.
class Reader {
  constructor(b) { this.b = b; this.at = 0; }

  get left() { return this.b.length - this.at; }

  head() {
    need(this.left > 0, tell`truncated: the bytes end where an item should begin`, "truncated");
    const major = this.b[this.at] >> 5, info = this.b[this.at] & 31;
    if (info < 24) { this.at++; return [major, BigInt(info)]; }
    need(info <= 27, tell`an indefinite length or a reserved head`);
    const n = 1 << (info - 24);
    need(this.left > n, tell`truncated: the bytes end within a number`, "truncated");
    const arg = bigEndian(this.b.subarray(this.at + 1, this.at + 1 + n));
    need(arg >= [0n, 24n, 1n << 8n, 0n, 1n << 16n, 0n, 0n, 0n, 1n << 32n][n], tell`not the shortest encoding of a number`);
    this.at += 1 + n;
    return [major, arg];
  }

  expect(want, what) {
    const [major, arg] = this.head();
    need(major === want, tell`${what}: CBOR type ${major} instead of ${want}`);
    return arg;
  }

  count(major, most, what) {
    const n = this.expect(major, what);
    need(n <= BigInt(most), tell`${what}: ${n} items, over the limit of ${most}`);
    return Number(n);
  }

  unsigned(what) { return this.expect(UINT, what); }

  integer(what, limit = I63) {
    const [major, arg] = this.head();
    need(major <= NINT && arg < limit, tell`${what}: not an integer in range`);
    return major === NINT ? -1n - arg : arg;
  }

  string(major, what) {
    const n = this.expect(major, what);
    need(n <= BigInt(this.left), tell`truncated: ${what} should have ${n} bytes, ${this.left} are left`, "truncated");
    this.at += Number(n);
    return this.b.subarray(this.at - Number(n), this.at);
  }

  bytes(what) { return this.string(BYTES, what); }

  text(what) { return utf8(this.string(TEXT, what)); }

  // bytesOrNull reads a byte string, of which null is the empty one.
  bytesOrNull(what) { return this.null() ? new Uint8Array() : this.bytes(what); }

  null() {
    if (this.left === 0 || this.b[this.at] !== 0xf6) return false;
    this.at++;
    return true;
  }

  // list reads an array of what item reads.
  list(what, most, item) {
    const n = this.count(ARRAY, most, what), out = [];
    for (let i = 0; i < n; i++) out.push(item(this, i));
    return out;
  }

  // map reads a map with integer keys in deterministic order: fields has a reader for
  // each. Keys behind "?" may be absent, and then say nothing else that way.
  map(what, fields) {
    const known = new Map(Object.entries(fields).map(([k, v]) => [BigInt(k.replace("?", "")), { read: v, optional: k.startsWith("?") }]));
    const out = {}, seen = new Set();
    let last = null;
    for (let n = this.count(MAP, 64, what); n > 0; n--) {
      const key = this.integer(tell`${what}: key`);
      need(last === null || keyBefore(last, key), tell`${what}: map keys repeated or out of order`);
      const f = known.get(key);
      need(f, tell`${what}: unknown map key ${key}`);
      out[key] = f.read(this, tell`${what}, key ${key}`);
      const v = out[key];
      need(!f.optional || !(v === 0n || v === "" || (v && v.length === 0)), tell`${what}: key ${key} is there and empty`);
      seen.add(last = key);
    }
    for (const [key, f] of known) need(f.optional || seen.has(key), tell`${what}: key ${key} is missing`);
    return out;
  }

  // skip passes over one item of any kind and returns its bytes.
  skip(depth) {
    need(depth > 0, tell`nested too deeply`);
    const start = this.at, [major, arg] = this.head();
    if (major === BYTES || major === TEXT) {
      need(arg <= BigInt(this.left), tell`truncated: the bytes end within a string`, "truncated");
      this.at += Number(arg);
      if (major === TEXT) utf8(this.b.subarray(this.at - Number(arg), this.at));
    } else if (major === ARRAY || major === MAP) {
      need(arg <= BigInt(this.left), tell`truncated: fewer bytes than items`, "truncated");
      let last = null;
      for (let i = 0n; i < arg; i++) {
        const item = this.skip(depth - 1);
        if (major === ARRAY) continue;
        need(last === null || comesBefore(last, item), tell`map keys out of order or repeated`);
        last = item;
        this.skip(depth - 1);
      }
    } else if (major === TAG) {
      this.skip(depth - 1);
    } else if (major === 7) {
      need(this.at - start === 1 && arg >= 20n && arg <= 22n, tell`floats and unusual simple values are not used`);
    }
    return this.b.subarray(start, this.at);
  }

  end(what) { need(this.left === 0, tell`${what}: ${this.left} bytes after the end`); }
}

function keyBefore(a, b) {
  if (a >= 0n && b >= 0n) return a < b;
  if (a < 0n && b < 0n) return a > b;
  return a >= 0n;
}

function comesBefore(a, b) {
  for (let i = 0; i < a.length && i < b.length; i++) if (a[i] !== b[i]) return a[i] < b[i];
  return a.length < b.length;
}

// whole reads all of some bytes.
function whole(what, b, read) {
  const r = new Reader(b), v = read(r);
  r.end(what);
  return v;
}

const readUint = (r, what) => r.unsigned(what);
const readInt = (r, what) => r.integer(what);
const readText = (r, what) => r.text(what);
const readBytes = (r, what) => r.bytes(what);
const readBool = (r, what) => {
  const [major, arg] = r.head();
  need(major === 7 && (arg === 20n || arg === 21n), tell`${what}: not true or false`);
  return arg === 21n;
};
const readHash = (r, what) => {
  const b = r.bytes(what);
  need(b.length === 32, tell`${what}: a hash of ${b.length} bytes instead of 32`);
  return b;
};

// encodeHead and encodeBytes write a head (RFC 8949 section 3) and a byte string.
function encodeHead(major, n) {
  major <<= 5;
  if (n < 24) return Uint8Array.of(major | n);
  if (n < 0x100) return Uint8Array.of(major | 24, n);
  if (n < 0x10000) return Uint8Array.of(major | 25, n >> 8, n & 255);
  return Uint8Array.of(major | 26, n >>> 24, (n >> 16) & 255, (n >> 8) & 255, n & 255);
}

const encodeBytes = (b) => joined(encodeHead(BYTES, b.length), b);

function encodeUint(n) {
  if (n < 1n << 32n) return encodeHead(UINT, Number(n));
  const out = new DataView(new ArrayBuffer(9));
  out.setUint8(0, 0x1b);
  out.setBigUint64(1, n);
  return new Uint8Array(out.buffer);
}

// ---- Statements: COSE_Sign1 (RFC 9052 section 4.2; ledger/entry/FORMAT.md section 1) ----

const MAX_MESSAGE = 65535; // an entry of C2SP tlog-tiles

// sigStructure is what a COSE_Sign1 signs (RFC 9052 section 4.4), with no external data.
const sigStructure = (protectedBytes, payload) =>
  joined(Uint8Array.of(0x84, 0x6a), bytesOf("Signature1"), encodeBytes(protectedBytes), Uint8Array.of(0x40), encodeBytes(payload));

function parseStatement(b) {
  need(b.length <= MAX_MESSAGE, tell`${b.length} bytes, over the limit of ${MAX_MESSAGE}`);
  const r = new Reader(b);
  need(r.expect(TAG, tell`COSE_Sign1 tag`) === 18n, tell`not tagged 18, COSE_Sign1`);
  need(r.expect(ARRAY, tell`COSE_Sign1 array`) === 4n, tell`a COSE_Sign1 has 4 elements`);
  const m = { raw: b, protected: r.bytes(tell`protected header`) };
  need(r.expect(MAP, tell`unprotected header`) === 0n, tell`the unprotected header is not empty`);
  m.payload = r.bytes(tell`payload`);
  m.signature = r.bytes(tell`signature`);
  r.end(tell`statement`);
  need(m.signature.length === 64, tell`a signature of ${m.signature.length} bytes instead of 64`);
  parseProtected(m);
  m.hidden = m.preimageType !== undefined;
  m.signed = sigStructure(m.protected, m.payload);
  return m;
}

function parseProtected(m) {
  const r = new Reader(m.protected), limit = (1n << 62n) + 1n;
  let last = -1n, alg = 0n, hash, kid = new Uint8Array();
  for (let n = r.expect(MAP, tell`protected header`); n > 0n; n--) {
    const label = r.integer(tell`header label`, limit);
    need(label > last, tell`header label ${label} repeated or out of order`);
    last = label;
    switch (label) {
      case 1n: alg = r.integer(tell`algorithm`, limit); break;
      case 3n: m.contentType = mediaType(r, tell`content type`); break;
      case 4n: kid = r.bytes(tell`key id`); break;
      case 15n:
        need(r.left === 0 || r.b[r.at] >> 5 === MAP, tell`claims are not a map`);
        m.claimBytes = r.skip(8);
        break;
      case 16n: m.type = mediaType(r, tell`type`); break;
      case 258n: hash = r.integer(tell`hash algorithm`, limit); break;
      case 259n: m.preimageType = mediaType(r, tell`preimage content type`); break;
      default: fail(tell`header label ${label} is not used by any statement`);
    }
  }
  r.end(tell`protected header`);
  need(hash === undefined || hash === -16n, tell`hash algorithm ${hash} is not -16, SHA-256`);
  if (alg === -8n || alg === -19n) m.alg = EDDSA;
  else if (alg === -7n || alg === -9n) m.alg = ES256;
  else fail(tell`algorithm ${alg} is not accepted`);
  need(kid.length === 16, tell`a key id of ${kid.length} bytes instead of 16`);
  m.kid = hex(kid);
  need(m.type !== undefined, tell`the type (label 16) is missing`);
  const open = m.contentType !== undefined && m.preimageType === undefined && hash === undefined;
  const envelope = m.contentType === undefined && m.preimageType !== undefined && hash !== undefined;
  need(open || envelope, tell`neither a content type (label 3) nor a SHA-256 hash envelope (labels 258 and 259)`);
  need(open || m.payload.length === 32, tell`a hash envelope with a payload of ${m.payload.length} bytes instead of 32`);
}

function mediaType(r, what) {
  const b = r.string(TEXT, what);
  need(b.length > 0 && b.length <= 127, tell`${what}: a media type of ${b.length} bytes instead of 1 to 127`);
  need(b.every((x) => x >= 0x20 && x <= 0x7e), tell`${what} is not printable ASCII`);
  return String.fromCharCode(...b);
}

// ---- CWT claims (RFC 8392, RFC 9711; ledger/entry/FORMAT.md section 2) ----

const CLOCKS = ["unsynced", "rtc", "holdover", "ntp", "simulated"];

function parseClaims(b) {
  need(b && b.length > 0, tell`claims: truncated`, "truncated");
  const bytes32 = (r, what) => { const v = r.bytes(what); need(v.length === 32, tell`${what} has ${v.length} bytes instead of 32`); return v; };
  const c = whole(tell`claims`, b, (r) => r.map(tell`claims`, {
    1: readText, "?2": readText, 3: readText, 6: readInt, "?261": readUint, "?267": readUint, "?-65537": readUint,
    "?-65538": bytes32, "?-65539": readTimeQuality, "?-65541": bytes32,
    "?-65540": (s, what) => {
      need(s.count(ARRAY, 2, what) === 2, tell`${what}: not two numbers`);
      return { first: s.unsigned(what), last: s.unsigned(what) };
    },
  }));
  const out = {
    issuer: c[1], subject: c[2] || "", audience: c[3], issuedAt: c[6], uptime: c[261] || 0n, boot: c[267] || 0n, count: c[-65537] || 0n,
    previous: c[-65538], time: c[-65539], skipped: c[-65540], firmware: c[-65541],
  };
  checkText(tell`issuer`, out.issuer, 255);
  checkText(tell`ledger origin`, out.audience, 255);
  if (out.subject) checkText(tell`subject`, out.subject, 255);
  need(out.issuedAt >= 0n && out.issuedAt <= 1n << 40n, tell`time of signing ${out.issuedAt} is out of range`);
  need(out.boot <= 1n << 53n && out.count <= 1n << 53n, tell`sequence ${out.boot}-${out.count} is out of range`);
  need((out.boot === 0n) === (out.count === 0n), tell`boot count and sequence number go together and start at 1`);
  const s = out.skipped;
  need(!s || (s.first > 0n && s.last >= s.first && s.last < out.count), tell`skipped numbers do not lie before the statement's own`);
  return out;
}

// readTimeQuality reads {-7: {1: s, -9: ns}, "quality": text, "monotonic": ns} (RFC 9581).
function readTimeQuality(r) {
  const what = tell`time quality`, n = r.count(MAP, 3, what), t = { uncertainty: 0n };
  need(n >= 2, tell`${what}: a key is missing`);
  if (n === 3) {
    need(r.integer(what) === -7n, tell`${what}: unknown map key`);
    const m = r.count(MAP, 2, what);
    need(m > 0 && r.integer(what) === 1n, tell`${what}: a duration without seconds`);
    const seconds = r.unsigned(what);
    let nanos = 0n;
    if (m === 2) {
      need(r.integer(what) === -9n, tell`${what}: unknown map key`);
      nanos = r.unsigned(what);
      need(nanos > 0n, tell`${what}: nanoseconds that are there and 0`);
    }
    need(seconds <= (1n << 62n) / 1000000000n && nanos < 1000000000n, tell`${what}: number out of range`);
    t.uncertainty = seconds * 1000000000n + nanos;
    need(t.uncertainty > 0n && t.uncertainty <= 1n << 62n, tell`${what}: an uncertainty of ${t.uncertainty} ns`);
  }
  need(r.text(what) === "quality", tell`${what}: unknown map key`);
  t.quality = r.text(what);
  need(r.text(what) === "monotonic", tell`${what}: unknown map key`);
  t.monotonic = r.unsigned(what);
  need(CLOCKS.includes(t.quality), tell`clock quality "${t.quality}" is not known`);
  return t;
}

// ---- Packs: SenML in CBOR (RFC 8428 section 6; ledger/entry/FORMAT.md section 3) ----

const MAX_TIME = 1n << 50n;

function readDecimal(r, what) {
  if (r.left === 0 || r.b[r.at] !== 0xc4) return { mantissa: r.integer(what), exponent: 0 };
  r.at++;
  need(r.count(ARRAY, 2, what) === 2, tell`${what}: a decimal fraction has two parts`);
  const exponent = r.integer(what), mantissa = r.integer(what);
  need(exponent >= -18n && exponent < 0n, tell`${what}: exponent out of range`);
  return { mantissa, exponent: Number(exponent) };
}

// milli is a decimal in whole thousandths.
function milli(d, what) {
  let { mantissa, exponent } = d;
  for (; exponent < -3; exponent++) {
    need(mantissa % 10n === 0n, tell`${what} is no time in whole milliseconds`);
    mantissa /= 10n;
  }
  const n = mantissa * 10n ** BigInt(exponent + 3);
  need(n >= -I63 && n < I63, tell`${what} is out of range`);
  return n;
}

const compare = (a, b) => {
  const least = Math.min(a.exponent, b.exponent), at = (d) => d.mantissa * 10n ** BigInt(d.exponent - least);
  return at(a) < at(b) ? -1 : at(a) > at(b) ? 1 : 0;
};

// readAscii reads a text of which checkSenML sees later that it is ASCII.
const readAscii = (r, what) => String.fromCharCode(...r.string(TEXT, what));

function checkSenML(s, start) {
  need(/^[A-Za-z0-9:./_-]*$/.test(s) && !(start && !/^[A-Za-z0-9]/.test(s)), tell`name "${s}" has a character that SenML does not allow`);
}

function parsePack(b) {
  const r = new Reader(b), n = r.count(ARRAY, 1000, tell`pack`);
  need(n > 0 && n <= Math.floor(b.length / 3), tell`a pack of ${n} records in ${b.length} bytes`);
  const pack = { base: "", records: [] };
  let time = 0n;
  for (let i = 0; i < n; i++) {
    const what = tell`record ${i}`;
    const w = r.map(what, {
      "?0": readAscii, "?1": readAscii, "?2": readDecimal, "?3": readText, "?6": readDecimal, "?-2": readAscii, "?-3": readDecimal,
    });
    if (i === 0) {
      need(w[-3], tell`a pack without base time`);
      time = milli(w[-3], tell`base time`);
      need(time >= 0n && time <= MAX_TIME, tell`base time is out of range`);
      pack.base = w[-2] || "";
      need(pack.base.length <= 255, tell`a base name of ${pack.base.length} bytes, over the limit of 255`);
      if (pack.base) checkSenML(pack.base, true);
    } else {
      need(!w[-2] && !w[-3], tell`${what}: base fields stand in the first record alone`);
    }
    need((w[2] !== undefined) !== (w[3] !== undefined), tell`${what} has either a value or a text`);
    const own = w[0] || "", name = pack.base + own;
    need(name.length > 0 && name.length <= 255, tell`${what}: a name has ${name.length} bytes instead of 1 to 255`);
    checkSenML(own, pack.base === "");
    let at = time;
    if (w[6]) {
      const dt = milli(w[6], tell`${what}: time`);
      need(dt >= -MAX_TIME && dt <= MAX_TIME, tell`${what}: time is out of range`);
      at += dt;
    }
    need(at >= 0n && at <= MAX_TIME, tell`${what}: time ${at} ms is out of range`);
    const unit = w[1] ? utf8(Uint8Array.from(w[1], (c) => c.charCodeAt(0))) : "";
    if (unit) checkText(tell`unit`, unit, 16);
    if (w[3]) checkText(tell`text`, w[3], 255);
    pack.records.push({ name, unit, time: at, value: w[2], text: w[3] || "" });
  }
  r.end(tell`pack`);
  return pack;
}

// parseCommitted reads the preimage [salt, records] of a committed pack.
function parseCommitted(b) {
  need(b.length <= 70000, tell`a committed pack of ${b.length} bytes, over the limit of 70000`);
  return whole(tell`committed pack`, b, (r) => {
    need(r.count(ARRAY, 2, tell`committed pack`) === 2, tell`a committed pack is a salt and records`);
    const salt = r.bytes(tell`salt`);
    need(salt.length >= 16 && salt.length <= 64, tell`a salt of ${salt.length} bytes instead of 16 to 64`);
    return { salt, pack: r.skip(8) };
  });
}

// ---- Leaves (ledger/block/FORMAT.md section 1, ledger/entry/FORMAT.md sections 4 and 5) ----

// kindOf tells a leaf's sort from its first bytes.
function kindOf(leaf) {
  if (leaf.length < 2) return "unknown";
  if (leaf[0] === 0xd2) return "statement";
  if (leaf[0] >> 5 !== ARRAY) return "unknown";
  if (leaf[1] >> 5 === UINT) return "header";
  if (leaf[1] === 0x67 && leaf.length > 9 && String.fromCharCode(...leaf.subarray(2, 9)) === "charter") return "charter";
  return leaf[1] >> 5 === TEXT ? "outcome" : "unknown";
}

function parseHeader(b) {
  return whole(tell`header`, b, (r) => {
    need(r.count(ARRAY, 8, tell`header`) === 8, tell`a header has 8 fields`);
    const version = r.unsigned(tell`version`);
    need(version === 1n, tell`header version ${version} is not known`, "version");
    const h = {
      origin: r.text(tell`origin`), height: r.unsigned(tell`height`), prev: readHash(r, tell`header before`), first: r.unsigned(tell`first leaf`),
      size: r.unsigned(tell`size`), root: readHash(r, tell`root`), time: r.integer(tell`time`),
    };
    need(h.height <= 1n << 60n && h.size <= 1n << 60n, tell`height ${h.height} or size ${h.size} is out of range`);
    need(validName(h.origin), tell`"${h.origin}" is not an origin`);
    need(h.first <= h.size, tell`block ${h.height} starts at leaf ${h.first} after its end ${h.size}`);
    need(h.time >= 0n && h.time <= MAX_TIME, tell`time ${h.time} ms is out of range`);
    return h;
  });
}

const readOracle = (r, what) => {
  const o = r.map(what, { 1: readText, 2: readInt, 3: readBytes, 4: readText, 5: readText });
  keyName(tell`oracle name`, o[1]);
  need(o[3].length > 0 && o[3].length <= 128, tell`oracle "${o[1]}" has a key of ${o[3].length} bytes`);
  checkText(tell`log key`, o[4], 512);
  checkText(tell`cosigner key`, o[5], 512);
  return { name: o[1], alg: o[2], key: o[3], log: o[4], cosigner: o[5] };
};

function checkOracles(oracles, quorum, governance) {
  const n = BigInt(oracles.length);
  need(n > 0n && n <= 64n, tell`${n} oracles instead of 1 to 64`);
  need(quorum <= n && 3n * quorum > 2n * n, tell`a quorum of ${quorum} of ${n} oracles is not more than two thirds`);
  need(governance > 0n && governance <= n, tell`a governance threshold of ${governance} of ${n} oracles`);
  oracles.forEach((o, i) => oracles.slice(0, i).forEach((p) =>
    need(p.name !== o.name && !same(p.key, o.key) && p.log !== o.log && p.cosigner !== o.cosigner, tell`oracles "${p.name}" and "${o.name}" share a name or key`)));
}

function parseCharter(b) {
  return whole(tell`charter`, b, (r) => {
    need(r.count(ARRAY, 3, tell`charter`) === 3 && r.text(tell`kind`) === "charter", tell`not a charter`);
    const version = r.unsigned(tell`version`);
    need(version === 1n, tell`charter version ${version} is not known`, "version");
    const c = r.map(tell`charter`, {
      1: readText, 2: readInt, 3: readUint, 4: readUint, 5: (s, what) => s.list(what, 4096, (t) => readOracle(t, tell`oracle`)),
      6: (s, what) => s.list(what, 4096, (t) => t.map(tell`parameter`, { 1: readText, 2: readInt })), 7: readBool,
    });
    keyName(tell`origin`, c[1]);
    checkOracles(c[5], c[3], c[4]);
    need(c[2] >= 0n && c[2] <= MAX_TIME, tell`charter time ${c[2]} ms is out of range`);
    let last = new Uint8Array();
    for (const p of c[6]) {
      need(comesBefore(last, bytesOf(p[1])), tell`parameters are not in order of their names`);
      checkText(tell`parameter`, p[1], 64);
      last = bytesOf(p[1]);
    }
    return { origin: c[1], oracles: c[5], simulated: c[7] };
  });
}

const BODIED = ["cleared", "settled", "certified", "moved", "stated", "issued"];

// parseOutcome reads what the rules made of an entry. The body of one that has one is for
// the rules to read: here it is only seen to be deterministic.
function parseOutcome(b) {
  return whole(tell`outcome`, b, (r) => {
    const n = r.count(ARRAY, 6, tell`outcome`), kind = r.text(tell`kind`), version = r.unsigned(tell`version`);
    if (n === 3) {
      need(version === 2n && BODIED.includes(kind), tell`an outcome "${kind}" of version ${version} is not known`, "version");
      return { kind, code: "", detail: "", body: r.skip(8) };
    }
    need(n === 6 && version === 1n, tell`outcome version ${version} is not known`, "version");
    const leaf = r.null() ? null : r.unsigned(tell`leaf`), hash = r.null() ? null : readHash(r, tell`hash`);
    const o = { kind, leaf, hash, code: r.text(tell`code`), detail: r.text(tell`detail`) };
    need(bytesOf(o.code).length <= 64 && bytesOf(o.detail).length <= 255, tell`an outcome's code or detail is too long`);
    const about = kind === "flagged" ? leaf !== null && hash === null
      : ["refused", "adopted", "void", "snapshot", "quarantined"].includes(kind) && leaf === null && hash !== null;
    need(about, tell`an outcome of kind "${kind}" with these fields is not known`);
    return o;
  });
}
