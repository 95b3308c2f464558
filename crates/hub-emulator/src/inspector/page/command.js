// JSON as it came, byte for byte, and hubctl commands.

const TOKEN = /\s+|"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s"{}[\],:]+/gy;

/** The tokens of a JSON text that is well formed, without blanks. */
function tokens(text) {
  TOKEN.lastIndex = 0;
  return (text.match(TOKEN) ?? []).filter((token) => token.trim() !== "");
}

/** The members of an object, each as the text that it is. */
export function members(text) {
  const found = new Map();
  let depth = 0;
  let key = null;
  let value = "";
  for (const token of tokens(text)) {
    const opens = token === "{" || token === "[";
    const closes = token === "}" || token === "]";
    if (closes) depth -= 1;
    if ((depth === 1 && token === ",") || (depth === 0 && closes)) {
      if (key !== null) found.set(key, value);
      key = null;
      value = "";
    } else if (depth === 1 && key === null && !opens) {
      key = JSON.parse(token);
    } else if (depth > 0 && !(depth === 1 && value === "" && token === ":")) {
      value += token;
    }
    if (opens) depth += 1;
  }
  return found;
}

/** The text with line breaks, in pieces: [text, kind], where a kind is key, string, number, word or nothing. */
export function pretty(text) {
  const pieces = [];
  const all = tokens(text);
  let depth = 0;
  const line = () => `\n${"  ".repeat(depth)}`;
  all.forEach((token, index) => {
    const next = all[index + 1];
    if (token === "{" || token === "[") {
      depth += 1;
      pieces.push([next === "}" || next === "]" ? token : token + line(), ""]);
    } else if (token === "}" || token === "]") {
      depth -= 1;
      const before = all[index - 1];
      pieces.push([before === "{" || before === "[" ? token : line() + token, ""]);
    } else if (token === ",") {
      pieces.push([`,${line()}`, ""]);
    } else if (token === ":") {
      pieces.push([": ", ""]);
    } else if (token.startsWith('"')) {
      pieces.push([token, next === ":" ? "key" : "string"]);
    } else {
      pieces.push([token, /^[-\d]/.test(token) ? "number" : "word"]);
    }
  });
  return pieces;
}

/** A text as one word of a shell. */
export function quoted(text) {
  return /^[A-Za-z0-9_.,:/@%+=-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

/** The command that publishes such an event again. */
export function publishCommand(topic, data, target) {
  const options = [];
  if (data !== "" && data !== "null") options.push(`--data${data.startsWith("-") ? "=" : " "}${quoted(data)}`);
  if (target !== "") options.push(`--target ${quoted(target)}`);
  // What begins like an option stands behind the options.
  const words = topic.startsWith("-") ? [...options, "--", quoted(topic)] : [quoted(topic), ...options];
  return `hubctl publish ${words.join(" ")}`;
}

/** The command that shows the events of a filter. */
export function tailCommand(expression) {
  if (expression === "") return "hubctl tail";
  return `hubctl tail ${expression.startsWith("-") ? "-- " : ""}${quoted(expression)}`;
}

/** Puts a text on the clipboard; says whether it is there. */
export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // Over plain HTTP from another machine there is no clipboard but this one.
    const area = document.createElement("textarea");
    area.value = text;
    area.className = "unseen";
    (document.querySelector("dialog[open]") ?? document.body).append(area);
    area.select();
    const copied = document.execCommand("copy");
    area.remove();
    return copied;
  }
}
