// Everything here is found by its English name, by people, screen readers and tests alike. Gradio would follow the
// browser's language for some names and not for others; it asks the navigator once, when it loads.

for (const [name, value] of [["language", "en"], ["languages", Object.freeze(["en"])]]) {
  Object.defineProperty(navigator, name, { get: () => value, configurable: true });
}
