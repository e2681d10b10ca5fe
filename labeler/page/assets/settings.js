// What the server wrote into the document, and small storage that never throws (a full or forbidden one forgets).

export const settings = JSON.parse(document.getElementById("labeler-settings").textContent);

// Whether people talk with models on this page: there is a message box, and conversations of their own.
export const talks = ["chat", "compare"].includes(settings.page);

// An address of the server, from whatever page this is.
export const at = (path) => `${settings.root}${path}`;

export function kept(storage) {
  const prefix = `labeler/${settings.source}/`;
  return {
    prefix,
    get(name) {
      try {
        return JSON.parse(storage.getItem(prefix + name));
      } catch {
        return null;
      }
    },
    // True if it is really there now: what cannot be kept must not be called kept.
    set(name, value) {
      try {
        storage.setItem(prefix + name, JSON.stringify(value));
        return true;
      } catch {
        return false;
      }
    },
    remove(name) {
      try {
        storage.removeItem(prefix + name);
      } catch {
        // it was never there
      }
    },
    names() {
      try {
        return Object.keys(storage)
          .filter((name) => name.startsWith(prefix))
          .map((name) => name.slice(prefix.length));
      } catch {
        return [];
      }
    },
  };
}

export const perTab = kept(window.sessionStorage);
export const perBrowser = kept(window.localStorage);

// A nonce names one gesture for ever. (randomUUID exists on https and localhost only.)
export function newNonce() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
