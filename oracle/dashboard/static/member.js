// Keeps a member's key on this device and signs with it: a request to be admitted, one to sign
// in, the limits that the member sets, and a dispute. The key is made by the browser, which gives its
// private part to nobody, this page included. Nothing else is signed here.
"use strict";

(() => {
  const say = document.getElementById("device");
  const go = document.getElementById("device-go");
  const limits = document.getElementById("limits");
  if (!(say && go) && !limits) return;
  const utf8 = new TextEncoder();

  // phrase says a text in the language of the page, which has what is not in English.
  const texts = JSON.parse(document.getElementById("texts")?.content.textContent || "{}");
  const phrase = (text, ...of) => (texts[text] || text).replace(/%s/g, () => of.shift());

  const invitation = location.pathname === "/join" ? location.hash.slice(1) : "";

  function tell(text, bad) {
    say.textContent = text;
    say.className = bad ? "state bad" : "";
  }

  // Bytes.

  function joined(...parts) {
    const out = new Uint8Array(parts.reduce((n, p) => n + p.length, 0));
    let at = 0;
    for (const p of parts) {
      out.set(p, at);
      at += p.length;
    }
    return out;
  }
  const binary = (bytes) => String.fromCharCode(...bytes);
  const base64 = (bytes) => btoa(binary(bytes));
  const base64url = (bytes) => base64(bytes).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
  const fromBase64url = (text) => Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (c) => c.charCodeAt(0));
  const hex = (bytes) => [...bytes].map((b) => b.toString(16).padStart(2, "0")).join("");
  const sha256 = async (bytes) => new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));

  // CBOR in its core deterministic encoding (RFC 8949, 4.2.1), as much of it as is needed.
  // Maps are lists of pairs that are in order already.

  function head(kind, n) {
    const b = BigInt(n);
    for (const [most, size, info] of [[23n, 0, 0], [0xffn, 1, 24], [0xffffn, 2, 25], [0xffffffffn, 4, 26], [0xffffffffffffffffn, 8, 27]]) {
      if (b > most) continue;
      if (size === 0) return Uint8Array.of((kind << 5) | Number(b));
      const out = new Uint8Array(1 + size);
      out[0] = (kind << 5) | info;
      for (let i = 0; i < size; i++) out[size - i] = Number((b >> BigInt(8 * i)) & 0xffn);
      return out;
    }
    throw new Error("a number has too many digits");
  }
  const int = (n) => (n < 0 ? head(1, -1 - n) : head(0, n));
  const bytes = (b) => joined(head(2, b.length), b);
  const text = (s) => bytes(utf8.encode(s)).map((b, i) => (i === 0 ? b | 0x20 : b)); // kind 2 becomes 3
  const list = (items) => joined(head(4, items.length), ...items);
  const map = (pairs) => joined(head(5, pairs.length), ...pairs.flat());
  const bool = (b) => Uint8Array.of(b ? 0xf5 : 0xf4);

  // payloadOf is the third part of a COSE_Sign1 (RFC 9052): what the operator has signed. The
  // server verifies it; a device cannot know the operator's key.
  function payloadOf(sign1) {
    let at = sign1[0] === 0xd2 ? 1 : 0;
    if (sign1[at++] !== 0x84) throw new Error("it is no signed statement");
    const string = () => {
      const first = sign1[at++];
      const info = first & 0x1f;
      let size = info;
      if (first >> 5 !== 2 || info > 25) throw new Error("it is no signed statement");
      if (info >= 24) {
        size = 0;
        for (let i = 0; i < (info === 24 ? 1 : 2); i++) size = size * 256 + sign1[at++];
      }
      at += size;
      if (at > sign1.length) throw new Error("it was cut off");
      return sign1.subarray(at - size, at);
    };
    string();
    if (sign1[at++] !== 0xa0) throw new Error("it is no signed statement");
    return string();
  }

  // The key: of Ed25519, or where a browser has none, of P-256.

  function keys() {
    return new Promise((resolve, reject) => {
      const open = indexedDB.open("wattmark", 1);
      open.onupgradeneeded = () => open.result.createObjectStore("keys");
      open.onsuccess = () => resolve(open.result);
      open.onerror = () => reject(open.error);
    });
  }
  async function stored(mode, run) {
    const db = await keys();
    try {
      return await new Promise((resolve, reject) => {
        const t = db.transaction("keys", mode);
        const r = run(t.objectStore("keys"));
        t.oncomplete = () => resolve(r.result);
        t.onerror = t.onabort = () => reject(t.error);
      });
    } finally {
      db.close();
    }
  }
  const loaded = () => stored("readonly", (s) => s.get("member"));

  async function made() {
    let pair;
    try {
      pair = await crypto.subtle.generateKey({ name: "Ed25519" }, false, ["sign", "verify"]);
    } catch {
      pair = await crypto.subtle.generateKey({ name: "ECDSA", namedCurve: "P-256" }, false, ["sign", "verify"]);
    }
    await stored("readwrite", (s) => s.put(pair, "member"));
    return pair;
  }
  const edwards = (pair) => pair.publicKey.algorithm.name === "Ed25519";
  const raw = async (pair) => new Uint8Array(await crypto.subtle.exportKey("raw", pair.publicKey));
  const id = async (pair) => (await sha256(new Uint8Array(await crypto.subtle.exportKey("spki", pair.publicKey)))).subarray(0, 16);

  async function sign(pair, message) {
    const algorithm = edwards(pair) ? "Ed25519" : { name: "ECDSA", hash: "SHA-256" };
    const sig = new Uint8Array(await crypto.subtle.sign(algorithm, pair.privateKey, message));
    if (edwards(pair)) return sig;
    // Of the two values of s that are good the lower one is taken.
    const order = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;
    const s = BigInt("0x" + hex(sig.subarray(32)));
    const low = s > order / 2n ? order - s : s;
    const digits = low.toString(16).padStart(64, "0");
    for (let i = 0; i < 32; i++) sig[32 + i] = parseInt(digits.slice(2 * i, 2 * i + 2), 16);
    return sig;
  }

  // statement is a COSE_Sign1 of a type, with claims and a payload (ledger/entry/FORMAT.md,
  // section 2).
  async function statement(pair, type, claims, payload) {
    const header = map([
      [int(1), int(edwards(pair) ? -8 : -7)], [int(3), text("application/cbor")], [int(4), bytes(await id(pair))], [int(15), claims],
      [int(16), text("application/vnd.wattmark." + type + "+cose")],
    ]);
    const signature = await sign(pair, list([text("Signature1"), bytes(header), bytes(new Uint8Array(0)), bytes(payload)]));
    return joined(Uint8Array.of(0xd2), list([bytes(header), map([]), bytes(payload), bytes(signature)]));
  }

  // asked is the member's request (section 6), signed.
  async function asked(pair, i) {
    const alg = int(edwards(pair) ? -8 : -7);
    const points = i.metering_points.map((p) => map([[int(1), text(p.subject)], [int(2), text(p.import)], ...(p.export ? [[int(3), text(p.export)]] : [])]));
    const payload = map([
      [int(1), alg], [int(2), bytes(await raw(pair))], [int(3), text(i.member)], [int(4), text(i.zone)],
      [int(5), int(i.power_w)], [int(6), bool(i.renewable)], [int(7), list(points)],
    ]);
    const claims = map([[int(1), text("urn:wattmark:member:" + i.member)], [int(3), text(i.ledger)], [int(6), int(Math.floor(Date.now() / 1000))]]);
    return statement(pair, "member-request", claims, payload);
  }

  // words are those of the key, which operator and member compare.
  async function words(pair) {
    const all = document.getElementById("words").content.textContent.trim().split(/\s+/);
    const digest = await id(pair);
    const bits = [...digest].map((b) => b.toString(2).padStart(8, "0")).join("");
    return Array.from({ length: 8 }, (_, i) => all[parseInt(bits.slice(10 * i, 10 * i + 10), 2)]).join(" ");
  }

  // signIn sends one signed request (RFC 9421), and says whether it was taken.
  async function signIn(pair) {
    const target = location.origin + "/api/v1/session";
    const nonce = base64url(crypto.getRandomValues(new Uint8Array(16)));
    const params = `("@method" "@target-uri");created=${Math.floor(Date.now() / 1000)};nonce="${nonce}";keyid="${hex(await id(pair))}";tag="wattmark-member"`;
    const base = `"@method": POST\n"@target-uri": ${target}\n"@signature-params": ${params}`;
    const signature = base64(await sign(pair, utf8.encode(base)));
    const answer = await fetch(target, { method: "POST", headers: { "Signature-Input": "sig=" + params, Signature: `sig=:${signature}:` } });
    const body = await answer.json();
    if (!answer.ok) return body;
    const code = new URL(body.enter, location.origin).searchParams.get("code");
    const entered = await fetch("/member/enter", { method: "POST", body: new URLSearchParams({ code }) });
    if (!entered.ok) return { detail: phrase("The session did not begin.") };
    location.assign("/member");
    return null;
  }

  async function join(pair, i) {
    const request = base64url(await asked(pair, i));
    const answer = await fetch("/api/v1/join", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ invitation, request }) });
    const body = await answer.json();
    if (!answer.ok) throw new Error(phrase(body.detail) + " " + phrase(body.hint));
    return body;
  }

  async function joining() {
    let i;
    try {
      i = JSON.parse(new TextDecoder().decode(payloadOf(fromBase64url(invitation))));
    } catch {
      tell(phrase("The link is not whole: open it as you got it, or ask the operator for another."), true);
      return;
    }
    tell(phrase("You are invited to %s as %s, in zone %s, with %s W.", i.ledger, i.member, i.zone, i.power_w));
    go.hidden = false;
    go.textContent = phrase("Make my key on this device");
    go.onclick = async () => {
      go.disabled = true;
      try {
        const pair = (await loaded()) || (await made());
        const own = await words(pair);
        for (;;) {
          const body = await join(pair, i);
          if (body.state === "admitted" && (await signIn(pair)) === null) return;
          tell(phrase("Tell the operator these words, who compares them and lets you in: %s. This page waits.", own));
          await new Promise((done) => setTimeout(done, 3000));
        }
      } catch (e) {
        tell(e.message, true);
        go.disabled = false;
      }
    };
  }

  async function returning() {
    const pair = await loaded();
    if (!pair) {
      tell(phrase("This device has no key yet. The operator invites you with a link that makes one."));
      return;
    }
    tell(phrase("This device has a key."));
    go.hidden = false;
    go.textContent = phrase("Sign in on this device");
    go.onclick = async () => {
      go.disabled = true;
      try {
        const problem = await signIn(pair);
        if (problem) tell(phrase(problem.detail) + " " + phrase(problem.hint || ""), true);
      } catch (e) {
        tell(e.message, true);
      }
      go.disabled = false;
    };
  }

  // micro is a price of a kWh in millionths, null for none.
  function micro(typed) {
    const parts = typed.trim().replace(",", ".").match(/^(-?)(\d{1,6})(?:\.(\d{1,6}))?$/);
    if (typed.trim() === "") return null;
    if (!parts) throw new Error(phrase("\"%s\" is no price of a kWh: write it as 0.30.", typed));
    const n = Number(parts[2]) * 1_000_000 + Number((parts[3] || "").padEnd(6, "0"));
    return parts[1] ? -n : n;
  }

  // enter signs an entry of a type with this device's key, sends it, and waits until the ledger
  // has it. What it says is made from what the ledger tells of the member.
  async function enter(pair, said, type, payloadFor) {
    const next = async () => {
      const answer = await fetch("/api/v1/signing", { cache: "no-store" });
      if (!answer.ok) throw new Error(phrase("The session has ended. Load this page again, and sign in."));
      return answer.json();
    };
    const own = await next();
    const claims = map([
      [int(1), text("urn:wattmark:member:" + own.member)], [int(3), text(own.ledger)], [int(6), int(own.issued_at)],
      [int(267), int(own.boot_count)], [int(-65537), int(own.sequence_number)],
    ]);
    const body = await statement(pair, type, claims, payloadFor(own));
    const answer = await fetch("/api/v1/entries", { method: "POST", headers: { "Content-Type": "application/cose" }, body });
    const told = await answer.json();
    if (!answer.ok) throw new Error(phrase(told.detail) + " " + phrase(told.hint || ""));
    said.textContent = phrase("Signed and sent.");
    for (let tries = 0; (await next()).sequence_number <= own.sequence_number; tries++) {
      if (tries === 60) throw new Error(phrase("It was sent, and is not on the ledger after half a minute. Look again later: it counts once."));
      await new Promise((done) => setTimeout(done, 500));
    }
    return own;
  }

  // signs has a form run with this device's key, and say what became of it.
  function signs(form, said, run) {
    form.hidden = false;
    form.onsubmit = async (e) => {
      e.preventDefault();
      const button = form.querySelector("button");
      button.disabled = true;
      said.className = "";
      try {
        said.textContent = await run(said);
      } catch (problem) {
        said.textContent = problem.message;
        said.className = "state bad";
      }
      button.disabled = false;
    };
  }

  // setLimits signs a standing entry (ledger/entry/FORMAT.md, section 4).
  async function setLimits(pair, said) {
    const most = micro(document.getElementById("most-buy").value);
    const least = micro(document.getElementById("least-sell").value);
    const own = await enter(pair, said, "standing", (own) => map([
      [int(1), text(own.member)], ...(least === null ? [] : [[int(2), int(least)]]), ...(most === null ? [] : [[int(3), int(most)]]),
      [int(6), int(own.next_interval)],
    ]));
    return phrase("On the ledger: it holds from %s UTC on.", new Date(own.next_interval * 1000).toISOString().slice(11, 16));
  }

  // dispute signs what the meter should have shown. Of what the member has to show its hash
  // alone leaves the device.
  async function dispute(pair, said) {
    const watthours = (name) => {
      const typed = document.getElementById(name).value.trim();
      if (!/^\d{1,9}$/.test(typed)) throw new Error(phrase("\"%s\" is no whole number of Wh.", typed));
      return Number(typed);
    };
    const file = document.getElementById("shown").files[0];
    if (!file) throw new Error(phrase("Choose the file that shows it, as a photo of the meter. It stays on this device: the ledger has its hash."));
    const evidence = await sha256(await file.arrayBuffer());
    const interval = Number(document.getElementById("which").value);
    const [imported, exported] = [watthours("should-import"), watthours("should-export")];
    await enter(pair, said, "dispute", (own) => map([
      [int(1), text(own.member)], [int(2), int(interval)], [int(3), int(imported)], [int(4), int(exported)], [int(5), bytes(evidence)],
    ]));
    return phrase("On the ledger: payment of that quarter hour waits until it is decided. Keep the file, and show it to whoever decides.");
  }

  async function signing() {
    const pair = await loaded();
    if (!pair) return;
    const answer = await fetch("/api/v1/signing", { cache: "no-store" });
    if (!answer.ok || (await answer.json()).key_id !== hex(await id(pair))) return; // signed in by another key
    const said = document.getElementById("limits-said");
    signs(limits, said, () => setLimits(pair, said));
    const form = document.getElementById("dispute");
    if (!form) return;
    const which = document.getElementById("which");
    const fill = () => {
      const o = which.selectedOptions[0];
      if (!o) return;
      document.getElementById("should-import").value = o.dataset.import;
      document.getElementById("should-export").value = o.dataset.export;
    };
    which.onchange = fill;
    fill();
    document.addEventListener("click", (e) => { // rows come and go
      const a = e.target.closest("a[data-dispute]");
      if (!a) return;
      which.value = a.dataset.dispute;
      fill();
    });
    const about = document.getElementById("dispute-said");
    signs(form, about, () => dispute(pair, about));
  }

  if (limits) {
    if (window.isSecureContext) signing().catch(() => {}); // without the form the page is as it is without a script
    return;
  }
  if (!window.isSecureContext) {
    tell(phrase("A browser keeps a key only where the address begins with https://. Ask for that address."), true);
    return;
  }
  (location.pathname === "/join" ? joining() : returning()).catch((e) => tell(phrase("This browser keeps no key: %s", e.message), true));
})();
