// Random histories of accounts: their steps and how they are generated.
import fc from "fast-check";
import type { Period, UsageEvent } from "./books.ts";
import { formatDecimal, parseDecimal } from "./money.ts";
import type { Rates, Usage } from "./pricing.ts";
import { MODELS, PAYERS } from "./world.ts";

// What a step refers to is counted from the newest, around the ones there are.

type Use = Usage & { status: UsageEvent["status"]; target: number | null; within: boolean };

export type Step =
  | { do: "top up"; account: number; amount: string; again: boolean }
  | { do: "adjust"; account: number; amount: string }
  | {
      do: "authorize";
      key: number;
      model: number;
      input: number;
      maxOutput: number | null;
      units: Usage;
      requests: number;
    }
  | { do: "settle"; calls: { grant: number; further: boolean; use: Use }[]; twice: boolean; replayed: number[] }
  | { do: "replay"; batch: number; how: "same" | "part" | "reversed" | "all" }
  | { do: "return"; grant: number; calls: number }
  | { do: "wait"; seconds: number }
  | { do: "refund"; call: number; share: number }
  | { do: "price"; sold: number; minInputTokens: number; inSeconds: number; rates: Rates }
  | { do: "exchange"; base: string; quote: string; rate: string }
  | { do: "mark up"; scope: "all" | "tenant" | "user"; who: number; model: number | null; percent: string }
  | { do: "suspend" | "reactivate" | "close" | "empty"; account: number }
  | { do: "credit"; account: number; limit: string }
  | { do: "payer"; account: number; payer: number | null }
  | { do: "limit key"; key: number; changes: KeyChanges }
  | { do: "policy"; tenant: number; isStrict: boolean }
  | { do: "charge empty failures"; charge: boolean }
  | { do: "threshold"; amount: string }
  | { do: "upkeep" };

interface KeyChanges {
  rpm: number | null;
  tpm: number | null;
  budget: string | null;
  period: Period | null;
  models: number[] | null;
}

export interface History {
  balances: string[];
  steps: Step[];
}

/** The one that is `index` away from the newest, around them all. */
export const pick = <Item>(items: readonly Item[], index: number): Item | undefined =>
  items[items.length - 1 - (index % Math.max(1, items.length))];

// Generators.

const index = fc.nat({ max: 60 });
/** Decimals up to `max`: round ones, and such as use every decimal. */
const decimal = (max: number): fc.Arbitrary<string> =>
  fc.oneof(
    fc.integer({ min: 1, max }).map(String),
    fc.bigInt({ min: 1n, max: BigInt(max) * 10n ** 10n }).map((value) => formatDecimal(value)),
    fc.constantFrom("0.0000000001", "0.01", "1"),
  );
/** Sums of money that buy a few calls; decimals of every size. */
const amount = (max: number): fc.Arbitrary<string> =>
  fc.bigInt({ min: 10n ** 9n, max: BigInt(max) * 10n ** 10n }).map((value) => formatDecimal(value));
const maybe = <Value>(arbitrary: fc.Arbitrary<Value>): fc.Arbitrary<Value | null> => fc.option(arbitrary, { freq: 2 });

const tokens = (max: number): fc.Arbitrary<number> =>
  fc.oneof({ weight: 1, arbitrary: fc.constantFrom(0, 1, max) }, { weight: 4, arbitrary: fc.nat({ max }) });

const units: fc.Arbitrary<Usage> = fc.record(
  {
    images: fc.nat({ max: 4 }),
    image_size: fc.constantFrom("1024x1024", "512x512"),
    image_quality: fc.constantFrom("hd", "standard"),
    characters: tokens(3000),
    seconds: fc.nat({ max: 600_000 }).map((milliseconds) => milliseconds / 1000),
  },
  { requiredKeys: [] },
);

/** Token kinds by shares of what the earlier ones leave over. */
const kinds = fc
  .record({
    input: tokens(4000),
    output: tokens(2500),
    shares: fc.option(fc.array(fc.constantFrom(0, 0, 0.1, 0.5, 1), { minLength: 8, maxLength: 8 }), { freq: 3 }),
  })
  .map(({ input, output, shares }): Usage => {
    const take = (total: number, position: number): number => Math.floor(total * (shares?.[position] ?? 0));
    const cached = take(input, 0);
    const written = take(input - cached, 1);
    const audioIn = take(input - cached - written, 2);
    const audioOut = take(output, 3);
    return {
      input_tokens: input,
      output_tokens: output,
      ...(shares && {
        cached_input_tokens: cached,
        cache_write_tokens: written,
        cache_write_1h_tokens: take(written, 4),
        audio_input_tokens: audioIn,
        image_input_tokens: take(input - cached - written - audioIn, 5),
        audio_output_tokens: audioOut,
        image_output_tokens: take(output - audioOut, 6),
        reasoning_tokens: take(output, 7),
      }),
    };
  });

const use: fc.Arbitrary<Use> = fc
  .tuple(
    kinds,
    fc.option(units, { freq: 2 }),
    fc.record({
      status: fc.constantFrom<UsageEvent["status"]>("ok", "ok", "ok", "ok", "aborted", "interrupted", "error"),
      target: fc.constantFrom(null, 0, 0, 0, 1, 5),
      within: fc.boolean(),
    }),
  )
  .map(([tokensUsed, unitsUsed, how]) => ({ ...tokensUsed, ...unitsUsed, ...how }));

