// Hashes and signatures. The browser's WebCrypto does the work where it is there; all
// of it is also here in plain arithmetic, as a page that came over plain http has no
// crypto.subtle, and as the rule by which the ledger takes a signature (ZIP-215) is
// wider than what browsers take. Nothing here handles a secret, so nothing needs to
// run in constant time.

// ---- SHA-256 and SHA-512 (FIPS 180-4 section 6) ----

// primes returns the first n primes, from whose roots FIPS 180-4 takes its constants.
function primes(n) {
  const out = [];
  for (let c = 2; out.length < n; c++) if (out.every((p) => c % p)) out.push(c);
  return out;
}

// root returns floor(x^(1/k)) of a large integer.
function root(x, k) {
  let low = 0n, high = 1n << 72n;
  while (high - low > 1n) {
    const mid = (low + high) >> 1n;
    if (mid ** k > x) high = mid; else low = mid;
  }
  return low;
}

// The first 64 bits of the fractional parts of the roots of primes (FIPS 180-4
// sections 4.2.3 and 5.3.5); SHA-256 uses the first 32 of them.
const MASK64 = (1n << 64n) - 1n;
const K512 = primes(80).map((p) => root(BigInt(p) << 192n, 3n) & MASK64);
const H512 = primes(8).map((p) => root(BigInt(p) << 128n, 2n) & MASK64);
const K256 = Int32Array.from(K512.slice(0, 64), (k) => Number(k >> 32n) | 0);
const H256 = Int32Array.from(H512, (h) => Number(h >> 32n) | 0);

// padded appends 1, zeroes and the length in bits, to a multiple of block bytes.
function padded(message, block, lengthBytes) {
  const n = Math.ceil((message.length + 1 + lengthBytes) / block) * block;
  const b = new Uint8Array(n);
  b.set(message);
  b[message.length] = 0x80;
  const view = new DataView(b.buffer);
  view.setUint32(n - 8, Math.floor(message.length / 0x20000000));
  view.setUint32(n - 4, (message.length << 3) >>> 0);
  return view;
}

function sha256(message) {
  const view = padded(message, 64, 8), h = H256.slice(), w = new Int32Array(64);
  for (let at = 0; at < view.byteLength; at += 64) {
    for (let i = 0; i < 16; i++) w[i] = view.getInt32(at + 4 * i);
    for (let i = 16; i < 64; i++) {
      const x = w[i - 15], y = w[i - 2];
      const s0 = ((x >>> 7) | (x << 25)) ^ ((x >>> 18) | (x << 14)) ^ (x >>> 3);
      const s1 = ((y >>> 17) | (y << 15)) ^ ((y >>> 19) | (y << 13)) ^ (y >>> 10);
      w[i] = (w[i - 16] + s0 + w[i - 7] + s1) | 0;
    }
    let [a, b, c, d, e, f, g, k] = h;
    for (let i = 0; i < 64; i++) {
      const s1 = ((e >>> 6) | (e << 26)) ^ ((e >>> 11) | (e << 21)) ^ ((e >>> 25) | (e << 7));
      const t1 = (k + s1 + ((e & f) ^ (~e & g)) + K256[i] + w[i]) | 0;
      const s0 = ((a >>> 2) | (a << 30)) ^ ((a >>> 13) | (a << 19)) ^ ((a >>> 22) | (a << 10));
      const t2 = (s0 + ((a & b) ^ (a & c) ^ (b & c))) | 0;
      k = g; g = f; f = e; e = (d + t1) | 0; d = c; c = b; b = a; a = (t1 + t2) | 0;
    }
    h[0] += a; h[1] += b; h[2] += c; h[3] += d; h[4] += e; h[5] += f; h[6] += g; h[7] += k;
  }
  const out = new DataView(new ArrayBuffer(32));
  h.forEach((x, i) => out.setInt32(4 * i, x));
  return new Uint8Array(out.buffer);
}

