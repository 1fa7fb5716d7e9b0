import { calcPrice, type ModelPrice } from "@pydantic/genai-prices";

/** Prices from `minInputTokens` input tokens of a call on, as decimal strings: of one million tokens, or of a second. */
export type PriceTier = { minInputTokens: number; inputRate: string; outputRate: string } & Partial<
  Record<OptionalRate, string>
>;

export type ListPrice = { tiers: PriceTier[]; contextWindow?: number };

/** The package's names of the rates that we have as well. */
const TOKEN_RATES = {
  cache_read_mtok: "cachedInputRate",
  cache_write_mtok: "cacheWriteRate",
  cache_write_1h_mtok: "cacheWrite1hRate",
  input_audio_mtok: "audioInputRate",
  input_image_mtok: "imageInputRate",
  output_audio_mtok: "audioOutputRate",
} as const;

type OptionalRate = (typeof TOKEN_RATES)[keyof typeof TOKEN_RATES] | "imageOutputRate" | "secondRate";

const HOUR_RATE = "input_audio_hours";
// Fees of tools, which a call pays only when it asks for them, another name of HOUR_RATE, and cached images, which a generation does not have.
const IGNORED = ["web_searches_kcount", "storage_searches_kcount", "audio_hours", "cache_image_read_mtok"];
const KNOWN = ["input_mtok", "output_mtok", ...Object.keys(TOKEN_RATES), HOUR_RATE, ...IGNORED];

/**
 * The list price in USD that @pydantic/genai-prices has for a provider's model on these endpoints at a time.
 * A string says why there is none, or why it does not fit our rates.
 */
export function listPrice(provider: string, model: string, at: Date, endpoints: string[]): ListPrice | string {
  const found = calcPrice({ input_tokens: 1 }, model, { providerId: provider, timestamp: at });
  if (!found || found.model.id !== model) return "no list price is known";
  const price = found.model_price;
  const foreign = Object.keys(price).filter((key) => !KNOWN.includes(key));
  if (foreign.length > 0) return `priced by units we do not have (${foreign.join(", ")})`;
  const isByTheHour = price[HOUR_RATE] !== undefined;
  if (price.input_mtok === undefined && !isByTheHour) return "no price for input tokens";
  const hasOutput = !endpoints.includes("embeddings") && !isByTheHour;
  if (hasOutput && price.output_mtok === undefined) return "no price for output tokens";
  const tiers = priceTiers(price).map((tier) =>
    endpoints.includes("images/generations") ? { ...tier, imageOutputRate: tier.outputRate } : tier,
  );
  const contextWindow = found.model.context_window;
  return { tiers, ...(contextWindow && { contextWindow }) };
}

/** One tier from 0 on and one from where any of the rates steps up: the package's `start` is the last token before it. */
export function priceTiers(price: ModelPrice): PriceTier[] {
  const starts = ["input_mtok", "output_mtok", ...Object.keys(TOKEN_RATES)].flatMap((key) => {
    const rate = price[key];
    return typeof rate === "object" ? rate.tiers.map((tier) => tier.start + 1) : [];
  });
  return [...new Set([0, ...starts])]
    .sort((a, b) => a - b)
    .map((minInputTokens) => {
      const tier: PriceTier = {
        minInputTokens,
        inputRate: rateAt(price.input_mtok, minInputTokens) ?? "0",
        outputRate: rateAt(price.output_mtok, minInputTokens) ?? "0",
      };
      for (const [key, name] of Object.entries(TOKEN_RATES)) {
        const rate = rateAt(price[key], minInputTokens);
        if (rate !== undefined) tier[name] = rate;
      }
      const hourRate = rateAt(price[HOUR_RATE], minInputTokens);
      if (hourRate !== undefined) tier.secondRate = perSecond(hourRate);
      return tier;
    });
}

/** A price of an hour as that of a second, rounded up to our ten decimals. */
function perSecond(hourRate: string): string {
  const [whole = "0", decimals = ""] = hourRate.split(".");
  const scaled = BigInt(whole + decimals.padEnd(10, "0"));
  const digits = String((scaled + 3599n) / 3600n).padStart(11, "0");
  return `${digits.slice(0, -10)}.${digits.slice(-10)}`.replace(/\.?0+$/, "");
}

function rateAt(rate: ModelPrice[string], inputTokens: number): string | undefined {
  if (rate === undefined) return undefined;
  if (typeof rate === "number") return String(rate);
  const tier = rate.tiers.filter(({ start }) => start < inputTokens).sort((a, b) => b.start - a.start)[0];
  return String(tier?.price ?? rate.base);
}
