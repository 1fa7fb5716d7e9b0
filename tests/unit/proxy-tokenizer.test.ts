import { describe, expect, it } from "vitest";
import { Text } from "../../proxy/text.ts";
import { countTokens } from "../../proxy/tokenizer.ts";

const textOf = (...pieces: string[]) => {
  const text = new Text();
  for (const piece of pieces) text.add(piece);
  return text;
};

describe("countTokens", () => {
  it.each([
    ["", 0],
    ["Hello there, how are you?", 7],
    ["tiktoken is great!", 6],
    ["お誕生日おめでとう", 8],
  ])("counts %j as o200k_base does: %i", async (text, tokens) => {
    expect(await countTokens(textOf(text))).toBe(tokens);
  });

  it("takes control tokens for the text they are", async () => {
    expect(await countTokens(textOf("<|endoftext|>"))).toBeGreaterThan(1);
  });

  it("counts long text in pieces, nearly as it would be counted at once", async () => {
    const sentence = "The quick brown fox jumps over the lazy dog. ";
    const once = await countTokens(textOf(sentence));
    const tokens = await countTokens(textOf(sentence.repeat(1_000)));
    expect(tokens / 1_000).toBeGreaterThan(once - 1);
    expect(tokens / 1_000).toBeLessThan(once + 0.1);
  });

  it("counts what was not kept in proportion", async () => {
    const kept = await countTokens(textOf("word ".repeat(13_000)));
    const all = await countTokens(textOf("word ".repeat(13_000), "word ".repeat(117_000)));
    expect(all / kept).toBeCloseTo(10, 1);
  });

  it.each(["a", "漢", " ", "=", "😀"])("is quick with a word of 65,536 times %j", async (character) => {
    const startMs = performance.now();
    await countTokens(textOf(character.repeat(65_536 / character.length)));
    expect(performance.now() - startMs).toBeLessThan(2_000);
  });
});