function sha512(message) {
  const view = padded(message, 128, 16), h = H512.slice(), w = new Array(80);
  const turn = (x, n) => (x >> n) | ((x << (64n - n)) & MASK64);
  for (let at = 0; at < view.byteLength; at += 128) {
    for (let i = 0; i < 16; i++) w[i] = view.getBigUint64(at + 8 * i);
    for (let i = 16; i < 80; i++) {
      const x = w[i - 15], y = w[i - 2];
      const s0 = turn(x, 1n) ^ turn(x, 8n) ^ (x >> 7n), s1 = turn(y, 19n) ^ turn(y, 61n) ^ (y >> 6n);
      w[i] = (w[i - 16] + s0 + w[i - 7] + s1) & MASK64;
    }
    let [a, b, c, d, e, f, g, k] = h;
    for (let i = 0; i < 80; i++) {
      const s1 = turn(e, 14n) ^ turn(e, 18n) ^ turn(e, 41n);
      const t1 = k + s1 + ((e & f) ^ ((e ^ MASK64) & g)) + K512[i] + w[i];
      const s0 = turn(a, 28n) ^ turn(a, 34n) ^ turn(a, 39n);
      const t2 = s0 + ((a & b) ^ (a & c) ^ (b & c));
      k = g; g = f; f = e; e = (d + t1) & MASK64; d = c; c = b; b = a; a = (t1 + t2) & MASK64;
    }
    [a, b, c, d, e, f, g, k].forEach((x, i) => { h[i] = (h[i] + x) & MASK64; });
  }
  const out = new DataView(new ArrayBuffer(64));
  h.forEach((x, i) => out.setBigUint64(8 * i, x));
  return new Uint8Array(out.buffer);
}

// ---- Integers ----

function bigEndian(b) {
  let n = 0n;
  const view = new DataView(b.buffer, b.byteOffset, b.length);
  let i = 0;
  for (; i + 8 <= b.length; i += 8) n = (n << 64n) | view.getBigUint64(i);
  for (; i < b.length; i++) n = (n << 8n) | BigInt(b[i]);
  return n;
}

const littleEndian = (b) => bigEndian(Uint8Array.from(b).reverse());

const mod = (a, m) => { const r = a % m; return r < 0n ? r + m : r; };

function power(b, e, m) {
  let r = 1n;
  for (b = mod(b, m); e > 0n; e >>= 1n) {
    if (e & 1n) r = (r * b) % m;
    b = (b * b) % m;
  }
  return r;
}

// inverse is by Fermat's theorem: m is prime.
const inverse = (a, m) => power(a, m - 2n, m);

// sumOf computes u*P + v*Q of a group, four bits of both at a time (Straus).
function sumOf(add, zero, u, P, v, Q) {
  const table = (X) => { const t = [zero, X]; while (t.length < 16) t.push(add(t[t.length - 1], X)); return t; };
  const p = table(P), q = table(Q);
  let r = zero;
  for (let shift = 252n; shift >= 0n; shift -= 4n) {
    for (let i = 0; i < 4; i++) r = add(r, r);
    const a = Number((u >> shift) & 15n), b = Number((v >> shift) & 15n);
    if (a) r = add(r, p[a]);
    if (b) r = add(r, q[b]);
  }
  return r;
}

// ---- Ed25519 (RFC 8032 section 5.1), verified by ZIP-215 ----

const P25519 = (1n << 255n) - 19n;
const L25519 = (1n << 252n) + 27742317777372353535851937790883648493n; // the order of the base point
const D25519 = mod(-121665n * inverse(121666n, P25519), P25519);
const D2 = (2n * D25519) % P25519;
const ROOT_OF_MINUS_1 = power(2n, (P25519 - 1n) / 4n, P25519);
const ED_ZERO = [0n, 1n, 1n, 0n];

