import { parentPort } from "node:worker_threads";
import { countTokens } from "gpt-tokenizer/encoding/o200k_base";

/** The time a word takes grows with the square of its length, and in some languages a paragraph is one word. */
const MOST_CHARACTERS = 512;
/** Text that looks like a control token is text here. */
const OPTIONS = { disallowedSpecial: new Set<string>() };

parentPort?.on("message", ({ id, text }: { id: number; text: string }) => {
  let tokens = 0;
  for (let start = 0; start < text.length; ) {
    const end = endOfPiece(text, start);
    tokens += countTokens(text.slice(start, end), OPTIONS);
    start = end;
  }
  parentPort?.postMessage({ id, tokens });
});

/** Before a space where there is one: there the tokenizer cuts, too. */
function endOfPiece(text: string, start: number): number {
  const end = start + MOST_CHARACTERS;
  if (end >= text.length) return text.length;
  const space = text.lastIndexOf(" ", end);
  return space > start ? space : end;
}
