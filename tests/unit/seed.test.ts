import { calcPrice } from "@pydantic/genai-prices";
import { describe, expect, test } from "vitest";
import { DASHSCOPE_MODELS } from "../../db/seed/dashscope.ts";
import { MODELS, PROVIDERS } from "../../db/seed/models.ts";
import { listPrice, type PriceTier, priceTiers } from "../../db/seed/prices.ts";

const NOW = new Date();
const priced = MODELS.flatMap(({ endpoints, targets }) =>
  targets
    .filter(({ provider }) => provider !== "dashscope")
    .map(({ provider, upstreamModel }) => ({
      provider,
      model: upstreamModel,
      endpoints,
    })),
);

function tierAt(tiers: PriceTier[], inputTokens: number): PriceTier {
  const tier = tiers.findLast(({ minInputTokens }) => minInputTokens <= inputTokens);
  if (!tier) throw new Error(`no tier for ${inputTokens} tokens`);
  return tier;
}

describe("prices from genai-prices", () => {
  // The package's own calculation is the oracle, at both sides of every step.
  test.each(priced)("$model of $provider costs what the package says", ({ provider, model, endpoints }) => {
    const price = listPrice(provider, model, NOW, endpoints);
    if (typeof price === "string") {
      throw new Error(price);
    }
    for (const { minInputTokens } of price.tiers) {
      for (const inputTokens of [minInputTokens - 1, minInputTokens, minInputTokens + 1, 100_000].filter(
        (n) => n >= 10,
      )) {
        const tier = tierAt(price.tiers, inputTokens);
        const usage = { input_tokens: inputTokens, cache_read_tokens: 3, cache_write_tokens: 2, output_tokens: 500 };
        const expected = calcPrice(usage, model, { providerId: provider, timestamp: NOW })?.total_price;
        const rates = [tier.inputRate, tier.cachedInputRate ?? tier.inputRate, tier.cacheWriteRate ?? tier.inputRate];
        const [input = 0, cached = 0, cacheWrite = 0] = rates.map(Number);
        const cost = ((inputTokens - 5) * input + 3 * cached + 2 * cacheWrite + 500 * Number(tier.outputRate)) / 1e6;
        expect(cost).toBeCloseTo(expected ?? Number.NaN, 12);
      }
    }
  });

  test("a step that begins after the last token of the tier below becomes a tier from the next token on", () => {
    expect(
      priceTiers({
        input_mtok: { base: 1, tiers: [{ start: 200_000, price: 2 }] },
        output_mtok: 5,
        cache_read_mtok: 0.1,
      }),
    ).toEqual([
      { minInputTokens: 0, inputRate: "1", outputRate: "5", cachedInputRate: "0.1" },
      { minInputTokens: 200_001, inputRate: "2", outputRate: "5", cachedInputRate: "0.1" },
    ]);
  });

  test.each([
    ["gpt-realtime", "priced by units we do not have (cache_audio_read_mtok)"],
    ["gpt-0", "no list price is known"],
    ["text-embedding-3-small", "no price for output tokens"],
  ])("%s has no price that we can bill: %s", (model, reason) => {
    expect(listPrice("openai", model, NOW, ["chat/completions"])).toBe(reason);
  });

  test("other units than text tokens", () => {
    const tier = (model: string, endpoint: string, provider = "openai") => {
      const price = listPrice(provider, model, NOW, [endpoint]);
      return typeof price === "string" ? price : price.tiers[0];
    };
    expect(tier("whisper-1", "audio/transcriptions")).toEqual({
      minInputTokens: 0,
      inputRate: "0",
      outputRate: "0",
      secondRate: "0.0001",
    });
    expect(tier("gpt-audio", "chat/completions")).toMatchObject({ audioInputRate: "32", audioOutputRate: "64" });
    expect(tier("gpt-image-2", "images/generations")).toMatchObject({ outputRate: "30", imageOutputRate: "30" });
    expect(tier("claude-haiku-4-5", "messages", "anthropic")).toMatchObject({
      cacheWriteRate: "1.25",
      cacheWrite1hRate: "2",
    });
  });
});

describe("the list of models", () => {
  test("names each model once, and only known providers and their endpoints", () => {
    expect(new Set(MODELS.map(({ name }) => name)).size).toBe(MODELS.length);
    for (const { endpoints, targets } of MODELS) {
      for (const { provider } of targets) {
        const served = PROVIDERS.find(({ name }) => name === provider)?.endpoints ?? [];
        expect(served).toEqual(expect.arrayContaining(endpoints));
      }
    }
  });

  test("routes every Qwen model to DashScope first, then to OpenAI, then to Anthropic", () => {
    for (const name of Object.keys(DASHSCOPE_MODELS)) {
      const targets = MODELS.find((model) => model.name === name)?.targets.map(({ provider }) => provider);
      expect(targets).toEqual(["dashscope", "openai", "anthropic"]);
    }
  });
});
