// Archives that are dropped: tar (POSIX ustar and pax), gzip around one, and zip (APPNOTE
// 6.3.10, stored and deflated). What is taken out of one is bounded in number and bytes.

const MAX_FILES = 10000, MAX_UNPACKED = 256 << 20;

// inflate decompresses at most most bytes.
async function inflate(b, format, most) {
  const reader = new Blob([b]).stream().pipeThrough(new DecompressionStream(format)).getReader(), out = [];
  let n = 0;
  try {
    for (let step = await reader.read(); !step.done; step = await reader.read()) {
      n += step.value.length;
      if (n > most) throw new Fault(tell`it unpacks to more than ${most} bytes`);
      out.push(step.value);
    }
  } catch (e) {
    throw e instanceof TypeError ? new Fault(tell`it is truncated or damaged`) : e;
  }
  return new Uint8Array(await new Blob(out).arrayBuffer());
}

const ascii = (b) => { let s = ""; for (const x of b) { if (!x) break; s += String.fromCharCode(x); } return s; };

function untar(b) {
  const files = [];
  let long = "";
  for (let at = 0; at + 512 <= b.length && b[at]; ) {
    const h = b.subarray(at, at + 512), size = parseInt(ascii(h.subarray(124, 136)).trim() || "0", 8), kind = String.fromCharCode(h[156] || 48);
    if (!(size >= 0) || at + 512 + size > b.length) throw new Fault(tell`it is truncated or damaged`);
    const body = b.subarray(at + 512, at + 512 + size), prefix = ascii(h.subarray(257, 262)) === "ustar" ? ascii(h.subarray(345, 500)) : "";
    if (kind === "x") long = (/\d+ path=([^\n]*)\n/.exec(new TextDecoder().decode(body)) || ["", ""])[1];
    else if (kind === "L") long = ascii(body);
    else {
      if (kind === "0") files.push({ name: long || (prefix ? prefix + "/" : "") + ascii(h.subarray(0, 100)), bytes: body });
      long = "";
    }
    if (files.length > MAX_FILES) throw new Fault(tell`it has more than ${MAX_FILES} files`);
    at += 512 + Math.ceil(size / 512) * 512;
  }
  return files;
}

async function unzip(b) {
  const v = new DataView(b.buffer, b.byteOffset, b.length), files = [], bad = () => new Fault(tell`it is truncated or damaged`);
  let end = b.length - 22, left = MAX_UNPACKED;
  while (end >= 0 && v.getUint32(end, true) !== 0x06054b50) end--;
  if (end < 0) throw bad();
  const n = v.getUint16(end + 10, true);
  if (n > MAX_FILES) throw new Fault(tell`it has more than ${MAX_FILES} files`);
  try {
    for (let i = 0, at = v.getUint32(end + 16, true); i < n; i++) {
      if (v.getUint32(at, true) !== 0x02014b50) throw bad();
      const method = v.getUint16(at + 10, true), size = v.getUint32(at + 20, true), nameLength = v.getUint16(at + 28, true), local = v.getUint32(at + 42, true);
      const name = new TextDecoder().decode(b.subarray(at + 46, at + 46 + nameLength));
      const from = local + 30 + v.getUint16(local + 26, true) + v.getUint16(local + 28, true), raw = b.subarray(from, from + size);
      at += 46 + nameLength + v.getUint16(at + 30, true) + v.getUint16(at + 32, true);
      if (name.endsWith("/")) continue;
      if (method !== 0 && method !== 8) throw new Fault(tell`${name} is compressed in a way that is not known here`);
      const bytes = method === 8 ? await inflate(raw, "deflate-raw", left) : raw;
      left -= bytes.length;
      if (raw.length < size || left < 0) throw left < 0 ? new Fault(tell`it unpacks to more than ${MAX_UNPACKED} bytes`) : bad();
      files.push({ name, bytes });
    }
  } catch (e) {
    throw e instanceof RangeError ? bad() : e;
  }
  return files;
}

// unpack returns the files in an archive, or null for what is none.
async function unpack(name, b) {
  if (b[0] === 0x1f && b[1] === 0x8b) {
    const inner = await inflate(b, "gzip", MAX_UNPACKED), short = name.replace(/\.t?gz$/, "");
    return ascii(inner.subarray(257, 262)) === "ustar" ? untar(inner) : [{ name: short, bytes: inner }];
  }
  if (b[0] === 0x50 && b[1] === 0x4b && b[2] === 3 && b[3] === 4) return unzip(b);
  return ascii(b.subarray(257, 262)) === "ustar" ? untar(b) : null;
}