// edAdd adds points in extended coordinates (RFC 8032 section 5.1.4). It is complete:
// it holds for every pair of points.
function edAdd([x1, y1, z1, t1], [x2, y2, z2, t2]) {
  const a = (y1 - x1) * (y2 - x2) % P25519, b = (y1 + x1) * (y2 + x2) % P25519;
  const c = t1 * D2 % P25519 * t2 % P25519, d = 2n * z1 * z2 % P25519;
  const e = b - a, f = d - c, g = d + c, h = b + a;
  return [e * f % P25519, g * h % P25519, f * g % P25519, e * h % P25519];
}

// edPoint reads a point as ZIP-215 does: y may be p or above, and x = 0 may have the
// sign set. It returns null for what is no point.
function edPoint(b) {
  const n = littleEndian(b), sign = n >> 255n, y = (n & ((1n << 255n) - 1n)) % P25519;
  const u = mod(y * y - 1n, P25519), v = mod(D25519 * y * y + 1n, P25519);
  const v3 = v * v % P25519 * v % P25519;
  let x = u * v3 % P25519 * power(u * v3 % P25519 * (v3 * v % P25519) % P25519, (P25519 - 5n) / 8n, P25519) % P25519;
  const check = v * x % P25519 * x % P25519;
  if (check === mod(-u, P25519)) x = x * ROOT_OF_MINUS_1 % P25519;
  else if (check !== u) return null;
  if ((x & 1n) !== sign) x = mod(-x, P25519);
  return [x, y, 1n, x * y % P25519];
}

const ED_BASE = edPoint(Uint8Array.from({ length: 32 }, (_, i) => (i ? 0x66 : 0x58)));

const edTimes8 = (p) => { for (let i = 0; i < 3; i++) p = edAdd(p, p); return p; };
const edIsZero = ([x, y, z]) => mod(x, P25519) === 0n && mod(y - z, P25519) === 0n;

// edKeyFault says why bytes are no Ed25519 public key that is taken, or "".
function edKeyFault(raw) {
  if (raw.length !== 32) return tell`an Ed25519 public key has 32 bytes, not ${raw.length}`;
  const p = edPoint(raw);
  if (!p) return tell`an Ed25519 public key that is no point of the curve`;
  const n = littleEndian(raw);
  if ((n & ((1n << 255n) - 1n)) >= P25519 || (p[0] === 0n && n >> 255n)) return tell`an Ed25519 public key whose encoding is not the canonical one`;
  if (edIsZero(edTimes8(p))) return tell`an Ed25519 public key of small order, for which anybody can sign`;
  return "";
}

// edVerify is ZIP-215: S < L, and 8(S*B) = 8R + 8(k*A).
function edVerify(key, message, sig) {
  const s = littleEndian(sig.subarray(32)), A = edPoint(key), R = edPoint(sig.subarray(0, 32));
  if (s >= L25519 || !A || !R) return false;
  const hashed = new Uint8Array(64 + message.length);
  hashed.set(sig.subarray(0, 32));
  hashed.set(key, 32);
  hashed.set(message, 64);
  const k = littleEndian(sha512(hashed)) % L25519;
  const left = sumOf(edAdd, ED_ZERO, s, ED_BASE, L25519 - k, A);
  // (L-k)*A is -k*A but for a part of small order, which the factor 8 takes away.
  const minusR = [mod(-R[0], P25519), R[1], R[2], mod(-R[3], P25519)];
  return edIsZero(edTimes8(edAdd(left, minusR)));
}

// ---- ES256: ECDSA with P-256 and SHA-256 (FIPS 186-5, SEC 1 section 4.1.4), low S ----

const P256 = (1n << 256n) - (1n << 224n) + (1n << 192n) + (1n << 96n) - 1n;
const N256 = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;
const B256 = 0x5ac635d8aa3a93e7b3ebbd55769886bc651d06b0cc53b0f63bce3c3e27d2604bn;
const G256 = [0x6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296n,
  0x4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5n, 1n];
