// Gradio gives up for good after its first request that is refused. A server that says "not now" is asked again when it
// says: what was refused was not taken, and a gesture's nonce makes sure that it is made once.

import { notice } from "./status.js";

const GRADIO = /\/gradio_api\/(queue|heartbeat)\//;
const LATER = [429, 503];
const AGAIN_SECONDS = 3;
const BUSY = "The server is busy. It is asked again in a moment.";
const theirs = window.fetch.bind(window);

const pause = (seconds) => new Promise((resolve) => setTimeout(resolve, seconds * 1000));

// When a refused request may be made again, in seconds from now.
export const retryAfter = (response) => Number(response.headers.get("retry-after")) || AGAIN_SECONDS;

async function patiently(input, init) {
  for (let waited = false; ; waited = true) {
    const response = await theirs(input, init);
    if (!LATER.includes(response.status)) {
      if (waited) notice("");
      return response;
    }
    const { error } = await response.clone().json().catch(() => ({}));
    notice(error ?? BUSY);
    await pause(retryAfter(response));
    if (init?.signal?.aborted) return response;
  }
}

window.fetch = (input, init) => (GRADIO.test(String(input?.url ?? input)) ? patiently(input, init) : theirs(input, init));