const rates: fc.Arbitrary<Rates> = fc
  .record(
    {
      input_rate: fc.oneof(decimal(300), fc.constant("0")),
      output_rate: decimal(500),
      request_rate: fc.constantFrom("0", "0.0000000001", "0.35"),
      cached: fc.nat({ max: 100 }),
      cache_write_rate: decimal(400),
      cache_write_1h_rate: decimal(500),
      audio_input_rate: decimal(500),
      image_input_rate: decimal(500),
      audio_output_rate: decimal(500),
      image_output_rate: decimal(500),
      character_rate: decimal(300),
      second_rate: fc.constantFrom("0.0001", "0.0043210987"),
      image_rates: fc.array(
        fc.record(
          {
            size: fc.constantFrom("1024x1024", "512x512"),
            quality: fc.constantFrom("hd", "standard"),
            rate: fc.constantFrom("0.02", "0.0777777777"),
          },
          { requiredKeys: ["rate"] },
        ),
        { minLength: 1, maxLength: 3 },
      ),
    },
    { requiredKeys: ["input_rate", "output_rate"] },
  )
  .map(({ cached, ...given }) => ({
    ...given,
    // Never dearer than input: that is what a cache is for.
    ...(cached !== undefined && {
      cached_input_rate: formatDecimal((parseDecimal(given.input_rate) * BigInt(cached)) / 100n),
    }),
  }));

export const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 30,
    arbitrary: fc.record({
      do: fc.constant("authorize" as const),
      key: index,
      model: fc.nat({ max: 3 * MODELS.length }),
      input: tokens(4000),
      maxOutput: maybe(tokens(2500)),
      units,
      requests: fc.constantFrom(1, 1, 1, 2, 8, 300),
    }),
  },
  {
    weight: 24,
    arbitrary: fc.record({
      do: fc.constant("settle" as const),
      calls: fc.array(fc.record({ grant: index, further: fc.nat({ max: 15 }).map((n) => n === 0), use }), {
        minLength: 1,
        maxLength: 4,
      }),
      twice: fc.nat({ max: 7 }).map((n) => n === 0),
      replayed: fc.oneof(
        { weight: 4, arbitrary: fc.constant<number[]>([]) },
        { weight: 1, arbitrary: fc.array(index, { maxLength: 3 }) },
      ),
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant("replay" as const),
      batch: index,
      how: fc.constantFrom("same" as const, "part" as const, "reversed" as const, "all" as const),
    }),
  },
  {
    weight: 7,
    arbitrary: fc.record({
      do: fc.constant("wait" as const),
      seconds: fc.constantFrom(5, 20, 20, 61, 61, 300, 661, 661, 4300, 90_000, 700_000),
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant("top up" as const),
      account: index,
      amount: amount(5),
      again: fc.nat({ max: 4 }).map((n) => n === 0),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant("adjust" as const),
      account: index,
      amount: fc.tuple(fc.constantFrom("", "-"), decimal(3)).map(([sign, amount]) => sign + amount),
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant("refund" as const),
      call: index,
      share: fc.constantFrom(0, 0.1, 0.5, 1, 1, 1.5),
    }),
  },
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant("price" as const),
      sold: index,
      minInputTokens: fc.constantFrom(0, 0, 0, 1000, 2500),
      inSeconds: fc.constantFrom(0, 0, 0, 30),
      rates,
    }),
  },
  {
    weight: 2,
    arbitrary: fc
      .record({
        do: fc.constant("exchange" as const),
        base: fc.constantFrom("USD", "EUR", "CNY"),
        quote: fc.constantFrom("CNY", "USD"),
        rate: fc.constantFrom("0.1", "1.0000000001", "6.9", "7.7777777777"),
      })
      .filter(({ base, quote }) => base !== quote),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant("mark up" as const),
      scope: fc.constantFrom("all" as const, "tenant" as const, "user" as const),
      who: index,
      model: maybe(index),
      percent: fc.constantFrom("-100", "-12.5", "0", "3.3333", "20", "150.0001"),
    }),
  },
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constantFrom(
        ...(["suspend", "suspend", "reactivate", "reactivate", "reactivate", "reactivate", "empty", "close"] as const),
      ),
      account: index,
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant("credit" as const),
      account: index,
      limit: fc.constantFrom("0", "0.5", "2"),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant("payer" as const), account: index, payer: maybe(index) }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant("limit key" as const),
      key: index,
      changes: fc.record({
        rpm: maybe(fc.integer({ min: 1, max: 6 })),
        tpm: maybe(fc.integer({ min: 1, max: 12_000 })),
        budget: maybe(fc.oneof(decimal(2), fc.constant("0"))),
        period: fc.constantFrom(null, "day" as const, "week" as const, "month" as const),
        models: fc.oneof(
          { weight: 6, arbitrary: fc.constant(null) },
          { weight: 1, arbitrary: fc.uniqueArray(fc.nat({ max: MODELS.length - 1 }), { minLength: 1, maxLength: 4 }) },
        ),
      }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant("policy" as const), tenant: index, isStrict: fc.boolean() }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant("charge empty failures" as const), charge: fc.boolean() }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant("threshold" as const), amount: fc.constantFrom("0", "0.2", "1", "6") }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constant("return" as const), grant: index, calls: fc.constantFrom(1, 2, 7, 200) }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("upkeep" as const) }) },
);

/** Histories of up to `length` steps. Some payers begin with nothing. */
export const histories = (length: number): fc.Arbitrary<History> =>
  fc.record({
    balances: fc.array(
      fc.oneof(
        { weight: 1, arbitrary: fc.constantFrom("0", "0.01") },
        { weight: 4, arbitrary: amount(4) },
        { weight: 2, arbitrary: amount(30) },
      ),
      { minLength: PAYERS.length, maxLength: PAYERS.length },
    ),
    steps: fc.array(step, { maxLength: length, size: "max" }),
  });
