import { calcPrice, type ModelPrice } from "@pydantic/genai-prices";

/** Prices of one million tokens from `minInputTokens` input tokens of a call on, as decimal strings. */
export type PriceTier = {
  minInputTokens: number;
  inputRate: string;
  outputRate: string;
  cachedInputRate?: string;
  cacheWriteRate?: string;
};

export type ListPrice = { tiers: PriceTier[]; contextWindow?: number };

const RATE_KEYS = ["input_mtok", "output_mtok", "cache_read_mtok", "cache_write_mtok"];
// Fees of tools and of cache entries that live for an hour: a call pays them only when it asks for them. We have no rate for these.
const EXTRA_KEYS = ["web_searches_kcount", "storage_searches_kcount", "cache_write_1h_mtok"];

/**
 * The list price in USD that @pydantic/genai-prices has for a provider's model at a time.
 * A string says why there is none, or why it does not fit our rates. `hasOutput`: false for embeddings, which have input only.
 */
export function listPrice(provider: string, model: string, at: Date, hasOutput = true): ListPrice | string {
  const found = calcPrice({ input_tokens: 1 }, model, { providerId: provider, timestamp: at });
  if (!found || found.model.id !== model) return "no list price is known";
  const price = found.model_price;
  const foreign = Object.keys(price).filter((key) => !RATE_KEYS.includes(key) && !EXTRA_KEYS.includes(key));
  if (foreign.length > 0) return `priced by more than text tokens (${foreign.join(", ")})`;
  if (price.input_mtok === undefined) return "no price for input tokens";
  if (hasOutput && price.output_mtok === undefined) return "no price for output tokens";
  const contextWindow = found.model.context_window;
  return { tiers: priceTiers(price), ...(contextWindow && { contextWindow }) };
}

/** One tier from 0 on and one from where any of the rates steps up: the package's `start` is the last token before it. */
export function priceTiers(price: ModelPrice): PriceTier[] {
  const starts = RATE_KEYS.flatMap((key) => {
    const rate = price[key];
    return typeof rate === "object" ? rate.tiers.map((tier) => tier.start + 1) : [];
  });
  return [...new Set([0, ...starts])]
    .sort((a, b) => a - b)
    .map((minInputTokens) => {
      const cachedInputRate = rateAt(price.cache_read_mtok, minInputTokens);
      const cacheWriteRate = rateAt(price.cache_write_mtok, minInputTokens);
      return {
        minInputTokens,
        inputRate: rateAt(price.input_mtok, minInputTokens) ?? "0",
        outputRate: rateAt(price.output_mtok, minInputTokens) ?? "0",
        ...(cachedInputRate && { cachedInputRate }),
        ...(cacheWriteRate && { cacheWriteRate }),
      };
    });
}

function rateAt(rate: ModelPrice[string], inputTokens: number): string | undefined {
  if (rate === undefined) return undefined;
  if (typeof rate === "number") return String(rate);
  const tier = rate.tiers.filter(({ start }) => start < inputTokens).sort((a, b) => b.start - a.start)[0];
  return String(tier?.price ?? rate.base);
}
