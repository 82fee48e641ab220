// Asking again and again: pure but for the clock.

// Between an answer and the next question is at least nine times what the answer took, so that a page that asks for
// much (a thousand tables) keeps the server busy for a tenth of the time at most.
const REST = 9;
const HIDDEN_MS = 250;

// Asks at once, and again `again_ms` after each answer while `seen()`; never again when `again_ms` is 0. `told` is given
// [data, error]. A slow answer is waited for, however long it takes. Returns what stops it.
export function repeated(ask, told, again_ms, seen, now = () => performance.now()) {
  let stopped = false;
  let timer = null;
  const later = (wait_ms) => {
    if (again_ms && !stopped) timer = setTimeout(() => (seen() ? run() : later(HIDDEN_MS)), wait_ms);
  };
  const run = async () => {
    const began = now();
    let answer;
    try {
      answer = [await ask(), null];
    } catch (error) {
      answer = [null, error];
    }
    if (stopped) return;
    told(...answer);
    later(Math.max(again_ms, REST * (now() - began)));
  };
  run();
  return () => {
    stopped = true;
    clearTimeout(timer);
  };
}