const EC_ZERO = [0n, 1n, 0n];

// ecAdd adds points in projective coordinates (X/Z, Y/Z), a = -3: the complete formula
// of Renes, Costello and Batina 2016, algorithm 4.
function ecAdd([x1, y1, z1], [x2, y2, z2]) {
  const m = (a) => mod(a, P256);
  let t0 = m(x1 * x2), t1 = m(y1 * y2), t2 = m(z1 * z2);
  const t3 = m((x1 + y1) * (x2 + y2) - t0 - t1);
  const t4 = m((y1 + z1) * (y2 + z2) - t1 - t2);
  let y3 = m((x1 + z1) * (x2 + z2) - t0 - t2);
  let x3 = m(3n * (y3 - B256 * t2));
  let z3 = m(t1 - x3);
  x3 = m(t1 + x3);
  y3 = m(3n * (B256 * y3 - 3n * t2 - t0));
  t0 = m(3n * (t0 - t2));
  const both = m(x3 * z3 + t0 * y3);
  x3 = m(t3 * x3 - t4 * y3);
  z3 = m(t4 * z3 + t3 * t0);
  return [x3, both, z3];
}

// ecPoint reads an uncompressed point (SEC 1 section 2.3.4), or returns null.
function ecPoint(raw) {
  if (raw.length !== 65 || raw[0] !== 4) return null;
  const x = bigEndian(raw.subarray(1, 33)), y = bigEndian(raw.subarray(33));
  if (x >= P256 || y >= P256 || mod(y * y - x * x * x + 3n * x - B256, P256) !== 0n) return null;
  return [x, y, 1n];
}

const lowS = (sig) => bigEndian(sig.subarray(32)) <= N256 >> 1n;

function ecVerify(key, message, sig) {
  const Q = ecPoint(key), r = bigEndian(sig.subarray(0, 32)), s = bigEndian(sig.subarray(32));
  if (!Q || r === 0n || s === 0n || r >= N256 || !lowS(sig)) return false;
  const w = inverse(s, N256), e = bigEndian(sha256(message));
  const [x, , z] = sumOf(ecAdd, EC_ZERO, e * w % N256, G256, r * w % N256, Q);
  return z !== 0n && mod(x * inverse(z, P256), P256) % N256 === r;
}

// ---- One rule for both ----

const EDDSA = -8, ES256 = -7; // COSE algorithms (RFC 9053 table 2)

// Receipts of one checkpoint share a signature: what was verified is remembered.
const verified = new Map();

// verifyRaw says whether sig is the signature of message under a key. WebCrypto's true
// is true; its false, or that it cannot, is decided again here by ZIP-215.
async function verifyRaw(key, message, sig) {
  if (sig.length !== 64) return false;
  const name = `${key.id} ${hex(sha256(message))} ${hex(sig)}`;
  if (verified.has(name)) return verified.get(name);
  const ok = await decide(key, message, sig);
  if (verified.size >= 4096) verified.clear();
  verified.set(name, ok);
  return ok;
}

async function decide(key, message, sig) {
  if (key.alg === ES256 ? !lowS(sig) : littleEndian(sig.subarray(32)) >= L25519) return false;
  const subtle = globalThis.crypto && globalThis.crypto.subtle;
  if (subtle) {
    const ec = key.alg === ES256;
    try {
      const k = await subtle.importKey("raw", key.raw, ec ? { name: "ECDSA", namedCurve: "P-256" } : { name: "Ed25519" }, false, ["verify"]);
      if (await subtle.verify(ec ? { name: "ECDSA", hash: "SHA-256" } : { name: "Ed25519" }, k, sig, message)) return true;
    } catch {
      // An algorithm that this browser does not have.
    }
  }
  return key.alg === ES256 ? ecVerify(key.raw, message, sig) : edVerify(key.raw, message, sig);
}
