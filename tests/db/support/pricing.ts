// The price of a call, worked out from docs/billing.md and the comments on the rates alone: the oracle of the property tests.
import { largest, type Money, parseDecimal, round } from "./money.ts";

export interface ImagePrice {
  size?: string;
  quality?: string;
  rate: string;
}

/** A wholesale price as an operator enters it: per million tokens or characters, per second, image or call. */
export interface Rates {
  input_rate: string;
  output_rate: string;
  request_rate?: string;
  cached_input_rate?: string;
  cache_write_rate?: string;
  cache_write_1h_rate?: string;
  audio_input_rate?: string;
  image_input_rate?: string;
  audio_output_rate?: string;
  image_output_rate?: string;
  character_rate?: string;
  second_rate?: string;
  image_rates?: ImagePrice[];
}

export interface Tier {
  minInputTokens: number;
  rates: Rates;
  currency: string;
  /** Units of the account's currency for one of `currency`. */
  exchangeRate: Money;
}

/** What a call used. The totals hold all kinds; kinds do not overlap. */
export interface Usage {
  input_tokens?: number;
  cached_input_tokens?: number;
  cache_write_tokens?: number;
  cache_write_1h_tokens?: number;
  audio_input_tokens?: number;
  image_input_tokens?: number;
  output_tokens?: number;
  reasoning_tokens?: number;
  audio_output_tokens?: number;
  image_output_tokens?: number;
  images?: number;
  image_size?: string;
  image_quality?: string;
  characters?: number;
  /** With at most three decimals. */
  seconds?: number;
}

/** Decimals of a cost before it is rounded: rates have 10, a million divides by 6 more, seconds have 3. */
const COST_DECIMALS = 20;
/** The percentage's four decimals and the division by a hundred. */
const MARKUP_DECIMALS = 6;

const optional = (rate: string | undefined): Money | undefined => (rate === undefined ? undefined : parseDecimal(rate));

/** The price of an image: the most specific one that fits; when none does, the dearest. */
function imageRate(prices: ImagePrice[], { image_size, image_quality }: Usage): Money {
  const matching = prices.filter(
    ({ size, quality }) =>
      (size === undefined || size === image_size) && (quality === undefined || quality === image_quality),
  );
  const specificity = ({ size, quality }: ImagePrice): number =>
    Number(size !== undefined) + Number(quality !== undefined);
  const most = Math.max(...matching.map(specificity));
  const chosen = matching.length > 0 ? matching.filter((price) => specificity(price) === most) : prices;
  return largest(0n, ...chosen.map(({ rate }) => parseDecimal(rate)));
}

/**
 * What a call is charged in the account's currency.
 *
 * @param percent the markup, with four decimals
 */
export function priceCall(tiers: Tier[], percent: bigint, usage: Usage): Money {
  const of = (name: Exclude<keyof Usage, "image_size" | "image_quality" | "seconds">): bigint =>
    BigInt(usage[name] ?? 0);
  const tier = tiers
    .filter(({ minInputTokens }) => BigInt(minInputTokens) <= of("input_tokens"))
    .reduce((a, b) => (a.minInputTokens > b.minInputTokens ? a : b));
  const { rates } = tier;
  const input = parseDecimal(rates.input_rate);
  const output = parseDecimal(rates.output_rate);
  const cacheWrite = optional(rates.cache_write_rate) ?? input;
  const requestRate = parseDecimal(rates.request_rate ?? "0");
  const tokenRates = [
    input,
    output,
    optional(rates.cache_write_rate),
    optional(rates.cache_write_1h_rate),
    optional(rates.audio_input_rate),
    optional(rates.image_input_rate),
    optional(rates.audio_output_rate),
    optional(rates.image_output_rate),
  ].filter((rate) => rate !== undefined);
  /** For a kind without a price: the next dearer one than `rate`. */
  const dearerThan = (rate: Money): Money =>
    tokenRates
      .filter((other) => other > rate)
      .reduce<Money | undefined>((a, b) => (a !== undefined && a < b ? a : b), undefined) ?? rate;

  const perMillion: [bigint, Money][] = [
    [
      of("input_tokens") -
        of("cached_input_tokens") -
        of("cache_write_tokens") -
        of("audio_input_tokens") -
        of("image_input_tokens"),
      input,
    ],
    [of("cached_input_tokens"), optional(rates.cached_input_rate) ?? input],
    [of("cache_write_tokens") - of("cache_write_1h_tokens"), cacheWrite],
    [of("cache_write_1h_tokens"), optional(rates.cache_write_1h_rate) ?? dearerThan(cacheWrite)],
    [of("audio_input_tokens"), optional(rates.audio_input_rate) ?? dearerThan(input)],
    [of("image_input_tokens"), optional(rates.image_input_rate) ?? dearerThan(input)],
    [of("output_tokens") - of("audio_output_tokens") - of("image_output_tokens"), output],
    [of("audio_output_tokens"), optional(rates.audio_output_rate) ?? dearerThan(output)],
    [of("image_output_tokens"), optional(rates.image_output_rate) ?? dearerThan(output)],
    [of("characters"), optional(rates.character_rate) ?? dearerThan(input)],
  ];
  // Each line with COST_DECIMALS decimals.
  let cost = perMillion.reduce((sum, [quantity, rate]) => sum + quantity * rate * 10n ** 4n, 0n);
  const milliseconds = BigInt(Math.round((usage.seconds ?? 0) * 1000));
  cost +=
    rates.second_rate === undefined
      ? // Ten tokens a second.
        milliseconds * (optional(rates.audio_input_rate) ?? dearerThan(input)) * 10n ** 2n
      : milliseconds * parseDecimal(rates.second_rate) * 10n ** 7n;
  // Images reported in tokens are paid for by these; without a price, the call's pays for them, or 4160 tokens each.
  if (of("image_output_tokens") === 0n) {
    if (rates.image_rates) cost += of("images") * imageRate(rates.image_rates, usage) * 10n ** 10n;
    else if (requestRate === 0n)
      cost += of("images") * 4160n * (optional(rates.image_output_rate) ?? dearerThan(output)) * 10n ** 4n;
  }
  cost += requestRate * 10n ** 10n;

  const markup = 10n ** 6n + percent;
  return round(cost * tier.exchangeRate * markup, COST_DECIMALS + MARKUP_DECIMALS);
}

/** What authorisation holds for a call at one target: the dearest of its input uncached and written to the cache, for long too where that has a price. */
export function estimateCharge(tiers: Tier[], percent: bigint, usage: Usage): Money {
  const written = { ...usage, cache_write_tokens: usage.input_tokens ?? 0 };
  const isWrittenForLong = tiers.some(({ rates }) => rates.cache_write_1h_rate !== undefined);
  return largest(
    priceCall(tiers, percent, usage),
    priceCall(tiers, percent, written),
    isWrittenForLong ? priceCall(tiers, percent, { ...written, cache_write_1h_tokens: usage.input_tokens ?? 0 }) : 0n,
  );
}
