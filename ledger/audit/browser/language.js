// What the page says, in the visitor's language. Texts are written in English, and de.json
// has each of them in German under that text: {0} stands for the first thing it is about.

const { tell, Sentence, Fault } = Wattmark;

const LANGUAGES = { en: null, de: GERMAN };
let language = "en";

const inLanguage = (key) => (LANGUAGES[language] && LANGUAGES[language][key]) || key;

// spoken is a sentence, or what one is about, in the page's language. What is no sentence
// comes from a file or from another verifier, and stays as it is.
function spoken(x) {
  if (language === "en") return Array.isArray(x) ? x.map(spoken).join("; ") : String(x);
  if (Array.isArray(x)) return x.map(spoken).join("; ");
  if (x instanceof Date) return x.toLocaleDateString(language, { dateStyle: "medium", timeZone: "UTC" });
  if (typeof x === "number") return x.toLocaleString(language);
  return x instanceof Sentence ? inLanguage(x.key).replace(/\{(\d+)\}/g, (_, i) => spoken(x.about[i])) : String(x);
}

// t`…` is a text of this page in its language.
const t = (parts, ...about) => spoken(tell(parts, ...about));

// decimal writes a number with one digit behind the point, or comma.
const decimal = (x) => x.toLocaleString(language, { minimumFractionDigits: 1, maximumFractionDigits: 1 });

// Tenths is a number that is written so whenever it is said.
class Tenths {
  constructor(value) { this.value = value; }

  toString() { return decimal(this.value); }
}

// foreign marks what stays English on a page that is not.
const foreign = (x) => (language !== "en" && typeof x === "string" && x !== "" ? { lang: "en" } : {});

// heard makes a sentence again of what the verifier in Go says as text, for the longest
// text of de.json that it is. What is none stays as it was.
let patterns = null;

function heard(text) {
  if (!patterns) {
    const exact = (s) => s.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
    patterns = Object.keys(GERMAN).map((key) => key.split(/\{\d+\}/)).filter((parts) => /[a-z]{4}/.test(parts.join(" ")))
      .sort((a, b) => b.join("").length - a.join("").length).map((parts) => ({ parts, form: new RegExp(`^${parts.map(exact).join("(.+)")}$`, "s") }));
  }
  for (const { parts, form } of patterns) {
    const m = form.exec(text);
    if (m) return new Sentence(parts, m.slice(1).map((s) => (/^\d+ [a-z]/.test(s) ? heard(s) : s)));
  }
  return text;
}

// The texts that stand in the page itself. Elements within one keep their place in it.
const fixed = [...document.querySelectorAll("[data-t]")].map((e) => {
  const parts = [...e.childNodes], about = parts.filter((n) => n.nodeType === Node.ELEMENT_NODE);
  return { e, about, key: parts.map((n) => (n.nodeType === Node.ELEMENT_NODE ? `{${about.indexOf(n)}}` : n.data)).join("") };
});
const labels = [...document.querySelectorAll("[data-t-label]")].map((e) => ({ e, key: e.getAttribute("aria-label") }));
const redraw = []; // what else shows text, to be called after another language

// useLanguage makes the page say all that it says in a language.
function useLanguage(name) {
  language = name;
  document.documentElement.lang = name;
  for (const { e, about, key } of fixed) e.replaceChildren(...inLanguage(key).split(/\{(\d+)\}/).map((s, i) => (i % 2 ? about[s] : s)));
  for (const { e, key } of labels) e.setAttribute("aria-label", inLanguage(key));
  for (const e of document.querySelectorAll("data")) e.textContent = decimal(Number(e.value));
  for (const b of document.querySelectorAll("[data-language]")) b.setAttribute("aria-pressed", String(b.dataset.language === name));
  for (const f of redraw) f();
}

// preferred is what the visitor chose here before, else the first of the browser's
// languages that the page has.
function preferred() {
  let kept = null;
  try {
    kept = localStorage.getItem("wattmark-language");
  } catch {
    // A browser that keeps nothing for this page.
  }
  return [kept, ...navigator.languages].map((s) => String(s).toLowerCase().split("-")[0]).find((s) => Object.hasOwn(LANGUAGES, s)) || "en";
}

for (const b of document.querySelectorAll("[data-language]")) {
  b.addEventListener("click", () => {
    try {
      localStorage.setItem("wattmark-language", b.dataset.language);
    } catch {
      // Chosen for now, then.
    }
    useLanguage(b.dataset.language);
  });
}
