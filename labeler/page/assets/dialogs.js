// Two small dialogs. The browser's own element keeps focus inside, closes on Escape and gives focus back.

function dialog(title, ...children) {
  const element = document.createElement("dialog");
  const heading = document.createElement("h2");
  heading.id = `dialog-${title.replace(/\W+/g, "-").toLowerCase()}`;
  heading.textContent = title;
  element.setAttribute("aria-labelledby", heading.id);
  element.append(heading, ...children);
  element.addEventListener("close", () => element.remove());
  document.body.append(element);
  element.showModal();
  return element;
}

function button(name, action, kind = "") {
  const element = document.createElement("button");
  Object.assign(element, { type: "button", textContent: name, className: kind });
  element.addEventListener("click", action);
  return element;
}

export function isOpen() {
  return document.querySelector("body > dialog[open]") !== null;
}

// `keys` are [key, meaning, ...].
export function showHelp(keys) {
  const list = document.createElement("dl");
  list.className = "keys";
  for (const [key, meaning] of keys) {
    const term = document.createElement("dt");
    term.append(Object.assign(document.createElement("kbd"), { textContent: key }));
    list.append(term, Object.assign(document.createElement("dd"), { textContent: meaning }));
  }
  const element = dialog("Keys", list, button("Close", () => element.close()));
  element.querySelector("button").focus();
}

// Resolves to whether it was said.
export async function confirmThen(title, text, yes) {
  return (await asked(title, text, [], yes, () => true)) ?? false;
}

// The same with one line of text: resolves to the line, or to null.
export function askThen(title, text, label, yes) {
  const line = Object.assign(document.createElement("input"), { type: "text", maxLength: 1000 });
  const field = Object.assign(document.createElement("label"), { className: "field", textContent: label });
  field.append(line);
  return asked(title, text, [field], yes, () => line.value);
}

function asked(title, text, fields, yes, value) {
  return new Promise((resolve) => {
    const paragraph = Object.assign(document.createElement("p"), { textContent: text });
    const choices = document.createElement("div");
    choices.className = "choices";
    let answer = null;
    const say = () => ((answer = value()), element.close());
    choices.append(button("Cancel", () => element.close()), button(yes, say, "danger"));
    const element = dialog(title, paragraph, ...fields, choices);
    const enter = (event) => event.key === "Enter" && (event.preventDefault(), say()); // or it would press what is focused next
    for (const field of fields) field.addEventListener("keydown", enter);
    element.addEventListener("close", () => resolve(answer));
  });
}
